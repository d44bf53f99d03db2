//! The default seccomp profiles of Docker, podman and containerd, resolved as these clients do before a runtime sees them:
//! a rule goes if it includes a capability, an architecture or a kernel that is not there, or excludes one that is.

// Some tests want Docker's profile only, others all.
#![allow(dead_code)]

use serde_json::{Value, json};

/// A machine that a client runs on, by its names.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// The word of `archMap`.
    pub word: &'static str,
    /// The word in the conditions of rules, which is that of Go.
    pub go: &'static str,
    /// ENOSYS in the numbers of this machine.
    pub enosys: u32,
}

/// The machine of most readers.
pub const AMD64: Machine = Machine { word: "SCMP_ARCH_X86_64", go: "amd64", enosys: 38 };

/// The capabilities that Docker and containerd give a container.
pub const FOURTEEN: &[&str] = &[
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The capabilities that podman gives a container.
pub const ELEVEN: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The clients, and what each keeps.
pub const CLIENTS: &[(&str, &str)] = &[
    ("docker", include_str!("../fixtures/seccomp/docker.json")),
    ("podman", include_str!("../fixtures/seccomp/podman.json")),
    ("containerd", include_str!("../fixtures/seccomp/containerd.json")),
];

/// Docker's profile as most containers have it.
pub fn docker() -> Value {
    resolve("docker", AMD64, FOURTEEN)
}

/// The `linux.seccomp` that a client sends, on a kernel newer than all that its rules ask for.
pub fn resolve(client: &str, machine: Machine, capabilities: &[&str]) -> Value {
    let kept = kept(client);
    let mut rules = Vec::new();
    for rule in kept["syscalls"].as_array().unwrap() {
        let includes = condition(rule, "includes");
        let excludes = condition(rule, "excludes");
        assert!(excludes.kernel.is_none(), "{rule}");
        let here = includes.machines.is_empty() || includes.machines.contains(&machine.go);
        let granted = includes.capabilities.iter().all(|capability| capabilities.contains(capability));
        let excluded = excludes.machines.contains(&machine.go)
            || excludes.capabilities.iter().any(|capability| capabilities.contains(capability));
        if here && granted && !excluded {
            let mut sent = json!({ "names": rule["names"], "action": rule["action"] });
            if let Some(args) = rule.get("args") {
                sent["args"] = args.clone();
            }
            if let Some(errno) = errno(rule, "errno", "errnoRet", machine) {
                sent["errnoRet"] = errno.into();
            }
            rules.push(sent);
        }
    }
    let mut sent = json!({ "defaultAction": kept["defaultAction"], "syscalls": rules });
    if let Some(errno) = errno(&kept, "defaultErrno", "defaultErrnoRet", machine) {
        sent["defaultErrnoRet"] = errno.into();
    }
    for family in kept["archMap"].as_array().unwrap() {
        if family["architecture"] == machine.word {
            let more = family["subArchitectures"].as_array().unwrap();
            sent["architectures"] = std::iter::once(&family["architecture"]).chain(more).cloned().collect();
        }
    }
    sent
}

/// Every capability that a rule of a client depends on.
pub fn decisive_capabilities(client: &str) -> Vec<String> {
    let kept = kept(client);
    let rules = kept["syscalls"].as_array().unwrap();
    let named = rules.iter().flat_map(|rule| {
        [condition(rule, "includes").capabilities, condition(rule, "excludes").capabilities].concat()
    });
    let mut named: Vec<String> = named.map(str::to_owned).collect();
    named.sort();
    named.dedup();
    named
}

fn kept(client: &str) -> Value {
    let (_, text) = CLIENTS.iter().find(|(name, _)| *name == client).unwrap();
    serde_json::from_str(text).unwrap()
}

/// What a rule includes or excludes.
struct Condition<'a> {
    machines: Vec<&'a str>,
    capabilities: Vec<&'a str>,
    kernel: Option<&'a str>,
}

fn condition<'a>(rule: &'a Value, key: &str) -> Condition<'a> {
    let words =
        |list: &'a Value| list.as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str);
    let of = &rule[key];
    Condition {
        machines: words(&of["arches"]).collect(),
        capabilities: words(&of["caps"]).collect(),
        kernel: of["minKernel"].as_str(),
    }
}

/// An errno by its name, which means another number on some machines, or by its number.
fn errno(of: &Value, name: &str, number: &str, machine: Machine) -> Option<u32> {
    match of[name].as_str() {
        Some("ENOSYS") => Some(machine.enosys),
        Some("EPERM") => Some(1),
        Some("EINVAL") => Some(22),
        Some(other) => panic!("{other}"),
        None => of[number].as_u64().map(|number| number as u32),
    }
}
