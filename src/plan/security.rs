//! What bounds the container's process beside its identity: labels, sysctls, the seccomp program.
//!
//! config.md, "AppArmor", "SELinux"; config-linux.md, "Sysctl", "Seccomp".

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Place;
use crate::plan::mounts::c_string;
use crate::plan::step::{Action, Step};
use crate::spec::linux::Linux;
use crate::spec::{Process, Spec, sysctl};
use std::ffi::CStr;

/// Where AppArmor takes the label of the next execve(2): its own file since Linux 5.8, else the shared one.
const APPARMOR_FILES: &[&CStr] = &[c"thread-self/attr/apparmor/exec", c"thread-self/attr/exec"];

/// Where SELinux takes it.
const SELINUX_FILES: &[&CStr] = &[c"thread-self/attr/exec"];

/// The steps that write `linux.sysctl`, through the runtime's own procfs.
///
/// # Errors
/// A NUL byte in a name.
pub fn sysctls(spec: &Spec) -> Result<Vec<Step>> {
    let step = |(name, value): (&String, &String)| {
        let place = Place::dynamic(format!("linux.sysctl[{name:?}]"));
        let Some(path) = sysctl::path(name) else {
            return Err(Error::new(format!("{place}: is not the name of a kernel parameter")));
        };
        let file = c_string(&format!("sys/{path}"), &place, "name")?;
        Ok(Step::of(place, Action::Sysctl { file, value: value.clone().into_bytes() }))
    };
    spec.linux.sysctl.iter().map(step).collect()
}

/// The SELinux context of the container's mounts. Without SELinux there is none: nobody would look at it, and no file system
/// takes it. A process's label is another matter, for it confines.
pub fn mount_label<'a>(linux: &'a Linux, host: &Host) -> Option<&'a str> {
    linux.mount_label.as_deref().filter(|_| host.selinux)
}

/// What is told of one that was asked for in vain.
pub fn label_left_out(linux: &Linux, host: &Host) -> Option<String> {
    let label = linux.mount_label.as_ref().filter(|_| !host.selinux)?;
    Some(format!("linux.mountLabel: {label:?} is left out, SELinux is not enabled on this machine"))
}

/// The steps that set the labels of the next execve(2).
pub fn labels(process: &Process) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(profile) = &process.apparmor_profile {
        let value = format!("exec {profile}").into_bytes();
        let action = Action::ExecLabel { files: APPARMOR_FILES, value };
        steps.push(Step::of(Place::property("process.apparmorProfile"), action));
    }
    if let Some(label) = &process.selinux_label {
        let action = Action::ExecLabel { files: SELINUX_FILES, value: label.clone().into_bytes() };
        steps.push(Step::of(Place::property("process.selinuxLabel"), action));
    }
    steps
}
