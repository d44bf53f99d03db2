//! Table D: who a program is, and what it may.

use crate::engine::IMAGE;
use crate::stage::{DIRECTORY, FIFO, FILE, LINK, Layer, Stage, one_error};
use crate::support::{below, inherit};
use serde_json::json;
use std::process::Command;

/// Lines of `/proc/self/status` that begin with these words, without the words.
fn status(text: &str, field: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
}

const NOTHING: &str = "0000000000000000";
const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

#[test]
fn d1_nothing_is_inheritable_or_ambient() {
    let stage = Stage::new("d1");
    stage.engine.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    for user in ["0", "1000", "web"] {
        let runs: [&[&str]; 2] = [&["run", "--rm", "-u", user, IMAGE], &["exec", "-u", user, "c"]];
        for words in runs {
            let text = stage.engine.ok(&[words, &STATUS].concat());
            assert_eq!(
                (status(&text, "CapInh").as_str(), status(&text, "CapAmb").as_str()),
                (NOTHING, NOTHING),
                "{words:?}"
            );
        }
    }
    stage.finish();
}

#[test]
fn d2_exec_gets_what_the_container_has_and_no_more() {
    let stage = Stage::new("d2");
    // Bits of capabilities(7): CHOWN is 0, KILL is 5.
    for (name, options, wanted) in [
        ("none", &["--cap-drop", "all"][..], NOTHING),
        ("two", &["--cap-drop", "all", "--cap-add", "chown", "--cap-add", "kill"], "0000000000000021"),
    ] {
        stage.engine.ok(&[&["run", "-d", "--name", name], options, &[IMAGE, "sleep", "1000"]].concat());
        for user in [&[][..], &["-u", "0"], &["-u", "root:root"]] {
            let text = stage.engine.ok(&[&["exec"], user, &[name], &STATUS[..]].concat());
            for field in ["CapEff", "CapPrm", "CapBnd"] {
                assert_eq!(status(&text, field), wanted, "{name} {user:?} {field}");
            }
        }
        let text = stage.engine.ok(&["exec", "-u", "7", name, STATUS[0], STATUS[1]]);
        assert_eq!(status(&text, "CapEff"), NOTHING, "{name}");
    }
    stage.finish();
}

#[test]
fn d3_an_ordinary_user_has_no_capabilities() {
    let stage = Stage::new("d3");
    stage.image("user", &json!({ "User": "1000", "Cmd": ["sleep", "1000"], "Env": ["PATH=/bin"] }), &[]);
    stage.engine.ok(&["run", "-d", "--name", "c", "user"]);
    let runs: [&[&str]; 4] = [
        &["run", "--rm", "user"],
        &["run", "--rm", "-u", "33", IMAGE],
        &["exec", "c"],
        &["exec", "-u", "web", "c"],
    ];
    for words in runs {
        let text = stage.engine.ok(&[words, &STATUS].concat());
        for field in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            assert_eq!(status(&text, field), NOTHING, "{words:?} {field}");
        }
        assert_ne!(status(&text, "Uid").split('\t').next(), Some("0"), "{words:?}");
    }
    stage.finish();
}

/// What may be typed for `-u`, and who that is; nothing for what must be refused.
const USERS: [(&str, Option<&str>); 40] = [
    ("0", Some("0 0")),
    ("1", Some("1 0")),
    ("1:", Some("1 0")),
    (":1", Some("0 1")),
    ("1:2", Some("1 2")),
    ("01", Some("1 0")),
    ("0001:0002", Some("1 2")),
    ("00", Some("0 0")),
    ("33", Some("33 34")),
    ("web", Some("33 34")),
    ("web:", Some("33 34")),
    ("web:0", Some("33 0")),
    ("web:root", Some("33 0")),
    ("33:adm", Some("33 4")),
    ("root:web", Some("0 34")),
    ("65534", Some("65534 0")),
    ("65534:65534", Some("65534 65534")),
    ("2147483647", Some("2147483647 0")),
    ("2147483647:2147483647", Some("2147483647 2147483647")),
    ("+1", None),
    ("-1", None),
    (" 1", None),
    ("1 ", None),
    ("1:+2", None),
    ("1:-2", None),
    ("1: 2", None),
    ("1:2:3", None),
    ("::", None),
    ("2147483648", None),
    ("1:2147483648", None),
    ("4294967295", None),
    ("4294967296", None),
    ("4294967297:1", None),
    ("1:4294967295", None),
    ("18446744073709551616", None),
    ("65534:99999999999", None),
    ("0x1", None),
    ("1e0", None),
    ("x", None),
    ("x:1", None),
];

#[test]
fn d4_who_was_typed_is_who_runs() {
    let stage = Stage::new("d4");
    stage.engine.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    let asks = ["sh", "-c", "echo $(id -u) $(id -g)"];
    for (user, wanted) in USERS {
        let option = format!("--user={user}");
        let runs = [["run", "--rm", option.as_str(), IMAGE], ["exec", option.as_str(), "c", "env"]];
        for (index, words) in runs.iter().enumerate() {
            let words = [&words[..], &asks].concat();
            match wanted {
                Some(wanted) => assert_eq!(stage.engine.ok(&words), wanted, "{user:?}"),
                None => {
                    let said = one_error(&stage.engine.output(&words), user);
                    assert!(said.contains("user") || said.contains("group"), "{user:?} {index}: {said}");
                }
            }
        }
    }
    stage.finish();
}

#[test]
fn d5_a_number_is_no_name() {
    let stage = Stage::new("d5");
    let passwd = "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0::/root:/bin/sh\n";
    let group = "root:x:0:\n1000:x:0:\n";
    let layer = Layer::default().add(FILE, "etc/passwd", passwd).add(FILE, "etc/group", group).end();
    stage.image("number", &json!({ "User": "1000:1000", "Env": ["PATH=/bin"] }), &[layer]);
    assert_eq!(
        stage.engine.ok(&["run", "--rm", "number", "sh", "-c", "id -u; id -g; id -G"]),
        "1000\n1000\n1000"
    );
    stage.finish();
}

#[test]
fn d6_a_number_beyond_all_is_no_root() {
    let stage = Stage::new("d6");
    let users = ["4294967296", "2147483648", "-1", "65534:99999999999", "99999999999:99999999999"];
    let line = |user: &str| {
        let name = user.split(':').next().unwrap_or_default();
        format!("{name}:x:0:0::/root:/bin/sh\n")
    };
    let passwd: String = users.iter().map(|user| line(user)).collect();
    let group = "99999999999:x:0:\nbig:x:4294967295:\n";
    let passwd = format!("{passwd}big:x:4294967295:0::/:\nminus:x:-1:0::/:\n");
    let layer = Layer::default().add(FILE, "etc/passwd", &passwd).add(FILE, "etc/group", group).end();
    for (index, user) in users.iter().chain(&["big", "minus", "0:big"]).enumerate() {
        let name = format!("beyond{index}");
        stage.image(&name, &json!({ "User": user, "Env": ["PATH=/bin"] }), std::slice::from_ref(&layer));
        let said = stage.refused(&["run", "--rm", &name, "id"], &[]);
        assert!(said.contains("0 to 2147483647") || said.contains("unable to find"), "{user}: {said}");
    }
    stage.finish();
}

#[test]
fn d7_groups_are_the_users_and_those_that_were_asked_for() {
    let stage = Stage::new("d7");
    // Of the group that was asked for, and of no other: 0604 keeps the group out, and an outsider in.
    let layer = Layer::default()
        .pax(&[("gid", "34")])
        .mode(FILE, "secret", 0o604, b"content")
        .pax(&[("gid", "4")])
        .mode(FILE, "secret2", 0o604, b"content")
        .end();
    stage.image("groups", &json!({ "Env": ["PATH=/bin"] }), &[layer]);
    let table: [(&[&str], &str, [bool; 2]); 5] = [
        // `web` is a member of `adm` (4); its own group is 34.
        (&["-u", "web"], "34 4", [false, false]),
        (&["-u", "web:adm"], "4", [true, false]),
        (&["-u", "33:34"], "34", [false, true]),
        (&["-u", "500"], "0", [true, true]),
        (&["-u", "500:500", "--group-add", "34"], "500 34", [false, true]),
    ];
    stage.engine.ok(&["run", "-d", "--name", "c", "groups", "sleep", "1000"]);
    for (options, groups, readable) in table {
        let asks =
            "id -G; for file in secret secret2; do cat /$file >/dev/null 2>&1 && echo yes || echo no; done";
        let words = |yes: bool| if yes { "yes" } else { "no" };
        let wanted = format!("{groups}\n{}\n{}", words(readable[0]), words(readable[1]));
        let run = [&["run", "--rm"], options, &["groups", "sh", "-c", asks]].concat();
        assert_eq!(stage.engine.ok(&run), wanted, "{options:?}");
        if options.len() == 2 {
            let exec = [&["exec"], options, &["c", "sh", "-c", asks]].concat();
            assert_eq!(stage.engine.ok(&exec), wanted, "exec {options:?}");
        }
    }
    stage.finish();
}

#[test]
fn d8_no_line_gets_into_a_file_of_lines() {
    let stage = Stage::new("d8");
    // What would be written to hosts, hostname and resolv.conf is refused.
    for (option, value) in [
        ("--hostname", "a\n6.6.6.6 db"),
        ("--hostname", "a b"),
        ("--hostname", "a:b"),
        ("--add-host", "a\n6.6.6.6 db:1.2.3.4"),
        ("--add-host", "db:1.2.3.4\n6.6.6.6 x"),
        ("--dns", "1.2.3.4\nnameserver 6.6.6.6"),
        ("--dns-search", "a\nnameserver 6.6.6.6"),
        ("--dns-option", "a\nnameserver 6.6.6.6"),
        ("--name", "a\nb"),
    ] {
        stage.refused(
            &["create", &format!("{option}={value}"), IMAGE, "true"],
            &[option.trim_start_matches('-')],
        );
    }
    // Nothing of ours writes passwd: such a variable is the program's, and no more.
    let before = stage.engine.ok(&["run", "--rm", IMAGE, "cat", "/etc/passwd", "/etc/group"]);
    let script = "cat /etc/passwd /etc/group; echo \"[$HOME]\"";
    let home = "HOME=/\nevil:x:0:0::/:/bin/sh";
    let after = stage.engine.ok(&["run", "--rm", "-e", home, IMAGE, "sh", "-c", script]);
    assert_eq!(after, format!("{before}\n[{}]", &home[5..]));
    for user in ["evil\nroot", "a\u{0}b"] {
        stage.image("lines", &json!({ "User": user, "Env": ["PATH=/bin"] }), &[]);
        stage.refused(&["run", "--rm", "lines", "true"], &["User", "a control character is in it"]);
    }
    stage.finish();
}

#[test]
fn d9_files_of_accounts_are_small_and_regular_or_refused() {
    let stage = Stage::new("d9");
    let big = "x".repeat(64 << 20);
    let many: String = (0..1_000_000).map(|number| format!("g{number}:x:{number}:\n")).collect();
    let sparse = [("GNU.sparse.size", "17179869184"), ("GNU.sparse.map", "0,0")];
    let rows: [(&str, Layer, &str); 8] = [
        ("a line of 64 MB", Layer::default().add(FILE, "etc/group", &big), "larger than"),
        ("a million groups", Layer::default().add(FILE, "etc/group", &many), "larger than"),
        ("16 GiB of nothing", Layer::default().pax(&sparse).add(FILE, "etc/group", ""), "larger than"),
        ("a pipe", Layer::default().add(FIFO, "etc/passwd", ""), "no regular file"),
        ("zeros for ever", Layer::default().device("etc/passwd", 1, 5), "no regular file"),
        ("a directory", Layer::default().add(DIRECTORY, "etc/group", ""), "no regular file"),
        // These lead to what is inside: to nothing, and the names that were asked for are not found.
        (
            "the host's",
            Layer::default().add(LINK, "etc/passwd", stage.canary.path()),
            "unable to find user web",
        ),
        ("itself", Layer::default().add(LINK, "etc/passwd", "passwd"), "unable to find user web"),
    ];
    for (name, layer, wanted) in rows {
        // What is there of busybox's own image goes first.
        let gone = Layer::default().add(FILE, "etc/.wh.passwd", "").add(FILE, "etc/.wh.group", "").end();
        let config = json!({ "User": "web", "Env": ["PATH=/bin"] });
        stage.image("accounts", &config, &[gone, layer.end()]);
        let said = one_error(&stage.bounded(&["run", "--rm", "accounts", "id"]), name);
        assert!(said.contains(wanted), "{name}: {said}");
        stage.engine.ok(&["rmi", "-f", "accounts"]);
    }
    stage.finish();
}

#[test]
fn d10_set_id_gains_nothing_and_the_filter_is_everywhere() {
    let stage = Stage::new("d10");
    let probe = "#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf(\"%d %d\\n\", getuid(), geteuid()); return 0; }";
    let program = std::fs::read(stage.probe("ids", probe)).expect("built");
    let layer = Layer::default().mode(FILE, "ids", 0o4755, &program).end();
    stage.image("setuid", &json!({ "Env": ["PATH=/bin"] }), &[layer]);
    let hardened = ["--security-opt", "no-new-privileges"];
    let run = |options: &[&str]| {
        stage.engine.ok(&[&["run", "--rm", "-u", "1000"], options, &["setuid", "/ids"]].concat())
    };
    assert_eq!(run(&hardened), "1000 1000");
    // Where it was asked for: the set-id bit is real, and this test one that can fail.
    assert_eq!(run(&["--security-opt", "no-new-privileges=false"]), "1000 0");
    stage.engine.ok(&[
        "run",
        "-d",
        "--name",
        "c",
        "--security-opt",
        "no-new-privileges",
        "setuid",
        "sleep",
        "1000",
    ]);
    assert_eq!(stage.engine.ok(&["exec", "-u", "1000", "c", "/ids"]), "1000 1000");
    for words in [["run", "--rm", "setuid"].as_slice(), &["exec", "c"], &["exec", "-u", "1000", "c"]] {
        assert_eq!(status(&stage.engine.ok(&[words, &STATUS].concat()), "Seccomp"), "2", "{words:?}");
    }
    stage.finish();
}

/// `keyring hold COMMAND…`: a session keyring with a key of a caller. `keyring`: which session keyring there is, and the key.
const KEYRING: &str = r#"
    #include <errno.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    int main(int argc, char **argv) {
        if (argc > 2 && !strcmp(argv[1], "hold")) {
            if (syscall(SYS_keyctl, 1, 0) < 0) return 9;
            if (syscall(SYS_add_key, "user", "ocictl:canary", "secret", 6, -3) < 0) return 8;
            fprintf(stderr, "%ld\n", syscall(SYS_keyctl, 0, -3, 0));
            execv(argv[2], argv + 2);
            return 7;
        }
        long serial = syscall(SYS_keyctl, 0, -3, 0);
        long key = syscall(SYS_request_key, "user", "ocictl:canary", 0, 0);
        printf("%ld %ld %s\n", serial, key, key < 0 ? strerror(errno) : "found");
        return 0;
    }
"#;

#[test]
fn d11_the_callers_keys_stay_outside() {
    let stage = Stage::new("d11");
    let probe = stage.probe("keyring", KEYRING);
    let probes = stage.probes();
    stage.engine.ok(&[
        "run",
        "-d",
        "--name",
        "c",
        "--security-opt",
        "seccomp=unconfined",
        "-v",
        &probes,
        IMAGE,
        "sleep",
        "1000",
    ]);
    let command = stage.engine.command();
    let holding = |words: &[&str]| {
        let holder = [probe.as_os_str(), "hold".as_ref()];
        let output = below(&holder, &command, words).output().expect("the probe starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let open =
        ["run", "--rm", "--security-opt", "seccomp=unconfined", "-v", &probes, IMAGE, "/probes/keyring"];
    for words in [&open[..], &["exec", "c", "/probes/keyring"]] {
        let (inside, host) = holding(words);
        let fields: Vec<&str> = inside.splitn(3, ' ').collect();
        assert!(fields.len() == 3 && host.parse::<i64>().is_ok(), "{words:?}: {inside:?} {host:?}");
        assert_ne!(fields[0], host, "{words:?}: the same session keyring");
        assert_eq!(fields[1], "-1", "{words:?}: the key is seen: {inside}");
    }
    // And by default no program may ask at all.
    let (inside, _) = holding(&["run", "--rm", "-v", &probes, IMAGE, "/probes/keyring"]);
    assert!(inside.starts_with("-1 -1"), "{inside}");
    stage.finish();
}

/// Pushes a line into the terminal that it has, and says which that is.
const PUSH: &str = r#"
    #include <stdio.h>
    #include <sys/ioctl.h>
    #include <sys/stat.h>
    int main(void) {
        int pushed = 0;
        for (const char *p = "echo pushed\n"; *p; p++) pushed += ioctl(0, TIOCSTI, p) == 0;
        struct stat st;
        fstat(0, &st);
        printf("terminal=%lx:%lx pushed=%d\n", (long)st.st_dev, (long)st.st_rdev, pushed);
        return 0;
    }
"#;

#[test]
fn d12_nothing_is_typed_into_the_callers_terminal() {
    let stage = Stage::new("d12");
    stage.probe("push", PUSH);
    let probes = stage.probes();
    stage.engine.ok(&["run", "-d", "--name", "c", "-v", &probes, IMAGE, "sleep", "1000"]);
    let command = stage.engine.command();
    let program: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let program = program.join(" ");
    for words in [format!("run --rm -it -v {probes} {IMAGE}"), "exec -it c".to_owned()] {
        // The shell says which terminal is its own, runs the program on one, and looks what was typed meanwhile.
        let script = format!(
            "echo outside=$(stat -L -c %D:%d /dev/stdin); {program} {words} /probes/push; busybox timeout 1 head -n1 | sed s/^/read=/; echo end"
        );
        let mut typed = Command::new("script");
        typed.args(["-q", "-e", "-c", &format!("sh -c '{script}'"), "/dev/null"]);
        inherit(&mut typed, &command);
        let mut child = typed
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("script starts");
        let stdin = child.stdin.take();
        let output = child.wait_with_output().expect("it ends");
        drop(stdin);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("terminal=") && said.contains("end"), "{words}: {said}");
        assert!(!said.contains("read="), "{words}: the host's shell was typed to: {said}");
        let of = |word: &str| {
            let found = said.split(word).nth(1).unwrap_or_default();
            found.split([' ', '\r', '\n', ':']).next().unwrap_or_default().to_owned()
        };
        assert_ne!(of("outside="), of("terminal="), "{words}: the terminal is the caller's: {said}");
    }
    stage.finish();
}
