//! How soon a thread of the daemon gets a CPU when it has something to do.
//!
//! A flood keeps the CPUs busy in the kernel. Whoever runs there is let run for some 3 ms before somebody who wakes up has
//! their turn, unless that one asks for shorter turns than theirs (EEVDF, Linux 6.12; kernels before it ignore this).

use nix::errno::Errno;
use nix::libc::{self, SYS_sched_getattr, SYS_sched_setattr, sched_attr, syscall};

/// How long a thread of the daemon runs at a time, in nanoseconds: the least that the kernel grants.
const SHORT: u64 = 100_000;
/// The turns that everybody gets, and how nice everybody is, see sched(7).
const USUAL: u64 = 0;
const NEUTRAL: i32 = 0;

/// This thread asks for short turns, and so will those that it starts.
///
/// # Errors
/// If the system refuses, as a sandbox may.
pub fn be_prompt() -> nix::Result<()> {
    change(|attributes| attributes.sched_runtime = SHORT)
}

/// This thread computes for long, and is no more urgent than those of other programs, even if the daemon is.
///
/// # Errors
/// As [`be_prompt`].
pub fn be_patient() -> nix::Result<()> {
    change(|attributes| {
        attributes.sched_runtime = USUAL;
        attributes.sched_nice = attributes.sched_nice.max(NEUTRAL);
    })
}

/// Changes how this thread is scheduled, and nothing of it besides.
fn change(change: impl FnOnce(&mut sched_attr)) -> nix::Result<()> {
    let mut attributes = sched_attr {
        size: 0,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    let this_thread: libc::pid_t = 0;
    let (size, flags): (libc::c_uint, libc::c_uint) = (size_of::<sched_attr>() as libc::c_uint, 0);
    // SAFETY: the kernel writes at most `size` bytes, which the structure has, and all of its bytes may be anything.
    let asked = unsafe { syscall(SYS_sched_getattr, this_thread, &raw mut attributes, size, flags) };
    Errno::result(asked)?;
    change(&mut attributes);
    // SAFETY: the kernel reads as many bytes as the structure itself says, which it has said are its own size at most.
    let set = unsafe { syscall(SYS_sched_setattr, this_thread, &raw const attributes, flags) };
    Errno::result(set).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        let mut found = None;
        change(|attributes| found = Some(attributes.sched_nice)).unwrap();
        found.unwrap()
    }

    /// What becomes of a thread that is so nice.
    #[track_caller]
    fn check(before: i32, then: fn() -> nix::Result<()>, expected: i32) {
        let thread = move || {
            change(|attributes| attributes.sched_nice = before)?;
            then()?;
            Ok(niceness())
        };
        assert_eq!(std::thread::spawn(thread).join().unwrap(), nix::Result::Ok(expected));
    }

    #[test]
    fn nobody_becomes_less_nice() {
        check(3, be_prompt, 3);
        check(3, be_patient, 3);
    }
}
