//! Manifests and indexes, OCI's and Docker's (image-spec, manifest.md and image-index.md).

use super::MAX_LAYERS;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Media types that we read and write.
pub mod media {
    /// OCI: one image.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI: images of several platforms.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI: an image's configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI: an uncompressed layer.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI: a layer compressed by gzip.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI: a layer compressed by Zstandard.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker: one image.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker: images of several platforms.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker: an image's configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker: a layer compressed by gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker: an uncompressed layer.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
}

/// A reference to content: what it is, which bytes, how many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Which bytes.
    pub digest: Digest,
    /// How many bytes; a negative number is refused by the type.
    pub size: u64,
    /// Of an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Words for tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// A reference to content, for any platform.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.into(), digest, size, platform: None, annotations: None }
    }
}

/// Where content lies in a layout (image-layout.md).
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// By Go's names: `amd64`, `arm64`.
    pub architecture: String,
    /// By Go's names: `linux`.
    pub os: String,
    /// Of the architecture: `v7`, `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// One image: its configuration and its layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Which kind of manifest it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// Words for tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Images of several platforms under one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Which kind of index it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Its images.
    pub manifests: Vec<Descriptor>,
}

/// What stands behind a tag or a digest.
#[derive(Debug, Clone)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several, to choose from.
    Index(Index),
}

impl Document {
    /// Reads a manifest or an index. What the header says, what the document says of itself and its shape must agree: a
    /// document that can be read as both is a way to show different images to different readers (CVE-2021-41190).
    ///
    /// # Errors
    /// Says what is wrong or unsupported.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| Error::new(error.to_string()))
            .context(|| "manifest")?;
        let field = |name: &str| value.get(name).filter(|value| !value.is_null());
        if field("schemaVersion").and_then(serde_json::Value::as_u64) == Some(1) {
            return Err(Error::new(
                "manifest: schema 1 of Docker is not supported: it names its layers without sizes",
            )
            .hint("push the image again with a client of this decade"));
        }
        let is_index = field("manifests").is_some();
        let is_manifest = field("layers").is_some() || field("config").is_some();
        if is_index == is_manifest {
            let what =
                if is_index { "is both a manifest and an index" } else { "has neither layers nor manifests" };
            return Err(Error::new(format!("manifest: it {what}")));
        }
        let said = field("mediaType").and_then(serde_json::Value::as_str);
        for (source, said) in [("its mediaType", said), ("the registry", content_type)] {
            let Some(said) = said else { continue };
            let agrees = match said {
                media::INDEX | media::DOCKER_INDEX => is_index,
                media::MANIFEST | media::DOCKER_MANIFEST => is_manifest,
                // Registries of static files know no better.
                "application/json" | "application/octet-stream" | "text/plain" | "" => {
                    source == "the registry"
                }
                other => {
                    return Err(Error::new(format!(
                        "manifest: {source} says it is \"{other}\", which is not supported"
                    )));
                }
            };
            if !agrees {
                return Err(Error::new(format!(
                    "manifest: {source} says it is \"{said}\", which is not its shape"
                )));
            }
        }
        if is_index {
            parse_as::<Index>(bytes).map(Self::Index)
        } else {
            let manifest: Manifest = parse_as(bytes)?;
            if manifest.layers.len() > MAX_LAYERS {
                let layers = manifest.layers.len();
                return Err(Error::new(format!("manifest: {layers} layers; the most is {MAX_LAYERS}")));
            }
            Ok(Self::Manifest(manifest))
        }
    }

    /// The media type to store and send the document with.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => manifest.media_type.as_deref().unwrap_or(media::MANIFEST),
            Self::Index(index) => index.media_type.as_deref().unwrap_or(media::INDEX),
        }
    }
}

fn parse_as<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::new(error.to_string())).context(|| "manifest")
}

/// Whether a media type is that of a layer that we can read; what is said otherwise.
///
/// # Errors
/// Says why not: encrypted, or no layer at all.
pub fn kind_of_layer(media_type: &str) -> Result<()> {
    match media_type {
        media::LAYER
        | media::LAYER_GZIP
        | media::LAYER_ZSTD
        | media::DOCKER_LAYER
        | media::DOCKER_LAYER_GZIP => Ok(()),
        "application/vnd.oci.image.layer.nondistributable.v1.tar"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Ok(()),
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(()),
        other if other.ends_with("+encrypted") => Err(Error::new(format!("layer is encrypted ({other})"))),
        other => Err(Error::new(format!("\"{other}\" is no media type of a layer"))
            .hint("this is an artifact and not an image that can be run")),
    }
}

impl Platform {
    /// The machine we run on.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self { architecture: architecture.into(), os: "linux".into(), variant: variant.map(Into::into) }
    }

    /// Reads `OS/ARCH[/VARIANT]`, or `ARCH` alone, by Go's names or the kernel's.
    ///
    /// # Errors
    /// Says what was read.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => ("", "", None),
        };
        let plain = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if !plain(os) || !plain(architecture) || !variant.is_none_or(plain) {
            return Err(Error::new(format!("\"{text}\" is not OS/ARCH[/VARIANT], like linux/amd64")));
        }
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            "i386" | "i686" => "386",
            "armhf" => "arm",
            other => other,
        };
        Ok(Self { architecture: architecture.into(), os: os.into(), variant: variant.map(Into::into) })
    }

    /// How well `offered` runs where `self` is wanted: 0 not at all, more is better.
    pub fn rank(&self, offered: &Self) -> u32 {
        if offered.os != self.os || offered.architecture != self.architecture {
            return 0;
        }
        let default = match offered.architecture.as_str() {
            "arm64" => "v8",
            "arm" => "v7",
            "amd64" => "v1",
            _ => "",
        };
        let number = |variant: &Option<String>| -> Option<u32> {
            variant.as_deref().unwrap_or(default).strip_prefix('v')?.parse().ok()
        };
        match (number(&self.variant), number(&offered.variant)) {
            (Some(wanted), Some(offered)) if offered <= wanted => 1000 + offered.min(1000),
            (Some(_), Some(_)) => 0,
            _ if self.variant == offered.variant => 2000,
            _ => 1,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(out, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, content_type: Option<&str>) -> String {
        Document::parse(text.as_bytes(), content_type).expect_err(text).to_string()
    }

    #[test]
    fn a_document_is_one_thing_only() {
        let hex = "0".repeat(64);
        let descriptor = format!(r#"{{"mediaType":"{}","digest":"sha256:{hex}","size":2}}"#, media::CONFIG);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{descriptor},"layers":[]}}"#);
        assert!(matches!(
            Document::parse(manifest.as_bytes(), Some(media::MANIFEST)),
            Ok(Document::Manifest(_))
        ));
        assert!(matches!(Document::parse(manifest.as_bytes(), None), Ok(Document::Manifest(_))));
        assert!(said(&manifest, Some(media::INDEX)).contains("which is not its shape"));
        let both = format!(r#"{{"schemaVersion":2,"config":{descriptor},"layers":[],"manifests":[]}}"#);
        assert!(said(&both, None).contains("is both a manifest and an index"));
        assert!(said(r#"{"schemaVersion":2}"#, None).contains("neither layers nor manifests"));
        assert!(said(r#"{"schemaVersion":1,"fsLayers":[]}"#, None).contains("schema 1"));
        let lies = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{descriptor},"layers":[]}}"#,
            media::INDEX
        );
        assert!(said(&lies, None).contains("which is not its shape"));
        let negative = manifest.replace("\"size\":2", "\"size\":-2");
        assert!(said(&negative, None).contains("invalid value: integer `-2`"), "{}", said(&negative, None));
    }

    #[test]
    fn platforms_are_ranked() {
        let platform = |text: &str| Platform::parse(text).expect(text);
        assert!(platform("amd64").rank(&platform("linux/amd64")) > 0);
        assert_eq!(platform("amd64").rank(&platform("linux/arm64")), 0);
        assert_eq!(platform("windows/amd64").rank(&platform("linux/amd64")), 0);
        let arm = platform("linux/arm/v7");
        assert!(arm.rank(&platform("linux/arm/v7")) > arm.rank(&platform("linux/arm/v6")));
        assert_eq!(arm.rank(&platform("linux/arm/v8")), 0);
        assert!(platform("linux/arm64").rank(&platform("linux/arm64/v8")) > 0);
        assert!(
            Platform::parse("a/b/c/d").is_err()
                && Platform::parse("").is_err()
                && Platform::parse("linux/").is_err()
        );
    }
}
