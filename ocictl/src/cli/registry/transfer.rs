//! `pull` and `push`.

use super::super::output::progress::Shown;
use super::super::{Invocation, SUCCESS, for_each, images, print_text};
use super::Access;
use crate::error::{Context, Result};
use crate::image::obtain::{POLICIES, Policy};
use crate::image::pull;
use crate::image::push::{self, PushCompression};
use crate::oci::Platform;
use std::path::PathBuf;

/// What `pull` takes.
#[derive(Debug, clap::Args)]
pub struct Pull {
    /// Names of images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Pull every tag of a repository
    #[arg(long, short)]
    all_tags: bool,
    /// Print nothing but the ID
    #[arg(long, short)]
    quiet: bool,
    /// OS/ARCH[/VARIANT] of the image, instead of this machine's
    #[arg(long, value_name = "PLATFORM", conflicts_with_all = ["arch", "os"])]
    platform: Option<String>,
    /// Architecture of the image
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Operating system of the image
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// Variant of the architecture
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// always (the default), missing, never or newer
    #[arg(long, value_name = "WHEN", default_value = "always", value_parser = POLICIES)]
    policy: String,
    /// NAME:PASSWORD
    #[arg(long, value_name = "CREDENTIALS")]
    creds: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// Pulls images and prints their IDs.
pub fn pull(invocation: &Invocation, arguments: Pull) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let what = pull::Pull {
        options: arguments.access.options(arguments.creds.as_deref())?,
        platform: platform(&arguments)?,
    };
    let policy = Policy::parse(&arguments.policy)?;
    for_each(&arguments.images, |name| {
        let progress = Shown::new(arguments.quiet);
        let ids = match arguments.all_tags {
            true => images.pull_all_tags(name, &what, &progress)?,
            false => vec![images.obtain(name, policy, &what, &progress)?],
        };
        drop(progress);
        print_text(&ids.iter().map(|id| format!("{}\n", id.hex())).collect::<String>())
    })?;
    Ok(SUCCESS)
}

fn platform(arguments: &Pull) -> Result<Option<Platform>> {
    if let Some(text) = &arguments.platform {
        return Platform::parse(text).map(Some).context(|| "--platform");
    }
    if arguments.arch.is_none() && arguments.os.is_none() && arguments.variant.is_none() {
        return Ok(None);
    }
    let host = Platform::host();
    let mut text = format!(
        "{}/{}",
        arguments.os.as_deref().unwrap_or(&host.os),
        arguments.arch.as_deref().unwrap_or(&host.architecture)
    );
    if let Some(variant) = &arguments.variant {
        text = format!("{text}/{variant}");
    }
    Platform::parse(&text).map(Some)
}

/// What `push` takes.
#[derive(Debug, clap::Args)]
pub struct Push {
    /// Name or ID of an image
    #[arg(value_name = "IMAGE")]
    image: String,
    /// The name to push it under, if it is not its own
    #[arg(value_name = "DESTINATION")]
    destination: Option<String>,
    /// Print nothing
    #[arg(long, short)]
    quiet: bool,
    /// oci (the default) or v2s2, Docker's
    #[arg(long, short, value_name = "FORMAT", default_value = "oci", value_parser = ["oci", "v2s2", "docker"])]
    format: String,
    /// How layers are compressed that the registry has not: gzip, zstd or none
    #[arg(long, value_name = "FORMAT", default_value = "gzip", value_parser = ["gzip", "zstd", "none"])]
    compression_format: String,
    /// Compress again what the registry may have in another form
    #[arg(long)]
    force_compression: bool,
    /// File to write the digest of the manifest to
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    /// NAME:PASSWORD
    #[arg(long, value_name = "CREDENTIALS")]
    creds: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// Pushes an image.
pub fn push(invocation: &Invocation, arguments: Push) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let what = push::Push {
        options: arguments.access.options(arguments.creds.as_deref())?,
        compression: match arguments.compression_format.as_str() {
            "zstd" => PushCompression::Zstd,
            "none" => PushCompression::Uncompressed,
            _ => PushCompression::Gzip,
        },
        force_compression: arguments.force_compression,
        docker: arguments.format != "oci",
    };
    let destination = arguments.destination.as_deref();
    let progress = Shown::new(arguments.quiet);
    let digest = images.push(&arguments.image, destination, &what, &progress)?;
    drop(progress);
    if let Some(file) = arguments.digestfile {
        std::fs::write(&file, digest.as_str()).context(|| format!("--digestfile {}", file.display()))?;
    }
    Ok(SUCCESS)
}
