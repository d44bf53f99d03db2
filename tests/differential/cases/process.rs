//! `process`: who the program is, what it may and where it begins.

use super::super::case::{Case, Way, case};
use serde_json::json;

/// The bundles.
pub fn cases() -> Vec<Case> {
    [rights(), surroundings(), programs()].into_iter().flatten().collect()
}

/// Who it is and what it may.
fn rights() -> Vec<Case> {
    vec![
        case("plain", |_| {}),
        case("user", |bundle| {
            bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [5, 6, 1000] }));
        }),
        case("groups-of-root", |bundle| {
            bundle.set("/process/user/additionalGids", json!([10, 20]));
        }),
        case("umask", |bundle| {
            bundle.set("/process/user/umask", json!(0o077));
        })
        .more("touch /made; say made $(stat -c %a /made)"),
        case("all-capabilities", |bundle| {
            let all = json!([
                "CAP_CHOWN",
                "CAP_SYS_ADMIN",
                "CAP_NET_ADMIN",
                "CAP_SETPCAP",
                "CAP_MKNOD",
                "CAP_BPF",
                "CAP_PERFMON"
            ]);
            for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
                bundle.set(&format!("/process/capabilities/{set}"), all.clone());
            }
        }),
        case("ambient-of-a-user", |bundle| {
            let set = json!(["CAP_NET_BIND_SERVICE", "CAP_KILL"]);
            for name in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
                bundle.set(&format!("/process/capabilities/{name}"), set.clone());
            }
            bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        }),
        case("ambient-not-inheritable", |bundle| {
            bundle.set("/process/capabilities/ambient", json!(["CAP_KILL"]));
        }),
        case("permitted-not-bounding", |bundle| {
            bundle.set("/process/capabilities/bounding", json!(["CAP_KILL"]));
        }),
        case("no-capabilities", |bundle| {
            bundle.set("/process/capabilities", json!({ "bounding": [], "effective": [], "permitted": [] }));
        }),
        case("capabilities-absent", |bundle| {
            bundle.unset("/process/capabilities");
        }),
        case("unknown-capability", |bundle| {
            bundle.push("/process/capabilities/bounding", json!("CAP_OF_TOMORROW"));
        }),
        case("new-privileges", |bundle| {
            bundle.set("/process/noNewPrivileges", json!(false));
        }),
        case("rlimits", |bundle| {
            let limit =
                |name: &str, soft: u64, hard: u64| json!({ "type": name, "soft": soft, "hard": hard });
            bundle.set(
                "/process/rlimits",
                json!([
                    limit("RLIMIT_NOFILE", 100, 200),
                    limit("RLIMIT_CORE", 0, 4096),
                    limit("RLIMIT_NPROC", 1000, 2000),
                    limit("RLIMIT_STACK", 8 << 20, u64::MAX),
                    limit("RLIMIT_CPU", 100, 200),
                    limit("RLIMIT_MSGQUEUE", 1000, 2000),
                    limit("RLIMIT_SIGPENDING", 100, 200)
                ]),
            );
        }),
        case("rlimits-absent", |bundle| {
            bundle.unset("/process/rlimits");
        }),
        case("rlimit-twice", |bundle| {
            bundle.push("/process/rlimits", json!({ "type": "RLIMIT_NOFILE", "soft": 64, "hard": 128 }));
        }),
        case("oom-score", |bundle| {
            bundle.set("/process/oomScoreAdj", json!(500));
        }),
    ]
}

/// Where it begins, with what, and when it runs.
fn surroundings() -> Vec<Case> {
    vec![
        case("cwd-made", |bundle| {
            bundle.set("/process/cwd", json!("/deep/er/still"));
        }),
        case("cwd-made-for-a-user", |bundle| {
            bundle
                .set("/process/cwd", json!("/work"))
                .set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        }),
        case("environment", |bundle| {
            bundle.set(
                "/process/env",
                json!(["PATH=/bin", "A=1", "B=two words", "A=2", "EMPTY=", "HOME=/elsewhere"]),
            );
        }),
        case("home-of-a-user", |bundle| {
            bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
            bundle.set("/process/env", json!(["PATH=/bin"]));
        }),
        case("home-empty", |bundle| {
            bundle.set("/process/env", json!(["PATH=/bin", "HOME="]));
        }),
        case("home-of-nobody", |bundle| {
            bundle.set("/process/user", json!({ "uid": 4242, "gid": 4242 }));
        }),
        case("personality", |bundle| {
            bundle.set("/linux/personality", json!({ "domain": "LINUX32" }));
        }),
        case("scheduler", |bundle| {
            bundle.set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 5 }));
        }),
        case("io-priority", |bundle| {
            bundle.set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 }));
        }),
    ]
}

/// What is executed, and on which streams.
fn programs() -> Vec<Case> {
    vec![
        case("program-in-the-path", |bundle| {
            bundle.set("/process/env", json!(["PATH=/nowhere:/opt/bin:/bin"]));
            std::fs::create_dir_all(bundle.rootfs().join("opt/bin")).unwrap();
            bundle.executable("opt/bin/mine", "#!/bin/sh\necho arguments=$0 $*\n");
            bundle.set("/process/args", json!(["mine", "one", ""]));
        }),
        case("program-missing", |bundle| {
            bundle.set("/process/args", json!(["/no/such/program"]));
        }),
        case("program-relative", |bundle| {
            bundle
                .set("/process/args", json!(["./sh", "-c", "echo arguments=$0"]))
                .set("/process/cwd", json!("/bin"));
        }),
        case("exit-code", |bundle| {
            bundle.set("/process/args", json!(["sh", "-c", "exit 42"]));
        })
        .way(Way::Run),
        case("killed", |bundle| {
            bundle.set("/process/args", json!(["sh", "-c", "kill -9 $$; kill -TERM -1; sleep 1; exit 3"]));
        })
        .way(Way::Run),
        case("terminal", |bundle| {
            bundle.set("/process/terminal", json!(true));
            bundle.set("/process/consoleSize", json!({ "height": 33, "width": 99 }));
        }),
        case("terminal-of-a-user", |bundle| {
            bundle
                .set("/process/terminal", json!(true))
                .set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        }),
    ]
}
