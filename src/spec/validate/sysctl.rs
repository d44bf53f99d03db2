//! `linux.sysctl`: only what belongs to a namespace of the container may be set, since the rest is the host's. That a
//! joined network namespace is not the host's own is asked when it is joined.

use super::wrong;
use crate::error::Result;
use crate::spec::linux::{Linux, NamespaceKind};
use crate::spec::sysctl;

/// System V parameters of an ipc namespace (ipc_namespaces(7)).
const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

pub(super) fn sysctl(linux: &Linux) -> Result<()> {
    for name in linux.sysctl.keys() {
        let place = || format!("linux.sysctl[{name:?}]");
        let Some(path) = sysctl::path(name) else {
            return Err(wrong(place(), "is not the name of a kernel parameter"));
        };
        let Some(kind) = namespace_of(&path) else {
            return Err(wrong(place(), "does not belong to a namespace, it would change the host"));
        };
        if linux.namespace(kind).is_none() {
            return Err(wrong(place(), format_args!("needs a {kind} namespace, it would change the host")));
        }
        if path == "kernel/hostname" {
            return Err(wrong(place(), "conflicts with the property hostname, use that"));
        }
    }
    Ok(())
}

/// The kind of namespace that a parameter belongs to. `user.*` is writable by others too, but it limits namespaces.
fn namespace_of(path: &str) -> Option<NamespaceKind> {
    match path {
        "kernel/domainname" | "kernel/hostname" => Some(NamespaceKind::Uts),
        _ if IPC.contains(&path) || path.starts_with("fs/mqueue/") => Some(NamespaceKind::Ipc),
        _ if path.starts_with("net/") => Some(NamespaceKind::Network),
        _ if path.starts_with("user/") => Some(NamespaceKind::User),
        _ => None,
    }
}
