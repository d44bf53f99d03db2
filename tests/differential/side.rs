//! One side of a comparison: a case under one runtime, from `create` to `delete`, and what is seen meanwhile.

use super::case::{Case, View, Way};
use super::sight::{Sight, member_text};
use super::support::holder::Holder;
use super::support::runtime::{DEADLINE, dies_within};
use super::support::{Bundle, Outcome, leaks, probe, terminal};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::Path;

/// The ordinary user: of no passwd, with one mapped id.
pub const USER: u32 = 4711;

/// Runs the case under the runtime and tells what was seen.
pub fn look(case: &Case, runtime: &Path) -> Sight {
    let mut bundle = Bundle::new();
    bundle.runtime = runtime.to_owned();
    (case.edit)(&mut bundle);
    let holder = case.holder.map(Holder::with);
    if let Some(holder) = &holder {
        let text = bundle.config.to_string().replace("HOLDER", &holder.pid().to_string());
        bundle.config = serde_json::from_str(&text).unwrap();
    }
    set_payload(&mut bundle, case);
    if case.by_user {
        chown(&bundle.dir, Some(USER), Some(USER)).unwrap();
        chown(bundle.path(), Some(USER), Some(USER)).unwrap();
        bundle.chown_rootfs(USER);
    }
    let mut sight = Sight::new(&bundle);
    let caller = Caller { case, bundle: &bundle };
    let output = match case.way {
        Way::Init => caller.life(&mut sight),
        Way::Run => caller.run(&mut sight),
        Way::Exec(options) => caller.exec(options, &mut sight),
    };
    if let Some(output) = output {
        sight.inside(&output, holder.as_ref().map(Holder::pid));
    }
    if let Ok(log) = fs::read_to_string(bundle.dir.join("hooks")) {
        super::hooks::read(&log, &mut sight);
    }
    sight.rootfs(&bundle);
    drop(holder);
    leftovers(&bundle, &mut sight);
    sight
}

/// A payload of the case's own is kept; the others look around.
fn set_payload(bundle: &mut Bundle, case: &Case) {
    let script = format!("{}\n{}", probe::SCRIPT, case.more);
    match case.way {
        Way::Exec(_) => {
            bundle.script("sleep 100");
            bundle.executable("bin/probe", &format!("#!/bin/sh\n{script}"));
        }
        _ if bundle.config["process"]["args"] == json!(["true"]) => {
            bundle.script(&script);
        }
        _ => {}
    }
}

/// What is left is told of, so that it is compared, and swept after.
fn leftovers(bundle: &Bundle, sight: &mut Sight) {
    let left = leaks::await_nothing(bundle);
    let kinds: Vec<&str> = left.iter().filter_map(|line| line.split(' ').next()).collect();
    sight.put("left behind", kinds.join(" "));
    if !left.is_empty() {
        leaks::sweep(bundle);
        let _ = fs::remove_dir_all(bundle.root());
    }
}

/// Who calls a runtime for a bundle, and where.
struct Caller<'a> {
    case: &'a Case,
    bundle: &'a Bundle,
}

impl Caller<'_> {
    /// A verb in a mount namespace with the cgroup file systems of the case.
    fn call(&self, before: &str, words: &[&str]) -> Outcome {
        let view = match self.case.view {
            View::V1 => {
                "if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; \
                mount -t tmpfs none /sys/fs/cgroup/unified; fi"
            }
            View::V2 => "[ -e /sys/fs/cgroup/cgroup.controllers ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        };
        let user = if self.case.by_user {
            format!(
                "-u XDG_RUNTIME_DIR setpriv --reuid {USER} --regid {USER} --clear-groups --bounding-set +all"
            )
        } else {
            String::new()
        };
        let before = if before.is_empty() { "true" } else { before };
        let script = format!(
            "{view}\nD={}\n{before}\nexec env --default-signal {user} \"$@\"",
            self.bundle.dir.display()
        );
        let wrapper = crate::support::runtime::private_mounts(&script);
        let mut command = self.bundle.command_under(&wrapper, words);
        // crun gives its stdin to the container's user, and `/dev/null` is the machine's.
        command.stdin(File::create(self.bundle.dir.join("io/empty")).unwrap());
        self.bundle.finish(&mut command)
    }

    fn write_config(&self) {
        self.bundle.write_config();
        if let Some((from, to)) = self.case.text {
            let path = self.bundle.path().join("config.json");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{from} is in {text}");
            fs::write(path, text.replace(from, to)).unwrap();
        }
    }

    fn verb(&self, name: &str) -> Outcome {
        self.call("", &[name, &self.bundle.id])
    }

    fn create(&self, sight: &mut Sight, options: &[&str]) -> Option<Outcome> {
        self.write_config();
        // crun writes a relative one into the bundle.
        let pid_file = self.bundle.dir.join("pid");
        let fixed = ["create", "--bundle", "bundle", "--pid-file", pid_file.to_str().unwrap()];
        let outcome = self.call(self.case.before, &[&fixed, options, &[self.bundle.id.as_str()]].concat());
        note(sight, "create", &outcome);
        (outcome.code == Some(0)).then_some(outcome)
    }

    /// `create`, a look from outside, `start`, the end, `delete`: what the payload printed.
    fn life(&self, sight: &mut Sight) -> Option<String> {
        let socket = self.bundle.dir.join("console.sock");
        let listener = (self.bundle.config["process"]["terminal"] == true).then(|| terminal::listen(&socket));
        let option = ["--console-socket", socket.to_str().unwrap()];
        let created = self.create(sight, if listener.is_some() { &option } else { &[] })?;
        let pid = self.bundle.pid();
        self.state(sight, "created");
        sight.cgroups(pid);
        let console = listener.map(|listener| terminal::receive(&listener));
        let start = self.verb("start");
        note(sight, "start", &start);
        if start.code == Some(0) {
            let output = console.map(|mut console| terminal::drain(console.descriptors.pop().unwrap()));
            let words: &[&str] =
                if dies_within(pid, DEADLINE) { &["delete"] } else { &["delete", "--force"] };
            sight.put("ends", if words.len() == 1 { "by itself" } else { "never" });
            self.state(sight, "ended");
            note(sight, "delete", &self.call("", &[words, &[self.bundle.id.as_str()]].concat()));
            Some(output.unwrap_or_else(|| created.later_stdout()))
        } else {
            let forced = self.call("", &["delete", "--force", &self.bundle.id]);
            note(sight, "delete", &forced);
            None
        }
    }

    fn run(&self, sight: &mut Sight) -> Option<String> {
        self.write_config();
        let outcome = self.call(self.case.before, &["run", "--bundle", "bundle", &self.bundle.id]);
        sight.put("exit code", format!("{:?} {:?}", outcome.code, outcome.signal));
        Some(outcome.stdout)
    }

    fn exec(&self, options: &[&str], sight: &mut Sight) -> Option<String> {
        self.create(sight, &[])?;
        self.verb("start").ok();
        let words = [&["exec"], options, &[self.bundle.id.as_str(), "/bin/probe"]].concat();
        let outcome = self.call("", &words);
        sight.put("exit code", format!("{:?}", outcome.code));
        let pid = self.bundle.pid();
        self.call("", &["kill", &self.bundle.id, "KILL"]).ok();
        self.bundle.await_death(pid);
        self.verb("delete").ok();
        Some(outcome.stdout)
    }

    /// What `state` says, but for what names the runtime.
    fn state(&self, sight: &mut Sight, when: &str) {
        let outcome = self.verb("state");
        let Ok(state) = serde_json::from_str::<Value>(&outcome.stdout) else {
            sight.put(format!("{when}: state"), format!("{:?}", outcome.code));
            return;
        };
        let pid = state["pid"].as_i64().unwrap_or(-1);
        let pid = if pid == i64::from(self.bundle.pid()) {
            "that of the pid file".to_owned()
        } else {
            pid.to_string()
        };
        sight.put(format!("{when}: pid"), pid);
        for member in ["id", "status", "bundle", "rootfs", "annotations", "owner"] {
            sight.put(format!("{when}: {member}"), member_text(&state[member]));
        }
    }
}

fn note(sight: &mut Sight, verb: &str, outcome: &Outcome) {
    sight.put(verb, if outcome.code == Some(0) { "done" } else { "refused" });
    if std::env::var_os("DIFFERENTIAL_SAYS").is_some() && !outcome.stderr.is_empty() {
        eprintln!("{verb}: {}", outcome.stderr);
    }
}
