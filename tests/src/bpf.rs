//! Programs of a few instructions that a test or a bench writes itself, by bpf(2): to do on the way of a packet what no
//! frame can, to make traffic, or to do nothing, as a floor.

mod assembly;
mod map;

pub use assembly::{Assembly, Condition, Helper, Label, Operation, Register, Size};
pub use map::Map;

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;

/// An instruction: its code, its register, and its value. See BPF instruction set, RFC 9669.
pub type Instruction = (u8, u8, i32);

/// What a program is for (`bpf_prog_type`).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Kind {
    /// At a TC hook.
    Tc = 3,
    /// Before the stack.
    Xdp = 6,
}

/// Where a program is attached to a link (`bpf_attach_type`).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Hook {
    /// At what arrives.
    Ingress = 46,
    /// At what leaves.
    Egress = 47,
    /// In the driver, before anything else.
    Xdp = 37,
}

/// The program can take packets in several pieces (`BPF_F_XDP_HAS_FRAGS`). A program goes on only to one that can do the
/// same.
const HAS_FRAGS: u32 = 1 << 5;
/// Attached in the driver, or not at all (`XDP_FLAGS_DRV_MODE`).
const IN_THE_DRIVER: u32 = 1 << 2;
/// What the program says about a frame is done, as if it had arrived (`BPF_F_TEST_XDP_LIVE_FRAMES`).
const LIVE_FRAMES: u32 = 1 << 1;
/// What the verifier has to say at most.
const LONGEST_COMPLAINT: usize = 64 * 1024;

/// A program in the kernel. It is gone when this and its attachments are.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// A program that is attached to a link.
#[derive(Debug)]
pub struct Attachment(OwnedFd);

impl Program {
    /// Loads it.
    pub fn load(kind: Kind, instructions: &[Instruction]) -> Result<Self> {
        let words: Vec<[u8; 8]> = instructions
            .iter()
            .map(|(code, register, value)| {
                let [a, b, c, d] = value.to_ne_bytes();
                [*code, *register, 0, 0, a, b, c, d]
            })
            .collect();
        Self::verified(kind, 0, &words)
    }

    /// Loads one that was assembled. XDP programs take packets in several pieces.
    pub fn assembled(kind: Kind, assembly: &Assembly) -> Result<Self> {
        let flags = if matches!(kind, Kind::Xdp) { HAS_FRAGS } else { 0 };
        Self::verified(kind, flags, &assembly.finish()?)
    }

    fn verified(kind: Kind, flags: u32, words: &[[u8; 8]]) -> Result<Self> {
        #[repr(C)]
        struct Load {
            kind: u32,
            length: u32,
            instructions: u64,
            license: u64,
            log_level: u32,
            log_size: u32,
            log: u64,
            kernel: u32,
            flags: u32,
            name: [u8; 16],
            interface: u32,
            hook: u32,
        }
        let mut log = vec![0_u8; LONGEST_COMPLAINT];
        let mut load = Load {
            kind: kind as u32,
            length: u32::try_from(words.len())?,
            instructions: words.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            log_level: 1,
            log_size: u32::try_from(log.len())?,
            log: log.as_mut_ptr() as u64,
            kernel: 0,
            flags,
            name: [0; 16],
            interface: 0,
            hook: if matches!(kind, Kind::Xdp) { Hook::Xdp as u32 } else { 0 },
        };
        let loaded = make(5, &mut load);
        let complaint = || String::from_utf8_lossy(&log).trim_end_matches('\0').to_owned();
        loaded.with_context(|| format!("BPF_PROG_LOAD: {}", complaint())).map(Self)
    }

    /// Attaches it to a link of this namespace.
    pub fn attach(&self, link: &str, hook: Hook) -> Result<Attachment> {
        #[repr(C)]
        struct Create {
            program: u32,
            link: u32,
            hook: u32,
            flags: u32,
        }
        let link = if_nametoindex(link)?;
        let flags = if matches!(hook, Hook::Xdp) { IN_THE_DRIVER } else { 0 };
        let mut create = Create { program: number(&self.0)?, link, hook: hook as u32, flags };
        make(28, &mut create).context("BPF_LINK_CREATE").map(Attachment)
    }

    /// Runs it over a frame again and again, and says how long one run took on average.
    pub fn time_run(&self, frame: &[u8], repeat: u32) -> Result<Duration> {
        let run = self.run(Run { repeat, ..Run::default() }, frame)?;
        ensure!(run.duration > 0, "the kernel did not measure");
        Ok(Duration::from_nanos(run.duration.into()))
    }

    /// Makes that many packets of a frame, so many at a time, each of which goes where it says.
    pub fn send(&self, frame: &[u8], packets: u32, batch: u32) -> Result<()> {
        self.run(Run { repeat: packets, flags: LIVE_FRAMES, batch, ..Run::default() }, frame).map(drop)
    }

    fn run(&self, mut run: Run, frame: &[u8]) -> Result<Run> {
        run.program = number(&self.0)?;
        run.size_in = u32::try_from(frame.len())?;
        run.data_in = frame.as_ptr() as u64;
        call(10, &mut run).with_context(|| format!("BPF_PROG_TEST_RUN of {} bytes", frame.len()))?;
        Ok(run)
    }
}

#[repr(C)]
#[derive(Default)]
struct Run {
    program: u32,
    returned: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
    batch: u32,
    /// Zero, named: the kernel refuses what it does not know.
    reserved: u32,
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Attachment {
    /// Ends it: the program sees nothing that is sent from now on. To close the descriptor would not be enough: a process
    /// that another test forks at that moment has a copy of it until it executes its program.
    pub fn detach(self) -> Result<()> {
        call(34, &mut number(&self.0)?).context("BPF_LINK_DETACH")?;
        Ok(())
    }
}

fn number(fd: &OwnedFd) -> Result<u32> {
    Ok(u32::try_from(fd.as_raw_fd())?)
}

fn call<A>(command: libc::c_int, attributes: &mut A) -> Result<libc::c_int> {
    let (pointer, size) = (std::ptr::from_mut(attributes), size_of::<A>());
    // SAFETY: the kernel reads and writes `size` bytes of the attributes, and what they point at; both outlive the call.
    let returned = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size) };
    Ok(Errno::result(returned)?.try_into()?)
}

/// The same for commands that make a file descriptor.
fn make<A>(command: libc::c_int, attributes: &mut A) -> Result<OwnedFd> {
    let made = call(command, attributes)?;
    // SAFETY: a file descriptor that the kernel has just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}
