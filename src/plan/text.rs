//! The plan as `corten plan` prints it: every step in order, who takes it, and the place in `config.json` it comes from.

use crate::plan::namespaces::{Join, MapWriter, clone_flag};
use crate::plan::resctrl::{self, Resctrl};
use crate::plan::step::{Action, Ids};
use crate::plan::{Place, Plan, cgroup, details};
use crate::spec::linux::NamespaceKind;
use serde::Serialize;
use std::fmt::Write;

/// One step as a user reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its number, from 1.
    pub step: usize,
    /// `runtime` or `init`.
    pub actor: &'static str,
    /// What is done.
    pub action: String,
    /// Where in `config.json` it comes from; left out for the runtime's own steps.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
}

/// The steps in the order in which they are taken. While init works the runtime waits, so that one list tells all.
pub fn lines(plan: &Plan) -> Vec<Line> {
    let mut lines = Lines(Vec::new());
    lines.runtime(format!("record container {:?}", plan.id), &Place::NONE);
    let is_unit = plan.cgroup.location.unit.is_some();
    if !is_unit {
        cgroup_lines(plan, &mut lines);
    }
    for (words, place) in plan.resctrl.iter().flat_map(Resctrl::lines) {
        lines.runtime(words, &place);
    }
    source_clone_lines(plan, &mut lines);
    if let Some(directory) = &plan.birthplace {
        lines.runtime(format!("enter {directory:?}, where init is born"), &Place::property("root.path"));
    }
    clone_lines(plan, &mut lines);
    if is_unit {
        cgroup_lines(plan, &mut lines);
    }
    for step in &plan.steps {
        match &step.action {
            Action::JoinNamespaces => join_lines(plan, &mut lines),
            Action::AwaitIdMaps => id_map_lines(plan, &mut lines),
            Action::NetDevices => {
                for device in &plan.net_devices {
                    lines.runtime(device.to_string(), &device.place);
                }
            }
            Action::RuntimeHooks => {
                for hook in &plan.runtime_hooks {
                    lines.runtime(details::hook(hook), &hook.place);
                }
            }
            Action::Ready => {
                lines.init(step.action.to_string(), &Place::NONE);
                for step in &plan.outside {
                    lines.runtime(format!("{} for init", step.action), &step.place);
                }
                if let Some(resctrl) = &plan.resctrl {
                    lines.runtime(format!("put init into {resctrl}"), &resctrl::PLACE);
                }
                lines.runtime("record that it is created".to_owned(), &Place::NONE);
            }
            Action::Seccomp => {
                lines.init(details::action(plan, &step.action), &step.place);
                if let Some(listener) = &plan.listener {
                    let text = format!("send the listener of the filter to {:?}", listener.path);
                    lines.runtime(text, &Place::property("linux.seccomp.listenerPath"));
                }
            }
            action => lines.init(details::action(plan, action), &step.place),
        }
    }
    for hook in &plan.poststart {
        lines.runtime(details::hook(hook), &hook.place);
    }
    lines.0
}

/// The steps as a table for people.
pub fn table(plan: &Plan) -> String {
    let mut text = String::new();
    for Line { step, actor, action, place } in lines(plan) {
        let line = if place.is_empty() {
            format!("{step:4}  {actor:7}  {action}")
        } else {
            format!("{step:4}  {actor:7}  {action}  <- {place}")
        };
        let _infallible = writeln!(text, "{line}");
    }
    text
}

struct Lines(Vec<Line>);

impl Lines {
    fn runtime(&mut self, action: String, place: &Place) {
        self.add("runtime", action, place);
    }

    fn init(&mut self, action: String, place: &Place) {
        self.add("init", action, place);
    }

    fn add(&mut self, actor: &'static str, action: String, place: &Place) {
        self.0.push(Line { step: self.0.len() + 1, actor, action, place: place.to_string() });
    }
}

fn source_clone_lines(plan: &Plan, lines: &mut Lines) {
    for mount in &plan.source_clones {
        let source = mount.source.to_string_lossy();
        let below = if mount.map_recursive { " and all below it" } else { "" };
        let as_told = match &mount.ids {
            Ids::Mapped(maps) => format!("uids {}; gids {}", one_line(&maps.uid), one_line(&maps.gid)),
            Ids::OfJoined => "as in the user namespace that is joined".to_owned(),
            Ids::AsTheyAre if mount.only_if_closed => {
                lines.runtime(format!("open {source:?} for init, if the way there is closed"), &mount.place);
                continue;
            }
            Ids::AsTheyAre => {
                lines.runtime(format!("open {source:?} for init"), &mount.place);
                continue;
            }
        };
        lines.runtime(format!("map the ids of {source:?}{below}: {as_told}"), &mount.place);
    }
}

fn cgroup_lines(plan: &Plan, lines: &mut Lines) {
    for step in plan.cgroup.steps() {
        let place = match step {
            cgroup::Step::Write(write, _) => &write.place,
            cgroup::Step::Devices(..) => &plan.cgroup.devices_place,
            _ => &Place::NONE,
        };
        let is_optional = matches!(step, cgroup::Step::Make(_)) && plan.cgroup.tolerate_permission;
        let permitted = if is_optional { " (if permitted)" } else { "" };
        lines.runtime(format!("{step}{permitted}"), place);
    }
}

/// The clone, and the namespaces that must be entered before it.
fn clone_lines(plan: &Plan, lines: &mut Lines) {
    let namespaces = &plan.namespaces;
    if namespaces.middle {
        lines.runtime("clone a process in between, which joins namespaces".to_owned(), &Place::NONE);
        for join in in_order(&namespaces.join) {
            lines.runtime(format!("let it join {}", namespace(join)), &join.place);
        }
    } else {
        for join in namespaces.join.iter().filter(|join| shows_in_children(join.kind)) {
            lines.runtime(format!("enter {} for the clone", namespace(join)), &join.place);
        }
    }
    if let Some(offsets) = &namespaces.time_offsets {
        let text = format!("make a time namespace with offsets (s, ns) {}", one_line(offsets));
        lines.runtime(text, &Place::property("linux.timeOffsets"));
    }
    let kinds: Vec<&str> = NamespaceKind::ALL
        .iter()
        .filter(|kind| namespaces.create & clone_flag(**kind) != 0)
        .map(|kind| kind.word())
        .collect();
    let from = if namespaces.middle { " from there" } else { "" };
    let cgroup = &plan.cgroup.location;
    let is_born_there = cgroup.unified().is_some() && cgroup.unit.is_none();
    let cgroup = if is_born_there { " into its cgroup" } else { "" };
    if kinds.is_empty() {
        lines.runtime(format!("clone init{from}{cgroup}"), &Place::NONE);
    } else {
        let place = Place::property("linux.namespaces");
        lines.runtime(format!("clone init{from}{cgroup}, in new namespaces: {}", kinds.join(", ")), &place);
    }
    if plan.steps.iter().any(|step| matches!(step.action, Action::Rlimit(_))) {
        let text = "raise hard limits of init that are below its program's".to_owned();
        lines.runtime(text, &Place::property("process.rlimits"));
    }
}

/// What init joins itself; the process in between has joined everything.
fn join_lines(plan: &Plan, lines: &mut Lines) {
    let joins = || in_order(&plan.namespaces.join).filter(|join| !shows_in_children(join.kind));
    for join in joins().filter(|_| !plan.namespaces.middle) {
        lines.init(format!("join {}", namespace(join)), &join.place);
    }
}

fn id_map_lines(plan: &Plan, lines: &mut Lines) {
    let Some(maps) = &plan.namespaces.id_maps else { return };
    lines.init(Action::AwaitIdMaps.to_string(), &Place::NONE);
    if maps.writer == MapWriter::OwnId {
        lines.runtime("deny init setgroups(2)".to_owned(), &Place::NONE);
    }
    let by = |helper: &str| match maps.writer {
        MapWriter::Helpers => format!(" by {helper}"),
        MapWriter::Privileged | MapWriter::OwnId => String::new(),
    };
    let text = format!("map uids {}{}", one_line(&maps.uid), by("newuidmap"));
    lines.runtime(text, &Place::property("linux.uidMappings"));
    let text = format!("map gids {}{}", one_line(&maps.gid), by("newgidmap"));
    lines.runtime(text, &Place::property("linux.gidMappings"));
}

/// As they are joined: the user namespace last, since it changes what the caller's rights reach.
fn in_order(joins: &[Join]) -> impl Iterator<Item = &Join> {
    let is_user = |join: &&Join| join.kind == NamespaceKind::User;
    joins.iter().filter(move |join| !is_user(join)).chain(joins.iter().filter(is_user))
}

fn namespace(join: &Join) -> String {
    format!("{} namespace {:?}", join.kind, join.path.to_string_lossy())
}

fn shows_in_children(kind: NamespaceKind) -> bool {
    matches!(kind, NamespaceKind::Pid | NamespaceKind::Time)
}

fn one_line(text: &str) -> String {
    text.trim_end().replace('\n', ", ")
}
