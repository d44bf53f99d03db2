//! An image out of a tar of a root file system: one layer, and a configuration that the command line gives.

use super::add::NewImage;
use super::load::manifest_of;
use super::{Images, local_name};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::{Config, Descriptor, History, ImageConfig, Platform, Rootfs, media};
use std::io::{BufReader, Read};

/// What an imported image is like.
#[derive(Debug, Default)]
pub struct Import {
    /// Instructions like those of a Dockerfile: `CMD ["sh"]`, `ENV A=b`.
    pub changes: Vec<String>,
    /// A remark for the history.
    pub message: String,
    /// What it runs on; this machine if nothing is said.
    pub platform: Option<Platform>,
    /// When it was made, as RFC 3339 writes it.
    pub created: String,
}

impl Images<'_> {
    /// Makes an image of a tar, compressed or not; its id.
    ///
    /// # Errors
    /// Says what is wrong with the tar, a change or the name.
    pub fn import(&self, source: impl Read, name: Option<&str>, import: &Import) -> Result<Digest> {
        let names: Vec<String> =
            name.map(local_name).transpose()?.and_then(|name| name.tagged()).into_iter().collect();
        let mut config = Config::default();
        for change in &import.changes {
            apply(&mut config, change).context(|| format!("--change \"{change}\""))?;
        }
        let ingest = self.store.ingest()?;
        let draft = self.store.draft_layer(&ingest, BufReader::with_capacity(256 << 10, source))?;
        let (diff_id, size) = (draft.diff_id().clone(), draft.size());
        self.store.keep(&ingest, std::slice::from_ref(&diff_id))?;
        draft.commit(self.store)?;
        let platform = import.platform.clone().unwrap_or_else(Platform::host);
        let config = ImageConfig {
            created: Some(import.created.clone()),
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
            config,
            rootfs: Rootfs { kind: "layers".into(), diff_ids: vec![diff_id.clone()] },
            history: vec![History {
                created: Some(import.created.clone()),
                created_by: Some("ocictl import".into()),
                comment: Some(import.message.clone()).filter(|message| !message.is_empty()),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        let config = serde_json::to_vec(&config).map_err(|error| Error::new(error.to_string()))?;
        let layer = Descriptor::new(media::LAYER, diff_id, size);
        let manifest = manifest_of(&config, vec![layer])?;
        let digest = Digest::of(&manifest);
        self.store.keep(&ingest, &[digest.clone(), Digest::of(&config)])?;
        self.store.put_blob(&manifest)?;
        self.add(NewImage { config: &config, manifest: digest, index: None, repository: None, names: &names })
    }
}

/// Applies an instruction to a configuration; `commit --change` takes the same.
///
/// # Errors
/// Says what is not understood.
pub fn apply(config: &mut Config, change: &str) -> Result<()> {
    let change = change.trim();
    let (instruction, rest) = change.split_once([' ', '\t', '=']).unwrap_or((change, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Err(Error::new("it says nothing; it is like CMD [\"sh\"]"));
    }
    match instruction.to_ascii_uppercase().as_str() {
        "CMD" => config.cmd = command(rest)?,
        "ENTRYPOINT" => config.entrypoint = command(rest)?,
        "ENV" => {
            for (name, value) in pairs(rest)? {
                config.env.retain(|known| !known.starts_with(&format!("{name}=")));
                config.env.push(format!("{name}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest)?),
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
                let fits = number.parse::<u16>().is_ok_and(|number| number > 0)
                    && matches!(protocol, "tcp" | "udp" | "sctp");
                if !fits {
                    return Err(Error::new(format!("\"{port}\" is no port, like 80 or 53/udp")));
                }
                config.exposed_ports.insert(format!("{number}/{protocol}"), serde_json::json!({}));
            }
        }
        "VOLUME" => {
            let paths = if rest.starts_with('[') {
                list(rest)?
            } else {
                rest.split_whitespace().map(str::to_owned).collect()
            };
            config.volumes.extend(paths.into_iter().map(|path| (path, serde_json::json!({}))));
        }
        "USER" => config.user = rest.to_owned(),
        "WORKDIR" => config.working_dir = rest.to_owned(),
        "STOPSIGNAL" => config.stop_signal = rest.to_owned(),
        other => {
            let known = "CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR";
            return Err(Error::new(format!("\"{other}\" is none of {known}")));
        }
    }
    Ok(())
}

/// The list of an exec form, or the shell with the text of a shell form.
fn command(text: &str) -> Result<Vec<String>> {
    if text.starts_with('[') { list(text) } else { Ok(vec!["/bin/sh".into(), "-c".into(), text.to_owned()]) }
}

fn list(text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(|error| Error::new(format!("{text}: {error}")))
}

/// `A=b C="d e"`, or `A b c`.
fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    if let Some((name, value)) = text.split_once(char::is_whitespace)
        && !name.contains('=')
    {
        return Ok(vec![(name.to_owned(), value.trim().to_owned())]);
    }
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in text.chars() {
        let last = words.len() - 1;
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => quote = Some(letter),
            (letter, None) if letter.is_whitespace() => words.push(String::new()),
            (letter, _) => words[last].push(letter),
        }
    }
    let words = words.into_iter().filter(|word| !word.is_empty());
    words
        .map(|word| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(Error::new(format!("\"{word}\" is not NAME=VALUE"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_those_of_a_dockerfile() {
        let mut config = Config::default();
        for change in [
            "CMD [\"sh\", \"-c\", \"true\"]",
            "ENTRYPOINT run me",
            "env A=b C=\"d e\"",
            "ENV A c d",
            "LABEL x=y",
            "EXPOSE 80 53/udp",
            "VOLUME /data",
            "USER 1000:1000",
            "WORKDIR /w",
            "STOPSIGNAL SIGINT",
            "CMD=[\"x\"]",
        ] {
            apply(&mut config, change).expect(change);
        }
        assert_eq!(config.cmd, ["x"]);
        assert_eq!(config.entrypoint, ["/bin/sh", "-c", "run me"]);
        assert_eq!(config.env, ["C=d e", "A=c d"]);
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert_eq!(
            (config.user.as_str(), config.working_dir.as_str(), config.stop_signal.as_str()),
            ("1000:1000", "/w", "SIGINT")
        );
        for bad in ["RUN x", "CMD", "CMD [x", "EXPOSE 99999", "ENV =x", ""] {
            assert!(apply(&mut Config::default(), bad).is_err(), "{bad}");
        }
    }
}
