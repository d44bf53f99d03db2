//! exec: from what was typed to what is meant.

use super::grammar::{Arguments, Exec};
use super::lifecycle::absolute;
use super::supervision::check_open;
use crate::container::Container;
use crate::container::exec::{self, Request};
use crate::container::root::Root;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::plan::exec::Wishes;
use crate::spec;

/// Runs a program in a container.
pub fn exec(arguments: &Arguments, typed: &Exec, log: &Log) -> Result<u8> {
    let container = Container::open(&Root::choose(arguments.root.as_deref())?, typed.id())?;
    check_open("--preserve-fds", typed.preserve_fds)?;
    let document = typed.process.as_deref().map(spec::load_process).transpose()?;
    let (process, warnings) = document.map(|loaded| (loaded.process, loaded.warnings)).unzip();
    let pid_file = typed.pid_file.as_deref().map(|path| absolute(path, "--pid-file")).transpose()?;
    let console_socket =
        typed.console_socket.as_deref().map(|path| absolute(path, "--console-socket")).transpose()?;
    let pidfd_socket =
        typed.pidfd_socket.as_deref().map(|path| absolute(path, "--pidfd-socket")).transpose()?;
    let request = Request {
        wishes: wishes(typed, process)?,
        warnings: warnings.unwrap_or_default(),
        cgroups: &typed.cgroup,
        ignore_paused: typed.ignore_paused,
        detach: typed.detach,
        pid_file: pid_file.as_deref(),
        console_socket: console_socket.as_deref(),
        pidfd_socket: pidfd_socket.as_deref(),
        extra_descriptors: typed.preserve_fds,
        log,
    };
    exec::exec(&container, request)
}

fn wishes(typed: &Exec, process: Option<spec::Process>) -> Result<Wishes> {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(Wishes {
        process,
        args: typed.command().to_vec(),
        terminal: typed.tty,
        cwd: some(&typed.cwd),
        env: typed.env.clone(),
        user: some(&typed.user).map(|text| user(&text)).transpose()?,
        additional_gids: typed.additional_gids.iter().map(|text| group(text)).collect::<Result<_>>()?,
        capabilities: typed.cap.iter().map(|name| capability(name)).collect::<Result<_>>()?,
        no_new_privileges: typed.no_new_privs,
        apparmor_profile: some(&typed.apparmor),
        selinux_label: some(&typed.process_label),
    })
}

/// `UID[:GID]`, in decimal digits alone: what is read leniently here becomes root (CVE-2026-30892).
fn user(text: &str) -> Result<(u32, Option<u32>)> {
    let wrong =
        || Error::new(format!("--user {text:?}: is no UID or UID:GID")).hint("names are not looked up");
    match text.split_once(':') {
        Some((uid, gid)) => Ok((id(uid).ok_or_else(wrong)?, Some(id(gid).ok_or_else(wrong)?))),
        None => Ok((id(text).ok_or_else(wrong)?, None)),
    }
}

fn group(text: &str) -> Result<u32> {
    id(text).ok_or_else(|| Error::new(format!("--additional-gids {text:?}: is no GID")))
}

/// A user or group id. The highest number is none: it means "leave it as it is" to setresuid(2).
fn id(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|id| is_plain && *id != u32::MAX)
}

/// A name that was typed must mean something; one in a document is only warned about.
fn capability(name: &str) -> Result<String> {
    match spec::capabilities::number(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(Error::new(format!("--cap {name:?}: no capability has this name"))
            .hint("names are those of capabilities(7), such as CAP_KILL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_exact_numbers() {
        for (text, expected) in [
            ("0", (0, None)),
            ("1", (1, None)),
            ("1:2", (1, Some(2))),
            ("0:0", (0, Some(0))),
            ("1000:100", (1000, Some(100))),
            ("65534:65534", (65534, Some(65534))),
            ("2147483648", (2_147_483_648, None)),
            ("4294967294:4294967294", (u32::MAX - 1, Some(u32::MAX - 1))),
        ] {
            assert_eq!(user(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_no_user() {
        for text in [
            ":",
            ":1",
            "1:",
            "::",
            "1::2",
            "1:2:3",
            "+1",
            "-1",
            "-0",
            "1:+2",
            "1:-2",
            " 1",
            "1 ",
            "1: 2",
            "1 :2",
            "\t1",
            "1\n",
            "01",
            "00",
            "1:02",
            "0x1",
            "0o1",
            "1e3",
            "1.0",
            "1,2",
            "1_000",
            "root",
            "root:root",
            "1:root",
            "nobody",
            "1000a",
            "a1000",
            "4294967295",
            "1:4294967295",
            "4294967296",
            "1:4294967296",
            "18446744073709551616",
            "99999999999999999999",
            "١",
            "１",
        ] {
            assert!(user(text).is_err(), "{text:?}");
        }
    }
}
