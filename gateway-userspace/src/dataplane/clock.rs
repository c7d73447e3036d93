//! The clocks: the kernel's boot clock, which deadlines are on, and the wall clock, which people read.

use gateway_common::KernelNanos;
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;

/// The boot clock now: the one that `bpf_ktime_get_boot_ns` reads.
///
/// A kernel without it cannot run the programs either; the value is then 0, at which no deadline has passed and no
/// program is attached.
#[must_use]
pub fn boot() -> KernelNanos {
    let Ok(now) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return KernelNanos(0) };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec()).unwrap_or(0);
    KernelNanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Translates instants on the boot clock to wall-clock time, as of one reading of both.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    boot: KernelNanos,
    wall: OffsetDateTime,
}

impl WallClock {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        Self { boot: boot(), wall: OffsetDateTime::now_utc() }
    }

    /// What time it was on the wall clock when both were read.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        let nanos = self.wall.unix_timestamp_nanos();
        Timestamp::from_nanosecond(nanos).unwrap_or(if nanos < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }

    /// The wall-clock time of an instant, held at the ends of the calendar.
    #[must_use]
    pub fn at(&self, instant: KernelNanos) -> OffsetDateTime {
        let nanos = i128::from(instant.0) - i128::from(self.boot.0);
        let nanos = i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX });
        self.wall.checked_add(time::Duration::nanoseconds(nanos)).unwrap_or(self.wall)
    }

    /// The instant of a wall-clock time; 0 if that was before the boot.
    #[must_use]
    pub fn instant(&self, wall: OffsetDateTime) -> KernelNanos {
        let nanos = i128::from(self.boot.0) + (wall - self.wall).whole_nanoseconds();
        KernelNanos(u64::try_from(nanos).unwrap_or(if nanos < 0 { 0 } else { u64::MAX }))
    }
}

/// The id of this boot of the host, for telling whether what was stored belongs to it.
///
/// # Errors
/// If `/proc` is not there.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}
