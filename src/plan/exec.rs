//! The plan of `exec`: another process in a container that runs.
//!
//! It takes the steps of init without those that make the container. What it is made of, the container left in its state
//! when it was created ([`Template`]): nothing is compiled again, and a bundle that changed meanwhile changes nothing.

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::cgroup::{CgroupPlan, Location};
use crate::plan::listener::Listener;
use crate::plan::mounts::c_string;
use crate::plan::namespaces::{Known, Namespaces};
use crate::plan::step::{Action, Attach, Cover, Step};
use crate::plan::{Options, Place, Plan, checkpoint, process};
use crate::seccomp::Program;
use crate::spec::linux::{Linux, NamespaceKind, PersonalityDomain};
use crate::spec::scheduling::MemoryPolicy;
use crate::spec::{Capabilities, Process, Spec};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;

/// What a container leaves for `exec`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Template<'a> {
    /// Its own process, whose values count where the caller says nothing.
    pub process: Option<Cow<'a, Process>>,
    /// The kinds of namespaces that its configuration lists: all others are the runtime's.
    pub namespaces: Vec<NamespaceKind>,
    /// Those of them that were there before the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<NamespaceKind>,
    /// `linux.mountLabel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_label: Option<String>,
    /// Whether init got its root by chroot(2), which no mount namespace tells of.
    pub chroot: bool,
    /// Whether init kept the session keyring of its creator.
    pub no_new_keyring: bool,
    /// `linux.personality`.
    pub personality: Option<PersonalityDomain>,
    /// `linux.memoryPolicy`.
    pub memory_policy: Option<Cow<'a, MemoryPolicy>>,
    /// The compiled filter.
    pub seccomp: Option<Cow<'a, Program>>,
    /// Who answers the calls that it notifies of.
    pub listener: Option<Cow<'a, Listener>>,
    /// The container's directories below resctrl.
    pub resctrl: Vec<String>,
}

impl<'a> Template<'a> {
    /// What a container with this configuration and this plan leaves.
    pub fn new(spec: &'a Spec, plan: &'a Plan, no_new_keyring: bool, resctrl: Vec<String>) -> Self {
        Self {
            process: spec.process.as_ref().map(Cow::Borrowed),
            namespaces: spec.linux.namespaces.iter().map(|namespace| namespace.kind).collect(),
            joined: checkpoint::joined(&spec.linux.namespaces),
            mount_label: spec.linux.mount_label.clone().filter(|_| plan.cover.context.is_some()),
            chroot: plan.steps.iter().any(|step| matches!(step.action, Action::Chroot)),
            no_new_keyring,
            personality: spec.linux.personality.as_ref().map(|personality| personality.domain),
            memory_policy: spec.linux.memory_policy.as_ref().map(Cow::Borrowed),
            seccomp: plan.seccomp.as_ref().map(Cow::Borrowed),
            listener: plan.listener.as_ref().map(Cow::Borrowed),
            resctrl,
        }
    }
}

/// What the caller wishes of the process.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// `--process`: the document instead of the container's own.
    pub process: Option<Process>,
    /// The command; empty when the document names it.
    pub args: Vec<String>,
    /// `--tty`.
    pub terminal: bool,
    /// `--cwd`.
    pub cwd: Option<String>,
    /// `--env`, in order.
    pub env: Vec<String>,
    /// `--user`: the uid, and the gid where one is given.
    pub user: Option<(u32, Option<u32>)>,
    /// `--additional-gids`.
    pub additional_gids: Vec<u32>,
    /// `--cap`.
    pub capabilities: Vec<String>,
    /// `--no-new-privs`.
    pub no_new_privileges: bool,
    /// `--apparmor`.
    pub apparmor_profile: Option<String>,
    /// `--process-label`.
    pub selinux_label: Option<String>,
}

impl Wishes {
    /// The process: what was typed, over the document, over the container's own.
    pub fn process(self, own: Option<Process>) -> Process {
        let own = own.unwrap_or_default();
        let mut process = match self.process {
            Some(document) => complete(document, own),
            // A terminal only where it is asked for.
            None => Process { terminal: false, args: Vec::new(), ..own },
        };
        if !self.args.is_empty() {
            process.args = self.args;
        }
        process.terminal |= self.terminal;
        process.cwd = self.cwd.unwrap_or(process.cwd);
        process.env.extend(self.env);
        if let Some((uid, gid)) = self.user {
            process.user.uid = uid;
            process.user.gid = gid.unwrap_or(process.user.gid);
        }
        process.user.additional_gids.extend(self.additional_gids);
        if !self.capabilities.is_empty() {
            grant(process.capabilities.get_or_insert_default(), &self.capabilities);
        }
        process.no_new_privileges |= self.no_new_privileges;
        process.apparmor_profile = self.apparmor_profile.or(process.apparmor_profile);
        process.selinux_label = self.selinux_label.or(process.selinux_label);
        process
    }
}

/// What a document leaves out and what bounds the container holds for the process, too (as runc has it).
fn complete(document: Process, own: Process) -> Process {
    Process {
        capabilities: document.capabilities.or(own.capabilities),
        rlimits: if document.rlimits.is_empty() { own.rlimits } else { document.rlimits },
        apparmor_profile: document.apparmor_profile.or(own.apparmor_profile),
        selinux_label: document.selinux_label.or(own.selinux_label),
        oom_score_adj: document.oom_score_adj.or(own.oom_score_adj),
        exec_cpu_affinity: document.exec_cpu_affinity.or(own.exec_cpu_affinity),
        ..document
    }
}

/// Adds capabilities. Nothing becomes inheritable that was not (CVE-2022-29162), and without that nothing becomes ambient.
fn grant(sets: &mut Capabilities, names: &[String]) {
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.ambient] {
        set.extend_from_slice(names);
    }
}

/// What the plan of `exec` is made from.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its init.
    pub init: Known,
    /// Its root file system on the host.
    pub rootfs: &'a str,
    /// The cgroup of the new process.
    pub cgroup: Location,
    /// Whether the caller is in the container's user namespace already, which cannot be joined twice.
    pub in_user_namespace: bool,
    /// `--preserve-fds`.
    pub extra_descriptors: u32,
    /// The process.
    pub process: &'a Process,
}

impl<'a> Options<'a> {
    /// Those of a process that goes into a container that runs: no bundle is read, and nothing is made.
    pub(super) fn into_running(id: &'a str) -> Self {
        Self { no_new_keyring: true, ..Self::plain(id, Path::new("/")) }
    }
}

impl Plan {
    /// Decides how a process gets into a container that runs.
    ///
    /// # Errors
    /// A NUL byte in a string; a terminal for a container that has no file systems of its own.
    pub fn exec(entry: Entry<'_>, template: Template<'_>, host: &Host) -> Result<Self> {
        let options = Options {
            no_new_keyring: template.no_new_keyring,
            extra_descriptors: entry.extra_descriptors,
            has_seccomp: template.seccomp.is_some(),
            ..Options::into_running(entry.id)
        };
        let mut kinds = template.namespaces;
        kinds.retain(|kind| *kind != NamespaceKind::User || !entry.in_user_namespace);
        let process = entry.process;
        let mut plan = Self {
            seccomp: template.seccomp.map(Cow::into_owned),
            listener: template.listener.map(Cow::into_owned),
            terminal: process.terminal,
            ..Self::into_running(entry.id, &kinds, entry.init, entry.cgroup, host)?
        };
        plan.join_cgroup(Some(process), affinity(process), host);
        plan.steps.extend(plan.namespaces.steps(&Linux::default(), host.groups_denied));
        plan.steps.push(Step::own(Action::Session));
        plan.steps.extend(process::keyring(&options, host)?);
        plan.enter_root(process, template.chroot.then_some(entry.rootfs), &kinds)?;
        plan.schedule(process, template.memory_policy.as_deref(), host);
        let late = plan.become_process(process, template.personality, host, &options)?;
        plan.report_ready(&options);
        plan.execute(process, late);
        Ok(plan)
    }

    /// The plan of a process that goes into a container that runs, before anything of its own is in it.
    pub(super) fn into_running(
        id: &str,
        kinds: &[NamespaceKind],
        init: Known,
        cgroup: Location,
        host: &Host,
    ) -> Result<Self> {
        Ok(Self {
            id: id.to_owned(),
            namespaces: Namespaces::of_process(kinds, init, host),
            cgroup: CgroupPlan::existing(cgroup),
            resctrl: None,
            birthplace: None,
            source_clones: Vec::new(),
            cover: Cover::new(None)?,
            net_devices: Vec::new(),
            steps: Vec::new(),
            outside: Vec::new(),
            runtime_hooks: Vec::new(),
            poststart: Vec::new(),
            execution: None,
            seccomp: None,
            listener: None,
            terminal: false,
            notify: false,
            all_or_none: false,
            warnings: Vec::new(),
        })
    }

    /// Where the mount namespace does not do it, changes the root as init did; and opens the terminal on the way.
    fn enter_root(&mut self, process: &Process, rootfs: Option<&str>, kinds: &[NamespaceKind]) -> Result<()> {
        if process.terminal && !kinds.contains(&NamespaceKind::Mount) {
            return Err(Error::new("process.terminal: the container has no mount namespace"));
        }
        if rootfs.is_some() || process.terminal {
            let path = c_string(rootfs.unwrap_or("/"), &Place::property("root"), "path")?;
            let action = Action::Rootfs { path, attach: Attach::Nothing };
            self.steps.push(Step::of(Place::property("root.path"), action));
        }
        if process.terminal {
            self.steps.push(process::console(process, false));
        }
        if rootfs.is_some() {
            self.steps.push(Step::own(Action::Chroot));
        }
        Ok(())
    }
}

/// Which processors the process may use once it is in its cgroup. Without any wish all: the caller may be bound to a few. A
/// wish for the time before alone leaves it to the kernel what becomes of it (config.md, "execCPUAffinity").
fn affinity(process: &Process) -> Option<Step> {
    let Some(affinity) = &process.exec_cpu_affinity else { return Some(Step::own(Action::ResetAffinity)) };
    match (&affinity.initial, &affinity.final_) {
        (_, Some(list)) => {
            let action = Action::Affinity { list: list.to_string(), mask: list.mask() };
            Some(Step::of(Place::property("process.execCPUAffinity.final"), action))
        }
        (Some(_), None) => None,
        (None, None) => Some(Step::own(Action::ResetAffinity)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::cgroup::{Cgroups, Mode};

    fn host(new_mount_api: bool, uid: u32) -> Host {
        Host {
            selinux: true,
            systemd: None,
            uid,
            gid: uid,
            capabilities: if uid == 0 { u64::MAX } else { 0 },
            ignored_signals: 0,
            in_user_namespace: false,
            groups_denied: false,
            new_mount_api,
            has_kcore: false,
            cgroups: Cgroups { mode: Mode::None, hierarchies: Vec::new() },
        }
    }

    fn process() -> Process {
        Process { args: vec!["/bin/sh".into()], cwd: "/".into(), ..Process::default() }
    }

    fn plan(host: &Host, chroot: bool, terminal: bool) -> Result<Plan> {
        let kinds = if chroot { vec![NamespaceKind::Pid] } else { NamespaceKind::ALL.to_vec() };
        let template = Template {
            process: None,
            namespaces: kinds,
            joined: Vec::new(),
            mount_label: None,
            chroot,
            no_new_keyring: false,
            personality: None,
            memory_policy: None,
            seccomp: None,
            listener: None,
            resctrl: Vec::new(),
        };
        let entry = Entry {
            id: "web1",
            init: Known { pid: 42, by_pidfd: true },
            rootfs: "/b/rootfs",
            cgroup: Location { mode: Mode::None, directories: Vec::new(), unit: None },
            in_user_namespace: false,
            extra_descriptors: 2,
            process: &Process { terminal, ..process() },
        };
        Plan::exec(entry, template, host)
    }

    fn text(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| step.action.to_string()).collect()
    }

    #[test]
    fn steps_are_those_of_init_without_what_makes_the_container() {
        let plan = plan(&host(true, 0), false, true).unwrap();
        let expected = [
            "allow every processor",
            "forbid others to trace init",
            "join the namespaces",
            "become root of the user namespace, without groups",
            "make a session",
            "join session keyring \"_ses.web1\"",
            "take \"/\" as root file system",
            "open the console",
            "close descriptors from 5 on",
            "set umask to 0022",
            "keep bounding capabilities []",
            "change directory to \"/\"",
            "become user 0, group 0, no other groups",
            "set capabilities: effective and permitted [], inheritable [], ambient []",
            "look up the home of user 0",
            "find the program",
            "reset the signals",
            "report ready",
            "execute the program",
        ];
        assert_eq!(text(&plan), expected);
        assert!(!plan.namespaces.middle && plan.namespaces.join.is_empty());
    }

    #[test]
    fn namespaces_are_joined_by_file_where_the_kernel_is_old_and_by_a_process_in_between_without_root() {
        let old = plan(&host(false, 0), false, false).unwrap().namespaces;
        let paths: Vec<_> = old.join.iter().map(|join| join.path.to_str().unwrap()).collect();
        assert!(paths.contains(&"/proc/42/ns/mnt") && paths.contains(&"/proc/42/ns/net"), "{paths:?}");
        assert_eq!((old.of_process, old.middle), (0, false));
        assert!(plan(&host(true, 1000), false, false).unwrap().namespaces.middle);
        let rootless = Host { in_user_namespace: true, ..host(true, 0) };
        assert!(plan(&rootless, false, false).unwrap().namespaces.middle);
    }

    #[test]
    fn root_of_a_container_without_a_mount_namespace_is_entered() {
        let steps = text(&plan(&host(true, 0), true, false).unwrap());
        assert!(steps.contains(&"take \"/b/rootfs\" as root file system".to_owned()), "{steps:?}");
        assert!(steps.contains(&"chroot into the root file system".to_owned()), "{steps:?}");
        let error = plan(&host(true, 0), true, true).unwrap_err();
        assert_eq!(error.to_string(), "process.terminal: the container has no mount namespace");
    }

    #[test]
    fn what_was_typed_goes_over_the_document_and_that_over_the_containers_own() {
        let own = Process {
            terminal: true,
            env: vec!["A=1".into()],
            user: crate::spec::User { uid: 7, gid: 8, ..Default::default() },
            apparmor_profile: Some("own".into()),
            oom_score_adj: Some(5),
            ..process()
        };
        let wishes = Wishes {
            env: vec!["B=2".into()],
            user: Some((1, None)),
            args: vec!["x".into()],
            ..Wishes::default()
        };
        let made = wishes.clone().process(Some(own.clone()));
        assert_eq!(
            (made.args, made.env, made.terminal),
            (vec!["x".into()], vec!["A=1".into(), "B=2".into()], false)
        );
        assert_eq!((made.user.uid, made.user.gid, made.oom_score_adj), (1, 8, Some(5)));

        let document =
            Process { cwd: "/d".into(), env: vec!["C=3".into()], terminal: true, ..Process::default() };
        let made = Wishes { process: Some(document), ..wishes }.process(Some(own));
        assert_eq!((made.cwd.as_str(), made.terminal), ("/d", true));
        assert_eq!(made.env, ["C=3", "B=2"]);
        assert_eq!((made.user.uid, made.user.gid), (1, 0));
        assert_eq!((made.apparmor_profile.as_deref(), made.oom_score_adj), (Some("own"), Some(5)));
    }
}
