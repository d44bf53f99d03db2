//! `image load`.

use super::super::{Invocation, SUCCESS, images, print_text};
use crate::error::{Context, Error, Result};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

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
