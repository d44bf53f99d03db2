//! The seccomp profile that containers get unless another is named.
//!
//! It allows what docker's default profile allows (moby/profiles, `seccomp/default.json` at 02e898b137ae, Apache License 2.0: the names and the
//! capabilities that unlock them are taken from there, as facts; form and code are ours). `allowed.txt` lists the calls that anybody
//! may make. It differs in what a refused call answers: one that is known to be dangerous fails with EPERM, one that nobody knew
//! when this was written with ENOSYS, so that C libraries fall back to older calls.

use serde_json::{Value, json};
use std::collections::BTreeSet;

const ALLOWED: &str = include_str!("allowed.txt");

/// Calls that a capability unlocks, and that fail with EPERM without it.
const UNLOCKED: [(&str, &[&str]); 13] = [
    (
        "CAP_SYS_ADMIN",
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    ("CAP_BPF", &["bpf"]),
    ("CAP_DAC_READ_SEARCH", &["open_by_handle_at"]),
    ("CAP_PERFMON", &["perf_event_open"]),
    ("CAP_SYSLOG", &["syslog"]),
    ("CAP_SYS_BOOT", &["reboot"]),
    ("CAP_SYS_CHROOT", &["chroot"]),
    ("CAP_SYS_MODULE", &["delete_module", "finit_module", "init_module"]),
    ("CAP_SYS_NICE", &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    ("CAP_SYS_PACCT", &["acct"]),
    ("CAP_SYS_PTRACE", &["kcmp", "pidfd_getfd", "process_madvise"]),
    ("CAP_SYS_RAWIO", &["ioperm", "iopl"]),
    ("CAP_SYS_TIME", &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
];

/// Known and never allowed: EPERM.
const REFUSED: [&str; 18] = [
    "add_key",
    "afs_syscall",
    "create_module",
    "get_kernel_syms",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "migrate_pages",
    "move_pages",
    "nfsservctl",
    "pivot_root",
    "query_module",
    "request_key",
    "swapoff",
    "swapon",
];

/// Address families of socket(2) that lead nowhere outside: not AF_ALG (38), not AF_VSOCK (40), not those that nobody has used for decades.
/// Runs of numbers, both ends included.
const FAMILIES: [(u64, u64); 8] =
    [(0, 11), (13, 18), (21, 22), (24, 24), (26, 33), (35, 36), (39, 39), (41, 45)];

/// Flags of clone(2) that make namespaces.
const CLONE_NAMESPACES: u64 = 0x7e02_0000;

/// `linux.seccomp` for a program with these capabilities.
pub fn profile(capabilities: &BTreeSet<String>, architecture: &str) -> Value {
    let mut rules = vec![
        json!({ "names": ALLOWED.split_ascii_whitespace().collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW" }),
    ];
    let mut rule = |names: &[&str], action: &str, errno: Option<u32>, args: Value| {
        let mut value = json!({ "names": names, "action": action });
        if let Some(errno) = errno {
            value["errnoRet"] = errno.into();
        }
        if args != Value::Null {
            value["args"] = args;
        }
        rules.push(value);
    };
    rule(&["process_vm_readv", "process_vm_writev", "ptrace"], "SCMP_ACT_ALLOW", None, Value::Null);
    for family in FAMILIES.iter().flat_map(|(first, last)| *first..=*last) {
        rule(
            &["socket"],
            "SCMP_ACT_ALLOW",
            None,
            json!([{ "index": 0, "value": family, "op": "SCMP_CMP_EQ" }]),
        );
    }
    for personality in [0u64, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        rule(
            &["personality"],
            "SCMP_ACT_ALLOW",
            None,
            json!([{ "index": 0, "value": personality, "op": "SCMP_CMP_EQ" }]),
        );
    }
    let own: &[&str] = match architecture {
        "x86_64" => &["arch_prctl", "modify_ldt"],
        "aarch64" => &[
            "arm_fadvise64_64",
            "arm_sync_file_range",
            "breakpoint",
            "cacheflush",
            "set_tls",
            "sync_file_range2",
        ],
        "riscv64" => &["riscv_flush_icache"],
        _ => &[],
    };
    if !own.is_empty() {
        rule(own, "SCMP_ACT_ALLOW", None, Value::Null);
    }
    let unlocked: BTreeSet<&str> = UNLOCKED
        .iter()
        .filter(|(name, _)| capabilities.contains(*name))
        .flat_map(|(_, calls)| calls.iter().copied())
        .collect();
    let mut refused: BTreeSet<&str> =
        REFUSED.iter().chain(UNLOCKED.iter().flat_map(|(_, calls)| calls.iter())).copied().collect();
    refused.retain(|call| !unlocked.contains(call) && !matches!(*call, "clone" | "clone3"));
    if !unlocked.is_empty() {
        rule(&unlocked.iter().copied().collect::<Vec<_>>(), "SCMP_ACT_ALLOW", None, Value::Null);
    }
    if !unlocked.contains("clone") {
        let masked =
            json!([{ "index": 0, "value": CLONE_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }]);
        rule(&["clone"], "SCMP_ACT_ALLOW", None, masked);
        // Its flags are in memory, where no filter can see them.
        rule(&["clone3"], "SCMP_ACT_ERRNO", Some(38), Value::Null);
    }
    rule(&refused.iter().copied().collect::<Vec<_>>(), "SCMP_ACT_ERRNO", Some(1), Value::Null);
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": architectures(architecture),
        "syscalls": rules,
    })
}

/// The machine's own alone: calls of its older kinds (i386, x32, arm) reach code that few have looked at, and pass by what a filter
/// says of arguments, as of socket(2) by socketcall(2).
fn architectures(architecture: &str) -> Vec<&'static str> {
    match architecture {
        "x86_64" => vec!["SCMP_ARCH_X86_64"],
        "aarch64" => vec!["SCMP_ARCH_AARCH64"],
        "riscv64" => vec!["SCMP_ARCH_RISCV64"],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action<'a>(profile: &'a Value, call: &str) -> Option<&'a Value> {
        let rules = profile["syscalls"].as_array()?;
        rules
            .iter()
            .find(|rule| rule["names"].as_array().is_some_and(|names| names.iter().any(|name| name == call)))
    }

    #[test]
    fn a_capability_unlocks_its_calls_and_no_others() {
        let none = profile(&BTreeSet::new(), "x86_64");
        let admin = profile(&BTreeSet::from(["CAP_SYS_ADMIN".to_owned()]), "x86_64");
        for call in ["mount", "unshare", "setns", "bpf"] {
            assert_eq!(action(&none, call).expect(call)["errnoRet"], 1, "{call}");
            assert_eq!(action(&admin, call).expect(call)["action"], "SCMP_ACT_ALLOW", "{call}");
        }
        assert_eq!(action(&none, "clone3").expect("clone3")["errnoRet"], 38);
        assert_eq!(action(&none, "clone").expect("clone")["args"][0]["value"], CLONE_NAMESPACES);
        assert!(action(&admin, "clone").expect("clone").get("args").is_none());
        for call in ["keyctl", "io_uring_setup", "kexec_load"] {
            assert_eq!(action(&admin, call).expect(call)["errnoRet"], 1, "{call}");
        }
        assert!(action(&none, "a_call_of_the_future").is_none());
        assert_eq!(none["defaultErrnoRet"], 38);
    }

    #[test]
    fn calls_of_older_machines_are_not_let_in() {
        for (machine, wanted) in [("x86_64", "SCMP_ARCH_X86_64"), ("aarch64", "SCMP_ARCH_AARCH64")] {
            assert_eq!(profile(&BTreeSet::new(), machine)["architectures"], json!([wanted]));
        }
    }

    #[test]
    fn no_call_is_both_allowed_and_refused() {
        let allowed: BTreeSet<&str> = ALLOWED.split_ascii_whitespace().collect();
        assert!(REFUSED.iter().all(|call| !allowed.contains(call)));
        assert!(UNLOCKED.iter().flat_map(|(_, calls)| *calls).all(|call| !allowed.contains(call)));
    }

    #[test]
    fn the_sockets_of_the_kernel_are_not_for_containers() {
        let profile = profile(&BTreeSet::new(), "x86_64");
        let rules = profile["syscalls"].as_array().expect("rules");
        let families: Vec<u64> = rules
            .iter()
            .filter(|rule| rule["names"][0] == "socket")
            .filter_map(|rule| rule["args"][0]["value"].as_u64())
            .collect();
        assert!(families.contains(&1) && families.contains(&2) && families.contains(&16));
        assert!(!families.contains(&38) && !families.contains(&40));
    }
}
