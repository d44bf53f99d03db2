//! update, pause, resume: what a container may use of the machine, now.

use super::grammar::{Arguments, Mounts, MountsChange, Pause, Resume, Update};
use super::open;
use crate::container::{mounts, pause, update};
use crate::error::{Context, Result};
use crate::log::Log;
use crate::spec::linux::IntelRdt;
use crate::spec::resources::{BlockIo, Cpu, Memory, Pids, Resources};
use crate::spec::{self, LoadedResources};
use std::io::Read;

/// Pauses a container.
pub fn pause(arguments: &Arguments, typed: &Pause) -> Result<u8> {
    pause::pause(&open(arguments, &typed.id)?, typed.reclaim)?;
    Ok(0)
}

/// Lets a paused container go on.
pub fn resume(arguments: &Arguments, typed: &Resume) -> Result<u8> {
    pause::resume(&open(arguments, &typed.id)?)?;
    Ok(0)
}

/// Changes the limits of a container.
pub fn update(arguments: &Arguments, typed: &Update, log: &Log) -> Result<u8> {
    let mut container = open(arguments, &typed.id)?;
    let mut rdt = None;
    let resources = match &typed.resources {
        Some(file) => {
            let LoadedResources { resources, warnings } = read(file)?;
            for warning in &warnings {
                log.warning(warning)?;
            }
            resources
        }
        None => {
            rdt = classes(typed);
            meant(typed)
        }
    };
    update::update(&mut container, &resources, rdt.as_ref(), log)?;
    Ok(0)
}

/// Adds mounts to a container, or removes them.
pub fn mounts(arguments: &Arguments, typed: &Mounts, log: &Log) -> Result<u8> {
    let container = open(arguments, &typed.id)?;
    let bytes = read_file(&typed.file).context(|| typed.file.clone())?;
    let adds = matches!(typed.change, MountsChange::Add);
    let (mounts, warnings) = spec::load::mounts_from(&bytes, &typed.file)?;
    for warning in &warnings {
        log.warning(warning)?;
    }
    let change = if adds { mounts::add } else { mounts::remove };
    change(&container, &mounts).map_err(|error| error.context(typed.file.clone()))?;
    Ok(0)
}

/// Reads the document of `--resources`.
fn read(file: &str) -> Result<LoadedResources> {
    let bytes = read_file(file).context(|| format!("--resources {file}"))?;
    spec::load::resources_from(&bytes, "--resources")
}

fn read_file(file: &str) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file {
        "-" => std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        file => std::fs::read(file),
    }
}

/// The resources that the options stand for; those that are not given stay as they are.
fn meant(typed: &Update) -> Resources {
    let memory = Memory {
        limit: typed.memory,
        reservation: typed.memory_reservation,
        swap: typed.memory_swap,
        kernel: typed.kernel_memory,
        kernel_tcp: typed.kernel_memory_tcp,
        ..Memory::default()
    };
    let cpu = Cpu {
        shares: typed.cpu_share,
        quota: typed.cpu_quota,
        burst: typed.cpu_burst,
        period: typed.cpu_period,
        realtime_runtime: typed.cpu_rt_runtime,
        realtime_period: typed.cpu_rt_period,
        cpus: typed.cpuset_cpus.clone().unwrap_or_default(),
        mems: typed.cpuset_mems.clone().unwrap_or_default(),
        idle: typed.cpu_idle,
    };
    Resources {
        memory: Some(memory),
        cpu: Some(cpu),
        pids: Some(Pids { limit: typed.pids_limit }),
        block_io: Some(BlockIo { weight: typed.blkio_weight, ..BlockIo::default() }),
        ..Resources::default()
    }
}

/// The lines of resctrl, if there are any; an empty one is none, as in a document.
fn classes(typed: &Update) -> Option<IntelRdt> {
    let line = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (l3_cache_schema, mem_bw_schema) = (line(&typed.l3_cache_schema), line(&typed.mem_bw_schema));
    let is_asked = l3_cache_schema.is_some() || mem_bw_schema.is_some();
    is_asked.then(|| IntelRdt { l3_cache_schema, mem_bw_schema, ..IntelRdt::default() })
}
