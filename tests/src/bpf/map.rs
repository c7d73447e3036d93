//! Maps of programs that a test or a bench writes itself.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result, ensure};

use super::{call, make, number};

/// What a map is (`bpf_map_type`).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
enum Kind {
    Array = 2,
    Programs = 3,
    PerCpuArray = 6,
}

/// A map in the kernel, with keys of four bytes. It is gone when this and the programs that use it are.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    value_size: usize,
}

impl Map {
    /// So many values of so many bytes, all zero.
    pub fn array(value_size: usize, entries: usize) -> Result<Self> {
        Self::make(Kind::Array, value_size, entries)
    }

    /// The same, for each CPU its own.
    pub fn per_cpu_array(value_size: usize, entries: usize) -> Result<Self> {
        Self::make(Kind::PerCpuArray, value_size, entries)
    }

    /// Places for programs that another one goes on to.
    pub fn programs(entries: usize) -> Result<Self> {
        Self::make(Kind::Programs, 4, entries)
    }

    fn make(kind: Kind, value_size: usize, entries: usize) -> Result<Self> {
        #[repr(C)]
        struct Create {
            kind: u32,
            key_size: u32,
            value_size: u32,
            entries: u32,
            flags: u32,
        }
        let mut create = Create {
            kind: kind as u32,
            key_size: 4,
            value_size: u32::try_from(value_size)?,
            entries: u32::try_from(entries)?,
            flags: 0,
        };
        Ok(Self { fd: make(0, &mut create).context("BPF_MAP_CREATE")?, value_size })
    }

    /// Writes the values of an array, from the first on.
    pub fn fill(&self, values: &[u8]) -> Result<()> {
        #[repr(C)]
        struct Batch {
            begin: u64,
            end: u64,
            keys: u64,
            values: u64,
            count: u32,
            map: u32,
            value_flags: u64,
            flags: u64,
        }
        ensure!(values.len().is_multiple_of(self.value_size), "no whole number of values");
        let keys: Vec<u32> = (0..u32::try_from(values.len() / self.value_size)?).collect();
        let mut batch = Batch {
            begin: 0,
            end: 0,
            keys: keys.as_ptr() as u64,
            values: values.as_ptr() as u64,
            count: u32::try_from(keys.len())?,
            map: self.number()?,
            value_flags: 0,
            flags: 0,
        };
        call(26, &mut batch).context("BPF_MAP_UPDATE_BATCH")?;
        Ok(())
    }

    /// Writes one value of an array.
    pub fn write(&self, place: u32, value: &[u8]) -> Result<()> {
        ensure!(value.len() == self.value_size, "not the size of a value");
        self.element(2, place, value.as_ptr() as u64).context("BPF_MAP_UPDATE_ELEM")
    }

    /// Puts a program at a place.
    pub fn put_program(&self, place: u32, program: impl AsFd) -> Result<()> {
        let program = u32::try_from(program.as_fd().as_raw_fd())?;
        self.element(2, place, std::ptr::from_ref(&program) as u64).context("BPF_MAP_UPDATE_ELEM")
    }

    /// The sum over all CPUs of a value of eight bytes.
    pub fn sum(&self, place: u32) -> Result<u64> {
        ensure!(self.value_size == 8, "the values are not counters");
        let possible = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
        let last = possible.trim().rsplit(['-', ',']).next().unwrap_or_default();
        let mut values = vec![0_u64; last.parse::<usize>()? + 1];
        self.element(1, place, values.as_mut_ptr() as u64).context("BPF_MAP_LOOKUP_ELEM")?;
        Ok(values.iter().sum())
    }

    fn element(&self, command: nix::libc::c_int, place: u32, value: u64) -> Result<()> {
        #[repr(C)]
        struct Element {
            map: u32,
            padding: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let key = std::ptr::from_ref(&place) as u64;
        call(command, &mut Element { map: self.number()?, padding: 0, key, value, flags: 0 })?;
        Ok(())
    }

    pub(super) fn number(&self) -> Result<u32> {
        number(&self.fd)
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
