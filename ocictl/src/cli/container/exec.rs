//! `exec`: another program in a running container. The runtime carries its streams and ours waits for it; a terminal has a process of its
//! own, which can be left.

use super::super::{Invocation, SUCCESS};
use super::exit_code;
use super::program::{Program, words_of};
use crate::container::attach::{self, Attachment, Outcome};
use crate::container::monitor::session;
use crate::container::record::{Container, Status};
use crate::container::root::Root;
use crate::container::spec::{self, capabilities, users};
use crate::container::{Containers, facts, options, start, status, wire};
use crate::error::{Context, Error, Result};
use crate::rootless;
use crate::runtime;
use crate::store::disk;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Stdio;

#[derive(Debug, Args)]
struct Arguments {
    /// Leave it alone once it runs
    #[arg(long, short)]
    detach: bool,
    #[command(flatten)]
    program: Program,
    /// Give it every capability
    #[arg(long)]
    privileged: bool,
    /// Keys that leave its terminal, as ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Give it so many of the caller's descriptors from 3 on
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
}

/// Options, then a container, then anything.
pub fn grammar(command: Command) -> Command {
    Arguments::augment_args(command)
        .override_usage("ocictl exec [OPTIONS] CONTAINER COMMAND [ARGUMENTS]...")
        .disable_help_subcommand(true)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(clap::value_parser!(OsString))
}

/// `exec`.
pub fn exec(invocation: &Invocation, matches: &ArgMatches) -> Result<u8> {
    let arguments =
        Arguments::from_arg_matches(matches).map_err(|error| Error::new(error.to_string()).exit_code(125))?;
    let Some((name, rest)) = matches.subcommand() else {
        return Err(Error::new("a container is needed")
            .hint("`ocictl exec --help` shows how")
            .exit_code(125));
    };
    let words = words_of(rest)?;
    if words.is_empty() {
        return Err(Error::new("a command is needed").hint("`ocictl exec --help` shows how").exit_code(125));
    }
    check_descriptors(&arguments).map_err(|error| error.context("--preserve-fds").exit_code(125))?;
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let container = containers.find(name)?;
    match container.now()?.1 {
        Status::Running => {}
        Status::Paused => return Err(Error::new("it is paused; unpause it first").context(container.place())),
        other => {
            return Err(
                Error::new(format!("it does not run: it is {}", other.name())).context(container.place())
            );
        }
    }
    let process = process(&container, &arguments, words)?;
    if arguments.program.tty {
        return at_terminal(invocation, &container, &arguments, &process);
    }
    let session = Session::write(&container, &process)?;
    run(&containers, &container, &arguments, &session)
}

/// Before any is opened here: what the caller has not opened is not what he means.
fn check_descriptors(arguments: &Arguments) -> Result<()> {
    if arguments.preserve_fds > 0 && (arguments.program.tty || arguments.detach) {
        return Err(Error::new("it goes neither with --tty nor with --detach"));
    }
    if rootless::is_needed() && arguments.preserve_fds > 0 {
        return Err(Error::new("it needs root: without, the program is started by another process"));
    }
    let open = |number: u32| std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok();
    match (3..arguments.preserve_fds.saturating_add(3)).find(|number| !open(*number)) {
        Some(number) => Err(Error::new(format!("descriptor {number} is not open"))),
        None => Ok(()),
    }
}

/// With a terminal, which a process of its own holds.
fn at_terminal(
    invocation: &Invocation,
    container: &Container,
    arguments: &Arguments,
    process: &Value,
) -> Result<u8> {
    let keys = attach::keys(arguments.detach_keys.as_deref()).map_err(|error| error.exit_code(125))?;
    let name = disk::random();
    let folder = session::directory(&container.run, &name);
    disk::make_directory(&folder)?;
    let bytes = serde_json::to_vec(process).map_err(|error| Error::new(error.to_string()))?;
    let started =
        std::fs::write(folder.join(session::PROCESS), bytes).context(|| container.place()).and_then(|()| {
            let (ours, theirs) = wire::pair()?;
            let client = (!arguments.detach).then_some(theirs);
            start::supervise("session", invocation.paths(), container, &[&name], client)?;
            Ok(ours)
        });
    let socket = match started {
        Ok(socket) => socket,
        Err(error) => {
            disk::remove_tree(&folder)?;
            return Err(error);
        }
    };
    if arguments.detach {
        return Ok(SUCCESS);
    }
    let attachment = Attachment {
        container,
        tty: true,
        stdin: arguments.program.interactive,
        outputs: [true, true],
        ends_terminal: true,
        detach_keys: keys,
        pass_signals: false,
    };
    match attach::attach(&socket, &attachment)? {
        Outcome::Exit(code) => Ok(exit_code(code)),
        Outcome::Detached => Ok(SUCCESS),
    }
}

/// The files of one exec; they go with it.
struct Session {
    process: PathBuf,
    log: PathBuf,
}

impl Session {
    fn write(container: &Container, process: &Value) -> Result<Self> {
        let name = disk::random();
        let file = |kind: &str| container.run.join(format!("exec-{name}.{kind}"));
        let session = Self { process: file("json"), log: file("log") };
        let bytes = serde_json::to_vec(process).map_err(|error| Error::new(error.to_string()))?;
        std::fs::write(&session.process, bytes).context(|| container.place())?;
        Ok(session)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for path in [&self.process, &self.log] {
            // They lie in the bundle, and go with the container in any case.
            let _gone_already = std::fs::remove_file(path);
        }
    }
}

/// The process: as the container's first one, with what was typed over it.
fn process(container: &Container, arguments: &Arguments, words: Vec<String>) -> Result<Value> {
    let bytes = disk::read_small(&container.run.join("process.json"), 1 << 20)?.unwrap_or_default();
    let mut process: Value = serde_json::from_slice(&bytes)
        .map_err(|error| Error::new(error.to_string()).context(container.place()))?;
    process["args"] = json!(words);
    process["terminal"] = arguments.program.tty.into();
    if let Some(user) = &arguments.program.user {
        let (state, _) = container.now()?;
        let root = Root::open(&PathBuf::from(format!("/proc/{}/root", state.pid)))?;
        let text = |path: &str| root.text(path, 4 << 20);
        let options = &container.record.options;
        let identity = users::identify(user, &options.groups, &text("/etc/passwd")?, &text("/etc/group")?)
            .and_then(|identity| facts::attainable(identity, options))
            .map_err(|error| error.exit_code(126))?;
        let was = process["user"]["uid"].take();
        (process["user"], process["capabilities"]) = spec::rights(options, &identity);
        if identity.uid != 0 && was != identity.uid {
            // What was given to the container's user is no one else's.
            for set in ["effective", "permitted", "inheritable", "ambient"] {
                process["capabilities"][set] = json!([]);
            }
        }
        set_variable(&mut process, &[format!("HOME={}", identity.home)]);
    }
    if arguments.privileged {
        let all = &capabilities::ALL[..];
        process["capabilities"] =
            json!({ "bounding": all, "effective": all, "permitted": all, "inheritable": [], "ambient": [] });
        process["noNewPrivileges"] = false.into();
    }
    if let Some(workdir) = &arguments.program.workdir {
        process["cwd"] = workdir.clone().into();
    }
    if arguments.program.tty {
        set_variable(&mut process, &["TERM=xterm".to_owned()]);
    }
    set_variable(&mut process, &arguments.program.environment()?);
    Ok(process)
}

fn set_variable(process: &mut Value, variables: &[String]) {
    let before: Vec<String> = serde_json::from_value(process["env"].take()).unwrap_or_default();
    process["env"] = json!(options::merge_env(&[&before, variables]));
}

fn run(
    containers: &Containers<'_>,
    container: &Container,
    arguments: &Arguments,
    session: &Session,
) -> Result<u8> {
    let mut words = vec![OsStr::new("--process"), session.process.as_os_str()];
    if arguments.detach {
        words.push(OsStr::new("--detach"));
    }
    let count = arguments.preserve_fds.to_string();
    if arguments.preserve_fds > 0 {
        words.extend([OsStr::new("--preserve-fds"), OsStr::new(&count)]);
    }
    words.push(OsStr::new(&container.record.id));
    let runtime = status::runtime(containers, container)?;
    let mut command = runtime.exec(&session.log, &words);
    if !arguments.program.interactive {
        command.stdin(Stdio::null());
    }
    if arguments.detach {
        // Whoever reads ours would wait for a program that he has let go of.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    }
    let status = command
        .status()
        .context(|| format!("run {}", runtime.binary.display()))
        .map_err(|error| error.exit_code(125))?;
    match (status.success(), runtime::last_error(&session.log)) {
        (true, _) => Ok(SUCCESS),
        (false, Some(message)) => match arguments.detach {
            true => {
                Err(Error::new(&message).exit_code(runtime::exit_code(&message)).context(container.place()))
            }
            // It has said so on stderr, too.
            false => Ok(runtime::exit_code(&message)),
        },
        (false, None) => {
            use std::os::unix::process::ExitStatusExt;
            Ok(exit_code(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)))
        }
    }
}
