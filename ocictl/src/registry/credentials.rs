//! Who we are to a registry: the files of `login`, podman's and docker's, and their credential helpers.
//!
//! Read in this order, the first that knows the registry counts (containers-auth.json(5)): `--authfile` or `$REGISTRY_AUTH_FILE` alone;
//! else `$XDG_RUNTIME_DIR/containers/auth.json` (`/run/containers/0/auth.json` for root), `$XDG_CONFIG_HOME/containers/auth.json`,
//! `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`.

use crate::error::{Context, Error, Result};
use crate::given;
use crate::rootless;
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
/// Docker's own registry, and how docker's files name it.
const DOCKER_HUB: &str = "docker.io";
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
        None => PathBuf::from(format!("/run/containers/{}/auth.json", rootless::caller())),
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
    if let Some(helper) = own_helper(file, registry) {
        return from_helper(&helper);
    }
    if let Some(auths) = file.get("auths").and_then(Value::as_object) {
        for key in keys(registry, repository) {
            let entry = auths.iter().find(|(known, _)| **known == key || normalized(known) == key);
            if let Some((_, entry)) = entry
                && let Some(found) = from_entry(entry).context(|| format!("auths.\"{key}\""))?
            {
                return Ok(Some(found));
            }
        }
    }
    common_helper(file, registry).map_or(Ok(None), |helper| from_helper(&helper))
}

/// A credential helper, and the name by which it knows a registry.
#[derive(Debug, PartialEq, Eq)]
struct Helper<'a> {
    name: &'a str,
    server: &'a str,
}

/// The helper that is for this registry alone. It knows it by the name that the file has for it: docker's URL for Docker's own
/// registry, where docker wrote the file, or its host.
fn own_helper<'a>(file: &'a Map<String, Value>, registry: &str) -> Option<Helper<'a>> {
    let helpers = file.get("credHelpers")?.as_object()?;
    let (server, name) = helpers
        .get_key_value(registry)
        .or_else(|| helpers.get_key_value(DOCKER_HUB_KEY).filter(|_| registry == DOCKER_HUB))?;
    Some(Helper { name: name.as_str().filter(|name| !name.is_empty())?, server })
}

/// The helper for all registries, which docker shares with us.
fn common_helper<'a>(file: &'a Map<String, Value>, registry: &'a str) -> Option<Helper<'a>> {
    let name = file.get("credsStore")?.as_str().filter(|name| !name.is_empty())?;
    Some(Helper { name, server: if registry == DOCKER_HUB { DOCKER_HUB_KEY } else { registry } })
}

/// The helper that keeps what is new for a registry.
fn helper<'a>(file: &'a Map<String, Value>, registry: &'a str) -> Option<Helper<'a>> {
    own_helper(file, registry).or_else(|| common_helper(file, registry))
}

/// What may stand for a repository, the closest first: `host/a/b`, `host/a`, `host`.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let mut path = format!("{registry}/{repository}");
    let mut keys = vec![path.clone()];
    while let Some((front, _)) = path.rsplit_once('/') {
        path = front.to_owned();
        keys.push(path.clone());
    }
    if registry == DOCKER_HUB {
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

/// Asks a helper for what it keeps.
fn from_helper(helper: &Helper<'_>) -> Result<Option<Credentials>> {
    let Some(said) = helper.run("get", helper.server)? else { return Ok(None) };
    let value: Value = helper.json(&said)?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Some(match text("Username").as_str() {
        "<token>" => Credentials::Identity { token: text("Secret") },
        user => Credentials::Password { user: user.to_owned(), password: text("Secret") },
    }))
}

impl Helper<'_> {
    /// Runs `docker-credential-NAME VERB`; what it printed, or nothing if it keeps nothing of the kind.
    fn run(&self, verb: &str, input: &str) -> Result<Option<Vec<u8>>> {
        if !self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(Error::new(format!("\"{}\" is no name of a credential helper", self.name)));
        }
        let place = || self.place();
        let mut child = Command::new(place())
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context(place)?;
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input.as_bytes()) {
                // One that lists reads nothing.
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                    return Err(error).context(place);
                }
                _ => {}
            }
        }
        let output = child.wait_with_output().context(place)?;
        if output.status.success() {
            return Ok(Some(output.stdout));
        }
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let said = match said.is_empty() {
            true => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            false => said,
        };
        Err(Error::new(format!("{verb}: {said}")).context(place()))
    }

    fn json<T: for<'de> serde::Deserialize<'de>>(&self, said: &[u8]) -> Result<T> {
        serde_json::from_slice(said).map_err(|error| Error::new(error.to_string()).context(self.place()))
    }

    fn place(&self) -> String {
        format!("docker-credential-{}", self.name)
    }
}

/// Keeps credentials: with the helper that the file names for the registry, else in the file.
///
/// # Errors
/// Fails if the file cannot be read or written, or the helper fails.
pub fn store(path: &Path, registry: &str, user: &str, password: &str) -> Result<()> {
    let mut file = read(path)?.unwrap_or_default();
    if let Some(helper) = helper(&file, registry) {
        let input = json!({"ServerURL": helper.server, "Username": user, "Secret": password}).to_string();
        helper.run("store", &input)?.ok_or_else(|| {
            Error::new("store: it says that credentials were not found, and has kept none")
                .context(helper.place())
        })?;
        // What the file holds of it would count more.
        return if forget(&mut file, registry) { write(path, &file) } else { Ok(()) };
    }
    let auths = file.entry("auths").or_insert_with(|| json!({}));
    let auths = auths
        .as_object_mut()
        .ok_or_else(|| Error::new("auths is no object").context(path.display().to_string()))?;
    auths
        .insert(registry.to_owned(), json!({"auth": base64_encode(format!("{user}:{password}").as_bytes())}));
    write(path, &file)
}

/// Forgets the credentials for a registry, those of helpers and those of the file; `false` if there were none.
///
/// # Errors
/// Fails if the file cannot be read or written, or a helper fails.
pub fn erase(path: &Path, registry: &str) -> Result<bool> {
    let Some(mut file) = read(path)? else { return Ok(false) };
    let mut erased = false;
    for helper in [own_helper(&file, registry), common_helper(&file, registry)].into_iter().flatten() {
        // Some are content to erase what they have not.
        let known = helper.run("get", helper.server)?.is_some();
        erased |= known && helper.run("erase", helper.server)?.is_some();
    }
    if forget(&mut file, registry) {
        write(path, &file)?;
        erased = true;
    }
    Ok(erased)
}

/// Takes what the file itself holds for a registry out of it; `false` if that is nothing.
fn forget(file: &mut Map<String, Value>, registry: &str) -> bool {
    let Some(auths) = file.get_mut("auths").and_then(Value::as_object_mut) else { return false };
    let before = auths.len();
    let is_hub = |key: &str| registry == DOCKER_HUB && key == DOCKER_HUB_KEY;
    auths.retain(|key, _| *key != registry && normalized(key) != registry && !is_hub(key));
    auths.len() < before
}

/// Forgets everything that a file holds, and that the helpers keep which it names.
///
/// # Errors
/// Fails if the file cannot be read or written, or a helper fails; the others have forgotten theirs then.
pub fn erase_all(path: &Path) -> Result<()> {
    let Some(mut file) = read(path)? else { return Ok(()) };
    let mut failures = Vec::new();
    for (server, name) in file.get("credHelpers").and_then(Value::as_object).into_iter().flatten() {
        let Some(name) = name.as_str().filter(|name| !name.is_empty()) else { continue };
        failures.extend(Helper { name, server }.run("erase", server).err());
    }
    if let Some(helper) = common_helper(&file, "") {
        failures.extend(erase_what_it_lists(&helper).err());
    }
    file.insert("auths".into(), json!({}));
    write(path, &file)?;
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        _ => {
            let said: Vec<String> = failures.iter().map(ToString::to_string).collect();
            Err(Error::new(said.join("; ")))
        }
    }
}

fn erase_what_it_lists(helper: &Helper<'_>) -> Result<()> {
    let Some(said) = helper.run("list", "")? else { return Ok(()) };
    let known: Map<String, Value> = helper.json(&said)?;
    for server in known.keys() {
        helper.run("erase", server)?;
    }
    Ok(())
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
    fn a_helper_is_asked_by_the_name_that_it_was_told() {
        let files = [
            json!({"credsStore": "all"}),
            json!({"credHelpers": {"r.io": "own"}, "credsStore": "all"}),
            json!({"credHelpers": {"docker.io": "own"}}),
            json!({"credHelpers": {(DOCKER_HUB_KEY): "own"}, "credsStore": "all"}),
            json!({"credHelpers": {"docker.io": ""}, "credsStore": ""}),
            json!({}),
        ];
        let found = |registry: &str| {
            files.each_ref().map(|file| {
                let file = file.as_object().expect("an object");
                helper(file, registry).map(|helper| format!("{} {}", helper.name, helper.server))
            })
        };
        let hub = format!("all {DOCKER_HUB_KEY}");
        let own = format!("own {DOCKER_HUB_KEY}");
        let wanted = |words: [&str; 6]| words.map(|word| (!word.is_empty()).then(|| word.to_owned()));
        assert_eq!(found("docker.io"), wanted([&hub, &hub, "own docker.io", &own, "", ""]));
        assert_eq!(found("r.io"), wanted(["all r.io", "own r.io", "", "all r.io", "", ""]));
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
