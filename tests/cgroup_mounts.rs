//! Mounts of type `cgroup` and `sysfs` where the kernel does not permit them as they are asked for.
//!
//! Source: config.md, "Mounts"; cgroup_namespaces(7), mount_namespaces(7), sysfs(5).

mod support;

use serde_json::json;
use support::{Bundle, leaks, probe, skip_on_peer};

fn with_cgroup_mount(script: &str, options: &[&str]) -> Bundle {
    let mut bundle = Bundle::sh(script);
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", options);
    bundle
}

#[test]
fn a20_v2_tree_is_the_containers_own_with_a_cgroup_namespace() {
    let mut bundle = with_cgroup_mount("cat /sys/fs/cgroup/cgroup.procs /proc/self/mountinfo", &["ro"]);
    bundle.namespace("cgroup", None);
    let output = bundle.run_on_v2().ok().stdout;
    assert!(output.starts_with("1\n"), "{output}");
    let mount = probe::mount(&output, "/sys/fs/cgroup");
    assert!(mount.kind == "cgroup2" && mount.has("ro") && mount.root == "/", "{mount:?}");
}

#[test]
fn a20_v2_tree_is_the_hosts_without_a_cgroup_namespace() {
    let script =
        "cat /proc/self/mountinfo; cat /sys/fs/cgroup/$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.procs";
    let bundle = with_cgroup_mount(script, &["ro"]);
    let output = bundle.run_on_v2().ok().stdout;
    assert_eq!(probe::mount(&output, "/sys/fs/cgroup").root, "/");
    assert!(output.lines().any(|line| line == "1"), "{output}");
}

#[test]
fn a20_v2_tree_that_may_not_be_mounted_is_bound() {
    if skip_on_peer("runc 1.1 and crun 1.8 differ in what they bind") {
        return;
    }
    // A user namespace owns no cgroup namespace here: EPERM.
    let mut bundle = with_cgroup_mount("cat /proc/self/mountinfo", &["ro", "nosuid", "nodev", "noexec"]);
    bundle.user_namespace(100_000, 65536);
    let output = bundle.run_on_v2().ok().stdout;
    let mount = probe::mount(&output, "/sys/fs/cgroup");
    assert!(mount.kind == "cgroup2" && mount.has("ro") && mount.has("noexec"), "{mount:?}");
}

#[test]
fn a20_cgroup_that_an_ordinary_user_has_not_is_an_empty_read_only_tree() {
    if skip_on_peer("its calls are others") {
        return;
    }
    let script = "ls -A /sys/fs/cgroup; touch /sys/fs/cgroup/x 2>&1; cat /proc/self/mountinfo";
    let mut bundle = Bundle::sh(script);
    let map = json!([{ "containerID": 0, "hostID": 4711, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user", None);
    bundle.namespace("cgroup", None).unset("/linux/cgroupsPath").unset("/linux/resources");
    bundle.set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
    let cgroup =
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] });
    let proc = json!({ "destination": "/proc", "type": "proc", "source": "proc" });
    bundle.set("/mounts", json!([cgroup, proc]));
    std::os::unix::fs::chown(&bundle.dir, Some(4711), Some(4711)).unwrap();
    bundle.chown_rootfs(4711);
    bundle.write_config();
    // That this kernel permits the mount is undone: init's first file system is that of the cgroups. By mount(2) it comes after
    // the propagation of the tree and the root file system.
    let by_mount = support::without::calls().iter().any(|call| call == "mount_setattr");
    let (call, first) = if by_mount { ("mount", 3) } else { ("fsopen", 1) };
    let script = format!(
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec setpriv --reuid 4711 --regid 4711 --clear-groups \
        env -u XDG_RUNTIME_DIR strace -f -qq -o trace -e trace={call} -e inject={call}:error=EPERM:when={first} \"$@\""
    );
    let wrapper = support::runtime::private_mounts(&script);
    let outcome =
        bundle.finish(&mut bundle.command_under(&wrapper, &["run", "--bundle", "bundle", &bundle.id])).ok();
    assert!(outcome.stdout.starts_with("touch: /sys/fs/cgroup/x: Read-only file system\n"), "{outcome:#?}");
    assert_eq!(probe::mount(&outcome.stdout, "/sys/fs/cgroup").kind, "tmpfs");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn a20_v1_hierarchies_are_bound_to_the_containers_own_without_a_cgroup_namespace() {
    let script =
        "cat /sys/fs/cgroup/memory/cgroup.procs; mkdir /sys/fs/cgroup/pids/x 2>&1; cat /proc/self/mountinfo";
    let mut bundle = with_cgroup_mount(script, &["ro", "nosuid", "nodev", "noexec"]);
    if support::cgroups::v1("memory").is_none() {
        eprintln!("skipped: no hierarchies of cgroup v1");
        return;
    }
    let output = bundle.payload(script);
    assert!(output.starts_with("1\n") && output.contains("Read-only file system"), "{output}");
    for controller in ["memory", "pids", "devices"] {
        let mount = probe::mount(&output, &format!("/sys/fs/cgroup/{controller}"));
        assert!(mount.root.ends_with(&bundle.id) && mount.has("ro"), "{mount:?}");
    }
    let top = probe::mount(&output, "/sys/fs/cgroup");
    assert!(top.kind == "tmpfs" && top.has("ro"), "{top:?}");
}

#[test]
fn a20_v1_hierarchies_are_the_runtimes_own_for_an_ordinary_user_without_a_cgroup() {
    let script = "cat /proc/self/mountinfo; touch /sys/fs/cgroup/memory/x 2>&1 || true";
    let mut bundle = Bundle::sh(script);
    let Some(memory) = support::cgroups::v1("memory") else { return };
    let map = json!([{ "containerID": 0, "hostID": 4711, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user", None);
    bundle.unset("/linux/cgroupsPath").unset("/linux/resources");
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "nodev", "noexec", "rprivate"]);
    std::os::unix::fs::chown(&bundle.dir, Some(4711), Some(4711)).unwrap();
    bundle.chown_rootfs(4711);
    bundle.write_config();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.split_once(":memory:")).unwrap().1.to_owned();
    assert!(memory.join(own.trim_start_matches('/')).is_dir());
    let script = "exec setpriv --reuid 4711 --regid 4711 --clear-groups env -u XDG_RUNTIME_DIR \"$@\"";
    let wrapper = support::runtime::private_mounts(script);
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let output = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok().stdout;
    let mount = probe::mount(&output, "/sys/fs/cgroup/memory");
    assert!(mount.kind == "cgroup" && mount.root == own && mount.has("ro"), "{mount:?}");
    assert!(output.contains("touch: /sys/fs/cgroup/memory/x: Read-only file system"), "{output}");
}

#[test]
fn sysfs_is_the_hosts_where_a_user_namespace_does_not_own_the_network() {
    // The kernel permits a sysfs to the owner of the network namespace alone.
    let mut bundle = Bundle::sh("cat /proc/self/mountinfo; ls /sys/kernel | head -1");
    bundle.user_namespace(100_000, 65536).without_namespace("network");
    let output = bundle.run().ok().stdout;
    let mount = probe::mount(&output, "/sys");
    assert!(mount.kind == "sysfs" && mount.has("ro") && mount.has("nosuid"), "{mount:?}");
    assert!(!output.ends_with('0') && output.lines().count() > 5, "{output}");
}
