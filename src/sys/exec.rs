//! execve(2) with arrays that were laid out before the clone, and execveat(2) of the runtime's own binary.

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use std::ffi::{CStr, c_char};
use std::ptr;

/// A NULL-terminated array of C strings over one buffer: `argv` or `envp` as the kernel reads it.
///
/// The strings live in the array's own buffer, so moving the value does not move them.
#[derive(Debug)]
pub struct StringArray {
    /// NUL-terminated strings, one after the other. Never grows, so the pointers stay valid.
    bytes: Box<[u8]>,
    pointers: Vec<*const c_char>,
}

impl StringArray {
    /// Lays out `strings` in order. A string ends at its first NUL; validation has refused those before.
    pub fn new<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut bytes = Vec::new();
        let mut offsets = Vec::new();
        for string in strings {
            offsets.push(bytes.len());
            bytes.extend_from_slice(string);
            bytes.push(0);
        }
        let bytes = bytes.into_boxed_slice();
        let mut pointers: Vec<*const c_char> =
            offsets.iter().map(|offset| bytes[*offset..].as_ptr().cast()).collect();
        pointers.push(ptr::null());
        Self { bytes, pointers }
    }

    /// How many strings the array holds.
    pub fn len(&self) -> usize {
        self.pointers.len() - 1
    }

    /// Whether the array holds no string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that the strings take, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Points entry `index` at another string that outlives the array's use, such as `HOME=` found in the container.
    pub fn replace(&mut self, index: usize, string: &'static CStr) {
        self.pointers[index] = string.as_ptr();
    }
}

/// Replaces the program of this process. Returns only when the kernel refuses.
pub fn execve(path: &CStr, arguments: &StringArray, environment: &StringArray) -> Errno {
    // SAFETY: `path` is NUL-terminated; both arrays are NULL-terminated arrays of pointers into buffers that are
    // borrowed for the call (or 'static); the kernel only reads them.
    unsafe { libc::execve(path.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    last_errno()
}

/// Runs the program that `file` is open on. Returns only when the kernel refuses.
pub fn execveat(file: BorrowedFd<'_>, arguments: &StringArray, environment: &StringArray) -> Errno {
    // SAFETY: `file` is open for the call; the path is the empty C string (AT_EMPTY_PATH); the arrays are as in
    // `execve`.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL))
}
