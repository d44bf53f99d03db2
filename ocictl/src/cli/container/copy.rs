//! `cp` and `diff`.

use super::super::{Invocation, SUCCESS, print_text};
use crate::archive::without::{Without, is_of_kernel};
use crate::archive::write::{self, Named};
use crate::container::copying::{self, Owner, Rules};
use crate::container::record::Container;
use crate::container::root::Root;
use crate::container::{Containers, changes, extract, start};
use crate::error::{Context, Error, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// As many symlinks as the kernel follows.
const MAX_LINKS: usize = 40;

/// What `cp` takes.
#[derive(Debug, clap::Args)]
pub struct Copy {
    /// CONTAINER:PATH or PATH; - reads a tar
    #[arg(value_name = "SOURCE")]
    source: String,
    /// CONTAINER:PATH or PATH; - writes a tar
    #[arg(value_name = "TARGET")]
    target: String,
    /// Keep owners
    #[arg(long, short)]
    archive: bool,
    /// Follow a symlink that is the source
    #[arg(long, short = 'L')]
    follow_link: bool,
}

/// `cp`.
pub fn copy(invocation: &Invocation, arguments: Copy) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    if arguments.source == "-" || arguments.target == "-" {
        return stream(&containers, &arguments);
    }
    let source = Place::parse(&containers, &arguments.source)?;
    let target = Place::parse(&containers, &arguments.target)?;
    let ids = |place: &Place| match place {
        Place::Inside(container, _) => container.record.options.ids.clone(),
        Place::Host(_) => None,
    };
    let (from_ids, to_ids) = (ids(&source), ids(&target));
    let owner = |uid: u32, gid: u32| match (arguments.archive, &to_ids) {
        (true, to_ids) => Owner::Translated(from_ids.as_ref(), to_ids.as_ref()),
        (false, Some(ids)) => {
            let (uid, gid) = ids.owner_outside(uid, gid);
            Owner::Set(uid, gid)
        }
        (false, None) => Owner::Set(uid, gid),
    };
    match (&source, &target) {
        (Place::Inside(container, from), Place::Host(to)) => {
            start::with_root(&containers, container, |root| {
                let owner = owner(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
                transfer(&Side::Root(root, from), &Side::Host(to), owner, arguments.follow_link)
            })?
        }
        (Place::Host(from), Place::Inside(container, to)) => {
            start::with_root(&containers, container, |root| {
                transfer(&Side::Host(from), &Side::Root(root, to), owner(0, 0), arguments.follow_link)
            })?
        }
        (Place::Inside(one, from), Place::Inside(other, to)) => {
            start::with_roots(&containers, (one, other), |first, second| {
                let (source, target) = (Side::Root(first, from), Side::Root(second, to));
                transfer(&source, &target, owner(0, 0), arguments.follow_link)
            })?
        }
        (Place::Host(_), Place::Host(_)) => {
            return Err(Error::new("neither the source nor the target is CONTAINER:PATH").exit_code(125));
        }
    }
    Ok(SUCCESS)
}

/// Where something is copied from or to.
enum Place {
    Inside(Box<Container>, String),
    Host(PathBuf),
}

impl Place {
    /// `NAME:PATH` is a container's, unless a slash or a dot begins it.
    fn parse(containers: &Containers<'_>, text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some((name, path)) if !text.starts_with(['/', '.']) && !name.contains('/') => Ok(Self::Inside(
                Box::new(containers.find(name)?),
                if path.is_empty() { "/".into() } else { path.into() },
            )),
            _ => Ok(Self::Host(PathBuf::from(text))),
        }
    }
}

/// A tar to or from a pipe.
fn stream(containers: &Containers<'_>, arguments: &Copy) -> Result<u8> {
    let inside = |text: &str| match (text, Place::parse(containers, text)?) {
        ("-", _) | (_, Place::Host(_)) => {
            Err(Error::new("\"-\" on one side needs CONTAINER:PATH on the other").exit_code(125))
        }
        (_, Place::Inside(container, path)) => Ok((container, path)),
    };
    if arguments.source == "-" {
        let (container, path) = inside(&arguments.target)?;
        let source = std::io::BufReader::with_capacity(256 << 10, std::io::stdin().lock());
        let ids = container.record.options.ids.as_ref();
        start::with_root(containers, &container, |root| extract::extract(root, &path, ids, source))
            .context(|| container.place())?;
        return Ok(SUCCESS);
    }
    let (container, path) = inside(&arguments.source)?;
    if rustix::termios::isatty(rustix::stdio::stdout()) {
        return Err(Error::new("a tar is not for a terminal; send it to a file or a pipe").exit_code(125));
    }
    let out = std::io::BufWriter::with_capacity(256 << 10, std::io::stdout().lock());
    let ids = container.record.options.ids.as_ref();
    start::with_root(containers, &container, |root| {
        let side = Side::Root(root, &path);
        let plain = path.trim_end_matches("/.").trim_end_matches('/');
        let (folder, name) = match arguments.follow_link && !side.is_directory(&path, false)? {
            true => side.end_of_link(plain)?,
            false => side.parent(plain)?,
        };
        let without = side.without()?;
        side.refuse_kernel(&path, without)?;
        let new = Path::new(plain).file_name().unwrap_or_else(|| ".".as_ref());
        let owners = |uid, gid| Owner::Translated(ids, None).of(uid, gid);
        let tree = Named { folder: &folder, name: name.as_os_str(), new: new.as_encoded_bytes() };
        write::named(tree, without, &owners, out).context(|| path.clone())
    })
    .context(|| container.place())?;
    Ok(SUCCESS)
}

enum Side<'a> {
    Root(&'a Root, &'a str),
    Host(&'a Path),
}

/// Copies as cp(1) does: into a directory that is there, else to the name itself; `SOURCE/.` is what is in a directory.
fn transfer(source: &Side<'_>, target: &Side<'_>, owner: Owner<'_>, follow: bool) -> Result<()> {
    let text = |side: &Side<'_>| match side {
        Side::Root(_, path) => (*path).to_owned(),
        Side::Host(path) => path.to_string_lossy().into_owned(),
    };
    let (from, to) = (text(source), text(target));
    let content_only = from.ends_with("/.");
    let plain = from.trim_end_matches("/.").trim_end_matches('/');
    let is_directory =
        source.is_directory(&from, follow || content_only || from.ends_with('/')).context(|| from.clone())?;
    let rules = Rules { owner, without: source.without()? };
    if is_directory {
        source.refuse_kernel(&from, rules.without)?;
    }
    let target_is_directory = target.is_directory(&to, true).ok();
    if content_only || (is_directory && target_is_directory.is_none()) {
        let folder =
            source.open_directory(if plain.is_empty() { "/" } else { plain }).context(|| from.clone())?;
        let into = match target_is_directory {
            Some(true) => {
                return copying::contents(
                    &folder,
                    &target.open_directory(&to).context(|| to.clone())?,
                    rules,
                )
                .context(|| from);
            }
            Some(false) => return Err(Error::new("a directory cannot be copied over a file").context(to)),
            None => {
                let (above, _) = target.end_of_link(&to)?;
                copying::outside_of(&folder, &above).context(|| from.clone())?;
                target.make_directory(&to).context(|| to.clone())?
            }
        };
        return copying::fill(&folder, &into, rules).context(|| from);
    }
    let (folder, name) =
        if follow && !is_directory { source.end_of_link(plain)? } else { source.parent(plain)? };
    match target_is_directory {
        Some(true) => {
            let new = Path::new(plain).file_name().map_or_else(|| PathBuf::from("."), PathBuf::from);
            copying::copy(&folder, &name, &target.open_directory(&to).context(|| to.clone())?, &new, rules)
                .context(|| from)
        }
        None if to.ends_with('/') => Err(Error::from_errno(libc::ENOENT).context(to)),
        Some(false) if is_directory => {
            Err(Error::new("a directory cannot be copied over a file").context(to))
        }
        _ => {
            let (into, new) = target.end_of_link(&to)?;
            copying::copy(&folder, &name, &into, &new, rules).context(|| from)
        }
    }
}

impl Side<'_> {
    fn open(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        match self {
            Side::Root(root, _) => root.open_at(path, flags, Mode::empty()),
            Side::Host(_) => rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty()),
        }
    }

    fn is_directory(&self, path: &str, follow: bool) -> Result<bool> {
        let flags = if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
        let found = self.open(path, flags)?;
        let stat = rustix::fs::statat(&found, "", AtFlags::EMPTY_PATH)?;
        Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    fn open_directory(&self, path: &str) -> Result<OwnedFd> {
        Ok(self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?)
    }

    fn make_directory(&self, path: &str) -> Result<OwnedFd> {
        let (folder, name) = self.end_of_link(path)?;
        rustix::fs::mkdirat(&folder, &name, Mode::RWXU)?;
        Ok(rustix::fs::openat(
            &folder,
            &name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?)
    }

    fn parent(&self, path: &str) -> Result<(OwnedFd, PathBuf)> {
        match self {
            Side::Root(root, _) => root.parent(path),
            Side::Host(_) => {
                let path = Path::new(path);
                let (folder, name) = match (path.parent(), path.file_name()) {
                    (Some(folder), Some(name)) if folder.as_os_str().is_empty() => {
                        (Path::new("."), PathBuf::from(name))
                    }
                    (Some(folder), Some(name)) => (folder, PathBuf::from(name)),
                    _ => (path, PathBuf::from(".")),
                };
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Ok((
                    rustix::fs::openat(CWD, folder, flags, Mode::empty())
                        .context(|| folder.display().to_string())?,
                    name,
                ))
            }
        }
    }

    /// What symlinks at the end of a path lead to, be it there or not, as a name in a directory. Each of them is looked up anew below the
    /// root, and nothing is followed afterwards.
    fn end_of_link(&self, path: &str) -> Result<(OwnedFd, PathBuf)> {
        let mut here = path.to_owned();
        for _ in 0..MAX_LINKS {
            let parent = self.parent(&here);
            let (folder, name) = if here == path { parent? } else { parent.context(|| path)? };
            match rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {}
                Ok(_) | Err(Errno::NOENT) => return Ok((folder, name)),
                Err(errno) => return Err(errno).context(|| path),
            }
            let link = rustix::fs::readlinkat(&folder, &name, Vec::new()).context(|| path)?;
            let link = link
                .into_string()
                .map_err(|_| Error::new("it leads to a name that is not UTF-8").context(path))?;
            here = match (link.starts_with('/'), here.trim_end_matches('/').rsplit_once('/')) {
                (true, _) | (false, None) => link,
                (false, Some((above, _))) => format!("{above}/{link}"),
            };
        }
        Err(Error::from_errno(libc::ELOOP).context(path))
    }

    /// What no copy out of a container has.
    fn without(&self) -> Result<Without> {
        Ok(match self {
            Side::Root(..) => Without::of_root(&self.open_directory("/")?),
            Side::Host(_) => Without::NOTHING,
        })
    }

    /// Refuses a directory of a container that the kernel makes up: much of it has no end, or is different when it is read again; and its devices.
    fn refuse_kernel(&self, path: &str, without: Without) -> Result<()> {
        let Side::Root(..) = self else { return Ok(()) };
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(directory) if is_of_kernel(&directory) => Err(Error::new(
                "it is in a file system that the kernel makes up, which cannot be copied as a whole",
            )
            .context(path)
            .hint("single files can be; `ocictl exec` sees all of it")),
            Ok(directory) if without.holds(&directory) => {
                Err(Error::new("it holds the container's devices, which cannot be copied as a whole")
                    .context(path)
                    .hint("what is in it can be, by its name"))
            }
            _ => Ok(()),
        }
    }
}

/// What `diff` takes.
#[derive(Debug, clap::Args)]
pub struct Diff {
    /// The container
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// json
    #[arg(long, value_name = "FORMAT", value_parser = ["json"])]
    format: Option<String>,
}

/// `diff`: `A` added, `C` changed, `D` deleted.
pub fn diff(invocation: &Invocation, arguments: Diff) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let container = containers.find(&arguments.name)?;
    let found = changes::of(&containers, &container)?;
    let mut text = String::new();
    if arguments.format.is_some() {
        let of = |kind: char| {
            found.iter().filter(|(other, _)| *other == kind).map(|(_, path)| path.clone()).collect::<Vec<_>>()
        };
        let value = serde_json::json!({ "changed": of('C'), "added": of('A'), "deleted": of('D') });
        text = super::super::output::json(&value)? + "\n";
    } else {
        for (kind, path) in found {
            text += &format!("{kind} {}\n", super::super::output::table::harmless(&path));
        }
    }
    print_text(&text)?;
    Ok(SUCCESS)
}
