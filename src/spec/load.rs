//! Reading `config.json`, and the document of `exec --process`: parsed in one pass, which also
//! knows where it failed.

use super::explain::{explain, push_key};
use super::keys::{Findings, Lenient};
use super::{Mount, Process, Resources, Spec, validate};
use crate::error::{Context, Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Deserializer as Json, Value};
use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The name that a bundle's configuration has (bundle.md).
const CONFIG: &str = "config.json";

/// The largest configuration that is read, in bytes: what engines write is a thousandth of it.
const SIZE_LIMIT: u64 = 16 << 20;

/// A configuration that may be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub spec: Spec,
    /// What is odd about it, a line each, beginning with the file and the place.
    pub warnings: Vec<String>,
}

/// A process that `exec --process` may start.
#[derive(Debug, Clone)]
pub struct LoadedProcess {
    /// What the document says.
    pub process: Process,
    /// What is odd about it, a line each, beginning with the file and the place.
    pub warnings: Vec<String>,
}

/// Limits that `update --resources` may set.
#[derive(Debug, Clone)]
pub struct LoadedResources {
    /// What the document says.
    pub resources: Resources,
    /// What is odd about it, a line each, beginning with the file and the place.
    pub warnings: Vec<String>,
}

/// Reads and validates the `config.json` of a bundle.
///
/// # Errors
/// The file cannot be read, or the first thing that is wrong in it: `config.json: linux.namespaces[2].type: unknown
/// namespace "foo"`.
pub fn load(bundle: &Path) -> Result<Loaded> {
    let bytes = read(&bundle.join(CONFIG))
        .map_err(|error| error.context(CONFIG).context(format!("bundle {bundle:?}")))?;
    spec_from(&bytes, CONFIG)
}

/// Reads and validates another file in place of a bundle's `config.json`.
///
/// # Errors
/// As [`load`], with the path as it was given.
pub fn load_file(path: &Path) -> Result<Loaded> {
    let name = path.display().to_string();
    let bytes = read(path).context(|| name.as_str())?;
    spec_from(&bytes, &name)
}

/// Reads and validates the document of `exec --process`.
///
/// # Errors
/// As [`load_file`]; places begin at the process: `args[0]: must not be empty`.
pub fn load_process(path: &Path) -> Result<LoadedProcess> {
    let name = path.display().to_string();
    let bytes = fs::read(path).context(|| name.as_str())?;
    process_from(&bytes, &name)
}

/// Reads a configuration: a file, since a pipe could keep us waiting for ever, and of a size that one may have.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut file =
        fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "is a directory" } else { "is not a regular file" };
        return Err(Error::new(kind));
    }
    if metadata.len() > SIZE_LIMIT {
        return Err(Error::new(format!(
            "{} bytes are more than the {SIZE_LIMIT} that are read",
            metadata.len()
        )));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Judges the bytes of a `config.json`; `name` is how messages call the file.
///
/// # Errors
/// The first thing that is wrong, as [`load`] says it.
pub fn spec_from(bytes: &[u8], name: &str) -> Result<Loaded> {
    let (spec, warnings) = judge(bytes, name, validate::spec)?;
    Ok(Loaded { spec, warnings })
}

/// Judges the bytes of a document of `exec --process`; `name` is how messages call the file.
///
/// # Errors
/// The first thing that is wrong, as [`load_process`] says it.
pub fn process_from(bytes: &[u8], name: &str) -> Result<LoadedProcess> {
    let (process, warnings) = judge(bytes, name, |process| {
        let mut warnings = Vec::new();
        validate::process("", process, &mut warnings)?;
        Ok(warnings)
    })?;
    Ok(LoadedProcess { process, warnings })
}

/// Judges the bytes of a document of `update --resources`: `linux.resources` alone. What its numbers mean is judged when
/// they are converted for the machine.
///
/// # Errors
/// The first thing that is wrong; places begin at the resources: `memory.limit: …`.
pub fn resources_from(bytes: &[u8], name: &str) -> Result<LoadedResources> {
    let (resources, warnings) = judge(bytes, name, |_: &Resources| Ok(Vec::new()))?;
    Ok(LoadedResources { resources, warnings })
}

/// Judges the bytes of a document of the verb `mounts`: a list of mounts.
///
/// # Errors
/// The first thing that is wrong; places begin at the list: `[0].destination: …`.
pub fn mounts_from(bytes: &[u8], name: &str) -> Result<(Vec<Mount>, Vec<String>)> {
    judge(bytes, name, |mounts: &Vec<Mount>| validate::mounts_alone(mounts))
}

/// Reads a document of the runtime's own state that holds parts of a `config.json`: by the very code that reads those, so
/// that the program has it once.
///
/// # Errors
/// The document is damaged.
pub fn own_document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let findings = Findings::default();
    let mut json = Json::from_slice(bytes);
    T::deserialize(Lenient::new(&mut json, &findings)).map_err(|error| Error::new(error.to_string()))
}

/// Parses and validates a document; what is said about it begins with the name of its file.
fn judge<T: DeserializeOwned>(
    bytes: &[u8],
    name: &str,
    validate: impl FnOnce(&T) -> Result<Vec<String>>,
) -> Result<(T, Vec<String>)> {
    let judged = parse(bytes).and_then(|(document, mut warnings)| {
        refuse_nul(bytes)?;
        warnings.extend(validate(&document)?);
        Ok((document, warnings))
    });
    let (document, warnings) = judged.context(|| name)?;
    Ok((document, warnings.into_iter().map(|warning| format!("{name}: {warning}")).collect()))
}

/// Parses a document. Names that only differ in case are warned about.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Vec<String>)> {
    let findings = Findings::default();
    let mut json = Json::from_slice(bytes);
    let parsed = T::deserialize(Lenient::new(&mut json, &findings)).and_then(|document| {
        json.end()?;
        Ok(document)
    });
    match parsed {
        Ok(document) => Ok((document, findings.into_warnings())),
        Err(error) => Err(explain(&findings.into_place(), &error)),
    }
}

/// C strings end at a NUL, so one in the middle would cut a path or an argument short. JSON can only write it as an
/// escape, which hardly any file has: the search is over bytes, and only then for the place. Annotations never reach the
/// kernel.
fn refuse_nul(bytes: &[u8]) -> Result<()> {
    const ESCAPE: &[u8] = b"\\u0000";
    if !bytes.contains(&b'\\') || !bytes.windows(ESCAPE.len()).any(|window| window == ESCAPE) {
        return Ok(());
    }
    let mut document: Value = serde_json::from_slice(bytes).map_err(|error| Error::new(error.to_string()))?;
    if let Value::Object(properties) = &mut document {
        properties.remove("annotations");
    }
    match nul_in(&document, &mut String::new()) {
        Some(place) => Err(Error::new("contains a NUL character").context(place)),
        None => Ok(()),
    }
}

/// The place of the first string, or key, that has a NUL.
fn nul_in(value: &Value, place: &mut String) -> Option<String> {
    let length = place.len();
    match value {
        Value::String(text) => text.contains('\0').then(|| place.clone()),
        Value::Array(values) => values.iter().enumerate().find_map(|(index, value)| {
            place.truncate(length);
            place.push_str(&format!("[{index}]"));
            nul_in(value, place)
        }),
        Value::Object(properties) => properties.iter().find_map(|(key, value)| {
            place.truncate(length);
            push_key(place, key);
            if key.contains('\0') { Some(place.clone()) } else { nul_in(value, place) }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests;
