//! Hooks: the six kinds, their order, what they see, and what their failure does.
//!
//! Sources: runtime.md (life cycle), config.md (POSIX-platform hooks); H1-H6 and D11-D14 of `config-checklist.md`. Hooks that
//! misbehave are in `hostile_hooks.rs`.

mod support;

use serde_json::{Value, json};
use std::fs;
use support::runtime::eventually;
use support::{Bundle, errno, is_peer, leaks, skip_on_peer};

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Adds a hook that records its state and environment in files named after it, and its name in `order`.
fn record(bundle: &mut Bundle, kind: &str) {
    let body = |dir: &str, name: &str| {
        format!(
            "echo {name} >> {dir}/order; cat > {dir}/{name}.json; env > {dir}/{name}.env; \
            readlink /proc/self/ns/mnt > {dir}/{name}.mnt; readlink /proc/self/ns/net > {dir}/{name}.net"
        )
    };
    let path = if kind == "startContainer" {
        // Of the container's own file system; the results are in its /tmp.
        bundle.executable("hook", &format!("#!/bin/sh\n{}\n", body("/tmp", kind)));
        "/hook".to_owned()
    } else {
        let body = body(bundle.dir.to_str().unwrap(), kind);
        bundle.host_script(kind, &body)
    };
    bundle.push(&format!("/hooks/{kind}"), json!({ "path": path, "args": ["hook", kind] }));
}

fn recorded(bundle: &Bundle, file: &str) -> String {
    let inner = bundle.rootfs().join("tmp").join(file);
    let path = if file.starts_with("startContainer") { inner } else { bundle.dir.join(file) };
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn recorded_state(bundle: &Bundle, kind: &str) -> Value {
    serde_json::from_str(&recorded(bundle, &format!("{kind}.json"))).unwrap()
}

#[test]
fn hooks_run_in_the_order_of_the_life_cycle() {
    // H1-H6
    let mut bundle = Bundle::sleeper();
    for kind in KINDS {
        record(&mut bundle, kind);
    }
    bundle.create().ok();
    // runc ran poststart at the end of create until 1.5 (D12).
    let early = if is_peer() { "poststart\n" } else { "" };
    assert_eq!(recorded(&bundle, "order"), format!("prestart\ncreateRuntime\ncreateContainer\n{early}"));
    bundle.start().ok();
    assert!(bundle.rootfs().join("tmp/order").exists(), "startContainer has run inside");
    assert_eq!(recorded(&bundle, "order"), "prestart\ncreateRuntime\ncreateContainer\npoststart\n");
    bundle.kill_and_delete();
    assert_eq!(recorded(&bundle, "order"), "prestart\ncreateRuntime\ncreateContainer\npoststart\npoststop\n");
}

#[test]
fn hooks_of_one_kind_run_in_their_order() {
    let mut bundle = Bundle::new();
    for number in 1..=3 {
        let body = format!("echo {number} >> {}/order", bundle.dir.display());
        let path = bundle.host_script(&format!("hook{number}"), &body);
        bundle.push("/hooks/createRuntime", json!({ "path": path }));
    }
    bundle.run().ok();
    assert_eq!(recorded(&bundle, "order"), "1\n2\n3\n");
}

#[test]
fn hooks_read_the_state_with_the_status_and_pid_of_their_time() {
    // H1-H6
    let mut bundle = Bundle::sleeper();
    bundle.set("/annotations", json!({ "org.example": "kept" }));
    for kind in KINDS {
        record(&mut bundle, kind);
    }
    bundle.create().ok();
    bundle.start().ok();
    let pid = json!(bundle.pid());
    bundle.kill_and_delete();
    // Inside the pid namespace, init is 1.
    for (kind, status, pid) in [
        ("prestart", "created", pid.clone()),
        ("createRuntime", "created", pid.clone()),
        ("createContainer", "created", json!(1)),
        ("startContainer", "created", json!(1)),
        ("poststart", "running", pid.clone()),
        ("poststop", "stopped", Value::Null),
    ] {
        let state = recorded_state(&bundle, kind);
        if !(is_peer() && kind == "poststart") {
            assert_eq!(state["status"], status, "{kind}");
        }
        if kind == "poststop" {
            assert!(matches!(state["pid"].as_i64(), None | Some(0)), "{kind}: {state}");
        } else {
            assert_eq!(state["pid"], pid, "{kind}");
        }
        assert_eq!(state["id"], bundle.id.as_str(), "{kind}");
        assert_eq!(state["bundle"], bundle.path().to_str().unwrap(), "{kind}");
        assert_eq!(state["annotations"]["org.example"], "kept", "{kind}");
        assert!(state["ociVersion"].is_string(), "{kind}");
    }
}

#[test]
fn hooks_run_in_the_namespaces_of_their_kind() {
    // H1-H6
    let mut bundle = Bundle::sleeper();
    for kind in KINDS {
        record(&mut bundle, kind);
    }
    bundle.create().ok();
    let link = |name: &str| {
        format!("{}\n", fs::read_link(format!("/proc/{}/ns/{name}", bundle.pid())).unwrap().display())
    };
    let (net, host_net) =
        (link("net"), format!("{}\n", fs::read_link("/proc/self/ns/net").unwrap().display()));
    bundle.start().ok();
    bundle.kill_and_delete();
    for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
        assert_eq!(recorded(&bundle, &format!("{kind}.net")), host_net, "{kind}");
    }
    for kind in ["createContainer", "startContainer"] {
        assert_eq!(recorded(&bundle, &format!("{kind}.net")), net, "{kind}");
    }
}

#[test]
fn first_hooks_find_the_namespaces_made_and_the_root_not_yet_pivoted() {
    // H1, H2
    // docker's libnetwork-setkey and nvidia's hook do their work here.
    let mut bundle = Bundle::new();
    let dir = bundle.dir.display().to_string();
    let body = format!(
        "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); readlink /proc/$pid/ns/net > {dir}/net; \
        ls -d /proc/$pid/root{dir} > {dir}/root"
    );
    let path = bundle.host_script("hook", &body);
    bundle.push("/hooks/prestart", json!({ "path": path }));
    bundle.run().ok();
    let host = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    let seen = recorded(&bundle, "net");
    assert!(seen.starts_with("net:[") && seen.trim() != host, "{seen}");
    assert!(recorded(&bundle, "root").ends_with(&format!("{dir}\n")), "the host's tree is still init's");
}

#[test]
fn resources_are_limited_before_the_first_hook() {
    let mut bundle = Bundle::new();
    let dir = bundle.dir.display().to_string();
    let limit = format!("/sys/fs/cgroup/memory/{}/memory.limit_in_bytes", bundle.id);
    if support::cgroups::v1("memory").is_none() {
        eprintln!("skipped: no memory in cgroup v1");
        return;
    }
    let path = bundle.host_script("hook", &format!("cat {limit} > {dir}/limit"));
    bundle.push("/hooks/prestart", json!({ "path": path }));
    bundle.set("/linux/resources/memory", json!({ "limit": 67_108_864 }));
    bundle.run().ok();
    assert_eq!(recorded(&bundle, "limit"), "67108864\n");
}

#[test]
fn hook_has_the_configured_arguments_and_environment_alone() {
    let mut bundle = Bundle::new();
    let dir = bundle.dir.display().to_string();
    let script = format!("tr '\\0' '\\n' < /proc/$$/cmdline > {dir}/args; env > {dir}/env");
    bundle.push(
        "/hooks/createRuntime",
        json!({ "path": "/bin/sh", "args": ["zero", "-c", script, "one", "two words"], "env": ["PATH=/usr/bin:/bin", "KEY=value"] }),
    );
    bundle.run().ok();
    let args = recorded(&bundle, "args");
    assert!(args.starts_with("zero\n-c\n") && args.ends_with("one\ntwo words\n"), "{args}");
    let env = recorded(&bundle, "env");
    let mut names: Vec<&str> = env.lines().map(|line| line.split('=').next().unwrap()).collect();
    // PWD and _ are the shell's own.
    names.retain(|name| !["PWD", "_", "OLDPWD", "SHLVL"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["KEY", "PATH"]);
}

#[test]
fn h4_start_container_hook_without_an_environment_has_the_programs_with_its_home() {
    let mut bundle = Bundle::sh("env | sort >/program");
    bundle.set("/process/env", json!(["A=1", "PATH=/bin", "A=2"]));
    let script = "env | sort >/hook";
    bundle.push("/hooks/startContainer", json!({ "path": "/bin/sh", "args": ["sh", "-c", script] }));
    bundle.run().ok();
    let read = |name: &str| std::fs::read_to_string(bundle.rootfs().join(name)).unwrap();
    assert!(read("hook").contains("HOME=/root\n"), "{}", read("hook"));
    assert_eq!(read("hook"), read("program"));
}

#[test]
fn hooks_of_the_runtimes_file_system_begin_in_the_bundle() {
    if skip_on_peer("runc runs some in the root file system and some where its caller is") {
        return;
    }
    let mut bundle = Bundle::new();
    for kind in KINDS.iter().filter(|kind| **kind != "startContainer") {
        let script = format!("/bin/pwd >{}/{kind}.pwd", bundle.dir.display());
        bundle.push(&format!("/hooks/{kind}"), json!({ "path": "/bin/sh", "args": ["sh", "-c", script] }));
    }
    bundle.run().ok();
    for kind in KINDS.iter().filter(|kind| **kind != "startContainer") {
        assert_eq!(
            recorded(&bundle, &format!("{kind}.pwd")).trim(),
            bundle.path().to_str().unwrap(),
            "{kind}"
        );
    }
}

#[test]
fn hook_without_arguments_has_its_path_as_the_first() {
    // D14
    if skip_on_peer("runc runs it with no argument at all") {
        return;
    }
    let mut bundle = Bundle::new();
    let path = bundle
        .host_script("hook", &format!("tr '\\0' ' ' < /proc/$$/cmdline > {}/args", bundle.dir.display()));
    bundle.push("/hooks/createRuntime", json!({ "path": path }));
    bundle.run().ok();
    assert_eq!(recorded(&bundle, "args"), format!("/bin/sh {path} "));
}

#[test]
fn image_environment_reaches_no_host_hook() {
    // H4, CVE-2025-23266
    if skip_on_peer("runc 1.1 gives it to createContainer: CVE-2025-23266") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.push("/process/env", json!("LD_PRELOAD_OF_IMAGE=/evil.so"));
    for kind in KINDS {
        record(&mut bundle, kind);
    }
    bundle.run().ok();
    for kind in KINDS {
        let seen = recorded(&bundle, &format!("{kind}.env")).contains("LD_PRELOAD_OF_IMAGE");
        // D13: startContainer runs inside, with the container's environment.
        assert_eq!(seen, kind == "startContainer", "{kind}");
    }
}

#[test]
fn failing_hook_of_create_kills_and_cleans_and_shows_what_it_said() {
    // H1-H3
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = Bundle::sleeper();
        let path = bundle.host_script("hook", "echo sad story >&2; exit 3");
        bundle.push(&format!("/hooks/{kind}"), json!({ "path": path }));
        record(&mut bundle, "poststop");
        let said = bundle.create().fails("exit status 3").says();
        assert!(said.contains("sad story"), "{kind}: {said}");
        leaks::assert_nothing_left(&bundle);
        if !is_peer() {
            assert_eq!(recorded(&bundle, "order"), "poststop\n", "{kind}: life cycle, step 12");
        }
    }
}

#[test]
fn later_hooks_do_not_run_after_a_failure() {
    let mut bundle = Bundle::new();
    let path = bundle.host_script("hook", "exit 1");
    bundle.push("/hooks/createRuntime", json!({ "path": path }));
    record(&mut bundle, "createContainer");
    bundle.run().fails("");
    assert!(!bundle.dir.join("createContainer.json").exists());
}

#[test]
fn failing_start_container_hook_keeps_the_payload_from_running() {
    // H4
    let mut bundle = Bundle::sh("echo ran > /ran");
    bundle.executable("hook", "#!/bin/sh\nexit 4\n");
    bundle.push("/hooks/startContainer", json!({ "path": "/hook" }));
    bundle.create().ok();
    let outcome = bundle.start();
    bundle.await_death(bundle.pid());
    assert!(!bundle.rootfs().join("ran").exists());
    if !is_peer() {
        outcome.fails("exit status 4");
    }
    bundle.delete_force().ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn failing_poststart_hook_kills_the_container() {
    // H5
    if skip_on_peer("before specification 1.3 it was a warning") {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let path = bundle.host_script("hook", "exit 5");
    bundle.push("/hooks/poststart", json!({ "path": path }));
    bundle.create().ok();
    bundle.start().fails("exit status 5");
    bundle.await_death(bundle.pid());
    bundle.delete_force().ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn poststart_runs_after_the_payload_has_begun() {
    // H5, D12
    if skip_on_peer("runc ran it before the exec until 1.5") {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let dir = bundle.dir.display().to_string();
    let body = format!(
        "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); tr '\\0' ' ' < /proc/$pid/cmdline > {dir}/args"
    );
    let path = bundle.host_script("hook", &body);
    bundle.push("/hooks/poststart", json!({ "path": path }));
    bundle.create().ok();
    bundle.start().ok();
    assert!(recorded(&bundle, "args").starts_with("sh -c trap"));
    bundle.kill_and_delete();
}

#[test]
fn failing_poststop_hook_is_a_warning_and_the_others_run() {
    // H6, D11
    if skip_on_peer("in runc the first failure aborts") {
        return;
    }
    let mut bundle = Bundle::new();
    let path = bundle.host_script("hook", "exit 6");
    bundle.push("/hooks/poststop", json!({ "path": path }));
    record(&mut bundle, "poststop");
    bundle.create().ok();
    bundle.delete().ok();
    assert_eq!(recorded(&bundle, "order"), "poststop\n");
}

#[test]
fn hook_of_delete_has_its_arguments_and_environment() {
    let mut bundle = Bundle::new();
    let told = bundle.dir.join("told");
    let path = bundle.host_script("hook", &format!("echo \"$0 $1 $OWN\" > {told:?}"));
    let hook =
        json!({ "path": path, "args": ["called", "with"], "env": ["OWN=variable", "PATH=/bin:/usr/bin"] });
    bundle.push("/hooks/poststop", hook);
    bundle.create().ok();
    bundle.delete().ok();
    // The shell's own name is that of the file.
    assert_eq!(fs::read_to_string(told).unwrap(), format!("{path} with variable\n"));
}

/// A hook that would take too long, marked so that the leak check finds it.
fn slow(bundle: &Bundle) -> Value {
    let mark = format!("CORTENTEST={}", bundle.id);
    json!({ "path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1, "env": [mark] })
}

#[test]
fn h1_to_h6_hook_past_its_timeout_is_killed_in_runcs_words() {
    let words = "hook ran past specified timeout of 1.0s";
    for kind in KINDS {
        if is_peer() && !["prestart", "createRuntime"].contains(&kind) {
            continue; // In runc 1.1 those inside have other words, and poststart and poststop come at other times.
        }
        let mut bundle = Bundle::sleeper();
        bundle.push(&format!("/hooks/{kind}"), slow(&bundle));
        let place = format!("hooks.{kind}[0]: run \"/bin/sleep\": {words}");
        let place = if is_peer() { words } else { &place };
        if ["prestart", "createRuntime", "createContainer"].contains(&kind) {
            bundle.create().fails(place);
            leaks::assert_nothing_left(&bundle);
            continue;
        }
        bundle.create().ok();
        if kind == "poststop" {
            let outcome = bundle.delete().ok();
            assert!(outcome.stderr.contains(place), "{outcome:#?}");
        } else {
            bundle.start().fails(place);
            bundle.await_death(bundle.pid());
            bundle.delete().ok();
        }
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn h4_h5_failing_hook_fails_run_and_ends_the_container() {
    if skip_on_peer("before specification 1.3 poststart was a warning") {
        return;
    }
    for kind in ["startContainer", "poststart"] {
        let mut bundle = Bundle::sleeper();
        bundle.executable("hook", "#!/bin/sh\necho sad story; exit 5\n");
        let inside = kind == "startContainer";
        let path = if inside { "/hook".into() } else { bundle.host_script("hook", "echo sad story; exit 5") };
        bundle.push(&format!("/hooks/{kind}"), json!({ "path": path }));
        record(&mut bundle, "poststop");
        let words = format!("hooks.{kind}[0]: run {path:?}: exit status 5: \"sad story\"");
        bundle.run_with(&["--detach"]).fails(&words);
        leaks::assert_nothing_left(&bundle);
        assert_eq!(recorded(&bundle, "order"), "poststop\n", "{kind}");
    }
}

#[test]
fn h6_poststop_finds_the_container_gone() {
    let mut bundle = Bundle::new();
    let (dir, root, id) = (bundle.dir.display(), bundle.root(), &bundle.id);
    let body = format!(
        "ls -d {}/{id} /sys/fs/cgroup/{id} /sys/fs/cgroup/*/{id} > {dir}/left 2>/dev/null; true",
        root.display()
    );
    let path = bundle.host_script("hook", &body);
    bundle.push("/hooks/poststop", json!({ "path": path }));
    bundle.create().ok();
    bundle.delete_force().ok();
    assert_eq!(recorded(&bundle, "left"), "");
}

#[test]
fn hook_that_does_not_read_its_input_is_no_failure() {
    let mut bundle = Bundle::new();
    bundle.set("/annotations", json!({ "big": "x".repeat(200_000) }));
    bundle.push("/hooks/createRuntime", json!({ "path": "/bin/true", "args": ["true"] }));
    bundle.run().ok();
}

#[test]
fn missing_hook_program_fails_by_name() {
    let mut bundle = Bundle::new();
    bundle.push("/hooks/createRuntime", json!({ "path": "/no/such/hook" }));
    let said = bundle.create().fails(errno::missing()).says();
    assert!(said.contains("/no/such/hook"), "{said}");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn container_that_is_deleted_in_its_last_hook_was_not_started() {
    if skip_on_peer("runc and crun do not wait for this hook, and exit 0") {
        return;
    }
    for kill in [&["delete", "--force"][..], &["kill"]] {
        let mut bundle = Bundle::new();
        let script = "touch /in; sleep 1000";
        bundle.push("/hooks/startContainer", json!({ "path": "/bin/sh", "args": ["sh", "-c", script] }));
        bundle.write_config();
        let words = ["run", "--detach", "--pid-file", "pid", "--bundle", "bundle", &bundle.id];
        let running = bundle.begin(&mut bundle.command(&words));
        let reached = bundle.rootfs().join("in");
        eventually(|| reached.exists(), || "the hook runs".to_owned());
        let signal: &[&str] = if kill == ["kill"] { &["KILL"] } else { &[] };
        bundle.call(&[kill, &[bundle.id.as_str()], signal].concat()).ok();
        let why = if kill == ["kill"] {
            "init was ended by signal 9"
        } else {
            "the container was deleted meanwhile"
        };
        running.finish().fails(why);
        leaks::assert_nothing_left(&bundle);
    }
}
