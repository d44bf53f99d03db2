//! Golden files: options and facts, and the `config.json` that follows. `UPDATE_GOLDEN=1 cargo test` writes them anew; read the
//! difference then.

use super::*;
use crate::container::options::{Device, Mount, MountKind, Resources, Security, Ulimit};

fn facts() -> Facts {
    Facts {
        id: "0123456789abcdef".into(),
        root: "/run/ocictl/containers/0123456789abcdef/rootfs".into(),
        cgroup: "/ocictl-0123456789abcdef".into(),
        identity: Identity { home: "/root".into(), ..Identity::default() },
        files: BTreeMap::from([("/etc/hosts".into(), "/state/hosts".into())]),
        architecture: "x86_64".into(),
        nofile: 4096,
        ..Facts::default()
    }
}

fn compare(name: &str, options: &Options, facts: &Facts) {
    let mut config = config(options, facts);
    if let Some(seccomp) = config["linux"].get_mut("seccomp") {
        // It has its own tests, and four hundred names.
        *seccomp = format!("{} rules", seccomp["syscalls"].as_array().map_or(0, Vec::len)).into();
    }
    let text = serde_json::to_string_pretty(&config).expect("JSON") + "\n";
    let path = format!("{}/src/container/spec/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).expect("golden file");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name}: config.json is not what the golden file says");
}

#[test]
fn a_plain_container_is_hardened() {
    let options = Options { arguments: vec!["sh".into()], ..Options::default() };
    compare("plain", &options, &facts());
}

#[test]
fn a_container_with_ids_of_its_own_has_a_user_namespace() {
    use crate::container::ids::{Ids, Range};
    let ids = Ids::of_both(vec![Range { inside: 0, outside: 100_000, count: 1000 }]);
    let options = Options {
        arguments: vec!["sh".into()],
        ids: Some(ids),
        namespaces: crate::container::options::Namespaces {
            network: Namespace::Host,
            pid: Namespace::Host,
            ..Default::default()
        },
        ..Options::default()
    };
    compare("ids", &options, &facts());
}

#[test]
fn a_privileged_container_has_everything() {
    let options = Options {
        arguments: vec!["sh".into()],
        tty: true,
        security: Security { privileged: true, ..Security::default() },
        namespaces: crate::container::options::Namespaces {
            pid: Namespace::Host,
            network: Namespace::Host,
            ..Default::default()
        },
        ..Options::default()
    };
    let node = Node {
        source: "/dev/fuse".into(),
        path: "/dev/fuse".into(),
        kind: 'c',
        major: 10,
        minor: 229,
        mode: 0o666,
        uid: 0,
        gid: 0,
        access: "rwm".into(),
    };
    compare("privileged", &options, &Facts { devices: vec![node], ..facts() });
}

#[test]
fn everything_that_is_typed_is_there() {
    let mount = |kind, target: &str, words: &[&str]| Mount {
        kind,
        target: target.into(),
        options: words.iter().map(|word| (*word).to_owned()).collect(),
        copy_up: true,
        subpath: String::new(),
    };
    let mut options = Options {
        arguments: vec!["/e".into(), "x".into()],
        entrypoint_length: 1,
        env: vec!["A=1".into(), "HOME=/h".into()],
        workdir: "/w".into(),
        hostname: "web".into(),
        domainname: "example".into(),
        init: true,
        read_only: true,
        read_only_tmpfs: true,
        shm_bytes: 1 << 20,
        annotations: BTreeMap::from([("a.b".into(), "c".into())]),
        ulimits: vec![Ulimit { name: "core".into(), soft: 0, hard: -1 }],
        devices: vec![Device { source: "/dev/fuse".into(), target: "/dev/fuse".into(), access: "rw".into() }],
        mounts: vec![
            mount(MountKind::Bind("/src".into()), "/a/b", &["ro", "z"]),
            mount(MountKind::Volume("v".into()), "/a", &["noexec"]),
            mount(MountKind::Tmpfs, "/t", &["size=1024"]),
            mount(MountKind::Bind("/own/hosts".into()), "/etc/hosts", &[]),
        ],
        sysctls: BTreeMap::from([("net.ipv4.ip_forward".into(), "1".into())]),
        oom_score: Some(100),
        umask: Some(0o22),
        ..Options::default()
    };
    options.resources.memory = Some(64 << 20);
    options.resources.cpu_millis = Some(1500);
    options.resources.pids = Some(10);
    options.security.add = vec!["CAP_SYS_TIME".into()];
    options.security.drop = vec!["CAP_NET_RAW".into()];
    options.security.no_new_privileges = true;
    options.security.unmask = vec!["/proc/kcore".into()];
    options.namespaces.network = Namespace::Container("db".into());
    options.namespaces.uts = Namespace::Private;
    let facts = Facts {
        identity: Identity { uid: 33, gid: 34, groups: vec![4], home: "/var/www".into() },
        sources: ["/src", "/volumes/v", "", "/own/hosts"].map(|path| String::from(path).into()).to_vec(),
        namespaces: BTreeMap::from([("network", "/proc/7/ns/net".to_owned())]),
        init: "/usr/bin/catatonit".into(),
        swap: true,
        ..facts()
    };
    compare("everything", &options, &facts);
}

#[test]
fn an_update_of_one_limit_keeps_what_belongs_to_it() {
    let all = Resources { memory: Some(100 << 20), memory_swap: Some(300 << 20), ..Resources::default() };
    let typed = Resources { memory: all.memory, ..Resources::default() };
    let changed = resources::changed(&typed, &all, &facts());
    assert_eq!(changed, json!({ "memory": { "limit": 100 << 20, "swap": 300 << 20 } }));
    assert_eq!(resources::changed(&Resources::default(), &all, &facts()), json!({}));
}
