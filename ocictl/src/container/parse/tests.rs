//! The tables of [`super`].

use super::*;
use crate::container::options::{Log, MountKind, Namespace, Restart, Rootfs, Security, Ulimit};
use crate::error::Error;

struct Here;

impl Surroundings for Here {
    fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.into() } else { format!("/here/{}", path.trim_start_matches("./")) }
    }

    fn read(&self, path: &str) -> Result<String> {
        match path {
            "good.json" => Ok(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#.into()),
            "bad.json" => Ok("{}".into()),
            _ => Err(Error::from_errno(libc::ENOENT).context(path)),
        }
    }
}

#[test]
fn sizes_and_times() {
    for (text, wanted) in [
        ("0", 0),
        ("1024", 1024),
        ("512k", 512 << 10),
        ("64M", 64 << 20),
        ("2GiB", 2 << 30),
        ("1.5g", 3 << 29),
    ] {
        assert_eq!(bytes(text).expect(text), wanted, "{text}");
    }
    for text in ["", "k", "-1", "12x", "99999999999999999999", "9223372036854775807k", "1..5g", "1.g5"] {
        assert!(bytes(text).is_err(), "{text}");
    }
    let table = [
        ("0", 0),
        ("500ms", 500_000_000),
        ("30s", 30_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
    ];
    for (text, wanted) in table {
        assert_eq!(duration(text).expect(text), wanted, "{text}");
    }
    for text in ["", "30", "s", "1x", "-1s", "999999999999h"] {
        assert!(duration(text).is_err(), "{text}");
    }
    for (text, wanted) in [("1", 1000), ("0.5", 500), ("1.25", 1250), (".1", 100)] {
        assert_eq!(cpus(text).expect(text), wanted, "{text}");
    }
    for text in ["", ".", "-1", "a"] {
        assert!(cpus(text).is_err(), "{text}");
    }
}

#[test]
fn volumes_are_told_apart_from_directories() {
    let table = [
        ("/a:/b", MountKind::Bind("/a".into()), "/b", ""),
        ("./a:/b:ro", MountKind::Bind("/here/a".into()), "/b", "ro"),
        ("data:/b/", MountKind::Volume("data".into()), "/b", ""),
        ("/b", MountKind::Anonymous(String::new()), "/b", ""),
        ("/a:/b:O", MountKind::Overlay("/a".into()), "/b", ""),
        ("/a:/b:rslave,noexec", MountKind::Bind("/a".into()), "/b", "rslave,noexec"),
    ];
    for (text, kind, target, options) in table {
        let mount = volume(text, &Here).expect(text);
        assert_eq!(
            (mount.kind, mount.target.as_str(), mount.options.join(",").as_str()),
            (kind, target, options),
            "{text}"
        );
    }
    for (text, wanted) in [
        ("a:b", "the target \"b\" is not an absolute path"),
        ("a:/", "nothing can be mounted on \"/\""),
        ("a:/x/../..", "nothing can be mounted on"),
        ("/a:/b:c:d", "more than three parts"),
        (":/b", "its source is empty"),
        ("vol:/b:rshared", "rshared needs a directory of the host"),
        ("/a:/b:rubbish", "\"rubbish\" is no option of a mount"),
        ("-a:/b", "is no name of a volume"),
    ] {
        let said = volume(text, &Here).expect_err(text).to_string();
        assert!(said.contains(wanted), "{text}: {said}");
    }
    assert!(!volume("v:/b:nocopy", &Here).expect("nocopy").copy_up);
}

#[test]
fn mounts_are_written_with_keys() {
    let bind =
        mount("type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave", &Here).expect("a bind mount");
    assert_eq!((bind.kind, bind.options.join(",")), (MountKind::Bind("/a".into()), "ro,rslave".into()));
    assert_eq!(
        mount("source=myvol2,target=/app", &Here).expect("a volume").kind,
        MountKind::Volume("myvol2".into())
    );
    let memory = mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777", &Here).expect("memory");
    assert_eq!(memory.options, ["size=1048576", "mode=1777"]);
    for (text, wanted) in [
        ("type=bind,target=/b", "needs a source"),
        ("type=npipe,source=/a,target=/b", "is none of bind, volume, tmpfs"),
        ("source=a", "the target \"\" is not an absolute path"),
        ("source=a,target=/b,color=red", "\"color\" is no key of --mount"),
        ("source=a,target=/b,ro=maybe", "neither true nor false"),
    ] {
        let said = mount(text, &Here).expect_err(text).to_string();
        assert!(said.contains(wanted), "{text}: {said}");
    }
    assert_eq!(
        tmpfs("/run:size=64m,noexec,mode=755").expect("memory").options,
        ["size=67108864", "noexec", "mode=755"]
    );
    assert!(tmpfs("run").is_err() && tmpfs("/run:color=red").is_err());
}

#[test]
fn limits_devices_and_signals() {
    assert_eq!(
        ulimit("nofile=10:20").expect("a limit"),
        Ulimit { name: "nofile".into(), soft: 10, hard: 20 }
    );
    assert_eq!(ulimit("RLIMIT_CORE=-1").expect("a limit").hard, -1);
    for text in ["nofile", "files=1", "nofile=20:10", "nofile=-1:10", "nofile=x"] {
        assert!(ulimit(text).is_err(), "{text}");
    }
    assert_eq!(device("/dev/a:rw").expect("a device").access, "rw");
    assert_eq!(device("/dev/a:/dev/b").expect("a device").target, "/dev/b");
    for text in ["a", "/dev/a:/dev/b:x", "/dev/a:/dev/b:r:w"] {
        assert!(device(text).is_err(), "{text}");
    }
    for (text, wanted) in
        [("TERM", 15), ("SIGKILL", 9), ("sigusr1", 10), ("37", 37), ("RTMIN+3", 37), ("SIGRTMAX-14", 50)]
    {
        assert_eq!(signal(text).expect(text), wanted, "{text}");
    }
    for text in ["", "0", "65", "SIGRTMIN+99", "FOO"] {
        assert!(signal(text).is_err(), "{text}");
    }
    assert_eq!(detach_keys("ctrl-p,ctrl-q").expect("keys"), [16, 17]);
    assert!(detach_keys("").expect("none").is_empty());
    assert!(detach_keys("ctrl-1").is_err());
}

#[test]
fn policies_and_places() {
    assert_eq!(restart("on-failure:3").expect("a policy"), Restart::OnFailure(3));
    assert!(restart("always:3").is_err() && restart("sometimes").is_err());
    assert_eq!(network("none").expect("none"), Namespace::Private);
    assert_eq!(namespace("container:x").expect("another's"), Namespace::Container("x".into()));
    assert!(network("bridge").is_err() && network("mynet").is_err() && namespace("ns:relative").is_err());
    assert_eq!(rootfs("/:O", &Here), Rootfs { path: "/".into(), overlay: true });
    assert_eq!(capability("net_admin").expect("one"), "CAP_NET_ADMIN");
    assert!(capability("fly").is_err());
    assert_eq!(host("db:10.0.0.1").expect("a host"), ("db".into(), "10.0.0.1".into()));
    assert_eq!(host("db:::1").expect("a host"), ("db".into(), "::1".into()));
    assert!(host("db").is_err() && host("db:here").is_err());
}

#[test]
fn security_options() {
    let mut security = Security::default();
    for text in ["no-new-privileges", "apparmor=unconfined", "unmask=ALL", "seccomp=good.json"] {
        security_option(text, &mut security, &Here).expect(text);
    }
    assert!(security.no_new_privileges && security.seccomp.is_some());
    assert_eq!((security.apparmor.as_str(), security.unmask.len()), ("unconfined", 1));
    for text in ["", "seccomp=", "seccomp=none.json", "seccomp=bad.json", "rubbish", "label=x"] {
        assert!(security_option(text, &mut security, &Here).is_err(), "{text}");
    }
    let mut log = Log::default();
    log_option("max-size=10m", &mut log, &Here).expect("a size");
    log_option("max-file=3", &mut log, &Here).expect("a number");
    assert_eq!((log.max_bytes, log.max_files), (10 << 20, 3));
    assert!(
        log_option("max-file=0", &mut log, &Here).is_err() && log_option("x=1", &mut log, &Here).is_err()
    );
}
