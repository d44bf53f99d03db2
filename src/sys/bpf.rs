//! Device programs of cgroup v2: load, attach, list and detach; see bpf(2) and `kernel/bpf/cgroup.c`.

use rustix::io::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// Commands, types and flags of linux/bpf.h.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`, up to the last member that is used here.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct Attach {
    target_fd: i32,
    attach_bpf_fd: i32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: i32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_QUERY`; the kernel writes `attach_flags` and `prog_cnt`.
#[repr(C)]
struct Query {
    target_fd: i32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// Has the kernel verify and load a device program, whose instructions are `struct bpf_insn` as native integers.
///
/// # Errors
/// EPERM without `CAP_BPF` (before Linux 5.11 also when `RLIMIT_MEMLOCK` is used up), EINVAL or EACCES for a program
/// that the verifier refuses.
pub fn load_device_program(code: &[u64]) -> Result<OwnedFd> {
    let license = c"Apache-2.0";
    let attr = Load {
        prog_type: TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(code.len()).map_err(|_| Errno::TOOBIG)?,
        insns: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
    };
    // SAFETY: `attr` is a live, fully initialised prefix of union bpf_attr of the size that is passed; its `insns` points
    // to `insn_cnt` instructions and its `license` to a C string, both alive until the call returns and only read.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attr, size_of::<Load>()) };
    let fd = checked(fd)?;
    // SAFETY: on success BPF_PROG_LOAD returns a new descriptor (close-on-exec), which nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a program to a cgroup directory beside those of its ancestors (all must allow), in place of `replaced`
/// without a gap, or beside what is attached there already.
///
/// # Errors
/// EPERM when an ancestor's program was attached so that it may not be added to, E2BIG when 64 are attached.
pub fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let attr = Attach {
        target_fd: cgroup.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI },
        replace_bpf_fd: replaced.map_or(0, |fd| fd.as_raw_fd()),
    };
    // SAFETY: `attr` is a live, fully initialised prefix of union bpf_attr of the size that is passed, without pointers;
    // its descriptors are borrowed for the length of the call.
    let done = unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attr, size_of::<Attach>()) };
    checked(done).map(drop)
}

/// Detaches a program from a cgroup directory.
///
/// # Errors
/// ENOENT when it is not attached there.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let attr = Attach {
        target_fd: cgroup.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: 0,
        replace_bpf_fd: 0,
    };
    // SAFETY: `attr` is a live, fully initialised prefix of union bpf_attr of the size that is passed, without pointers;
    // its descriptors are borrowed for the length of the call.
    let done = unsafe { libc::syscall(libc::SYS_bpf, PROG_DETACH, &raw const attr, size_of::<Attach>()) };
    checked(done).map(drop)
}

/// The device programs attached to this very cgroup directory, in the order of attachment.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`, or `CAP_NET_ADMIN` for the list alone.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
    // 64 is the most that one cgroup can have: BPF_CGROUP_MAX_PROGS.
    let mut ids = [0u32; 64];
    let mut attr = Query {
        target_fd: cgroup.as_raw_fd(),
        attach_type: ATTACH_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: ids.len() as u32,
    };
    // SAFETY: `attr` is a live, initialised prefix of union bpf_attr of the size that is passed; the kernel writes
    // `attach_flags` and `prog_cnt` in it and at most `prog_cnt` numbers to `ids`, which outlives the call.
    let done = unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut attr, size_of::<Query>()) };
    checked(done)?;
    ids.iter().take(attr.prog_cnt as usize).map(|&id| program_by_id(id)).collect()
}

fn program_by_id(id: u32) -> Result<OwnedFd> {
    let attr = ById { id, next_id: 0, open_flags: 0 };
    // SAFETY: `attr` is a live, fully initialised prefix of union bpf_attr of the size that is passed, without pointers.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_GET_FD_BY_ID, &raw const attr, size_of::<ById>()) };
    let fd = checked(fd)?;
    // SAFETY: on success BPF_PROG_GET_FD_BY_ID returns a new descriptor (close-on-exec), which nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn checked(value: libc::c_long) -> Result<libc::c_int> {
    if value >= 0 {
        return Ok(value as libc::c_int);
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
