//! Namespaces: each of the eight new, shared or joined by path; id maps, time offsets, names, the loopback device.

mod support;

use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use support::holder::Holder;
use support::{Bundle, leaks, probe, runtime, skip_on_peer};

/// Name in `/proc/PID/ns`, name in config.json, option of unshare(1).
const KINDS: [(&str, &str, &str); 8] = [
    ("cgroup", "cgroup", "--cgroup"),
    ("ipc", "ipc", "--ipc"),
    ("mnt", "mount", "--mount"),
    ("net", "network", "--net"),
    ("pid", "pid", "--pid"),
    ("time", "time", "--time"),
    ("user", "user", "--user"),
    ("uts", "uts", "--uts"),
];

/// Prints `KIND=INODE` for every namespace of the payload.
const SHOW: &str = "for kind in cgroup ipc mnt net pid time user uts; do \
    echo $kind=$(stat -L -c %i /proc/self/ns/$kind); done";

fn inode(path: &str) -> String {
    fs::metadata(path).unwrap_or_else(|error| panic!("{path}: {error}")).ino().to_string()
}

/// Runc 1.1 does not know time namespaces.
fn known(kind: &str) -> bool {
    kind != "time" || !support::is_peer()
}

#[test]
fn listed_namespaces_are_new_and_the_others_the_runtimes() {
    let mut bundle = Bundle::new();
    let listed = ["ipc", "mnt", "net", "pid", "uts"];
    let output = bundle.payload(SHOW);
    let seen = probe::values(&output);
    for (kind, _, _) in KINDS {
        let host = inode(&format!("/proc/self/ns/{kind}"));
        assert_eq!(seen[kind] != host, listed.contains(&kind), "{kind}: {output}");
    }
}

#[test]
fn each_namespace_can_be_new() {
    let mut bundle = Bundle::new();
    bundle.namespace("cgroup", None).user_namespace(100_000, 65536);
    if known("time") {
        bundle.namespace("time", None);
    }
    let output = bundle.payload(SHOW);
    let seen = probe::values(&output);
    for (kind, _, _) in KINDS.iter().filter(|(kind, _, _)| known(kind)) {
        assert_ne!(seen[kind], inode(&format!("/proc/self/ns/{kind}")), "{kind}");
    }
}

#[test]
fn each_namespace_can_be_joined_by_path() {
    for (kind, name, option) in KINDS {
        // A user namespace comes with maps: a test of its own.
        if !known(kind) || kind == "user" {
            continue;
        }
        let holder = Holder::of(kind, option);
        let mut bundle = Bundle::new();
        if name == "uts" {
            bundle.unset("/hostname");
        }
        bundle.namespace(name, Some(&holder.path(kind)));
        let output = bundle.payload(SHOW);
        assert_eq!(probe::values(&output)[kind], inode(&holder.path(kind)), "{kind}");
    }
}

#[test]
fn init_of_a_joined_pid_namespace_is_not_its_pid_1() {
    let holder = Holder::of("pid", "--pid");
    let mut bundle = Bundle::sh("echo $$; sleep 100 & wait");
    bundle.namespace("pid", Some(&holder.path("pid")));
    let outcome = bundle.create().ok();
    bundle.start().ok();
    runtime::eventually(|| !outcome.later_stdout().is_empty(), || "the payload runs".into());
    assert_ne!(outcome.later_stdout(), "1\n");
    let status = fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    let inner = probe::status(&status, "NSpid").split('\t').nth(1).unwrap().to_owned();
    assert_eq!(outcome.later_stdout().trim(), inner, "the pid file names the payload itself");
    bundle.kill_and_delete();
}

#[test]
fn user_namespace_is_joined_by_path() {
    if skip_on_peer("runc 1.1 wants maps, even if they are the joined namespace's") {
        return;
    }
    let holder = Holder::of("user", "--user");
    let mut bundle = Bundle::new();
    bundle.namespace("user", Some(&holder.path("user")));
    let output = bundle.payload(&format!("{SHOW}; cat /proc/self/uid_map"));
    assert_eq!(probe::values(&output)["user"], inode(&holder.path("user")));
}

#[test]
fn user_namespace_with_a_path_and_the_same_maps_is_joined() {
    if skip_on_peer("runc 1.1 refuses a path with mappings; containerd and CRI-O send both (D22)") {
        return;
    }
    let holder = Holder::of("user", "--user");
    let mut bundle = Bundle::new();
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    bundle.namespace("user", Some(&holder.path("user")));
    assert_eq!(probe::values(&bundle.payload(SHOW))["user"], inode(&holder.path("user")));
}

#[test]
fn d22_user_namespace_with_a_path_and_other_maps_is_refused() {
    if skip_on_peer("runc 1.1 refuses a path with mappings") {
        return;
    }
    let holder = Holder::of("user", "--user");
    let map = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 1 }]);
    for (uids, gids, words) in [
        (map(5), map(0), "linux.uidMappings: the joined user namespace has the map \"0 0 1\", not \"0 5 1\""),
        (map(0), map(6), "linux.gidMappings: the joined user namespace has the map \"0 0 1\", not \"0 6 1\""),
    ] {
        let mut bundle = Bundle::new();
        bundle.set("/linux/uidMappings", uids).set("/linux/gidMappings", gids);
        bundle.namespace("user", Some(&holder.path("user")));
        bundle.create().fails(words);
        support::leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn id_maps_are_those_of_the_configuration() {
    let mut bundle = Bundle::new();
    bundle.user_namespace(100_000, 1000);
    for kind in ["uidMappings", "gidMappings"] {
        let entry = json!({ "containerID": 2000, "hostID": 202_000, "size": 5 });
        bundle.push(&format!("/linux/{kind}"), entry);
    }
    let output = bundle.payload("cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /; id -u; id -g");
    let words: Vec<&str> = output.split_whitespace().collect();
    let map = ["0", "100000", "1000", "2000", "202000", "5"];
    assert_eq!(words, [&map[..], &map[..], &["0:0", "0", "0"]].concat());
}

#[test]
fn ids_of_the_process_are_the_containers() {
    let mut bundle = Bundle::sleeper();
    bundle
        .user_namespace(100_000, 65536)
        .set("/process/user", json!({ "uid": 7, "gid": 8, "additionalGids": [9] }));
    bundle.create().ok();
    let status = fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    bundle.start().ok();
    runtime::eventually(
        || fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap().contains("Uid:\t100007\t"),
        || format!("uid 100007 in {status}"),
    );
    let status = fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    assert_eq!(probe::status(&status, "Gid"), "100008\t100008\t100008\t100008");
    assert_eq!(probe::status(&status, "Groups"), "100009");
    bundle.kill_and_delete();
}

#[test]
fn default_devices_work_in_a_user_namespace() {
    let mut bundle = Bundle::new();
    bundle.user_namespace(100_000, 65536);
    let script = "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T' /dev/$d; done; echo x >/dev/null";
    let output = bundle.payload(script);
    for (name, number) in [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ] {
        assert!(output.contains(&format!("/dev/{name} character special file {number}\n")), "{output}");
    }
}

/// The way to the root file system is the runtime's to go: homes are mostly closed to others.
#[test]
fn root_and_binds_below_a_closed_directory_are_reached_by_root_of_a_user_namespace() {
    let mut bundle = Bundle::new();
    bundle.user_namespace(100_000, 65536);
    fs::set_permissions(bundle.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(bundle.path().join("file"), "bound\n").unwrap();
    let source = bundle.path().join("file");
    bundle.mount("/file", "bind", source.to_str().unwrap(), &["bind", "ro"]);
    let output =
        bundle.payload("id -u; pwd; ls -d /bin; cat /file; grep -c ' /file ro,' /proc/self/mountinfo");
    assert_eq!(output, "0\n/\n/bin\nbound\n1\n");
    bundle.set("/root/path", json!("nowhere"));
    bundle.create().fails("root.path: ");
}

#[test]
fn hostname_and_domainname_are_the_containers_own() {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut bundle = Bundle::new();
    bundle.set("/hostname", json!("weathered")).set("/domainname", json!("steel.example"));
    let output = bundle.payload("hostname; cat /proc/sys/kernel/domainname");
    let expected = if support::is_peer() { "weathered\n(none)\n" } else { "weathered\nsteel.example\n" };
    assert_eq!(output, expected);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host);
}

#[test]
fn a6_names_are_set_in_a_joined_uts_namespace_too() {
    let holder = Holder::of("uts", "--uts");
    let mut bundle = Bundle::new();
    bundle.set("/hostname", json!("joined")).namespace("uts", Some(&holder.path("uts")));
    assert_eq!(bundle.payload("hostname"), "joined\n");
}

#[test]
fn l4_listed_devices_are_bound_from_the_host_in_a_user_namespace() {
    let mut bundle = Bundle::new();
    bundle.user_namespace(100_000, 65536);
    bundle.set(
        "/linux/devices",
        json!([
            // Owner and mode are the host's: there is no node to give them to.
            { "path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o600, "uid": 5 },
            { "path": "/dev/pipe", "type": "p", "fileMode": 0o622 }
        ]),
    );
    let output = bundle.payload("stat -c '%n %F %t:%T' /dev/full /dev/pipe");
    assert_eq!(output, "/dev/full character special file 1:7\n/dev/pipe fifo 0:0\n");
    if skip_on_peer("it binds whatever has the path") {
        return;
    }
    let device = |path: &str| json!([{ "path": path, "type": "c", "major": 1, "minor": 7 }]);
    for (path, words) in [
        (
            "/dev/zero",
            "linux.devices[0]: bind \"/dev/zero\" on \"/dev/zero\": is not the device that it should be",
        ),
        ("/dev/absent", "linux.devices[0]: bind \"/dev/absent\" on \"/dev/absent\": missing"),
    ] {
        bundle.set("/linux/devices", device(path));
        bundle.create().fails(words);
        support::leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn loopback_is_up_in_a_new_network_namespace() {
    let mut bundle = Bundle::new();
    let output = bundle.payload("ip addr show lo");
    assert!(output.contains("LOOPBACK,UP,LOWER_UP") && output.contains("127.0.0.1/8"), "{output}");
}

#[test]
fn time_offsets_shift_the_clocks_of_a_new_time_namespace() {
    if skip_on_peer("runc 1.1 has no time namespaces") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.namespace("time", None);
    bundle.set(
        "/linux/timeOffsets",
        json!({ "boottime": { "secs": 1_000_000 }, "monotonic": { "secs": -5, "nanosecs": 7 } }),
    );
    let output = bundle.payload("cat /proc/self/timens_offsets /proc/uptime");
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words[..6], ["monotonic", "-5", "7", "boottime", "1000000", "0"]);
    assert!(words[6].parse::<f64>().unwrap() > 1_000_000.0, "{output}");
}

#[test]
fn time_offsets_are_set_where_a_user_namespace_is_joined() {
    if skip_on_peer("runc 1.1 has no time namespaces") {
        return;
    }
    let holder = Holder::of("user", "--user");
    let mut bundle = Bundle::new();
    bundle.namespace("user", Some(&holder.path("user"))).namespace("time", None);
    bundle.set("/linux/timeOffsets", json!({ "boottime": { "secs": 1_000_000 } }));
    let output = bundle.payload("cat /proc/self/timens_offsets");
    assert_eq!(
        output.split_whitespace().collect::<Vec<_>>(),
        ["monotonic", "0", "0", "boottime", "1000000", "0"]
    );
    bundle.set("/linux/timeOffsets", json!({ "boottime": { "secs": -1_000_000_000 } }));
    bundle.create().fails("linux.timeOffsets");
    // Where nobody joins, and where one in between sets them.
    bundle.create().fails("hint: a clock with its offset must be from 0 to 146 years");
    bundle.without_namespace("user");
    bundle.create().fails("hint: a clock with its offset must be from 0 to 146 years");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn cgroup_namespace_hides_the_hosts_part_of_the_path() {
    let mut bundle = Bundle::new();
    bundle.namespace("cgroup", None);
    let output = bundle.payload("cat /proc/self/cgroup");
    // On v2 the controllers' field is empty.
    assert!(output.lines().any(|line| line.ends_with(":memory:/") || line == "0::/"), "{output}");
    assert!(!output.contains(&bundle.id), "{output}");
}

#[test]
fn shared_pid_namespace_shows_the_hosts_processes() {
    let mut bundle = Bundle::new();
    bundle.without_namespace("pid");
    let output = bundle.payload(&format!("test -d /proc/{} && echo seen; echo $$", std::process::id()));
    assert!(output.starts_with("seen\n"), "{output}");
    assert_ne!(output, "seen\n1\n");
}

#[test]
fn sysctls_of_the_namespaces_are_set() {
    let mut bundle = Bundle::new();
    let host = fs::read_to_string("/proc/sys/kernel/shmmni").unwrap();
    bundle.set("/linux/sysctl", json!({
        "kernel.shmmni": "1234", "net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/forwarding": "1", "fs.mqueue.msg_max": "11"
    }));
    let output = bundle.payload(
        "cd /proc/sys; cat kernel/shmmni net/ipv4/ip_forward net/ipv4/conf/lo/forwarding fs/mqueue/msg_max",
    );
    assert_eq!(output, "1234\n1\n1\n11\n");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/shmmni").unwrap(), host);
}

#[test]
fn l11_sysctl_of_the_hosts_own_namespace_is_refused() {
    for (kind, name, file) in [("network", "net.ipv4.ip_forward", "net"), ("ipc", "kernel.shmmni", "ipc")] {
        let mut bundle = Bundle::new();
        bundle
            .namespace(kind, Some(&format!("/proc/self/ns/{file}")))
            .set("/linux/sysctl", json!({ name: "1" }));
        let words = format!("/proc/self/ns/{file}: is the runtime's own, which linux.sysctl would change");
        if !support::is_peer() {
            bundle.create().fails(&words);
        }
        bundle.without_namespace(kind);
        bundle.create().fails("");
        support::leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn l11_sysctl_of_a_joined_namespace_is_set_there() {
    let holder = Holder::of("net", "--net");
    let mut bundle = Bundle::new();
    bundle.namespace("network", Some(&holder.path("net")));
    bundle.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    assert_eq!(bundle.payload("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
}

#[test]
fn namespace_path_of_another_kind_is_refused() {
    let mut bundle = Bundle::new();
    bundle.namespace("network", Some("/proc/self/ns/uts"));
    let outcome = bundle.create();
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    support::leaks::assert_nothing_left(&bundle);
}

#[test]
fn message_queues_belong_to_root_of_the_user_namespace() {
    if skip_on_peer("runc makes the namespace with a group that is not mapped") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.user_namespace(100_000, 65536);
    assert_eq!(bundle.payload("stat -c %u:%g /dev/mqueue"), "0:0\n");
}

#[test]
fn message_queues_belong_to_root_of_a_joined_user_namespace() {
    if skip_on_peer("runc refuses a joined user namespace without maps") {
        return;
    }
    let holder = Holder::with(&["--user"]);
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{}/{map}", holder.pid()), "0 100000 65536").unwrap();
    }
    let mut bundle = Bundle::new();
    bundle.namespace("user", Some(&holder.path("user")));
    bundle.chown_rootfs(100_000);
    assert_eq!(bundle.payload("stat -c %u:%g /dev/mqueue"), "0:0\n");
}

#[test]
fn l1_user_pid_and_time_namespaces_are_joined_in_any_combination() {
    if skip_on_peer("runc 1.1 does not know time namespaces") {
        return;
    }
    let holder = Holder::with(&["--user", "--map-root-user", "--pid", "--time"]);
    for number in 0..8 {
        let joined = |bit: u32| number >> bit & 1 == 1;
        let path = |bit: u32, kind: &str| joined(bit).then(|| holder.path(kind));
        let mut bundle = Bundle::sh(SHOW);
        bundle.namespace("pid", path(0, "pid").as_deref()).namespace("time", path(1, "time").as_deref());
        if let Some(path) = path(2, "user") {
            bundle.namespace("user", Some(&path));
        }
        bundle.write_config();
        let wrapper = ["strace", "-f", "-qq", "-o", "trace", "-e", "trace=clone,clone3,fork,vfork"];
        let words = ["run", "--bundle", "bundle", &bundle.id];
        let output = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok().stdout;
        let seen = probe::values(&output);
        for (bit, kind) in [(0, "pid"), (1, "time"), (2, "user")] {
            assert_eq!(seen[kind] == inode(&holder.path(kind)), joined(bit), "{kind} of {number}: {output}");
        }
        // What the shell itself starts is not counted: it asks for no pidfd.
        let trace = fs::read_to_string(bundle.dir.join("trace")).unwrap();
        let processes =
            trace.lines().filter(|line| line.contains("CLONE_PIDFD") && !line.contains(" = -1 ")).count();
        // clone(2) puts nobody into a cgroup of v2: without clone3(2) the one in between is made again.
        let again = support::without::calls().iter().any(|call| call == "clone3");
        assert_eq!(
            processes,
            if joined(2) { 2 + usize::from(again) } else { 1 },
            "one in between, where a user namespace is joined: {trace}"
        );
    }
}
