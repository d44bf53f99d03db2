//! Wrong inputs, each with its exact one-line message, exit code 1, and nothing left behind.
//!
//! The form is `style.md`'s: the verb and the id, the place, the object, what the kernel said; a hint may follow on a
//! line of its own. The words that clients match are runc's (`command-line.md`, 2.6). A peer is only asked to refuse;
//! what it takes is printed.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::net::UnixListener;
use support::{Bundle, Outcome, is_peer, leaks, skip_on_peer};

/// What differs from a refusal with this message, if anything; `{id}`, `{dir}` stand for the bundle's.
fn difference(bundle: &Bundle, outcome: &Outcome, message: &str) -> Option<String> {
    if is_peer() {
        if outcome.code == Some(0) {
            eprintln!("taken by the peer, not refused: {message}");
            bundle.delete_force().ok();
        }
        return None;
    }
    let message = message.replace("{id}", &bundle.id).replace("{dir}", bundle.dir.to_str().unwrap());
    let mut lines = outcome.stderr.lines();
    let said = lines.next().unwrap_or_default();
    let hint_at_most = lines.next().is_none_or(|line| line.starts_with("  hint: ")) && lines.next().is_none();
    let refused = outcome.code == Some(1) && outcome.stdout.is_empty();
    (said != message || !hint_at_most || !refused).then(|| format!("expected {message}\n{outcome:#?}"))
}

/// Asserts the message.
#[track_caller]
fn expect(bundle: &Bundle, outcome: &Outcome, message: &str) {
    if let Some(difference) = difference(bundle, outcome, message) {
        panic!("{difference}");
    }
}

/// Asserts that every row of a table is refused with its message, and that nothing is left of any; tells of all that are not.
#[track_caller]
fn check<'a>(rows: impl Iterator<Item = (Bundle, String)> + 'a) {
    let wrong: Vec<String> = rows
        .filter_map(|(bundle, message)| {
            let outcome = bundle.create();
            let difference = difference(&bundle, &outcome, &format!("create {{id}}: {message}"));
            leaks::assert_nothing_left(&bundle);
            difference
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One change to a sound `config.json`, and what `create` says after its own name and `config.json: `.
type Row = (&'static str, Value, &'static str);

#[track_caller]
fn check_documents(rows: Vec<Row>) {
    check(rows.into_iter().map(|(pointer, value, message)| {
        let mut bundle = Bundle::new();
        bundle.set(pointer, value);
        (bundle, format!("config.json: {message}"))
    }));
}

#[test]
fn wrong_types_and_values_are_named_with_their_place() {
    check_documents(vec![
        ("/ociVersion", json!("2.0.0"), r#"ociVersion: "2.0.0" is not supported, only 1.x is"#),
        ("/root", json!({}), "root.path: missing"),
        ("/root", json!(["rootfs"]), "root: expected an object, found an array"),
        ("/process/args", json!("sh"), r#"process.args: expected an array, found string "sh""#),
        ("/process/args", json!([]), "process.args: must not be empty"),
        ("/process/args", json!(["sh", "a\0b"]), "process.args[1]: contains a NUL character"),
        ("/process/terminal", json!("yes"), r#"process.terminal: expected a boolean, found string "yes""#),
        ("/process/cwd", json!(""), "process.cwd: missing"),
        ("/process/cwd", json!("tmp"), r#"process.cwd: "tmp" is not an absolute path"#),
        ("/process/env", json!(["A=", "B"]), r#"process.env[1]: "B" has no ="#),
        ("/process/env", json!(["=b"]), r#"process.env[0]: "=b" has no name"#),
        (
            "/process/user/uid",
            json!(-1),
            "process.user.uid: expected an integer from 0 to 4294967295, found -1",
        ),
        ("/process/user/umask", json!(512), "process.user.umask: 512 (01000) is above 0777"),
        ("/process/oomScoreAdj", json!(1001), "process.oomScoreAdj: 1001 is not between -1000 and 1000"),
        (
            "/process/rlimits/0/type",
            json!("RLIMIT_FOO"),
            r#"process.rlimits[0].type: unknown rlimit "RLIMIT_FOO""#,
        ),
        (
            "/process/rlimits/0/soft",
            json!(2048),
            "process.rlimits[0]: RLIMIT_NOFILE: the soft limit 2048 is above the hard limit 1024",
        ),
        (
            "/process/rlimits/0",
            json!({ "type": "RLIMIT_CPU", "soft": 1 }),
            "process.rlimits[0].hard: missing",
        ),
        (
            "/process/user/additionalGids",
            json!((0..65537).collect::<Vec<u32>>()),
            "process.user.additionalGids: 65537 are more than the 65536 that a process can have",
        ),
        (
            "/process/ioPriority",
            json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 }),
            "process.ioPriority.priority: 8 is not between 0 and 7",
        ),
        (
            "/process/scheduler",
            json!({ "policy": "SCHED_FIFO" }),
            "process.scheduler.priority: 0 is not between 1 and 99, as SCHED_FIFO asks",
        ),
        ("/hooks", json!({ "prestart": [{}] }), "hooks.prestart[0].path: missing"),
        (
            "/hooks",
            json!({ "poststop": [{ "path": "bin/x" }] }),
            r#"hooks.poststop[0].path: "bin/x" is not an absolute path"#,
        ),
        (
            "/hooks",
            json!({ "poststart": [{ "path": "/e", "timeout": 0 }] }),
            "hooks.poststart[0].timeout: 0 is not greater than zero",
        ),
        ("/annotations", json!({ "a": {} }), "annotations.a: expected a string, found an object"),
        ("/mounts", json!([{ "source": "/b" }]), "mounts[0].destination: missing"),
        (
            "/mounts",
            json!([{ "destination": "/a", "options": ["bind", "idmap"], "source": "/" }]),
            r#"mounts[0].options: "idmap" needs uidMappings and gidMappings, or a user namespace"#,
        ),
    ]);
}

#[test]
fn wrong_values_of_linux_are_named_with_their_place() {
    check_documents(vec![
        (
            "/linux/namespaces",
            json!([{ "type": "pid" }, { "type": "pid" }]),
            r#"linux.namespaces[1]: "pid" is listed twice"#,
        ),
        (
            "/linux/namespaces/0/path",
            json!("proc/1/ns/pid"),
            r#"linux.namespaces[0].path: "proc/1/ns/pid" is not an absolute path"#,
        ),
        ("/linux/namespaces", json!({}), "linux.namespaces: expected an array, found an object"),
        (
            "/linux/uidMappings",
            json!([{ "hostID": 1, "size": 1 }]),
            "linux.uidMappings: needs a user namespace",
        ),
        ("/linux/timeOffsets", json!({ "boottime": {} }), "linux.timeOffsets: needs a time namespace"),
        (
            "/linux/timeOffsets",
            json!({ "realtime": {} }),
            r#"linux.timeOffsets.realtime: unknown clock "realtime""#,
        ),
        (
            "/linux/rootfsPropagation",
            json!("hidden"),
            r#"linux.rootfsPropagation: unknown mount propagation "hidden""#,
        ),
        (
            "/linux/maskedPaths",
            json!(["/a", "proc/kcore"]),
            r#"linux.maskedPaths[1]: "proc/kcore" is not an absolute path"#,
        ),
        (
            "/linux/devices",
            json!([{ "path": "/d", "type": "x" }]),
            r#"linux.devices[0].type: unknown device type "x""#,
        ),
        (
            "/linux/devices",
            json!([{ "path": "dev/x", "type": "c", "major": 1, "minor": 3 }]),
            r#"linux.devices[0].path: "dev/x" is not an absolute path"#,
        ),
        (
            "/linux/sysctl",
            json!({ "kernel.core_pattern": "|/x" }),
            r#"linux.sysctl["kernel.core_pattern"]: does not belong to a namespace, it would change the host"#,
        ),
        (
            "/linux/sysctl",
            json!({ "net/../kernel/core_pattern": "|/x" }),
            r#"linux.sysctl["net/../kernel/core_pattern"]: is not the name of a kernel parameter"#,
        ),
        (
            "/linux/sysctl",
            json!({ "kernel.hostname": "x" }),
            r#"linux.sysctl["kernel.hostname"]: conflicts with the property hostname, use that"#,
        ),
        (
            "/linux/personality",
            json!({ "domain": "BSD" }),
            r#"linux.personality.domain: unknown personality domain "BSD""#,
        ),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_PLEASE" }),
            r#"linux.seccomp.defaultAction: unknown seccomp action "SCMP_ACT_PLEASE""#,
        ),
        (
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_X" }] }),
            r#"linux.seccomp.syscalls[0].action: unknown seccomp action "SCMP_ACT_X""#,
        ),
        ("/linux/cgroupsPath", json!("../../x"), r#"linux.cgroupsPath: "../../x" must not contain "..""#),
        (
            "/linux/resources/memory",
            json!({ "limit": 2000, "swap": 1000 }),
            "linux.resources.memory.swap: memory and swap together (1000) cannot be below memory.limit (2000)",
        ),
        (
            "/linux/resources/devices",
            json!([{ "allow": true, "type": "z", "access": "r" }]),
            r#"linux.resources.devices[0].type: must be "a", "b" or "c", not "z""#,
        ),
        (
            "/linux/resources/devices",
            json!([{ "allow": true, "access": "rx" }]),
            r#"linux.resources.devices[0].access: must be composed of r, w and m, not "rx""#,
        ),
    ]);
}

#[test]
fn names_need_a_uts_namespace_of_their_own() {
    for (name, other) in [("hostname", "domainname"), ("domainname", "hostname")] {
        let mut bundle = Bundle::new();
        bundle.without_namespace("uts").set(&format!("/{name}"), json!("x"));
        bundle.config.as_object_mut().unwrap().remove(other);
        let outcome = bundle.create();
        expect(&bundle, &outcome, &format!("create {{id}}: config.json: {name}: needs a uts namespace"));
    }
}

#[test]
fn new_user_namespace_needs_maps() {
    let mut bundle = Bundle::new();
    bundle.namespace("user", None);
    let message = "create {id}: config.json: linux.uidMappings: missing, but a new user namespace needs it";
    let outcome = bundle.create();
    expect(&bundle, &outcome, message);
}

#[test]
fn broken_json_is_named_with_line_and_column() {
    for (text, message) in [
        ("{\n  \"root\": {,}\n}", "line 2, column 12: key must be a string"),
        ("{\"root\": {}", "line 1, column 11: ends within an object"),
        ("", "line 1, column 0: ends within a value"),
        ("[]", "expected an object, found an array"),
        ("{} x", "line 1, column 4: trailing characters"),
    ] {
        let bundle = Bundle::new();
        fs::write(bundle.path().join("config.json"), text).unwrap();
        let outcome = bundle.call(&["create", "--bundle", "bundle", &bundle.id]);
        expect(&bundle, &outcome, &format!("create {{id}}: config.json: {message}"));
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn missing_bundle_config_and_rootfs_are_named() {
    let bundle = Bundle::new();
    let outcome = bundle.call(&["create", "--bundle", "bundle", &bundle.id]);
    let message = "create {id}: bundle \"{dir}/bundle\": config.json: missing";
    expect(&bundle, &outcome, message);
    let outcome = bundle.call(&["create", "--bundle", "/no/such", &bundle.id]);
    expect(&bundle, &outcome, "create {id}: bundle \"/no/such\": config.json: missing");

    let mut bundle = Bundle::new();
    for (path, what) in [("nosuch", "missing"), ("config.json", "not a directory")] {
        bundle.set("/root/path", json!(path));
        let outcome = bundle.create();
        expect(
            &bundle,
            &outcome,
            &format!("create {{id}}: config.json: root.path: {{dir}}/bundle/{path}: {what}"),
        );
    }
}

/// A change to the bundle that only the kernel finds wrong, and what `create` says after its name and id.
type KernelRow = (fn(&mut Bundle) -> &mut Bundle, &'static str);

const KERNEL_ROWS: &[KernelRow] = &[
    (
        |bundle| bundle.mount("/m", "none", "/no/such", &["bind"]),
        r#"mounts[6]: bind "/no/such" on "/m": missing"#,
    ),
    (
        |bundle| bundle.mount("/m", "none", "/no/such", &["rbind", "ro", "nosuid"]),
        r#"mounts[6]: rbind "/no/such" on "/m" (ro,nosuid): missing"#,
    ),
    (
        |bundle| bundle.mount("/m", "nosuchfs", "none", &[]),
        r#"mounts[6]: mount nosuchfs on "/m": no such device"#,
    ),
    (
        |bundle| bundle.mount("/m", "tmpfs", "tmpfs", &["size=banana"]),
        r#"mounts[6]: mount tmpfs on "/m" (size=banana): Bad value for 'size': invalid argument"#,
    ),
    (
        |bundle| bundle.mount("/etc/passwd/x", "tmpfs", "tmpfs", &[]),
        r#"mounts[6]: mount tmpfs on "/etc/passwd/x": target: not a directory"#,
    ),
    (
        |bundle| bundle.mount("/m", "none", "/etc", &["bind", "noexce"]),
        r#"config.json: mounts[6].options: "noexce": bind mounts cannot have any filesystem-specific options applied"#,
    ),
    (
        |bundle| bundle.mount("/m", "ext4", "/dev/no", &[]),
        r#"mounts[6]: mount ext4 "/dev/no" on "/m": /dev/no: Can't lookup blockdev: missing"#,
    ),
    (
        |bundle| bundle.mount("/etc/passwd", "none", "/etc", &["bind"]),
        r#"mounts[6]: bind "/etc" on "/etc/passwd": target: not a directory"#,
    ),
    (
        |bundle| bundle.mount("/proc/sys", "tmpfs", "tmpfs", &[]),
        r#"config.json: mounts[6].destination: "/proc/sys" is inside /proc"#,
    ),
    (
        |bundle| bundle.namespace("network", Some("/no/such/ns")),
        "config.json: linux.namespaces[4].path: /no/such/ns: missing",
    ),
    (
        |bundle| bundle.namespace("network", Some("/proc/self/ns/uts")),
        "config.json: linux.namespaces[4].path: /proc/self/ns/uts: is not a namespace of type network",
    ),
    (
        |bundle| bundle.set("/process/args", json!(["nosuch"])),
        r#"exec: "nosuch": executable file not found in $PATH"#,
    ),
    (
        |bundle| bundle.set("/process/args", json!(["/no/such"])),
        r#"exec: "/no/such": stat /no/such: no such file or directory"#,
    ),
    (
        |bundle| bundle.set("/process/args", json!(["/etc/passwd"])),
        r#"exec: "/etc/passwd": permission denied"#,
    ),
    (|bundle| bundle.set("/process/args", json!(["/etc"])), r#"exec: "/etc": is a directory"#),
    (
        |bundle| bundle.set("/process/env", json!(["A=b"])),
        r#"exec: "true": executable file not found in $PATH"#,
    ),
    (
        |bundle| bundle.set("/process/cwd", json!("/etc/passwd")),
        r#"process.cwd: change directory to "/etc/passwd": not a directory"#,
    ),
    (
        |bundle| bundle.user_namespace(100_000, 10).set("/process/user", json!({ "uid": 11, "gid": 0 })),
        "process.user: become user 11, group 0, no other groups: the uid has no mapping in the user namespace",
    ),
    (
        |bundle| bundle.user_namespace(100_000, 10).set("/process/user", json!({ "uid": 0, "gid": 12 })),
        "process.user: become user 0, group 12, no other groups: the gid has no mapping in the user namespace",
    ),
    (
        |bundle| bundle.set("/linux/sysctl", json!({ "kernel.shmmni": "many" })),
        r#"linux.sysctl["kernel.shmmni"]: write "many" to /proc/sys/kernel/shmmni: invalid argument"#,
    ),
    (
        |bundle| bundle.set("/linux/sysctl", json!({ "net.no.such": "1" })),
        r#"linux.sysctl["net.no.such"]: write "1" to /proc/sys/net/no/such: there is no such parameter in the container"#,
    ),
    (
        |bundle| {
            bundle
                .user_namespace(100_000, 10)
                .set("/process/user", json!({ "uid": 0, "gid": 0, "additionalGids": [3, 77] }))
        },
        "process.user: become user 0, group 0, groups [3, 77]: one of the groups has no mapping in the user namespace",
    ),
    (
        |bundle| bundle.set("/process/capabilities", json!({ "effective": ["CAP_KILL"] })),
        "process.capabilities: set capabilities: effective [kill], permitted [], inheritable [], ambient []: \
             operation not permitted",
    ),
    (
        |bundle| {
            bundle.set(
                "/linux/devices",
                json!([{ "path": "/etc/passwd/x", "type": "c", "major": 1, "minor": 3 }]),
            )
        },
        r#"linux.devices[0]: make device "/etc/passwd/x" c 1:3 0666: not a directory"#,
    ),
];

#[test]
fn what_the_kernel_refuses_is_named_with_its_object() {
    check_kernel(KERNEL_ROWS);
}

#[test]
fn failed_hooks_are_named_with_what_they_said() {
    let sh = |script: &str| json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1 }]);
    let rows = [
        ("createRuntime", sh("echo so; echo sad >&2; exit 3"), r#"run "/bin/sh": exit status 3: "so\nsad""#),
        ("createRuntime", sh("kill -SEGV $$"), r#"run "/bin/sh": ended by signal 11"#),
        ("createRuntime", sh("exec sleep 9"), r#"run "/bin/sh": hook ran past specified timeout of 1.0s"#),
        ("createContainer", sh("echo so; exit 3"), r#"run "/bin/sh": exit status 3: "so""#),
        ("createContainer", sh("kill -SEGV $$"), r#"run "/bin/sh": ended by signal 11"#),
        ("createContainer", sh("exec sleep 9"), r#"run "/bin/sh": hook ran past specified timeout of 1.0s"#),
        (
            "createContainer",
            json!([{ "path": "/no/such" }]),
            r#"run "/no/such": exit status 127: "exec: missing""#,
        ),
    ];
    check(rows.into_iter().map(|(kind, hooks, message)| {
        let mut bundle = Bundle::new();
        bundle.set("/hooks", json!({ kind: hooks }));
        (bundle, format!("hooks.{kind}[0]: {message}"))
    }));
}

#[test]
fn what_fails_after_the_start_is_named_by_start() {
    let rows: &[KernelRow] = &[
        (
            |bundle| bundle.set("/hooks", json!({ "startContainer": [{ "path": "/bin/false" }] })),
            r#"hooks.startContainer[0]: run "/bin/false": exit status 1"#,
        ),
        (
            |bundle| bundle.set("/hooks", json!({ "poststart": [{ "path": "/bin/false" }] })),
            r#"hooks.poststart[0]: run "/bin/false": exit status 1"#,
        ),
        (
            |bundle| bundle.set("/process/args", json!(["/bin/text"])),
            r#"exec: "/bin/text": exec format error"#,
        ),
        (
            |bundle| bundle.set("/process/args", json!(["/bin/script"])),
            r#"exec: "/bin/script": no such file or directory"#,
        ),
    ];
    for (change, message) in rows {
        let mut bundle = Bundle::new();
        bundle.executable("bin/text", "no program");
        bundle.executable("bin/script", "#!/no/such/interpreter\n");
        change(&mut bundle);
        // A peer may find out earlier.
        if bundle.create().code == Some(0) || !is_peer() {
            expect(&bundle, &bundle.start(), &format!("start {{id}}: {message}"));
            bundle.delete_force().ok();
        }
    }
}

#[test]
fn hooks_and_terminals_need_what_they_name() {
    let rows: &[KernelRow] = &[
        (
            |bundle| bundle.set("/hooks", json!({ "createRuntime": [{ "path": "/no/such/hook" }] })),
            r#"hooks.createRuntime[0]: run "/no/such/hook": exec: missing"#,
        ),
        (
            |bundle| bundle.set("/hooks", json!({ "prestart": [{ "path": "/bin/false" }] })),
            r#"hooks.prestart[0]: run "/bin/false": exit status 1"#,
        ),
        (
            |bundle| bundle.set("/process/terminal", json!(true)),
            "cannot allocate tty if corten will detach without setting console socket",
        ),
    ];
    check_kernel(rows);
}

#[track_caller]
fn check_kernel(rows: &[KernelRow]) {
    check(rows.iter().map(|(change, message)| {
        let mut bundle = Bundle::new();
        change(&mut bundle);
        (bundle, (*message).to_owned())
    }));
}

#[test]
fn label_that_this_machine_cannot_apply_fails_and_is_named() {
    // Rows B12 and B13 of config-checklist.md; B4 of security.md: never unconfined by accident.
    for (property, directory) in [("apparmorProfile", "apparmor"), ("selinuxLabel", "selinux")] {
        if fs::exists(format!("/sys/fs/{directory}")).unwrap()
            || fs::exists(format!("/sys/kernel/security/{directory}")).unwrap()
        {
            continue;
        }
        let mut bundle = Bundle::new();
        bundle.set(&format!("/process/{property}"), json!("some_label"));
        let name = if directory == "apparmor" { "AppArmor" } else { "SELinux" };
        let outcome = bundle.create();
        expect(
            &bundle,
            &outcome,
            &format!("create {{id}}: process.{property}: {name} is not enabled on this machine"),
        );
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn ids_are_named_as_they_were_given() {
    let bundle = Bundle::new();
    bundle.write_config();
    for (id, shown) in [("a/b", r#""a/b""#), ("..", r#""..""#), ("a\nb", r#""a\nb""#), ("ü", r#""ü""#)] {
        let outcome = bundle.call(&["create", "--bundle", "bundle", id]);
        expect(&bundle, &outcome, &format!("create: invalid container ID format: {shown}"));
    }
}

#[test]
fn verbs_in_the_wrong_state_say_what_the_state_is() {
    let bundle = Bundle::sleeper();
    for verb in ["start", "state", "kill", "delete"] {
        let outcome = bundle.call(&[verb, &bundle.id]);
        expect(&bundle, &outcome, &format!("{verb} {{id}}: container does not exist"));
    }
    bundle.create().ok();
    if is_peer() {
        bundle.delete().ok();
        return;
    }
    let outcome = bundle.create();
    expect(&bundle, &outcome, "create {id}: container with given ID already exists");
    let outcome = bundle.run();
    expect(&bundle, &outcome, "run {id}: container with given ID already exists");
    bundle.start().ok();
    expect(&bundle, &bundle.start(), "start {id}: cannot start an already running container");
    expect(
        &bundle,
        &bundle.delete(),
        "delete {id}: cannot delete container {id} that is not stopped: running",
    );
    expect(&bundle, &bundle.kill("NOPE"), "kill {id}: unknown signal \"NOPE\"");
    expect(&bundle, &bundle.kill("99"), "kill {id}: unknown signal \"99\"");
    let pid = bundle.pid();
    bundle.kill("KILL").ok();
    bundle.await_death(pid);
    expect(&bundle, &bundle.start(), "start {id}: cannot start a container that has stopped");
    expect(&bundle, &bundle.kill("TERM"), "kill {id}: container not running");
    bundle.delete().ok();
    for verb in ["start", "state", "kill", "delete"] {
        expect(
            &bundle,
            &bundle.call(&[verb, &bundle.id]),
            &format!("{verb} {{id}}: container does not exist"),
        );
    }
    bundle.delete_force().ok();
}

#[test]
fn unknown_capability_is_a_warning() {
    let mut bundle = Bundle::sh("echo runs");
    bundle.push("/process/capabilities/bounding", json!("CAP_WEATHER"));
    let outcome = bundle.run().ok();
    assert_eq!(outcome.stdout, "runs\n");
    if !is_peer() {
        let warning = "warning: config.json: process.capabilities: ignoring unknown CAP_WEATHER\n";
        assert_eq!(outcome.stderr, warning);
    }
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let bundle = Bundle::new();
    bundle.write_config();
    let _socket = UnixListener::bind(bundle.dir.join("sock")).unwrap();
    let outcome = bundle.create_with(&["--console-socket", "sock"]);
    let message = "create {id}: cannot use console socket if corten will not detach or allocate tty";
    expect(&bundle, &outcome, message);
    fs::create_dir_all(bundle.root()).unwrap();
    expect(
        &bundle,
        &bundle.call(&["list", "--format", "yaml"]),
        "list: --format \"yaml\": invalid format option",
    );
}

#[test]
fn systemd_that_cannot_be_had_is_named() {
    if skip_on_peer("the words are ours") {
        return;
    }
    if fs::exists("/run/systemd/system").unwrap() {
        return eprintln!("skipped: systemd is here; systemd.rs and systemd_v1.rs have the rest");
    }
    let mut bundle = Bundle::new();
    bundle.unset("/linux/cgroupsPath");
    bundle.write_config();
    for words in [&["--systemd-cgroup", "create"][..], &["-s", "create"], &["create", "--systemd-cgroup"]] {
        let outcome = bundle.call(&[words, &["--bundle", "bundle", &bundle.id]].concat());
        outcome.fails("systemd not running on this host, cannot use systemd cgroups manager");
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn wrong_command_lines_exit_1_and_do_nothing() {
    if skip_on_peer("runc prints its help for them") {
        return;
    }
    let bundle = Bundle::new();
    for words in
        [&["create"][..], &["nosuchverb"], &["create", "--nosuch", "x"], &["kill"], &["state", "a", "b"], &[]]
    {
        let outcome = bundle.call(words);
        assert_eq!(outcome.code, Some(1), "{words:?}: {outcome:#?}");
        assert!(outcome.stdout.is_empty() && !outcome.stderr.is_empty(), "{outcome:#?}");
    }
}

#[test]
fn spec_does_not_overwrite() {
    let bundle = Bundle::new();
    bundle.write_config();
    let before = fs::read(bundle.path().join("config.json")).unwrap();
    let outcome = bundle.call(&["spec", "--bundle", "bundle"]);
    expect(&bundle, &outcome, "spec: bundle/config.json: exists, remove it first");
    assert_eq!(fs::read(bundle.path().join("config.json")).unwrap(), before);
}
