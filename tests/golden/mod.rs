//! The configurations of `tests/plans`, the machines that they are for, and what comes of them.

// Every test file is a crate of its own that uses its part of this.
#![allow(dead_code)]

mod machines;

use corten::host::Host;
use corten::plan::exec::{Entry, Template};
use corten::plan::namespaces::Known;
use corten::plan::{CgroupManager, Options, Plan, text};
use corten::spec::{Loaded, Spec, load};
use machines::{hybrid, old_api, ordinary_user, systemd, users_systemd, v1, with_rdma};
use std::path::{Path, PathBuf};

pub use machines::v2;

/// A plan: the directory, the file in it, the machine, and what the caller typed.
pub type Case = (&'static str, &'static str, fn() -> Host, fn(&mut Options<'_>));

pub const CASES: &[Case] = &[
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
    ("exec-affinity", "plan.txt", v2, as_typed),
    ("personality", "plan.txt", v2, as_typed),
    ("numbers", "plan.txt", v2, as_typed),
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

/// Plans of `exec` in a container of the configuration, as its own process once more.
pub const EXEC_CASES: &[(&str, &str)] =
    &[("everything", "exec.txt"), ("exec-affinity", "exec.txt"), ("user-namespace", "exec.txt")];

/// What `corten plan` prints: the warnings, then the table, or the error.
pub fn printed(loaded: &Loaded, host: &Host, change: fn(&mut Options<'_>)) -> String {
    match decide(&loaded.spec, host, change) {
        Ok(plan) => {
            let warnings = loaded.warnings.iter().chain(&plan.warnings).chain(&plan.cgroup.warnings);
            let warnings: String = warnings.map(|warning| format!("warning: {warning}\n")).collect();
            warnings + &text::table(&plan)
        }
        Err(error) => format!("error: {error}\n"),
    }
}

pub fn decide(spec: &Spec, host: &Host, change: fn(&mut Options<'_>)) -> corten::error::Result<Plan> {
    let mut options = Options { await_start: true, ..Options::plain("web1", Path::new("/bundle")) };
    change(&mut options);
    Plan::new(spec, host, &options)
}

pub fn as_typed(_: &mut Options<'_>) {}

/// `NOTIFY_SOCKET` is set.
pub fn notify(options: &mut Options<'_>) {
    options.notify = Some("/run/corten/web1/notify".into());
}

pub fn rootless(options: &mut Options<'_>) {
    options.rootless = true;
}

pub fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(name)
}

pub fn loaded(name: &str) -> Loaded {
    load::load(&directory(name)).unwrap()
}

pub fn spec(name: &str) -> Spec {
    loaded(name).spec
}

/// The plan of `exec` on a machine with cgroup v2, by its container's own process.
pub fn exec_printed(spec: &Spec) -> String {
    let plan = decide(spec, &v2(), as_typed).and_then(|plan| {
        let process = spec.process.clone().unwrap_or_default();
        let template = Template::new(spec, &plan, false, Vec::new());
        let entry = Entry {
            id: "web1",
            init: Known { pid: 4242, by_pidfd: true },
            rootfs: "/bundle/rootfs",
            cgroup: plan.cgroup.location.clone(),
            in_user_namespace: false,
            extra_descriptors: 0,
            process: &process,
        };
        Plan::exec(entry, template, &v2())
    });
    plan.map_or_else(|error| format!("error: {error}\n"), |plan| text::table(&plan))
}
