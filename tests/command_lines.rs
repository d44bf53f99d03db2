//! Command lines under corten and under Debian's runc and crun: the same exit code, the same class of message, the same keys in
//! what is printed as JSON, the same files.
//!
//! `command_lines/table.rs` has the lines, and every difference that is meant, with its reason and with what ours do. One that is
//! gone fails the test, as does one that is not listed, and a message that is in no class.

#[path = "command_lines/observe.rs"]
mod observe;
mod support;
#[path = "command_lines/table.rs"]
mod table;

use observe::{Class, Observed, Peer, observe};
use table::{DIFFERENCES, Difference, Line, State, lines};

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
            problems.extend(judge(&line, peer, &ours, &theirs, meant));
        }
    }
    println!("{verbs:?}: {compared} comparisons");
    assert!(problems.is_empty(), "{} of {compared}:\n{}", problems.len(), problems.join("\n"));
}

fn judge(
    line: &Line,
    peer: Peer,
    ours: &Observed,
    theirs: &Observed,
    meant: Option<&Difference>,
) -> Option<String> {
    let about = format!("{:?} of a container that is {:?}, {peer:?}", line.words, line.state);
    let shown = format!("\n    ours   {ours}\n    theirs {theirs}");
    if ours.class == Class::Other {
        return Some(format!("{about}: what ours say is in no class, so that nothing is compared{shown}"));
    }
    match (ours.same(theirs), meant) {
        (true, None) => None,
        (true, Some(difference)) => Some(format!("{about}: no longer differs ({})", difference.why)),
        (false, None) => Some(format!("{about}:{shown}")),
        // It may differ, but not in any way.
        (false, Some(difference)) => {
            let (code, class) = difference.pinned(line)?;
            let is_as_said = (ours.code, ours.class) == (Some(code), class);
            (!is_as_said).then(|| format!("{about}: was to be {code} {class:?}{shown}"))
        }
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
    for (peer, least) in [(Peer::Runc, 300), (Peer::Crun, 250)] {
        let compared = lines.iter().filter(|line| !line.is_unknown_to(peer)).count();
        let same = |line: &&Line| !DIFFERENCES.iter().any(|difference| difference.is_about(line, peer));
        let the_same = lines.iter().filter(|line| !line.is_unknown_to(peer)).filter(same).count();
        println!("{peer:?}: {compared} of {} lines, {the_same} the same", lines.len());
        assert!(compared >= least, "{peer:?}: {compared}");
    }
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
