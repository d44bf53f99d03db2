//! `NOTIFY_SOCKET`: where the program tells its supervisor that it is ready, sd_notify(3).
//!
//! The runtime has a socket of its own in the container's state directory, and passes on what it hears there. The program sees
//! that directory, read-only, and not the socket: so it may be bound after the mount was made.

use crate::error::Result;
use crate::host::Host;
use crate::plan::Plan;
use crate::plan::mount_options::{Attributes, attribute};
use crate::plan::mounts::c_string;
use crate::plan::namespaces::Namespaces;
use crate::plan::step::{Action, Bind, Ids, Kind, Mount, SourceClone, Step};
use crate::plan::{Options, Place};
use crate::spec::Spec;
use crate::spec::linux::NamespaceKind;
use std::path::Path;

const TARGET: &str = "run/notify";
const VARIABLE: &str = "NOTIFY_SOCKET=/run/notify/notify.sock";

/// Whether the program gets a socket: it needs a program, and a mount namespace for the directory.
pub(super) fn decide(plan: &mut Plan, options: &mut Options<'_>, spec: &Spec) {
    if options.notify.is_none() {
        return;
    }
    plan.notify = spec.process.is_some() && plan.namespaces.separates(NamespaceKind::Mount);
    if plan.notify {
        options.extra_environment.push(VARIABLE.to_owned());
    } else {
        options.notify = None;
        plan.warnings
            .push("NOTIFY_SOCKET: not passed on, which needs a program and a mount namespace".into());
    }
}

/// The step that mounts the directory.
pub(super) fn mount(
    directory: &Path,
    namespaces: &Namespaces,
    host: &Host,
    clones: &mut Vec<SourceClone>,
) -> Result<Step> {
    let source = c_string(&directory.to_string_lossy(), &Place::NONE, "NOTIFY_SOCKET")?;
    // Root of a user namespace may not reach it, unless it is the caller himself.
    let by_parent = namespaces.separates(NamespaceKind::User) && host.privileged() && host.new_mount_api;
    let mut bind = Bind {
        source,
        or_source: None,
        recursive: false,
        clone: None,
        id_mapped: false,
        must_be_proc: false,
    };
    if by_parent {
        bind.clone = Some(clones.len());
        clones.push(SourceClone {
            source: bind.source.clone(),
            recursive: false,
            map_recursive: false,
            ids: Ids::AsTheyAre,
            only_if_closed: false,
            place: Place::NONE,
        });
    }
    let set = attribute::RDONLY | attribute::NOSUID | attribute::NODEV | attribute::NOEXEC;
    Ok(Step::own(Action::Mount(Box::new(Mount {
        target: c_string(TARGET, &Place::NONE, "")?,
        kind: Kind::Bind(bind),
        attributes: Attributes { set, ..Attributes::default() },
        recursive: Attributes::default(),
        propagation: Vec::new(),
        may_cover_proc: false,
    }))))
}
