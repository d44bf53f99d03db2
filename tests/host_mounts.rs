//! A container without a mount namespace of its own: its mounts are made on the host, seen by it, and taken down with it.
//! Every host here is a mount namespace that the test made, with all mounts shared as systemd has them.

mod support;

use serde_json::json;
use std::fs;
use support::{Bundle, Outcome, leaks, skip_on_peer};

/// A bundle that inherits the mount namespace and runs a script.
fn bundle(script: &str) -> Bundle {
    let mut bundle = Bundle::sh(script);
    bundle
        .without_namespace("mount")
        .set("/linux/maskedPaths", json!([]))
        .set("/linux/readonlyPaths", json!([]));
    bundle
}

/// Runs a script with the runtime's command line as `"$@"`, the mount table in `before` before it and in `after` behind it.
fn on_a_host(bundle: &Bundle, script: &str) -> Outcome {
    bundle.write_config();
    // Private first: where the machine's mounts are shared themselves, it would be their peer.
    let script = format!(
        "mount --make-rshared /; cat /proc/self/mountinfo >before; {script}; cat /proc/self/mountinfo >after"
    );
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"];
    bundle.finish(bundle.command_under(&wrapper, &[]).env("ID", &bundle.id))
}

fn table(bundle: &Bundle, name: &str) -> String {
    fs::read_to_string(bundle.dir.join(name)).unwrap()
}

#[track_caller]
fn assert_table_unchanged(bundle: &Bundle) {
    assert_eq!(table(bundle, "after"), table(bundle, "before"));
    leaks::assert_nothing_left(bundle);
}

fn is_peer_that_leaves_mounts() -> bool {
    skip_on_peer("runc and crun leave the mounts on the host")
}

#[test]
fn l1_mounts_in_an_inherited_namespace_are_there_and_go_with_the_container() {
    if is_peer_that_leaves_mounts() {
        return;
    }
    let bundle = bundle("cat /proc/self/mountinfo; ls /dev/null /dev/shm; exec sleep 100");
    let script = "\"$@\" create --bundle bundle --pid-file pid $ID </dev/null >payload; \
        cat /proc/self/mountinfo >created; \"$@\" start $ID; \
        readlink /proc/self/ns/mnt /proc/$(cat pid)/ns/mnt; \
        \"$@\" exec $ID cat /proc/self/mountinfo >exec; \"$@\" delete --force $ID";
    let said = on_a_host(&bundle, script).ok().stdout;
    let namespaces: Vec<&str> = said.lines().collect();
    assert_eq!(namespaces[0], namespaces[1], "it is inherited");
    let rootfs = bundle.rootfs();
    let place = format!(" {}/proc ", rootfs.display());
    // On the clone of the root alone, not under it as well.
    assert_eq!(table(&bundle, "created").matches(&place).count(), 1, "{}", table(&bundle, "created"));
    for name in ["payload", "exec"] {
        for point in ["/proc", "/dev", "/dev/pts", "/dev/shm", "/sys"] {
            assert!(table(&bundle, name).contains(&format!(" {point} ")), "{name}: {point}");
        }
    }
    assert!(table(&bundle, "payload").contains("/dev/null"));
    assert_table_unchanged(&bundle);
}

#[test]
fn l1_mounts_in_an_inherited_namespace_go_when_run_ends() {
    if is_peer_that_leaves_mounts() {
        return;
    }
    let mut bundle = bundle("touch /file 2>&1; touch /dev/shm/file && echo wrote");
    bundle.set("/root/readonly", json!(true));
    let said = on_a_host(&bundle, "\"$@\" run --bundle bundle $ID").ok().stdout;
    assert!(said.contains("Read-only file system") && said.ends_with("wrote\n"), "{said}");
    assert_table_unchanged(&bundle);
}

#[test]
fn l1_mounts_in_an_inherited_namespace_go_when_create_fails() {
    if is_peer_that_leaves_mounts() {
        return;
    }
    let mut bundle = bundle("true");
    bundle.mount("/m", "none", "/nowhere/at/all", &["bind"]);
    let outcome = on_a_host(&bundle, "\"$@\" create --bundle bundle $ID && exit 1");
    assert!(outcome.says().contains("/nowhere/at/all"), "{outcome:#?}");
    assert_table_unchanged(&bundle);
}

#[test]
fn l1_mounts_in_an_inherited_namespace_of_a_killed_create_go_by_delete() {
    if is_peer_that_leaves_mounts() {
        return;
    }
    let mut bundle = bundle("true");
    let hook = bundle.host_script("hook", "kill -KILL $PPID; sleep 1");
    bundle.push("/hooks/createRuntime", json!({ "path": hook }));
    let script = "\"$@\" create --bundle bundle $ID </dev/null >/dev/null; cat /proc/self/mountinfo >created; \
                  \"$@\" delete --force $ID";
    on_a_host(&bundle, script).ok();
    assert!(table(&bundle, "created").contains(&format!(" {}/proc ", bundle.rootfs().display())));
    assert_table_unchanged(&bundle);
}

#[test]
fn l1_what_others_mounted_on_the_root_stays_and_is_told() {
    if is_peer_that_leaves_mounts() {
        return;
    }
    let bundle = bundle("true");
    let script = "\"$@\" create --bundle bundle $ID </dev/null >/dev/null; \
        mount -t tmpfs others bundle/rootfs; \"$@\" delete $ID; \
        findmnt --noheadings --output SOURCE --mountpoint bundle/rootfs; \
        umount bundle/rootfs; umount --recursive bundle/rootfs";
    let outcome = on_a_host(&bundle, script);
    assert!(outcome.says().contains("others have mounted on"), "{outcome:#?}");
    assert!(outcome.stdout.contains("others\n"), "{}", outcome.stdout);
    assert_table_unchanged(&bundle);
}

#[test]
fn l1_root_of_a_user_namespace_needs_a_mount_namespace_to_mount() {
    let mut bundle = bundle("true");
    bundle.user_namespace(100_000, 65536);
    bundle.create().fails("mounts[0]: needs a mount namespace");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn l1_mounts_on_the_hosts_own_root_need_a_mount_namespace() {
    if is_peer_that_leaves_mounts() {
        return;
    }
    let mut bundle = bundle("true");
    bundle.set("/root/path", json!("/"));
    bundle.create().fails("root.path: mounts on the host's own root need a mount namespace");
    leaks::assert_nothing_left(&bundle);
}
