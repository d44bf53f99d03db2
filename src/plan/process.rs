//! Who the container's process is and what it runs: user, groups, capabilities, working directory, program, environment.
//!
//! config.md, "Process"; credentials(7), capabilities(7), execve(2). The order of the steps is that of least damage: what
//! needs privileges first, then the identity, then what ends privileges.

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::mounts::c_string;
use crate::plan::namespaces::Namespaces;
use crate::plan::step::{Action, Capabilities, Hook, HookEnvironment, Rlimit, Step};
use crate::plan::strings::StringList;
use crate::plan::{Options, Place, mounts};
use crate::spec::linux::PersonalityDomain;
use crate::spec::{self, Process, capabilities};
use std::ffi::CString;
use std::time::Duration;

/// What execve(2) gets.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    /// `argv`.
    pub arguments: StringList,
    /// `envp`; a last entry `HOME=` is filled in by init when `find_home`.
    pub environment: StringList,
    /// The files to try, in order: `args[0]` itself, or below each entry of the container's `PATH`.
    pub candidates: Vec<CString>,
    /// Whether `args[0]` was looked up in `PATH`, for the words of the error.
    pub searched: bool,
    /// Whether `HOME` must be looked up in the container.
    pub find_home: bool,
}

/// The steps of the process, and what the parent must know of it.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Steps that make init the user.
    pub become_user: Vec<Step>,
    /// Capabilities that the container asks for and the caller does not have.
    pub missing: Vec<&'static str>,
    /// The step that gives up capabilities only after the start, when a seccomp program must be loaded with
    /// `CAP_SYS_ADMIN`.
    pub late: Option<Step>,
}

const CAP_SYS_ADMIN: u64 = 1 << 21;

impl Identity {
    /// Decides the steps of the process.
    ///
    /// # Errors
    /// A NUL byte in a string.
    pub fn decide(
        process: &Process,
        namespaces: &Namespaces,
        host: &Host,
        options: &Options<'_>,
    ) -> Result<Self> {
        let user = &process.user;
        let cwd = mounts::c_string(&process.cwd, &Place::property("process"), "cwd")?;
        let sets = process.capabilities.as_ref();
        let available = namespaces.available_capabilities(host);
        let bits = |names: fn(&spec::Capabilities) -> &Vec<String>| {
            sets.map_or(0, |sets| set_of(names(sets)) & available)
        };
        let mut identity =
            Self { missing: names_of(sets.map_or(0, all_sets) & !available), ..Self::default() };
        let steps = &mut identity.become_user;
        let umask = Action::Umask(user.umask.unwrap_or(0o022));
        let asked = |property, is_asked| if is_asked { Place::property(property) } else { Place::NONE };
        steps.push(Step::of(asked("process.user.umask", user.umask.is_some()), umask));
        let place = asked("process.capabilities", sets.is_some());
        let keep = bits(|sets| &sets.bounding);
        steps.push(Step::of(place.clone(), Action::BoundingSet { keep }));
        steps.push(Step::of(Place::property("process.cwd"), Action::WorkingDirectory(cwd.clone())));
        let groups = namespaces.groups_allowed(host).then(|| user.additional_gids.clone());
        if groups.is_none() && !user.additional_gids.is_empty() {
            return Err(Error::new(
                "process.user.additionalGids: cannot be set, since setgroups(2) is denied in the user namespace",
            ));
        }
        let action = Action::User { uid: user.uid, gid: user.gid, groups, cwd };
        steps.push(Step::of(Place::property("process.user"), action));
        let wanted = Capabilities {
            effective: bits(|sets| &sets.effective),
            permitted: bits(|sets| &sets.permitted),
            inheritable: bits(|sets| &sets.inheritable),
            ambient: bits(|sets| &sets.ambient),
        };
        // Without no_new_privs the filter can only be loaded with CAP_SYS_ADMIN, and it must be loaded last: so that one
        // capability is kept until then, and nothing else that the container does not get.
        if options.has_seccomp && !process.no_new_privileges {
            let held = Capabilities {
                effective: wanted.effective | CAP_SYS_ADMIN,
                permitted: wanted.permitted | CAP_SYS_ADMIN,
                inheritable: wanted.inheritable,
                ambient: 0,
            };
            steps.push(Step::of(place.clone(), Action::Capabilities(held)));
            identity.late = Some(Step::of(place, Action::Capabilities(wanted)));
        } else {
            steps.push(Step::of(place, Action::Capabilities(wanted)));
        }
        Ok(identity)
    }
}

impl Execution {
    /// Decides program, arguments and environment.
    ///
    /// # Errors
    /// A NUL byte in a string.
    pub fn decide(process: &Process, extra_environment: &[String]) -> Result<Self> {
        let mut environment: Vec<&str> = Vec::with_capacity(process.env.len() + 2);
        let entries = || process.env.iter().chain(extra_environment).map(String::as_str);
        let name = |entry: &str| entry.split_once('=').map_or(entry.len(), |(name, _)| name.len());
        // The last of several entries wins and keeps its place; looked up in a map, since a thousand entries are usual.
        let mut last = std::collections::BTreeMap::new();
        for (index, entry) in entries().enumerate() {
            last.insert(&entry[..name(entry)], index);
        }
        let mut path = None;
        let mut home = false;
        for (index, entry) in entries().enumerate() {
            if last.get(&entry[..name(entry)]) != Some(&index) {
                continue;
            }
            match entry.split_once('=') {
                Some(("PATH", value)) => path = Some(value),
                Some(("HOME", "")) => continue,
                Some(("HOME", _)) => home = true,
                _ => {}
            }
            environment.push(entry);
        }
        if !home {
            environment.push("HOME=/");
        }
        let program = process.args.first().map_or("", String::as_str);
        let searched = !program.contains('/');
        let place = Place::property("process");
        let candidates = if searched {
            let directories = path.into_iter().flat_map(|path| path.split(':'));
            directories
                .map(|directory| if directory.is_empty() { "." } else { directory })
                .map(|directory| c_string(&format!("{directory}/{program}"), &place, "args[0]"))
                .collect::<Result<_>>()?
        } else {
            vec![c_string(program, &place, "args[0]")?]
        };
        Ok(Self {
            arguments: StringList::new(process.args.iter().map(String::as_str)),
            environment: StringList::new(environment),
            candidates,
            searched,
            find_home: !home,
        })
    }
}

/// The step that opens the terminal of a process.
pub fn console(process: &Process, on_dev_console: bool) -> Step {
    let size = process.console_size.as_ref().and_then(|size| {
        let rows = u16::try_from(size.height).ok()?;
        let columns = u16::try_from(size.width).ok()?;
        (rows > 0 && columns > 0).then_some((rows, columns))
    });
    Step::of(Place::property("process.terminal"), Action::Console { size, on_dev_console })
}

/// The steps that set the resource limits; of several for one resource the last wins.
pub fn rlimits(process: &Process) -> impl Iterator<Item = Step> + '_ {
    process.rlimits.iter().enumerate().map(|(index, limit)| {
        let action = Action::Rlimit(Rlimit {
            // Declared in the kernel's order (asm-generic/resource.h).
            resource: limit.kind as u32,
            kind: limit.kind,
            soft: limit.soft,
            hard: limit.hard,
        });
        Step::of(Place::element("process.rlimits", index), action)
    })
}

/// Decides the hooks of one kind, in the environment and the directory of whoever runs them where nothing else is listed.
///
/// # Errors
/// A NUL byte in a path.
pub fn hooks(hooks: &[spec::Hook], path: &'static str, status: spec::Status) -> Result<Vec<Hook>> {
    let decide = |(index, hook): (usize, &spec::Hook)| {
        let place = Place::element(path, index);
        let arguments = if hook.args.is_empty() {
            StringList::new([hook.path.as_str()])
        } else {
            StringList::new(hook.args.iter().map(String::as_str))
        };
        let list = |env: &Vec<String>| StringList::new(env.iter().map(String::as_str));
        Ok(Hook {
            path: c_string(&hook.path, &place, "path")?,
            arguments,
            environment: hook
                .env
                .as_ref()
                .map_or(HookEnvironment::Callers, |env| HookEnvironment::Listed(list(env))),
            directory: None,
            timeout: hook.timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
            status,
            place,
        })
    };
    hooks.iter().enumerate().map(decide).collect()
}

/// The kernel's number of a personality (linux/personality.h).
pub fn personality(domain: PersonalityDomain) -> u32 {
    match domain {
        PersonalityDomain::Linux => 0x0000,
        PersonalityDomain::Linux32 => 0x0008,
    }
}

/// Every capability of any set but the bounding one, which only takes away.
fn all_sets(sets: &spec::Capabilities) -> u64 {
    [&sets.effective, &sets.permitted, &sets.inheritable, &sets.ambient]
        .iter()
        .fold(0, |all, names| all | set_of(names))
}

fn names_of(set: u64) -> Vec<&'static str> {
    let named = capabilities::NAMES.iter().enumerate().filter(|(number, _)| set >> number & 1 == 1);
    named.map(|(_, name)| *name).collect()
}

/// The bits of known names; unknown ones were warned of when the configuration was read.
fn set_of(names: &[String]) -> u64 {
    names.iter().filter_map(|name| capabilities::number(name)).fold(0, |set, number| set | 1 << number)
}

/// The steps that need the rights of root in the container's namespaces: names, keys, scheduling.
///
/// # Errors
/// A NUL byte in a string.
pub fn session(spec: &spec::Spec, options: &Options<'_>, host: &Host) -> Result<Vec<Step>> {
    let mut steps = vec![Step::own(Action::Session)];
    steps.extend(keyring(options, host)?);
    if let Some(hostname) = &spec.hostname {
        let action = Action::Hostname(hostname.clone().into_bytes());
        steps.push(Step::of(Place::property("hostname"), action));
    }
    if let Some(domainname) = &spec.domainname {
        let action = Action::Domainname(domainname.clone().into_bytes());
        steps.push(Step::of(Place::property("domainname"), action));
    }
    Ok(steps)
}

/// The step into the container's session keyring, which its processes share.
///
/// # Errors
/// A NUL byte in the id.
pub fn keyring(options: &Options<'_>, host: &Host) -> Result<Option<Step>> {
    if options.no_new_keyring {
        return Ok(None);
    }
    let name = c_string(&format!("_ses.{}", options.id), &Place::NONE, "id")?;
    // Search for the user; in a user namespace for others, since the owner is not the one inside.
    let permissions = if host.in_user_namespace { 0x8 } else { 0x8_0000 };
    Ok(Some(Step::own(Action::Keyring { name, permissions })))
}
