//! `login` and `logout`.

use super::super::{Invocation, SUCCESS, print_text};
use super::Access;
use crate::error::{Context, Error, Result};
use crate::given;
use crate::reference::{Reference, check_host};
use crate::registry::client::Access as Wanted;
use crate::registry::config::{Endpoint, Registries};
use crate::registry::credentials::{self, Credentials};
use crate::registry::{Client, Options};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

/// No password is longer.
const MAX_PASSWORD: u64 = 64 << 10;

/// What `login` takes.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// HOST[:PORT]; the first that is searched for short names if none is given
    #[arg(value_name = "REGISTRY")]
    registry: Option<String>,
    /// The name of the account
    #[arg(long, short, value_name = "NAME")]
    username: Option<String>,
    /// The password; other users of this machine can see it here
    #[arg(long, short, value_name = "PASSWORD")]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,
    /// Print the name that is logged in
    #[arg(long)]
    get_login: bool,
    #[command(flatten)]
    access: Access,
}

/// Tries name and password at the registry, and keeps them if they are right.
pub fn login(_: &Invocation, arguments: Login) -> Result<u8> {
    let registry = registry(arguments.registry.as_deref())?;
    let known = credentials::find(arguments.access.authfile.as_deref(), &registry, "")?;
    if arguments.get_login {
        let Some(Credentials::Password { user, .. }) = known else {
            return Err(Error::new(format!("not logged in to {registry}")));
        };
        print_text(&format!("{user}\n"))?;
        return Ok(SUCCESS);
    }
    let user = match arguments.username {
        Some(user) => user,
        None if std::io::stdin().is_terminal() && !arguments.password_stdin => ask("Username: ", false)?,
        None => {
            return Err(Error::new("login: no name is given, and standard input is no terminal to ask at")
                .hint("say --username"));
        }
    };
    let password = match (arguments.password, arguments.password_stdin) {
        (Some(password), _) => password,
        (None, true) => {
            let password =
                given::text_of(std::io::stdin().lock(), MAX_PASSWORD).context(|| "--password-stdin")?;
            password.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, false) if std::io::stdin().is_terminal() => ask("Password: ", true)?,
        (None, false) => {
            return Err(Error::new(
                "login: no password is given, and standard input is no terminal to ask at",
            )
            .hint("say --password-stdin"));
        }
    };
    if user.is_empty() || user.contains(':') {
        return Err(Error::new(format!("login: \"{user}\" is no name of an account")));
    }
    let given = Credentials::Password { user: user.clone(), password: password.clone() };
    let options = Options { credentials: Some(given), ..arguments.access.options(None)? };
    let reference =
        Reference { registry: registry.clone(), repository: String::new(), tag: None, digest: None };
    let insecure = Registries::load()?.endpoints(&reference)?.pop().is_some_and(|endpoint| endpoint.insecure);
    let client = Client::new(&Endpoint { reference, insecure }, Wanted::Pull, &options)?;
    client.ping().map_err(|error| super::at("login", &registry, error))?;
    credentials::store(
        &credentials::file_to_write(options.authfile.as_deref()),
        &registry,
        &user,
        &password,
    )?;
    print_text("Login Succeeded!\n")?;
    Ok(SUCCESS)
}

/// What `logout` takes.
#[derive(Debug, clap::Args)]
pub struct Logout {
    /// HOST[:PORT]; the first that is searched for short names if none is given
    #[arg(value_name = "REGISTRY", conflicts_with = "all")]
    registry: Option<String>,
    /// Log out of all registries
    #[arg(long, short)]
    all: bool,
    /// File of credentials, instead of the usual one
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
}

/// Forgets name and password.
pub fn logout(_: &Invocation, arguments: Logout) -> Result<u8> {
    let file = credentials::file_to_write(arguments.authfile.as_deref());
    if arguments.all {
        credentials::erase_all(&file)?;
        print_text("Removed login credentials for all registries\n")?;
        return Ok(SUCCESS);
    }
    let registry = registry(arguments.registry.as_deref())?;
    if !credentials::erase(&file, &registry)? {
        return Err(Error::new(format!("not logged in to {registry}")));
    }
    print_text(&format!("Removed login credentials for {registry}\n"))?;
    Ok(SUCCESS)
}

fn registry(given: Option<&str>) -> Result<String> {
    let Some(given) = given else {
        let first = Registries::load()?.search.into_iter().next();
        return first.ok_or_else(|| Error::new("no registry is given, and none is searched"));
    };
    let host = given.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let host = host.split('/').next().unwrap_or_default();
    check_host(host).map_err(|why| Error::new(format!("registry \"{given}\": {why}")))?;
    Ok(if host == "index.docker.io" { "docker.io".into() } else { host.to_ascii_lowercase() })
}

/// Asks at the terminal; a secret is not shown while it is typed.
fn ask(prompt: &str, secret: bool) -> Result<String> {
    let stdin = std::io::stdin();
    write!(std::io::stderr(), "{prompt}")?;
    let before = if secret { tcgetattr(&stdin).ok() } else { None };
    if let Some(before) = &before {
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &hidden)?;
    }
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if let Some(before) = &before {
        tcsetattr(&stdin, OptionalActions::Now, before)?;
        writeln!(std::io::stderr())?;
    }
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
