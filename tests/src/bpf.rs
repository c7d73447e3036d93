//! Programs of a few instructions that a test or a bench writes itself, by bpf(2): to do on the way of a packet what no
//! frame can, or to do nothing, as a floor.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
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
}

/// A program in the kernel. It is gone when this and its attachments are.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// A program that is attached to a link.
#[derive(Debug)]
pub struct Attachment(OwnedFd);

impl Program {
    /// Loads it.
    pub fn load(kind: Kind, instructions: &[Instruction]) -> Result<Self> {
        #[repr(C)]
        struct Load {
            kind: u32,
            length: u32,
            instructions: u64,
            license: u64,
        }
        let instructions: Vec<[u8; 8]> = instructions
            .iter()
            .map(|(code, register, value)| {
                let [a, b, c, d] = value.to_ne_bytes();
                [*code, *register, 0, 0, a, b, c, d]
            })
            .collect();
        let mut load = Load {
            kind: kind as u32,
            length: u32::try_from(instructions.len())?,
            instructions: instructions.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
        };
        make(5, &mut load).context("BPF_PROG_LOAD").map(Self)
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
        let mut create = Create { program: number(&self.0)?, link, hook: hook as u32, flags: 0 };
        make(28, &mut create).context("BPF_LINK_CREATE").map(Attachment)
    }

    /// Runs it over a frame again and again, and says how long one run took on average.
    pub fn time_run(&self, frame: &[u8], repeat: u32) -> Result<Duration> {
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
        }
        let mut run = Run {
            program: number(&self.0)?,
            size_in: u32::try_from(frame.len())?,
            data_in: frame.as_ptr() as u64,
            repeat,
            ..Run::default()
        };
        call(10, &mut run).context("BPF_PROG_TEST_RUN")?;
        ensure!(run.duration > 0, "the kernel did not measure");
        Ok(Duration::from_nanos(run.duration.into()))
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
