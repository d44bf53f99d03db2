//! What stands in the way where something of ours should be, and what killed programs have left.

mod engine;

use engine::{Engine, IMAGE};
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
