//! The mount options of the specification's table (config.md, "Linux mount options"), each with what it does.
//!
//! One table decides what every word means; what it does not know is data for the file system. Source of the meanings:
//! mount(8), mount_setattr(2), and the peers where the specification is silent.

/// `MOUNT_ATTR_*` of linux/mount.h.
pub mod attribute {
    /// Read-only.
    pub const RDONLY: u64 = 0x1;
    /// No set-user-id.
    pub const NOSUID: u64 = 0x2;
    /// No device nodes.
    pub const NODEV: u64 = 0x4;
    /// No programs.
    pub const NOEXEC: u64 = 0x8;
    /// The field of the access-time modes; relatime is its zero.
    pub const ATIME: u64 = 0x70;
    /// No access times.
    pub const NOATIME: u64 = 0x10;
    /// Every access time.
    pub const STRICTATIME: u64 = 0x20;
    /// No access times on directories.
    pub const NODIRATIME: u64 = 0x80;
    /// No symlinks.
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
    /// All that a bind remount decides anew: everything but the access times, which it preserves when none is given.
    pub const REMOUNTED: u64 = RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW;
}

use attribute::{ATIME, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, STRICTATIME};

/// What one word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The default: nothing to do.
    Nothing,
    /// Sets and clears attributes of the mount; `true` for the recursive form.
    Attribute { set: u64, clear: u64, recursive: bool },
    /// Sets or clears a flag of the superblock: its name for fsconfig(2) and its `MS_*`.
    Superblock { key: &'static str, flag: u64, set: bool },
    /// Changes the propagation afterwards: `MS_*`.
    Propagation(u64),
    /// A bind mount; `true` for the whole tree.
    Bind(bool),
    /// Changes what is mounted already.
    Remount,
    /// Copies what the mount hides into it.
    CopyUp,
    /// Maps ids; `true` for the whole tree.
    IdMap(bool),
}

const REC: u64 = libc::MS_REC;

const fn set(flag: u64) -> Meaning {
    Meaning::Attribute { set: flag, clear: 0, recursive: false }
}

const fn clear(flag: u64) -> Meaning {
    Meaning::Attribute { set: 0, clear: flag, recursive: false }
}

const fn rset(flag: u64) -> Meaning {
    Meaning::Attribute { set: flag, clear: 0, recursive: true }
}

const fn rclear(flag: u64) -> Meaning {
    Meaning::Attribute { set: 0, clear: flag, recursive: true }
}

/// One of the modes of the access-time field: to set one is to clear the others.
const fn atime(mode: u64, recursive: bool) -> Meaning {
    Meaning::Attribute { set: mode, clear: ATIME & !mode, recursive }
}

const fn superblock(key: &'static str, flag: u64, set: bool) -> Meaning {
    Meaning::Superblock { key, flag, set }
}

/// Every option of the specification, and `rnodev`, which its table forgot.
const TABLE: &[(&str, Meaning)] = &[
    ("async", superblock("sync", libc::MS_SYNCHRONOUS, false)),
    ("atime", clear(NOATIME)),
    ("bind", Meaning::Bind(false)),
    ("defaults", Meaning::Nothing),
    ("dev", clear(NODEV)),
    ("diratime", clear(NODIRATIME)),
    ("dirsync", superblock("dirsync", libc::MS_DIRSYNC, true)),
    ("exec", clear(NOEXEC)),
    ("idmap", Meaning::IdMap(false)),
    ("iversion", superblock("iversion", libc::MS_I_VERSION, true)),
    ("lazytime", superblock("lazytime", libc::MS_LAZYTIME, true)),
    ("loud", superblock("silent", libc::MS_SILENT, false)),
    ("mand", superblock("mand", libc::MS_MANDLOCK, true)),
    ("noatime", atime(NOATIME, false)),
    ("nodev", set(NODEV)),
    ("nodiratime", set(NODIRATIME)),
    ("noexec", set(NOEXEC)),
    ("noiversion", superblock("iversion", libc::MS_I_VERSION, false)),
    ("nolazytime", superblock("lazytime", libc::MS_LAZYTIME, false)),
    ("nomand", superblock("mand", libc::MS_MANDLOCK, false)),
    ("norelatime", clear(0)),
    ("nostrictatime", clear(STRICTATIME)),
    ("nosuid", set(NOSUID)),
    ("nosymfollow", set(NOSYMFOLLOW)),
    ("private", Meaning::Propagation(libc::MS_PRIVATE)),
    ("ratime", rclear(NOATIME)),
    ("rbind", Meaning::Bind(true)),
    ("rdev", rclear(NODEV)),
    ("rdiratime", rclear(NODIRATIME)),
    ("relatime", atime(0, false)),
    ("remount", Meaning::Remount),
    ("rexec", rclear(NOEXEC)),
    ("ridmap", Meaning::IdMap(true)),
    ("rnoatime", atime(NOATIME, true)),
    ("rnodev", rset(NODEV)),
    ("rnodiratime", rset(NODIRATIME)),
    ("rnoexec", rset(NOEXEC)),
    ("rnorelatime", rclear(0)),
    ("rnostrictatime", rclear(STRICTATIME)),
    ("rnosuid", rset(NOSUID)),
    ("rnosymfollow", rset(NOSYMFOLLOW)),
    ("ro", set(RDONLY)),
    ("rprivate", Meaning::Propagation(libc::MS_PRIVATE | REC)),
    ("rrelatime", atime(0, true)),
    ("rro", rset(RDONLY)),
    ("rrw", rclear(RDONLY)),
    ("rshared", Meaning::Propagation(libc::MS_SHARED | REC)),
    ("rslave", Meaning::Propagation(libc::MS_SLAVE | REC)),
    ("rstrictatime", atime(STRICTATIME, true)),
    ("rsuid", rclear(NOSUID)),
    ("rsymfollow", rclear(NOSYMFOLLOW)),
    ("runbindable", Meaning::Propagation(libc::MS_UNBINDABLE | REC)),
    ("rw", clear(RDONLY)),
    ("shared", Meaning::Propagation(libc::MS_SHARED)),
    ("silent", superblock("silent", libc::MS_SILENT, true)),
    ("slave", Meaning::Propagation(libc::MS_SLAVE)),
    ("strictatime", atime(STRICTATIME, false)),
    ("suid", clear(NOSUID)),
    ("symfollow", clear(NOSYMFOLLOW)),
    ("sync", superblock("sync", libc::MS_SYNCHRONOUS, true)),
    ("tmpcopyup", Meaning::CopyUp),
    ("unbindable", Meaning::Propagation(libc::MS_UNBINDABLE)),
];

/// Attributes as options ask for them: the last word on a flag wins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear because an option said so.
    pub clear: u64,
    /// Whether an access-time mode was chosen.
    pub atime: bool,
}

impl Attributes {
    fn apply(&mut self, set: u64, clear: u64) {
        self.set = (self.set & !clear) | set;
        self.clear = (self.clear & !set) | clear;
        self.atime |= (set | clear) & (ATIME | NODIRATIME) != 0 || (set, clear) == (0, ATIME);
    }

    /// Whether no option spoke of attributes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// With mount(8)'s meaning for bind mounts: once an option speaks of attributes, those of the source do not count.
    pub fn exactly(&self) -> Self {
        match self.is_empty() {
            true => *self,
            false => Self { clear: self.clear | (attribute::REMOUNTED & !self.set), ..*self },
        }
    }
}

/// The options of one mount, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options<'a> {
    /// Attributes of the mount itself.
    pub attributes: Attributes,
    /// Attributes of the mount and all below it.
    pub recursive: Attributes,
    /// Flags of the superblock by their name for fsconfig(2).
    pub superblock: Vec<&'static str>,
    /// The same as `MS_*` for mount(2).
    pub superblock_flags: u64,
    /// Changes of propagation, `MS_*`, in order.
    pub propagation: Vec<u64>,
    /// `bind` (false) or `rbind` (true).
    pub bind: Option<bool>,
    /// `remount`.
    pub remount: bool,
    /// `tmpcopyup`.
    pub copy_up: bool,
    /// `idmap` (false) or `ridmap` (true).
    pub id_map: Option<bool>,
    /// What is left: data for the file system.
    pub data: Vec<&'a str>,
}

impl<'a> Options<'a> {
    /// Understands the words of `options`, in order.
    pub fn parse(words: &'a [String]) -> Self {
        let mut options = Self::default();
        for word in words {
            match TABLE.binary_search_by_key(&word.as_str(), |(name, _)| name) {
                Ok(index) => options.take(TABLE[index].1),
                Err(_) if word.is_empty() => {}
                Err(_) => options.data.push(word),
            }
        }
        options
    }

    fn take(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Nothing => {}
            Meaning::Attribute { set, clear, recursive: false } => self.attributes.apply(set, clear),
            Meaning::Attribute { set, clear, recursive: true } => self.recursive.apply(set, clear),
            Meaning::Superblock { key, flag, set } => {
                self.superblock.retain(|known| *known != key);
                self.superblock_flags &= !flag;
                if set {
                    self.superblock.push(key);
                    self.superblock_flags |= flag;
                }
            }
            Meaning::Propagation(flags) => self.propagation.push(flags),
            Meaning::Bind(recursive) => self.bind = Some(recursive || self.bind == Some(true)),
            Meaning::Remount => self.remount = true,
            Meaning::CopyUp => self.copy_up = true,
            Meaning::IdMap(recursive) => self.id_map = Some(recursive),
        }
    }
}

/// Every option that the runtime understands, in alphabetical order: what `features` lists.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// Whether mount(2) cannot do what a word asks for: change a whole tree, or map ids.
pub fn needs_mount_setattr(word: &str) -> bool {
    let meaning = TABLE.iter().find(|(name, _)| *name == word).map(|(_, meaning)| *meaning);
    match meaning {
        Some(Meaning::Attribute { set, clear, recursive }) => recursive && set | clear != 0,
        Some(Meaning::IdMap(_)) => true,
        _ => false,
    }
}

/// The options that set these `MS_*` flags of a superblock.
pub fn superblock_names(flags: u64) -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter_map(move |(name, meaning)| match meaning {
        Meaning::Superblock { flag, set: true, .. } if flags & flag != 0 => Some(*name),
        _ => None,
    })
}

/// The `MS_*` flags of mount(2) for a set of `MOUNT_ATTR_*`.
pub fn old_flags(attributes: u64) -> u64 {
    const PAIRS: &[(u64, u64)] = &[
        (RDONLY, libc::MS_RDONLY),
        (NOSUID, libc::MS_NOSUID),
        (NODEV, libc::MS_NODEV),
        (NOEXEC, libc::MS_NOEXEC),
        (NOATIME, libc::MS_NOATIME),
        (STRICTATIME, libc::MS_STRICTATIME),
        (NODIRATIME, libc::MS_NODIRATIME),
        (NOSYMFOLLOW, 256),
    ];
    PAIRS.iter().filter(|(attribute, _)| attributes & attribute != 0).fold(0, |flags, (_, flag)| flags | flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn the_table_is_in_order_and_complete() {
        assert!(TABLE.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(TABLE.len(), 62, "61 of the specification and rnodev");
    }

    #[test]
    fn the_last_word_on_a_flag_wins() {
        for (text, set, clear) in [
            ("ro", RDONLY, 0),
            ("ro,rw", 0, RDONLY),
            ("rw,ro,nosuid", RDONLY | NOSUID, 0),
            ("nosuid,suid", 0, NOSUID),
            ("noatime,relatime", 0, ATIME),
            ("relatime,noatime", NOATIME, STRICTATIME | 0x40),
            ("strictatime", STRICTATIME, ATIME & !STRICTATIME),
        ] {
            let words = words(text);
            let options = Options::parse(&words);
            assert_eq!((options.attributes.set, options.attributes.clear), (set, clear), "{text}");
        }
    }

    #[test]
    fn what_the_table_does_not_know_is_data() {
        let words = words("defaults,size=64k,mode=755,nosuid,rro,sync,async,dirsync");
        let options = Options::parse(&words);
        assert_eq!(options.data, ["size=64k", "mode=755"]);
        assert_eq!(options.recursive.set, RDONLY);
        assert_eq!(options.superblock, ["dirsync"]);
        assert_eq!(options.superblock_flags, libc::MS_DIRSYNC);
    }
}
