//! The tree that a layer holds, worked out in memory from the entries of its tar (image-spec, layer.md).
//!
//! Here, and only here, an archive's paths are resolved: symlinks within the layer are followed below its root, hard links
//! share a node, a later entry replaces an earlier one, and whiteouts become what overlayfs understands (a character device
//! 0:0; an opaque mark on a directory). What is written to disk afterwards is this tree, whose names are single components.

use super::attributes::may_travel;
use super::tar::{Entry, Kind, Sparse, shown};
use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;

/// The most entries of a layer.
pub const MAX_ENTRIES: usize = 1_000_000;
/// The most bytes of a path.
const MAX_PATH: usize = 4096;
/// The most bytes of a component.
const MAX_NAME: usize = 255;
/// The most directories within directories.
const MAX_DEPTH: usize = 500;
/// The most symlinks on the way of one path, as the kernel counts them.
const MAX_LINKS: usize = 40;
/// Marks what is removed from the layers below.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The index of a node in [`Tree::nodes`].
pub type Id = u32;
/// The root directory.
pub const ROOT: Id = 0;

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory, with its names in order.
    Directory(BTreeMap<Box<[u8]>, Id>),
    /// A file: `size` bytes at `offset` of where the data is.
    File {
        /// Where its data begins there; of use to the index alone.
        offset: u64,
        /// Bytes of data, without the holes.
        size: u64,
        /// The number of the piece of data, counted over all entries that have any.
        piece: u32,
        /// Where the data belongs, if there are holes.
        sparse: Option<Box<Sparse>>,
    },
    /// A symbolic link.
    Symlink(Box<[u8]>),
    /// A character device; 0:0 is a whiteout.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// The name and the value of an extended attribute.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

/// An inode: what names of the tree lead to.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Permission bits, set-id and sticky bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification, seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds of that time.
    pub mtime_nsec: u32,
    /// How many names lead here; of a directory, what stat(2) counts.
    pub links: u32,
    /// Whether a directory hides what the layers below have in it.
    pub opaque: bool,
    /// Extended attributes that a layer may bring.
    pub xattrs: Box<[Xattr]>,
}

/// All of a layer.
#[derive(Debug)]
pub struct Tree {
    /// The inodes; number 0 is the root. Some may have lost their last name (`links` is 0).
    pub nodes: Vec<Node>,
    /// Pieces of data seen so far.
    pieces: u32,
    entries: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node::directory()], pieces: 0, entries: 0 }
    }
}

impl Node {
    /// A directory that no entry describes: what image-spec leaves open, and everybody does.
    fn directory() -> Self {
        Self {
            content: Content::Directory(BTreeMap::new()),
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: 0,
            mtime_nsec: 0,
            links: 2,
            opaque: false,
            xattrs: Box::default(),
        }
    }

    /// A character device 0:0, which overlayfs takes for "not there".
    fn whiteout() -> Self {
        Self { content: Content::Character(0, 0), mode: 0, links: 1, ..Self::directory() }
    }

    /// Whether it stands for a name that is removed.
    pub fn is_whiteout(&self) -> bool {
        self.content == Content::Character(0, 0)
    }

    /// The names of a directory; nothing for anything else.
    pub fn children(&self) -> Option<&BTreeMap<Box<[u8]>, Id>> {
        match &self.content {
            Content::Directory(children) => Some(children),
            _ => None,
        }
    }
}

impl Tree {
    /// Number of entries taken in.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// A node by its number.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    /// Takes in an entry.
    ///
    /// # Errors
    /// Says which entry means nothing, or means something outside of the layer.
    pub fn insert(&mut self, entry: Entry) -> Result<()> {
        let path = entry.path.clone();
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(Error::new(format!("more than {MAX_ENTRIES} entries in one layer")));
        }
        self.insert_at(entry).context(|| format!("entry \"{}\"", shown(&path)))
    }

    fn insert_at(&mut self, entry: Entry) -> Result<()> {
        let mut components = components(&entry.path)?;
        let Some(name) = components.pop() else {
            if entry.kind != Kind::Directory {
                return Err(Error::new("the root of a layer can only be a directory"));
            }
            self.describe(ROOT, &entry);
            return Ok(());
        };
        let parent = self.directory(&components, MAX_LINKS)?;
        if name == OPAQUE {
            self.node_mut(parent).opaque = true;
            return Ok(());
        }
        if name.starts_with(b".wh..wh.") {
            return Ok(()); // What aufs keeps for itself: it says nothing about the layer.
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.hide(parent, hidden);
        }
        if let Kind::HardLink(target) = &entry.kind {
            return self.link(parent, name, target);
        }
        let existing = self.child(parent, name);
        if let Some(id) = existing
            && self.node(id).children().is_some()
            && entry.kind == Kind::Directory
        {
            self.describe(id, &entry);
            return Ok(());
        }
        if let Kind::Symlink(target) = &entry.kind
            && target.len() >= MAX_PATH
        {
            return Err(Error::new(format!(
                "a symlink to a path of {} bytes; the most is {}",
                target.len(),
                MAX_PATH - 1
            )));
        }
        let hides = existing.is_some_and(|id| self.node(id).is_whiteout());
        let id = self.new_node(Node::directory())?;
        self.describe(id, &entry);
        self.node_mut(id).opaque = hides && entry.kind == Kind::Directory;
        self.set(parent, name, id);
        Ok(())
    }

    /// Gives a node what an entry says of it; a directory keeps its names.
    fn describe(&mut self, id: Id, entry: &Entry) {
        let content = match &entry.kind {
            Kind::Directory => None,
            Kind::File | Kind::HardLink(_) => {
                let piece = self.pieces;
                self.pieces += u32::from(entry.size > 0);
                let sparse = entry.sparse.clone().map(Box::new);
                Some(Content::File { offset: entry.offset, size: entry.size, piece, sparse })
            }
            Kind::Symlink(target) => Some(Content::Symlink(target.clone().into())),
            Kind::Character(major, minor) => Some(Content::Character(*major, *minor)),
            Kind::Block(major, minor) => Some(Content::Block(*major, *minor)),
            Kind::Fifo => Some(Content::Fifo),
        };
        let node = self.node_mut(id);
        if let Some(content) = content {
            node.content = content;
            node.links = 0; // `set` counts the name.
        }
        // A symlink has no mode of its own: symlink(7), and the same in both forms of a layer.
        node.mode = if matches!(entry.kind, Kind::Symlink(_)) { 0o777 } else { entry.mode };
        (node.uid, node.gid) = (entry.uid, entry.gid);
        (node.mtime, node.mtime_nsec) = (entry.mtime, entry.mtime_nsec);
        node.xattrs = entry
            .xattrs
            .iter()
            .filter(|(name, _)| may_travel(name))
            .map(|(name, value)| (name.clone().into(), value.clone().into()))
            .collect();
    }

    /// A whiteout: it speaks of the layers below, so what this layer has under the name stays, and hides them.
    fn hide(&mut self, parent: Id, name: &[u8]) -> Result<()> {
        if name.is_empty() || name == b"." || name == b".." {
            return Err(Error::new("a whiteout without a name"));
        }
        match self.child(parent, name) {
            None => {
                let id = self.new_node(Node::whiteout())?;
                self.node_mut(id).links = 0;
                self.set(parent, name, id);
            }
            Some(id) if self.node(id).children().is_some() => self.node_mut(id).opaque = true,
            Some(_) => {}
        }
        Ok(())
    }

    fn link(&mut self, parent: Id, name: &[u8], target: &[u8]) -> Result<()> {
        let place = || format!("hard link to \"{}\"", shown(target));
        let mut path = components(target).context(place)?;
        let missing = || Error::new("there is no such file in this layer").context(place());
        let last = path.pop().ok_or_else(missing)?;
        let directory = self.existing_directory(&path, MAX_LINKS).context(place)?.ok_or_else(missing)?;
        let id = self.child(directory, last).ok_or_else(missing)?;
        if self.node(id).children().is_some() || self.node(id).is_whiteout() {
            return Err(missing());
        }
        if self.child(parent, name) != Some(id) {
            self.set(parent, name, id);
        }
        Ok(())
    }

    fn new_node(&mut self, node: Node) -> Result<Id> {
        let id = u32::try_from(self.nodes.len()).ok().filter(|_| self.nodes.len() < 2 * MAX_ENTRIES);
        let id = id.ok_or_else(|| {
            Error::new(format!("more than {} files and directories in one layer", 2 * MAX_ENTRIES))
        })?;
        self.nodes.push(node);
        Ok(id)
    }

    fn child(&self, parent: Id, name: &[u8]) -> Option<Id> {
        self.node(parent).children()?.get(name).copied()
    }

    /// Gives a node a name, and counts names; what had the name before loses it, with all below it.
    fn set(&mut self, parent: Id, name: &[u8], id: Id) {
        if self.node(id).children().is_some() {
            self.node_mut(parent).links += 1;
        } else {
            self.node_mut(id).links += 1;
        }
        let Content::Directory(children) = &mut self.node_mut(parent).content else { return };
        let Some(old) = children.insert(name.into(), id) else { return };
        if self.node(old).children().is_some() {
            self.node_mut(parent).links -= 1;
        }
        self.drop_names(old);
    }

    fn drop_names(&mut self, id: Id) {
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            let node = self.node_mut(id);
            if let Content::Directory(children) = &mut node.content {
                left.extend(std::mem::take(children).into_values());
                node.links = 0;
            } else {
                node.links = node.links.saturating_sub(1);
            }
        }
    }

    /// The directory at a path; what is missing is made.
    fn directory(&mut self, path: &[&[u8]], links: usize) -> Result<Id> {
        match self.walk(path, links)? {
            Walk::Found(id) => Ok(id),
            Walk::Missing(mut at, rest) => {
                for name in rest {
                    let id = self.new_node(Node::directory())?;
                    // A whiteout of this layer with something below it: the directory that was there is gone, this is another.
                    self.node_mut(id).opaque = self.child(at, &name).is_some();
                    self.set(at, &name, id);
                    at = id;
                }
                Ok(at)
            }
        }
    }

    fn existing_directory(&self, path: &[&[u8]], links: usize) -> Result<Option<Id>> {
        Ok(match self.walk(path, links)? {
            Walk::Found(id) => Some(id),
            Walk::Missing(..) => None,
        })
    }

    /// Follows a path from the root, symlinks too, which cannot leave the root: `..` at the root stays there, as after chroot(2).
    fn walk(&self, path: &[&[u8]], mut links: usize) -> Result<Walk> {
        let mut way = vec![ROOT];
        let mut left: Vec<Box<[u8]>> = path.iter().rev().map(|name| Box::from(*name)).collect();
        while let Some(name) = left.pop() {
            if &*name == b".." {
                way.truncate(way.len().max(2) - 1);
                continue;
            }
            let here = way[way.len() - 1];
            let Some(id) = self.child(here, &name).filter(|id| !self.node(*id).is_whiteout()) else {
                left.push(name);
                left.reverse();
                if left.iter().any(|name| &**name == b"..") {
                    return Err(Error::new(
                        "a symlink on the way leads to a directory that is not there, and back",
                    ));
                }
                if way.len() + left.len() > MAX_DEPTH {
                    return Err(Error::new(format!(
                        "directories within directories, more than {MAX_DEPTH} deep"
                    )));
                }
                return Ok(Walk::Missing(here, left));
            };
            match &self.node(id).content {
                Content::Directory(_) => way.push(id),
                Content::Symlink(target) => {
                    links = links
                        .checked_sub(1)
                        .ok_or_else(|| Error::new("too many levels of symbolic links"))?;
                    if target.len() > MAX_PATH {
                        return Err(Error::new(format!(
                            "a symlink on the way is longer than {MAX_PATH} bytes"
                        )));
                    }
                    if target.starts_with(b"/") {
                        way.truncate(1);
                    }
                    left.extend(split(target).rev().map(Box::from));
                    if left.len() > MAX_PATH {
                        return Err(Error::new("too many levels of symbolic links"));
                    }
                }
                _ => return Err(Error::new(format!("\"{}\" on its way is not a directory", shown(&name)))),
            }
        }
        Ok(Walk::Found(way[way.len() - 1]))
    }
}

enum Walk {
    Found(Id),
    /// The last directory that is there, and the names below it that are not.
    Missing(Id, Vec<Box<[u8]>>),
}

fn split(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}

/// The components of an entry's path, without the `/` or `./` in front.
fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    if path.len() > MAX_PATH {
        return Err(Error::new(format!("its path is longer than {MAX_PATH} bytes")));
    }
    let names: Vec<&[u8]> = split(path).collect();
    for name in &names {
        if *name == b".." {
            return Err(Error::new("its path goes up by \"..\""));
        }
        if name.len() > MAX_NAME {
            return Err(Error::new(format!("a component of its path is longer than {MAX_NAME} bytes")));
        }
    }
    Ok(names)
}
