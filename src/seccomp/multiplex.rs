//! The calls that some 32-bit ABIs also reach through one number: socketcall(2) and ipc(2).
//!
//! A rule for such a call has to hold for both ways in. Through the common number, the first argument says which call is
//! meant (`linux/net.h`, `linux/ipc.h`) and pushes out the call's own first argument, so a condition on that is lost;
//! libseccomp has it the same way.

/// socketcall(2), on all ABIs that have it.
const SOCKETCALL: u32 = 102;

/// ipc(2), on all ABIs that have it.
const IPC: u32 = 117;

/// How a call is reached through a common number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Multiplexed {
    /// The number of the common call, without the ABI's offset.
    pub(super) through: u32,
    /// The first argument of the common call.
    pub(super) selector: u64,
}

/// The common number of a call, if it has one.
pub(super) fn find(name: &str) -> Option<Multiplexed> {
    let (through, selector) = match name {
        "socket" => (SOCKETCALL, 1),
        "bind" => (SOCKETCALL, 2),
        "connect" => (SOCKETCALL, 3),
        "listen" => (SOCKETCALL, 4),
        "accept" => (SOCKETCALL, 5),
        "getsockname" => (SOCKETCALL, 6),
        "getpeername" => (SOCKETCALL, 7),
        "socketpair" => (SOCKETCALL, 8),
        "send" => (SOCKETCALL, 9),
        "recv" => (SOCKETCALL, 10),
        "sendto" => (SOCKETCALL, 11),
        "recvfrom" => (SOCKETCALL, 12),
        "shutdown" => (SOCKETCALL, 13),
        "setsockopt" => (SOCKETCALL, 14),
        "getsockopt" => (SOCKETCALL, 15),
        "sendmsg" => (SOCKETCALL, 16),
        "recvmsg" => (SOCKETCALL, 17),
        "accept4" => (SOCKETCALL, 18),
        "recvmmsg" => (SOCKETCALL, 19),
        "sendmmsg" => (SOCKETCALL, 20),
        "semop" => (IPC, 1),
        "semget" => (IPC, 2),
        "semctl" => (IPC, 3),
        "semtimedop" => (IPC, 4),
        "msgsnd" => (IPC, 11),
        "msgrcv" => (IPC, 12),
        "msgget" => (IPC, 13),
        "msgctl" => (IPC, 14),
        "shmat" => (IPC, 21),
        "shmdt" => (IPC, 22),
        "shmget" => (IPC, 23),
        "shmctl" => (IPC, 24),
        _ => return None,
    };
    Some(Multiplexed { through, selector })
}
