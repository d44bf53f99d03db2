//! `system df`: what images, containers and volumes take, and how much of it nobody needs.

use super::super::container::written_bytes;
use super::super::output::{self, Style, table::Table, template, units};
use super::super::{Invocation, SUCCESS, images, print_text, told};
use crate::container::Containers;
use crate::container::options::MountKind;
use crate::container::record::{Container, Status};
use crate::digest::Digest;
use crate::error::Result;
use crate::store::images::{ImageRecord, NameRecord};
use crate::store::{Store, disk};
use crate::time;
use crate::volume::{Volume, Volumes};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What `df` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Tell of each image, container and volume
    #[arg(long, short)]
    verbose: bool,
    /// A template, or json
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

/// `df`.
pub fn df(invocation: &Invocation, arguments: Arguments) -> Result<u8> {
    let store = invocation.store()?;
    let found = Found::look(&store)?;
    let style = Style { format: arguments.format.as_deref(), ..Style::default() };
    if !arguments.verbose {
        let rows = [found.of_images(), found.of_containers(), found.of_volumes()];
        let columns = [
            ("TYPE", "Type"),
            ("TOTAL", "Total"),
            ("ACTIVE", "Active"),
            ("SIZE", "Size"),
            ("RECLAIMABLE", "Reclaimable"),
        ];
        output::print(&rows, &columns, &style)?;
        return Ok(SUCCESS);
    }
    let each = [found.each_image(), found.each_container(), found.each_volume()];
    match arguments.format.as_deref().filter(|format| format.trim() != "table") {
        None => print_text(&tables(&each))?,
        Some(format) => {
            let [images, containers, volumes] = each;
            let whole = json!({ "Images": images, "Containers": containers, "Volumes": volumes });
            super::print_object(&whole, format)?;
        }
    }
    Ok(SUCCESS)
}

/// Everything, with what each takes on disk.
struct Found<'a> {
    store: &'a Store,
    images: Vec<(ImageRecord, Vec<NameRecord>)>,
    /// How many containers have an image.
    users: BTreeMap<Digest, usize>,
    containers: Vec<(Container, Status, u64)>,
    /// Each with how many containers have it.
    volumes: Vec<(Volume, usize, u64)>,
}

impl<'a> Found<'a> {
    fn look(store: &'a Store) -> Result<Self> {
        let readable = told(Containers::open(store)?.readable(true)?).into_iter();
        let containers: Vec<(Container, Status, u64)> = readable
            .map(|(container, _, status)| {
                let bytes = written_bytes(&container);
                (container, status, bytes)
            })
            .collect();
        let has = |container: &Container, name: &str| {
            container.record.options.mounts.iter().any(|mount| {
                matches!(&mount.kind, MountKind::Volume(own) | MountKind::Anonymous(own) if own == name)
            })
        };
        let volumes = Volumes::open(store)?.list()?.into_iter().map(|volume| {
            let links = containers.iter().filter(|(container, ..)| has(container, &volume.name)).count();
            let bytes = disk::bytes_on_disk(&volume.data());
            (volume, links, bytes)
        });
        let volumes = volumes.collect();
        let mut users = BTreeMap::new();
        for pin in store.pins()? {
            *users.entry(pin.image).or_default() += 1;
        }
        Ok(Self { store, images: images(store)?.list()?, users, containers, volumes })
    }

    fn of_images(&self) -> Value {
        let is_used = |image: &ImageRecord| self.users.contains_key(&image.id);
        let sum = |wanted: &dyn Fn(&ImageRecord) -> bool| {
            let images = self.images.iter().filter(|(image, _)| wanted(image));
            let layers: BTreeSet<&Digest> = images.flat_map(|(image, _)| &image.layers).collect();
            layers.into_iter().map(|layer| self.store.layer_bytes_on_disk(layer)).sum::<u64>()
        };
        let active = self.images.iter().filter(|(image, _)| is_used(image)).count();
        let all = sum(&|_| true);
        summary("Images", self.images.len(), active, all, all.saturating_sub(sum(&is_used)))
    }

    fn of_containers(&self) -> Value {
        let is_active =
            |status: Status| matches!(status, Status::Running | Status::Paused | Status::Restarting);
        let active = self.containers.iter().filter(|(_, status, _)| is_active(*status)).count();
        let bytes = |active: bool| {
            let list = self.containers.iter().filter(|(_, status, _)| is_active(*status) == active);
            list.map(|(.., bytes)| bytes).sum::<u64>()
        };
        summary("Containers", self.containers.len(), active, bytes(true) + bytes(false), bytes(false))
    }

    fn of_volumes(&self) -> Value {
        let active = self.volumes.iter().filter(|(_, links, _)| *links > 0).count();
        let bytes = |used: bool| {
            let list = self.volumes.iter().filter(|(_, links, _)| (*links > 0) == used);
            list.map(|(.., bytes)| bytes).sum::<u64>()
        };
        summary("Local Volumes", self.volumes.len(), active, bytes(true) + bytes(false), bytes(false))
    }

    fn each_image(&self) -> Vec<Value> {
        self.images.iter().map(|(image, names)| self.image(image, names)).collect()
    }

    /// What an image takes, and how much of it other images take as well.
    fn image(&self, image: &ImageRecord, names: &[NameRecord]) -> Value {
        let others = self.images.iter().filter(|(other, _)| other.id != image.id);
        let others: BTreeSet<&Digest> = others.flat_map(|(other, _)| &other.layers).collect();
        let bytes = |layers: &[&Digest]| {
            layers.iter().map(|layer| self.store.layer_bytes_on_disk(layer)).sum::<u64>()
        };
        let (shared, own): (Vec<&Digest>, Vec<&Digest>) =
            image.layers.iter().partition(|layer| others.contains(layer));
        let (repository, tag) =
            names.first().and_then(|name| name.name.rsplit_once(':')).unwrap_or(("<none>", "<none>"));
        json!({
            "Repository": repository,
            "Tag": tag,
            "ImageID": image.id.short(),
            "Created": time::ago(image.created.as_deref()),
            "Size": units::size(bytes(&shared) + bytes(&own)),
            "SharedSize": units::size(bytes(&shared)),
            "UniqueSize": units::size(bytes(&own)),
            "Containers": self.users.get(&image.id).copied().unwrap_or(0),
        })
    }

    fn each_container(&self) -> Vec<Value> {
        let row = |(container, status, bytes): &(Container, Status, u64)| {
            let record = &container.record;
            json!({
                "ContainerID": &record.id[..12],
                "Image": record.image.as_ref().map_or("", |image| image.id.short()),
                "Command": record.options.arguments.join(" "),
                "LocalVolumes": record.options.mounts.iter()
                    .filter(|mount| matches!(mount.kind, MountKind::Volume(_) | MountKind::Anonymous(_))).count(),
                "Size": units::size(*bytes),
                "Created": format!("{} ago", time::words(time::now().saturating_sub(record.created))),
                "Status": status.name(),
                "Names": record.name,
            })
        };
        self.containers.iter().map(row).collect()
    }

    fn each_volume(&self) -> Vec<Value> {
        let row = |(volume, links, bytes): &(Volume, usize, u64)| json!({ "VolumeName": volume.name, "Links": links, "Size": units::size(*bytes) });
        self.volumes.iter().map(row).collect()
    }
}

fn summary(kind: &str, total: usize, active: usize, bytes: u64, free: u64) -> Value {
    let percent = (free * 100).checked_div(bytes).unwrap_or(0);
    json!({
        "Type": kind,
        "Total": total,
        "TotalCount": total,
        "Active": active,
        "Size": units::size(bytes),
        "RawSize": bytes,
        "Reclaimable": format!("{} ({percent}%)", units::size(free)),
        "RawReclaimable": free,
    })
}

/// A table of each, as docker and podman have them.
fn tables(each: &[Vec<Value>; 3]) -> String {
    type Columns = &'static [(&'static str, &'static str)];
    const TABLES: [(&str, Columns); 3] = [
        (
            "Images",
            &[
                ("REPOSITORY", "Repository"),
                ("TAG", "Tag"),
                ("IMAGE ID", "ImageID"),
                ("CREATED", "Created"),
                ("SIZE", "Size"),
                ("SHARED SIZE", "SharedSize"),
                ("UNIQUE SIZE", "UniqueSize"),
                ("CONTAINERS", "Containers"),
            ],
        ),
        (
            "Containers",
            &[
                ("CONTAINER ID", "ContainerID"),
                ("IMAGE", "Image"),
                ("COMMAND", "Command"),
                ("LOCAL VOLUMES", "LocalVolumes"),
                ("SIZE", "Size"),
                ("CREATED", "Created"),
                ("STATUS", "Status"),
                ("NAMES", "Names"),
            ],
        ),
        ("Local Volumes", &[("VOLUME NAME", "VolumeName"), ("LINKS", "Links"), ("SIZE", "Size")]),
    ];
    let mut texts = Vec::new();
    for ((title, columns), rows) in TABLES.iter().zip(each) {
        let mut table = Table::new(columns.iter().map(|(heading, _)| (*heading).to_owned()));
        for row in rows {
            table.row(columns.iter().map(|(_, key)| template::plain(&row[*key])));
        }
        texts.push(format!("{title} space usage:\n\n{}", table.text()));
    }
    texts.join("\n")
}
