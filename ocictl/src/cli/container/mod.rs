//! `ocictl container …`: the lives of containers.

mod commit;
mod copy;
mod exec;
mod healthcheck;
mod inspect;
mod life;
mod lifecycle;
mod limits;
mod list;
mod logs;
mod program;
mod resources;
mod run;
mod shape;
mod wait;

use super::{Family, Invocation, SUCCESS, Verb, verb};
use crate::container::Containers;
use crate::container::parse::Surroundings;
use crate::container::record::Container;
use crate::error::{Error, Result};
use crate::given;

pub(super) use lifecycle::{PRUNE_FILTERS, prune_stopped};

pub use crate::container::init::{NAME as INIT_NAME, main as init};
pub use crate::container::monitor::main as monitor;
pub use crate::container::monitor::session::main as session;

/// The family.
pub const FAMILY: Family = Family {
    name: "container",
    aliases: &[],
    about: "Run programs in containers",
    verbs: &[
        Verb {
            name: "run",
            aliases: &[],
            short: &["run"],
            about: "Create a container and start it",
            grammar: run::grammar,
            run: run::run,
        },
        Verb {
            name: "create",
            aliases: &[],
            short: &["create"],
            about: "Create a container that waits for start",
            grammar: run::create_grammar,
            run: run::create,
        },
        verb!("start", [], short["start"], "Start containers", run::Start, run::start),
        verb!("attach", [], short["attach"], "Attach to a running container", run::Attach, run::attach),
        verb!(
            "stop",
            [],
            short["stop"],
            "Ask containers to end, and end them when they do not",
            lifecycle::Stop,
            lifecycle::stop
        ),
        verb!(
            "restart",
            [],
            short["restart"],
            "Stop containers and start them again",
            lifecycle::Restart,
            lifecycle::restart
        ),
        verb!("kill", [], short["kill"], "Send a signal to containers", lifecycle::Kill, lifecycle::kill),
        verb!("rm", ["remove"], short["rm"], "Remove containers", lifecycle::Remove, lifecycle::remove),
        verb!(
            "wait",
            [],
            short["wait"],
            "Wait until containers end, or something else, and print their exit codes",
            wait::Wait,
            wait::wait
        ),
        verb!("pause", [], short["pause"], "Freeze containers", lifecycle::Names, lifecycle::pause),
        verb!(
            "unpause",
            [],
            short["unpause"],
            "Let frozen containers go on",
            lifecycle::Names,
            lifecycle::unpause
        ),
        verb!(
            "rename",
            [],
            short["rename"],
            "Give a container another name",
            lifecycle::Rename,
            lifecycle::rename
        ),
        verb!("prune", [], short [], "Remove all containers that do not run", lifecycle::Prune, lifecycle::prune),
        verb!("ls", ["ps", "list"], short["ps"], "List containers", list::Arguments, list::list),
        verb!("inspect", [], short [], "Print all that is known of containers", inspect::Arguments, inspect::inspect),
        verb!(
            "show",
            [],
            short["inspect"],
            "Print all that is known of containers, images or volumes",
            inspect::Any,
            inspect::any
        ),
        verb!("logs", [], short["logs"], "Print what a container has printed", logs::Arguments, logs::logs),
        Verb {
            name: "exec",
            aliases: &[],
            short: &["exec"],
            about: "Run another program in a container",
            grammar: exec::grammar,
            run: exec::exec,
        },
        verb!("top", [], short["top"], "List the processes of a container", resources::Top, resources::top),
        verb!("stats", [], short["stats"], "Print what containers use", resources::Stats, resources::stats),
        verb!(
            "update",
            [],
            short["update"],
            "Change the limits of containers",
            resources::Update,
            resources::update
        ),
        verb!(
            "port",
            [],
            short["port"],
            "List the published ports of a container",
            resources::Port,
            resources::port
        ),
        verb!(
            "cp",
            ["copy"],
            short["cp"],
            "Copy files between a container and the host",
            copy::Copy,
            copy::copy
        ),
        verb!("commit", [], short["commit"], "Make an image of a container", commit::Commit, commit::commit),
        verb!(
            "export",
            [],
            short["export"],
            "Write the root of a container as a tar",
            commit::Export,
            commit::export
        ),
        verb!(
            "diff",
            [],
            short["diff"],
            "List what a container has changed of its image",
            copy::Diff,
            copy::diff
        ),
    ],
};

/// The family of health checks.
pub const HEALTHCHECK: Family = Family {
    name: "healthcheck",
    aliases: &[],
    about: "Ask containers how they are",
    verbs: &[
        verb!("run", [], short [], "Run a container's health check now", healthcheck::Run, healthcheck::run),
    ],
};

/// The directory and the files of whoever typed.
pub(crate) struct Caller;

impl Surroundings for Caller {
    fn absolute(&self, path: &str) -> String {
        let path = match path.strip_prefix("~/").zip(std::env::var_os("HOME")) {
            Some((rest, home)) => std::path::PathBuf::from(home).join(rest),
            None => std::path::PathBuf::from(path),
        };
        std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn read(&self, path: &str) -> Result<String> {
        given::text(std::path::Path::new(path), given::MAX_FILE)
    }
}

/// Does something for each of the containers that were named, and prints what was typed for each that it worked for.
fn for_each(
    invocation: &Invocation,
    names: &[String],
    all: bool,
    mut act: impl FnMut(&Containers<'_>, &Container) -> Result<()>,
) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let names: Vec<String> = match all {
        true => containers.list()?.into_iter().map(|container| container.record.name).collect(),
        false if names.is_empty() => return Err(Error::new("no container is named").exit_code(125)),
        false => names.to_vec(),
    };
    super::for_each(&names, |name| {
        let container = containers.find(name)?;
        act(&containers, &container)?;
        super::print_text(&format!("{name}\n"))
    })?;
    Ok(SUCCESS)
}

/// What a container has changed of its image, in bytes on disk.
pub(super) fn written_bytes(container: &Container) -> u64 {
    crate::store::disk::bytes_on_disk(&container.directory.join("layer/upper"))
}

/// One exit code of a program as that of ours.
fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(255)
}
