//! What stands in the way where something of ours should be, and what killed programs have left.

mod engine;

use engine::{Engine, IMAGE, support};
use std::fs;
use std::os::unix::fs::symlink;

/// Whoever may write there may put a link there; it is removed and not followed.
#[test]
fn a_state_that_is_a_link_keeps_nobody_from_removing_its_container() {
    let engine = Engine::new("state-link");
    for (name, program) in [("ran", "true"), ("runs", "sleep 1000")] {
        engine.ok(&["run", "-d", "--name", name, IMAGE, "sh", "-c", program]);
    }
    engine.wait_for("ran", "{{.State.Status}}", "exited");
    let pid = engine.ask("runs", "{{.State.Pid}}");
    let victim = engine.scratch.join("victim");
    fs::write(&victim, "{}").expect("written");
    for name in ["ran", "runs"] {
        let id = engine.ask(name, "{{.Id}}");
        let state = engine.scratch.join(&format!("root/containers/{id}/state.json"));
        fs::remove_file(&state).expect("removed");
        symlink(&victim, &state).expect("a link");
        let (code, _, said) = engine.run(&["rm", name]);
        assert!(code == 1 && said.contains("state.json: too many"), "{code}: {said}");
        assert_eq!(engine.ok(&["rm", "-f", name]), name);
    }
    assert!(fs::metadata(format!("/proc/{pid}")).is_err(), "the program has ended");
    assert_eq!(fs::read(&victim).expect("still there"), b"{}");
    engine.assert_clean();
}

/// A store that something has broken is looked at as far as it goes: each fault is told once, by the file, and the others are shown.
#[test]
fn what_cannot_be_read_is_told_by_its_file_and_hides_no_other() {
    let engine = Engine::new("broken-store");
    engine.ok(&["create", "--name", "whole", IMAGE, "true"]);
    let outside = engine.scratch.join("outside");
    fs::create_dir(&outside).expect("a directory");
    let secret = r#"{"phase":"exited","exit_code":42,"finished":1}"#;
    fs::write(outside.join("state.json"), secret).expect("written");
    let of = |name: &str| engine.scratch.join(&format!("root/containers/{}", engine.ask(name, "{{.Id}}")));
    type Break = fn(&std::path::Path, &std::path::Path);
    let cases: [(&str, bool, &str, Break); 7] = [
        ("link", false, "state.json: too many levels of symbolic links", |state, outside| {
            fs::remove_file(state).and_then(|()| symlink(outside.join("state.json"), state)).expect("a link");
        }),
        ("directory", false, "state.json: it is no regular file", |state, _| {
            fs::remove_file(state).and_then(|()| fs::create_dir(state)).expect("a directory");
        }),
        ("empty", true, "state.json: it holds no state", |state, _| fs::write(state, "").expect("written")),
        ("garbage", true, "state.json: it holds no state", |state, _| {
            fs::write(state, b"\0{]").expect("written")
        }),
        ("record", false, "container.json: ", |state, _| {
            fs::write(state.with_file_name("container.json"), "{]").expect("written");
        }),
        ("linked", false, "it is a link", |state, outside| {
            let folder = state.parent().expect("a directory");
            fs::rename(folder, outside.join("moved")).expect("moved");
            symlink(outside.join("moved"), folder).expect("a link");
        }),
        ("another", false, "its record is that of another", |state, _| {
            let record = state.with_file_name("container.json");
            let text = fs::read_to_string(&record).expect("a record");
            let id = state
                .parent()
                .and_then(|folder| folder.file_name())
                .expect("an ID")
                .to_string_lossy()
                .into_owned();
            fs::write(&record, text.replace(&id, "../../../outside/moved")).expect("written");
        }),
    ];
    for (name, is_shown, wanted, damage) in cases {
        engine.ok(&["create", "--name", name, IMAGE, "true"]);
        let folder = of(name);
        let saved = engine.scratch.join("saved");
        support::run("cp", &["-a", folder.to_str().expect("text"), saved.to_str().expect("text")]);
        damage(&folder.join("state.json"), &outside);
        for words in [&["ps", "-a", "--format", "{{.Names}} {{.ExitCode}}"][..], &["system", "df"], &["info"]]
        {
            let (code, printed, said) = engine.run(words);
            assert_eq!(code, 0, "{name}: {words:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{name}: {words:?}: one warning: {said}");
            assert!(said.starts_with("Warning: ") && said.contains(wanted), "{name}: {words:?}: {said}");
            if words[0] == "ps" {
                assert!(printed.contains("whole 0") && !printed.contains("42"), "{name}: {printed}");
                assert_eq!(printed.contains(name), is_shown, "{name}: {printed}");
            }
        }
        // What cannot be read may have any volume: nothing is taken on a guess.
        if wanted.starts_with("container.json") {
            let (code, _, said) = engine.run(&["volume", "create", "kept"]);
            assert_eq!(code, 0, "{said}");
            let (code, _, said) = engine.run(&["volume", "prune", "-a", "-f"]);
            assert!(code != 0 && said.contains("container.json"), "{said}");
            assert_eq!(engine.ok(&["volume", "ls", "-q"]), "kept");
        }
        if fs::symlink_metadata(&folder).expect("there").is_symlink() {
            fs::remove_file(&folder).expect("removed");
        } else {
            fs::remove_dir_all(&folder).expect("removed");
        }
        fs::rename(&saved, &folder).expect("put back");
        assert_eq!(engine.ok(&["rm", "-f", name]), name);
    }
    assert_eq!(fs::read_to_string(outside.join("state.json")).expect("still there"), secret);
    engine.ok(&["rm", "whole"]);
    engine.ok(&["volume", "rm", "kept"]);
    engine.assert_clean();
}

#[test]
fn what_a_killed_runtime_has_left_goes_with_a_repair() {
    let engine = Engine::new("runtime-left");
    engine.ok(&["run", "--rm", IMAGE, "true"]);
    let runtime = engine::runtime();
    let name = runtime.file_name().expect("a name").to_str().expect("text");
    let left = engine.scratch.join(&format!("run/runtime/{name}/@{}", "0".repeat(64)));
    fs::create_dir(&left).expect("a directory");
    fs::write(left.join("state.json"), "").expect("written");
    engine.ok(&["system", "check", "--repair"]);
    assert!(fs::metadata(&left).is_err());
    engine.assert_clean();
}
