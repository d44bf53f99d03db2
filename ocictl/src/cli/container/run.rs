//! `run`, `create`, `start` and `attach`.

use super::super::output::progress::Shown;
use super::super::{Invocation, SUCCESS, images, print_text, warn};
use super::exit_code;
use super::program::words_of;
use super::shape::Shape;
use crate::container::attach::{self, Attachment, Outcome};
use crate::container::create::Request;
use crate::container::record::{Container, Status};
use crate::container::spec::resources;
use crate::container::{Containers, create as creation, facts, start as starting, wire};
use crate::error::{Context, Error, Result};
use crate::image::Image;
use crate::image::obtain::Policy;
use crate::image::pull::Pull;
use crate::oci::Platform;
use crate::rootless;
use crate::store::Store;
use crate::store::lock::Lock;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use std::ffi::OsString;
use std::io::Write;

/// What `run` takes beyond the options of `create`.
#[derive(Debug, Args)]
struct Foreground {
    /// Leave it alone once it runs, and print its ID
    #[arg(long, short)]
    detach: bool,
    /// Keys that leave it running, as ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS", num_args = 0..=1, require_equals = false)]
    detach_keys: Option<String>,
    /// Pass signals on to it
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: bool,
    /// Only this stream: stdin, stdout or stderr
    #[arg(long, short, value_name = "STREAM")]
    attach: Vec<String>,
}

/// The grammar of `create`: options, then an image, then anything.
pub fn create_grammar(command: Command) -> Command {
    Shape::augment_args(command)
        .override_usage("ocictl create [OPTIONS] IMAGE [COMMAND [ARGUMENTS]...]")
        // -h is the host name.
        .disable_help_flag(true)
        .arg(clap::Arg::new("help").long("help").help("Print help").action(clap::ArgAction::Help))
        .disable_help_subcommand(true)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(clap::value_parser!(OsString))
}

/// The grammar of `run`.
pub fn grammar(command: Command) -> Command {
    create_grammar(Foreground::augment_args(command))
        .override_usage("ocictl run [OPTIONS] IMAGE [COMMAND [ARGUMENTS]...]")
}

/// The words from the image on, which no option is looked for in.
fn words(matches: &ArgMatches) -> Result<(String, Vec<String>)> {
    let Some((first, rest)) = matches.subcommand() else {
        return Err(Error::new("an image is needed").hint("`ocictl run --help` shows how").exit_code(125));
    };
    Ok((first.to_owned(), words_of(rest)?))
}

fn read<T: FromArgMatches>(matches: &ArgMatches) -> Result<T> {
    T::from_arg_matches(matches).map_err(|error| Error::new(error.to_string()).exit_code(125))
}

/// Makes the container that was asked for.
fn make(store: &Store, containers: &Containers<'_>, matches: &ArgMatches) -> Result<(Container, Lock)> {
    let shape: Shape = read(matches)?;
    let (first, command) = words(matches)?;
    let cidfile = shape.cidfile.clone().map(CidFile::open).transpose()?;
    let request = match shape.rootfs {
        true => shape.request(command, Some(&first))?,
        false => {
            let image = find_image(store, &first, &shape.pull, shape.platform.as_deref())
                .map_err(|error| error.exit_code(125))?;
            Request { image: Some((image, first)), ..shape.request(command, None)? }
        }
    };
    let (container, guard) = creation::create(containers, request)?;
    warn_of_ignored(&container)?;
    match cidfile.map(|file| file.write(&container.record.id)).transpose() {
        Ok(_) => Ok((container, guard)),
        Err(error) => {
            containers.erase(&container, true)?;
            Err(error)
        }
    }
}

/// Without root there may be nobody who could limit anything; with SELinux, labels of what is mounted stay.
fn warn_of_ignored(container: &Container) -> Result<()> {
    let is_relabelled = |word: &String| matches!(word.as_str(), "z" | "Z");
    let mut mounts = container.record.options.mounts.iter();
    if mounts.any(|mount| mount.options.iter().any(is_relabelled))
        && std::fs::symlink_metadata("/sys/fs/selinux/enforce").is_ok()
    {
        warn(
            "z and Z of --volume, and relabel of --mount: ignored, the labels of what is mounted stay as they are",
        );
    }
    if !rootless::in_user_namespace() {
        return Ok(());
    }
    let options = &container.record.options;
    let ignored = resources::ignored(&options.resources, &facts::of_host(options)?);
    if !ignored.is_empty() {
        warn(&format!(
            "{}: ignored, since no cgroup controller for it is delegated to this user",
            ignored.join(", ")
        ));
    }
    Ok(())
}

/// The image that was named, fetched as `--pull` says.
fn find_image(store: &Store, name: &str, pull: &str, platform: Option<&str>) -> Result<Image> {
    let images = images(store)?;
    let policy = Policy::parse(pull).context(|| "--pull")?;
    let platform = platform.map(Platform::parse).transpose().context(|| "--platform")?;
    let id = images.obtain(name, policy, &Pull { platform, ..Pull::default() }, &Shown::new(false))?;
    images.resolve(id.as_str())
}

/// A file for the ID, made before the container so that two do not write it.
struct CidFile {
    path: String,
    file: std::fs::File,
    written: bool,
}

impl CidFile {
    fn open(path: String) -> Result<Self> {
        let place = || format!("--cidfile {path}");
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .context(place)
            .map_err(|error| match error.errno() {
                Some(libc::EEXIST) => error.hint("it may be another container's; remove it, or name another"),
                _ => error,
            })
            .map_err(|error| error.exit_code(125))?;
        Ok(Self { path, file, written: false })
    }

    fn write(mut self, id: &str) -> Result<()> {
        self.file.write_all(id.as_bytes()).context(|| format!("--cidfile {}", self.path))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if !self.written {
            // It is ours, and there is no container.
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

/// What kept a container from being made or started is told by 125, as docker does, so that it cannot be taken for the program's word.
fn of_engine(error: Error) -> Error {
    if error.code() == 1 { error.exit_code(125) } else { error }
}

/// `create`: prints the ID.
pub fn create(invocation: &Invocation, matches: &ArgMatches) -> Result<u8> {
    create_only(invocation, matches).map_err(of_engine)
}

fn create_only(invocation: &Invocation, matches: &ArgMatches) -> Result<u8> {
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let (container, _guard) = make(&store, &containers, matches)?;
    print_text(&format!("{}\n", container.record.id))?;
    Ok(SUCCESS)
}

/// `run`: with `--detach` prints the ID, else carries streams and ends as the container ends.
pub fn run(invocation: &Invocation, matches: &ArgMatches) -> Result<u8> {
    run_to_its_end(invocation, matches).map_err(of_engine)
}

fn run_to_its_end(invocation: &Invocation, matches: &ArgMatches) -> Result<u8> {
    let foreground: Foreground = read(matches)?;
    let chosen: Vec<String> = foreground.attach.iter().map(|stream| stream.to_ascii_lowercase()).collect();
    if let Some(stream) =
        chosen.iter().find(|stream| !matches!(stream.as_str(), "stdin" | "stdout" | "stderr"))
    {
        return Err(
            Error::new(format!("--attach: \"{stream}\" is none of stdin, stdout, stderr")).exit_code(125)
        );
    }
    if foreground.detach && !chosen.is_empty() {
        return Err(Error::new("--attach and --detach exclude each other").exit_code(125));
    }
    let is_attached = |stream: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == stream);
    let keys = attach::keys(foreground.detach_keys.as_deref()).map_err(|error| error.exit_code(125))?;
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let (container, guard) = make(&store, &containers, matches)?;
    if foreground.detach {
        starting::start_held(&containers, invocation.paths(), &container, None, guard)?;
        print_text(&format!("{}\n", container.record.id))?;
        return Ok(SUCCESS);
    }
    let attachment = Attachment {
        container: &container,
        tty: container.record.options.tty,
        stdin: container.record.options.interactive && is_attached("stdin"),
        outputs: [is_attached("stdout"), is_attached("stderr")],
        ends_terminal: true,
        detach_keys: keys,
        pass_signals: foreground.sig_proxy && !container.record.options.tty,
    };
    start_attached(invocation, &containers, &attachment, guard)
}

fn start_attached(
    invocation: &Invocation,
    containers: &Containers<'_>,
    attachment: &Attachment<'_>,
    guard: Lock,
) -> Result<u8> {
    let (ours, theirs) = wire::pair()?;
    starting::start_held(containers, invocation.paths(), attachment.container, Some(theirs), guard)?;
    match attach::attach(&ours, attachment)? {
        Outcome::Exit(code) => Ok(exit_code(code)),
        Outcome::Detached => Ok(SUCCESS),
    }
}

/// What `start` takes.
#[derive(Debug, Args)]
pub struct Start {
    /// Containers
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// Start all
    #[arg(long)]
    all: bool,
    /// Attach to its output
    #[arg(long, short)]
    attach: bool,
    /// Attach to its stdin, too
    #[arg(long, short)]
    interactive: bool,
    /// Keys that leave it running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
}

/// `start`.
pub fn start(invocation: &Invocation, arguments: Start) -> Result<u8> {
    if !(arguments.attach || arguments.interactive) {
        return super::for_each(invocation, &arguments.names, arguments.all, |containers, container| {
            starting::start(containers, invocation.paths(), container, None)
        });
    }
    let [name] = arguments.names.as_slice() else {
        return Err(Error::new("one container can be attached to").exit_code(125));
    };
    let store = invocation.store()?;
    let containers = Containers::open(&store)?;
    let container = containers.find(name)?;
    if container.now()?.1.lives() {
        return attach_to(&container, arguments.interactive, arguments.detach_keys.as_deref(), true);
    }
    let attachment = Attachment {
        container: &container,
        tty: container.record.options.tty,
        stdin: arguments.interactive && container.record.options.interactive,
        outputs: [true, true],
        ends_terminal: true,
        detach_keys: attach::keys(arguments.detach_keys.as_deref())?,
        pass_signals: !container.record.options.tty,
    };
    start_attached(invocation, &containers, &attachment, container.lock()?)
}

/// What `attach` takes.
#[derive(Debug, Args)]
pub struct Attach {
    /// The container
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// Keys that leave it running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Do not attach to stdin
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to it
    #[arg(long, value_name = "BOOL", default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: bool,
}

/// `attach`.
pub fn attach(invocation: &Invocation, arguments: Attach) -> Result<u8> {
    let store = invocation.store()?;
    let container = Containers::open(&store)?.find(&arguments.name)?;
    match container.now()?.1 {
        Status::Running => {}
        status => return Err(Error::new(format!("it is {}", status.name())).context(container.place())),
    }
    attach_to(&container, !arguments.no_stdin, arguments.detach_keys.as_deref(), arguments.sig_proxy)
}

fn attach_to(container: &Container, stdin: bool, keys: Option<&str>, pass_signals: bool) -> Result<u8> {
    let attachment = Attachment {
        container,
        tty: container.record.options.tty,
        stdin: stdin && container.record.options.interactive,
        outputs: [true, true],
        ends_terminal: false,
        detach_keys: attach::keys(keys)?,
        pass_signals: pass_signals && !container.record.options.tty,
    };
    match attach::attach(&attach::call(container)?, &attachment)? {
        Outcome::Exit(code) => Ok(exit_code(code)),
        Outcome::Detached => Ok(SUCCESS),
    }
}
