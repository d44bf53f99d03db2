//! Verbs that change no container: `spec`, `plan`, `--version`, `--help`.

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;
use support::{Bundle, is_peer, leaks, skip_on_peer, terminal};

fn read_config(bundle: &Bundle) -> Value {
    serde_json::from_str(&fs::read_to_string(bundle.path().join("config.json")).unwrap()).unwrap()
}

#[test]
fn spec_writes_runcs_default_into_the_bundle() {
    let bundle = Bundle::new();
    bundle.call(&["spec", "--bundle", "bundle"]).ok();
    let config = read_config(&bundle);
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["process"]["args"], serde_json::json!(["sh"]));
    assert_eq!(config["root"]["path"], "rootfs");
    assert_eq!(config["root"]["readonly"], true);
    let kinds: Vec<&str> = config["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["type"].as_str().unwrap())
        .collect();
    for kind in ["pid", "network", "ipc", "uts", "mount"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert!(!kinds.contains(&"user"));
}

#[test]
fn spec_goes_to_the_working_directory_unless_told() {
    let bundle = Bundle::new();
    bundle.finish(bundle.command(&["spec"]).current_dir(bundle.path())).ok();
    assert!(read_config(&bundle)["ociVersion"].as_str().unwrap().starts_with("1."));
}

#[test]
fn spec_has_another_name_where_that_is_asked_for() {
    if skip_on_peer("--file is crun's") {
        return;
    }
    let bundle = Bundle::new();
    for name in ["other.json", bundle.dir.join("apart.json").to_str().unwrap()] {
        bundle.call(&["spec", "--bundle", "bundle", "--file", name]).ok();
        let path = bundle.path().join(name);
        assert!(fs::read_to_string(&path).unwrap().contains("\"ociVersion\""), "{name}");
        let outcome = bundle.call(&["spec", "-b", "bundle", "-f", name]).fails("exists, remove it first");
        assert!(outcome.stderr.contains(name), "{outcome:#?}");
    }
    assert!(!bundle.path().join("config.json").exists());
}

#[test]
fn youkis_letters_stand_for_words() {
    if skip_on_peer("the letters are youki's") {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.write_config();
    let call = |words: &[&str]| {
        let mut command = std::process::Command::new(support::runtime::program());
        command.args(words).current_dir(&bundle.dir).env("CORTENTEST", &bundle.id).stdin(Stdio::null());
        bundle.finish(&mut command)
    };
    call(&["-r", "state", "-l", "log", "create", "-b", "bundle", &bundle.id]).ok();
    assert_eq!(bundle.status(), "created");
    call(&["-r", "state", "-l", "log", "resume", &bundle.id]).fails("container not paused");
    assert!(fs::read_to_string(bundle.dir.join("log")).unwrap().contains("container not paused"));
    // Behind the verb a letter is the verb's own.
    bundle.call(&["delete", "-r", &format!("^{}$", bundle.id)]).ok();
}

#[test]
fn spec_rootless_has_a_user_namespace_of_the_caller_and_no_cgroup() {
    let bundle = Bundle::new();
    bundle.call(&["spec", "--rootless", "--bundle", "bundle"]).ok();
    let config = read_config(&bundle);
    let namespaces = config["linux"]["namespaces"].as_array().unwrap();
    assert!(namespaces.iter().any(|entry| entry["type"] == "user"));
    assert!(!namespaces.iter().any(|entry| entry["type"] == "network"));
    assert_eq!(
        config["linux"]["uidMappings"],
        serde_json::json!([{ "containerID": 0, "hostID": 0, "size": 1 }])
    );
    assert_eq!(config["linux"]["resources"], Value::Null);
}

#[test]
fn default_spec_runs() {
    let mut bundle = Bundle::new();
    bundle.call(&["spec", "--bundle", "bundle"]).ok();
    bundle.config = read_config(&bundle);
    bundle.set("/process/args", serde_json::json!(["hostname"])).write_config();
    let (master, slave) = terminal::pty(24, 80);
    let mut command = bundle.command(&["run", "--bundle", "bundle", &bundle.id]);
    command.stdin(Stdio::from(slave));
    let outcome = bundle.finish(&mut command).ok();
    drop(command);
    let name = if is_peer() { "runc" } else { "corten" };
    assert!(outcome.stdout.starts_with(name), "{outcome:#?}");
    drop(master);
}

#[test]
fn plan_prints_the_steps_with_their_places_and_does_nothing() {
    if skip_on_peer("a verb of corten's own") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.mount("/data", "tmpfs", "tmpfs", &["size=4k"]).write_config();
    let text = bundle.call(&["plan", "--bundle", "bundle"]).ok().stdout;
    assert!(text.contains("mounts[6]") && text.contains("/data"), "{text}");
    let json: Value =
        serde_json::from_str(&bundle.call(&["plan", "--bundle", "bundle", "--json"]).ok().stdout).unwrap();
    assert!(json.to_string().contains("mounts[6]"), "{json}");
    assert!(!bundle.rootfs().join("data").exists());
    leaks::assert_nothing_left(&bundle);
}

/// What runs the runtime as a user of no passwd.
const AS_USER: [&str; 7] =
    ["setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups", "--inh-caps=-all"];

#[test]
fn plan_needs_neither_root_nor_a_root_file_system_that_it_may_read() {
    if skip_on_peer("a verb of corten's own") {
        return;
    }
    let bundle = Bundle::new();
    bundle.write_config();
    let plan = || bundle.finish(&mut bundle.command_under(&AS_USER, &["plan", "--bundle", "bundle"])).ok();
    let readable = plan();
    fs::set_permissions(bundle.rootfs(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(plan().stdout, readable.stdout);
    fs::remove_dir_all(bundle.rootfs()).unwrap();
    assert_eq!(plan().stdout, readable.stdout);
    // What it prints is what create would try; that create would be refused is told aside.
    assert_eq!(
        readable.stderr.lines().next(),
        Some(
            "warning: create would fail: config.json: linux.namespaces: user: missing, and without root the others need it"
        )
    );
}

/// Calls that change files, mounts, namespaces or processes.
const CHANGING: &str = "trace=mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,rename,renameat,\
    renameat2,truncate,ftruncate,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,utimensat,setxattr,mount,umount2,\
    open_tree,move_mount,fsopen,fsmount,fspick,mount_setattr,pivot_root,chroot,unshare,setns,fork,vfork,clone,clone3,\
    execve,execveat,kill,tgkill,pidfd_send_signal,bpf,socket,creat,open,openat,openat2";

#[test]
fn plan_makes_no_call_that_changes_anything() {
    if skip_on_peer("a verb of corten's own") {
        return;
    }
    let bundle = Bundle::new();
    bundle.write_config();
    let log = bundle.dir.join("calls");
    fs::write(&log, "").unwrap();
    std::os::unix::fs::chown(&log, Some(4711), Some(4711)).unwrap();
    let strace = ["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", CHANGING];
    for user in [&[][..], &AS_USER] {
        let wrapper = [user, &strace].concat();
        bundle.finish(&mut bundle.command_under(&wrapper, &["plan", "--bundle", "bundle"])).ok();
        let calls = fs::read_to_string(&log).unwrap();
        // strace's own start of the program; whether the kernel knows mount_setattr(2), asked of no mount.
        let harmless = |call: &&str| {
            let writes =
                || ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag));
            call.contains(" execve(")
                || call.contains(" mount_setattr(-1, ")
                || call.contains(" open") && !writes()
        };
        assert_eq!(calls.lines().find(|call| !harmless(call)), None);
        assert_eq!(calls.matches(" execve(").count(), 1, "{calls}");
        assert!(calls.contains("config.json"), "{calls}");
    }
}

#[test]
fn plan_says_what_is_wrong_like_create() {
    if skip_on_peer("a verb of corten's own") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.set("/process/cwd", serde_json::json!("tmp")).write_config();
    let outcome = bundle
        .call(&["plan", "--bundle", "bundle"])
        .fails("config.json: process.cwd: \"tmp\" is not an absolute path");
    assert_eq!(outcome.stdout, "");
}

#[test]
fn version_has_the_lines_that_clients_parse() {
    let bundle = Bundle::new();
    for option in ["--version", "-v"] {
        let text = bundle.call(&[option]).ok().stdout;
        let name = if is_peer() { "runc" } else { "corten" };
        assert!(text.starts_with(&format!("{name} version ")), "{text}");
        assert!(text.lines().any(|line| line.starts_with("spec: 1.")), "{text}");
    }
}

#[test]
fn help_goes_to_standard_output_and_exits_0() {
    let bundle = Bundle::new();
    for words in [&["--help"][..], &["create", "--help"], &["run", "--help"]] {
        let outcome = bundle.call(words).ok();
        assert!(outcome.stdout.contains("--"), "{outcome:#?}");
    }
    let told = |words: &[&str]| {
        let mut command = std::process::Command::new(support::runtime::program());
        bundle.finish(command.args(words).env("CORTENTEST", &bundle.id).stdin(Stdio::null())).ok().stdout
    };
    assert_eq!(told(&["help"]), told(&["--help"]));
    assert_eq!(told(&["help", "create"]), told(&["create", "--help"]));
    assert_eq!(told(&["--debug", "help"]), told(&["--help"]));
    assert_eq!(told(&["--debug", "--root", "help", "help", "create"]), told(&["create", "--help"]));
    if !is_peer() {
        assert!(told(&["help", "kill"]).starts_with("Send a signal"), "{}", told(&["help", "kill"]));
    }
}

#[test]
fn words_of_help_are_verbs_or_an_error() {
    if skip_on_peer("runc says: No help topic") {
        return;
    }
    let bundle = Bundle::new();
    bundle.call(&["help", "nonsense"]).fails("unrecognized subcommand 'nonsense'");
    bundle.call(&["help", "create", "more"]).fails("unexpected argument 'more'");
    // A container may have the name.
    bundle.call(&["state", "help"]).fails("state help: container does not exist");
}

#[test]
fn info_tells_what_this_machine_offers() {
    if skip_on_peer("the verb is youki's") {
        return;
    }
    let bundle = Bundle::new();
    let text = bundle.call(&["info"]).ok().stdout;
    let fact = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name} in {text}"))[16..].to_owned()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(fact("kernel"), format!("Linux {}", kernel.trim()));
    assert_eq!(fact("state"), bundle.root().display().to_string());
    assert!(fact("caller").starts_with(&format!("uid {}", rustix::process::geteuid().as_raw())), "{text}");
    // Every controller of v1 that the machine has, with the place that we are in.
    for line in fs::read_to_string("/proc/self/cgroup").unwrap().lines().filter(|line| !line.contains("::")) {
        let controllers = line.split(':').nth(1).unwrap().replace(',', " ");
        assert!(text.contains(&format!(": {controllers}\n")), "{controllers} in {text}");
    }
    let kinds: Vec<String> = fact("namespaces").split(' ').map(str::to_owned).collect();
    assert!(["pid", "network", "mount"].iter().all(|kind| kinds.contains(&(*kind).to_owned())), "{kinds:?}");
    bundle.call(&["info", "more"]).fails("unexpected argument 'more'");
}

#[test]
fn empty_runtime_directory_of_the_user_is_as_good_as_none() {
    // podman's own calls carry XDG_RUNTIME_DIR= as root; conmon's carry none: the state is the same.
    let bundle = Bundle::sleeper();
    bundle.write_config();
    let program = support::runtime::program();
    let default = if is_peer() { "/run/runc" } else { "/run/corten" };
    let call = |words: &[&str], xdg: Option<&str>| {
        let mut command = std::process::Command::new(&program);
        command.args(words).current_dir(&bundle.dir).env("CORTENTEST", &bundle.id).stdin(Stdio::null());
        match xdg {
            Some(value) => command.env("XDG_RUNTIME_DIR", value),
            None => command.env_remove("XDG_RUNTIME_DIR"),
        };
        bundle.finish(&mut command)
    };
    call(&["create", "--bundle", "bundle", "--pid-file", "pid", &bundle.id], None).ok();
    assert!(fs::exists(format!("{default}/{}", bundle.id)).unwrap());
    call(&["state", &bundle.id], Some("")).ok();
    call(&["delete", "--force", &bundle.id], Some("")).ok();
    assert!(!fs::exists(format!("{default}/{}", bundle.id)).unwrap());
}

#[test]
fn bundle_may_be_reached_through_a_link() {
    let bundle = Bundle::sleeper();
    bundle.write_config();
    symlink("bundle", bundle.dir.join("link")).unwrap();
    bundle.call(&["create", "--bundle", "link", "--pid-file", "pid", &bundle.id]).ok();
    bundle.delete().ok();
}
