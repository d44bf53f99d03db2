//! The tests: one a clause, by its id.

mod cgroups;
mod config;
mod devices;
mod features;
mod hooks;
mod lifecycle;
mod mounts;
mod namespaces;
mod net_devices;
mod operations;
mod process;
mod seccomp;
mod seccomp_listener;

/// A clause's id and its test.
pub type Case = (&'static str, fn());

/// All of them.
pub fn all() -> Vec<Case> {
    let parts = [
        lifecycle::CASES,
        operations::CASES,
        features::CASES,
        config::CASES,
        mounts::CASES,
        process::CASES,
        hooks::CASES,
        namespaces::CASES,
        devices::CASES,
        net_devices::CASES,
        cgroups::CASES,
        seccomp::CASES,
        seccomp_listener::CASES,
    ];
    parts.concat()
}
