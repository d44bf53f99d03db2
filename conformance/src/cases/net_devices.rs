//! config-linux.md: network devices. They are pairs of veth in a network namespace that the runtime is started in.

use super::Case;
use crate::play::{Answers, Play, bundle, sleeper};
use crate::support::{Bundle, Outcome, holder::Holder};
use serde_json::json;
use std::process::Command;

pub const CASES: &[Case] = &[
    ("net-devices/moved", moved),
    ("net-devices/name-taken", name_taken),
    ("net-devices/template", template),
    ("net-devices/addresses", addresses),
    ("net-devices/up", up),
    ("net-devices/missing", missing),
    ("net-devices/not-moved-back", not_moved_back),
];

const PAIR: &str = "ip link add outer type veth peer name peer";

/// create below a wrapper that enters a network namespace, which the script prepares.
fn create_in(bundle: &Bundle, wrapper: &[&str], script: &str) -> Outcome {
    bundle.write_config();
    let script = format!("{script}; exec \"$@\"");
    let wrapper = [wrapper, &["sh", "-e", "-c", &script, "sh"]].concat();
    let words = bundle.create_words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    bundle.finish(&mut bundle.command_under(&wrapper, &words))
}

/// The same in a namespace of its own.
fn create_after(bundle: &Bundle, script: &str) -> Outcome {
    create_in(bundle, &["unshare", "--net"], script)
}

/// What the program finds. A holder keeps the namespace that the device comes from: with it would end the pair, and the device in the container.
#[track_caller]
fn play_after(bundle: &Bundle, script: &str) -> Answers {
    let from = Holder::of("net", "--net");
    let outcome = create_in(bundle, &["nsenter", &format!("--net={}", from.path("net"))], script).ok();
    bundle.start().ok();
    bundle.await_and_delete();
    Answers::of(&outcome.later_stdout())
}

fn asking(steps: &[&str], name: &str) -> Bundle {
    let mut bundle = bundle(steps);
    bundle.set("/linux/netDevices", json!({ "outer": { "name": name } }));
    bundle
}

fn moved() {
    let answers = play_after(&asking(&["list /sys/class/net"], "inner"), PAIR);
    let names = answers.value(0).as_array().unwrap();
    assert!(names.contains(&json!("inner")) && !names.contains(&json!("outer")), "{names:?}");
}

fn name_taken() {
    // Every network namespace has a device `lo`.
    let bundle = asking(&[], "lo");
    assert_ne!(create_after(&bundle, PAIR).code, Some(0), "create succeeds");
}

fn template() {
    let answers = play_after(&asking(&["list /sys/class/net"], "net%d"), PAIR);
    let names = answers.value(0).as_array().unwrap();
    assert!(names.contains(&json!("net0")), "{names:?}");
}

fn addresses() {
    let bundle = asking(&["read /proc/net/fib_trie", "read /proc/net/if_inet6"], "inner");
    let prepare = "ip addr add 10.11.12.13/24 dev outer; ip -6 addr add fd00:11::13/64 dev outer nodad; \
                   ip link set outer up; ip link set peer up";
    let answers = play_after(&bundle, &format!("{PAIR}; {prepare}"));
    assert!(answers.text(0).contains("10.11.12.13"), "{answers:?}");
    assert!(answers.text(1).contains("fd000011000000000000000000000013"), "{answers:?}");
}

fn up() {
    let answers = play_after(&asking(&["read /sys/class/net/inner/flags"], "inner"), PAIR);
    let flags = u32::from_str_radix(answers.text(0).trim().trim_start_matches("0x"), 16).unwrap();
    assert_eq!(flags & 1, 1, "{flags:#x}");
}

fn missing() {
    let bundle = asking(&[], "inner");
    assert_ne!(create_after(&bundle, "true").code, Some(0), "create succeeds");
}

/// Both namespaces have a holder: the one the device comes from, and the one where it still is behind delete.
fn not_moved_back() {
    let (from, to) = (Holder::of("net", "--net"), Holder::of("net", "--net"));
    let mut bundle = sleeper();
    bundle.set("/linux/netDevices", json!({ "outer": { "name": "inner" } }));
    bundle.namespace("network", Some(&to.path("net")));
    create_in(&bundle, &["nsenter", &format!("--net={}", from.path("net"))], PAIR).ok();
    bundle.kill_and_delete();
    let mut list = Command::new("nsenter");
    list.arg(format!("--net={}", to.path("net"))).args(["ip", "-o", "link", "show", "dev", "inner"]);
    let output = list.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
