//! One container's life, verb by verb: create, state, start, kill, delete. `run` and `list` have files of their own.
//!
//! Sources: runtime.md of the specification; runc's behaviour where clients rely on it (`config-checklist.md`, D1-D35).

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{Bundle, Outcome, leaks, runtime, skip_on_peer};

fn created() -> Bundle {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    bundle
}

fn running() -> Bundle {
    let bundle = created();
    bundle.start().ok();
    bundle
}

fn stopped() -> Bundle {
    let bundle = Bundle::new();
    bundle.create().ok();
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    bundle
}

#[test]
fn status_goes_from_created_to_running_to_stopped() {
    let bundle = created();
    assert_eq!(bundle.status(), "created");
    bundle.start().ok();
    assert_eq!(bundle.status(), "running");
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    assert_eq!(bundle.status(), "stopped");
    bundle.delete().ok();
}

#[test]
fn state_is_json_with_runcs_keys_in_runcs_order() {
    let bundle = created();
    let text = bundle.call(&["state", &bundle.id]).ok().stdout;
    let keys: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  \"")?.split_once("\": "))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]);
    assert!(text.starts_with("{\n  \"ociVersion\": \""), "{text}");
    assert!(text.ends_with("\n}"), "no newline at the end: {text:?}");

    let state: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(state["id"], bundle.id.as_str());
    assert_eq!(state["pid"], bundle.pid());
    assert_eq!(state["bundle"], bundle.path().to_str().unwrap());
    assert_eq!(state["rootfs"], bundle.rootfs().to_str().unwrap());
    assert_eq!(state["owner"], "");
    bundle.delete().ok();
}

#[test]
fn d4_state_has_the_runtimes_version_of_the_specification() {
    let mut bundle = Bundle::sleeper();
    bundle.set("/ociVersion", json!("1.0.1"));
    bundle.create().ok();
    let version = bundle.state()["ociVersion"].as_str().unwrap().to_owned();
    let told = bundle.call(&["--version"]).ok().stdout;
    let spec = told.lines().find_map(|line| line.strip_prefix("spec: ")).unwrap().to_owned();
    assert_eq!(version, spec);
    assert_ne!(version, "1.0.1");
    bundle.delete().ok();
}

#[test]
fn created_is_an_rfc_3339_time_in_utc_with_nanoseconds() {
    let bundle = created();
    let state = bundle.state();
    let created = state["created"].as_str().unwrap();
    let shape: String = created.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(shape.starts_with("0000-00-00T00:00:00.0") && shape.ends_with("0Z"), "{created}");
    bundle.delete().ok();
}

#[test]
fn f1_long_annotations_are_kept_too() {
    let mut bundle = Bundle::sleeper();
    let long = "x".repeat(2 << 20);
    bundle.set("/annotations", json!({ "org.example.long": long }));
    bundle.create().ok();
    assert_eq!(bundle.state()["annotations"]["org.example.long"], long.as_str());
    bundle.delete_force().ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn state_shows_the_annotations_after_created() {
    let mut bundle = Bundle::sleeper();
    bundle.set("/annotations", json!({ "org.example.colour": "rust", "a": "" }));
    bundle.create().ok();
    let text = bundle.call(&["state", &bundle.id]).ok().stdout;
    let state: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(state["annotations"], json!({ "org.example.colour": "rust", "a": "" }));
    let position = |key: &str| text.find(key).unwrap();
    assert!(position("\"created\"") < position("\"annotations\""));
    assert!(position("\"annotations\"") < position("\"owner\""));
    bundle.delete().ok();
}

#[test]
fn stopped_container_has_pid_0() {
    let bundle = stopped();
    assert_eq!(bundle.state()["pid"], 0);
    bundle.delete().ok();
}

#[test]
fn pid_file_is_the_decimal_pid_of_init_without_a_newline() {
    let bundle = created();
    let text = fs::read_to_string(bundle.dir.join("pid")).unwrap();
    assert_eq!(text, bundle.state()["pid"].to_string());
    assert!(fs::read_to_string(format!("/proc/{text}/cgroup")).unwrap().contains(&bundle.id));
    bundle.delete().ok();
}

#[test]
fn pid_file_leaves_no_temporary_file_beside_it() {
    let bundle = created();
    let names: Vec<_> = fs::read_dir(&bundle.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let like_pid = names.iter().filter(|name| name.to_string_lossy().contains("pid")).count();
    assert_eq!(like_pid, 1, "{names:?}");
    bundle.delete().ok();
}

#[test]
fn created_container_is_killed_and_deleted() {
    let bundle = created();
    let pid = bundle.pid();
    bundle.delete().ok();
    leaks::assert_nothing_left(&bundle);
    assert!(runtime::dies_within(pid, std::time::Duration::ZERO));
}

#[test]
fn delete_of_a_running_container_is_refused_in_runcs_words() {
    let bundle = running();
    let words = format!("cannot delete container {} that is not stopped: running", bundle.id);
    bundle.delete().fails(&words);
    assert_eq!(bundle.status(), "running");
    bundle.kill_and_delete();
}

#[test]
fn force_kills_and_deletes_a_running_container() {
    let bundle = running();
    bundle.delete_force().ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn force_deletes_what_does_not_exist() {
    let bundle = Bundle::new();
    bundle.delete_force().ok();
}

#[test]
fn second_delete_is_refused_and_second_forced_delete_is_not() {
    let bundle = stopped();
    bundle.delete().ok();
    bundle.delete().fails("container does not exist");
    bundle.delete_force().ok();
}

#[test]
fn verbs_on_an_unknown_id_say_that_it_does_not_exist() {
    let bundle = Bundle::new();
    for verb in ["start", "state", "kill", "delete"] {
        let outcome = bundle.call(&[verb, &bundle.id]).fails("container does not exist");
        assert_eq!(outcome.stderr.lines().count(), 1, "{verb}: {outcome:#?}");
    }
}

#[test]
fn id_of_a_deleted_container_can_be_used_again() {
    let bundle = created();
    bundle.delete().ok();
    bundle.create().ok();
    bundle.start().ok();
    bundle.kill_and_delete();
}

#[test]
fn duplicate_id_is_refused_and_the_first_container_lives_on() {
    let bundle = running();
    let pid = bundle.pid();
    bundle.create().fails("container with given ID already exists");
    assert_eq!(bundle.status(), "running");
    assert_eq!(bundle.state()["pid"], pid);
    bundle.kill_and_delete();
}

#[test]
fn invalid_ids_are_refused_before_anything_is_made() {
    let bundle = Bundle::new();
    bundle.write_config();
    for id in ["", ".", "..", "../x", "a/b", "/", "ü", "a b", "a\nb", "a\u{1b}[31m"] {
        let outcome = bundle.call(&["create", "--bundle", "bundle", id]);
        assert_eq!(outcome.code, Some(1), "{id:?}: {outcome:#?}");
        if !id.is_empty() {
            assert!(outcome.stderr.contains("invalid container ID format"), "{id:?}: {outcome:#?}");
        }
        assert!(!outcome.stderr.contains('\u{1b}'), "control characters are quoted: {outcome:#?}");
    }
    let made = fs::read_dir(bundle.root()).map_or(0, Iterator::count);
    assert_eq!(made, 0, "an invalid id leaves a trace below the state root");
}

#[test]
fn ids_may_hold_letters_digits_and_four_signs() {
    let mut bundle = Bundle::new();
    bundle.id = format!("{}_A+b.c-d", bundle.id);
    bundle.run().ok();
}

#[test]
fn start_of_a_running_or_stopped_container_is_refused() {
    let bundle = running();
    bundle.start().fails("cannot start an already running container");
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    bundle.start().fails("cannot start a container that has stopped");
    bundle.delete().ok();
}

#[test]
fn payload_runs_only_after_start() {
    let bundle = Bundle::sh("echo started");
    let outcome = bundle.create().ok();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(outcome.later_stdout(), "");
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    assert_eq!(outcome.later_stdout(), "started\n");
    bundle.delete().ok();
}

#[test]
fn init_keeps_its_pid_from_create_to_exec() {
    let bundle = running();
    let pid = bundle.pid();
    assert_eq!(bundle.state()["pid"], pid);
    runtime::eventually(
        || fs::read(format!("/proc/{pid}/cmdline")).unwrap().starts_with(b"sh\0-c\0"),
        || format!("/proc/{pid} is the payload"),
    );
    bundle.kill_and_delete();
}

#[test]
fn kill_takes_a_name_with_and_without_sig_in_any_case_and_a_number() {
    for signal in ["TERM", "SIGTERM", "term", "sigterm", "15"] {
        let bundle = Bundle::sleeper();
        let outcome = bundle.create().ok();
        bundle.start().ok();
        await_trap(&outcome);
        bundle.kill(signal).ok();
        bundle.await_death(bundle.pid());
        assert_eq!(outcome.later_stdout(), "up\nterminated\n", "{signal}");
        bundle.delete().ok();
    }
}

#[test]
fn kill_without_a_signal_sends_sigterm() {
    let bundle = Bundle::sleeper();
    let outcome = bundle.create().ok();
    bundle.start().ok();
    await_trap(&outcome);
    bundle.call(&["kill", &bundle.id]).ok();
    bundle.await_death(bundle.pid());
    assert_eq!(outcome.later_stdout(), "up\nterminated\n");
    bundle.delete().ok();
}

#[test]
fn f2_kill_without_a_signal_sends_the_images_stop_signal() {
    if skip_on_peer("no peer reads the annotation") {
        return;
    }
    let mut bundle = Bundle::sh("trap 'exit 42' USR1; trap 'exit 15' TERM; echo up; sleep 100 & wait");
    bundle.set("/annotations", json!({ "org.opencontainers.image.stopSignal": "SIGUSR1" }));
    let running = bundle.begin(&mut bundle.run_command(&[]));
    running.await_stdout("up");
    bundle.call(&["kill", &bundle.id]).ok();
    assert_eq!(running.finish().code, Some(42));
    bundle.set("/annotations", json!({ "org.opencontainers.image.stopSignal": "SIGNOPE" }));
    bundle.create().ok();
    bundle
        .call(&["kill", &bundle.id])
        .fails("annotations[\"org.opencontainers.image.stopSignal\"]: unknown signal \"SIGNOPE\"");
    bundle.kill_and_delete();
}

/// Waits until the shell has set its trap: as pid 1 it would be deaf to SIGTERM before.
fn await_trap(created: &Outcome) {
    runtime::eventually(|| created.later_stdout() == "up\n", || "the payload is up".into());
}

#[test]
fn unknown_signals_are_refused() {
    let bundle = running();
    for signal in ["SIGNOPE", "-1", "66", "99999999999"] {
        let outcome = bundle.call(&["kill", "--", &bundle.id, signal]);
        // runc hands any number to the kernel, which answers EINVAL.
        assert_eq!(outcome.code, Some(1), "{signal:?}: {outcome:#?}");
    }
    assert_eq!(bundle.status(), "running");
    bundle.kill_and_delete();
}

#[test]
fn kill_of_a_stopped_container_says_that_it_is_not_running() {
    let bundle = stopped();
    bundle.kill("TERM").fails("container not running");
    bundle.delete().ok();
}

#[test]
fn kill_all_of_a_stopped_container_succeeds() {
    // D31: podman and containerd still pass it.
    let bundle = stopped();
    bundle.call(&["kill", "--all", &bundle.id, "KILL"]).ok();
    bundle.delete().ok();
}

#[test]
fn kill_reaches_a_created_container() {
    let bundle = created();
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    assert_eq!(bundle.status(), "stopped");
    bundle.delete().ok();
}

#[test]
fn kill_without_a_pid_namespace_takes_the_whole_cgroup() {
    // D30: the kernel does not take the children with init.
    let mut bundle = Bundle::sh("sleep 100 & sleep 101 & echo up; wait");
    bundle.without_namespace("pid");
    let outcome = bundle.create().ok();
    bundle.start().ok();
    runtime::eventually(|| outcome.later_stdout() == "up\n", || "the children are up".into());
    if support::is_peer() {
        bundle.call(&["kill", "--all", &bundle.id, "KILL"]).ok();
    } else {
        bundle.kill("KILL").ok();
    }
    bundle.await_death(bundle.pid());
    // Before the deletion, which would end them, too.
    runtime::eventually(|| processes_of(&bundle).is_empty(), || format!("{:?} live", processes_of(&bundle)));
    bundle.delete().ok();
}

/// What the cgroups of the container hold.
fn processes_of(bundle: &Bundle) -> Vec<String> {
    let tables = support::cgroups::named(&bundle.id)
        .into_iter()
        .map(|path| fs::read_to_string(path.join("cgroup.procs")));
    tables.map(Result::unwrap_or_default).filter(|table| !table.is_empty()).collect()
}

#[test]
fn options_work_after_the_operands_too() {
    if skip_on_peer("Go's flag package stops at the first operand") {
        return;
    }
    let bundle = running();
    bundle.call(&["delete", &bundle.id, "--force"]).ok();
}

#[test]
fn container_of_a_vanished_bundle_is_deleted_all_the_same() {
    let bundle = stopped();
    fs::remove_dir_all(bundle.path()).unwrap();
    bundle.delete().ok();
}

#[test]
fn relative_bundle_becomes_absolute_and_the_default_is_the_working_directory() {
    let bundle = Bundle::sleeper();
    bundle.write_config();
    let mut command = bundle.command(&["create", "--pid-file", "../pid", &bundle.id]);
    bundle.finish(command.current_dir(bundle.path())).ok();
    assert_eq!(bundle.state()["bundle"], bundle.path().to_str().unwrap());
    assert_eq!(bundle.state()["pid"], bundle.pid());
    bundle.delete().ok();
}

#[test]
fn process_may_be_missing_until_start() {
    if skip_on_peer("runc wants a process at create (D3)") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.unset("/process");
    bundle.create().ok();
    assert_eq!(bundle.status(), "created");
    bundle.start().fails("");
    bundle.delete().ok();
}

#[test]
fn torn_state_never_blocks_a_forced_delete() {
    if skip_on_peer("an empty state directory is an unknown container to runc, which leaves it there") {
        return;
    }
    let bundle = Bundle::new();
    fs::create_dir_all(bundle.root().join(&bundle.id)).unwrap();
    bundle.delete_force().ok();
    leaks::assert_nothing_left(&bundle);
    bundle.run().ok();
}

/// Every regular file below the state root.
fn state_files(bundle: &Bundle) -> Vec<std::path::PathBuf> {
    let dir = bundle.root().join(&bundle.id);
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.symlink_metadata().unwrap().is_file()).collect()
}

#[test]
fn torn_state_is_an_error_of_one_line_and_never_a_panic() {
    // K-3. The container itself lives on, and is deleted once the file is whole again.
    if skip_on_peer("the files of the state are each runtime's own") {
        return;
    }
    let bundle = created();
    for path in state_files(&bundle) {
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len().saturating_sub(1)] {
            fs::write(&path, &whole[..length.min(whole.len())]).unwrap();
            for words in [&["state", bundle.id.as_str()][..], &["list"], &["kill", bundle.id.as_str(), "0"]] {
                let outcome = bundle.call(words);
                assert!(matches!(outcome.code, Some(0 | 1)), "{words:?} of {length} bytes: {outcome:#?}");
                assert!(outcome.stderr.lines().count() <= 2, "{outcome:#?}");
                if words == ["list"] && outcome.stdout.lines().count() == 1 {
                    let begin = format!("warning: list: {}: ", bundle.id);
                    assert!(outcome.stderr.starts_with(&begin), "{length} bytes: {outcome:#?}");
                }
            }
        }
        fs::write(&path, whole).unwrap();
    }
    bundle.delete().ok();
}

#[test]
fn container_whose_record_is_torn_is_deleted_by_force_and_its_id_is_free() {
    if skip_on_peer("the files of the state are each runtime's own") {
        return;
    }
    let bundle = stopped();
    fs::write(bundle.root().join(&bundle.id).join("state.json"), "").unwrap();
    let outcome = bundle.delete_force().ok();
    assert!(outcome.stderr.contains("may be left"), "{outcome:#?}");
    for path in support::cgroups::named(&bundle.id) {
        fs::remove_dir(path).unwrap();
    }
    leaks::assert_nothing_left(&bundle);
    bundle.run().ok();
}

#[test]
fn racing_creates_of_one_id_have_one_winner() {
    let bundle = Bundle::sleeper();
    bundle.write_config();
    let words = ["create", "--bundle", "bundle", &bundle.id];
    let racers: Vec<_> = (0..6).map(|_| bundle.begin(&mut bundle.command(&words))).collect();
    let outcomes: Vec<_> = racers.into_iter().map(runtime::Running::finish).collect();
    let winners = outcomes.iter().filter(|outcome| outcome.code == Some(0)).count();
    assert_eq!(winners, 1, "{outcomes:#?}");
    for outcome in outcomes.iter().filter(|outcome| outcome.code != Some(0)) {
        assert!(outcome.stderr.contains("container with given ID already exists"), "{outcome:#?}");
    }
    assert_eq!(bundle.status(), "created");
    bundle.delete().ok();
}

#[test]
fn racing_forced_deletes_all_succeed() {
    if skip_on_peer("runc 1.1 does not lock the state: a loser may find it half gone") {
        return;
    }
    let bundle = created();
    let words = ["delete", "--force", &bundle.id];
    let racers: Vec<_> = (0..6).map(|_| bundle.begin(&mut bundle.command(&words))).collect();
    for racer in racers {
        racer.finish().ok();
    }
    leaks::assert_nothing_left(&bundle);
}
