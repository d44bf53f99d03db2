//! `image load`, `image save` and `image import`.

use super::super::{Invocation, SUCCESS, images, print_text};
use crate::error::{Context, Error, Result};
use crate::image::import;
use crate::image::save::Form;
use crate::oci::Platform;
use crate::store::disk;
use crate::time;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// What `image load` takes.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// The archive or the directory of an OCI layout, instead of standard input
    #[arg(long, short, value_name = "PATH")]
    input: Option<PathBuf>,
    /// Print only the names of what was loaded
    #[arg(long, short)]
    quiet: bool,
}

/// Loads images.
pub fn load(invocation: &Invocation, arguments: Load) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let loaded = match &arguments.input {
        None if io::stdin().is_terminal() => {
            return Err(Error::new("load: standard input is a terminal")
                .hint("give the archive by --input FILE, or by < FILE"));
        }
        None => images.load_archive(io::stdin().lock()).context(|| "load standard input")?,
        Some(path) => {
            let place = || format!("load {}", path.display());
            let metadata = std::fs::metadata(path).context(place)?;
            match metadata.is_dir() {
                true => images.load_layout(path, None).context(place)?,
                false => images.load_archive(File::open(path).context(place)?).context(place)?,
            }
        }
    };
    for image in loaded {
        let names = if image.names.is_empty() { vec![image.id.to_string()] } else { image.names };
        for name in names {
            print_text(&if arguments.quiet {
                format!("{name}\n")
            } else {
                format!("Loaded image: {name}\n")
            })?;
        }
    }
    Ok(SUCCESS)
}

/// What `image save` takes.
#[derive(Debug, clap::Args)]
pub struct Save {
    /// Names or IDs of images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// The file or directory to write, instead of standard output
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    /// docker-archive (the default), oci-archive or oci-dir
    #[arg(long, value_name = "FORMAT", default_value = "docker-archive", value_parser = ["docker-archive", "oci-archive", "oci-dir"])]
    format: String,
    /// Compress layers by gzip (OCI)
    #[arg(long)]
    compress: bool,
    /// Accepted for podman: several images go into one archive in any case
    #[arg(long, short)]
    multi_image_archive: bool,
    /// Accepted for docker: nothing is printed
    #[arg(long, short)]
    quiet: bool,
}

/// Saves images.
pub fn save(invocation: &Invocation, arguments: Save) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let saved = images.to_save(&arguments.images)?;
    let form = match arguments.format.as_str() {
        "oci-archive" => Form::OciArchive,
        "oci-dir" => Form::OciDirectory,
        _ => Form::DockerArchive,
    };
    match (form, &arguments.output) {
        (Form::OciDirectory, None) => return Err(Error::new("save: an OCI layout needs --output DIRECTORY")),
        (Form::OciDirectory, Some(path)) => {
            std::fs::create_dir(path).context(|| format!("save {}", path.display()))?;
            images.save_directory(&saved, arguments.compress, path)?;
        }
        (_, None) if io::stdout().is_terminal() => {
            return Err(Error::new("save: standard output is a terminal")
                .hint("give a file by --output FILE, or by > FILE"));
        }
        (_, None) => images.save_archive(&saved, form, arguments.compress, io::stdout().lock())?,
        (_, Some(path)) => {
            write_whole(path, |file| images.save_archive(&saved, form, arguments.compress, file))
                .context(|| format!("save {}", path.display()))?;
        }
    }
    Ok(SUCCESS)
}

/// Writes a file, which takes its place when it is whole; a link is followed, and what is no regular file is written to as it is.
fn write_whole(path: &Path, write: impl FnOnce(&File) -> Result<()>) -> Result<()> {
    let target = match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return write(&File::options().write(true).open(path)?);
        }
        Ok(_) => std::fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    // With the mode that the caller's umask gives.
    disk::replace(&target, |aside| Ok(File::options().write(true).create_new(true).open(aside)?), write)
}

/// What `image import` takes.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The tar, compressed or not; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name of the image
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// An instruction like those of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// A remark for the history
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    message: String,
    /// OS/ARCH[/VARIANT] of the image, instead of this machine's
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// Accepted for podman: only the ID is printed
    #[arg(long, short)]
    quiet: bool,
}

/// Imports a root file system and prints the ID.
pub fn import(invocation: &Invocation, arguments: Import) -> Result<u8> {
    let store = invocation.store()?;
    let what = import::Import {
        changes: arguments.change,
        message: arguments.message,
        platform: arguments.platform.as_deref().map(Platform::parse).transpose().context(|| "--platform")?,
        created: time::rfc3339(time::now()),
    };
    let name = arguments.name.as_deref();
    let images = images(&store)?;
    let place = || format!("import {}", arguments.file.display());
    let id = match arguments.file.as_os_str() == "-" {
        true => images.import(io::stdin().lock(), name, &what).context(place)?,
        false => images.import(File::open(&arguments.file).context(place)?, name, &what).context(place)?,
    };
    print_text(&format!("{id}\n"))?;
    Ok(SUCCESS)
}
