//! Hooks, annotations, seccomp, `exec`, and bundles that lack something.

use super::super::case::{Case, Way, case};
use super::super::hooks;
use super::super::support::profiles;
use serde_json::json;

/// The bundles.
pub fn cases() -> Vec<Case> {
    let mut cases = exec();
    cases.extend([
        case("hooks", |bundle| {
            hooks::of_every_kind(bundle);
            bundle.set("/annotations", json!({ "com.example.one": "1" }));
        })
        .more("say started \"$(tr '\\n' ';' </started)\""),
        case("hook-failing", |bundle| {
            bundle.push("/hooks/createRuntime", json!({ "path": "/bin/false" }));
        }),
        case("hook-missing", |bundle| {
            bundle.push("/hooks/createRuntime", json!({ "path": "/no/such/hook" }));
        }),
        case("hook-too-slow", |bundle| {
            bundle.push("/hooks/prestart", json!({ "path": "/bin/sleep", "args": ["sleep", "10"], "timeout": 1 }));
        }),
        case("poststop-failing", |bundle| {
            let script = "cat >/dev/null; exit 1";
            bundle.push("/hooks/poststop", json!({ "path": "/bin/sh", "args": ["sh", "-c", script] }));
        }),
        case("annotations", |bundle| {
            bundle.set("/annotations", json!({ "com.example.a": "1", "org.opencontainers.image.stopSignal": "SIGINT", "empty": "" }));
        }),
        case("process-absent", |bundle| {
            bundle.unset("/process");
        }),
        case("unknown-properties", |bundle| {
            bundle.set("/linux/ofTomorrow", json!({ "a": 1 })).set("/ofTomorrow", json!([])).set("/process/ofTomorrow", json!("x"));
        }),
        case("property-twice", |_| {})
            .text("\"hostname\": \"corten\"", "\"hostname\": \"first\", \"hostname\": \"second\""),
        case("property-in-another-case", |_| {}).text("\"hostname\"", "\"HostName\""),
        case("wrong-type", |bundle| {
            bundle.set("/process/user/uid", json!("root"));
        }),
        case("version-of-tomorrow", |bundle| {
            bundle.set("/ociVersion", json!("1.9.0"));
        }),
        case("version-absent", |bundle| {
            bundle.unset("/ociVersion");
        }),
        case("seccomp-docker", |bundle| {
            bundle.set("/linux/seccomp", profiles::docker());
        })
        .more("say keys $(busybox unshare -U true 2>&1)"),
        case("seccomp-docker-new-privileges", |bundle| {
            bundle.set("/linux/seccomp", profiles::docker()).set("/process/noNewPrivileges", json!(false));
        }),
        case("seccomp-podman", |bundle| {
            bundle.set("/linux/seccomp", profiles::resolve("podman", profiles::AMD64, profiles::ELEVEN));
        }),
        case("seccomp-containerd", |bundle| {
            bundle.set("/linux/seccomp", profiles::resolve("containerd", profiles::AMD64, profiles::FOURTEEN));
        }),
        case("seccomp-errno", |bundle| {
            bundle.set(
                "/linux/seccomp",
                json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                    "syscalls": [{ "names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 33 }] }),
            );
        })
        .more("say mkdir \"$(mkdir /x 2>&1)\""),
        case("seccomp-arguments", |bundle| {
            bundle.set(
                "/linux/seccomp",
                json!({ "defaultAction": "SCMP_ACT_ALLOW",
                    "syscalls": [{ "names": ["kill"], "action": "SCMP_ACT_ERRNO",
                        "args": [{ "index": 1, "value": 10, "op": "SCMP_CMP_EQ" }] }] }),
            );
        })
        .more("trap : USR1 USR2; say usr1 \"$(kill -USR1 $$ 2>&1)\"; say usr2 \"$(kill -USR2 $$ 2>&1)\""),
        case("seccomp-flags-empty", |bundle| {
            bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": [],
                "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_ERRNO" }] }));
        }),
        case("seccomp-flag-log", |bundle| {
            bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
                "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_ERRNO" }] }));
        }),
        case("seccomp-unknown-action", |bundle| {
            bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_OF_TOMORROW" }));
        }),
        case("apparmor-without", |bundle| {
            bundle.set("/process/apparmorProfile", json!("a-profile"));
        }),
        case("selinux-without", |bundle| {
            bundle.set("/process/selinuxLabel", json!("system_u:system_r:container_t:s0"));
        }),
    ]);
    cases
}

fn exec() -> Vec<Case> {
    vec![
        case("exec", |_| {}).way(Way::Exec(&[])),
        case("exec-with-options", |bundle| {
            bundle.set("/process/user", json!({ "uid": 0, "gid": 0, "additionalGids": [9] }));
        })
        .way(Way::Exec(&["--user", "1000:1000", "--cwd", "/tmp", "--env", "A=1", "--env", "B=2"])),
        case("exec-more-capabilities", |_| {}).way(Way::Exec(&[
            "--cap",
            "CAP_SYS_ADMIN",
            "--cap",
            "CAP_NET_RAW",
        ])),
        case("exec-in-a-user-namespace", |bundle| {
            bundle.user_namespace(100_000, 65536).namespace("cgroup", None);
        })
        .way(Way::Exec(&[])),
        case("exec-with-everything-set", |bundle| {
            bundle.set("/linux/seccomp", profiles::docker()).set("/process/oomScoreAdj", json!(400));
            bundle.set("/process/user/umask", json!(0o027)).set("/process/cwd", json!("/tmp"));
            bundle.set("/linux/personality", json!({ "domain": "LINUX32" }));
        })
        .way(Way::Exec(&[])),
    ]
}
