//! `search`: Docker's registry has a search of its own; others list their repositories.

use super::super::output::{self, Filters, Kind, Style};
use super::super::{Invocation, SUCCESS, for_each, images};
use super::Access;
use crate::error::{Context, Error, Result};
use crate::reference::{Reference, Typed};
use crate::registry::Client;
use crate::registry::client::Access as Wanted;
use crate::registry::config::Endpoint;
use crate::registry::search::Found;
use serde_json::{Value, json};

/// What `search` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to look for: TERM, or REGISTRY/TERM
    #[arg(value_name = "TERM")]
    term: String,
    /// The most images of a registry
    #[arg(long, value_name = "NUMBER", default_value_t = 25)]
    limit: usize,
    /// Print whole descriptions
    #[arg(long)]
    no_trunc: bool,
    /// List the tags of a repository instead
    #[arg(long)]
    list_tags: bool,
    /// stars=NUMBER, is-official=BOOL
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// A template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// Looks for images.
pub fn search(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    let filters = Filters::parse(&arguments.filter, &[("stars", Kind::Number), ("is-official", Kind::Flag)])?;
    let store = invocation.store()?;
    let registries = images(&store)?.registries;
    let options = arguments.access.options(None)?;
    let style = Style { format: arguments.format.as_deref(), ..Style::default() };
    if arguments.list_tags {
        let mut rows = Vec::new();
        for candidate in registries.candidates(&arguments.term)? {
            let endpoint =
                registries.endpoints(&candidate)?.pop().ok_or_else(|| Error::new("nowhere to look"))?;
            let tags = Client::new(&endpoint, Wanted::Pull, &options)?
                .tags()
                .context(|| format!("tags of {}", candidate.name()))?;
            rows.extend(
                tags.into_iter()
                    .take(arguments.limit)
                    .map(|tag| json!({"Name": candidate.name(), "Tag": tag})),
            );
        }
        output::print(&rows, &[("NAME", "Name"), ("TAG", "Tag")], &style)?;
        return Ok(SUCCESS);
    }
    let (hosts, term) = match arguments.term.split_once('/') {
        Some((host, term)) if matches!(Typed::parse(&format!("{host}/x")), Ok(Typed::Full(_))) => {
            (vec![host.to_ascii_lowercase()], term.to_owned())
        }
        _ => (registries.search.clone(), arguments.term.clone()),
    };
    let mut rows = Vec::new();
    let all = for_each(&hosts, |host| {
        let reference =
            Reference { registry: host.to_owned(), repository: String::new(), tag: None, digest: None };
        let insecure = registries.endpoints(&reference)?.pop().is_some_and(|endpoint| endpoint.insecure);
        let client = Client::new(&Endpoint { reference, insecure }, Wanted::Pull, &options)?;
        let found =
            client.search(&term, arguments.limit).map_err(|error| super::at("search", host, error))?;
        let wanted = found.iter().filter(|found| {
            filters
                .allow_number("stars", |least| i64::try_from(found.stars).is_ok_and(|stars| stars >= least))
                && filters.allow_flag("is-official", found.official)
        });
        rows.extend(wanted.map(|found| row(host, found, arguments.no_trunc)));
        Ok(())
    });
    // Where nobody has answered there is nothing to show.
    if all.is_ok() || !rows.is_empty() {
        output::print(
            &rows,
            &[("NAME", "Name"), ("DESCRIPTION", "Description"), ("STARS", "Stars"), ("OFFICIAL", "Official")],
            &style,
        )?;
    }
    all.map(|()| SUCCESS)
}

fn row(host: &str, found: &Found, whole: bool) -> Value {
    let description: String = found.description.chars().take(if whole { usize::MAX } else { 60 }).collect();
    json!({
        "Index": host,
        "Name": format!("{host}/{}", found.name),
        "Description": if description.len() < found.description.len() { description + "…" } else { description },
        "Stars": found.stars,
        "Official": if found.official { "[OK]" } else { "" },
    })
}
