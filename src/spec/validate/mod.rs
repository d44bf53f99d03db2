//! What can be judged from the file alone. The first error ends it and names its place; what is only odd becomes a
//! warning. What depends on the machine (does the path exist, is it a namespace, is the id mapped) is not asked here.
//!
//! Values that are one word of a list (`words!`) and numbers out of their type's range were refused while parsing.

mod hooks;
mod id_maps;
mod linux;
mod mounts;
mod namespaces;
mod process;
mod scheduling;
mod sysctl;

pub use linux::intel_rdt;
pub use mounts::mounts_alone;

use super::Spec;
use super::linux::NamespaceKind;
use crate::error::{Error, Result};
use std::fmt::Display;

pub use process::process;

/// The longest host or domain name (`__NEW_UTS_LEN`).
const UTS_LENGTH: usize = 64;

/// Judges a whole `config.json` and returns the warnings.
///
/// # Errors
/// The first thing that is wrong, with its place: `linux.namespaces[3]: "pid" is listed twice`.
pub fn spec(spec: &Spec) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    version(&spec.oci_version, &mut warnings)?;
    if spec.root.path.is_empty() {
        return Err(wrong("root.path", "missing"));
    }
    if let Some(process) = &spec.process {
        self::process("process.", process, &mut warnings)?;
    }
    // First the namespaces: what else is missing may only be missing with them.
    namespaces::namespaces(&spec.linux, &mut warnings)?;
    uts_name("hostname", spec.hostname.as_deref(), spec)?;
    uts_name("domainname", spec.domainname.as_deref(), spec)?;
    hooks::hooks(&spec.hooks)?;
    mounts::mounts(spec, &mut warnings)?;
    linux::linux(&spec.linux, &mut warnings)?;
    Ok(warnings)
}

/// Judges a container's id: letters, digits and `_+-.`, and neither `.` nor `..`, since it names a directory.
///
/// # Errors
/// The words that callers of runc know.
pub fn valid_id(id: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    if id.is_empty() || matches!(id, "." | "..") || !id.bytes().all(allowed) {
        return Err(Error::new(format!("invalid container ID format: {id:?}")));
    }
    Ok(())
}

/// The version promises only that 1.x goes with 1.y (config.md, "Specification version"). Every peer ignores it, and the
/// one that did not broke on each new version, so only a later major version is an error.
fn version(version: &str, warnings: &mut Vec<String>) -> Result<()> {
    if version.is_empty() {
        warnings.push("ociVersion: missing".to_owned());
        return Ok(());
    }
    match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(2..) => {
            return Err(wrong("ociVersion", format_args!("{version:?} is not supported, only 1.x is")));
        }
        Some(1) if version.split('.').count() >= 3 => {}
        _ => warnings.push(format!("ociVersion: {version:?} is no version of the form 1.x.y")),
    }
    Ok(())
}

fn uts_name(place: &str, name: Option<&str>, spec: &Spec) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    if spec.linux.namespace(NamespaceKind::Uts).is_none() {
        return Err(wrong(place, "needs a uts namespace"));
    }
    if name.len() > UTS_LENGTH {
        return Err(wrong(place, format_args!("longer than {UTS_LENGTH} bytes")));
    }
    Ok(())
}

/// Refuses what is no absolute path; `place` is only asked for then.
fn absolute<P: Display>(path: &str, place: impl FnOnce() -> P) -> Result<()> {
    if path.is_empty() {
        return Err(wrong(place(), "missing"));
    }
    if !path.starts_with('/') {
        return Err(wrong(place(), format_args!("{path:?} is not an absolute path")));
    }
    Ok(())
}

/// An error at a place of the file.
fn wrong(place: impl Display, what: impl Display) -> Error {
    Error::new(what.to_string()).context(place.to_string())
}

#[cfg(test)]
mod tests;
