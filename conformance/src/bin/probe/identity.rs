//! Who the payload is and where: ids, environment, namespaces, limits, clocks, terminal.

use crate::Answer;
use rustix::fs::Mode;
use rustix::process::{Resource, getrlimit};
use serde_json::{Map, Value, json};

/// Arguments, environment, directory, ids, umask.
pub fn report() -> Answer {
    let umask = rustix::process::umask(Mode::empty());
    rustix::process::umask(umask);
    let groups: Vec<u32> = rustix::process::getgroups()?.into_iter().map(|group| group.as_raw()).collect();
    Ok(json!({
        "args": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "cwd": std::env::current_dir()?.to_string_lossy(),
        "pid": std::process::id(),
        "uid": rustix::process::getuid().as_raw(),
        "gid": rustix::process::getgid().as_raw(),
        "groups": groups,
        "umask": umask.bits(),
    }))
}

/// The links of `/proc/PROCESS/ns`.
pub fn namespaces(process: &str) -> Answer {
    let mut found = Map::new();
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        if let Ok(link) = std::fs::read_link(format!("/proc/{process}/ns/{kind}")) {
            found.insert(kind.to_owned(), link.to_string_lossy().into_owned().into());
        }
    }
    Ok(Value::Object(found))
}

/// Every limit as `[soft, hard]`, null for infinity, by getrlimit(2).
pub fn limits() -> Answer {
    let resources = [
        ("RLIMIT_AS", Resource::As),
        ("RLIMIT_CORE", Resource::Core),
        ("RLIMIT_CPU", Resource::Cpu),
        ("RLIMIT_DATA", Resource::Data),
        ("RLIMIT_FSIZE", Resource::Fsize),
        ("RLIMIT_LOCKS", Resource::Locks),
        ("RLIMIT_MEMLOCK", Resource::Memlock),
        ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
        ("RLIMIT_NICE", Resource::Nice),
        ("RLIMIT_NOFILE", Resource::Nofile),
        ("RLIMIT_NPROC", Resource::Nproc),
        ("RLIMIT_RSS", Resource::Rss),
        ("RLIMIT_RTPRIO", Resource::Rtprio),
        ("RLIMIT_RTTIME", Resource::Rttime),
        ("RLIMIT_SIGPENDING", Resource::Sigpending),
        ("RLIMIT_STACK", Resource::Stack),
    ];
    let mut found = Map::new();
    for (name, resource) in resources {
        let limit = getrlimit(resource);
        found.insert(name.to_owned(), json!([limit.current, limit.maximum]));
    }
    Ok(Value::Object(found))
}

/// Names of the machine as uname(2) tells them.
pub fn uname() -> Answer {
    let names = rustix::system::uname();
    Ok(json!({
        "node": names.nodename().to_string_lossy(),
        "domain": names.domainname().to_string_lossy(),
        "machine": names.machine().to_string_lossy(),
    }))
}

/// Seconds of the two clocks that a time namespace shifts.
pub fn clock() -> Answer {
    Ok(json!({
        "monotonic": crate::sys::seconds(libc::CLOCK_MONOTONIC)?,
        "boottime": crate::sys::seconds(libc::CLOCK_BOOTTIME)?,
    }))
}

/// Whether the three streams are terminals, and the size of the first.
pub fn terminal() -> Answer {
    use rustix::termios::{isatty, tcgetwinsize};
    let streams =
        [isatty(rustix::stdio::stdin()), isatty(rustix::stdio::stdout()), isatty(rustix::stdio::stderr())];
    let size = tcgetwinsize(rustix::stdio::stdin()).ok();
    Ok(
        json!({ "streams": streams, "rows": size.map(|size| size.ws_row), "columns": size.map(|size| size.ws_col) }),
    )
}
