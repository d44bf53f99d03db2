//! Hooks that print too much, read nothing, never end or leave children behind; and what a hook finds around it.
//!
//! Each rule for a hook outside (`createRuntime`) and one inside (`createContainer`): two programs attend them.

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{Bundle, is_peer, leaks, runtime, skip_on_peer};

const BOTH: [&str; 2] = ["createRuntime", "createContainer"];

/// A bundle with one hook, a shell script of the host, and what else is to be said of it.
fn with_hook(kind: &str, script: &str, more: Value) -> Bundle {
    let mut bundle = Bundle::new();
    let path = bundle.host_script("hook", script);
    let mut hook = json!({ "path": path });
    hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bundle.push(&format!("/hooks/{kind}"), hook);
    bundle
}

fn written(bundle: &Bundle, file: &str) -> String {
    fs::read_to_string(bundle.dir.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn hook_may_print_more_than_a_pipe_holds() {
    for kind in BOTH {
        // One write(2): with O_NONBLOCK on its end it would be cut short, and dd fails.
        let bundle = with_hook(kind, "exec dd if=/dev/zero bs=1000000 count=1 2>/dev/null", json!({}));
        bundle.run().ok();
    }
}

#[test]
fn hook_that_prints_for_ever_is_killed_in_time() {
    for kind in BOTH {
        let bundle = with_hook(kind, "exec yes", json!({ "timeout": 1 }));
        bundle.run().fails("hook ran past specified timeout");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn hook_that_reads_no_state_is_killed_in_time() {
    for kind in BOTH {
        let mut bundle = with_hook(kind, "exec sleep 100", json!({ "timeout": 1 }));
        bundle.set("/annotations", json!({ "big": "x".repeat(200_000) }));
        bundle.run().fails("hook ran past specified timeout");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn hook_reads_the_whole_of_a_long_state() {
    for kind in BOTH {
        let mut bundle = Bundle::new();
        let path = bundle.host_script("hook", &format!("sleep 0.2; cat > {}/read", bundle.dir.display()));
        bundle.push(&format!("/hooks/{kind}"), json!({ "path": path }));
        bundle.set("/annotations", json!({ "big": "x".repeat(200_000) }));
        bundle.run().ok();
        let state: Value = serde_json::from_str(&written(&bundle, "read")).unwrap();
        assert_eq!(state["annotations"]["big"].as_str().unwrap().len(), 200_000, "{kind}");
    }
}

#[test]
fn start_container_hook_that_reads_no_state_does_not_end_init() {
    // Without a pid namespace SIGPIPE is deadly.
    let mut bundle = Bundle::sh("echo ran");
    bundle.without_namespace("pid");
    bundle.set("/annotations", json!({ "big": "x".repeat(200_000) }));
    bundle.push("/hooks/startContainer", json!({ "path": "/bin/true", "args": ["true"] }));
    assert_eq!(bundle.run().ok().stdout, "ran\n");
}

#[test]
fn children_of_a_hook_past_its_time_end_with_it() {
    if skip_on_peer("runc 1.1 kills the hook alone") {
        return;
    }
    for kind in ["createRuntime", "createContainer", "poststop"] {
        let mut bundle = Bundle::new();
        // With a pid namespace the kernel would kill them for us.
        bundle.without_namespace("pid");
        let child = bundle.dir.join("child").display().to_string();
        let path = bundle.host_script("hook", &format!("sleep 100 & echo $! > {child}; wait"));
        bundle.push(&format!("/hooks/{kind}"), json!({ "path": path, "timeout": 1 }));
        let outcome = bundle.run();
        assert!(outcome.says().contains("hook ran past specified timeout"), "{kind}: {outcome:#?}");
        let pid: i32 = written(&bundle, "child").trim().parse().unwrap();
        assert!(runtime::dies_within(pid, runtime::DEADLINE), "{kind}: its child lives on");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn hooks_have_the_callers_umask_until_the_container_has_its_own() {
    if skip_on_peer("runc 1.1 runs createContainer hooks with umask 0") {
        return;
    }
    let mut bundle = Bundle::new();
    for kind in BOTH {
        let path = bundle.host_script(kind, &format!("umask > {}/{kind}.umask", bundle.dir.display()));
        bundle.push(&format!("/hooks/{kind}"), json!({ "path": path }));
    }
    bundle.executable("hook", "#!/bin/sh\numask > /tmp/umask\n");
    bundle.push("/hooks/startContainer", json!({ "path": "/hook" }));
    bundle.set("/process/user/umask", json!(0o077)).write_config();
    let wrapper = ["sh", "-c", "umask 027; exec \"$@\"", "sh"];
    let words = ["run", "--bundle", "bundle", &bundle.id];
    bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
    for kind in BOTH {
        assert_eq!(written(&bundle, &format!("{kind}.umask")), "0027\n", "{kind}");
    }
    assert_eq!(written(&bundle, "bundle/rootfs/tmp/umask"), "0077\n");
}

/// The names of the environment that a hook has, but for what a shell adds.
fn names(env: &str) -> Vec<&str> {
    let mut names: Vec<&str> = env.lines().map(|line| line.split('=').next().unwrap()).collect();
    names.retain(|name| !["PWD", "_", "OLDPWD", "SHLVL"].contains(name));
    names
}

#[test]
fn empty_environment_is_empty_and_an_absent_one_is_of_who_runs_the_hook() {
    if skip_on_peer("runc takes an empty environment for none") {
        return;
    }
    for env in [Some(json!([])), None] {
        let mut bundle = Bundle::new();
        bundle.push("/process/env", json!("OF_CONTAINER=1"));
        for kind in ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
            let inside = kind == "startContainer";
            let directory = if inside { "/tmp".to_owned() } else { bundle.dir.display().to_string() };
            let mut hook = json!({
                "path": "/bin/sh",
                "args": ["sh", "-c", format!("PATH=/bin:/usr/bin; env > {directory}/{kind}.env")]
            });
            if let Some(env) = &env {
                hook["env"] = env.clone();
            }
            bundle.push(&format!("/hooks/{kind}"), hook);
        }
        bundle.run_with(&["--keep"]).ok();
        bundle.delete().ok();
        for kind in ["createRuntime", "createContainer", "poststart", "poststop"] {
            let text = written(&bundle, &format!("{kind}.env"));
            let has = names(&text);
            match env {
                Some(_) => assert!(has.is_empty(), "{kind}: {has:?}"),
                None => {
                    assert!(has.contains(&"CORTENTEST"), "{kind}: the runtime's own: {has:?}");
                    assert!(!has.contains(&"OF_CONTAINER"), "{kind}: CVE-2025-23266: {has:?}");
                }
            }
        }
        let text = written(&bundle, "bundle/rootfs/tmp/startContainer.env");
        assert_eq!(names(&text).contains(&"OF_CONTAINER"), env.is_none(), "D13: {text}");
    }
}

#[test]
fn hooks_of_the_runtime_run_in_the_bundle() {
    if skip_on_peer("runc 1.1 runs poststop where it was called") {
        return;
    }
    let mut bundle = Bundle::new();
    for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
        let path = bundle.host_script(kind, &format!("pwd > {}/{kind}.cwd", bundle.dir.display()));
        bundle.push(&format!("/hooks/{kind}"), json!({ "path": path }));
    }
    bundle.run().ok();
    for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
        assert_eq!(
            written(&bundle, &format!("{kind}.cwd")),
            format!("{}\n", bundle.path().display()),
            "{kind}"
        );
    }
}

#[test]
fn poststop_hook_runs_also_when_the_bundle_is_gone() {
    let mut bundle = Bundle::new();
    let path = bundle.host_script("hook", &format!("touch {}/ran", bundle.dir.display()));
    bundle.push("/hooks/poststop", json!({ "path": path }));
    bundle.create().ok();
    let pid = bundle.pid();
    if !is_peer() {
        fs::rename(bundle.path(), bundle.dir.join("moved")).unwrap();
    }
    bundle.delete_force().ok();
    bundle.await_death(pid);
    assert!(bundle.dir.join("ran").exists());
}
