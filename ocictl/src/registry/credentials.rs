//! Who we are to a registry: the files of `login`, podman's and docker's, and their credential helpers.
//!
//! Read in this order, the first that knows the registry counts (containers-auth.json(5)): `--authfile` or `$REGISTRY_AUTH_FILE` alone;
//! else `$XDG_RUNTIME_DIR/containers/auth.json` (`/run/containers/0/auth.json` for root), `$XDG_CONFIG_HOME/containers/auth.json`,
//! `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.

use crate::error::{Context, Error, Result};
use crate::given;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is shown to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for others (OAuth 2).
    Identity {
        /// The token.
        token: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => write!(out, "Password({user})"),
            Self::Identity { .. } => out.write_str("Identity"),
        }
    }
}

const MAX_BYTES: u64 = 1 << 20;
/// How docker's files name its own registry.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// The credentials for `registry` and `repository`; none if no file knows any.
///
/// # Errors
/// Fails if a file is malformed, or a helper fails.
pub fn find(authfile: Option<&Path>, registry: &str, repository: &str) -> Result<Option<Credentials>> {
    for path in files(authfile) {
        let Some(file) = read(&path)? else { continue };
        if let Some(found) = in_file(&file, registry, repository).context(|| path.display().to_string())? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The files that may know, in order.
fn files(authfile: Option<&Path>) -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(file) = authfile.map(Path::to_owned).or_else(|| variable("REGISTRY_AUTH_FILE")) {
        return vec![file];
    }
    let home = variable("HOME");
    let config = variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    [
        Some(runtime_file()),
        config.map(|config| config.join("containers/auth.json")),
        variable("DOCKER_CONFIG")
            .or_else(|| home.map(|home| home.join(".docker")))
            .map(|docker| docker.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn runtime_file() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()) {
        Some(directory) => PathBuf::from(directory).join("containers/auth.json"),
        None => PathBuf::from(format!("/run/containers/{}/auth.json", rustix::process::geteuid().as_raw())),
    }
}

/// The file that `login` writes.
pub fn file_to_write(authfile: Option<&Path>) -> PathBuf {
    let variable =
        || std::env::var_os("REGISTRY_AUTH_FILE").filter(|value| !value.is_empty()).map(PathBuf::from);
    authfile.map(Path::to_owned).or_else(variable).unwrap_or_else(runtime_file)
}

fn read(path: &Path) -> Result<Option<Map<String, Value>>> {
    let bytes = match given::bytes(path, MAX_BYTES) {
        Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::ENOTDIR)) => return Ok(None),
        bytes => bytes?,
    };
    if bytes.trim_ascii().is_empty() {
        return Ok(Some(Map::new()));
    }
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(error.to_string()).context(path.display().to_string()))?;
    Ok(Some(value))
}

fn in_file(file: &Map<String, Value>, registry: &str, repository: &str) -> Result<Option<Credentials>> {
    let helper = |name: &str| file.get(name).and_then(Value::as_object);
    if let Some(name) =
        helper("credHelpers").and_then(|helpers| helpers.get(registry)).and_then(Value::as_str)
    {
        return from_helper(name, registry);
    }
    if let Some(auths) = helper("auths") {
        for key in keys(registry, repository) {
            let entry = auths.iter().find(|(known, _)| **known == key || normalized(known) == key);
            if let Some((_, entry)) = entry
                && let Some(found) = from_entry(entry).context(|| format!("auths.\"{key}\""))?
            {
                return Ok(Some(found));
            }
        }
    }
    match file.get("credsStore").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => {
            from_helper(name, if registry == "docker.io" { DOCKER_HUB_KEY } else { registry })
        }
        _ => Ok(None),
    }
}

/// What may stand for a repository, the closest first: `host/a/b`, `host/a`, `host`.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let mut path = format!("{registry}/{repository}");
    let mut keys = vec![path.clone()];
    while let Some((front, _)) = path.rsplit_once('/') {
        path = front.to_owned();
        keys.push(path.clone());
    }
    if registry == "docker.io" {
        keys.push(DOCKER_HUB_KEY.into());
    }
    keys
}

/// docker writes URLs.
fn normalized(key: &str) -> String {
    let host = key.trim_start_matches("https://").trim_start_matches("http://");
    let host = host.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    host.to_owned()
}

fn from_entry(entry: &Value) -> Result<Option<Credentials>> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credentials::Identity { token: token.to_owned() }));
    }
    if let Some(auth) = text("auth") {
        let decoded = base64_decode(auth).and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) = decoded.ok_or_else(|| Error::new("auth is not base64 of NAME:PASSWORD"))?;
        return Ok(Some(Credentials::Password {
            user: user.to_owned(),
            password: password.trim_end_matches('\0').to_owned(),
        }));
    }
    match (text("username"), text("password")) {
        (Some(user), Some(password)) => {
            Ok(Some(Credentials::Password { user: user.to_owned(), password: password.to_owned() }))
        }
        _ => Ok(None),
    }
}

/// Asks `docker-credential-NAME get`.
fn from_helper(name: &str, server: &str) -> Result<Option<Credentials>> {
    let place = || format!("docker-credential-{name}");
    let output = run_helper(name, "get", server.as_bytes())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let said =
            if said.is_empty() { String::from_utf8_lossy(&output.stderr).trim().to_owned() } else { said };
        return Err(Error::new(said).context(place()));
    }
    let value: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::new(error.to_string()).context(place()))?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(match text("Username").as_str() {
        "<token>" => Credentials::Identity { token: text("Secret") },
        user => Credentials::Password { user: user.to_owned(), password: text("Secret") },
    }))
}

fn run_helper(name: &str, verb: &str, input: &[u8]) -> Result<std::process::Output> {
    let place = || format!("docker-credential-{name}");
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(Error::new(format!("\"{name}\" is no name of a credential helper")));
    }
    let mut child = Command::new(place())
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context(place)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).context(place)?;
    }
    child.wait_with_output().context(place)
}

/// Keeps credentials: with the helper that the file names for the registry, else in the file.
///
/// # Errors
/// Fails if the file cannot be read or written, or the helper fails.
pub fn store(path: &Path, registry: &str, user: &str, password: &str) -> Result<()> {
    let mut file = read(path)?.unwrap_or_default();
    if let Some(helper) = helper_for(&file, registry) {
        let input = json!({"ServerURL": registry, "Username": user, "Secret": password}).to_string();
        let output = run_helper(&helper, "store", input.as_bytes())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            return Err(Error::new(said).context(format!("docker-credential-{helper}")));
        }
        return Ok(());
    }
    let auths = file.entry("auths").or_insert_with(|| json!({}));
    let auths = auths
        .as_object_mut()
        .ok_or_else(|| Error::new("auths is no object").context(path.display().to_string()))?;
    auths
        .insert(registry.to_owned(), json!({"auth": base64_encode(format!("{user}:{password}").as_bytes())}));
    write(path, &file)
}

/// Forgets the credentials for a registry; `false` if there were none.
///
/// # Errors
/// Fails if the file cannot be read or written, or the helper fails.
pub fn erase(path: &Path, registry: &str) -> Result<bool> {
    let Some(mut file) = read(path)? else { return Ok(false) };
    if let Some(helper) = helper_for(&file, registry) {
        return Ok(run_helper(&helper, "erase", registry.as_bytes())?.status.success());
    }
    let Some(auths) = file.get_mut("auths").and_then(Value::as_object_mut) else { return Ok(false) };
    let before = auths.len();
    auths.retain(|key, _| *key != registry && normalized(key) != registry);
    let erased = auths.len() < before;
    if erased {
        write(path, &file)?;
    }
    Ok(erased)
}

/// Forgets everything in a file.
///
/// # Errors
/// Fails if the file cannot be read or written.
pub fn erase_all(path: &Path) -> Result<()> {
    let Some(mut file) = read(path)? else { return Ok(()) };
    file.insert("auths".into(), json!({}));
    write(path, &file)
}

fn helper_for(file: &Map<String, Value>, registry: &str) -> Option<String> {
    let own = file.get("credHelpers").and_then(|helpers| helpers.get(registry));
    own.or_else(|| file.get("credsStore"))
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

fn write(path: &Path, file: &Map<String, Value>) -> Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Err(Error::new(format!("\"{}\" is no file", path.display())));
    };
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    crate::store::disk::make_directory(directory)?;
    let text = serde_json::to_string_pretty(file).map_err(|error| Error::new(error.to_string()))?;
    crate::store::disk::write_whole(directory, name, (text + "\n").as_bytes())
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base 64 with padding (RFC 4648, section 4).
pub fn base64_encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let letter = ALPHABET[(group >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// The bytes of a text in base 64, padded or not; nothing if it is none.
pub fn base64_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut group, mut bits) = (0u32, 0);
    for letter in text.trim().trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        group = group << 6 | u32::try_from(value).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((group >> bits & 255) as u8);
            group &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: Value, registry: &str, repository: &str) -> Option<String> {
        let file = file.as_object().expect("an object").clone();
        in_file(&file, registry, repository).expect("well-formed").map(|credentials| match credentials {
            Credentials::Password { user, password } => format!("{user}:{password}"),
            Credentials::Identity { token } => token,
        })
    }

    #[test]
    fn the_closest_entry_counts() {
        let auth = |text: &str| json!({"auth": base64_encode(text.as_bytes())});
        let file = json!({"auths": {"r.io": auth("u:host"), "r.io/a": auth("u:space"), "https://s.io/v2/": auth("u:p:w"), (DOCKER_HUB_KEY): auth("hub:x"), "t.io": {"identitytoken": "tok"}}});
        for (registry, repository, wanted) in [
            ("r.io", "a/b", Some("u:space")),
            ("r.io", "c", Some("u:host")),
            ("r.io", "ab", Some("u:host")),
            ("s.io", "x", Some("u:p:w")),
            ("docker.io", "library/x", Some("hub:x")),
            ("t.io", "x", Some("tok")),
            ("r.io.evil", "a", None),
            ("r.io:5000", "a", None),
        ] {
            assert_eq!(
                found(file.clone(), registry, repository).as_deref(),
                wanted,
                "{registry}/{repository}"
            );
        }
    }

    #[test]
    fn base64_goes_both_ways() {
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar", "\u{ff}\u{fe}"] {
            assert_eq!(
                base64_decode(&base64_encode(text.as_bytes())).as_deref(),
                Some(text.as_bytes()),
                "{text}"
            );
        }
        assert_eq!(base64_encode(b"fooba"), "Zm9vYmE=");
        assert_eq!(base64_decode("Zm9*"), None);
    }
}
