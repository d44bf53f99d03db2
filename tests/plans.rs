//! Golden files: what `config.json` becomes on a machine that is fixed here.
//!
//! `tests/plans/NAME/config.json` is the input, `plan*.txt` beside it what `corten plan` prints of it. Nothing is asked
//! of the machine that runs the test, but its architecture: a seccomp program is as long as that demands.
//!
//! `UPDATE=1 cargo test --test plans` writes the files anew: read the difference before you commit it, it is the review
//! of a change to the plan.
#![cfg(target_arch = "x86_64")]

use corten::host::Host;
use corten::host::cgroup::{Cgroups, Hierarchy, Mode};
use corten::host::systemd::Manager;
use corten::plan::{CgroupManager, Options, Plan, text};
use corten::spec::{Spec, default, load};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A plan: the directory, the file in it, the machine, and what the caller typed.
type Case = (&'static str, &'static str, fn() -> Host, fn(&mut Options<'_>));

const CASES: &[Case] = &[
    ("spec", "plan.txt", v2, as_typed),
    ("spec-v1", "plan.txt", v1, as_typed),
    ("spec-v1", "plan-hybrid.txt", hybrid, as_typed),
    ("spec-rootless", "plan.txt", ordinary_user, rootless),
    ("containerd", "plan.txt", v2, as_typed),
    ("containerd", "plan-v1.txt", v1, as_typed),
    ("containerd", "plan-hybrid.txt", hybrid, as_typed),
    ("cri", "plan.txt", v2, as_typed),
    ("cri", "plan-v1.txt", v1, as_typed),
    ("cri-sandbox", "plan.txt", v2, as_typed),
    ("podman", "plan.txt", v2, as_typed),
    ("docker", "plan.txt", v1, as_typed),
    ("docker", "plan-v2.txt", v2, as_typed),
    ("systemd-path", "plan.txt", v2, as_typed),
    ("systemd-path", "plan-systemd.txt", systemd, |options| options.cgroup_manager = CgroupManager::Systemd),
    ("systemd-path", "plan-systemd-user.txt", users_systemd, |options| {
        options.cgroup_manager = CgroupManager::Systemd;
        options.rootless = true;
    }),
    ("joined", "plan.txt", v2, as_typed),
    ("joined-between", "plan.txt", v2, as_typed),
    ("joined-between", "plan-v1.txt", v1, as_typed),
    ("user-namespace", "plan.txt", v2, as_typed),
    ("user-namespace", "plan-user.txt", ordinary_user, rootless),
    ("user-namespace", "plan-notify.txt", v2, notify),
    ("user-namespace", "plan-user-notify.txt", ordinary_user, |options| {
        options.rootless = true;
        notify(options);
    }),
    ("no-mount-namespace", "plan-notify.txt", v2, notify),
    ("shares", "plan.txt", v2, as_typed),
    ("time-offsets", "plan.txt", v2, as_typed),
    ("idmap", "plan.txt", v2, as_typed),
    ("mounts-200", "plan.txt", v2, as_typed),
    ("mount-options", "plan.txt", v2, as_typed),
    ("mount-options", "plan-old-api.txt", || old_api(v2()), as_typed),
    ("mount-options-once", "plan-old-api.txt", || old_api(v2()), as_typed),
    ("resources", "plan.txt", || with_rdma(v2()), as_typed),
    ("resources", "plan-v1.txt", || with_rdma(v1()), as_typed),
    (
        "resources",
        "plan-systemd.txt",
        || with_rdma(systemd()),
        |options| {
            options.cgroup_manager = CgroupManager::Systemd;
        },
    ),
    ("net-devices", "plan.txt", v2, as_typed),
    ("no-process", "plan.txt", v2, as_typed),
    ("no-mount-namespace", "plan.txt", v2, as_typed),
    ("hooks", "plan.txt", v2, as_typed),
    ("hooks", "plan-run.txt", v2, |options| options.await_start = false),
    ("everything", "plan.txt", v2, as_typed),
    ("everything", "plan-v1-old-api.txt", || old_api(v1()), as_typed),
    ("everything", "plan-other-flags.txt", v2, |options| {
        options.no_pivot = true;
        options.no_new_keyring = true;
        options.extra_descriptors = 2;
    }),
];

#[test]
fn every_configuration_becomes_the_plan_beside_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut differences = String::new();
    for (name, file, host, change) in CASES {
        let path = directory(name).join(file);
        let plan = printed(&spec(name), &host(), *change);
        if update {
            replace(&path, &plan);
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if plan != expected {
            differences += &format!("--- {}\n{}", path.display(), difference(&expected, &plan));
        }
    }
    assert!(differences.is_empty(), "\n{differences}UPDATE=1 writes the files anew");
}

#[test]
fn every_golden_file_belongs_to_a_case() {
    let known: BTreeSet<PathBuf> = CASES.iter().map(|(name, file, ..)| directory(name).join(file)).collect();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory("")).unwrap() {
        for entry in fs::read_dir(entry.unwrap().path()).unwrap() {
            found.insert(entry.unwrap().path());
        }
    }
    found.retain(|path| path.file_name().unwrap() != "config.json");
    assert_eq!(found, known);
}

#[test]
fn default_documents_among_the_cases_are_those_that_spec_writes() {
    for (name, cgroup_v2, rootless) in
        [("spec", true, None), ("spec-v1", false, None), ("spec-rootless", true, Some((1000, 1000)))]
    {
        let path = directory(name).join("config.json");
        let document = default::document(default::Options { cgroup_v2, rootless });
        if std::env::var_os("UPDATE").is_some() {
            replace(&path, &document);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), document, "{name}");
    }
}

#[test]
fn l15_mount_label_is_on_what_can_have_one() {
    let mut spec = spec("spec");
    spec.linux.mount_label = Some("system_u:object_r:c_t:s0:c1,c2".into());
    let plan = |host| text::table(&decide(&spec, &host, as_typed).unwrap());
    let labelled = plan(v2());
    let line = |words: &str| {
        labelled.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{labelled}"))
    };
    for on in ["on \"/dev\" (", "mount devpts on", "on \"/dev/shm\" ("] {
        assert!(line(on).contains("context=system_u:object_r:c_t:s0:c1,c2"), "{labelled}");
    }
    // mqueue takes it as an extended attribute.
    assert!(line("mount mqueue on").contains("label=system_u:object_r:c_t:s0:c1,c2"), "{labelled}");
    for without in ["mount proc on", "mount sysfs on"] {
        assert!(!line(without).contains("c_t"), "{labelled}");
    }
    assert!(!plan(Host { selinux: false, ..v2() }).contains("c_t"));
}

#[test]
fn every_step_is_numbered_and_has_an_actor_and_an_action() {
    for (name, file, host, change) in CASES {
        let Ok(plan) = decide(&spec(name), &host(), *change) else { continue };
        let Value::Array(steps) = serde_json::to_value(text::lines(&plan)).unwrap() else { panic!() };
        for (index, step) in steps.iter().enumerate() {
            let mut keys: Vec<&str> = step.as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            // A step of the runtime's own accord has no place: the key is left out, never empty.
            assert!(
                [&["action", "actor", "place", "step"][..], &["action", "actor", "step"]]
                    .contains(&&keys[..]),
                "{name}/{file}: {step}"
            );
            assert_eq!(step["step"], index + 1, "{name}/{file}");
            assert!(["runtime", "init"].contains(&step["actor"].as_str().unwrap()), "{name}/{file}: {step}");
            assert_ne!(step["action"], "", "{name}/{file}: {step}");
            assert_ne!(step["place"], "", "{name}/{file}: {step}");
        }
    }
}

#[test]
fn every_place_is_one_of_the_configuration() {
    for (name, file, host, change) in CASES {
        let config: Value =
            serde_json::from_slice(&fs::read(directory(name).join("config.json")).unwrap()).unwrap();
        let Ok(plan) = decide(&spec(name), &host(), *change) else { continue };
        for line in text::lines(&plan).iter().filter(|line| !line.place.is_empty()) {
            assert!(exists(&config, &line.place), "{name}/{file}: {line:?}");
        }
    }
}

#[test]
fn a2_unknown_properties_change_nothing_wherever_they_stand() {
    changed_documents_have_the_same_plans("a2", |members| {
        members.insert("ofTomorrow".to_owned(), serde_json::json!({ "deep": [null, { "er": -1 }] }));
    });
}

#[test]
fn d32_every_property_may_be_written_in_another_case() {
    let warnings = changed_documents_have_the_same_plans("d32", |members| {
        *members =
            std::mem::take(members).into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect();
    });
    assert!(warnings.contains("the property \"LINUX\" is taken as \"linux\""), "{warnings}");
}

/// Changes the members of every object of each configuration whose plan is known, and compares the plans with those of the
/// unchanged one: what was warned of on the way.
fn changed_documents_have_the_same_plans(
    name: &str,
    mut change: impl FnMut(&mut Map<String, Value>),
) -> String {
    let bundle = std::env::temp_dir().join(format!("corten-plans-{name}-{}", std::process::id()));
    fs::create_dir(&bundle).unwrap();
    let mut warnings = String::new();
    let mut differences = String::new();
    for (name, file, host, options) in CASES {
        let text = fs::read(directory(name).join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        in_every_object(&mut config, true, &mut change);
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        let plan = match load::load(&bundle) {
            Ok(loaded) => {
                warnings += &loaded.warnings.join("\n");
                printed(&loaded.spec, &host(), *options)
            }
            Err(error) => error.to_string(),
        };
        differences += &difference(&printed(&spec(name), &host(), *options), &plan).replace("@@", file);
    }
    fs::remove_dir_all(&bundle).unwrap();
    assert!(differences.is_empty(), "{differences}");
    warnings
}

/// Properties whose members have names of the user's choice.
const MAPS: [&str; 6] = ["annotations", "sysctl", "timeOffsets", "netDevices", "unified", "rdma"];

/// Changes the members of every object whose names are the specification's, the inner ones first.
fn in_every_object(value: &mut Value, named: bool, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| in_every_object(item, true, change)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                in_every_object(member, !(named && MAPS.contains(&name.as_str())), change);
            }
            if named {
                change(members);
            }
        }
        _ => {}
    }
}

/// Whether the configuration has something at a place such as `linux.sysctl["net.core.somaxconn"]` or `mounts[3]`.
fn exists(config: &Value, place: &str) -> bool {
    let pointer = place.replace("[\"", "/").replace("\"]", "");
    let (path, key) = match place.split_once("[\"") {
        Some((path, key)) => (path, Some(key.trim_end_matches("\"]"))),
        None => (pointer.as_str(), None),
    };
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    config.pointer(&pointer).is_some_and(|value| key.is_none_or(|key| value.get(key).is_some()))
}

/// Writes a file in one step, since the other tests read it meanwhile.
fn replace(path: &Path, text: &str) {
    let aside = path.with_extension("new");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, path).unwrap();
}

/// What `corten plan` prints: the warnings, then the table, or the error.
fn printed(spec: &Spec, host: &Host, change: fn(&mut Options<'_>)) -> String {
    match decide(spec, host, change) {
        Ok(plan) => {
            let warnings = plan.warnings.iter().chain(&plan.cgroup.warnings);
            let warnings: String = warnings.map(|warning| format!("warning: {warning}\n")).collect();
            warnings + &text::table(&plan)
        }
        Err(error) => format!("error: {error}\n"),
    }
}

fn decide(spec: &Spec, host: &Host, change: fn(&mut Options<'_>)) -> corten::error::Result<Plan> {
    let mut options = Options { await_start: true, ..Options::plain("web1", Path::new("/bundle")) };
    change(&mut options);
    Plan::new(spec, host, &options)
}

fn as_typed(_: &mut Options<'_>) {}

/// `NOTIFY_SOCKET` is set.
fn notify(options: &mut Options<'_>) {
    options.notify = Some("/run/corten/web1/notify".into());
}

fn rootless(options: &mut Options<'_>) {
    options.rootless = true;
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(name)
}

fn spec(name: &str) -> Spec {
    let loaded = load::load(&directory(name)).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new(), "{name}");
    loaded.spec
}

/// Root on a machine with cgroup v2.
fn v2() -> Host {
    let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids"];
    let unified = hierarchy("/sys/fs/cgroup", &controllers, "/system.slice/containerd.service", true);
    host(Mode::V2, vec![unified])
}

/// Root on a machine with cgroup v1.
fn v1() -> Host {
    host(Mode::V1, v1_hierarchies())
}

/// Root on a machine with cgroup v1, and a unified tree without controllers beside it.
fn hybrid() -> Host {
    let unified = hierarchy("/sys/fs/cgroup/unified", &[], "/system.slice/docker.service", true);
    let mut hierarchies = v1_hierarchies();
    hierarchies.push(unified);
    host(Mode::Hybrid, hierarchies)
}

/// An ordinary user on a machine with cgroup v2.
fn ordinary_user() -> Host {
    let own = "/user.slice/user-1000.slice/session-1.scope";
    let unified = hierarchy("/sys/fs/cgroup", &["cpu", "memory", "pids"], own, true);
    Host { uid: 1000, gid: 1000, capabilities: 0, ..host(Mode::V2, vec![unified]) }
}

/// A machine with cgroup v2 whose systemd makes cgroups.
fn systemd() -> Host {
    Host { systemd: Some(Manager { user: false, root: String::new() }), ..v2() }
}

/// An ordinary user whose own manager makes cgroups.
fn users_systemd() -> Host {
    let root = "/user.slice/user-1000.slice/user@1000.service".to_owned();
    Host { systemd: Some(Manager { user: true, root }), ..ordinary_user() }
}

/// The same machine with a kernel before Linux 5.12.
fn old_api(host: Host) -> Host {
    Host { new_mount_api: false, ..host }
}

/// The same machine with a controller that few have.
fn with_rdma(mut host: Host) -> Host {
    match &mut host.cgroups.hierarchies[..] {
        [unified] => unified.controllers.push("rdma".to_owned()),
        _ => {
            let rdma = hierarchy("/sys/fs/cgroup/rdma", &["rdma"], "/system.slice/docker.service", false);
            host.cgroups.hierarchies.push(rdma);
        }
    }
    host
}

fn host(mode: Mode, hierarchies: Vec<Hierarchy>) -> Host {
    Host {
        uid: 0,
        gid: 0,
        capabilities: u64::MAX,
        ignored_signals: 0,
        in_user_namespace: false,
        groups_denied: false,
        new_mount_api: true,
        has_kcore: true,
        cgroups: Cgroups { mode, hierarchies },
        selinux: true,
        systemd: None,
    }
}

fn v1_hierarchies() -> Vec<Hierarchy> {
    let own = "/system.slice/docker.service";
    [
        ("cpu,cpuacct", &["cpu", "cpuacct"][..]),
        ("cpuset", &["cpuset"]),
        ("devices", &["devices"]),
        ("memory", &["memory"]),
        ("net_cls,net_prio", &["net_cls", "net_prio"]),
        ("blkio", &["blkio"]),
        ("hugetlb", &["hugetlb"]),
        ("freezer", &["freezer"]),
        ("pids", &["pids"]),
        ("systemd", &["name=systemd"]),
    ]
    .map(|(directory, controllers)| {
        hierarchy(&format!("/sys/fs/cgroup/{directory}"), controllers, own, false)
    })
    .into()
}

fn hierarchy(mount: &str, controllers: &[&str], own: &str, unified: bool) -> Hierarchy {
    let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
    Hierarchy { controllers, mount: mount.to_owned(), own: own.to_owned(), unified }
}

/// The lines that differ, `-` expected and `+` found, with the line before each change. Numbers shift when a step is
/// added, so that lines are compared without theirs.
fn difference(expected: &str, found: &str) -> String {
    let expected: Vec<&str> = expected.lines().collect();
    let found: Vec<&str> = found.lines().collect();
    let same = |left: usize, right: usize| unnumbered(expected[left]) == unnumbered(found[right]);
    // common[left][right]: the longest common subsequence of what follows.
    let mut common = vec![vec![0; found.len() + 1]; expected.len() + 1];
    for left in (0..expected.len()).rev() {
        for right in (0..found.len()).rev() {
            common[left][right] = if same(left, right) {
                common[left + 1][right + 1] + 1
            } else {
                common[left + 1][right].max(common[left][right + 1])
            };
        }
    }
    let (mut text, mut left, mut right, mut context) = (String::new(), 0, 0, None);
    while left < expected.len() || right < found.len() {
        let is_common = left < expected.len() && right < found.len() && same(left, right);
        if is_common {
            context = Some(found[right]);
            (left, right) = (left + 1, right + 1);
            continue;
        }
        text += &context.take().map_or_else(String::new, |line| format!("  {line}\n"));
        let removed = right == found.len()
            || left < expected.len() && common[left + 1][right] >= common[left][right + 1];
        if removed {
            text += &format!("- {}\n", expected[left]);
            left += 1;
        } else {
            text += &format!("+ {}\n", found[right]);
            right += 1;
        }
    }
    text
}

fn unnumbered(line: &str) -> &str {
    line.trim_start().trim_start_matches(|letter: char| letter.is_ascii_digit())
}

#[test]
fn difference_shows_changed_lines_alone() {
    let expected = "   1  init     one\n   2  init     two\n   3  init     three\n";
    let found = "   1  init     one\n   2  init     new\n   3  init     two\n   4  init     3\n";
    assert_eq!(
        difference(expected, found),
        "     1  init     one\n+    2  init     new\n     3  init     two\n-    3  init     three\n+    4  init     3\n"
    );
}
