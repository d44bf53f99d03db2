//! What hooks write of themselves: one script for all, and how its log is read.

use super::sight::{Sight, member_text};
use super::support::Bundle;
use serde_json::{Value, json};

/// Every kind of hook, in the order of a life.
pub const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook of every kind that writes down where and with what it was called, as far as it sees the log.
pub fn of_every_kind(bundle: &mut Bundle) {
    let log = bundle.dir.join("hooks");
    let body = format!(
        "{{ echo \"HOOK $1 $0 $#\"; tr '\\n' ' '; echo; env | sort; echo \"pwd $PWD\"; \
         for kind in cgroup ipc mnt net pid user uts; do echo \"ns $kind $(readlink /proc/self/ns/$kind)\"; done; }} >>{}",
        log.display()
    );
    let path = bundle.host_script("hook", &body);
    for kind in KINDS {
        // The first program's file system has no such script: this hook is a shell of the image's.
        let hook = if kind == "startContainer" {
            json!({ "path": "/bin/sh", "args": ["sh", "-c", "cat >/started; echo $0 >>/started; env >>/started", "zero"] })
        } else {
            json!({ "path": path, "args": ["hook", kind], "env": ["PATH=/usr/bin:/bin", "ONE=1"] })
        };
        bundle.push(&format!("/hooks/{kind}"), hook);
    }
}

/// Reads the log.
pub fn read(log: &str, sight: &mut Sight) {
    let mut order = Vec::new();
    for entry in log.split("HOOK ").skip(1) {
        let mut lines = entry.lines();
        let head = lines.next().unwrap();
        let kind = head.split(' ').next().unwrap().to_owned();
        sight.put(format!("hook {kind}: arguments"), head);
        order.push(kind.clone());
        let state: Value = serde_json::from_str(lines.next().unwrap()).unwrap_or_default();
        note_state(&kind, &state, sight);
        let mut environment = Vec::new();
        for line in lines {
            match line.strip_prefix("ns ").and_then(|rest| rest.split_once(' ')) {
                Some((name, link)) => {
                    let own = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
                    let whose = if own.as_os_str() == link { "the host's" } else { "another" };
                    sight.put(format!("hook {kind}: namespace {name}"), whose);
                }
                None => environment.push(line),
            }
        }
        sight.put(format!("hook {kind}: environment"), environment.join(";"));
    }
    sight.put("hooks", order.join(" "));
}

fn note_state(kind: &str, state: &Value, sight: &mut Sight) {
    for member in ["id", "status", "bundle", "annotations"] {
        sight.put(format!("hook {kind}: {member}"), member_text(&state[member]));
    }
    let pid = match state["pid"].as_i64() {
        None => "none",
        Some(0) => "0",
        Some(1) => "1",
        Some(_) => "the host's",
    };
    sight.put(format!("hook {kind}: pid"), pid);
    let mut members: Vec<&str> =
        state.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    members.sort_unstable();
    sight.put(format!("hook {kind}: members"), members.join(" "));
}
