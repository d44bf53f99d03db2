//! The life of a container: run, create, start, stop, kill, rm, and what is true meanwhile. Real programs by a real runtime.

mod engine;

use engine::{Engine, IMAGE, eventually};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

#[test]
fn run_carries_streams_and_the_exit_code_and_leaves_nothing() {
    let engine = Engine::new("run");
    assert_eq!(
        engine.run(&["run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"]),
        (7, "out".into(), "err".into())
    );
    assert_eq!(engine.run(&["run", "--rm", "--init", IMAGE, "sh", "-c", "kill -9 $$"]).0, 137);
    assert_eq!(engine.ok(&["run", "--rm", IMAGE, "echo", "-n", "--rm", "-d"]), "--rm -d");
    let (code, _, said) = engine.run(&["run", "--rm", IMAGE, "nothere"]);
    assert!(code == 127 && said.contains("executable file not found in $PATH"), "{code}: {said}");
    let (code, _, said) = engine.run(&["run", "--rm", IMAGE, "/etc/passwd"]);
    assert!(code == 126 && said.contains("permission denied"), "{code}: {said}");
    assert_eq!(engine.run(&["run", "--rm", "nothere", "true"]).0, 125);
    assert_eq!(engine.run(&["run", "--nothere", IMAGE]).0, 125);
    engine.assert_clean();
}

#[test]
fn what_is_printed_is_whole_however_much_it_is() {
    let engine = Engine::new("much");
    let printed = engine.ok(&["run", "--rm", IMAGE, "seq", "1", "200000"]);
    assert_eq!(printed.lines().count(), 200_000);
    assert!(printed.ends_with("\n200000"));
    engine.assert_clean();
}

#[test]
fn stdin_reaches_the_program_and_ends() {
    use std::io::Write;
    let engine = Engine::new("stdin");
    let mut child = engine.spawn(&["run", "--rm", "-i", IMAGE, "sh", "-c", "wc -c; echo done"]);
    let text = "0123456789abcdef".repeat(20_000);
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "320000\ndone\n");
    // Without -i there is nothing to read.
    assert_eq!(engine.ok(&["run", "--rm", IMAGE, "wc", "-c"]), "0");
    engine.assert_clean();
}

#[test]
fn the_hosts_root_below_a_throw_away_layer() {
    let engine = Engine::empty("rootfs");
    let file = engine.scratch.join("of-the-host");
    fs::write(&file, "old").expect("written");
    let script = format!("cat {0}; echo new > {0}; cat {0}; echo $$", file.display());
    assert_eq!(engine.ok(&["run", "--rm", "--rootfs", "/:O", "sh", "-c", &script]), "oldnew\n1");
    assert_eq!(fs::read_to_string(&file).expect("still there"), "old");
    let (code, _, said) = engine.run(&["run", "--rm", "--rootfs", "/nothere", "sh"]);
    assert!(code == 125 && said.contains("/nothere"), "{code}: {said}");
    engine.assert_clean();
}

#[test]
fn a_container_lives_from_create_to_rm() {
    let engine = Engine::new("life");
    let id = engine.ok(&[
        "create",
        "--name",
        "web1",
        IMAGE,
        "sh",
        "-c",
        "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done",
    ]);
    assert_eq!(id.len(), 64);
    assert_eq!(engine.ask("web1", "{{.State.Status}}"), "created");
    assert_eq!(engine.ok(&["ps", "-q"]), "");
    assert_eq!(
        engine.ok(&["ps", "-a", "--format", "{{.Names}} {{.Status}} {{.Image}}"]),
        format!("web1 Created {IMAGE}")
    );
    assert_eq!(engine.ok(&["start", "web1"]), "web1");
    eventually("it is up", || engine.ok(&["logs", "web1"]) == "up");
    assert_eq!(engine.ok(&["ps", "-q"]), id[..12]);
    let pid = engine.ask(&id[..6], "{{.State.Pid}}");
    assert!(fs::metadata(format!("/proc/{pid}")).is_ok());
    let (code, _, said) = engine.run(&["rm", "web1"]);
    assert!(code != 0 && said.contains("it is running"), "{said}");
    assert_eq!(engine.ok(&["stop", "web1"]), "web1");
    assert_eq!(engine.ask("web1", "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}"), "exited 3 0");
    assert_eq!(engine.ok(&["logs", "web1"]), "up\nbye");
    assert_eq!(engine.ok(&["wait", "web1"]), "3");
    assert_eq!(engine.ok(&["rename", "web1", "web2"]), "");
    assert_eq!(engine.ok(&["ps", "-a", "--format", "{{.Names}}"]), "web2");
    assert_eq!(engine.ok(&["restart", "web2"]), "web2");
    assert_eq!(engine.ask("web2", "{{.State.Running}}"), "true");
    assert_eq!(engine.ok(&["kill", "web2"]), "web2");
    assert_eq!(engine.ask("web2", "{{.State.ExitCode}}"), "137");
    assert_eq!(engine.ok(&["rm", "web2"]), "web2");
    let (code, _, said) = engine.run(&["start", "web2"]);
    assert!(code != 0 && said.contains("container web2: no such container"), "{said}");
    engine.assert_clean();
}

#[test]
fn names_are_unique_and_made_up_where_none_is_given() {
    let engine = Engine::new("names-of");
    engine.ok(&["create", "--name", "one", IMAGE]);
    let (code, _, said) = engine.run(&["create", "--name", "one", IMAGE]);
    assert!(code == 125 && said.contains("the name is in use by container"), "{said}");
    assert_eq!(engine.run(&["create", "--name", "-x/..", IMAGE]).0, 125);
    engine.ok(&["create", IMAGE]);
    let name = engine.ok(&["ps", "-l", "--format", "{{.Names}}"]);
    assert!(
        name.contains('_') && name.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_'),
        "{name}"
    );
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

#[test]
fn rm_force_does_not_wait_for_a_program_that_ignores_term() {
    let engine = Engine::new("force");
    let deaf = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"];
    engine.ok(&[&["run", "-d", "--name", "deaf", "--stop-timeout=60", IMAGE], &deaf[..]].concat());
    let begun = Instant::now();
    assert_eq!(engine.ok(&["rm", "-f", "deaf"]), "deaf");
    // The stop timeout would be sixty seconds; the rest is the machine's load.
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    assert_eq!(engine.run(&["rm", "-f", "deaf"]).0, 0);
    assert_eq!(engine.run(&["rm", "deaf"]).0, 1);
    engine.assert_clean();
}

#[test]
fn stop_kills_when_the_time_is_over() {
    let engine = Engine::new("stop");
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "deaf",
        "--stop-signal",
        "USR1",
        "--stop-timeout",
        "1",
        IMAGE,
        "sh",
        "-c",
        "trap 'echo usr1' USR1; echo up; while :; do sleep 0.1; done",
    ]);
    eventually("it is deaf", || engine.ok(&["logs", "deaf"]) == "up");
    assert_eq!(engine.ok(&["stop", "deaf"]), "deaf");
    assert_eq!(engine.ask("deaf", "{{.State.ExitCode}}"), "137");
    assert_eq!(engine.ok(&["logs", "deaf"]), "up\nusr1");
    engine.ok(&["rm", "deaf"]);
    engine.assert_clean();
}

#[test]
fn a_dead_monitor_is_no_lie() {
    let engine = Engine::new("monitor");
    let id = engine.ok(&["run", "-d", "--name", "orphan", IMAGE, "sleep", "1000"]);
    let monitor = engine.ask("orphan", "{{.State.ConmonPid}}");
    assert!(fs::read_to_string(format!("/proc/{monitor}/cmdline")).expect("a monitor").contains("monitor"));
    kill(&engine, "orphan", "{{.State.ConmonPid}}");
    eventually("the monitor is gone", || engine.ask("orphan", "{{.State.ConmonPid}}") == "0");
    assert_eq!(engine.ask("orphan", "{{.State.Status}}"), "running");
    assert_eq!(engine.ok(&["exec", "orphan", "echo", "hello"]), "hello");
    assert_eq!(engine.ok(&["stop", "-t", "0", "orphan"]), "orphan");
    assert_eq!(engine.ask("orphan", "{{.State.Status}} {{.State.ExitCode}}"), "exited 255");
    engine.ok(&["start", "orphan"]);
    assert_eq!(engine.ask("orphan", "{{.State.Status}}"), "running");
    kill(&engine, "orphan", "{{.State.ConmonPid}}");
    kill(&engine, "orphan", "{{.State.Pid}}");
    engine.wait_for("orphan", "{{.State.Status}}", "exited");
    engine.ok(&["start", "orphan"]);
    kill(&engine, "orphan", "{{.State.ConmonPid}}");
    assert_eq!(engine.ok(&["rm", "-f", "orphan"]), "orphan");
    let groups = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
    for group in groups {
        assert!(fs::metadata(format!("{group}/ocictl-{id}")).is_err(), "{group}");
    }
    engine.assert_clean();
}

/// Kills the process that the template tells of, once there is one.
fn kill(engine: &Engine, container: &str, template: &str) {
    let mut pid = 0;
    eventually(&format!("{container}: {template} is a process"), || {
        pid = engine.ask(container, template).parse().expect("a number");
        pid > 1
    });
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is there");
}

#[test]
fn a_policy_starts_it_again_until_it_is_stopped() {
    let engine = Engine::new("restart");
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "always",
        "--restart",
        "always",
        IMAGE,
        "sh",
        "-c",
        "echo run; exit 1",
    ]);
    eventually("it was started again", || {
        engine.ask("always", "{{.RestartCount}}").parse::<u32>().expect("a number") >= 2
    });
    engine.ok(&["stop", "always"]);
    assert_eq!(engine.ask("always", "{{.State.Status}}"), "exited");
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "thrice",
        "--restart",
        "on-failure:2",
        IMAGE,
        "sh",
        "-c",
        "echo run; exit 1",
    ]);
    engine.wait_for("thrice", "{{.State.Status}} {{.RestartCount}}", "exited 2");
    assert_eq!(engine.ok(&["logs", "thrice"]), "run\nrun\nrun");
    assert_eq!(engine.run(&["run", "--rm", "--restart", "always", IMAGE]).0, 125);
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

#[test]
fn health_is_found_out_without_a_daemon() {
    let engine = Engine::new("health");
    let command = [
        "run",
        "-d",
        "--name",
        "sick",
        "--health-cmd",
        "test -e /tmp/well || { echo ill; exit 1; }",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
        IMAGE,
        "sleep",
        "1000",
    ];
    engine.ok(&command);
    engine.wait_for("sick", "{{.State.Health.Status}}", "unhealthy");
    assert!(engine.ok(&["ps"]).contains("(unhealthy)"));
    assert!(engine.ask("sick", "{{json .State.Health.Log}}").contains("ill"));
    engine.ok(&["exec", "sick", "touch", "/tmp/well"]);
    engine.wait_for("sick", "{{.State.Health.Status}}", "healthy");
    engine.ok(&["rm", "-f", "sick"]);
    engine.assert_clean();
}

#[test]
fn exec_is_another_program_in_the_same_container() {
    let engine = Engine::new("exec");
    engine.ok(&["run", "-d", "--name", "c", "-e", "A=1", "-w", "/data", IMAGE, "sleep", "1000"]);
    assert_eq!(
        engine.ok(&["exec", "c", "sh", "-c", "echo $A $FROM; pwd; cat /proc/1/cmdline | tr '\\0' ' '"]),
        "1 image\n/data\nsleep 1000"
    );
    assert_eq!(
        engine.ok(&[
            "exec",
            "-u",
            "web",
            "-e",
            "A=2",
            "-w",
            "/tmp",
            "c",
            "sh",
            "-c",
            "id -u; id -G; echo $A $HOME; pwd"
        ]),
        "33\n34 4\n2 /data\n/tmp"
    );
    assert_eq!(engine.run(&["exec", "c", "sh", "-c", "exit 9"]).0, 9);
    assert_eq!(engine.run(&["exec", "c", "nothere"]).0, 127);
    engine.ok(&["exec", "-d", "c", "touch", "/tmp/made"]);
    eventually("it was made", || engine.run(&["exec", "c", "test", "-e", "/tmp/made"]).0 == 0);
    engine.ok(&["pause", "c"]);
    assert_eq!(engine.ask("c", "{{.State.Status}}"), "paused");
    assert!(engine.run(&["exec", "c", "true"]).2.contains("paused"));
    engine.ok(&["unpause", "c"]);
    assert_eq!(engine.ok(&["exec", "c", "echo", "on"]), "on");
    assert!(engine.ok(&["top", "c"]).contains("sleep 1000"));
    assert!(engine.ok(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "c"]).starts_with("c "));
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn the_program_is_who_the_image_or_the_user_says() {
    let engine = Engine::new("who");
    assert_eq!(
        engine.ok(&["run", "--rm", "-u", "web", IMAGE, "sh", "-c", "id -u; id -g; id -G; echo $HOME"]),
        "33\n34\n34 4\n/data"
    );
    assert_eq!(engine.ok(&["run", "--rm", "-u", "7:8", IMAGE, "sh", "-c", "id -u; id -g"]), "7\n8");
    let (code, _, said) = engine.run(&["run", "--rm", "-u", "nobody", IMAGE]);
    assert!(code == 126 && said.contains("unable to find user nobody"), "{said}");
    engine.load("own", &serde_json::json!({ "User": "web", "Entrypoint": ["sh", "-c"], "Cmd": ["id -u"], "WorkingDir": "/new/dir" }));
    assert_eq!(engine.ok(&["run", "--rm", "own"]), "33");
    assert_eq!(engine.ok(&["run", "--rm", "own", "pwd"]), "/new/dir");
    assert_eq!(engine.ok(&["run", "--rm", "--entrypoint", "/bin/echo", "own", "x"]), "x");
    assert_eq!(
        engine.ok(&[
            "run",
            "--rm",
            "--hostname",
            "h",
            "--add-host",
            "db:10.0.0.1",
            IMAGE,
            "sh",
            "-c",
            "hostname; grep -cw db /etc/hosts"
        ]),
        "h\n1"
    );
    engine.assert_clean();
}

#[test]
fn the_defaults_are_hardened_and_can_be_loosened() {
    let engine = Engine::new("hard");
    let status = "grep -E '^(CapBnd|CapEff|CapInh|Seccomp|NoNewPrivs):' /proc/self/status";
    let plain = engine.ok(&["run", "--rm", IMAGE, "sh", "-c", status]);
    for line in [
        "CapInh:\t0000000000000000",
        "CapEff:\t00000000000404fb",
        "CapBnd:\t00000000000404fb",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(plain.contains(line), "{line}\n{plain}");
    }
    let typed = engine.ok(&[
        "run",
        "--rm",
        "--cap-drop",
        "all",
        "--cap-add",
        "chown",
        "--allow-new-privileges",
        "--security-opt",
        "seccomp=unconfined",
        IMAGE,
        "sh",
        "-c",
        status,
    ]);
    for line in ["CapEff:\t0000000000000001", "NoNewPrivs:\t0", "Seccomp:\t0"] {
        assert!(typed.contains(line), "{line}\n{typed}");
    }
    let privileged = engine.ok(&["run", "--rm", "--privileged", IMAGE, "sh", "-c", status]);
    for line in ["NoNewPrivs:\t0", "Seccomp:\t0"] {
        assert!(privileged.contains(line), "{line}\n{privileged}");
    }
    for (words, wanted) in
        [("no-new-privileges=false", "NoNewPrivs:\t0"), ("no-new-privileges", "NoNewPrivs:\t1")]
    {
        let said = engine.ok(&["run", "--rm", "--security-opt", words, IMAGE, "sh", "-c", status]);
        assert!(said.contains(wanted), "{words}: {said}");
    }
    let mut own = engine.ok(&[
        "run",
        "--rm",
        "--security-opt",
        "proc-opts=hidepid=invisible",
        IMAGE,
        "grep",
        " /proc ",
        "/proc/mounts",
    ]);
    own.retain(|letter| letter != '\n');
    assert!(own.contains("hidepid=invisible"), "{own}");
    assert_eq!(engine.run(&["run", "--rm", "--security-opt", "proc-opts=exec", IMAGE, "true"]).0, 125);
    assert_eq!(engine.run(&["run", "--rm", IMAGE, "mount", "-t", "tmpfs", "none", "/tmp"]).0, 1);
    assert_eq!(
        engine.run(&["run", "--rm", "--privileged", IMAGE, "mount", "-t", "tmpfs", "none", "/tmp"]).0,
        0
    );
    assert_eq!(engine.run(&["run", "--rm", "--read-only", IMAGE, "touch", "/x"]).0, 1);
    assert_eq!(engine.run(&["run", "--rm", "--read-only", IMAGE, "touch", "/tmp/x"]).0, 0);
    assert_eq!(
        engine.ok(&[
            "run",
            "--rm",
            "--ulimit",
            "nofile=100:200",
            "--sysctl",
            "kernel.shm_rmid_forced=1",
            IMAGE,
            "sh",
            "-c",
            "ulimit -n; cat /proc/sys/kernel/shm_rmid_forced"
        ]),
        "100\n1"
    );
    assert_eq!(
        engine.ok(&[
            "run",
            "--rm",
            "--shm-size",
            "1m",
            "--tmpfs",
            "/t:size=64k",
            IMAGE,
            "sh",
            "-c",
            "df -k /dev/shm /t | awk 'NR>1 {print $2}'"
        ]),
        "1024\n64"
    );
    engine.assert_clean();
}

#[test]
fn limits_hold_and_can_be_changed() {
    let engine = Engine::new("limits");
    engine.ok(&["run", "-d", "--name", "c", "--pids-limit", "20", IMAGE, "sleep", "1000"]);
    let limit = || {
        engine.ok(&[
            "exec",
            "c",
            "sh",
            "-c",
            "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max",
        ])
    };
    assert_eq!(limit(), "20");
    engine.ok(&["update", "--pids-limit", "30", "c"]);
    assert_eq!(limit(), "30");
    assert_eq!(engine.ask("c", "{{.HostConfig.PidsLimit}}"), "30");
    let forty = "for i in $(seq 40); do sleep 5 > /dev/null 2>&1 & done";
    let (code, _, said) = engine.run(&["exec", "c", "sh", "-c", forty]);
    assert!(code != 0 && said.contains("can't fork"), "{code}: {said}");
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn namespaces_are_its_own_or_shared() {
    let engine = Engine::new("shared");
    let own = |kind: &str| {
        fs::read_link(format!("/proc/self/ns/{kind}")).expect("a link").to_string_lossy().into_owned()
    };
    assert_eq!(
        engine.ok(&["run", "--rm", "--network", "host", IMAGE, "readlink", "/proc/self/ns/net"]),
        own("net")
    );
    assert_ne!(engine.ok(&["run", "--rm", IMAGE, "readlink", "/proc/self/ns/net"]), own("net"));
    assert_eq!(
        engine.ok(&[
            "run",
            "--rm",
            "--pid",
            "host",
            "--uts",
            "host",
            "--ipc",
            "host",
            IMAGE,
            "sh",
            "-c",
            "readlink /proc/self/ns/pid; readlink /proc/self/ns/uts"
        ]),
        format!("{}\n{}", own("pid"), own("uts"))
    );
    engine.ok(&["run", "-d", "--name", "db", IMAGE, "sleep", "1000"]);
    let theirs = engine.ok(&["exec", "db", "readlink", "/proc/self/ns/net"]);
    assert_eq!(
        engine.ok(&[
            "run",
            "--rm",
            "--network",
            "container:db",
            "--pid",
            "container:db",
            IMAGE,
            "sh",
            "-c",
            "readlink /proc/self/ns/net; cat /proc/1/cmdline | tr '\\0' ' '"
        ]),
        format!("{theirs}\nsleep 1000")
    );
    engine.ok(&["stop", "-t", "0", "db"]);
    assert_eq!(engine.run(&["run", "--rm", "--network", "container:db", IMAGE]).0, 125);
    let (code, _, said) = engine.run(&["run", "--rm", "-p", "80:80", IMAGE]);
    assert!(code == 125 && said.contains("--publish"), "{said}");
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

#[test]
fn init_reaps_and_passes_signals_on() {
    let engine = Engine::new("init");
    assert_eq!(
        engine.ok(&["run", "--rm", "--init", IMAGE, "sh", "-c", "cat /proc/1/comm; exit 0"]),
        "oci-init"
    );
    assert_eq!(engine.run(&["run", "--rm", "--init", IMAGE, "sh", "-c", "exit 5"]).0, 5);
    assert_eq!(engine.run(&["run", "--rm", "--init", IMAGE, "nothere"]).0, 127);
    // A child whose parent has ended; the program itself waits for nobody.
    let orphan = "sh -c 'sleep 0.5 & echo $!'; exec sleep 1000";
    engine.ok(&["run", "-d", "--name", "c", "--init", IMAGE, "sh", "-c", orphan]);
    eventually("it has a number", || !engine.ok(&["logs", "c"]).is_empty());
    let entry = format!("/proc/{}", engine.ok(&["logs", "c"]));
    eventually("it is reaped", || engine.run(&["exec", "c", "test", "-e", &entry]).0 == 1);
    assert_eq!(engine.ok(&["stop", "c"]), "c");
    assert_eq!(engine.ask("c", "{{.State.ExitCode}}"), "143");
    engine.ok(&["rm", "c"]);
    engine.assert_clean();
}

#[test]
fn logs_have_both_formats_and_bounds() {
    let engine = Engine::new("logs");
    for driver in ["k8s-file", "json-file"] {
        engine.ok(&[
            "run",
            "--name",
            driver,
            "--log-driver",
            driver,
            IMAGE,
            "sh",
            "-c",
            "echo one; echo two >&2; sleep 0.3; printf three",
        ]);
        let (_, out, err) = engine.run(&["logs", driver]);
        assert_eq!((out.as_str(), err.as_str()), ("one\nthree", "two"), "{driver}");
        assert_eq!(engine.ok(&["logs", "--tail", "1", driver]), "three");
        assert_eq!(engine.ok(&["logs", "--until", "1h", driver]), "");
        let stamped = engine.ok(&["logs", "-t", driver]);
        assert!(stamped.starts_with("20") && stamped.contains("Z one"), "{stamped}");
    }
    engine.ok(&["run", "--name", "small", "--log-opt", "max-size=1k", IMAGE, "seq", "1", "1000"]);
    let log = engine.ask("small", "{{.LogPath}}");
    assert!(fs::metadata(log).expect("a log").len() <= 1024);
    assert!(engine.ok(&["logs", "small"]).ends_with("1000"));
    engine.ok(&["run", "--name", "none", "--log-driver", "none", IMAGE, "echo", "x"]);
    assert!(engine.run(&["logs", "none"]).2.contains("it keeps no log"));
    let mut follow = {
        engine.ok(&[
            "run",
            "-d",
            "--name",
            "slow",
            IMAGE,
            "sh",
            "-c",
            "for i in 1 2 3; do echo $i; sleep 0.3; done",
        ]);
        engine.spawn(&["logs", "-f", "slow"])
    };
    drop(follow.stdin.take());
    assert_eq!(String::from_utf8_lossy(&follow.wait_with_output().expect("it ends").stdout), "1\n2\n3\n");
    engine.ok(&["rm", "-a", "-f"]);
    engine.assert_clean();
}

#[test]
fn what_is_mounted_becomes_the_users_and_parts_of_volumes_are_mounted() {
    let engine = Engine::new("own");
    let host = engine.scratch.join("host");
    fs::create_dir_all(host.join("deep")).expect("directories");
    fs::write(host.join("deep/file"), "x").expect("written");
    let bind = format!("{}:/h:U", host.display());
    assert_eq!(
        engine.ok(&[
            "run",
            "--rm",
            "-u",
            "web",
            "-v",
            &bind,
            IMAGE,
            "sh",
            "-c",
            "echo y > /h/deep/file; id -u"
        ]),
        "33"
    );
    let owner =
        |path: &str| fs::metadata(host.join(path)).map(|found| (found.uid(), found.gid())).expect("a file");
    assert_eq!((owner("."), owner("deep/file")), ((33, 34), (33, 34)));
    let (code, _, said) = engine.run(&["run", "--rm", "-v", "/usr:/h:U", IMAGE]);
    assert!(code == 125 && said.contains("/usr is the machine's own"), "{code}: {said}");
    engine.ok(&[
        "run",
        "--rm",
        "--mount",
        "type=volume,source=v,target=/v,U=true",
        "-u",
        "7:8",
        IMAGE,
        "sh",
        "-c",
        "mkdir -p /v/part; echo in > /v/part/f; ln -s /etc /v/out",
    ]);
    let part = |path: &str| {
        engine.run(&[
            "run",
            "--rm",
            "--mount",
            &format!("source=v,target=/p,volume-subpath={path}"),
            IMAGE,
            "cat",
            "/p/f",
        ])
    };
    assert_eq!(part("part").1, "in");
    for (path, why) in
        [("out", "subpath out"), ("nothere", "subpath nothere"), ("../..", "is no path in a volume")]
    {
        let (code, _, said) = part(path);
        assert!(code == 125 && said.contains(why), "{code}: {said}");
    }
    engine.ok(&["volume", "rm", "v"]);
    engine.assert_clean();
}

#[test]
fn volumes_keep_what_containers_write() {
    let engine = Engine::new("volumes");
    assert_eq!(engine.ok(&["volume", "create", "myvol"]), "myvol");
    assert_eq!(engine.ok(&["volume", "ls", "-q"]), "myvol");
    engine.ok(&[
        "run",
        "--rm",
        "-v",
        "myvol:/data",
        IMAGE,
        "sh",
        "-c",
        "cat /data/inner/file > /data/copy; ls -ld /data > /data/mode",
    ]);
    let data = engine.ok(&["volume", "inspect", "--format", "{{ .Mountpoint }}", "myvol"]);
    // A fresh volume gets what the image has there, with its owner.
    assert_eq!(fs::read_to_string(format!("{data}/copy")).expect("written"), "of the image\n");
    assert_eq!(fs::metadata(&data).expect("a directory").uid(), 33);
    assert_eq!(
        engine.ok(&[
            "run",
            "--rm",
            "--mount",
            "source=myvol,target=/else,readonly",
            IMAGE,
            "sh",
            "-c",
            "cat /else/copy; touch /else/x 2>/dev/null || echo ro"
        ]),
        "of the image\nro"
    );
    engine.ok(&["run", "--name", "user", "-v", "hello:/world", IMAGE, "ls", "/world"]);
    let (code, _, said) = engine.run(&["volume", "rm", "hello"]);
    assert!(code == 2 && said.contains("it is in use by container user"), "{said}");
    engine.load(
        "declared",
        &serde_json::json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"], "Volumes": { "/data": {} } }),
    );
    engine.ok(&["run", "--name", "own", "declared", "cat", "/data/inner/file"]);
    assert_eq!(engine.ok(&["volume", "ls", "-q"]).lines().count(), 3);
    assert_eq!(
        engine.ok(&["run", "--rm", "--volumes-from", "own", IMAGE, "cat", "/data/inner/file"]),
        "of the image"
    );
    assert_eq!(engine.ok(&["run", "--rm", "declared", "cat", "/data/inner/file"]), "of the image");
    assert_eq!(engine.ok(&["volume", "ls", "-q"]).lines().count(), 3);
    engine.ok(&["rm", "-v", "own"]);
    engine.ok(&["rm", "user"]);
    assert_eq!(engine.ok(&["volume", "ls", "-q"]), "hello\nmyvol");
    let host = engine.scratch.join("host");
    fs::create_dir(&host).expect("a directory");
    let bind = format!("{}:/h", host.display());
    engine.ok(&["run", "--rm", "-v", &bind, IMAGE, "sh", "-c", "echo hello > /h/test"]);
    assert_eq!(fs::read_to_string(host.join("test")).expect("written"), "hello\n");
    engine.ok(&["run", "--rm", "-v", &format!("{bind}:O"), IMAGE, "sh", "-c", "echo gone > /h/test"]);
    assert_eq!(fs::read_to_string(host.join("test")).expect("still there"), "hello\n");
    assert_eq!(engine.run(&["run", "--rm", "-v", "/nothere:/h", IMAGE]).0, 125);
    engine.ok(&["volume", "prune", "-a", "-f"]);
    engine.assert_clean();
}
