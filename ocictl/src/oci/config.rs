//! The image configuration (image-spec, config.md; Docker's image specification 1.2 has the same fields and a few more).
//!
//! It comes with an image and is hostile: it is data for the plan of a container, never more.

use super::MAX_LAYERS;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An image's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// When the image was made, as RFC 3339 says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// CPU architecture, by Go's names.
    pub architecture: String,
    /// Operating system, by Go's names.
    pub os: String,
    /// Variant of the architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What a container of the image is run with.
    #[serde(deserialize_with = "or_default")]
    pub config: Config,
    /// The layers, bottom first, by the digests of their uncompressed tars.
    pub rootfs: Rootfs,
    /// How each layer came to be, bottom first.
    #[serde(deserialize_with = "or_default")]
    pub history: Vec<History>,
}

/// What a container of the image is run with, unless the command line says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Config {
    /// `user[:group]`, names or numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports that the program listens at: `80/tcp`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// `NAME=value`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program, with arguments that the user's follow.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments when the user gives none.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Directories whose content belongs to the container and not to the image.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// The working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels: for people and tools to read, nothing of ours acts on them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Docker's: how to find out whether the program is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Docker's: the shell of the shell form of instructions.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// Docker's: instructions for images built on this one.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
}

/// Docker's health check; all times in nanoseconds, 0 for the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; empty to inherit.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: i64,
    /// Time after which a check has failed.
    pub timeout: i64,
    /// Time at the start in which failures do not count.
    pub start_period: i64,
    /// Time between two checks while starting.
    pub start_interval: i64,
    /// Failures in a row until the container counts as unhealthy.
    pub retries: i64,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, bottom first.
    #[serde(deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// How a layer came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, as RFC 3339 says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it changed the configuration only and made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Says where it is no image configuration of layers.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::new(error.to_string()))
            .context(|| "image configuration")?;
        if config.rootfs.kind != "layers" {
            return Err(Error::new(format!(
                "image configuration: rootfs.type is \"{}\", not \"layers\"",
                config.rootfs.kind
            )));
        }
        let layers = config.rootfs.diff_ids.len();
        if layers > MAX_LAYERS {
            return Err(Error::new(format!(
                "image configuration: {layers} layers; the most is {MAX_LAYERS}"
            )));
        }
        Ok(config)
    }
}

/// `null` means the same as leaving a field out.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> std::result::Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_absent_are_the_same() {
        let text =
            br#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"Volumes":null},
            "rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config = ImageConfig::parse(text).expect("well-formed");
        assert_eq!(config.config.cmd, ["sh"]);
        assert!(config.config.env.is_empty() && config.rootfs.diff_ids.is_empty());
        assert!(ImageConfig::parse(br#"{"architecture":"amd64","os":"linux","config":null,"rootfs":{"type":"layers","diff_ids":[]}}"#).is_ok());
    }

    #[test]
    fn hostile_configurations_are_refused_with_a_reason() {
        for (text, wanted) in [
            ("null", "image configuration: invalid type: null"),
            ("{}", "rootfs.type is \"\""),
            (r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../../x"]}}"#, "is no digest"),
            (r#"{"rootfs":{"type":"disk","diff_ids":[]}}"#, "rootfs.type is \"disk\""),
        ] {
            let said = ImageConfig::parse(text.as_bytes()).expect_err(text).to_string();
            assert!(said.contains(wanted), "{text}: {said}");
        }
        let many = format!("\"sha256:{}\",", "0".repeat(64)).repeat(501);
        let text = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#, many.trim_end_matches(','));
        assert!(
            ImageConfig::parse(text.as_bytes())
                .expect_err("too many")
                .to_string()
                .contains("501 layers; the most is 500")
        );
    }
}
