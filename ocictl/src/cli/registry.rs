//! What is done with registries: `pull`, `push`, `login`, `logout`, `search`.

mod account;
mod search;
mod transfer;

use super::verb;
use super::{Family, Verb};
use crate::error::{Error, Result};
use crate::registry::Options;
use crate::registry::credentials::Credentials;
use std::path::PathBuf;

/// Belongs to `image` as well, and brings images from a registry.
pub const PULL: Verb =
    verb!("pull", [], short["pull"], "Bring images from a registry", transfer::Pull, transfer::pull);
/// Belongs to `image` as well, and brings one of its images to a registry.
pub const PUSH: Verb =
    verb!("push", [], short["push"], "Bring an image to a registry", transfer::Push, transfer::push);
/// Belongs to `image` as well, and tells what a registry has to pull.
pub const SEARCH: Verb =
    verb!("search", [], short["search"], "Look for images in registries", search::Arguments, search::search);

/// The family.
pub const FAMILY: Family = Family {
    name: "registry",
    aliases: &[],
    about: "Log in to registries and out of them",
    verbs: &[
        verb!("login", [], short["login"], "Log in to a registry", account::Login, account::login),
        verb!("logout", [], short["logout"], "Log out of a registry", account::Logout, account::logout),
    ],
};

/// Where something was done that failed: `login HOST`, or `login` where the host is the next thing that is said.
fn at(verb: &str, host: &str, error: Error) -> Error {
    match error.to_string().starts_with(&format!("{host}: ")) {
        true => error.context(verb),
        false => error.context(format!("{verb} {host}")),
    }
}

/// How a registry is reached: options that all of these verbs take.
#[derive(Debug, clap::Args)]
pub struct Access {
    /// Verify certificates and insist on TLS (the default, unless registries.conf says insecure)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    tls_verify: Option<bool>,
    /// File of credentials, instead of those that are looked for
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Directory of certificates (*.crt, *.cert, *.key) for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
}

impl Access {
    /// What the floors below understand.
    fn options(&self, credentials: Option<&str>) -> Result<Options> {
        let credentials = match credentials {
            None => None,
            Some(text) => match text.split_once(':') {
                Some((user, password)) if !user.is_empty() => {
                    Some(Credentials::Password { user: user.into(), password: password.into() })
                }
                _ => return Err(Error::new("--creds is NAME:PASSWORD")),
            },
        };
        Ok(Options {
            tls_verify: self.tls_verify,
            authfile: self.authfile.clone(),
            credentials,
            cert_dir: self.cert_dir.clone(),
        })
    }
}
