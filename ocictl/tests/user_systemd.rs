//! Limits of an ordinary user's containers by his own systemd. There is none on most machines of developers' sandboxes; the test host has
//! one (`integration/host/run.sh user_systemd`), for the user with uid 1000.

mod engine;

use engine::{Engine, IMAGE, runtime, support};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const USER: u32 = 1000;

/// A shell of the user, as in a session; what it printed. Nothing where he has no systemd.
fn in_session(engine: &Engine, session: bool, script: &str) -> Option<String> {
    let run = format!("/run/user/{USER}");
    if fs::metadata(format!("{run}/systemd/private")).is_err() {
        println!("skipped: there is no systemd of an ordinary user here");
        return None;
    }
    let home = engine.scratch.path.to_str().expect("text");
    let plain = engine.command();
    let place = engine.scratch.join("path");
    fs::create_dir_all(&place).expect("a directory");
    // Where he may execute them.
    for (from, to) in [(plain.get_program().into(), "ocictl"), (runtime(), "corten")] {
        fs::copy(&from, place.join(to)).expect("copied");
        fs::set_permissions(place.join(to), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    support::run("chown", &["-R", &format!("{USER}:{USER}"), home]);
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1000", "--regid", "1000", "--init-groups", "sh", "-ec", script]);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{}:{path}", place.display()))
        .env("HOME", home)
        .env("OCICTL_ROOT", engine.scratch.join("root"))
        .env("OCICTL_RUNROOT", engine.scratch.join("run"))
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env_remove("XDG_RUNTIME_DIR")
        .current_dir(&engine.scratch.path);
    if session {
        command.env("XDG_RUNTIME_DIR", run);
    }
    let output = command.output().expect("setpriv starts");
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}{said}");
    Some(format!("{printed}{said}"))
}

fn with_archive(name: &str) -> Engine {
    let engine = Engine::empty(name);
    fs::write(engine.scratch.join("root.tar"), support::tar_of(&engine.tree())).expect("written");
    engine
}

#[test]
fn limits_are_those_of_a_scope_of_the_users_systemd() {
    let engine = with_archive("user-systemd");
    let script = format!(
        r#"
        ocictl import -q root.tar {IMAGE} > /dev/null
        id=$(ocictl run -d --name c -m 64m --pids-limit 30 {IMAGE} sleep 1000)
        cgroup=$(sed -n 's/^0:://p' /proc/$(ocictl inspect --format '{{{{.State.Pid}}}}' c)/cgroup)
        case $cgroup in */user@1000.service/user.slice/ocictl-$id.scope) echo scope ;; *) echo "$cgroup" ;; esac
        cat /sys/fs/cgroup$cgroup/memory.max /sys/fs/cgroup$cgroup/pids.max
        ocictl update -m 32m c; cat /sys/fs/cgroup$cgroup/memory.max
        ocictl pause c; ocictl ps --format '{{{{.Status}}}}' | grep -o Paused; ocictl unpause c
        ocictl stats --no-stream --format '{{{{.MemUsage}}}}' c | grep -o '/ 33.6 MB'
        ocictl exec c echo in
        ocictl run --rm -m 16m {IMAGE} sh -c 'cat /sys/fs/cgroup/memory.max'
        ocictl rm -f c; test -d /sys/fs/cgroup$cgroup || echo gone
        ocictl rmi -a -f > /dev/null; ocictl system check
        "#
    );
    let Some(printed) = in_session(&engine, true, &script) else { return };
    let wanted = "scope\n67108864\n30\nc\n33554432\nc\nPaused\nc\n/ 33.6 MB\nin\n16777216\nc\ngone\n";
    assert!(printed.starts_with(wanted), "{printed}");
}

/// As after su(1): nobody is there who could limit anything, and that is said.
#[test]
fn without_a_session_limits_are_ignored_with_a_warning() {
    let engine = with_archive("user-no-session");
    let script = format!(
        "ocictl import -q root.tar {IMAGE} > /dev/null; ocictl run --rm -m 64m {IMAGE} echo ran; ocictl rmi -a -f > /dev/null"
    );
    let Some(printed) = in_session(&engine, false, &script) else { return };
    assert!(printed.starts_with("ran\n"), "{printed}");
    assert!(printed.contains("Warning: --memory: ignored"), "{printed}");
}
