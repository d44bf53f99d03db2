//! Without root: an ordinary user with one mapped id, with a range through newuidmap, and what he cannot have.
//!
//! The user is uid 4711 of no passwd; what newuidmap wants in `/etc/passwd` and `/etc/subuid` is bound over them in a
//! private mount namespace, so the machine's files stay as they are.

mod support;

use serde_json::json;
use std::fs;
use support::{Bundle, Outcome, is_peer, leaks, probe};

const USER: u32 = 4711;
const RANGE: u32 = 700_000;

/// A bundle as `spec --rootless` would make it, owned by the user.
fn rootless(script: &str) -> Bundle {
    let mut bundle = Bundle::sh(script);
    let map = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 1 }]);
    bundle.set("/linux/uidMappings", map(USER)).set("/linux/gidMappings", map(USER)).namespace("user", None);
    bundle.unset("/linux/cgroupsPath").unset("/linux/resources");
    std::os::unix::fs::chown(&bundle.dir, Some(USER), Some(USER)).unwrap();
    std::os::unix::fs::chown(bundle.path(), Some(USER), Some(USER)).unwrap();
    bundle.chown_rootfs(USER);
    bundle
}

/// Calls the runtime as the user, in a private mount namespace prepared by root.
fn as_user(bundle: &Bundle, prepare: &str, words: &[&str]) -> Outcome {
    bundle.write_config();
    let script = format!(
        "{prepare}; exec env -u XDG_RUNTIME_DIR setpriv --reuid {USER} --regid {USER} --clear-groups \
        --bounding-set +all \"$@\""
    );
    let wrapper = support::runtime::private_mounts(&script);
    bundle.finish(&mut bundle.command_under(&wrapper, words))
}

fn run_as_user(bundle: &Bundle) -> Outcome {
    as_user(bundle, "true", &["run", "--bundle", "bundle", &bundle.id])
}

#[test]
fn ordinary_user_runs_a_container_as_its_root() {
    let bundle =
        rootless("id -u; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups; touch /mine");
    let outcome = run_as_user(&bundle).ok();
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    let user = USER.to_string();
    let map = ["0", user.as_str(), "1"];
    assert_eq!(words, [&["0"], &map[..], &map[..], &["deny"]].concat());
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.rootfs().join("mine")).unwrap());
    assert_eq!(owner, USER);
}

#[test]
fn ordinary_user_has_the_whole_life_cycle() {
    let bundle = rootless("trap 'exit 0' TERM; sleep 100 & wait");
    let call = |words: &[&str]| as_user(&bundle, "true", words);
    call(&["create", "--bundle", "bundle", "--pid-file", "pid", &bundle.id]).ok();
    let state = call(&["state", &bundle.id]).ok().stdout;
    assert!(state.contains("\"status\": \"created\""), "{state}");
    call(&["start", &bundle.id]).ok();
    let list = call(&["list"]).ok().stdout;
    assert!(list.contains(&bundle.id) && list.contains("running"), "{list}");
    call(&["kill", &bundle.id, "KILL"]).ok();
    bundle.await_death(bundle.pid());
    call(&["delete", &bundle.id]).ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn ordinary_user_brings_another_process_in() {
    // He cannot enter the pid namespace and return: a process in between does it.
    let mut bundle = rootless("exec sleep 100");
    bundle.set("/process/oomScoreAdj", json!(555));
    let call = |words: &[&str]| as_user(&bundle, "true", words);
    call(&["run", "--detach", "--bundle", "bundle", "--pid-file", "pid", &bundle.id]).ok();
    let script = "id -u; cat /proc/self/uid_map; cat /proc/self/oom_score_adj; \
        for n in ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done; exit 7";
    let outcome = call(&["exec", &bundle.id, "sh", "-c", script]);
    assert_eq!(outcome.code, Some(7), "{outcome:#?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let map: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!((lines[0], map, lines[2]), ("0", vec!["0", "4711", "1"], "555"));
    for (kind, seen) in ["ipc", "mnt", "net", "pid", "user", "uts"].iter().zip(&lines[3..]) {
        let link = fs::read_link(format!("/proc/{}/ns/{kind}", bundle.pid())).unwrap();
        assert_eq!(link.to_str(), Some(*seen));
    }
    call(&["exec", &bundle.id, "nosuch"]).fails_with(255, "executable file not found in $PATH");
    call(&["delete", "--force", &bundle.id]).ok();
}

#[test]
fn default_devices_are_there_and_work() {
    let bundle =
        rootless("echo x >/dev/null; head -c 4 /dev/zero | wc -c; stat -c '%t:%T' /dev/null /dev/urandom");
    assert_eq!(run_as_user(&bundle).ok().stdout, "4\n1:3\n1:9\n");
}

#[test]
fn masks_hold_without_root_too() {
    let mut bundle =
        rootless("cat /proc/keys; ls -A /sys/firmware; touch /proc/sys/x 2>/dev/null || echo ro");
    bundle.set("/root/readonly", json!(true));
    assert_eq!(run_as_user(&bundle).ok().stdout, "ro\n");
}

#[test]
fn capabilities_are_those_listed_within_the_own_user_namespace() {
    let bundle = rootless("cat /proc/self/status");
    let output = run_as_user(&bundle).ok().stdout;
    assert_eq!(probe::status(&output, "CapEff"), "0000000020000420");
}

/// Prepares the two files that newuidmap reads.
fn with_range(bundle: &Bundle) -> String {
    let write = |name: &str, text: String| {
        let path = bundle.dir.join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let passwd = write("passwd", format!("root:x:0:0::/root:/bin/sh\nrusty:x:{USER}:{USER}::/:/bin/sh\n"));
    let sub = write("sub", format!("rusty:{RANGE}:65536\n"));
    format!(
        "touch /etc/subuid /etc/subgid; mount --bind {passwd} /etc/passwd; mount --bind {sub} /etc/subuid; \
        mount --bind {sub} /etc/subgid"
    )
}

#[test]
fn range_of_ids_is_mapped_through_newuidmap() {
    if !fs::exists("/usr/bin/newuidmap").unwrap() {
        eprintln!("skipped: no newuidmap (package uidmap)");
        return;
    }
    let mut bundle = rootless("cat /proc/self/uid_map; id -G");
    for kind in ["uidMappings", "gidMappings"] {
        bundle.push(&format!("/linux/{kind}"), json!({ "containerID": 1, "hostID": RANGE, "size": 65536 }));
    }
    bundle.set("/process/user", json!({ "uid": 5, "gid": 6 }));
    let prepare = with_range(&bundle);
    let outcome = as_user(&bundle, &prepare, &["run", "--bundle", "bundle", &bundle.id]).ok();
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    let (user, range) = (USER.to_string(), RANGE.to_string());
    assert_eq!(words, ["0", user.as_str(), "1", "1", range.as_str(), "65536", "6"]);
}

#[test]
fn range_that_is_not_the_users_is_refused() {
    let mut bundle = rootless("true");
    for kind in ["uidMappings", "gidMappings"] {
        bundle.push(&format!("/linux/{kind}"), json!({ "containerID": 1, "hostID": 100, "size": 10 }));
    }
    let prepare = with_range(&bundle);
    let outcome = as_user(&bundle, &prepare, &["run", "--bundle", "bundle", &bundle.id]);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    if !is_peer() {
        assert!(outcome.stderr.contains("newuidmap"), "{outcome:#?}");
    }
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn without_a_user_namespace_an_ordinary_user_is_refused() {
    let mut bundle = rootless("true");
    bundle.without_namespace("user").unset("/linux/uidMappings").unset("/linux/gidMappings");
    let outcome = run_as_user(&bundle);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    if !is_peer() {
        assert!(outcome.stderr.contains("linux.namespaces: user:"), "{outcome:#?}");
    }
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn d34_time_offsets_of_an_ordinary_user_are_refused() {
    let mut bundle = rootless("true");
    bundle.namespace("time", None).set("/linux/timeOffsets", json!({ "boottime": { "secs": 5 } }));
    let outcome = run_as_user(&bundle);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    if !is_peer() {
        assert!(outcome.stderr.contains("linux.timeOffsets: only root can set them"), "{outcome:#?}");
    }
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn root_of_a_user_namespace_runs_a_container() {
    // As podman does it: euid 0 in a user namespace, no cgroup to write to, XDG_RUNTIME_DIR set.
    let mut bundle = Bundle::sh("id -u");
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user", None);
    bundle.unset("/linux/cgroupsPath").unset("/linux/resources");
    std::os::unix::fs::chown(&bundle.dir, Some(USER), Some(USER)).unwrap();
    bundle.chown_rootfs(USER);
    bundle.write_config();
    let wrapper = [
        "setpriv",
        "--reuid",
        "4711",
        "--regid",
        "4711",
        "--clear-groups",
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
    ];
    for word in ["true", "auto"] {
        let words = ["--rootless", word, "run", "--bundle", "bundle", &bundle.id];
        let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
        assert_eq!(outcome.stdout, "0\n", "{word}");
    }
    if is_peer() {
        return;
    }
    // Who says that he is no such user is to have a cgroup.
    let words = ["--rootless", "false", "run", "--bundle", "bundle", &bundle.id];
    let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words));
    outcome.fails("cgroup").fails("permission denied");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn root_of_a_user_namespace_keeps_his_containers_in_xdg_runtime_dir() {
    // conmon and podman pass XDG_RUNTIME_DIR and no USER.
    let mut bundle = Bundle::new();
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user", None);
    let script = "\"$runtime\" create --bundle bundle $id; ls -d \"$XDG_RUNTIME_DIR\"/*/$id; \
        stat -c %a \"$XDG_RUNTIME_DIR\"/*/$id/..; \"$runtime\" delete --force $id";
    let outcome = as_root_of_a_user_namespace(&mut bundle, script).ok();
    let name = if is_peer() { "runc" } else { "corten" };
    // With the sticky bit nobody clears it away because it is old.
    assert_eq!(outcome.stdout, format!("{}/{name}/{}\n1700\n", bundle.dir.display(), bundle.id));
}

#[test]
fn root_of_a_user_namespace_brings_another_process_in() {
    // The container is in the user namespace of rootless podman, and the pid namespace that exec comes from is not its.
    let mut bundle = Bundle::sh("exec sleep 100");
    bundle.unmount("/dev/mqueue").unmount("/dev/pts");
    let script = "\"$runtime\" create --bundle bundle $id >/dev/null; \"$runtime\" start $id; \
        \"$runtime\" exec $id sh -c 'ps; echo $$; exit 7' || echo $?; \"$runtime\" delete --force $id";
    let output = as_root_of_a_user_namespace(&mut bundle, script).ok().stdout;
    assert!(output.contains("1 root     sleep 100\n") && output.ends_with("\n7\n"), "{output}");
}

/// Runs a script with `$runtime` and `$id` in a new user namespace of the user's, as podman calls a runtime without root.
fn as_root_of_a_user_namespace(bundle: &mut Bundle, script: &str) -> Outcome {
    bundle.unset("/linux/cgroupsPath").unset("/linux/resources");
    std::os::unix::fs::chown(&bundle.dir, Some(USER), Some(USER)).unwrap();
    bundle.chown_rootfs(USER);
    bundle.write_config();
    let user = USER.to_string();
    let mut command = std::process::Command::new("setpriv");
    command.args([
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
        "unshare",
        "--user",
        "--map-root-user",
    ]);
    command.args(["--mount", "sh", "-e", "-c", &format!("runtime=$1 id=$2; {script}"), "sh"]);
    command.arg(support::runtime::program()).arg(&bundle.id);
    command.current_dir(&bundle.dir).env("CORTENTEST", &bundle.id).stdin(std::process::Stdio::null());
    command.env_remove("USER").env("XDG_RUNTIME_DIR", &bundle.dir);
    bundle.finish(&mut command)
}
