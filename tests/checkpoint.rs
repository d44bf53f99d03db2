//! `checkpoint`: CRIU writes a container to files. What is restored from them is in `restore.rs`.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::fd::AsRawFd;
use support::counter::{self, await_progress};
use support::elf::{self, Call};
use support::{Bundle, criu, leaks, runtime, skip_on_peer};

#[test]
fn checkpoint_writes_images_and_ends_the_container() {
    let Some(_) = criu::find() else { return };
    let mut bundle = counter::bundle();
    let path = bundle.host_script("stopped", &format!("cat > {:?}", bundle.dir.join("stopped.json")));
    bundle.push("/hooks/poststop", json!({ "path": path }));
    bundle.run_detached();
    await_progress(&bundle);
    let outcome = bundle.checkpoint(&[]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    leaks::assert_nothing_left(&bundle);
    for name in ["inventory.img", "pstree.img", "descriptors.json", "dump.log"] {
        assert!(fs::exists(bundle.dir.join("images").join(name)).unwrap(), "{name}");
    }
    let state: Value = serde_json::from_slice(&fs::read(bundle.dir.join("stopped.json")).unwrap()).unwrap();
    assert_eq!(state["status"], "stopped", "its poststop hooks have run");
}

#[test]
fn container_that_is_left_running_goes_on() {
    let Some(_) = criu::find() else { return };
    let bundle = counter::bundle();
    bundle.run_detached();
    await_progress(&bundle);
    bundle.checkpoint(&["--leave-running"]).ok();
    assert_eq!(bundle.status(), "running");
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn failed_checkpoint_quotes_criu_and_the_container_goes_on() {
    let Some(_) = criu::find() else { return };
    if skip_on_peer("runc says: criu failed: type DUMP errno 0") {
        return;
    }
    let bundle = counter::over_tcp();
    bundle.run_detached();
    await_progress(&bundle);
    let outcome = bundle.checkpoint(&["--work-path", "work"]);
    let words = "Connected TCP socket, consider using --tcp-established option.";
    let outcome = outcome.fails(&format!("checkpoint {}: criu: (criu/sk-inet.c:", bundle.id)).fails(words);
    let log = bundle.dir.join("work/dump.log");
    assert!(outcome.stderr.contains(&format!("  hint: the log of criu is {}\n", log.display())));
    assert!(fs::read_to_string(log).unwrap().contains(words));
    assert_eq!(bundle.status(), "running");
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn settings_of_criu_come_from_the_file_that_the_annotation_names() {
    let Some(_) = criu::find() else { return };
    let mut bundle = counter::over_tcp();
    let file = bundle.dir.join("criu.conf");
    fs::write(&file, "tcp-established\n").unwrap();
    bundle.set("/annotations", json!({ "org.criu.config": file }));
    bundle.run_detached();
    await_progress(&bundle);
    bundle.checkpoint(&["--leave-running"]).ok();
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn paused_container_is_dumped_as_well() {
    let Some(_) = criu::find() else { return };
    let bundle = counter::bundle();
    bundle.run_detached();
    await_progress(&bundle);
    bundle.call(&["pause", &bundle.id]).ok();
    bundle.checkpoint(&["--leave-running"]).ok();
    assert_eq!(bundle.status(), "paused");
    bundle.checkpoint(&[]).ok();
    leaks::assert_nothing_left(&bundle);
    bundle.restore(&["--detach"]).ok();
    await_progress(&bundle);
    bundle.kill_and_delete();
}

/// True for an ordinary user, after saying so.
fn lacks_root() -> bool {
    let lacks = !rustix::process::geteuid().is_root();
    if lacks {
        eprintln!("skipped: checkpoint needs root");
    }
    lacks
}

#[test]
fn checkpoint_says_what_state_forbids_it() {
    if skip_on_peer("runc's words begin with a capital") || lacks_root() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.checkpoint(&[]).fails("container does not exist");
    bundle.create().ok();
    bundle.checkpoint(&[]).fails("container cannot be checkpointed in created state");
    bundle.start().ok();
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    bundle.checkpoint(&[]).fails("container cannot be checkpointed in stopped state");
    assert!(!fs::exists(bundle.dir.join("images")).unwrap(), "nothing was made for nothing");
    bundle.delete().ok();
}

#[test]
fn a_criu_that_cannot_be_used_is_told_of() {
    if skip_on_peer("runc ignores --criu") || lacks_root() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let old = bundle.host_script("old", "exit 1");
    for (program, words) in [
        ("no-such-criu", "no-such-criu: executable file not found in $PATH"),
        ("/nowhere/criu", "/nowhere/criu: missing"),
        (old.as_str(), "criu ended without an answer"),
    ] {
        bundle.checkpoint(&["--criu", program]).fails(words);
        assert!(!fs::exists(bundle.dir.join("images")).unwrap(), "what was made is removed");
    }
    assert_eq!(bundle.status(), "running");
    bundle.kill_and_delete();
}

#[test]
fn flags_are_checked_before_anything_is_done() {
    if skip_on_peer("other words") {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    for (flags, words) in [
        (&["--page-server", "localhost"][..], "write ADDRESS:PORT"),
        (&["--empty-ns", "user"][..], "invalid value 'user'"),
        (&["--manage-cgroups-mode", "hard"][..], "invalid value 'hard'"),
        (&["--network-lock", "no"][..], "invalid value 'no'"),
        (&["--status-fd", "99"][..], "--status-fd: descriptor 99 is not open"),
        (&["--parent-path", "/images"][..], "--parent-path must be relative"),
    ] {
        bundle.checkpoint(flags).fails(words);
    }
    if rustix::process::geteuid().is_root() {
        bundle.checkpoint(&["--parent-path", "../no"]).fails("--parent-path ../no");
    }
    assert!(!fs::exists(bundle.dir.join("images")).unwrap());
    bundle.kill_and_delete();
}

#[test]
fn pre_dumps_build_on_one_another_where_the_kernel_tracks_memory() {
    let Some(_) = criu::find() else { return };
    if skip_on_peer("other words") {
        return;
    }
    let bundle = counter::bundle();
    bundle.run_detached();
    await_progress(&bundle);
    let outcome = bundle.checkpoint(&["--pre-dump"]);
    if !criu::has("mem_dirty_track") {
        outcome.fails("--pre-dump: criu cannot track changes of memory here");
        assert!(!fs::exists(bundle.dir.join("images")).unwrap(), "what was made is removed");
        bundle.kill_and_delete();
        return;
    }
    outcome.ok();
    fs::rename(bundle.dir.join("images"), bundle.dir.join("first")).unwrap();
    assert!(fs::exists(bundle.dir.join("first/pages-1.img")).unwrap());
    assert_eq!(bundle.status(), "running");
    bundle.checkpoint(&["--parent-path", "../first"]).ok();
    assert!(bundle.dir.join("images/parent").is_symlink());
    bundle.restore(&["--detach"]).ok();
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn memory_goes_to_a_page_server() {
    let Some(program) = criu::find() else { return };
    let bundle = counter::bundle();
    bundle.run_detached();
    await_progress(&bundle);
    let pages = bundle.dir.join("pages");
    fs::create_dir(&pages).unwrap();
    let mut server = std::process::Command::new(program);
    let port = 20_000 + std::process::id() % 20_000;
    server.args(["page-server", "--address", "127.0.0.1", "--port", &port.to_string(), "-D"]).arg(&pages);
    let server = bundle.begin(server.args(["-v4", "-o", "log"]));
    let listening = format!(":{port:04X} 00000000:0000 0A");
    let is_open = || fs::read_to_string("/proc/net/tcp").unwrap().contains(&listening);
    runtime::eventually(is_open, || "the port is open".into());
    bundle.checkpoint(&["--leave-running", "--page-server", &format!("127.0.0.1:{port}")]).ok();
    server.finish().ok();
    let names = |directory| -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let sent = names(&pages);
    assert!(sent.iter().any(|name| name.starts_with("pages-")), "{sent:?}");
    assert!(!fs::exists(bundle.dir.join("images/pages-1.img")).unwrap());
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn file_without_a_name_gets_one_when_it_is_asked_for() {
    let Some(_) = criu::find() else { return };
    let bundle = Bundle::sh(
        "echo > /a; ln /a /n; exec 3>>/a; rm /a; n=0; while :; do n=$((n+1)); echo $n >&3; usleep 2000; done",
    );
    bundle.run_detached();
    await_progress(&bundle);
    let refused = bundle.checkpoint(&[]);
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    bundle.checkpoint(&["--link-remap"]).ok();
    bundle.restore(&["--detach"]).ok();
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn image_gives_up_what_was_restored_from_it() {
    let Some(_) = criu::find() else { return };
    use std::os::unix::fs::MetadataExt;
    let bundle = counter::bundle();
    let blocks = || fs::metadata(bundle.dir.join("images/pages-1.img")).unwrap().blocks();
    bundle.run_detached();
    await_progress(&bundle);
    bundle.checkpoint(&["--leave-running", "--auto-dedup"]).ok();
    let before = blocks();
    bundle.kill_and_delete();
    bundle.restore(&["--detach"]).ok();
    assert_eq!(blocks(), before, "nobody asked for it");
    bundle.kill_and_delete();
    bundle.restore(&["--detach", "--auto-dedup"]).ok();
    assert!(blocks() < before, "{} of {before}", blocks());
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn network_comes_back_without_devices() {
    let Some(_) = criu::find() else { return };
    let bundle = counter::bundle();
    bundle.run_detached();
    await_progress(&bundle);
    let link = ["-t", &bundle.pid().to_string(), "-n", "ip", "link", "add", "dummy9", "type", "dummy"];
    let made = std::process::Command::new("nsenter").args(link).output().unwrap();
    let devices = || bundle.exec_sh(&[], "tail -n +3 /proc/net/dev | grep -c dummy9 || true");
    assert_eq!(devices().trim() == "1", made.status.success());
    bundle.checkpoint(&["--empty-ns", "network"]).ok();
    bundle.restore(&["--detach", "--empty-ns", "network"]).ok();
    await_progress(&bundle);
    assert_eq!(devices(), "0\n");
    bundle.kill_and_delete();
}

#[test]
fn status_descriptor_hears_when_memory_can_be_fetched() {
    let Some(_) = criu::find() else { return };
    if !criu::has("uffd-noncoop") {
        return eprintln!("skipped: this kernel has no userfaultfd for others");
    }
    let bundle = counter::bundle();
    bundle.run_detached();
    await_progress(&bundle);
    let (told, teller) = std::io::pipe().unwrap();
    let port = 40_000 + std::process::id() % 20_000;
    let server = format!("127.0.0.1:{port}");
    let number = teller.as_raw_fd().to_string();
    let flags = ["--lazy-pages", "--page-server", &server, "--work-path", "work", "--status-fd", &number];
    rustix::io::fcntl_setfd(&teller, rustix::io::FdFlags::empty()).unwrap();
    let running = bundle.begin(&mut bundle.checkpoint_command(&flags));
    drop(teller);
    let mut byte = [1];
    std::io::Read::read_exact(&mut &told, &mut byte).unwrap();
    assert_eq!(byte, [0]);
    let still = counter::count(&bundle);
    // Its memory is there to be fetched; who comes and goes leaves the container as it was.
    drop(std::net::TcpStream::connect(&server).unwrap());
    assert_eq!(counter::count(&bundle), still, "it stands still meanwhile");
    let outcome = running.finish();
    if outcome.code == Some(0) {
        return leaks::assert_nothing_left(&bundle);
    }
    outcome.fails(&format!("checkpoint {}: criu: ", bundle.id));
    await_progress(&bundle);
    bundle.kill_and_delete();
}

/// A connection that nobody has accepted: what waits for it at the listening socket belongs to no process yet.
#[test]
fn connection_in_flight_is_skipped_where_it_is_asked_for() {
    let Some(_) = criu::find() else { return };
    if skip_on_peer("runc 1.1 has no such flag") {
        return;
    }
    let script = "/listen & \
        while [ -z \"$port\" ]; do while read -r n local remote state rest; do \
            [ \"$state\" = 0A ] && port=$((0x${local#*:})); done < /proc/net/tcp; done; \
        sleep 1000 | nc 127.0.0.1 $port & \
        n=0; while :; do n=$((n+1)); echo $n > /n; usleep 2000; done";
    let bundle = Bundle::sh(script);
    std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/nc")).unwrap();
    // socket(AF_INET, SOCK_STREAM), listen at any port, pause.
    let calls = [Call(41, [2, 1, 0, 0, 0, 0]), Call(50, [3, 5, 0, 0, 0, 0]), Call(34, [0; 6])];
    bundle.executable("listen", "");
    fs::write(bundle.rootfs().join("listen"), elf::prober(&calls)).unwrap();
    bundle.run_detached();
    await_progress(&bundle);
    let connections = || {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", bundle.pid())).unwrap();
        table.lines().filter(|line| line.contains(" 01 ")).count()
    };
    runtime::eventually(|| connections() == 2, || format!("{} ends of a connection", connections()));
    bundle.checkpoint(&["--tcp-established"]).fails("inet: In-flight connection");
    await_progress(&bundle);
    bundle.checkpoint(&["--tcp-established", "--tcp-skip-in-flight"]).ok();
    leaks::assert_nothing_left(&bundle);
    bundle.restore(&["--tcp-established", "--detach"]).ok();
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn stopped_process_is_dumped_as_well() {
    let Some(_) = criu::find() else { return };
    if skip_on_peer("runc waits without end where the freezer is that of v1") {
        return;
    }
    let bundle = Bundle::sh(
        "sleep 1000 & kill -STOP $!; n=0; while :; do n=$((n+1)); echo $n > /n; usleep 2000; done",
    );
    bundle.run_detached();
    await_progress(&bundle);
    let state = || {
        let pids = bundle.call(&["ps", "--format", "json", &bundle.id]).ok().stdout;
        let pids: Vec<i32> = serde_json::from_str(&pids).unwrap();
        let stat = |pid| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        pids.into_iter().any(|pid| stat(pid).contains(") T "))
    };
    runtime::eventually(state, || "it is stopped".to_owned());
    bundle.checkpoint(&["--leave-running"]).ok();
    await_progress(&bundle);
    assert!(state(), "it still is");
    bundle.checkpoint(&[]).ok();
    leaks::assert_nothing_left(&bundle);
    bundle.restore(&["--detach"]).ok();
    await_progress(&bundle);
    assert!(state(), "it is again");
    bundle.kill_and_delete();
}
