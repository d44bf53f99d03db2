//! `ocictl system …`: the store as a whole.

use super::output::units;
use super::{Family, Invocation, SUCCESS, print_text, verb};
use crate::error::{Error, Result};

/// The family.
pub const FAMILY: Family = Family {
    name: "system",
    aliases: &[],
    about: "Look after the store",
    verbs: &[
        verb!("check", [], short [], "Say whether everything in the store is whole", Check, check),
        verb!("version", [], short["version"], "Print the version", Version, version),
    ],
};

#[derive(Debug, clap::Args)]
struct Check {
    /// Read all layers and compare them with their digests
    #[arg(long)]
    deep: bool,
    /// Remove what killed commands have left
    #[arg(long, short)]
    repair: bool,
}

fn check(invocation: &Invocation, arguments: Check) -> Result<u8> {
    let store = invocation.store()?;
    if arguments.repair {
        let collected = store.collect()?;
        for layer in &collected.layers {
            store.release_layer(layer)?;
        }
        print_text(&format!(
            "Removed {} layers, {} blobs, {} leftovers: {}\n",
            collected.layers.len(),
            collected.blobs,
            collected.leftovers,
            units::size(collected.bytes)
        ))?;
    }
    let report = store.check(arguments.deep)?;
    for fault in &report.faults {
        print_text(&format!("{fault}\n"))?;
    }
    match report.faults.len() {
        0 => {
            print_text(&format!("{} objects checked, all whole\n", report.checked))?;
            Ok(SUCCESS)
        }
        faults => Err(Error::new(format!("{faults} of {} objects are not whole", report.checked))),
    }
}

#[derive(Debug, clap::Args)]
struct Version {}

fn version(_: &Invocation, Version {}: Version) -> Result<u8> {
    print_text(&format!("ocictl version {}\n", env!("CARGO_PKG_VERSION")))?;
    Ok(SUCCESS)
}
