//! `system boot` over a boot. A machine is a process and a mount namespace here: its end takes all processes away in one moment, as a power
//! failure does, the store stays, and the next one has an empty `/run` and another boot id.

mod engine;

use engine::{Engine, IMAGE, support};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A boot of the machine, which runs a shell script and then loses its power; `ocictl` in it is the program with the engine's store.
fn machine(engine: &Engine, script: &str) -> String {
    let boot = engine.scratch.join("boot_id");
    fs::write(&boot, fs::read("/proc/sys/kernel/random/uuid").expect("a new one")).expect("written");
    let begin = r#"
        mount -t tmpfs run "$RUN"
        mount --bind "$BOOT" /proc/sys/kernel/random/boot_id
        ocictl() { "$PROGRAM" --root "$ROOT" --runroot "$RUN" "$@"; }
    "#;
    let run = engine.scratch.join("run");
    fs::create_dir_all(&run).expect("a directory");
    let plain = engine.command();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount", "--propagation", "private", "--mount-proc"]);
    command.args(["sh", "-ec", &format!("{begin}\n{script}")]).stdin(Stdio::null());
    support::inherit(&mut command, &plain);
    command.env("PROGRAM", plain.get_program()).env("ROOT", engine.scratch.join("root"));
    command.env("RUN", &run).env("BOOT", &boot);
    // Its end, also when it is not the one that the test wants.
    let _cgroups = Cgroups(engine);
    let output = command.output().expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}: {}: {said}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// The cgroups of containers go with a machine; here they are the host's, and go when this is dropped.
struct Cgroups<'a>(&'a Engine);

impl Drop for Cgroups<'_> {
    fn drop(&mut self) {
        for id in support::files(&self.0.scratch.join("root/containers")) {
            // Others' come and go meanwhile.
            let script = format!("find /sys/fs/cgroup -depth -type d -path '*{id}*' 2>/dev/null || true");
            let found = String::from_utf8(support::run("sh", &["-c", &script])).expect("text");
            for path in found.lines() {
                let until = Instant::now() + engine::PATIENCE;
                let gone = || fs::remove_dir(path).is_ok() || !Path::new(path).exists();
                while !gone() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(20));
                }
                // A second panic would hide the first.
                assert!(std::thread::panicking() || gone(), "{path} is not empty");
            }
        }
    }
}

/// Containers of every policy, as people leave them.
fn furnish(engine: &Engine) {
    let run = |policy: &str, name: &str, script: &str| {
        format!("ocictl run -d --restart={policy} --name {name} -v data:/data {IMAGE} sh -c '{script}'\n")
    };
    let forever = "trap \"exit 0\" TERM; echo $(hostname) >> /ran; sleep 1000 & wait";
    let mut script = String::new();
    for (policy, name) in [
        ("always", "always"),
        ("always", "always-stopped"),
        ("always", "always-emptied"),
        ("unless-stopped", "unless"),
        ("unless-stopped", "unless-stopped"),
        ("on-failure", "failure"),
        ("on-failure", "failure-stopped"),
        ("no", "never"),
    ] {
        script += &run(policy, name, forever);
    }
    script += &run("on-failure", "done", "true");
    script += &format!("ocictl run -d --rm --name gone {IMAGE} sleep 1000\n");
    script += &format!("ocictl create --restart=always --name created {IMAGE} sleep 1000\n");
    script += "ocictl stop -t 0 always-stopped unless-stopped failure-stopped\nocictl wait done\n";
    // What is acknowledged is there: each has run for long enough to say so.
    script += "for name in always always-emptied unless failure never; do
        until ocictl exec $name test -s /ran; do sleep 0.05; done; done\n";
    machine(engine, &script);
}

/// What runs after a boot: what `system boot` said, and what `ps` says.
fn after_boot(engine: &Engine, more: &str) -> (Vec<String>, Vec<String>) {
    let said = machine(
        engine,
        &format!(
            "ocictl system boot; echo --; ocictl ps --format '{{{{.Names}}}}'; echo --; ocictl system boot
             ocictl system check >&2
             for name in $(ocictl ps --format '{{{{.Names}}}}'); do ocictl exec $name grep -q . /ran; done
             {more}"
        ),
    );
    let mut parts = said.split("--\n");
    let mut names = || {
        let mut names: Vec<String> =
            parts.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    };
    let (started, running, again) = (names(), names(), names());
    assert_eq!(
        again,
        Vec::<String>::new(),
        "what runs is not started again, and what was shut down does not run"
    );
    (started, running)
}

const SHOULD_RUN: [&str; 5] = ["always", "always-emptied", "always-stopped", "failure", "unless"];

/// The end of all machines.
fn clear(engine: &Engine) {
    machine(engine, "ocictl rm -a -f -v; ocictl volume rm data; ocictl system check");
    assert!(engine.leftovers().is_empty(), "{:?}", engine.leftovers());
}

#[test]
fn what_should_run_runs_again_after_the_power_failed() {
    let engine = Engine::new("boot-power");
    furnish(&engine);
    // A file system may have the newest state's name on disk, and not its bytes.
    let id = link(&engine, "always-emptied");
    fs::write(engine.scratch.join("root/containers").join(&id).join("state.json"), "").expect("emptied");
    let (started, running) = after_boot(&engine, "");
    assert_eq!(started, SHOULD_RUN);
    assert_eq!(running, SHOULD_RUN);
    // What died with `--rm` is gone, and what ran without a policy is told to have ended.
    let said = machine(&engine, "ocictl system boot >&2; ocictl ps -a --format '{{.Names}} {{.State}}'");
    let state = |name: &str| said.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    assert_eq!(state("gone"), None, "{said}");
    for (name, wanted) in
        [("never", "exited"), ("created", "created"), ("done", "exited"), ("always", "running")]
    {
        assert_eq!(state(name), Some(wanted), "{name}: {said}");
    }
    clear(&engine);
}

#[test]
fn what_should_run_runs_again_after_an_orderly_shutdown() {
    let engine = Engine::new("boot-orderly");
    furnish(&engine);
    let (started, _) = after_boot(&engine, "ocictl system shutdown >&2; ocictl ps -q");
    assert_eq!(started, SHOULD_RUN);
    // Nobody has stopped them: the machine has.
    let ended =
        |name: &str| machine(&engine, &format!("ocictl inspect --format '{{{{.State.ExitCode}}}}' {name}"));
    assert_eq!(ended("unless").trim(), "0", "it was asked to end, and did");
    let (started, running) = after_boot(&engine, "");
    // What was on-failure and has ended well is done.
    let wanted: Vec<&str> = SHOULD_RUN.into_iter().filter(|name| *name != "failure").collect();
    assert_eq!(started, wanted);
    assert_eq!(running, wanted);
    clear(&engine);
}

#[test]
fn a_shutdown_asks_all_before_it_waits_for_any() {
    let engine = Engine::new("boot-deaf");
    let deaf = ["sh", "-c", "trap '' TERM; sleep 1000"];
    for number in 0..5 {
        let name = format!("deaf{number}");
        engine.ok(&[
            &["run", "-d", "--name", &name, "--stop-timeout=6", "--restart=unless-stopped", IMAGE],
            &deaf[..],
        ]
        .concat());
    }
    let begun = std::time::Instant::now();
    engine.ok(&["system", "shutdown"]);
    // One after the other would be thirty.
    assert!(begun.elapsed().as_secs() < 24, "{:?}", begun.elapsed());
    assert_eq!(engine.ok(&["ps", "-q"]), "");
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

/// The id that a name leads to.
fn link(engine: &Engine, name: &str) -> String {
    let link = engine.scratch.join("root/container-names").join(name);
    let id = fs::read_link(Path::new(&link)).expect("a name");
    id.to_str().expect("an id").to_owned()
}
