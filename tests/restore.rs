//! `restore`: a container from the files of a checkpoint goes on where it was, and is one like any other.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use support::{Bundle, Outcome, criu, leaks, runtime, skip_on_peer, terminal};

/// A container that counts in a file every few milliseconds; a line for each.
fn counter() -> Bundle {
    Bundle::sh("n=0; while :; do n=$((n+1)); echo $n >> /n; usleep 2000; done")
}

/// The numbers that were counted so far.
fn counted(bundle: &Bundle) -> Vec<u64> {
    let text = fs::read_to_string(bundle.rootfs().join("n")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| line.parse().unwrap()).collect()
}

#[track_caller]
fn await_progress(bundle: &Bundle) {
    let before = counted(bundle).len();
    runtime::eventually(|| counted(bundle).len() > before, || format!("progress beyond {before}"));
}

/// No number is missing and none came twice: the process went on where it was.
#[track_caller]
fn assert_without_gap(bundle: &Bundle) {
    let numbers = counted(bundle);
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

/// Runs the container, dumps it and restores it.
#[track_caller]
fn take_over(bundle: &Bundle, flags: &[&str]) {
    bundle.run_detached();
    await_progress(bundle);
    bundle.checkpoint(flags).ok();
    let before = counted(bundle).len();
    bundle.restore(&[flags, &["--detach"]].concat()).ok();
    runtime::eventually(|| counted(bundle).len() > before, || format!("progress beyond {before}"));
}

#[test]
fn counter_goes_on_where_it_was() {
    let Some(_) = criu::find() else { return };
    let bundle = counter();
    take_over(&bundle, &[]);
    assert_without_gap(&bundle);
    let state = bundle.state();
    assert_eq!((&state["status"], &state["pid"]), (&json!("running"), &json!(bundle.pid())));
    bundle.kill_and_delete();
}

#[test]
fn counter_over_tcp_goes_on_where_it_was() {
    let Some(_) = criu::find() else { return };
    let bundle = support::counter::over_tcp();
    take_over(&bundle, &["--tcp-established"]);
    assert_without_gap(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn restored_container_is_one_like_any_other() {
    let Some(_) = criu::find() else { return };
    let bundle = counter();
    take_over(&bundle, &[]);
    assert_eq!(bundle.exec_sh(&[], "hostname; cat /proc/1/comm"), "corten\nsh\n");
    let clocks = bundle.exec_sh(&[], "readlink /proc/self/ns/time; readlink /proc/1/ns/time");
    let (own, init) = clocks.trim().split_once('\n').unwrap();
    if !skip_on_peer("runc 1.1 knows no time namespace") {
        assert_eq!(own, init, "exec enters the clocks that criu gave");
    }
    let pids = bundle.call(&["ps", "--format", "json", &bundle.id]).ok().stdout;
    assert!(pids.contains(&bundle.pid().to_string()), "{pids}");
    bundle.call(&["pause", &bundle.id]).ok();
    assert_eq!(bundle.status(), "paused");
    bundle.call(&["resume", &bundle.id]).ok();
    await_progress(&bundle);
    bundle.call(&["update", "--pids-limit", "50", &bundle.id]).ok();
    bundle.restore(&["--detach"]).fails("container with given ID already exists");
    await_progress(&bundle);
    bundle.checkpoint(&[]).ok();
    bundle.restore(&["--detach"]).ok();
    await_progress(&bundle);
    assert_without_gap(&bundle);
    bundle.delete_force().ok();
}

#[test]
fn another_id_and_cgroup_may_be_taken() {
    let Some(_) = criu::find() else { return };
    let mut bundle = counter();
    bundle.run_detached();
    await_progress(&bundle);
    bundle.checkpoint(&[]).ok();
    let cgroup = format!("/{}-again", bundle.id);
    bundle.set("/linux/cgroupsPath", json!(cgroup));
    bundle.write_config();
    bundle.restore(&["--detach"]).ok();
    await_progress(&bundle);
    let own = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    assert!(own.lines().all(|line| line.ends_with(&cgroup)), "{own}");
    bundle.kill_and_delete();
}

/// The whole way with the v2 tree alone in place: `$way` says how, and `$paused` whether it stands still meanwhile.
const ON_V2: &str = r#"
    count() { wc -l < bundle/rootfs/n; }
    touch bundle/rootfs/n
    more() { before=$(count); while test "$(count)" -le $before; do sleep 0.01; done; }
    test -s pid || { "$@" run --detach --pid-file pid --bundle bundle $ID </dev/null >/dev/null 2>&1; }
    more
    test -z "$paused" || { "$@" pause $ID; grep -x 1 $c/cgroup.freeze >/dev/null; }
    rm -rf images
    "$@" checkpoint --image-path images $way --leave-running $ID
    test -z "$paused" || grep -x 1 $c/cgroup.freeze >/dev/null
    test -n "$paused" || { grep -x 0 $c/cgroup.freeze >/dev/null; more; }
    rm -rf images
    "$@" checkpoint --image-path images $way $ID
    grep "Detected cgroup V2 freezer" images/dump.log >/dev/null
    grep "freezing cgroup $c:" images/dump.log >/dev/null
    test ! -e $c
    "$@" restore --detach --pid-file pid --image-path images $way --bundle bundle $ID </dev/null >/dev/null 2>restored || {
        cat restored >&2; exit 1; }
    more
    grep -x "0::/$ID" /proc/$(cat pid)/cgroup
    grep -x 0 $c/cgroup.freeze >/dev/null
"#;

fn on_v2(bundle: &Bundle, way: &str, paused: &str) -> Outcome {
    for file in [bundle.dir.join("pid"), bundle.rootfs().join("n")] {
        let _ = fs::remove_file(file);
    }
    let mut command = bundle.script_on_v2(&format!("trap '\"$@\" delete --force $ID' EXIT; {ON_V2}"));
    criu::find_by_path(command.env("way", way).env("paused", paused));
    bundle.finish(&mut command)
}

#[test]
fn v2_counter_goes_on_where_it_was() {
    let Some(_) = criu::find() else { return };
    let bundle = counter();
    let there = format!("0::/{}\n", bundle.id);
    let (soft, ignore) = ("--manage-cgroups-mode soft", "--manage-cgroups-mode ignore");
    for (way, paused) in [("", ""), ("", "yes"), (soft, ""), (ignore, "")] {
        assert_eq!(on_v2(&bundle, way, paused).ok().stdout, there, "{way} {paused}");
        assert_without_gap(&bundle);
        leaks::assert_nothing_left(&bundle);
    }
    // The runtime makes the cgroup before CRIU does, and this mode wants none to be there.
    on_v2(&bundle, "--manage-cgroups-mode strict", "").fails("cg: Abort restore of existing cgroups");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn memory_comes_back_when_it_is_touched() {
    let Some(program) = criu::find() else { return };
    if skip_on_peer("runc wants absolute paths") {
        return;
    }
    if !criu::has("uffd-noncoop") {
        eprintln!("skipped: the kernel has no userfaultfd that CRIU could use");
        return;
    }
    let bundle = counter();
    bundle.run_detached();
    await_progress(&bundle);
    bundle.checkpoint(&[]).ok();
    let images = bundle.dir.join("images");
    // It ends when all memory has gone over.
    let mut pages = Command::new(program);
    pages.args(["lazy-pages", "-v4", "--log-file", "pages.log", "--images-dir"]).arg(&images);
    let mut pages = pages.current_dir(&images).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let socket = images.join("lazy-pages.socket");
    runtime::eventually(|| socket.exists(), || "lazy-pages listens".to_owned());
    let restored = bundle.restore(&["--lazy-pages", "--detach"]);
    if restored.code != Some(0) {
        pages.kill().unwrap();
    }
    assert!(pages.wait().unwrap().success() && restored.code == Some(0), "{restored:#?}");
    await_progress(&bundle);
    assert_without_gap(&bundle);
    let log = fs::read_to_string(images.join("pages.log")).unwrap();
    assert!(log.contains("UFFD transferred pages"), "{log}");
    bundle.kill_and_delete();
}

/// Mount points, options and what they show, in order.
fn mounts(bundle: &Bundle) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", bundle.pid())).unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let kind = fields[fields.iter().position(|field| *field == "-").unwrap() + 1];
        format!("{} {} {} {kind}", fields[4], fields[5], fields[3])
    };
    let mut lines: Vec<String> = table.lines().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn mounts_are_as_they_were() {
    let Some(_) = criu::find() else { return };
    if skip_on_peer("loses ro where two binds of one file system have it") {
        return;
    }
    let mut bundle = counter();
    for name in ["a", "b/sub"] {
        fs::create_dir_all(bundle.dir.join(name)).unwrap();
    }
    fs::write(bundle.dir.join("a/file"), "a").unwrap();
    symlink("/data", bundle.rootfs().join("link")).unwrap();
    let source = |name: &str| bundle.dir.join(name).to_str().unwrap().to_owned();
    let (a, b, file) = (source("a"), source("b"), source("a/file"));
    bundle.mount("/link/a", "bind", &a, &["bind", "ro"]);
    bundle.mount("/data/b", "bind", &b, &["rbind", "nosuid"]);
    bundle.mount("/data/b/sub/c", "bind", &a, &["bind", "noexec"]);
    bundle.mount("/etc/hosts", "bind", &file, &["bind", "ro", "nosuid", "nodev"]);
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]);
    bundle.set("/root/readonly", json!(false));
    bundle.run_detached();
    await_progress(&bundle);
    let before = mounts(&bundle);
    assert!(before.iter().any(|line| line.starts_with("/data/a ro,")), "{before:#?}");
    bundle.checkpoint(&[]).ok();
    bundle.restore(&["--detach"]).ok();
    await_progress(&bundle);
    assert_eq!(mounts(&bundle), before);
    bundle.exec(&[], &["sh", "-c", "echo x > /data/a/file"]).fails_with(1, "Read-only file system");
    assert_eq!(bundle.exec_sh(&[], "cat /proc/keys | wc -c"), "0\n", "hidden files stay hidden");
    bundle.kill_and_delete();
}

#[test]
fn places_of_mounts_are_made_in_a_new_root_file_system() {
    let Some(_) = criu::find() else { return };
    let mut bundle =
        Bundle::sh("exec 3>>/data/n; n=0; while :; do n=$((n+1)); echo $n >&3; usleep 2000; done");
    let data = bundle.dir.join("data");
    fs::create_dir(&data).unwrap();
    bundle.mount("/data", "bind", data.to_str().unwrap(), &["bind"]);
    bundle.run_detached();
    let size = || fs::metadata(data.join("n")).map_or(0, |file| file.len());
    runtime::eventually(|| size() > 0, || "something counted".into());
    bundle.checkpoint(&[]).ok();
    fs::remove_dir(bundle.rootfs().join("data")).unwrap();
    let before = size();
    bundle.restore(&["--detach"]).ok();
    runtime::eventually(|| size() > before, || "progress".into());
    bundle.kill_and_delete();
}

#[test]
fn user_namespace_comes_back() {
    let Some(_) = criu::find() else { return };
    let mut bundle = counter();
    bundle.user_namespace(100_000, 65_536);
    fs::write(bundle.rootfs().join("n"), "").unwrap();
    bundle.chown_rootfs(100_000);
    // The root of the container could not open the test's own file anew.
    let run = |mut command: std::process::Command| {
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    };
    run(bundle.run_command(&["--detach"]));
    await_progress(&bundle);
    bundle.checkpoint(&[]).ok();
    run(bundle.restore_command(&["--detach"]));
    await_progress(&bundle);
    let map = fs::read_to_string(format!("/proc/{}/uid_map", bundle.pid())).unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    bundle.kill_and_delete();
}

#[test]
fn network_namespace_that_is_joined_must_be_there_and_stays() {
    let Some(_) = criu::find() else { return };
    let mut bundle = counter();
    // A namespace that a process of ours holds.
    let mut holder = std::process::Command::new("unshare");
    holder.args(["--net", "sleep", "1000"]).env("CORTENTEST", &bundle.id);
    let holder = bundle.begin(&mut holder);
    let path = format!("/proc/{}/ns/net", holder.pid());
    let inode = |path: &str| fs::read_link(path).unwrap();
    runtime::eventually(|| inode(&path) != inode("/proc/self/ns/net"), || "a namespace".into());
    bundle.namespace("network", Some(&path));
    take_over(&bundle, &[]);
    assert_eq!(inode(&format!("/proc/{}/ns/net", bundle.pid())), inode(&path));
    bundle.kill_and_delete();
    drop(holder);
}

#[test]
fn terminal_goes_to_the_console_socket() {
    let Some(_) = criu::find() else { return };
    let mut bundle = Bundle::sh("while read line; do echo got $line; done");
    bundle.set("/process/terminal", json!(true));
    let listener = terminal::listen(&bundle.dir.join("first"));
    bundle.run_with(&["--detach", "--console-socket", "first"]).ok();
    let first = terminal::receive(&listener);
    bundle.checkpoint(&[]).ok();
    drop(first);
    let listener = terminal::listen(&bundle.dir.join("second"));
    bundle.restore(&["--detach", "--console-socket", "second"]).ok();
    let master = terminal::receive(&listener).descriptors.pop().unwrap();
    rustix::io::write(&master, b"hello\n").unwrap();
    let mut seen = String::new();
    let mut file = fs::File::from(master);
    while !seen.contains("got hello") {
        let mut chunk = [0; 256];
        let length = file.read(&mut chunk).unwrap();
        seen += &String::from_utf8_lossy(&chunk[..length]);
    }
    drop(file);
    bundle.delete_force().ok();
    if !skip_on_peer("other words") {
        bundle.restore(&["--detach"]).fails("cannot allocate tty");
    }
}

#[test]
fn foreground_waits_and_ends_with_the_programs_code() {
    let Some(_) = criu::find() else { return };
    let bundle =
        Bundle::sh("trap 'exit 7' TERM; while [ ! -e /go ]; do usleep 2000; done; echo over; exit 5");
    bundle.run_detached();
    runtime::eventually(|| bundle.exec(&[], &["true"]).code == Some(0), || "it runs".into());
    bundle.checkpoint(&["--leave-running"]).ok();
    bundle.kill_and_delete();
    let running = bundle.begin(&mut bundle.restore_command(&[]));
    let is_there = || bundle.call(&["state", &bundle.id]).stdout.contains("\"running\"");
    runtime::eventually(is_there, || "restored".into());
    fs::write(bundle.rootfs().join("go"), "").unwrap();
    assert_eq!(running.finish().code, Some(5));
    leaks::assert_nothing_left(&bundle);
    fs::remove_file(bundle.rootfs().join("go")).unwrap();
    let running = bundle.begin(&mut bundle.restore_command(&[]));
    runtime::eventually(is_there, || "restored again".into());
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.finish().code, Some(7), "signals are passed on");
}

#[test]
fn output_goes_to_the_pipe_of_the_restorer() {
    let Some(_) = criu::find() else { return };
    let bundle = Bundle::sh("n=0; while :; do n=$((n+1)); echo line $n; usleep 2000; done");
    let mut command = bundle.run_command(&["--detach"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = child.stdout.take().unwrap();
    let mut seen = [0; 6];
    first.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"line 1");
    assert!(child.wait().unwrap().success());
    bundle.checkpoint(&[]).ok();
    let mut rest = String::new();
    first.read_to_string(&mut rest).unwrap();
    let last: u64 = rest.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let mut command = bundle.restore_command(&["--detach"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut second = child.stdout.take().unwrap();
    assert!(child.wait().unwrap().success());
    let mut bytes = [0; 64];
    let length = second.read(&mut bytes).unwrap();
    let next = format!("line {}", last + 1);
    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    assert!(text.starts_with(&next) || text.starts_with(&format!("line {last}")), "{text} after {rest}");
    drop(second);
    bundle.delete_force().ok();
}

#[test]
fn hooks_run_when_the_namespaces_are_there() {
    let Some(_) = criu::find() else { return };
    let mut bundle = counter();
    for (kind, name) in [("prestart", "a"), ("createRuntime", "b"), ("poststop", "c")] {
        let body = format!("cat >> {:?}; echo >> {:?}", bundle.dir.join(name), bundle.dir.join(name));
        let path = bundle.host_script(&format!("hook-{name}"), &body);
        bundle.push(&format!("/hooks/{kind}"), json!({ "path": path }));
    }
    let states = |bundle: &Bundle, name: &str| -> Vec<Value> {
        let text = fs::read_to_string(bundle.dir.join(name)).unwrap_or_default();
        serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect()
    };
    take_over(&bundle, &[]);
    assert_eq!(states(&bundle, "a").len(), 2);
    let state = states(&bundle, "b").pop().unwrap();
    assert_eq!(
        (&state["id"], &state["pid"], &state["status"]),
        (&json!(bundle.id), &json!(bundle.pid()), &json!("created"))
    );
    assert_eq!(states(&bundle, "c").len(), 1, "that of the checkpoint");
    bundle.kill_and_delete();
    assert_eq!(states(&bundle, "c").len(), 2);
}

#[test]
fn failed_restore_leaves_nothing() {
    let Some(_) = criu::find() else { return };
    if skip_on_peer("other words") {
        return;
    }
    let mut bundle = counter();
    bundle.write_config();
    bundle.restore(&["--detach"]).fails("--image-path");
    leaks::assert_nothing_left(&bundle);
    bundle.run_detached();
    await_progress(&bundle);
    bundle.checkpoint(&[]).ok();
    let hook = bundle.host_script("fails", "echo no such luck; exit 3");
    bundle.set("/hooks/createRuntime", json!([{ "path": hook }]));
    bundle.write_config();
    bundle.restore(&["--detach"]).fails("hooks.createRuntime[0]").fails("no such luck");
    leaks::assert_nothing_left(&bundle);
    bundle.unset("/hooks").set("/mounts/0/source", json!("proc"));
    bundle.write_config();
    fs::remove_file(bundle.dir.join("images/inventory.img")).unwrap();
    let outcome = bundle.restore(&["--detach"]).fails("criu: (criu/");
    assert!(outcome.stderr.contains("images/restore.log"), "{}", outcome.stderr);
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn what_a_killed_restore_leaves_is_found_by_delete() {
    let Some(_) = criu::find() else { return };
    if skip_on_peer("leaves mounts on the host") {
        return;
    }
    let mut bundle = counter();
    bundle.run_detached();
    await_progress(&bundle);
    bundle.checkpoint(&[]).ok();
    let reached = bundle.dir.join("reached");
    let hook = bundle.host_script("holds", &format!("echo $$ > {reached:?}; exec sleep 1000"));
    bundle.push("/hooks/createRuntime", json!({ "path": hook }));
    bundle.write_config();
    let running = bundle.begin(&mut bundle.restore_command(&["--detach"]));
    let hook = || fs::read_to_string(&reached).ok()?.trim().parse::<i32>().ok();
    runtime::eventually(|| hook().is_some(), || "the hook runs".into());
    running.signal(rustix::process::Signal::KILL);
    let _ = running.finish();
    // It was none of the container's.
    let hook = rustix::process::Pid::from_raw(hook().unwrap()).unwrap();
    rustix::process::kill_process(hook, rustix::process::Signal::KILL).unwrap();
    bundle.delete_force().ok();
}

#[test]
fn callers_spellings_are_understood() {
    if skip_on_peer("not a test of the peer") {
        return;
    }
    let bundle = Bundle::new();
    bundle.write_config();
    // Both fail for want of images, and not for a word.
    let flags = ["-no-subreaper", "--no-pivot", "--detach"];
    let words = if rustix::process::geteuid().is_root() { "--image-path" } else { "only root" };
    bundle.restore(&flags).fails(words);
    for verb in ["checkpoint", "restore"] {
        bundle.call(&[verb, "--help"]).ok();
    }
    // podman asks this way whether the flag is known.
    bundle.call(&["restore", "--lsm-mount-context"]).fails("flag needs an argument");
}

#[test]
fn every_flag_reaches_criu() {
    if skip_on_peer("not a test of the peer") || !rustix::process::geteuid().is_root() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let record = bundle.dir.join("record");
    let criu = bundle.host_script("recorder", &format!("exec python3 {:?} {record:?} \"$@\"", recorder()));
    let asked = |flags: &[&str]| {
        let outcome = bundle.finish(&mut bundle.command(&[flags, &[bundle.id.as_str()]].concat()));
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        fs::read_to_string(&record).unwrap()
    };
    let checkpoint = ["--criu", &criu, "checkpoint", "--image-path", "images"];
    for (flags, fields) in [
        (&["--leave-running"][..], &["3=1"][..]),
        (&["--ext-unix-sk"], &["4=1"]),
        (&["--tcp-established"], &["5=1"]),
        (&["--shell-job"], &["7=1"]),
        (&["--file-locks"], &["8=1"]),
        (&["--page-server", "10.0.0.1:27"], &["11=[1=10.0.0.1 2=27]"]),
        (&["--parent-path", "."], &["14=.", "15=1"]),
        (&["--auto-dedup"], &["16=1"]),
        (&["--work-path", "work"], &["17="]),
        (&["--link-remap"], &["18=1"]),
        (&[], &["24=1", "34=3", "38=1073741824", "50=1"]),
        (&["--manage-cgroups-mode", "ignore"], &["34=0"]),
        (&["--manage-cgroups-mode", "full"], &["34=4"]),
        (&["--manage-cgroups-mode", "strict"], &["34=5"]),
        (&["--empty-ns", "network"], &["38=1073741824"]),
        (&["--tcp-skip-in-flight"], &["46=1"]),
        (&["--lazy-pages"], &["48=1"]),
        (&["--tcp-close"], &["52=1"]),
        (&["--network-lock", "iptables"], &["64=1"]),
        (&["--network-lock", "nftables"], &["64=2"]),
        (&["--network-lock", "skip"], &["64=3"]),
    ] {
        let request = asked(&[&checkpoint, flags].concat());
        assert!(request.starts_with("type=1\n"), "{request}");
        for field in fields {
            assert!(request.lines().any(|line| line.starts_with(field)), "{flags:?}: {request}");
        }
    }
    assert!(asked(&[&checkpoint[..], &["--pre-dump"]].concat()).starts_with("type=4\n"));
    bundle.kill_and_delete();
    let restore = ["--criu", &criu, "restore", "--image-path", "images", "--bundle", "bundle", "--detach"];
    for (flags, fields) in [
        (&["--lsm-profile", "apparmor:x"][..], &["53=apparmor:x"][..]),
        (&["--lsm-mount-context", "u:r:t:s0"], &["63=u:r:t:s0"]),
        (&["--tcp-close", "--ext-unix-sk", "--shell-job"], &["52=1", "4=1", "7=1"]),
        (&["--file-locks", "--auto-dedup", "--lazy-pages"], &["8=1", "16=1", "48=1"]),
        (&["--tcp-established", "--work-path", "work"], &["5=1", "17=", "26=1", "6=1"]),
    ] {
        let request = asked(&[&restore, flags].concat());
        assert!(request.starts_with("type=2\n"), "{request}");
        for field in fields {
            assert!(request.lines().any(|line| line.starts_with(field)), "{flags:?}: {request}");
        }
    }
}

/// A program that is asked as CRIU is, writes the request down, a field a line, and says that it cannot do it. For flags
/// whose effect cannot be seen on every machine.
fn recorder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/criu_recorder.py")
}
