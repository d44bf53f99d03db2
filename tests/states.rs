//! Every verb in every state of a container: the exit code, the class of the message, and the state afterwards.
//!
//! runtime.md, "State" and "Operations". What a verb does where the state allows it is tested in the verb's own file.

mod support;

use State::{Created, Creating, Paused, Running, Stopped, Torn, Unknown};
use serde_json::json;
use std::fs;
use support::runtime::{self, Running as Command};
use support::{Bundle, Outcome, cgroups, skip_on_peer};

/// What a container is before the verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
    /// Its record cannot be read.
    Torn,
}

/// What becomes of the verb.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// It succeeds, and the state stays.
    Ok,
    /// It succeeds, and this is the state then.
    To(State),
    /// It fails with these words, and the state stays.
    Fails(&'static str),
}

use Expected::{Fails, Ok, To};

const NONE: Expected = Fails("container does not exist");
const TAKEN: Expected = Fails("container with given ID already exists");
const ENDED: Expected = Fails("container not running");
const NOT_PAUSED: Expected = Fails("container not paused");
const TORN: Expected = Fails("state.json");

const STATES: [State; 7] = [Unknown, Creating, Created, Running, Paused, Stopped, Torn];

/// A line, and what becomes of it in each of [`STATES`].
type Row = (&'static str, [Expected; 7]);

const TABLE: &[Row] = &[
    ("create --bundle bundle NAME", [To(Created), TAKEN, TAKEN, TAKEN, TAKEN, TAKEN, TAKEN]),
    ("run --detach --bundle bundle NAME", [To(Running), TAKEN, TAKEN, TAKEN, TAKEN, TAKEN, TAKEN]),
    (
        "restore --criu /nowhere --detach --bundle bundle --image-path images NAME",
        [Fails("/nowhere: missing"), TAKEN, TAKEN, TAKEN, TAKEN, TAKEN, TAKEN],
    ),
    (
        "start NAME",
        [
            NONE,
            Fails("cannot start a container that is creating"),
            To(Running),
            Fails("cannot start an already running container"),
            Fails("cannot start a container that is paused"),
            Fails("cannot start a container that has stopped"),
            TORN,
        ],
    ),
    ("state NAME", [NONE, Ok, Ok, Ok, Ok, Ok, TORN]),
    ("list", [Ok, Ok, Ok, Ok, Ok, Ok, Ok]),
    ("kill NAME 0", [NONE, ENDED, Ok, Ok, Ok, ENDED, TORN]),
    ("kill NAME KILL", [NONE, ENDED, To(Stopped), To(Stopped), To(Stopped), ENDED, TORN]),
    // That of an ended container is no error: podman and containerd count on it.
    ("kill --all NAME KILL", [NONE, ENDED, To(Stopped), To(Stopped), To(Stopped), Ok, TORN]),
    ("kill --regex ^NAME$ KILL", [Ok, ENDED, To(Stopped), To(Stopped), To(Stopped), ENDED, TORN]),
    (
        "delete NAME",
        [
            NONE,
            Fails("cannot delete container NAME that is not stopped: creating"),
            To(Unknown),
            Fails("cannot delete container NAME that is not stopped: running"),
            Fails("cannot delete container NAME that is not stopped: paused"),
            To(Unknown),
            TORN,
        ],
    ),
    (
        "delete --force NAME",
        [Ok, To(Unknown), To(Unknown), To(Unknown), To(Unknown), To(Unknown), To(Unknown)],
    ),
    (
        "delete --regex ^NAME$",
        [
            Ok,
            Fails("cannot delete container NAME that is not stopped: creating"),
            To(Unknown),
            Fails("cannot delete container NAME that is not stopped: running"),
            Fails("cannot delete container NAME that is not stopped: paused"),
            To(Unknown),
            TORN,
        ],
    ),
    (
        "exec NAME true",
        [
            NONE,
            Fails("cannot exec in a container that is being created"),
            Ok,
            Ok,
            Fails("cannot exec in a paused container (use --ignore-paused to override)"),
            Fails("cannot exec in a stopped container"),
            TORN,
        ],
    ),
    ("ps NAME", [NONE, Ok, Ok, Ok, Ok, Ok, TORN]),
    ("ps --format json NAME", [NONE, Ok, Ok, Ok, Ok, Ok, TORN]),
    ("events --stats NAME", [NONE, ENDED, Ok, Ok, Ok, ENDED, TORN]),
    ("pause NAME", [NONE, ENDED, To(Paused), To(Paused), ENDED, ENDED, TORN]),
    ("resume NAME", [NONE, NOT_PAUSED, NOT_PAUSED, NOT_PAUSED, To(Running), NOT_PAUSED, TORN]),
    ("update --pids-limit 50 NAME", [NONE, ENDED, Ok, Ok, Ok, ENDED, TORN]),
    ("mounts add NAME mounts.json", [NONE, ENDED, ENDED, Ok, Ok, ENDED, TORN]),
    (
        "mounts remove NAME mounts.json",
        [
            NONE,
            ENDED,
            ENDED,
            Fails("unmount \"/scratch\": missing"),
            Fails("unmount \"/scratch\": missing"),
            ENDED,
            TORN,
        ],
    ),
    // No CRIU is asked: what the states allow ends there; `checkpoint.rs` and `restore.rs` go on.
    (
        "checkpoint --criu /nowhere --image-path images NAME",
        [
            NONE,
            Fails("container cannot be checkpointed in creating state"),
            Fails("container cannot be checkpointed in created state"),
            Fails("/nowhere: missing"),
            Fails("/nowhere: missing"),
            Fails("container cannot be checkpointed in stopped state"),
            TORN,
        ],
    ),
];

/// A container in a state, with what else the lines name.
struct Stage {
    bundle: Bundle,
    /// Its `create`, while it is held.
    creator: Option<Command>,
}

impl Stage {
    #[track_caller]
    fn set(state: State) -> Self {
        let mut bundle = Bundle::sleeper();
        let mounts = json!([{ "destination": "/scratch", "type": "tmpfs", "source": "tmpfs" }]);
        fs::write(bundle.dir.join("mounts.json"), mounts.to_string()).unwrap();
        fs::create_dir(bundle.dir.join("images")).unwrap();
        fs::create_dir(bundle.root()).unwrap();
        bundle.write_config();
        let mut creator = None;
        match state {
            Unknown => {}
            Creating => creator = Some(bundle.begin_create()),
            _ => drop(bundle.create().ok()),
        }
        if matches!(state, Running | Paused | Stopped | Torn) {
            bundle.start().ok();
        }
        match state {
            Paused => drop(bundle.call(&["pause", &bundle.id]).ok()),
            Stopped | Torn => {
                bundle.kill("KILL").ok();
                bundle.await_death(bundle.pid());
            }
            _ => {}
        }
        if state == Torn {
            fs::write(bundle.root().join(&bundle.id).join("state.json"), "{").unwrap();
        }
        Self { bundle, creator }
    }

    /// Runs a line; a forced delete while the creator is let go, since it waits for it.
    fn call(&mut self, line: &str) -> Outcome {
        let words: Vec<String> = line.split(' ').map(|word| word.replace("NAME", &self.bundle.id)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let running = self.bundle.begin(&mut self.bundle.command(&words));
        if line == "delete --force NAME"
            && let Some(creator) = self.creator.take()
        {
            // Init is killed first, which the creator finds when its hook has ended.
            let child = || fs::read_to_string(format!("/proc/{0}/task/{0}/children", creator.pid())).unwrap();
            runtime::eventually(
                || child().split_whitespace().all(|pid| pid.parse().is_ok_and(|pid| !is_init(pid))),
                || format!("init of {} is killed", creator.pid()),
            );
            self.bundle.let_go();
            let outcome = running.finish();
            assert_eq!(creator.finish().code, Some(1), "its container was deleted");
            return outcome;
        }
        running.finish()
    }

    fn state(&self) -> State {
        let outcome = self.bundle.call(&["state", &self.bundle.id]);
        let of = |name: &str| STATES.into_iter().find(|state| format!("{state:?}").to_lowercase() == name);
        match serde_json::from_str::<serde_json::Value>(&outcome.stdout) {
            Result::Ok(state) => of(state["status"].as_str().unwrap()).expect("a state that we know"),
            Err(_) if outcome.stderr.contains("state.json") => Torn,
            Err(_) => {
                outcome.fails("container does not exist");
                Unknown
            }
        }
    }

    fn clear(mut self, state: State) {
        if let Some(creator) = self.creator.take() {
            self.bundle.let_go();
            creator.finish().ok();
            assert_eq!(self.state(), Created, "its making goes on");
        }
        self.bundle.delete_force().ok();
        // What a record that cannot be read does not tell of any more is told to be left.
        for path in cgroups::named(&self.bundle.id).iter().filter(|_| state == Torn) {
            fs::remove_dir(path).unwrap();
        }
    }
}

/// Whether it lives and is no program yet, but the runtime's own.
fn is_init(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let runs = !status.is_empty() && !status.contains("\nState:\tZ");
    runs && fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("create")
}

/// What is wrong with what became of a line, if anything is.
fn problem(line: &str, state: State, expected: Expected) -> Option<String> {
    let mut stage = Stage::set(state);
    let outcome = stage.call(line);
    let verb = line.split(' ').next().unwrap();
    let failure = if verb == "exec" { 255 } else { 1 };
    if let (To(Stopped), Some(0)) = (expected, outcome.code) {
        stage.bundle.await_death(stage.bundle.pid());
    }
    let after = stage.state();
    let (code, words, wanted) = match expected {
        Ok => (0, "", state),
        To(wanted) => (0, "", wanted),
        Fails(words) => (failure, words, state),
    };
    let words = words.replace("NAME", &stage.bundle.id);
    let mut lines = outcome.stderr.lines();
    let first = lines.next().unwrap_or_default();
    let is_told_once = lines.all(|line| line.starts_with("  hint: "));
    let is_named = code == 0 || first.strip_prefix(verb).is_some_and(|rest| rest.starts_with([' ', ':']));
    let tells_what_may_be_left = (state, verb) == (Torn, "delete") && outcome.stderr.contains("may be left");
    let warns = (state, verb) == (Torn, "list") && outcome.stderr.starts_with("warning: list: ");
    let is_silent = code != 0 || outcome.stderr.is_empty() || tells_what_may_be_left || warns;
    let is_right = outcome.code == Some(code)
        && first.contains(&words)
        && (is_told_once, is_named, is_silent, after) == (true, true, true, wanted);
    stage.clear(state);
    (!is_right).then(|| {
        format!("{line}, {state:?}: {:?} and {after:?}, not {expected:?}: {}", outcome.code, outcome.stderr)
    })
}

fn every_verb_in(state: State) {
    if skip_on_peer("the words are ours; command_lines.rs compares classes") {
        return;
    }
    let column = STATES.iter().position(|known| *known == state).unwrap();
    let problems: Vec<String> =
        TABLE.iter().filter_map(|(line, expected)| problem(line, state, expected[column])).collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), TABLE.len(), problems.join("\n"));
}

#[test]
fn every_verb_of_a_container_that_does_not_exist() {
    every_verb_in(Unknown);
}

#[test]
fn every_verb_of_a_container_that_is_being_created() {
    every_verb_in(Creating);
}

#[test]
fn every_verb_of_a_created_container() {
    every_verb_in(Created);
}

#[test]
fn every_verb_of_a_running_container() {
    every_verb_in(Running);
}

#[test]
fn every_verb_of_a_paused_container() {
    every_verb_in(Paused);
}

#[test]
fn every_verb_of_a_stopped_container() {
    every_verb_in(Stopped);
}

#[test]
fn every_verb_of_a_container_whose_record_cannot_be_read() {
    every_verb_in(Torn);
}

#[test]
fn table_has_every_verb_that_is_about_a_container() {
    if skip_on_peer("the verbs are ours") {
        return;
    }
    let bundle = Bundle::new();
    let help = bundle.call(&["--help"]).ok().stdout;
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = verbs.take_while(|line| !line.is_empty()).map(|line| line.split_whitespace().next().unwrap());
    let mut known = 0;
    for verb in verbs.filter(|verb| !["features", "spec", "plan", "info"].contains(verb)) {
        assert!(
            TABLE.iter().any(|(line, _)| line.split(' ').next() == Some(verb)),
            "{verb} is not in the table"
        );
        known += 1;
    }
    assert!(known >= 16, "{help}");
}
