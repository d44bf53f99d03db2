//! How the real clients call a runtime, call by call: the fixtures of `integration/contract/calls`, replayed.
//!
//! `integration/contract/record.py` has recorded them, two are by hand from the clients' sources. Each call has the words,
//! environment, working directory, umask, descriptors and signals that it has from its client; the runtime is killed with
//! its caller, as they ask. What callers read is looked at, and that nothing of theirs reaches the container.

mod support;

use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::runtime::{DEADLINE, dies_within, eventually, program};
use support::{Bundle, Outcome, is_peer};

/// A set of signals in `/proc/PID/status`.
const NO_SIGNALS: &str = "0000000000000000";

#[test]
fn podman_and_conmon_find_what_they_call() {
    Replay::new("podman").run();
}

#[test]
fn shim_of_containerd_finds_what_it_calls() {
    Replay::new("containerd").run();
}

#[test]
fn shim_of_containerd_2_finds_what_it_calls() {
    Replay::new("containerd-2").run();
}

#[test]
fn kubelet_by_containerd_finds_what_it_calls() {
    Replay::new("cri").run();
}

#[test]
fn dockerd_finds_what_it_calls() {
    Replay::new("docker").run();
}

#[test]
fn buildah_finds_what_it_calls() {
    Replay::new("buildah").run();
}

#[test]
fn crio_and_conmon_find_what_they_call() {
    Replay::new("crio").run();
}

/// A client's calls on one container.
struct Replay {
    bundle: Bundle,
    calls: Vec<Value>,
    /// Whether the calls name a state directory; else the runtime's own is used.
    rooted: bool,
}

impl Replay {
    fn new(client: &str) -> Self {
        let fixture = fixture(client);
        let config = match fixture["config_of"].as_str() {
            Some(other) => self::fixture(other)["config"].clone(),
            None => fixture["config"].clone(),
        };
        let mut bundle = Bundle::new();
        bundle.config = place_config(&bundle, &config);
        bundle.write_config();
        let calls = fixture["calls"].as_array().unwrap().clone();
        let rooted = calls.iter().any(|call| call["argv"].to_string().contains("@root@"));
        Self { bundle, calls, rooted }
    }

    fn run(&self) {
        let mut created = None;
        for call in &self.calls {
            let verb = verb(call);
            // Nobody asks: the program of such a client has ended by itself.
            if verb == "delete" && !self.was_killed() {
                self.end_program();
            }
            let alive = self.is_alive();
            let outcome = self.call(call);
            match verb {
                "--version" => check_version(&outcome.ok()),
                "features" => check_features(&outcome.ok()),
                "create" => created = Some(self.check_created(outcome)),
                "start" => self.check_started(outcome, created.as_ref().unwrap()),
                "state" => assert_eq!(document(&outcome.ok().stdout)["status"], "running"),
                "exec" => self.check_exec(call, outcome),
                "ps" => assert!(
                    document(&outcome.ok().stdout).as_array().unwrap().contains(&json!(self.bundle.pid()))
                ),
                "pause" => self.check_status(outcome, "paused"),
                "resume" => self.check_status(outcome, "running"),
                "update" => self.check_updated(call, outcome),
                "kill" => self.check_killed(call, outcome, alive),
                "delete" => {
                    outcome.ok();
                    assert_ne!(self.state().code, Some(0), "it is there after {call}");
                }
                other => panic!("no check for {other}"),
            }
        }
    }

    /// Runs one call as its client does.
    fn call(&self, call: &Value) -> Outcome {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "env", "--ignore-environment"]);
        for (list, option) in [("ignored", "--ignore-signal"), ("blocked", "--block-signal")] {
            let numbers = call[list].as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>();
            if !numbers.is_empty() {
                command.arg(format!("{option}={}", numbers.join(",")));
            }
        }
        for (name, value) in call["environment"].as_object().unwrap() {
            command.arg(format!("{name}={}", self.placed(value.as_str().unwrap())));
        }
        command.arg(format!("CORTENTEST={}", self.bundle.id));
        let open = call["descriptors"].as_object().unwrap().keys().filter(|number| *number > &"2".to_owned());
        let open: String = open.map(|number| format!("exec {number}<>/dev/null; ")).collect();
        command.args([
            "sh",
            "-c",
            &format!("umask {}; {open} exec \"$@\"", call["umask"].as_str().unwrap()),
            "sh",
        ]);
        command.arg(program());
        if let Some(process) = call.get("process") {
            fs::write(self.bundle.dir.join("process"), self.probing(process).to_string()).unwrap();
        }
        command.stdin(Stdio::null());
        if let Some(resources) = call.get("resources") {
            let path = self.bundle.dir.join("resources");
            fs::write(&path, resources.to_string()).unwrap();
            command.stdin(File::open(path).unwrap());
        }
        command.args(words(call).map(|word| self.placed(word)));
        command.current_dir(match call["directory"].as_str().unwrap() {
            "@bundle@" => self.bundle.path(),
            _ => self.bundle.dir.clone(),
        });
        self.bundle.finish(&mut command)
    }

    fn placed(&self, text: &str) -> String {
        let dir = &self.bundle.dir;
        let mut text =
            text.replace("@id@", &self.bundle.id).replace("@other@", &"0123456789abcdef".repeat(4));
        let files: [(&str, PathBuf); 6] = [
            ("@root@", self.bundle.root()),
            ("@bundle@", self.bundle.path()),
            ("@log@", dir.join("log.json")),
            ("@pidfile@", dir.join("pid")),
            ("@process@", dir.join("process")),
            ("@resources@", dir.join("resources")),
        ];
        for (place, path) in files {
            text = text.replace(place, path.to_str().unwrap());
        }
        text
    }

    /// The process of an `exec`, with a program that tells what it got.
    fn probing(&self, process: &Value) -> Value {
        let mut process = process.clone();
        let script = "tr '\\0' '\\n' </proc/self/environ; ls /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status; \
            echo end; exit 9";
        process["args"] = json!(["sh", "-c", script]);
        process
    }

    fn state(&self) -> Outcome {
        let mut command = Command::new(program());
        if self.rooted {
            command.arg("--root").arg(self.bundle.root());
        }
        command.args(["state", &self.bundle.id]).env("XDG_RUNTIME_DIR", "").stdin(Stdio::null());
        self.bundle.finish(&mut command)
    }

    fn check_status(&self, outcome: Outcome, expected: &str) {
        outcome.ok();
        assert_eq!(document(&self.state().ok().stdout)["status"], expected);
    }

    fn check_created(&self, outcome: Outcome) -> Outcome {
        let outcome = outcome.ok();
        let pid = fs::read_to_string(self.bundle.dir.join("pid")).unwrap();
        assert!(pid.parse::<i32>().is_ok_and(|pid| pid > 1), "the pid file holds {pid:?}");
        let state = document(&self.state().ok().stdout);
        assert_eq!((&state["status"], state["pid"].to_string()), (&json!("created"), pid));
        assert!(state["created"].as_str().unwrap().ends_with('Z'), "{state}");
        if let Some(hook) = self.bundle.config["hooks"]["prestart"].as_array().and_then(|hooks| hooks.first())
        {
            assert!(hook["path"].is_string());
            let told = document(&fs::read_to_string(self.bundle.dir.join("hook-state")).unwrap());
            assert_eq!((&told["id"], &told["pid"]), (&json!(self.bundle.id), &state["pid"]));
        }
        outcome
    }

    /// The program runs, and has nothing but what the configuration gives it.
    fn check_started(&self, outcome: Outcome, created: &Outcome) {
        outcome.ok();
        eventually(
            || created.later_stdout() == "up\n",
            || format!("\"up\", not {:?}", created.later_stdout()),
        );
        let proc = PathBuf::from(format!("/proc/{}", self.bundle.pid()));
        let environment = fs::read_to_string(proc.join("environ")).unwrap();
        self.check_environment(environment.split_terminator('\0'), &self.bundle.config["process"]);
        let mut descriptors: Vec<String> = fs::read_dir(proc.join("fd"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        descriptors.sort();
        assert_eq!(descriptors, ["0", "1", "2"]);
        let mut status = String::new();
        // A shell blocks all signals for the moments in which it forks.
        eventually(
            || {
                status = fs::read_to_string(proc.join("status")).unwrap();
                is_peer() || support::probe::status(&status, "SigBlk") == NO_SIGNALS
            },
            || "no signal blocked in the program".into(),
        );
        check_signals(&status);
    }

    /// What is in the environment is from the document, but for HOME, which a runtime may add.
    fn check_environment<'a>(&self, found: impl Iterator<Item = &'a str>, process: &Value) {
        let given: Vec<&str> =
            process["env"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let found: Vec<&str> =
            found.filter(|word| given.contains(word) || !word.starts_with("HOME=")).collect();
        assert_eq!(found, given);
    }

    fn check_exec(&self, call: &Value, outcome: Outcome) {
        if words(call).any(|word| word == "--detach") {
            let outcome = outcome.ok();
            let pid = fs::read_to_string(self.bundle.dir.join("pid")).unwrap();
            assert!(pid.parse::<i32>().is_ok(), "the pid file holds {pid:?}");
            eventually(|| outcome.later_stdout().ends_with("end\n"), || format!("the end of {outcome:#?}"));
            self.check_probe(&outcome.later_stdout(), call);
            // The container's own again.
            let state = document(&self.state().ok().stdout);
            fs::write(self.bundle.dir.join("pid"), state["pid"].to_string()).unwrap();
        } else {
            assert_eq!(outcome.code, Some(9), "{outcome:#?}");
            self.check_probe(&outcome.stdout, call);
        }
    }

    fn check_probe(&self, output: &str, call: &Value) {
        let lines: Vec<&str> = output.lines().collect();
        let zero = lines.iter().position(|line| *line == "0").unwrap_or_else(|| panic!("{output}"));
        self.check_environment(lines[..zero].iter().copied(), &call["process"]);
        // The fourth is that of ls for the directory.
        assert_eq!(lines[zero..zero + 4], ["0", "1", "2", "3"], "{output}");
        check_signals(output);
    }

    fn check_updated(&self, call: &Value, outcome: Outcome) {
        outcome.ok();
        let limit = &call["resources"]["memory"]["limit"];
        if limit.is_number() {
            let file = match support::cgroups::v1("memory") {
                Some(memory) => memory.join(&self.bundle.id).join("memory.limit_in_bytes"),
                None => Path::new("/sys/fs/cgroup").join(&self.bundle.id).join("memory.max"),
            };
            assert_eq!(fs::read_to_string(file).unwrap().trim(), limit.to_string());
        }
    }

    /// A live one gets the signal; for a dead one the words are those that callers look for, in both places.
    fn check_killed(&self, call: &Value, outcome: Outcome, alive: bool) {
        let all = words(call).any(|word| word == "--all" || word == "-a");
        if alive {
            outcome.ok();
            assert!(dies_within(self.bundle.pid(), DEADLINE), "{call} has not ended it");
        } else if !(all && outcome.code == Some(0)) {
            let outcome = outcome.fails("container not running");
            if words(call).any(|word| word == "@log@") {
                let log = fs::read_to_string(self.bundle.dir.join("log.json")).unwrap();
                let entry = document(log.lines().last().unwrap());
                assert_eq!(entry["level"], "error", "{log}");
                let message = entry["msg"].as_str().unwrap();
                assert!(is_peer() || outcome.stderr.trim_end() == message, "{message:?} and {outcome:#?}");
            }
        }
    }

    fn is_alive(&self) -> bool {
        let pid = fs::read_to_string(self.bundle.dir.join("pid")).ok().and_then(|text| text.parse().ok());
        pid.is_some_and(|pid| !dies_within(pid, std::time::Duration::ZERO))
    }

    fn was_killed(&self) -> bool {
        self.calls.iter().any(|call| verb(call) == "kill")
    }

    fn end_program(&self) {
        let pid = rustix::process::Pid::from_raw(self.bundle.pid()).unwrap();
        let _may_be_gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        self.bundle.await_death(self.bundle.pid());
    }
}

impl Drop for Replay {
    /// A test that has failed must not leave a container in the runtime's own directory.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.rooted {
            let mut command = Command::new(program());
            let _best_effort =
                command.args(["delete", "--force", &self.bundle.id]).env("XDG_RUNTIME_DIR", "").status();
        }
    }
}

fn fixture(client: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/contract/calls");
    document(&fs::read_to_string(folder.join(format!("{client}.json"))).unwrap())
}

#[track_caller]
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

fn words(call: &Value) -> impl Iterator<Item = &str> {
    call["argv"].as_array().unwrap().iter().map(|word| word.as_str().unwrap())
}

/// The verb of a call.
fn verb(call: &Value) -> &str {
    const VERBS: [&str; 12] = [
        "--version",
        "features",
        "create",
        "start",
        "state",
        "exec",
        "ps",
        "pause",
        "resume",
        "update",
        "kill",
        "delete",
    ];
    words(call).find(|word| VERBS.contains(word)).unwrap()
}

/// The configuration with this test's files in the places of the client's.
fn place_config(bundle: &Bundle, config: &Value) -> Value {
    let mut text =
        config.to_string().replace("@id@", &bundle.id).replace("@other@", &"0123456789abcdef".repeat(4));
    if text.contains("@hook@") {
        let script = format!("cat >{}", bundle.dir.join("hook-state").display());
        text = text.replace("@hook@", &bundle.host_script("hook", &script));
    }
    let mut config = document(&text);
    let sources = bundle.dir.join("sources");
    fs::create_dir(&sources).unwrap();
    for mount in config["mounts"].as_array_mut().unwrap() {
        let source = mount["source"].as_str().unwrap_or_default().to_owned();
        if let Some(name) = source.strip_prefix("@file@") {
            fs::write(sources.join(name), "").unwrap();
            mount["source"] = json!(sources.join(name));
        } else if let Some(name) = source.strip_prefix("@directory@") {
            fs::create_dir(sources.join(name)).unwrap();
            mount["source"] = json!(sources.join(name));
        }
    }
    config
}

/// Nothing of the caller's is blocked or ignored; a shell itself ignores SIGQUIT.
#[track_caller]
fn check_signals(status: &str) {
    if is_peer() {
        return; // runc 1.1 hands the caller's signals on
    }
    assert_eq!(support::probe::status(status, "SigBlk"), NO_SIGNALS);
    let ignored = u64::from_str_radix(support::probe::status(status, "SigIgn"), 16).unwrap();
    assert_eq!(ignored & !(1 << (libc::SIGQUIT - 1)), 0);
}

fn check_version(outcome: &Outcome) {
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let name = program().file_name().unwrap().to_str().unwrap().to_owned();
    assert!(lines[0].starts_with(&format!("{name} version ")), "{lines:?}");
    assert!(
        lines[1].starts_with("commit: ") && lines.iter().any(|line| line.starts_with("spec: ")),
        "{lines:?}"
    );
}

fn check_features(outcome: &Outcome) {
    let features = document(&outcome.stdout);
    let has = |list: &Value, word: &str| list.as_array().unwrap().contains(&json!(word));
    assert!(
        has(&features["mountOptions"], "rro") && has(&features["linux"]["namespaces"], "user"),
        "{features}"
    );
    assert!(is_peer() || features["linux"]["mountExtensions"]["idmap"]["enabled"] == true, "{features}");
}
