//! `commit` and `export`.

use super::super::{Invocation, SUCCESS, images, print_text};
use crate::container::record::Status;
use crate::container::{Containers, commit as committing, status};
use crate::error::{Context, Error, Result};
use std::io::Write;

/// What `commit` takes.
#[derive(Debug, clap::Args)]
pub struct Commit {
    /// The container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Name the image
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Who made it
    #[arg(long, short, value_name = "AUTHOR", default_value = "")]
    author: String,
    /// A remark for the history
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    message: String,
    /// An instruction like those of a Dockerfile: CMD ["sh"], ENV A=b
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Freeze it meanwhile; true where it has a cgroup
    #[arg(long, short, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pause: Option<bool>,
    /// Say nothing but the ID
    #[arg(long, short)]
    quiet: bool,
    /// oci or docker; the image is kept in a form that is written as either
    #[arg(long, short, value_name = "FORMAT", default_value = "oci", value_parser = ["oci", "docker"])]
    format: String,
}

/// `commit`: prints the image's ID.
pub fn commit(invocation: &Invocation, arguments: Commit) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let container = containers.find(&arguments.container)?;
    let wanted = committing::Commit {
        name: arguments.name,
        author: arguments.author,
        message: arguments.message,
        changes: arguments.change,
    };
    let runs = container.now()?.1 == Status::Running;
    let pauses = runs && arguments.pause.map_or_else(|| status::has_cgroup(&container), Ok)?;
    let pauses = pauses
        && match status::pause(&containers, &container) {
            Ok(()) => true,
            // It has ended by itself in this moment.
            Err(_) if !container.now()?.1.lives() => false,
            Err(error) => return Err(error),
        };
    let made = committing::commit(&containers, &images(&store)?, &container, &wanted);
    if pauses
        && let Err(error) = status::resume(&containers, &container)
        && container.now()?.1.lives()
    {
        return Err(error);
    }
    print_text(&format!("{}\n", made?.hex()))?;
    Ok(SUCCESS)
}

/// What `export` takes.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The container
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// The file; stdout if none is named
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
}

/// `export`: a tar of the root.
pub fn export(invocation: &Invocation, arguments: Export) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let container = containers.find(&arguments.container)?;
    match &arguments.output {
        None if rustix::termios::isatty(rustix::stdio::stdout()) => {
            return Err(Error::new("a tar is not for a terminal; name a file with --output").exit_code(125));
        }
        None => committing::export(&containers, &container, std::io::stdout().lock())?,
        Some(path) => {
            let file = std::fs::File::create(path).context(|| path.clone())?;
            committing::export(&containers, &container, file.try_clone()?)?;
            (&file).flush()?;
        }
    }
    Ok(SUCCESS)
}
