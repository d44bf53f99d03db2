//! features: what this build of the runtime knows, whatever the machine offers (features.md and features-linux.md).
//!
//! Every statement is true of this source: lists come from the tables that the runtime works with, and what is not built
//! is `false` or empty. The kernel is asked for one of them, as runc does: which flags of seccomp it supports. containerd and CRI-O decide by it whether pods get user namespaces and recursive read-only mounts.

use super::print;
use crate::error::{Error, Result};
use crate::plan::{annotations, mount_options};
use crate::seccomp;
use crate::spec::scheduling::{MemoryFlag, MemoryMode};
use crate::spec::seccomp::{Action, Arch, Flag, Operator};
use crate::spec::{NamespaceKind, OCI_VERSION, capabilities};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::collections::BTreeMap;

type Words = Vec<&'static str>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: Words,
    mount_options: Words,
    linux: Linux,
    annotations: BTreeMap<&'static str, &'static str>,
    potentially_unsafe_config_annotations: Words,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: Words,
    capabilities: Words,
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    memory_policy: MemoryPolicy,
    intel_rdt: IntelRdt,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    enabled: bool,
    actions: Words,
    operators: Words,
    archs: Words,
    known_flags: Words,
    supported_flags: Words,
}

#[derive(Serialize)]
struct MemoryPolicy {
    modes: Words,
    flags: Words,
}

#[derive(Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

/// Prints the document, indented as runc's.
pub fn features() -> Result<u8> {
    let mut text = Vec::new();
    let mut out = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    document().serialize(&mut out).map_err(|error| Error::new(error.to_string()))?;
    text.push(b'\n');
    print(&String::from_utf8_lossy(&text))?;
    Ok(0)
}

fn document() -> Features {
    let versions = [("corten.commit", env!("CORTEN_COMMIT")), ("corten.version", env!("CARGO_PKG_VERSION"))];
    Features {
        oci_version_min: "1.0.0",
        oci_version_max: OCI_VERSION,
        hooks: vec![
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ],
        mount_options: mount_options::names().collect(),
        linux: linux(),
        annotations: versions.into(),
        potentially_unsafe_config_annotations: vec![annotations::DEFAULT_DEVICE_RULES],
    }
}

fn linux() -> Linux {
    Linux {
        namespaces: NamespaceKind::ALL.iter().map(|kind| kind.word()).collect(),
        capabilities: capabilities::NAMES.to_vec(),
        cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: true, rdma: true },
        seccomp: Seccomp {
            enabled: true,
            actions: Action::WORDS.to_vec(),
            operators: Operator::WORDS.to_vec(),
            archs: Arch::WORDS.to_vec(),
            known_flags: Flag::WORDS.to_vec(),
            supported_flags: supported_flags(),
        },
        apparmor: Enabled { enabled: true },
        selinux: Enabled { enabled: true },
        memory_policy: MemoryPolicy {
            modes: MemoryMode::ALL.iter().map(|mode| mode.word()).collect(),
            flags: MemoryFlag::ALL.iter().map(|flag| flag.word()).collect(),
        },
        intel_rdt: IntelRdt { enabled: true, schemata: true, monitoring: true },
        mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
        net_devices: Enabled { enabled: true },
    }
}

fn supported_flags() -> Words {
    let known = seccomp::FLAGS.iter().filter(|(_, bits)| crate::sys::filter::knows(*bits));
    known.map(|(flag, _)| flag.as_str()).collect()
}
