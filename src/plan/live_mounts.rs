//! `mounts add` and `mounts remove`: the steps of a process that enters a container that runs and changes its mounts, all of
//! them or none.
//!
//! What is bound is cloned outside before, since inside its path would be the container's; the rest are the steps of
//! `create`.

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::cgroup::Location;
use crate::plan::exec::Template;
use crate::plan::mounts::{Context, c_string, for_file_systems, target_of};
use crate::plan::namespaces::Known;
use crate::plan::step::{Action, Attach, Ids, Kind, Mount, SourceClone, Step};
use crate::plan::{Options, Place, Plan};
use crate::spec;
use crate::spec::linux::{Linux, NamespaceKind};
use std::path::Path;

/// The container whose mounts are changed.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its init.
    pub init: Known,
    /// Its bundle, which sources of bind mounts are relative to.
    pub bundle: &'a Path,
    /// Whether the caller is in its user namespace already.
    pub in_user_namespace: bool,
}

impl Plan {
    /// Decides how mounts are added.
    ///
    /// # Errors
    /// What only `create` can mount; each with its place.
    pub fn add_mounts(
        live: Live<'_>,
        template: Template<'_>,
        mounts: &[spec::Mount],
        host: &Host,
    ) -> Result<Self> {
        let label = template.mount_label.clone();
        let mut plan = Self::live(live, template, host)?;
        let (options, location) = (options(live), nowhere());
        let context = Context {
            host,
            options: &options,
            label: label.as_deref(),
            id_maps: (&[], &[]),
            joins_user_namespace: false,
            separates_user_namespace: false,
            cgroups: &location,
            cgroup_namespace: false,
        };
        for (index, mount) in mounts.iter().enumerate() {
            let place = Place::element("mounts", index);
            if let Some(words) = for_file_systems(mount) {
                let problem = "bind mounts cannot have any filesystem-specific options applied";
                return Err(Error::new(format!("{place}.options: {words:?}: {problem}")));
            }
            let mut decided = Mount::decide(mount, &place, &context, &mut plan.source_clones)?;
            if let Some(problem) = refusal(&mut decided) {
                return Err(Error::new(format!("{place}: {problem}")));
            }
            if let Kind::Bind(bind) = &mut decided.kind
                && bind.clone.is_none()
            {
                bind.clone = Some(plan.source_clones.len());
                plan.source_clones.push(SourceClone {
                    source: bind.source.clone(),
                    recursive: bind.recursive,
                    map_recursive: false,
                    ids: Ids::AsTheyAre,
                    only_if_closed: false,
                    place: place.clone(),
                });
            }
            plan.steps.push(Step::of(place, Action::Mount(Box::new(decided))));
        }
        plan.report_ready(&options);
        Ok(plan)
    }

    /// Decides how mounts are removed, the last one first. A mount below `/proc` or `/sys` hides something, and stays.
    ///
    /// # Errors
    /// A destination that is none; each with its place.
    pub fn remove_mounts(
        live: Live<'_>,
        template: Template<'_>,
        mounts: &[spec::Mount],
        host: &Host,
    ) -> Result<Self> {
        let mut plan = Self::live(live, template, host)?;
        for (index, mount) in mounts.iter().enumerate().rev() {
            let place = Place::element("mounts", index);
            let target = target_of(&mount.destination);
            if matches!(target.split('/').next(), Some("" | "proc" | "sys")) {
                let destination = &mount.destination;
                return Err(Error::new(format!("{place}.destination: {destination:?} cannot be removed")));
            }
            let target = c_string(&target, &place, "destination")?;
            plan.steps.push(Step::of(place, Action::Unmount(target)));
        }
        plan.report_ready(&options(live));
        Ok(plan)
    }

    /// The way into the container.
    fn live(live: Live<'_>, template: Template<'_>, host: &Host) -> Result<Self> {
        let mut kinds = template.namespaces;
        if !kinds.contains(&NamespaceKind::Mount) || template.chroot {
            return Err(Error::new("the container has no mount namespace of its own"));
        }
        if !host.new_mount_api {
            return Err(Error::new("this kernel lacks mount_setattr(2), which came with Linux 5.12"));
        }
        kinds.retain(|kind| *kind != NamespaceKind::User || !live.in_user_namespace);
        let entered = Self::into_running(live.id, &kinds, live.init, nowhere(), host)?;
        let mut plan = Self { all_or_none: true, ..entered };
        plan.steps = plan.namespaces.steps(&Linux::default(), host.groups_denied);
        plan.steps.push(Step::own(Action::Rootfs { path: c"/".to_owned(), attach: Attach::Nothing }));
        Ok(plan)
    }
}

/// Why a mount cannot be made in a container that runs. The host's own `/sys`, which may take the place of a new one, is not
/// in sight there.
fn refusal(mount: &mut Mount) -> Option<&'static str> {
    if mount.target.is_empty() {
        return Some("nothing can be mounted on the root of a container that runs");
    }
    match &mut mount.kind {
        Kind::Remount { .. } => Some("remount adds no mount"),
        Kind::Filesystem(filesystem) if filesystem.kind.as_bytes() == b"cgroup" => {
            Some("only create mounts cgroups")
        }
        Kind::Filesystem(filesystem) if filesystem.old_call || filesystem.label.is_some() => {
            Some("only create can mount with these options")
        }
        Kind::Filesystem(filesystem) => {
            filesystem.fallback = None;
            None
        }
        Kind::Bind(_) => None,
    }
}

fn nowhere() -> Location {
    Location { mode: crate::host::cgroup::Mode::None, directories: Vec::new(), unit: None }
}

fn options(live: Live<'_>) -> Options<'_> {
    Options { bundle: live.bundle, ..Options::into_running(live.id) }
}
