//! A bundle whose container is the probe, one life of it, and what the probe answered.

use crate::support::{Bundle, Outcome};
use rustix::fs::Access;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The probe on this machine, beside the suite's own program.
pub fn probe() -> PathBuf {
    let path = std::env::current_exe().expect("the suite's own path").with_file_name("probe");
    rustix::fs::access(&path, Access::EXEC_OK).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// A bundle whose container takes these steps and ends.
pub fn bundle(steps: &[&str]) -> Bundle {
    let mut bundle = Bundle::on(make_rootfs);
    bundle.steps(steps);
    bundle
}

/// A bundle whose container stays until it gets SIGTERM (or is killed).
pub fn sleeper() -> Bundle {
    bundle(&["mark /tmp/up 15"])
}

/// A bundle with a bind mount that has no source, whose program would leave a trace.
pub fn unappliable() -> Bundle {
    let mut bundle = bundle(&["write /tmp/ran yes"]);
    bundle.mount("/mnt", "none", "/nowhere/at/all", &["bind"]);
    bundle
}

fn make_rootfs(rootfs: &Path) {
    for name in ["dev", "etc", "mnt", "proc", "sys", "tmp"] {
        fs::create_dir_all(rootfs.join(name)).unwrap();
    }
    fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::copy(probe(), rootfs.join("probe")).unwrap();
}

/// What the probe answered, step by step.
#[derive(Debug)]
pub struct Answers(Vec<Value>);

impl Answers {
    /// Parses the probe's output.
    pub fn of(output: &str) -> Self {
        Self(output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The value of a step; the step must have succeeded.
    #[track_caller]
    pub fn value(&self, step: usize) -> &Value {
        let answer = self.0.get(step).unwrap_or_else(|| panic!("no answer to step {step}: {self:?}"));
        answer.get("value").unwrap_or_else(|| panic!("step {step} failed: {self:?}"))
    }

    /// The text of a step that has succeeded.
    #[track_caller]
    pub fn text(&self, step: usize) -> &str {
        self.value(step).as_str().unwrap_or_else(|| panic!("step {step} answered no text: {self:?}"))
    }

    /// The errno of a step, 0 if it has succeeded.
    #[track_caller]
    pub fn errno(&self, step: usize) -> i32 {
        let answer = self.0.get(step).unwrap_or_else(|| panic!("no answer to step {step}: {self:?}"));
        answer.get("errno").map_or(0, |errno| i32::try_from(errno.as_i64().unwrap()).unwrap())
    }

    /// How many steps were answered.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The suite's own verbs for a bundle.
pub trait Play {
    /// Makes the steps the container's program.
    fn steps(&mut self, steps: &[&str]) -> &mut Bundle;
    /// create, start, the end of the program, delete: what the probe answered.
    #[track_caller]
    fn play(&self) -> Answers;
    /// The same, created below a wrapper (`unshare --mount …`).
    #[track_caller]
    fn play_under(&self, wrapper: &[&str]) -> Answers;
    /// The arguments of `create`.
    fn create_words(&self) -> Vec<String>;
    /// Sets the steps and plays.
    #[track_caller]
    fn ask(&mut self, steps: &[&str]) -> Answers;
    /// Asserts that `create` fails, with a message, and that nothing comes to be.
    #[track_caller]
    fn refused(&self) -> Outcome;
    /// Asserts that create and start together fail, whichever of them, and deletes what may be left of it.
    #[track_caller]
    fn refused_by_start(&self);
    /// create and start of a sleeper, until it is up.
    #[track_caller]
    fn up(&self) -> Outcome;
    /// Adds a hook that records itself under a name. `startContainer` finds the probe inside, the others on the host.
    fn hook(&mut self, kind: &str, name: &str) -> &mut Bundle;
    /// Adds a hook that fails.
    fn failing_hook(&mut self, kind: &str) -> &mut Bundle;
    /// What the hooks have recorded.
    fn hooks(&self) -> Vec<Value>;
    /// Gives a capability to all sets that the container has.
    fn capability(&mut self, name: &str) -> &mut Bundle;
}

impl Play for Bundle {
    fn steps(&mut self, steps: &[&str]) -> &mut Bundle {
        let words: Vec<&str> = [&["/probe"], steps].concat();
        self.set("/process/args", json!(words))
    }

    fn play(&self) -> Answers {
        let outcome = self.create().ok();
        self.start().ok();
        self.await_and_delete();
        Answers::of(&outcome.later_stdout())
    }

    fn play_under(&self, wrapper: &[&str]) -> Answers {
        self.write_config();
        let words = self.create_words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let outcome = self.finish(&mut self.command_under(wrapper, &words)).ok();
        self.start().ok();
        self.await_and_delete();
        Answers::of(&outcome.later_stdout())
    }

    fn create_words(&self) -> Vec<String> {
        ["create", "--bundle", "bundle", "--pid-file", &self.pid_file(), &self.id].map(str::to_owned).to_vec()
    }

    fn ask(&mut self, steps: &[&str]) -> Answers {
        self.steps(steps);
        self.play()
    }

    fn refused(&self) -> Outcome {
        let outcome = self.create();
        if outcome.code == Some(0) {
            // What must not have come to be goes away, so that the message is about this and not about what is left.
            self.delete_force();
            panic!("create succeeds");
        }
        assert!(!outcome.stderr.trim().is_empty(), "create fails without a word");
        assert_ne!(self.call(&["state", &self.id]).code, Some(0), "state knows what create refused");
        outcome
    }

    fn refused_by_start(&self) {
        let created = self.create();
        if created.code == Some(0) {
            let started = self.start();
            self.delete_force();
            assert_ne!(started.code, Some(0), "create and start succeed");
            assert!(!started.stderr.trim().is_empty(), "start fails without a word");
        }
    }

    fn up(&self) -> Outcome {
        let outcome = self.create().ok();
        self.start().ok();
        let mark = self.rootfs().join("tmp/up");
        crate::support::runtime::eventually(|| mark.exists(), || format!("the program is up: {outcome:?}"));
        outcome
    }

    fn hook(&mut self, kind: &str, name: &str) -> &mut Bundle {
        let (path, file) = if kind == "startContainer" {
            ("/probe".to_owned(), "/tmp/hooks".to_owned())
        } else {
            (probe().display().to_string(), self.rootfs().join("tmp/hooks").display().to_string())
        };
        let step = format!("hook {file} {name}");
        self.push(
            &format!("/hooks/{kind}"),
            json!({ "path": path, "args": ["probe", step], "env": ["HOOK=yes"] }),
        )
    }

    fn failing_hook(&mut self, kind: &str) -> &mut Bundle {
        let path = if kind == "startContainer" { "/probe".to_owned() } else { probe().display().to_string() };
        self.push(&format!("/hooks/{kind}"), json!({ "path": path, "args": ["probe", "fail"] }))
    }

    fn hooks(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.rootfs().join("tmp/hooks")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn capability(&mut self, name: &str) -> &mut Bundle {
        for set in ["bounding", "permitted", "effective"] {
            self.push(&format!("/process/capabilities/{set}"), json!(name));
        }
        self
    }
}

/// The link of a namespace of a process of this machine.
#[track_caller]
pub fn namespace(process: &str, kind: &str) -> String {
    let path = format!("/proc/{process}/ns/{kind}");
    fs::read_link(&path).unwrap_or_else(|error| panic!("{path}: {error}")).display().to_string()
}
