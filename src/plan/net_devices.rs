//! `linux.netDevices`: which network devices move into the container, and what they are called there.
//!
//! config-linux.md, "Network Devices".

use crate::plan::Place;
use crate::spec::linux::Linux;
use std::fmt;

/// A network device to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name in the runtime's network namespace.
    pub name: String,
    /// Its name in the container; `%d` stands for the first number that is free there.
    pub new_name: String,
    /// Where it stands.
    pub place: Place,
}

/// The devices in the order of their names, those with a template last: no other's name is then free to be taken.
pub(super) fn decide(linux: &Linux) -> Vec<NetDevice> {
    let device = |(name, device): (&String, &crate::spec::linux::NetDevice)| NetDevice {
        name: name.clone(),
        new_name: device.name.as_ref().unwrap_or(name).clone(),
        place: Place::dynamic(format!("linux.netDevices[{name:?}]")),
    };
    let (templates, names): (Vec<_>, Vec<_>) =
        linux.net_devices.iter().map(device).partition(|device| device.new_name.contains('%'));
    names.into_iter().chain(templates).collect()
}

impl fmt::Display for NetDevice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "move network device {} in", self.name)?;
        if self.new_name == self.name { Ok(()) } else { write!(out, " as {}", self.new_name) }
    }
}
