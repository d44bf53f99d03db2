//! `linux.netDevices`: moved by name, renamed, permanent global addresses kept, set up, never moved back.
//!
//! Source: config-linux.md, "Network Devices". The devices are pairs of veth in a network namespace of the test's own,
//! made by iproute2.

mod support;

use serde_json::json;
use support::{Bundle, Outcome, leaks, skip_on_peer};

/// Runs a shell script in a new network namespace; `"$@"` is the runtime, `$ID` the container.
fn script(bundle: &Bundle, script: &str) -> Outcome {
    bundle.write_config();
    let wrapper = ["unshare", "--net", "sh", "-e", "-c", script, "sh"];
    bundle.finish(bundle.command_under(&wrapper, &[]).env("ID", &bundle.id))
}

/// Makes a pair of devices of these names.
fn pair(name: &str) -> String {
    format!("ip link add {name} type veth peer name {name}-peer")
}

const RUN: &str = "\"$@\" run --bundle bundle $ID";

#[test]
fn l7_device_moves_with_a_new_name_and_its_lasting_addresses() {
    if skip_on_peer("runc 1.1 and crun 1.8 do not know netDevices") {
        return;
    }
    let mut bundle = Bundle::sh("ip link show; ip addr show dev inner0; cat /sys/class/net/inner0/operstate");
    bundle.set("/linux/netDevices", json!({ "outer0": { "name": "inner0" } }));
    let prepare = [
        &pair("outer0"),
        "ip addr add 10.11.12.13/28 brd 10.11.12.15 dev outer0",
        "ip addr add 10.20.0.1 peer 10.20.0.2/32 dev outer0",
        "ip addr add 10.11.99.1/24 dev outer0 valid_lft 1000 preferred_lft 1000",
        "ip addr add 169.254.7.7/16 scope link dev outer0",
        "ip -6 addr add fd00:11::13/64 dev outer0 nodad",
        "ip link set outer0-peer up; ip link set outer0 up",
    ]
    .join("; ");
    let after = "ip -o link show > after";
    let output = script(&bundle, &format!("{prepare}; {RUN}; {after}")).ok().stdout;
    let device = output.lines().find(|line| line.contains("inner0")).unwrap_or_else(|| panic!("{output}"));
    assert!(device.contains(",UP"), "{device}");
    for kept in [
        "inet 10.11.12.13/28 brd 10.11.12.15 scope global inner0",
        "inet 10.20.0.1 peer 10.20.0.2/32 scope global inner0",
        "inet6 fd00:11::13/64 scope global",
    ] {
        assert!(output.contains(kept), "{kept}: {output}");
    }
    for lost in ["10.11.99.1", "169.254.7.7", "outer0"] {
        assert!(!output.contains(lost), "{lost}: {output}");
    }
    let after = std::fs::read_to_string(bundle.dir.join("after")).unwrap();
    assert!(!after.contains("inner0") && !after.contains(" outer0@"), "nothing comes back: {after}");
}

#[test]
fn l7_device_without_a_name_keeps_its_own() {
    if skip_on_peer("runc 1.1 and crun 1.8 do not know netDevices") {
        return;
    }
    let mut bundle = Bundle::sh("ls /sys/class/net");
    bundle.set("/linux/netDevices", json!({ "kept0": {} }));
    let output = script(&bundle, &format!("{}; {RUN}", pair("kept0"))).ok().stdout;
    assert!(output.lines().any(|name| name == "kept0"), "{output}");
}

#[test]
fn l7_template_takes_the_first_free_number() {
    if skip_on_peer("runc 1.1 and crun 1.8 do not know netDevices") {
        return;
    }
    let mut bundle = Bundle::sh("cd /sys/class/net; grep . net*/address");
    // The number that another device asks for is not free, whatever the order.
    bundle.set(
        "/linux/netDevices",
        json!({ "out-a": { "name": "net%d" }, "out-b": { "name": "net0" }, "out-c": { "name": "net%d" } }),
    );
    let address = |name: &str, last: u32| format!("ip link set {name} address 02:00:00:00:00:0{last}");
    let prepare = [
        pair("out-a"),
        pair("out-b"),
        pair("out-c"),
        address("out-a", 1),
        address("out-b", 2),
        address("out-c", 3),
    ];
    let output = script(&bundle, &format!("{}; {RUN}", prepare.join("; "))).ok().stdout;
    let expected =
        "net0/address:02:00:00:00:00:02\nnet1/address:02:00:00:00:00:01\nnet2/address:02:00:00:00:00:03\n";
    assert_eq!(output, expected);
}

#[test]
fn l7_device_is_there_for_sysctls_and_hooks() {
    if skip_on_peer("runc 1.1 and crun 1.8 do not know netDevices") {
        return;
    }
    let mut bundle = Bundle::sh("cat /proc/sys/net/ipv4/conf/eth0/forwarding");
    let show =
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); nsenter --net=/proc/$pid/ns/net ip link show eth0";
    let hook = bundle.host_script("hook", show);
    bundle.set("/hooks/createRuntime", json!([{ "path": hook }]));
    bundle.set("/linux/netDevices", json!({ "outer": { "name": "eth0" } }));
    bundle.set("/linux/sysctl", json!({ "net.ipv4.conf.eth0.forwarding": "1" }));
    let output = script(&bundle, &format!("{}; {RUN}", pair("outer"))).ok().stdout;
    assert_eq!(output, "1\n");
}

#[test]
fn l7_device_moves_into_a_joined_network_namespace() {
    if skip_on_peer("runc 1.1 and crun 1.8 do not know netDevices") {
        return;
    }
    let mut bundle = Bundle::sh("ls /sys/class/net");
    bundle.set("/linux/netDevices", json!({ "outer": { "name": "eth0" } }));
    let namespace = bundle.dir.join("net").to_str().unwrap().to_owned();
    bundle.namespace("network", Some(&namespace));
    // A file that keeps the namespace: bound in a mount namespace of the test's own.
    let text = format!(
        "mount --make-rprivate /; touch net; unshare --net sh -c 'mount --bind /proc/self/ns/net net'; {}; {RUN}; \
        nsenter --net=net ls /sys/class/net > after; nsenter --net=net ip -o link show > left",
        pair("outer")
    );
    bundle.write_config();
    let wrapper = ["unshare", "--net", "--mount", "sh", "-e", "-c", &text, "sh"];
    let outcome = bundle.finish(bundle.command_under(&wrapper, &[]).env("ID", &bundle.id)).ok();
    assert!(outcome.stdout.lines().any(|name| name == "eth0"), "{outcome:#?}");
    let left = std::fs::read_to_string(bundle.dir.join("left")).unwrap();
    assert!(left.contains("eth0"), "it stays where it went: {left}");
}

#[test]
fn l7_what_cannot_be_moved_is_named_and_stays() {
    if skip_on_peer("runc 1.1 and crun 1.8 do not know netDevices") {
        return;
    }
    for (devices, words) in [
        (json!({ "absent0": {}, "outer": {} }), "config.json: linux.netDevices[\"absent0\"]: no such device"),
        (
            json!({ "outer": { "name": "lo" } }),
            "config.json: linux.netDevices[\"outer\"]: \"lo\" is taken in the container",
        ),
        (
            json!({ "lo": { "name": "other" } }),
            "config.json: linux.netDevices[\"lo\"]: move it into the container as \"other\": invalid argument",
        ),
    ] {
        let mut bundle = Bundle::new();
        bundle.set("/linux/netDevices", devices);
        let text =
            format!("{}; ip link set lo up; {RUN} || code=$?; ls /sys/class/net; exit $code", pair("outer"));
        let text = text.replace("ls /sys/class/net", "ip -o link show");
        let outcome = script(&bundle, &text);
        assert!(outcome.stdout.contains("outer@outer-peer"), "{outcome:#?}");
        outcome.fails(words);
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn l7_ordinary_user_is_refused() {
    if skip_on_peer("runc 1.1 and crun 1.8 do not know netDevices") {
        return;
    }
    let mut bundle = Bundle::new();
    let map = json!([{ "containerID": 0, "hostID": 4711, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user", None);
    bundle.set("/linux/netDevices", json!({ "outer": {} }));
    std::os::unix::fs::chown(&bundle.dir, Some(4711), Some(4711)).unwrap();
    bundle.write_config();
    let wrapper = ["setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups"];
    let words = ["run", "--bundle", "bundle", &bundle.id];
    bundle
        .finish(&mut bundle.command_under(&wrapper, &words))
        .fails("config.json: linux.netDevices[\"outer\"]: only root can move network devices");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn l7_plan_shows_the_move() {
    if skip_on_peer("plan is corten's own") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.set("/linux/netDevices", json!({ "outer": { "name": "eth%d" } }));
    bundle.write_config();
    let plan = bundle.call(&["plan", "--bundle", "bundle"]).ok().stdout;
    assert!(
        plan.contains("runtime  move network device outer in as eth%d  <- linux.netDevices[\"outer\"]"),
        "{plan}"
    );
}
