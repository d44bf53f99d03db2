//! `--userns`: which ids a container has (podman-run(1)). Decided once, when it is created, and kept with it.

use super::ids::{self, Ids, Range};
use super::options::{Namespace, Options, UserNamespace};
use super::root::Root;
use super::spec::users;
use super::{Containers, MAX_ACCOUNTS};
use crate::error::{Context, Error, Result};
use crate::image::Image;
use crate::rootless;
use crate::store::lock::Lock;

/// Whose subordinate ids root's containers get by `auto`, as with podman.
const OWNER: &str = "containers";
/// The fewest and the most ids that `auto` gives unless it is told (containers-storage.conf(5)).
const AUTO: (u32, u32) = (1024, 65_536);
const NOBODY: u32 = 65_534;

/// What was typed of a container's ids.
#[derive(Debug, Default)]
pub struct Typed {
    /// `--userns`.
    pub namespace: Option<UserNamespace>,
    /// `--uidmap`.
    pub uids: Vec<Range>,
    /// `--gidmap`.
    pub gids: Vec<Range>,
    /// Whether `--user` was typed.
    pub has_user: bool,
}

/// Writes into the options which ids the container has. While the lock lives, nobody else is given ids.
///
/// # Errors
/// Says what contradicts what, or which ids are not there.
pub fn decide(
    containers: &Containers<'_>,
    options: &mut Options,
    typed: Typed,
    image: Option<&Image>,
) -> Result<Option<Lock>> {
    let has_maps = !(typed.uids.is_empty() && typed.gids.is_empty());
    let wanted = typed.namespace.unwrap_or(match has_maps {
        true => UserNamespace::Private,
        false => UserNamespace::Host,
    });
    if has_maps && wanted != UserNamespace::Private {
        return Err(Error::new("--uidmap and --gidmap go with --userns private alone"));
    }
    let mut lock = None;
    let (namespace, ids) = match wanted {
        UserNamespace::Host => (Namespace::Host, None),
        UserNamespace::Path(path) => (Namespace::Path(path), None),
        UserNamespace::Container(name) => {
            let other = containers.find(&name)?.record;
            match (other.options.ids, other.options.namespaces.user) {
                (Some(ids), _) => (Namespace::Container(other.id), Some(Ids { picked: false, ..ids })),
                // It has none of its own.
                (None, namespace) => (namespace, None),
            }
        }
        UserNamespace::Private => (Namespace::Private, Some(typed_maps(typed.uids, typed.gids)?)),
        UserNamespace::KeepId { uid, gid } => {
            let own = Own::find("keep-id")?.with_subordinates()?;
            let (uid, gid) = (uid.unwrap_or(own.uid), gid.unwrap_or(own.gid));
            if !typed.has_user {
                options.user = format!("{uid}:{gid}");
            }
            let ids = Ids { uids: ids::keep(uid, own.uids), gids: ids::keep(gid, own.gids), picked: false };
            (Namespace::Private, Some(ids))
        }
        UserNamespace::NoMap => {
            let own = Own::find("nomap")?.with_subordinates()?;
            let others = |count| vec![Range { inside: 0, outside: 1, count }];
            let ids = Ids { uids: others(own.uids), gids: others(own.gids), picked: false };
            (Namespace::Private, Some(ids))
        }
        UserNamespace::Auto { size, uids, gids } => {
            let count = match size {
                Some(size) => size,
                None => wanted_size(containers, options, image)?,
            };
            lock = Some(Lock::wait(&containers.store.root().join("ids.lock"))?);
            let picked = pick(containers, count)?;
            let fix = |row: &[Range], fixed: &[Range]| {
                let ranges = ids::around(row.first().map_or(0, |row| row.outside), count, fixed);
                ids::check(&ranges).map(|()| ranges).map_err(|error| error.context("--userns auto"))
            };
            let ids = Ids { uids: fix(&picked.uids, &uids)?, gids: fix(&picked.gids, &gids)?, picked: true };
            (Namespace::Private, Some(ids))
        }
    };
    options.namespaces.user = namespace;
    options.ids = ids.map(|ids| match rootless::in_user_namespace() {
        true => Ids {
            uids: ids::split(&ids.uids, &rootless::map("uid")),
            gids: ids::split(&ids.gids, &rootless::map("gid")),
            ..ids
        },
        false => ids,
    });
    Ok(lock)
}

/// `--uidmap` and `--gidmap`: one stands for both; none, without root, for all ids as they are.
fn typed_maps(uids: Vec<Range>, gids: Vec<Range>) -> Result<Ids> {
    let (uids, gids) = match (uids.is_empty(), gids.is_empty()) {
        (true, true) => {
            let own = Own::find("private").map_err(|_| {
                Error::new("--userns private needs --uidmap or --gidmap")
                    .hint("`--userns auto` picks ids that nobody has")
            })?;
            let all = |count| vec![Range { inside: 0, outside: 0, count }];
            (all(own.uids + 1), all(own.gids + 1))
        }
        (true, false) => (gids.clone(), gids),
        (false, true) => (uids.clone(), uids),
        (false, false) => (uids, gids),
    };
    ids::check(&uids).context(|| "--uidmap")?;
    ids::check(&gids).context(|| "--gidmap")?;
    Ok(Ids { uids, gids, picked: false })
}

/// An ordinary user: who he is on the machine, and how many ids he has beside his own.
struct Own {
    uid: u32,
    gid: u32,
    uids: u32,
    gids: u32,
}

impl Own {
    fn find(word: &str) -> Result<Self> {
        if !rootless::in_user_namespace() {
            return Err(Error::new(format!("--userns {word}: it is for ordinary users, and this is root")));
        }
        let of = |kind: &str| {
            let map = rootless::map(kind);
            let own = map.iter().find(|(inside, ..)| *inside == 0).map_or(0, |(_, outside, _)| *outside);
            // His subordinate ids follow his own without a gap.
            (own, map.iter().map(|(.., count)| *count).sum::<u32>().saturating_sub(1))
        };
        let ((uid, uids), (gid, gids)) = (of("uid"), of("gid"));
        Ok(Self { uid, gid, uids, gids })
    }

    fn with_subordinates(self) -> Result<Self> {
        match self.uids.min(self.gids) {
            0 => Err(Error::new("--userns: this user has no ids beside his own")
                .hint("they are given in /etc/subuid and /etc/subgid (see subuid(5)); newuidmap(1) must be installed")),
            _ => Ok(self),
        }
    }
}

/// How many ids an image needs: what its files of users and groups name, and the user.
fn wanted_size(containers: &Containers<'_>, options: &Options, image: Option<&Image>) -> Result<u32> {
    let layers = image.map(|image| image.record.layers.clone()).unwrap_or_default();
    let lower = containers.store.lower_directories(&layers)?;
    let mut texts = Vec::new();
    for name in ["/etc/passwd", "/etc/group"] {
        // The topmost layer that has one counts.
        let mut found = String::new();
        for directory in lower.iter().rev() {
            found = Root::open(directory)?.text(name, MAX_ACCOUNTS)?;
            if !found.is_empty() {
                break;
            }
        }
        texts.push(found);
    }
    let identity = users::identify(&options.user, &options.groups, &texts[0], &texts[1])
        .map_err(|error| error.exit_code(126))?;
    let highest = texts
        .iter()
        .flat_map(|text| users::ids_of(text))
        .filter(|id| *id != NOBODY && *id < AUTO.1)
        .chain([identity.uid, identity.gid])
        .chain(identity.groups)
        .max()
        .unwrap_or(0);
    Ok(highest.saturating_add(1).max(AUTO.0))
}

/// A row of ids that no other container has been given.
fn pick(containers: &Containers<'_>, count: u32) -> Result<Ids> {
    let (uids, gids) = match rootless::in_user_namespace() {
        true => {
            let own = Own::find("auto")?.with_subordinates()?;
            (vec![(1, own.uids)], vec![(1, own.gids)])
        }
        false => (rootless::subordinates("/etc/subuid", OWNER), rootless::subordinates("/etc/subgid", OWNER)),
    };
    if uids.is_empty() || gids.is_empty() {
        return Err(Error::new(format!("--userns auto: user \"{OWNER}\" has no subordinate ids")).hint(
            format!("a line like {OWNER}:2147483648:1073741824 in /etc/subuid and /etc/subgid gives some"),
        ));
    }
    let others: Vec<Ids> = containers
        .list()?
        .into_iter()
        .filter_map(|container| container.record.options.ids.filter(|ids| ids.picked))
        .collect();
    let row = |there: &[(u32, u32)], taken: &dyn Fn(&Ids) -> Vec<Range>, what: &str| {
        let taken: Vec<Range> = others.iter().flat_map(taken).collect();
        ids::pick(there, &taken, count)
            .map(|outside| vec![Range { inside: 0, outside, count }])
            .ok_or_else(|| Error::new(format!("--userns auto: no row of {count} {what} is free any more")))
    };
    Ok(Ids {
        uids: row(&uids, &|ids| ids.uids.clone(), "uids")?,
        gids: row(&gids, &|ids| ids.gids.clone(), "gids")?,
        picked: true,
    })
}
