//! Names of images: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`, by the grammar of the distribution specification (spec.md, "Pulling
//! manifests") and of the references that docker and podman take.

use crate::digest::Digest;
use crate::error::{Error, Result};
use std::fmt;

/// The tag that is meant when none is given.
pub const DEFAULT_TAG: &str = "latest";
/// The longest name without tag and digest.
const MAX_NAME: usize = 255;

/// An image's name in full: registry, repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `HOST[:PORT]`, in lower case.
    pub registry: String,
    /// The path below the registry: `library/busybox`.
    pub repository: String,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest of the manifest, if the name pins it; it counts more than the tag.
    pub digest: Option<Digest>,
}

/// What was typed: a full name, or one without a registry, which the configuration completes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// The registry was named.
    Full(Reference),
    /// It was not: `busybox`, `library/busybox:1.36`.
    Short(Short),
}

/// A name without a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Short {
    /// The path: `busybox`.
    pub path: String,
    /// The tag, if there is one.
    pub tag: Option<String>,
    /// The digest, if there is one.
    pub digest: Option<Digest>,
}

impl Short {
    /// The name below `registry`; Docker's own keeps its plain names below `library/`.
    pub fn at(&self, registry: &str) -> Reference {
        let repository = if registry == "docker.io" && !self.path.contains('/') {
            format!("library/{}", self.path)
        } else {
            self.path.clone()
        };
        Reference {
            registry: registry.to_owned(),
            repository,
            tag: self.tag.clone(),
            digest: self.digest.clone(),
        }
        .with_default_tag()
    }
}

impl Typed {
    /// Reads a name as typed. A first component is a registry if it has a dot or a port, or is `localhost`.
    ///
    /// # Errors
    /// Says which part is malformed.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::new(format!("\"{}\" is no name of an image: {why}", shorten(text)));
        let text_without_transport = text.strip_prefix("docker://").unwrap_or(text);
        let (rest, digest) = match text_without_transport.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(Digest::parse(digest).map_err(|error| bad(&error.to_string()))?))
            }
            None => (text_without_transport, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(bad(&format!(
                "tag \"{}\" is not one of letters, digits, `_`, `.` and `-`, at most 128",
                shorten(tag)
            )));
        }
        if name.len() > MAX_NAME {
            return Err(bad(&format!("it is longer than {MAX_NAME} characters")));
        }
        let tag = tag.map(str::to_owned);
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if is_registry_like(host) => (Some(host), path),
            _ => (None, name),
        };
        if path.is_empty() {
            return Err(bad("the path is empty"));
        }
        for component in path.split('/') {
            if !is_component(component) {
                let why = if component.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    "it must be in lower case"
                } else {
                    "letters and digits, joined by one of . _ __ or dashes"
                };
                return Err(bad(&format!("component \"{}\": {why}", shorten(component))));
            }
        }
        match registry {
            None => Ok(Self::Short(Short { path: path.to_owned(), tag, digest })),
            Some(host) => {
                check_host(host).map_err(|why| bad(&format!("registry \"{}\": {why}", shorten(host))))?;
                let registry = host.to_ascii_lowercase();
                let registry = if registry == "index.docker.io" { "docker.io".to_owned() } else { registry };
                Ok(Self::Full(if registry == "docker.io" {
                    Short { path: path.to_owned(), tag, digest }.at(&registry)
                } else {
                    Reference { registry, repository: path.to_owned(), tag, digest }.with_default_tag()
                }))
            }
        }
    }
}

impl Reference {
    /// Reads a name that must have its registry.
    ///
    /// # Errors
    /// Says which part is malformed or missing.
    pub fn parse(text: &str) -> Result<Self> {
        match Typed::parse(text)? {
            Typed::Full(reference) => Ok(reference),
            Typed::Short(_) => Err(Error::new(format!("\"{text}\" names no registry"))),
        }
    }

    fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.into());
        }
        self
    }

    /// `REGISTRY/REPOSITORY`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// What a registry is asked for: the digest if there is one, else the tag.
    pub fn version(&self) -> &str {
        self.digest.as_ref().map_or_else(|| self.tag.as_deref().unwrap_or(DEFAULT_TAG), Digest::as_str)
    }

    /// The name with its tag and without its digest, as the store keeps it; nothing if it has no tag.
    pub fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.name()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(out, "@{digest}"),
            None => Ok(()),
        }
    }
}

fn is_registry_like(host: &str) -> bool {
    host == "localhost" || host.contains(['.', ':'])
}

/// Checks `HOST[:PORT]`; a host is a name of labels, or an address in brackets.
pub fn check_host(text: &str) -> std::result::Result<(), &'static str> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("what stands in brackets is no address of IPv6");
            }
            match rest.strip_prefix(':') {
                Some(port) => ("v6", Some(port)),
                None if rest.is_empty() => ("v6", None),
                None => return Err("only a port may follow the address"),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > 253 || !host.split('.').all(label) {
        return Err("the host is no name of letters, digits, dashes and dots");
    }
    match port {
        Some(port)
            if !port.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(port.parse::<u16>(), Ok(1..)) =>
        {
            Err("the port is no number from 1 to 65535")
        }
        _ => Ok(()),
    }
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && bytes.next().is_some_and(word)
        && bytes.all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut separator = String::new();
    let mut last_plain = false;
    for byte in component.bytes() {
        if plain(byte) {
            if !separator.is_empty()
                && !matches!(separator.as_str(), "." | "_" | "__")
                && !separator.bytes().all(|byte| byte == b'-')
            {
                return false;
            }
            separator.clear();
            last_plain = true;
        } else if b"._-".contains(&byte) {
            if !last_plain && separator.is_empty() {
                return false;
            }
            separator.push(char::from(byte));
            last_plain = false;
        } else {
            return false;
        }
    }
    last_plain
}

fn shorten(text: &str) -> String {
    let mut shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        let hex = "0".repeat(64);
        for (typed, wanted) in [
            ("docker.io/library/busybox:latest", "docker.io/library/busybox:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
            ("docker://quay.io/a/b", "quay.io/a/b:latest"),
            ("myreg:5000/myimage", "myreg:5000/myimage:latest"),
            ("localhost/x", "localhost/x:latest"),
            ("LOCALHOST:5000/x:T", "localhost:5000/x:T"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            (&format!("a.b/c@sha256:{hex}"), &format!("a.b/c@sha256:{hex}")),
            (&format!("a.b/c:1@sha256:{hex}"), &format!("a.b/c:1@sha256:{hex}")),
        ] {
            assert_eq!(Reference::parse(typed).expect(typed).to_string(), wanted, "{typed}");
        }
        let Ok(Typed::Short(short)) = Typed::parse("busybox:1.36") else { panic!("a short name") };
        assert_eq!(short.at("docker.io").to_string(), "docker.io/library/busybox:1.36");
        assert_eq!(short.at("quay.io").to_string(), "quay.io/busybox:1.36");
    }

    #[test]
    fn malformed_names_are_refused() {
        for bad in [
            "",
            "a//b",
            "..",
            "a/../b",
            "-o",
            "Foo",
            "a b",
            "a:b:c",
            "a.b:99999/x",
            "a.b:0/x",
            "a.b:x/y",
            "/x",
            "x/",
            "a@b",
            "a@sha256:00",
            "xn--é.com/x",
            "a___b",
            "a..b",
            "a-",
            "_a",
            "a.b/",
            ":tag",
            "x:",
            "x:-t",
            "[::g]/x",
            "é.com/x",
            &"a".repeat(300),
            &format!("x:{}", "t".repeat(129)),
        ] {
            let said = Typed::parse(bad).expect_err(bad).to_string();
            assert!(said.contains("is no name of an image"), "{bad}: {said}");
        }
    }
}
