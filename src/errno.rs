//! The kernel's error numbers as words: lower case, the texts that callers of runc match (`permission denied`, `no such
//! process`), whatever libc the binary was linked with. Source: errno(3).
//!
//! One is not errno(3)'s: engines take `no such file or directory` for "the command was not found", whatever it was about,
//! and give their users exit code 127. So of all else that is not there we say `missing`.

/// The text of `errno`, or `errno N` for a number that Linux does not name.
pub fn text(errno: i32) -> String {
    known(errno).map_or_else(|| format!("errno {errno}"), str::to_owned)
}

/// The text of `errno`, if Linux names it. Nothing is allocated.
pub fn known(errno: i32) -> Option<&'static str> {
    let index = TEXTS.binary_search_by_key(&errno, |(number, _)| *number).ok()?;
    Some(TEXTS[index].1)
}

/// `ENOENT` of a command, for which callers wait.
pub const NO_SUCH_COMMAND: &str = "no such file or directory";

/// Every errno of the generic Linux table, in order of the number.
const TEXTS: &[(i32, &str)] = &[
    (libc::EPERM, "operation not permitted"),
    (libc::ENOENT, "missing"),
    (libc::ESRCH, "no such process"),
    (libc::EINTR, "interrupted system call"),
    (libc::EIO, "input/output error"),
    (libc::ENXIO, "no such device or address"),
    (libc::E2BIG, "argument list too long"),
    (libc::ENOEXEC, "exec format error"),
    (libc::EBADF, "bad file descriptor"),
    (libc::ECHILD, "no child processes"),
    (libc::EAGAIN, "resource temporarily unavailable"),
    (libc::ENOMEM, "cannot allocate memory"),
    (libc::EACCES, "permission denied"),
    (libc::EFAULT, "bad address"),
    (libc::ENOTBLK, "block device required"),
    (libc::EBUSY, "device or resource busy"),
    (libc::EEXIST, "file exists"),
    (libc::EXDEV, "invalid cross-device link"),
    (libc::ENODEV, "no such device"),
    (libc::ENOTDIR, "not a directory"),
    (libc::EISDIR, "is a directory"),
    (libc::EINVAL, "invalid argument"),
    (libc::ENFILE, "too many open files in system"),
    (libc::EMFILE, "too many open files"),
    (libc::ENOTTY, "inappropriate ioctl for device"),
    (libc::ETXTBSY, "text file busy"),
    (libc::EFBIG, "file too large"),
    (libc::ENOSPC, "no space left on device"),
    (libc::ESPIPE, "illegal seek"),
    (libc::EROFS, "read-only file system"),
    (libc::EMLINK, "too many links"),
    (libc::EPIPE, "broken pipe"),
    (libc::EDOM, "numerical argument out of domain"),
    (libc::ERANGE, "numerical result out of range"),
    (libc::EDEADLOCK, "resource deadlock avoided"),
    (libc::ENAMETOOLONG, "file name too long"),
    (libc::ENOLCK, "no locks available"),
    (libc::ENOSYS, "function not implemented"),
    (libc::ENOTEMPTY, "directory not empty"),
    (libc::ELOOP, "too many levels of symbolic links"),
    (libc::ENOMSG, "no message of desired type"),
    (libc::EIDRM, "identifier removed"),
    (libc::ECHRNG, "channel number out of range"),
    (libc::EL2NSYNC, "level 2 not synchronized"),
    (libc::EL3HLT, "level 3 halted"),
    (libc::EL3RST, "level 3 reset"),
    (libc::ELNRNG, "link number out of range"),
    (libc::EUNATCH, "protocol driver not attached"),
    (libc::ENOCSI, "no csi structure available"),
    (libc::EL2HLT, "level 2 halted"),
    (libc::EBADE, "invalid exchange"),
    (libc::EBADR, "invalid request descriptor"),
    (libc::EXFULL, "exchange full"),
    (libc::ENOANO, "no anode"),
    (libc::EBADRQC, "invalid request code"),
    (libc::EBADSLT, "invalid slot"),
    (libc::EBFONT, "bad font file format"),
    (libc::ENOSTR, "device not a stream"),
    (libc::ENODATA, "no data available"),
    (libc::ETIME, "timer expired"),
    (libc::ENOSR, "out of streams resources"),
    (libc::ENONET, "machine is not on the network"),
    (libc::ENOPKG, "package not installed"),
    (libc::EREMOTE, "object is remote"),
    (libc::ENOLINK, "link has been severed"),
    (libc::EADV, "advertise error"),
    (libc::ESRMNT, "srmount error"),
    (libc::ECOMM, "communication error on send"),
    (libc::EPROTO, "protocol error"),
    (libc::EMULTIHOP, "multihop attempted"),
    (libc::EDOTDOT, "rfs specific error"),
    (libc::EBADMSG, "bad message"),
    (libc::EOVERFLOW, "value too large for defined data type"),
    (libc::ENOTUNIQ, "name not unique on network"),
    (libc::EBADFD, "file descriptor in bad state"),
    (libc::EREMCHG, "remote address changed"),
    (libc::ELIBACC, "can not access a needed shared library"),
    (libc::ELIBBAD, "accessing a corrupted shared library"),
    (libc::ELIBSCN, ".lib section in a.out corrupted"),
    (libc::ELIBMAX, "attempting to link in too many shared libraries"),
    (libc::ELIBEXEC, "cannot exec a shared library directly"),
    (libc::EILSEQ, "invalid or incomplete multibyte or wide character"),
    (libc::ERESTART, "interrupted system call should be restarted"),
    (libc::ESTRPIPE, "streams pipe error"),
    (libc::EUSERS, "too many users"),
    (libc::ENOTSOCK, "socket operation on non-socket"),
    (libc::EDESTADDRREQ, "destination address required"),
    (libc::EMSGSIZE, "message too long"),
    (libc::EPROTOTYPE, "protocol wrong type for socket"),
    (libc::ENOPROTOOPT, "protocol not available"),
    (libc::EPROTONOSUPPORT, "protocol not supported"),
    (libc::ESOCKTNOSUPPORT, "socket type not supported"),
    (libc::ENOTSUP, "operation not supported"),
    (libc::EPFNOSUPPORT, "protocol family not supported"),
    (libc::EAFNOSUPPORT, "address family not supported by protocol"),
    (libc::EADDRINUSE, "address already in use"),
    (libc::EADDRNOTAVAIL, "cannot assign requested address"),
    (libc::ENETDOWN, "network is down"),
    (libc::ENETUNREACH, "network is unreachable"),
    (libc::ENETRESET, "network dropped connection on reset"),
    (libc::ECONNABORTED, "software caused connection abort"),
    (libc::ECONNRESET, "connection reset by peer"),
    (libc::ENOBUFS, "no buffer space available"),
    (libc::EISCONN, "transport endpoint is already connected"),
    (libc::ENOTCONN, "transport endpoint is not connected"),
    (libc::ESHUTDOWN, "cannot send after transport endpoint shutdown"),
    (libc::ETOOMANYREFS, "too many references: cannot splice"),
    (libc::ETIMEDOUT, "connection timed out"),
    (libc::ECONNREFUSED, "connection refused"),
    (libc::EHOSTDOWN, "host is down"),
    (libc::EHOSTUNREACH, "no route to host"),
    (libc::EALREADY, "operation already in progress"),
    (libc::EINPROGRESS, "operation now in progress"),
    (libc::ESTALE, "stale file handle"),
    (libc::EUCLEAN, "structure needs cleaning"),
    (libc::ENOTNAM, "not a xenix named type file"),
    (libc::ENAVAIL, "no xenix semaphores available"),
    (libc::EISNAM, "is a named type file"),
    (libc::EREMOTEIO, "remote i/o error"),
    (libc::EDQUOT, "disk quota exceeded"),
    (libc::ENOMEDIUM, "no medium found"),
    (libc::EMEDIUMTYPE, "wrong medium type"),
    (libc::ECANCELED, "operation canceled"),
    (libc::ENOKEY, "required key not available"),
    (libc::EKEYEXPIRED, "key has expired"),
    (libc::EKEYREVOKED, "key has been revoked"),
    (libc::EKEYREJECTED, "key was rejected by service"),
    (libc::EOWNERDEAD, "owner died"),
    (libc::ENOTRECOVERABLE, "state not recoverable"),
    (libc::ERFKILL, "operation not possible due to rf-kill"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(TEXTS.is_sorted_by_key(|(number, _)| *number));
    }

    #[test]
    fn texts_are_those_that_clients_match() {
        for (errno, expected) in [
            (libc::ENOENT, "missing"),
            (libc::EACCES, "permission denied"),
            (libc::EPERM, "operation not permitted"),
            (libc::ESRCH, "no such process"),
            (libc::ENOEXEC, "exec format error"),
            (libc::EISDIR, "is a directory"),
            (9999, "errno 9999"),
        ] {
            assert_eq!(text(errno), expected);
        }
    }
}
