//! Which capabilities a program gets (capabilities(7)).

use crate::container::options::Security;
use std::collections::BTreeSet;

/// Every capability there is up to Linux 6.x.
pub const ALL: [&str; 41] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
];

/// What images need to install packages, change users and listen at low ports. Of docker's fourteen it leaves out what makes devices and raw
/// packets, writes to the audit log, and gives capabilities to files and processes.
const DEFAULT: [&str; 9] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The bounding set: what was added counts over what was dropped, single names over `ALL`.
pub fn bounding(security: &Security) -> BTreeSet<String> {
    let all = |list: &[String]| list.iter().any(|name| name == "ALL");
    let mut set: BTreeSet<String> = match (security.privileged || all(&security.add), all(&security.drop)) {
        (_, true) => BTreeSet::new(),
        (true, false) => ALL.iter().map(|name| (*name).to_owned()).collect(),
        (false, false) => DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
    };
    for name in &security.drop {
        set.remove(name);
    }
    set.extend(security.add.iter().filter(|name| *name != "ALL").cloned());
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(add: &[&str], drop: &[&str]) -> Vec<String> {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        bounding(&Security { add: list(add), drop: list(drop), ..Security::default() }).into_iter().collect()
    }

    #[test]
    fn single_names_count_over_all() {
        assert_eq!(of(&[], &[]), DEFAULT);
        assert_eq!(of(&["ALL"], &[]).len(), ALL.len());
        assert_eq!(of(&["CAP_SYS_TIME"], &["ALL"]), ["CAP_SYS_TIME"]);
        assert_eq!(of(&["ALL"], &["CAP_SYS_ADMIN"]).len(), ALL.len() - 1);
        assert!(!of(&[], &["CAP_KILL"]).contains(&"CAP_KILL".to_owned()));
        for name in ["CAP_MKNOD", "CAP_NET_RAW", "CAP_AUDIT_WRITE", "CAP_SETFCAP", "CAP_SETPCAP"] {
            assert!(!DEFAULT.contains(&name), "{name}");
        }
    }
}
