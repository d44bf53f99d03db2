//! features.md and features-linux.md: what the runtime says of itself holds.

use super::Case;
use crate::play::{Play, bundle};
use crate::runner::skip;
use crate::schema::assert_valid;
use crate::subject;
use crate::support::Bundle;
use serde_json::{Value, json};

pub const CASES: &[Case] = &[
    ("features/version-min", || assert!(features()["ociVersionMin"].is_string())),
    ("features/version-max", || assert!(features()["ociVersionMax"].is_string())),
    ("features/version-min-accepted", || accepted("ociVersionMin")),
    ("features/version-max-accepted", || accepted("ociVersionMax")),
    ("features/version-order", version_order),
    ("features/known-properties", known_properties),
    ("features/schema", || assert_valid("features-schema.json", features())),
    ("features/hooks", hooks),
    ("features/mount-options", mount_options),
    ("features/annotations", annotations),
    ("features/namespaces", namespaces),
    ("features/capabilities", capabilities),
    ("features/seccomp-actions", || seccomp("actions", |action| rule(action, None))),
    ("features/seccomp-operators", || seccomp("operators", |op| rule("SCMP_ACT_ERRNO", Some(op)))),
    ("features/seccomp-archs", || seccomp("archs", |arch| json!({ "architectures": [arch] }))),
    ("features/seccomp-known-flags", known_flags),
    ("features/seccomp-supported-flags", || seccomp("supportedFlags", |flag| json!({ "flags": [flag] }))),
    ("features/memory-policy-modes", memory_policy_modes),
    ("features/memory-policy-flags", memory_policy_flags),
    ("features/idmap", idmap),
];

/// The document; a runtime may have none.
fn features() -> &'static Value {
    subject::features().unwrap_or_else(|| skip("the runtime prints no features (it may leave them out)"))
}

/// The strings of a list in the document, which may be left out.
fn strings(pointer: &str) -> Vec<&'static str> {
    let list = features().pointer(pointer).and_then(Value::as_array);
    let list =
        list.unwrap_or_else(|| skip(&format!("the features have no {pointer} (they may leave it out)")));
    list.iter().map(|item| item.as_str().expect("a string")).collect()
}

fn accepted(member: &str) {
    let mut bundle = bundle(&["report"]);
    bundle.set("/ociVersion", features()[member].clone());
    assert_eq!(bundle.play().len(), 1);
}

fn version_order() {
    let numbers = |member: &str| -> Vec<u32> {
        let version = features()[member].as_str().unwrap();
        version.split(['-', '+']).next().unwrap().split('.').map(|number| number.parse().unwrap()).collect()
    };
    assert!(numbers("ociVersionMax") >= numbers("ociVersionMin"));
}

fn known_properties() {
    let known = [
        "ociVersionMin",
        "ociVersionMax",
        "hooks",
        "mountOptions",
        "linux",
        "annotations",
        "potentiallyUnsafeConfigAnnotations",
    ];
    let linux = [
        "namespaces",
        "capabilities",
        "cgroup",
        "seccomp",
        "apparmor",
        "selinux",
        "intelRdt",
        "memoryPolicy",
        "mountExtensions",
        "netDevices",
    ];
    let unknown = |value: &Value, known: &[&str]| -> Vec<String> {
        let names = value.as_object().into_iter().flat_map(|members| members.keys());
        names.filter(|name| !known.contains(&name.as_str())).cloned().collect()
    };
    assert_eq!(unknown(features(), &known), [""; 0]);
    assert_eq!(unknown(&features()["linux"], &linux), [""; 0]);
}

fn hooks() {
    let kinds = strings("/hooks");
    let mut bundle = bundle(&[]);
    for kind in &kinds {
        bundle.hook(kind, kind);
    }
    bundle.play();
    let mut run: Vec<String> =
        bundle.hooks().iter().map(|hook| hook["hook"].as_str().unwrap().to_owned()).collect();
    let mut listed: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    run.sort();
    listed.sort();
    assert_eq!(run, listed);
}

/// Every option on a mount of its own: what is not recognised would go to the file system, which refuses it.
fn mount_options() {
    let mut bundle = bundle(&["report"]);
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    let source = bundle.dir.join("source");
    std::fs::create_dir(&source).unwrap();
    let source = source.display().to_string();
    for (index, option) in strings("/mountOptions").into_iter().enumerate() {
        let place = format!("/mnt/{index}");
        match option {
            // Data of file systems that a tmpfs does not have.
            "acl" | "noacl" => continue,
            "remount" => {
                bundle.mount(&place, "tmpfs", "tmpfs", &[]).mount(
                    &place,
                    "tmpfs",
                    "tmpfs",
                    &["remount", "ro"],
                );
            }
            "idmap" | "ridmap" => {
                bundle.mount(&place, "none", &source, &["rbind", option]);
                let last = bundle.config["mounts"].as_array().unwrap().len() - 1;
                bundle.set(&format!("/mounts/{last}/uidMappings"), map.clone());
                bundle.set(&format!("/mounts/{last}/gidMappings"), map.clone());
            }
            "bind" | "rbind" => drop(bundle.mount(&place, "none", &source, &[option])),
            _ => drop(bundle.mount(&place, "tmpfs", "tmpfs", &[option])),
        }
    }
    assert_eq!(bundle.play().len(), 1);
}

fn annotations() {
    let Some(members) = features().get("annotations").filter(|value| !value.is_null()) else {
        skip("the features have no annotations (they may leave them out)");
    };
    let members = members.as_object().expect("a map");
    assert!(members.iter().all(|(key, value)| !key.is_empty() && value.is_string()), "{members:?}");
}

fn namespaces() {
    for kind in strings("/linux/namespaces") {
        let mut bundle = bundle(&["report"]);
        match kind {
            "user" => drop(bundle.user_namespace(100_000, 65536)),
            kind => drop(bundle.namespace(kind, None)),
        }
        assert_eq!(bundle.play().len(), 1, "{kind}");
    }
}

/// What `create` says of a word, without the word itself, the container and the time.
fn said_of(word: &str, place: impl Fn(&mut Bundle, &str)) -> String {
    let mut bundle = bundle(&[]);
    place(&mut bundle, word);
    let outcome = bundle.create();
    bundle.delete_force();
    let said = outcome.stderr.replace(bundle.id.as_str(), "ID").replace(word, "WORD");
    // A log begins its lines with the time.
    let lines = said.lines().map(|line| line.split_once(" level=").map_or(line, |(_, rest)| rest));
    lines.collect::<Vec<_>>().join("\n")
}

/// Recognised is less than supported: the kernel may refuse a word, and the machine may lack what it is for; but the runtime
/// does not say of it what it says of a word that there is not.
#[track_caller]
fn recognised(words: &[&str], nonsense: &str, place: impl Fn(&mut Bundle, &str)) {
    let unknown = said_of(nonsense, &place);
    if unknown.is_empty() {
        skip(&format!("the runtime takes {nonsense} without a word"));
    }
    for word in words {
        let said = said_of(word, &place);
        assert!(said != unknown, "{word}: {said}");
    }
}

fn capabilities() {
    recognised(&strings("/linux/capabilities"), "CAP_NONSENSE", |bundle, name| {
        bundle.set("/process/capabilities/bounding", json!([name]));
    });
}

fn rule(action: &str, op: Option<&str>) -> Value {
    let mut rule = json!({ "names": ["getsid"], "action": action });
    if let Some(op) = op {
        rule["args"] = json!([{ "index": 0, "value": 77, "valueTwo": 77, "op": op }]);
    }
    json!({ "syscalls": [rule] })
}

/// A container for each word of a list, with a profile made of it.
#[track_caller]
fn seccomp(list: &str, profile: impl Fn(&str) -> Value) {
    for word in strings(&format!("/linux/seccomp/{list}")) {
        let mut profile = profile(word);
        profile["defaultAction"] = json!("SCMP_ACT_ALLOW");
        let mut bundle = bundle(&["report"]);
        bundle.set("/linux/seccomp", profile);
        with_listener(&mut bundle, word);
        assert_eq!(bundle.play().len(), 1, "{word}");
    }
}

/// What goes to an agent needs one; the flag of such filters needs a rule that does.
fn with_listener(bundle: &mut Bundle, word: &str) {
    if word == "SCMP_ACT_NOTIFY" || word == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" {
        let socket = bundle.dir.join("agent");
        // Nobody accepts: connections wait in the backlog until the test ends.
        std::mem::forget(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        bundle.set("/linux/seccomp/listenerPath", json!(socket));
        bundle.set("/linux/seccomp/syscalls", json!([{ "names": ["getsid"], "action": "SCMP_ACT_NOTIFY" }]));
    }
}

fn known_flags() {
    recognised(&strings("/linux/seccomp/knownFlags"), "SECCOMP_FILTER_FLAG_NONSENSE", |bundle, flag| {
        bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": [flag] }));
    });
}

fn memory_policy_modes() {
    recognised(&strings("/linux/memoryPolicy/modes"), "MPOL_NONSENSE", |bundle, mode| {
        let nodes = if ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&mode) { "" } else { "0" };
        bundle.set("/linux/memoryPolicy", json!({ "mode": mode, "nodes": nodes }));
    });
}

fn memory_policy_flags() {
    recognised(&strings("/linux/memoryPolicy/flags"), "MPOL_F_NONSENSE", |bundle, flag| {
        let mode = if flag == "MPOL_F_NUMA_BALANCING" { "MPOL_BIND" } else { "MPOL_INTERLEAVE" };
        bundle.set("/linux/memoryPolicy", json!({ "mode": mode, "nodes": "0", "flags": [flag] }));
    });
}

fn idmap() {
    let Some(enabled) = features().pointer("/linux/mountExtensions/idmap/enabled").and_then(Value::as_bool)
    else {
        skip("the features do not speak of idmap (they may leave it out)");
    };
    let mut bundle = bundle(&["stat /mnt"]);
    let source = bundle.dir.join("source");
    std::fs::create_dir(&source).unwrap();
    bundle.mount("/mnt", "none", source.to_str().unwrap(), &["bind", "idmap"]);
    let last = bundle.config["mounts"].as_array().unwrap().len() - 1;
    let map = json!([{ "containerID": 0, "hostID": 1234, "size": 1 }]);
    bundle.set(&format!("/mounts/{last}/uidMappings"), map.clone());
    bundle.set(&format!("/mounts/{last}/gidMappings"), map);
    if enabled {
        assert_eq!(bundle.play().value(0)["uid"], 1234);
    } else {
        bundle.refused();
    }
}
