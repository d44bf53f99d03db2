//! Command lines under corten and under Debian's runc and crun: the same exit code, the same class of message, the same keys in
//! what is printed as JSON, the same files.
//!
//! `command_lines/table.rs` has the lines, and every difference that is meant, with its reason. One that is gone fails the test, as
//! one that is not listed does.

#[path = "command_lines/observe.rs"]
mod observe;
mod support;
#[path = "command_lines/table.rs"]
mod table;

use observe::{Observed, Peer, observe};
use table::{DIFFERENCES, Line, State, lines};

/// Runs the lines of some verbs everywhere and compares.
fn compare(verbs: &[&str]) {
    if support::is_peer() {
        return eprintln!("skipped: it is corten that is compared");
    }
    let mut problems = Vec::new();
    let mut compared = 0;
    for line in lines().into_iter().filter(|line| verbs.contains(&line.verb())) {
        let ours = observe(Peer::Corten, &line);
        for peer in [Peer::Runc, Peer::Crun] {
            if !peer.is_here() || line.is_unknown_to(peer) {
                continue;
            }
            compared += 1;
            let theirs = observe(peer, &line);
            let meant = DIFFERENCES.iter().find(|difference| difference.is_about(&line, peer));
            if let Some(problem) = judge(&line, peer, &ours, &theirs, meant.map(|difference| difference.why))
            {
                problems.push(problem);
            }
        }
    }
    println!("{verbs:?}: {compared} comparisons");
    assert!(problems.is_empty(), "{} of {compared}:\n{}", problems.len(), problems.join("\n"));
}

fn judge(line: &Line, peer: Peer, ours: &Observed, theirs: &Observed, why: Option<&str>) -> Option<String> {
    let same = ours.same(theirs);
    let about = format!("{:?} of a container that is {:?}, {peer:?}", line.words, line.state);
    match (same, why) {
        (true, None) | (false, Some(_)) => None,
        (true, Some(why)) => Some(format!("{about}: no longer differs ({why})")),
        (false, None) => Some(format!("{about}:\n    ours   {ours}\n    theirs {theirs}")),
    }
}

#[test]
fn global_options() {
    compare(&["global"]);
}

#[test]
fn create_and_run() {
    compare(&["create", "run"]);
}

#[test]
fn start_and_state() {
    compare(&["start", "state"]);
}

#[test]
fn kill_and_delete() {
    compare(&["kill", "delete"]);
}

#[test]
fn exec() {
    compare(&["exec"]);
}

#[test]
fn list_ps_and_events() {
    compare(&["list", "ps", "events"]);
}

#[test]
fn pause_and_resume() {
    compare(&["pause", "resume"]);
}

#[test]
fn update() {
    compare(&["update"]);
}

#[test]
fn spec_and_features() {
    compare(&["spec", "features"]);
}

#[test]
fn checkpoint_and_restore() {
    compare(&["checkpoint", "restore"]);
}

#[test]
fn table_is_long_and_its_differences_are_about_lines_of_it() {
    let lines = lines();
    assert!(lines.len() >= 150, "{}", lines.len());
    for difference in DIFFERENCES {
        let about =
            |line: &Line| [Peer::Runc, Peer::Crun].iter().any(|peer| difference.is_about(line, *peer));
        assert!(lines.iter().any(about), "{:?}", difference);
    }
    let states: Vec<State> = lines.iter().map(|line| line.state).collect();
    for state in [State::Unknown, State::Created, State::Running, State::Paused, State::Stopped] {
        assert!(states.contains(&state), "{state:?}");
    }
}
