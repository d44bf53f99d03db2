//! The runtime's own safety against the container: its binary (CVE-2019-5736), its descriptors and working directory
//! (CVE-2024-21626).

mod support;

use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use support::{Bundle, Outcome, leaks, probe, runtime};

/// A copy of the runtime in the bundle's directory, so that an attack that succeeds ruins the copy alone.
fn copy_of_the_runtime(bundle: &Bundle) -> PathBuf {
    let copy = bundle.dir.join("runtime");
    fs::copy(runtime::program(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

/// Calls the copy instead of the runtime.
fn call_copy(bundle: &Bundle, words: &[&str]) -> Outcome {
    bundle.write_config();
    let mut command = Command::new(bundle.dir.join("runtime"));
    command
        .arg("--root")
        .arg(bundle.root())
        .args(words)
        .env("CORTENTEST", &bundle.id)
        .current_dir(&bundle.dir);
    bundle.finish(&mut command)
}

#[test]
fn entrypoint_that_is_the_runtime_itself_cannot_write_to_it() {
    // The image's program is a script whose interpreter is the runtime, by way of /proc/self/exe.
    let mut bundle = Bundle::new();
    let copy = copy_of_the_runtime(&bundle);
    let before = fs::read(&copy).unwrap();
    bundle.executable("entry", "#!/proc/self/exe\n");
    bundle.set("/process/args", json!(["/entry"]));
    let outcome = call_copy(&bundle, &["run", "--bundle", "bundle", &bundle.id]);
    assert_ne!(outcome.code, Some(0), "the runtime ran inside as the payload: {outcome:#?}");
    bundle.delete_force().ok();
    assert!(fs::read(&copy).unwrap() == before, "the runtime was overwritten");
}

/// Watches for the runtime's init in a shared pid namespace, holds its executable, and writes to it when it can.
const ATTACK: &str = "echo up; while :; do for p in /proc/[0-9]*; do \
    case \"$(readlink $p/exe)\" in */busybox|'') ;; *) \
    if exec 9<$p/exe; then echo held; \
    n=0; while [ $n -lt 300 ]; do echo pwned 2>/dev/null >/proc/self/fd/9 && echo written; n=$((n+1)); usleep 1000; done; \
    exec 9<&-; echo let go; fi ;; esac; done; done 2>/dev/null";

#[test]
fn container_that_holds_the_executable_of_an_entering_init_cannot_write_to_it() {
    let mut attacker = Bundle::sh(ATTACK);
    // It may do to its neighbours whatever root in a container may.
    for set in ["bounding", "permitted", "effective"] {
        attacker.push(&format!("/process/capabilities/{set}"), json!("CAP_SYS_PTRACE"));
        attacker.push(&format!("/process/capabilities/{set}"), json!("CAP_DAC_OVERRIDE"));
    }
    let output = attacker.create().ok();
    attacker.start().ok();
    runtime::eventually(|| output.later_stdout().contains("up"), || "the attacker runs".into());

    let mut victim = Bundle::new();
    let copy = copy_of_the_runtime(&victim);
    let before = fs::read(&copy).unwrap();
    victim.namespace("pid", Some(&format!("/proc/{}/ns/pid", attacker.pid())));
    // A created container is the runtime's init: it stays where the attacker can reach it.
    call_copy(&victim, &["create", "--bundle", "bundle", "--pid-file", "pid", &victim.id]).ok();
    let said = |words: &'static str| {
        runtime::eventually(
            || output.later_stdout().contains(words),
            || format!("the attacker says {words:?}"),
        );
    };
    said("held");
    // And when it no longer runs: who holds it then meets no "text file busy".
    call_copy(&victim, &["delete", "--force", &victim.id]).ok();
    said("let go");
    attacker.delete_force().ok();
    assert!(fs::read(&copy).unwrap() == before, "the runtime was overwritten: {}", output.later_stdout());
}

#[test]
fn working_directory_by_a_descriptor_of_the_runtime_is_refused() {
    // Row B4 of config-checklist.md
    // CVE-2024-21626: one of them might be a directory of the host. Number 0 to 2 are files of ours.
    for number in 3..20 {
        let mut bundle = Bundle::sh("pwd; ls -d /proc/self/cwd/etc/hostname");
        let direct = format!("/proc/self/fd/{number}");
        let cwd = if number % 2 == 0 { direct.clone() } else { "/link".to_owned() };
        symlink(&direct, bundle.rootfs().join("link")).unwrap();
        bundle.set("/process/cwd", json!(cwd));
        let outcome = bundle.run();
        assert_eq!(outcome.code, Some(1), "{cwd}: {outcome:#?}");
        assert_eq!(outcome.stdout, "", "the payload ran in {cwd}");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn working_directory_by_a_descriptor_of_the_caller_is_refused() {
    // Row B4: this one stays open on purpose, and still is no way out.
    let with_descriptor = ["sh", "-c", "exec 3</; exec \"$@\"", "sh"];
    let mut bundle = Bundle::sh("pwd; ls -d /proc/self/cwd/etc/hostname");
    bundle.set("/process/cwd", json!("/proc/self/fd/3"));
    bundle.write_config();
    let words = ["run", "--preserve-fds", "1", "--bundle", "bundle", &bundle.id];
    let outcome = bundle.finish(&mut bundle.command_under(&with_descriptor, &words));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:#?}");
    leaks::assert_nothing_left(&bundle);
    // exec makes no directory, so nothing resolves the path before the process itself.
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let words = ["exec", "--preserve-fds", "1", "--cwd", "/proc/self/fd/3", &bundle.id, "pwd"];
    let outcome = bundle.finish(&mut bundle.command_under(&with_descriptor, &words));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(255), ""), "{outcome:#?}");
    assert!(
        support::is_peer() || outcome.stderr.contains("the directory is not inside the container"),
        "{outcome:#?}"
    );
    bundle.kill_and_delete();
}

#[test]
fn working_directory_of_the_payload_is_inside_its_root() {
    let mut bundle = Bundle::new();
    let output = bundle.payload("readlink /proc/self/cwd; readlink /proc/self/root; pwd");
    assert_eq!(output, "/\n/\n/\n");
}

#[test]
fn init_of_a_created_container_holds_no_host_file() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    let dir = format!("/proc/{}/fd", bundle.pid());
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let number: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let target = fs::read_link(&path).unwrap();
        let target = target.to_string_lossy();
        // Its own channel to the parent is no file of the host, the state's directory is the runtime's own.
        let harmless =
            ["socket:", "pipe:", "anon_inode:", "/memfd:"].iter().any(|kind| target.starts_with(kind));
        assert!(number < 3 || harmless || target.contains(&bundle.id), "descriptor {number} is {target}");
    }
    bundle.delete().ok();
}

#[test]
fn init_of_a_created_container_cannot_be_traced_from_inside() {
    // C2, CVE-2016-9962: not dumpable until the payload's exec.
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{}/mem", bundle.pid())).unwrap());
    assert_eq!(owner, 0);
    bundle.delete().ok();

    let mut joined = Bundle::new();
    joined.user_namespace(100_000, 65536);
    joined.create().ok();
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{}/mem", joined.pid())).unwrap());
    assert_eq!(owner, 0, "a dumpable process belongs to its own user, one that is not to root");
    joined.delete().ok();
}

#[test]
fn suid_program_gains_nothing_with_no_new_privileges() {
    // D10
    let mut bundle = Bundle::new();
    let suid = bundle.rootfs().join("bin/cat");
    fs::remove_file(&suid).unwrap();
    fs::copy("/bin/busybox", &suid).unwrap();
    fs::set_permissions(&suid, fs::Permissions::from_mode(0o4755)).unwrap();
    bundle
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .set("/process/args", json!(["cat", "/proc/self/status"]));
    // busybox gives the effective uid back itself, and keeps the saved one.
    for (value, saved) in [(true, "1000"), (false, "0")] {
        bundle.set("/process/noNewPrivileges", json!(value));
        let output = bundle.run().ok().stdout;
        assert_eq!(probe::status(&output, "Uid").split('\t').nth(2), Some(saved), "{output}");
    }
}
