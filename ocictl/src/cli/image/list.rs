//! `image ls` and `image history`.

use super::super::output::{self, Filters, Key, Kind, Style, units};
use super::super::{Invocation, SUCCESS, images};
use crate::error::Result;
use crate::image::Images;
use crate::oci::ImageConfig;
use crate::store::images::{ImageRecord, NameRecord};
use crate::time;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What `image ls` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only images of this name, with or without tag; * stands for any part between slashes
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Accepted for docker: there are no intermediate images
    #[arg(long, short)]
    all: bool,
    /// Print IDs only
    #[arg(long, short)]
    quiet: bool,
    /// Print digests too
    #[arg(long)]
    digests: bool,
    /// Print whole IDs
    #[arg(long)]
    no_trunc: bool,
    /// Leave the headings out
    #[arg(long, short = 'n')]
    noheading: bool,
    /// dangling=BOOL, reference=PATTERN, id=ID, label=KEY[=VALUE], label!=KEY[=VALUE], before=IMAGE, since=IMAGE, until=TIME
    #[arg(long, short, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// created, id, repository, size or tag
    #[arg(long, value_name = "KEY", default_value = "created", value_parser = ["created", "id", "repository", "size", "tag"])]
    sort: String,
    /// A template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

const FILTERS: [Key; 8] = [
    ("dangling", Kind::Flag),
    ("reference", Kind::Glob),
    ("label", Kind::Label),
    ("label!", Kind::Label),
    ("before", Kind::Text),
    ("since", Kind::Text),
    ("until", Kind::Time),
    ("id", Kind::Digest),
];

/// Lists images, a line for each name.
pub fn list(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    let store = invocation.store()?;
    let images = images(&store)?;
    let filters = Filters::parse(&arguments.filter, &FILTERS)?;
    let selection = Selection::new(&images, &filters)?;
    let style = Style {
        format: arguments.format.as_deref(),
        quiet: arguments.quiet.then_some("ID"),
        no_heading: arguments.noheading,
    };
    let found = images.list()?;
    let mut entries = Vec::new();
    for (image, names) in &found {
        if selection.allows(&images, image, names)? {
            entries.extend(entries_of(image, names, arguments.name.as_deref(), style.is_json()));
        }
    }
    sort(&mut entries, &arguments.sort);
    if arguments.quiet && !style.is_json() {
        let mut seen = BTreeSet::new();
        entries.retain(|entry| seen.insert(&entry.image.id));
    }
    let pins = store.pins()?;
    let show = |entry: &Entry<'_>| {
        let users = pins.iter().filter(|pin| pin.image == entry.image.id).count();
        match style.is_json() {
            true => document(&images, entry.image, entry.names, users),
            false => Ok(row(entry, users, arguments.no_trunc)),
        }
    };
    let rows = entries.iter().map(show).collect::<Result<Vec<_>>>()?;
    let digest: &[(&str, &str)] = if arguments.digests { &[("DIGEST", "Digest")] } else { &[] };
    let columns = [
        &[("REPOSITORY", "Repository"), ("TAG", "Tag")][..],
        digest,
        &[("IMAGE ID", "ID"), ("CREATED", "CreatedSince"), ("SIZE", "Size")],
    ]
    .concat();
    output::print(&rows, &columns, &style)?;
    Ok(SUCCESS)
}

/// What is listed: an image under one of its names, or an image as a whole.
struct Entry<'a> {
    image: &'a ImageRecord,
    names: &'a [NameRecord],
    name: Option<&'a NameRecord>,
}

impl Entry<'_> {
    fn repository_and_tag(&self) -> (&str, &str) {
        self.name.and_then(|name| name.name.rsplit_once(':')).unwrap_or(("<none>", "<none>"))
    }
}

/// One for each name that is meant, at most one where the image is shown `whole`.
fn entries_of<'a>(
    image: &'a ImageRecord,
    names: &'a [NameRecord],
    pattern: Option<&str>,
    whole: bool,
) -> Vec<Entry<'a>> {
    let shown: Vec<Option<&NameRecord>> =
        if names.is_empty() { vec![None] } else { names.iter().map(Some).collect() };
    shown
        .into_iter()
        .filter(|name| {
            pattern.is_none_or(|pattern| name.is_some_and(|name| matches_name(pattern, &name.name)))
        })
        .take(if whole { 1 } else { usize::MAX })
        .map(|name| Entry { image, names, name })
        .collect()
}

/// By a column; what is equal stays as it was, the newest first.
fn sort(entries: &mut [Entry<'_>], key: &str) {
    match key {
        "size" => entries.sort_by_key(|entry| std::cmp::Reverse(entry.image.size)),
        "id" => entries.sort_by(|one, other| one.image.id.cmp(&other.image.id)),
        "repository" => {
            entries.sort_by(|one, other| one.repository_and_tag().0.cmp(other.repository_and_tag().0))
        }
        "tag" => entries.sort_by(|one, other| one.repository_and_tag().1.cmp(other.repository_and_tag().1)),
        _ => {}
    }
}

/// An image in the JSON of `images`, as podman's is.
fn document(images: &Images, image: &ImageRecord, names: &[NameRecord], users: usize) -> Result<Value> {
    let found = images.load(image.clone())?;
    let names: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let created = image.created.as_deref();
    Ok(json!({
        "Id": image.id.hex(),
        "ParentId": "",
        "RepoTags": names,
        "RepoDigests": found.repo_digests(),
        "Size": image.size,
        "SharedSize": 0,
        "VirtualSize": image.size,
        "Labels": found.config.config.labels,
        "Containers": users,
        "Dangling": names.is_empty(),
        "Names": names,
        "Digest": image.manifests.last().map_or("", |known| known.digest.as_str()),
        "History": names,
        "Created": created.and_then(time::seconds).unwrap_or(0),
        "CreatedAt": created.unwrap_or_default(),
    }))
}

/// An image under one of its names, as templates see it, and tables.
fn row(entry: &Entry<'_>, users: usize, whole: bool) -> Value {
    let &Entry { image, names, name } = entry;
    let (repository, tag) = entry.repository_and_tag();
    let digest = name
        .and_then(|name| name.manifest.as_ref())
        .or_else(|| image.manifests.last().map(|known| &known.digest));
    let id = if whole { image.id.as_str() } else { image.id.short() };
    json!({
        "ID": id,
        "Id": image.id.hex(),
        "Repository": repository,
        "Tag": tag,
        "Digest": digest.map_or("<none>", |digest| digest.as_str()),
        "CreatedSince": time::ago(image.created.as_deref()),
        "CreatedAt": image.created.as_deref().unwrap_or_default(),
        "Created": image.created.as_deref().and_then(time::seconds),
        "Size": units::size(image.size),
        "VirtualSize": image.size,
        "SharedSize": 0,
        "Dangling": names.is_empty(),
        "Names": names.iter().map(|name| name.name.as_str()).collect::<Vec<_>>(),
        "Platform": image.platform,
        "Containers": users,
    })
}

/// What filters say, with the images they name found.
struct Selection<'a> {
    filters: &'a Filters,
    before: Option<ImageRecord>,
    since: Option<ImageRecord>,
}

impl<'a> Selection<'a> {
    fn new(images: &Images, filters: &'a Filters) -> Result<Self> {
        let find = |key: &str| -> Result<Option<ImageRecord>> {
            let image = filters.texts(key).next().map(|name| images.resolve(name)).transpose();
            Ok(image
                .map_err(|error| error.context(format!("--filter {key}")).exit_code(125))?
                .map(|image| image.record))
        };
        Ok(Self { filters, before: find("before")?, since: find("since")? })
    }

    fn allows(&self, images: &Images, image: &ImageRecord, names: &[NameRecord]) -> Result<bool> {
        let filters = self.filters;
        let fits = filters.allow_flag("dangling", names.is_empty())
            && filters.match_text("id", image.id.hex())
            && filters
                .allows("reference", |pattern| names.iter().any(|name| matches_name(pattern, &name.name)))
            && self.before.as_ref().is_none_or(|before| image.created < before.created)
            && self.since.as_ref().is_none_or(|since| image.created > since.created);
        Ok(fits && is_meant(filters, images, image)?)
    }
}

/// Whether the labels and the age of an image are those that filters ask for.
pub(in crate::cli) fn is_meant(filters: &Filters, images: &Images, image: &ImageRecord) -> Result<bool> {
    let created = image.created.as_deref().and_then(time::parse);
    if !filters.is_before("until", created.unwrap_or(image.added.saturating_mul(1_000_000_000))) {
        return Ok(false);
    }
    if !filters.has("label") && !filters.has("label!") {
        return Ok(true);
    }
    let config = ImageConfig::parse(&images.store.blob(&image.id)?)?;
    Ok(filters.allow_labels(&config.config.labels))
}

/// Whether a pattern means a name: in full, without its tag, or by the last parts of its path. `*` stands for anything but a slash, `?`
/// for one letter, `[a-z]` for one of these and `[!a-z]` for one that is none of them.
fn matches_name(pattern: &str, name: &str) -> bool {
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    let mut forms = vec![name, repository];
    for (at, _) in name.match_indices('/') {
        forms.push(&name[at + 1..]);
        forms.push(repository.get(at + 1..).unwrap_or_default());
    }
    forms.into_iter().any(|form| matches_pattern(pattern.as_bytes(), form.as_bytes()))
}

fn matches_pattern(pattern: &[u8], text: &[u8]) -> bool {
    // Where the last star stood and how much it took: going back there is enough.
    let (mut at, mut in_text) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, in_text));
            at += 1;
            continue;
        }
        if let Some(length) = matches_one(&pattern[at..], text[in_text]) {
            at += length;
            in_text += 1;
            continue;
        }
        match star {
            Some((star_at, taken)) if text[taken] != b'/' => {
                star = Some((star_at, taken + 1));
                (at, in_text) = (star_at + 1, taken + 1);
            }
            _ => return false,
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

/// How much of a pattern stands for this letter; nothing if its front does not.
fn matches_one(pattern: &[u8], letter: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => (letter != b'/').then_some(1),
        [b'\\', wanted, ..] => (*wanted == letter).then_some(2),
        [b'[', set @ ..] => {
            let negated = matches!(set.first(), Some(b'!' | b'^'));
            let set = if negated { &set[1..] } else { set };
            let end = 1 + set.get(1..)?.iter().position(|byte| *byte == b']')?;
            let mut found = false;
            let mut rest = &set[..end];
            while let [first, after @ ..] = rest {
                let (last, after) = match after {
                    [b'-', last, after @ ..] => (last, after),
                    _ => (first, after),
                };
                found |= (*first..=*last).contains(&letter);
                rest = after;
            }
            (found != negated && letter != b'/').then_some(1 + usize::from(negated) + end + 1)
        }
        [wanted, ..] => (*wanted == letter).then_some(1),
        [] => None,
    }
}

/// What `image history` takes.
#[derive(Debug, clap::Args)]
pub struct History {
    /// Name or ID of an image
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Print IDs only
    #[arg(long, short)]
    quiet: bool,
    /// Print whole IDs and commands
    #[arg(long)]
    no_trunc: bool,
    /// Sizes and times for people (the default), or for machines
    #[arg(long, short = 'H', value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    human: bool,
    /// A template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// Shows the history of an image, the newest first.
pub fn history(invocation: &Invocation, arguments: History) -> Result<u8> {
    let store = invocation.store()?;
    let image = images(&store)?.resolve(&arguments.image)?;
    let mut layers = image.config.rootfs.diff_ids.iter();
    let mut rows = Vec::new();
    for step in &image.config.history {
        let layer = if step.empty_layer { None } else { layers.next() };
        let size = match layer {
            Some(diff_id) => store.layer(diff_id)?.map_or(0, |record| record.size),
            None => 0,
        };
        let command = step.created_by.as_deref().unwrap_or_default();
        let shortened = if arguments.no_trunc || command.chars().count() <= 45 {
            command.to_owned()
        } else {
            format!("{}…", command.chars().take(44).collect::<String>())
        };
        rows.push(json!({
            "ID": "<missing>",
            "Created": step.created,
            "CreatedAt": step.created,
            "CreatedSince": time::ago(step.created.as_deref()),
            "CreatedBy": shortened,
            "Size": if arguments.human { Value::from(units::size(size)) } else { Value::from(size) },
            "Comment": step.comment.as_deref().unwrap_or_default(),
        }));
    }
    rows.reverse();
    if let Some(first) = rows.first_mut() {
        first["ID"] = Value::from(if arguments.no_trunc { image.id().as_str() } else { image.id().short() });
    }
    let created = if arguments.human { "CreatedSince" } else { "CreatedAt" };
    let columns = [
        ("ID", "ID"),
        ("CREATED", created),
        ("CREATED BY", "CreatedBy"),
        ("SIZE", "Size"),
        ("COMMENT", "Comment"),
    ];
    let style = Style {
        format: arguments.format.as_deref(),
        quiet: arguments.quiet.then_some("ID"),
        no_heading: false,
    };
    output::print(&rows, &columns, &style)?;
    Ok(SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_by_their_parts_and_stars() {
        let name = "docker.io/library/busybox:1.36";
        for pattern in [
            "busybox",
            "busybox:1.36",
            "library/busybox",
            "docker.io/library/busybox",
            name,
            "busy*",
            "*box:1.*",
            "*",
            "busybo?",
            "library/*",
            "*/*/busybox",
            "busybox:[1-3].*",
            "busybo[xyz]",
            "busybo[!a-w]",
        ] {
            assert!(matches_name(pattern, name), "{pattern}");
        }
        for pattern in [
            "box",
            "busybox:1",
            "library",
            "io/library/busybox",
            "",
            "busybox:*7",
            "docker.io/*",
            "docker*box",
            "busybo[a-w]",
            "busybo[^x]",
            "[",
            "busybox[",
            "busybo[",
        ] {
            assert!(!matches_name(pattern, name), "{pattern}");
        }
    }
}
