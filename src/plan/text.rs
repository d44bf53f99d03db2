//! The plan as `corten plan` prints it: every step in order, who takes it, and the place in `config.json` it comes from.

use crate::plan::namespaces::{MapWriter, clone_flag};
use crate::plan::step::Action;
use crate::plan::{Place, Plan, cgroup};
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
    for step in plan.cgroup.steps() {
        let place = match step {
            cgroup::Step::Write(write, _) => write.place.to_string(),
            cgroup::Step::Devices(..) => "linux.resources.devices".to_owned(),
            _ => String::new(),
        };
        lines.add("runtime", step.to_string(), place);
    }
    for mount in &plan.id_mapped {
        lines.runtime(format!("map the ids of \"{}\"", mount.source.to_string_lossy()), &mount.place);
    }
    clone(plan, &mut lines);
    for step in &plan.steps {
        match &step.action {
            Action::RuntimeHooks => {
                for hook in &plan.runtime_hooks {
                    lines.runtime(hook.to_string(), &hook.place);
                }
            }
            Action::Ready => {
                lines.add("init", step.action.to_string(), String::new());
                lines.runtime("record that it is created".to_owned(), &Place::NONE);
            }
            action => lines.add("init", action.to_string(), step.place.to_string()),
        }
    }
    for hook in &plan.poststart {
        lines.runtime(hook.to_string(), &hook.place);
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
        self.add("runtime", action, place.to_string());
    }

    fn add(&mut self, actor: &'static str, action: String, place: String) {
        self.0.push(Line { step: self.0.len() + 1, actor, action, place });
    }
}

/// The clone, the namespaces around it and the id maps.
fn clone(plan: &Plan, lines: &mut Lines) {
    let namespaces = &plan.namespaces;
    for join in namespaces.join.iter().filter(|join| shows_in_children(join.kind) && !namespaces.middle) {
        let path = join.path.to_string_lossy();
        lines.runtime(format!("join {} namespace {path} for init", join.kind), &join.place);
    }
    if let Some(offsets) = &namespaces.time_offsets {
        let text = format!("make a time namespace with offsets {}", offsets.trim_end().replace('\n', ", "));
        lines.runtime(text, &Place::property("linux.timeOffsets"));
    }
    let kinds: Vec<&str> = NamespaceKind::ALL
        .iter()
        .filter(|kind| namespaces.create & clone_flag(**kind) != 0)
        .map(|kind| kind.word())
        .collect();
    let with =
        if kinds.is_empty() { String::new() } else { format!(" in new namespaces: {}", kinds.join(", ")) };
    let between = if namespaces.middle { " by a process in between" } else { "" };
    lines.runtime(format!("clone init{between}{with}"), &Place::property("linux.namespaces"));
    if let Some(maps) = &namespaces.id_maps {
        let by = match maps.writer {
            MapWriter::Privileged => "",
            MapWriter::OwnId => ", its own id alone",
            MapWriter::Helpers => " by newuidmap and newgidmap",
        };
        let text = |map: &str| map.trim_end().replace('\n', ", ");
        lines.runtime(format!("map uids {}{by}", text(&maps.uid)), &Place::property("linux.uidMappings"));
        lines.runtime(format!("map gids {}{by}", text(&maps.gid)), &Place::property("linux.gidMappings"));
    }
}

fn shows_in_children(kind: NamespaceKind) -> bool {
    matches!(kind, NamespaceKind::Pid | NamespaceKind::Time)
}
