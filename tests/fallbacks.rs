//! Kernels, and filters above us, that lack calls: what the container sees stays the same, or the error names the
//! kernel that is needed.
//!
//! The calls are taken away by strace, which answers ENOSYS in their place, from the runtime and its init alike.

mod support;

use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::process::Command;
use support::canary::Canary;
use support::{Bundle, Outcome, leaks, probe, runtime, skip_on_peer};

/// The whole new mount API, which came with Linux 5.2 and, mount_setattr(2), 5.12.
const NEW_MOUNT_API: &[&str] = &["open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "mount_setattr"];

/// Prints what was set up: the mount table without its ids, devices and links, what is masked and what may be written.
const LOOK: &str = "sed 's/^[0-9]* [0-9]* [0-9:]* //; s/shared:[0-9]*/shared/' /proc/self/mountinfo; \
    cd /dev; stat -c '%n %F %t:%T %a %u:%g' *; for link in fd stdin ptmx; do readlink $link; done; cd /; \
    stat -c '%n %F %t:%T' /etc/secret /proc/keys; ls -A /etc/private /sys/firmware; cat /bound/file /one; \
    for path in / /bound /etc/private /etc /kept /plain /new /again /copied /inside/deep /proc/sys; do \
    touch $path/written 2>/dev/null && echo $path is written to; done; \
    for file in /one /etc/secret /proc/sysrq-trigger; do (echo > $file) 2>/dev/null && echo $file is written to; done; \
    cat /copied/file; head -c 3 /dev/zero | wc -c; echo x > /dev/null && ls /proc/self/fd; ls /sys/fs/cgroup";

/// A container with one of everything that is mounted, masked and made.
fn everything() -> Bundle {
    let mut bundle = Bundle::sh(LOOK);
    let (source, rootfs) = (bundle.path().join("source"), bundle.rootfs());
    fs::create_dir_all(source.join("dir")).unwrap();
    fs::write(source.join("file"), "bound\n").unwrap();
    for path in ["etc/private/sub", "kept", "copied"] {
        fs::create_dir_all(rootfs.join(path)).unwrap();
    }
    fs::write(rootfs.join("etc/secret"), "secret\n").unwrap();
    fs::write(rootfs.join("copied/file"), "copied\n").unwrap();
    // Where an image points its mount points at the host.
    symlink("/../../../../../inside", rootfs.join("hostile")).unwrap();
    symlink("../../../../../../plain", rootfs.join("etc/up")).unwrap();
    bundle
        .namespace("cgroup", None)
        .mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "nodev", "noexec"])
        .mount("/bound", "none", "source", &["rbind", "ro", "nosuid", "rprivate"])
        .mount("/one", "none", "source/file", &["bind", "ro", "noexec"])
        .mount("/kept", "tmpfs", "tmpfs", &["size=64k", "noatime"])
        .mount("/etc/up", "tmpfs", "tmpfs", &["size=64k", "sync", "nodiratime", "strictatime"])
        .mount("/new/deep", "tmpfs", "tmpfs", &["size=64k", "shared"])
        .mount("/hostile/deep", "tmpfs", "tmpfs", &["size=64k"])
        .mount("/copied", "tmpfs", "tmpfs", &["size=64k", "tmpcopyup", "ro"])
        .mount("/again", "none", "/dev/shm", &["bind", "relatime", "nosuid"])
        .mount("/kept", "tmpfs", "tmpfs", &["remount", "nosuid", "size=128k"])
        .set("/root/readonly", json!(true))
        .push("/linux/maskedPaths", json!("/etc/secret"))
        .push("/linux/maskedPaths", json!("/etc/private"))
        .push("/linux/readonlyPaths", json!("/bound/dir"))
        .set(
            "/linux/devices",
            json!([
                { "path": "/dev/deep/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6 },
                { "path": "/dev/pipe", "type": "p", "fileMode": 0o600 }
            ]),
        );
    bundle
}

/// The words that run a command where some system calls are answered with an error.
fn strace(bundle: &Bundle, calls: &[&str], errno: &str) -> Vec<String> {
    let list = calls.join(",");
    let (trace, inject) = (format!("trace={list}"), format!("inject={list}:error={errno}"));
    let log = bundle.dir.join("calls");
    // -I 2: SIGTERM ends it, which -o would block.
    ["strace", "-f", "-q", "-I", "2", "-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject]
        .map(str::to_owned)
        .into()
}

/// A call of the runtime without some system calls, not yet made.
fn command_without(bundle: &Bundle, calls: &[&str], words: &[&str]) -> Command {
    bundle.write_config();
    let strace = strace(bundle, calls, "ENOSYS");
    let strace: Vec<&str> = strace.iter().map(String::as_str).collect();
    bundle.command_under(&strace, words)
}

/// Calls the runtime without some system calls, and makes sure that it has met one.
fn without(bundle: &Bundle, calls: &[&str], words: &[&str]) -> Outcome {
    let outcome = bundle.finish(&mut command_without(bundle, calls, words));
    let met = fs::read_to_string(bundle.dir.join("calls")).unwrap();
    assert!(met.contains("(INJECTED)"), "none of {calls:?} was called: {outcome:#?}");
    outcome
}

fn run_without(bundle: &Bundle, calls: &[&str]) -> Outcome {
    without(bundle, calls, &["run", "--bundle", "bundle", &bundle.id])
}

/// Creates a container without some system calls. strace would wait for init; it lets go of it when it is told to end.
fn create_without(bundle: &Bundle, calls: &[&str]) {
    let words = ["create", "--bundle", "bundle", "--pid-file", "pid", &bundle.id];
    let running = bundle.begin(&mut command_without(bundle, calls, &words));
    // SIGTERM would reach the runtime, too, as long as it is there.
    let log = || fs::read_to_string(bundle.dir.join("calls")).unwrap_or_default();
    runtime::eventually(|| log().contains("+++ exited with 0 +++"), log);
    running.signal(Signal::TERM);
    running.finish();
    assert_eq!(bundle.status(), "created");
    assert!(log().contains("(INJECTED)"), "none of {calls:?} was called");
}

#[test]
fn container_looks_the_same_without_newer_calls() {
    if skip_on_peer("falls back on its own terms") {
        return;
    }
    // Each run makes its mount points anew.
    let seen = |outcome: &Outcome, bundle: &Bundle| outcome.stdout.replace(&bundle.id, "ID");
    let bundle = everything();
    let expected = seen(&bundle.run().ok(), &bundle);
    for path in ["/kept", "/plain", "/inside/deep"] {
        assert!(expected.contains(&format!("\n{path} is written to\n")), "{path}: {expected}");
    }
    for path in ["/", "/bound", "/one", "/etc/private", "/copied", "/proc/sys", "/proc/sysrq-trigger"] {
        assert!(!expected.contains(&format!("\n{path} is written to\n")), "{path}: {expected}");
    }
    assert!(expected.contains("\n/etc/secret character special file 1:3\n"), "{expected}");
    let oldest = [NEW_MOUNT_API, &["openat2", "clone3", "close_range", "statx"]].concat();
    for calls in [
        &["openat2"][..],
        NEW_MOUNT_API,
        &["mount_setattr"], // Linux 5.2 to 5.11
        &["clone3"],
        &["close_range"],
        &["faccessat2"],
        &oldest,
    ] {
        let bundle = everything();
        let outcome = run_without(&bundle, calls);
        let found = seen(&outcome, &bundle);
        let differs = |(left, right): &(&str, &str)| left != right;
        assert_eq!(expected.lines().zip(found.lines()).find(differs), None, "{calls:?}: {}", outcome.stderr);
        assert_eq!((outcome.code, found.len()), (Some(0), expected.len()), "{calls:?}: {outcome:#?}");
    }
}

#[test]
fn bind_mount_keeps_what_no_option_speaks_of_without_the_new_mount_api() {
    if skip_on_peer("keeps other flags than corten does") {
        return;
    }
    let mut bundle = Bundle::sh("cat /proc/self/mountinfo");
    // What is bound is mounted by the test's own wrapper, with flags that a remount could lose.
    fs::create_dir(bundle.path().join("source")).unwrap();
    bundle
        .mount("/plain", "none", "source", &["bind"])
        .mount("/ro", "none", "source", &["bind", "ro"])
        .mount("/relatime", "none", "source", &["bind", "relatime"])
        .write_config();
    for (flags, plain, ro, relatime) in [
        ("noatime,nosuid", "rw,nosuid,noatime", "ro,noatime", "rw,relatime"),
        ("strictatime,nodiratime", "rw,nodiratime", "ro,nodiratime", "rw,nodiratime,relatime"),
    ] {
        let script = format!("mount -t tmpfs -o {flags} tmpfs bundle/source; exec \"$@\"");
        let own = support::runtime::private_mounts(&script);
        let strace = strace(&bundle, NEW_MOUNT_API, "ENOSYS");
        let strace: Vec<&str> = strace.iter().map(String::as_str).collect();
        for wrapper in [own.to_vec(), [&own[..], &strace].concat()] {
            let words = ["run", "--bundle", "bundle", &bundle.id];
            let output = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok().stdout;
            for (point, expected) in [("/plain", plain), ("/ro", ro), ("/relatime", relatime)] {
                assert_eq!(
                    probe::mount(&output, point).options.join(","),
                    expected,
                    "{flags} {point} {wrapper:?}"
                );
            }
        }
    }
}

#[test]
fn what_mount_setattr_alone_can_do_is_refused_by_name() {
    if skip_on_peer("says it in its own words") {
        return;
    }
    for (word, more) in [("rro", &["rbind"][..]), ("rnosuid", &["rbind", "ro"]), ("idmap", &["bind"])] {
        let mut bundle = Bundle::new();
        let map = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
        let options = [more, &[word]].concat();
        bundle.push(
            "/mounts",
            json!({ "destination": "/m", "source": "/etc", "options": options, "uidMappings": map, "gidMappings": map }),
        );
        if word != "idmap" {
            bundle.unset("/mounts/6/uidMappings").unset("/mounts/6/gidMappings");
        }
        let outcome = run_without(&bundle, &["mount_setattr"]);
        assert_eq!(outcome.code, Some(1), "{outcome:#?}");
        let expected = format!(
            "run {}: config.json: mounts[6].options: \"{word}\" needs mount_setattr(2), which this kernel lacks; it came \
             with Linux 5.12\n",
            bundle.id
        );
        assert_eq!(outcome.stderr, expected);
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn symlink_is_no_mount_point_of_a_procfs_without_openat2() {
    let mut bundle = Bundle::new();
    let canary = Canary::new(&bundle.dir, "canary");
    fs::create_dir_all(bundle.rootfs().join("real/proc")).unwrap();
    symlink("real", bundle.rootfs().join("link")).unwrap();
    symlink(canary.path(), bundle.rootfs().join("out")).unwrap();
    for target in ["/link/proc", "/out/sub", "/link"] {
        bundle.mount(target, "sysfs", "sysfs", &[]);
        for outcome in [bundle.run(), run_without(&bundle, &["openat2"])] {
            assert_eq!(outcome.code, Some(1), "{target}: {outcome:#?}");
            if !support::is_peer() {
                assert!(outcome.stderr.contains("the target is a symlink"), "{target}: {outcome:#?}");
            }
        }
        bundle.unmount(target);
    }
    canary.assert_unchanged();
}

#[test]
fn created_init_holds_no_descriptor_of_the_host_without_close_range() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    let expected = descriptors(bundle.pid());
    bundle.delete_force().ok();
    create_without(&bundle, &["close_range"]);
    assert_eq!(descriptors(bundle.pid()).len(), expected.len(), "{:?}", descriptors(bundle.pid()));
    bundle.start().ok();
    bundle.delete_force().ok();
}

/// What the descriptors of a process are.
fn descriptors(pid: i32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

#[test]
fn new_time_namespace_without_clone3_is_made_by_the_runtime_or_refused_by_name() {
    if skip_on_peer("makes its processes in another way") {
        return;
    }
    let mut bundle = Bundle::sh("readlink /proc/self/ns/time; cat /proc/self/timens_offsets");
    bundle.namespace("time", None).set("/linux/timeOffsets", json!({ "boottime": { "secs": 1000 } }));
    let own = fs::read_link("/proc/self/ns/time").unwrap();
    let seen = run_without(&bundle, &["clone3"]).ok().stdout;
    let lines: Vec<&str> = seen.lines().collect();
    assert_ne!(lines[0], own.to_str().unwrap());
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["boottime", "1000", "0"], "{seen}");
    leaks::assert_nothing_left(&bundle);
    // Who is root of a user namespace alone could not go back into his own.
    let mut bundle = Bundle::new();
    bundle.user_namespace(0, 1).namespace("time", None).namespace("cgroup", None);
    bundle.unset("/linux/cgroupsPath").unset("/linux/resources");
    bundle.write_config();
    let log = bundle.dir.join("calls").display().to_string();
    let wrapper = [
        "unshare",
        "--user",
        "--map-root-user",
        "strace",
        "-f",
        "-qq",
        "-o",
        &log,
        "-e",
        "inject=clone3:error=ENOSYS",
    ];
    let call = ["run", "--bundle", "bundle", &bundle.id];
    let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &call));
    let expected = format!(
        "run {}: config.json: linux.namespaces: without root a new time namespace needs clone3(2), which is missing\n  hint: it \
         needs Linux 5.6, and no seccomp filter above us that denies it\n",
        bundle.id
    );
    assert_eq!((outcome.code, outcome.stderr), (Some(1), expected));
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn init_is_moved_into_its_cgroup_where_it_cannot_be_born_there() {
    if skip_on_peer("makes its processes in another way") {
        return;
    }
    // Linux 5.3 to 5.6 refuse the longer struct of clone3(2), and CLONE_INTO_CGROUP.
    for errno in ["E2BIG", "EINVAL"] {
        for user_namespace in [false, true] {
            let mut bundle = Bundle::sh("grep ^0:: /proc/self/cgroup; cat /proc/self/uid_map");
            if user_namespace {
                bundle.user_namespace(100_000, 65536);
            }
            bundle.write_config();
            let script = "mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec \"$@\"";
            let own = support::runtime::private_mounts(script);
            let mut words = strace(&bundle, &["clone3"], errno);
            words.last_mut().unwrap().push_str(":when=1");
            let wrapper: Vec<&str> = own.into_iter().chain(words.iter().map(String::as_str)).collect();
            let call = ["run", "--bundle", "bundle", &bundle.id];
            let output = bundle.finish(&mut bundle.command_under(&wrapper, &call)).ok().stdout;
            let first = if user_namespace { "100000" } else { "0" };
            let words: Vec<&str> = output.split_whitespace().collect();
            assert_eq!(words[..3], [format!("0::/{}", bundle.id).as_str(), "0", first], "{errno}");
            let met = fs::read_to_string(bundle.dir.join("calls")).unwrap();
            assert!(met.contains("(INJECTED)"), "{met}");
        }
    }
}

#[test]
fn without_pidfds_a_pid_is_trusted_only_with_its_start_time() {
    if skip_on_peer("its state is another") {
        return;
    }
    for calls in [&["pidfd_open"][..], &["pidfd_send_signal"], &["pidfd_open", "pidfd_send_signal"]] {
        let bundle = Bundle::sleeper();
        bundle.create().ok();
        bundle.start().ok();
        without(&bundle, calls, &["kill", &bundle.id, "0"]).ok();
        // The pid is another's when the process on record has started at another time: that one must not be hit.
        let state = bundle.root().join(&bundle.id).join("state.json");
        let record = fs::read_to_string(&state).unwrap();
        let (pid, mut other) = (bundle.pid(), serde_json::from_str::<serde_json::Value>(&record).unwrap());
        let start_time = other.pointer_mut("/process/start_time").unwrap();
        *start_time = json!(start_time.as_u64().unwrap() + 1);
        fs::write(&state, other.to_string()).unwrap();
        bundle
            .finish(&mut command_without(&bundle, calls, &["kill", &bundle.id, "KILL"]))
            .fails("container not running");
        assert!(fs::exists(format!("/proc/{pid}/cwd")).unwrap());
        fs::write(&state, record).unwrap();
        assert_eq!(bundle.status(), "running");
        without(&bundle, calls, &["kill", &bundle.id, "KILL"]).ok();
        bundle.await_death(pid);
        bundle.finish(&mut command_without(&bundle, calls, &["delete", &bundle.id])).ok();
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn every_process_is_signalled_and_a_container_deleted_by_force_without_pidfds() {
    if skip_on_peer("signals by pid") {
        return;
    }
    let calls = ["pidfd_open", "pidfd_send_signal"];
    let mut bundle = Bundle::sh(
        "trap 'echo init' USR1; (trap 'echo child; exit' USR1; while :; do sleep 0.1; done) & \
        echo up; while :; do wait; sleep 0.1; done",
    );
    bundle.without_namespace("pid");
    let container = bundle.create().ok();
    bundle.start().ok();
    let says = |word: &str| container.later_stdout().contains(word);
    runtime::eventually(|| says("up"), || container.later_stdout());
    without(&bundle, &calls, &["kill", "--all", &bundle.id, "USR1"]).ok();
    runtime::eventually(|| says("init") && says("child"), || container.later_stdout());
    without(&bundle, &calls, &["delete", "--force", &bundle.id]).ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn failed_run_ends_its_init_without_pidfd_send_signal() {
    let mut bundle = Bundle::new();
    bundle.set("/hooks", json!({ "prestart": [{ "path": "/bin/false" }] }));
    let outcome = run_without(&bundle, &["pidfd_send_signal"]);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    bundle.delete_force();
    leaks::assert_nothing_left(&bundle);
}

/// What a container that shares the pid namespace of a created one does to the runtime in it, with every right that it
/// might have.
const OVERWRITE: &str = "exec 9</proc/1/exe && echo held; wc -c </proc/1/exe; \
    for path in /proc/1/exe /proc/self/fd/9; do (echo pwned >$path) 2>/dev/null && echo $path is written to; done; true";

#[test]
fn own_binary_is_a_sealed_copy_where_its_mount_cannot_be_cloned() {
    // CVE-2019-5736
    if skip_on_peer("runc always makes a copy, crun another one") {
        return;
    }
    let size = fs::metadata(runtime::program()).unwrap().len();
    for (calls, errno) in [(["open_tree"], "EPERM"), (["open_tree"], "ENOSYS"), (["mount_setattr"], "ENOSYS")]
    {
        let victim = Bundle::sleeper();
        victim.write_config();
        // The runtime alone is traced: what protects it is done before it makes init.
        let strace: Vec<String> =
            strace(&victim, &calls, errno).into_iter().filter(|word| word != "-f").collect();
        let strace: Vec<&str> = strace.iter().map(String::as_str).collect();
        let words = ["create", "--bundle", "bundle", "--pid-file", "pid", &victim.id];
        victim.finish(&mut victim.command_under(&strace, &words)).ok();
        let executable = format!("/proc/{}/exe", victim.pid());
        assert_eq!(fs::read_link(&executable).unwrap().to_str(), Some("/memfd:corten (deleted)"), "{errno}");

        let mut attacker = Bundle::new();
        attacker.namespace("pid", Some(&format!("/proc/{}/ns/pid", victim.pid())));
        for set in ["bounding", "permitted", "effective"] {
            let all = ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO"];
            attacker.set(&format!("/process/capabilities/{set}"), json!(all));
        }
        assert_eq!(attacker.payload(OVERWRITE), format!("held\n{size}\n"), "{calls:?} {errno}");

        // Nor when it no longer runs: it is sealed, not only busy.
        let held = fs::File::open(&executable).unwrap();
        victim.delete_force().ok();
        let path = format!("/proc/self/fd/{}", held.as_raw_fd());
        let mut writable = fs::OpenOptions::new().write(true).open(path).unwrap();
        assert_eq!(writable.write(b"pwned").unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(writable.set_len(0).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(held.metadata().unwrap().len(), size);
    }
}

#[test]
fn own_binary_is_read_only_for_who_holds_it() {
    let victim = Bundle::sleeper();
    victim.write_config();
    // A copy that nobody else runs: what runs is busy, which the kernel finds first.
    let copy = victim.dir.join("runtime");
    fs::copy(runtime::program(), &copy).unwrap();
    let root = victim.root();
    let words = ["--root", root.to_str().unwrap(), "create", "--bundle", "bundle", "--pid-file", "pid"];
    let mut create = Command::new(copy);
    create.args(words).arg(&victim.id).env("CORTENTEST", &victim.id).current_dir(&victim.dir);
    victim.finish(&mut create).ok();
    let held = fs::File::open(format!("/proc/{}/exe", victim.pid())).unwrap();
    victim.delete_force().ok();
    let path = format!("/proc/self/fd/{}", held.as_raw_fd());
    let refused = fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write(b"pwned"));
    let errno = refused.unwrap_err().raw_os_error();
    assert!([Some(libc::EROFS), Some(libc::EPERM)].contains(&errno), "{errno:?}");
}
