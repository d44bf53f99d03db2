//! The steps, a verb each.

use crate::{Answer, hook, identity, sys};
use serde_json::{Value, json};
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

/// Carries out one step.
pub fn take(step: &str) -> Answer {
    let words: Vec<&str> = step.split(' ').collect();
    match words.as_slice() {
        ["read", path] => Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned().into()),
        ["write", path, text @ ..] => fs::write(path, text.join(" ")).map(|()| Value::Null),
        ["list", path] => list(path),
        ["link", path] => Ok(fs::read_link(path)?.to_string_lossy().into_owned().into()),
        ["stat", path] => stat(path),
        ["mkdir", path] => fs::DirBuilder::new().mode(0o755).create(path).map(|()| Value::Null),
        ["open", path, how] => open(path, how),
        ["mknod", path, kind, major, minor] => sys::mknod(path, kind, number(major)?, number(minor)?),
        ["mount", source, path, kind] => {
            rustix::mount::mount(*source, *path, *kind, rustix::mount::MountFlags::empty(), None)?;
            Ok(Value::Null)
        }
        ["exec", path] => Ok(Command::new(path).status()?.code().into()),
        ["spawn", rest @ ..] => spawn(&rest.join(" ")),
        ["call", numbers @ ..] => {
            sys::call(&numbers.iter().map(|word| number(word)).collect::<io::Result<Vec<_>>>()?)
        }
        ["wait", signal] => sys::wait_for(number(signal)?),
        ["mark", path, signal] => sys::mark_and_wait(path, number(signal)?),
        ["sleep", milliseconds] => {
            std::thread::sleep(Duration::from_millis(number(milliseconds)?));
            Ok(Value::Null)
        }
        ["exit", code] => std::process::exit(number(code)?),
        ["report"] => identity::report(),
        ["namespaces"] => identity::namespaces("self"),
        ["limits"] => identity::limits(),
        ["uname"] => identity::uname(),
        ["clock"] => identity::clock(),
        ["scheduling"] => sys::scheduling(),
        ["memory-policy"] => sys::memory_policy(),
        ["terminal"] => identity::terminal(),
        ["hook", file, name] => hook::record(file, name),
        ["fail"] => std::process::exit(3),
        _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> io::Result<T> {
    word.parse().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn list(path: &str) -> Answer {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(json!(names))
}

fn stat(path: &str) -> Answer {
    let found = fs::symlink_metadata(path)?;
    let kind = found.file_type();
    let kinds = [
        (kind.is_dir(), "directory"),
        (kind.is_file(), "file"),
        (kind.is_symlink(), "link"),
        (kind.is_char_device(), "c"),
        (kind.is_block_device(), "b"),
        (kind.is_fifo(), "p"),
        (kind.is_socket(), "socket"),
    ];
    let (_, name) = kinds.into_iter().find(|(is, _)| *is).unwrap_or((true, "unknown"));
    Ok(json!({
        "kind": name,
        "mode": found.mode() & 0o7777,
        "uid": found.uid(),
        "gid": found.gid(),
        "major": libc::major(found.rdev()),
        "minor": libc::minor(found.rdev()),
        "size": found.size(),
    }))
}

/// Opens and closes: nothing is read, no terminal is taken, and nobody waits for a fifo's other end.
fn open(path: &str, how: &str) -> Answer {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(how.contains('r')).write(how.contains('w')).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK);
    options.open(path).map(|_| Value::Null)
}

/// A step in a process of its own, which it may cost the life.
fn spawn(step: &str) -> Answer {
    let output = Command::new("/probe").arg(step).output()?;
    Ok(json!({
        "code": output.status.code(),
        "signal": output.status.signal(),
        "stdout": String::from_utf8_lossy(&output.stdout),
    }))
}

/// A path for the kernel.
pub fn c_string(path: &str) -> io::Result<CString> {
    CString::new(path).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
