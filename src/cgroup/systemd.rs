//! A cgroup that systemd makes: a transient unit with init in it, over D-Bus (org.freedesktop.systemd1(5)).
//!
//! A scope needs a process when it is started, so init is born outside, waits before its first step, and is the one: no
//! placeholder, nobody else is moved, and the pid cannot be another's, since init is our child and not reaped. Each call has its
//! own connection, which no child inherits, and a deadline. systemd's calls are over before the container can be frozen;
//! a frozen one is thawed before its unit is stopped.

use crate::dbus::{Address, Call, Connection, Peer, Refusal};
use crate::error::{Error, Result};
use crate::gvariant::Value;
use crate::plan::cgroup::systemd::Property;
use crate::plan::cgroup::{Location, Unit};
use rustix::fs::CWD;
use rustix::process::Pid;
use std::time::{Duration, Instant};

/// How long systemd may take to answer a call.
const ANSWER: Duration = Duration::from_secs(8);

/// How long a job may take that systemd has accepted: it carries out one after the other.
const JOB: Duration = Duration::from_secs(30);

const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
/// What it says of a property that it does not know.
const UNKNOWN_PROPERTY: &str = "org.freedesktop.DBus.Error.PropertyReadOnly";

/// Refuses early, before init is made, where no systemd runs.
pub(super) fn check_running() -> Result<()> {
    if rustix::fs::stat("/run/systemd/system").is_ok() {
        return Ok(());
    }
    let error = Error::new("systemd not running on this host, cannot use systemd cgroups manager");
    Err(error.hint("leave out --systemd-cgroup, or set the client's cgroup driver to cgroupfs"))
}

/// Starts the unit with a process in it and waits until it is there. `accepted` becomes true when there may be a unit.
pub(super) fn start(unit: &Unit, properties: &[Property], pid: Pid, accepted: &mut bool) -> Result<()> {
    let context = || format!("start {}", unit.name);
    let mut systemd = Systemd::connect(unit.user).map_err(|error| error.context(context()))?;
    let mut run = |systemd: &mut Systemd| {
        with_what_it_knows(properties, |known| systemd.run(start_call(unit, known, pid), accepted))
    };
    let started = match run(&mut systemd) {
        // The unit of a container that died of its memory limit is still there, failed.
        Err(refusal) if refusal.is(UNIT_EXISTS) => {
            let reset = systemd.call("ResetFailedUnit", vec![Value::text(unit.name.as_str())]);
            match reset {
                Ok(_) => run(&mut systemd),
                Err(_) => Err(refusal),
            }
        }
        started => started,
    };
    started.map_err(|refusal| {
        let exists = refusal.is(UNIT_EXISTS);
        let error = Error::from(refusal).context(context());
        let user = if unit.user { "--user " } else { "" };
        if exists {
            return error.hint(format!(
                "see systemctl {user}status {}; another container has this cgroupsPath",
                unit.name
            ));
        }
        error
    })
}

/// Makes a call with properties; where systemd does not know one of them, once more without those that it can do without.
fn with_what_it_knows<T>(
    properties: &[Property],
    mut call: impl FnMut(&[Property]) -> std::result::Result<T, Refusal>,
) -> std::result::Result<T, Refusal> {
    match call(properties) {
        Err(refusal) if refusal.is(UNKNOWN_PROPERTY) && properties.iter().any(Property::is_dispensable) => {
            let known: Vec<Property> =
                properties.iter().filter(|one| !one.is_dispensable()).cloned().collect();
            call(&known)
        }
        answer => answer,
    }
}

fn start_call(unit: &Unit, properties: &[Property], pid: Pid) -> Call {
    let mut properties: Vec<Value> = properties.iter().map(value).collect();
    if !unit.is_slice() {
        let pids = Value::Array("u".to_owned(), vec![Value::U32(pid.as_raw_nonzero().get() as u32)]);
        properties.push(value(&Property::new("PIDs", pids)));
    }
    call(
        "StartTransientUnit",
        vec![
            Value::text(unit.name.as_str()),
            Value::text("replace"),
            Value::Array("(sv)".to_owned(), properties),
            Value::Array("(sa(sv))".to_owned(), Vec::new()),
        ],
    )
}

/// Stops the unit and makes systemd forget it. One that is gone already is fine: systemd itself removes a scope whose
/// processes have ended.
pub(super) fn stop(unit: &Unit) -> Result<()> {
    let context = || format!("stop {}", unit.name);
    let mut systemd = Systemd::connect(unit.user).map_err(|error| error.context(context()))?;
    let name = || Value::text(unit.name.as_str());
    let stopped = systemd.run(call("StopUnit", vec![name(), Value::text("replace")]), &mut false);
    let forgotten = match stopped {
        Ok(()) => systemd.call("ResetFailedUnit", vec![name()]).map(drop),
        Err(refusal) => Err(refusal),
    };
    match forgotten {
        Err(refusal) if !refusal.is(NO_SUCH_UNIT) => Err(Error::from(refusal).context(context())),
        _ => Ok(()),
    }
}

/// Changes properties of the unit, until it ends.
pub(super) fn set(unit: &Unit, properties: &[Property]) -> Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let context = || format!("set properties of {}", unit.name);
    let mut systemd = Systemd::connect(unit.user).map_err(|error| error.context(context()))?;
    let set = |properties: &[Property]| {
        let properties = Value::Array("(sv)".to_owned(), properties.iter().map(value).collect());
        let arguments = vec![Value::text(unit.name.as_str()), Value::Bool(true), properties];
        systemd.call("SetUnitProperties", arguments)
    };
    match with_what_it_knows(properties, set) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(Error::from(refusal).context(context())),
    }
}

/// Has systemd move a process into the unit, or into a cgroup below it: what the kernel refuses an ordinary user whose own cgroup
/// is not his, such as that of a login.
pub(super) fn attach(unit: &Unit, location: &Location, pid: Pid) -> Result<()> {
    let context = || format!("move the process to {}", unit.name);
    let below = location.of_systemd().and_then(|directory| unit.below(&directory.path)).unwrap_or_default();
    let mut systemd = Systemd::connect(unit.user).map_err(|error| error.context(context()))?;
    let pids = Value::Array("u".to_owned(), vec![Value::U32(pid.as_raw_nonzero().get() as u32)]);
    let arguments = vec![Value::text(unit.name.as_str()), Value::text(below), pids];
    match systemd.call("AttachProcessesToUnit", arguments) {
        Ok(_) => check_place(unit, location, pid).map_err(|error| error.context(context())),
        Err(refusal) => Err(Error::from(refusal).context(context())),
    }
}

/// Makes sure that a process is where the plan says: limits anywhere else would not be its.
pub(super) fn check_place(unit: &Unit, location: &Location, pid: Pid) -> Result<()> {
    let Some(directory) = location.of_systemd() else { return Ok(()) };
    let table = super::directory::read(CWD, &format!("/proc/{}/cgroup", pid.as_raw_nonzero()))?;
    let found = directory.of_process(&table).unwrap_or_default();
    if unit.below(&directory.path).is_some_and(|below| found.strip_prefix(&*unit.cgroup) == Some(below)) {
        return Ok(());
    }
    Err(Error::new(format!("systemd put it into {found}, not into {}", directory.path)))
}

fn value(property: &Property) -> Value {
    let value = Value::Variant(Box::new(property.value.clone()));
    Value::Struct(vec![Value::text(property.name.as_str()), value])
}

fn call(member: &'static str, arguments: Vec<Value>) -> Call {
    Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: INTERFACE,
        member,
        arguments,
    }
}

/// A connection to a service manager.
struct Systemd {
    connection: Connection,
}

impl Systemd {
    /// Connects to the first that listens: the manager's own socket is nearer than a bus, and works without one.
    fn connect(user: bool) -> Result<Self> {
        let deadline = Instant::now() + ANSWER;
        let mut failed = None;
        for (address, peer) in if user { user_addresses() } else { system_addresses() } {
            match Connection::open(&address, peer, identity(), deadline) {
                Ok(connection) => return Ok(Self { connection }),
                Err(error) => failed = Some(explain(error, &address)),
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(failed.unwrap_or_else(|| {
            let error = Error::new("the user's systemd cannot be found");
            error.hint("set XDG_RUNTIME_DIR or DBUS_SESSION_BUS_ADDRESS, as pam_systemd does at login")
        }))
    }

    fn call(
        &mut self,
        member: &'static str,
        arguments: Vec<Value>,
    ) -> std::result::Result<Vec<Value>, Refusal> {
        self.connection.call(&call(member, arguments), Instant::now() + ANSWER)
    }

    /// Calls a method that makes a job, and waits until the job is done.
    fn run(&mut self, request: Call, accepted: &mut bool) -> std::result::Result<(), Refusal> {
        let deadline = Instant::now() + ANSWER;
        self.connection.watch(INTERFACE, "JobRemoved", deadline)?;
        if self.connection.peer() == Peer::Bus {
            self.call("Subscribe", Vec::new())?;
        }
        let answer = self.connection.call(&request, Instant::now() + ANSWER)?;
        *accepted = true;
        let job = answer.into_iter().next();
        let result = self.connection.signal("JobRemoved", Instant::now() + JOB, |body| match body {
            [_id, path, _unit, result] if Some(path) == job.as_ref() => result.as_text().map(str::to_owned),
            _ => None,
        })?;
        match result.as_str() {
            "done" => Ok(()),
            result => Err(Error::new(format!("systemd says: {result}")).hint("see journalctl -e").into()),
        }
    }
}

/// What to say of a systemd that cannot be reached.
fn explain(error: Error, address: &Address) -> Error {
    let place = match address {
        Address::Path(path) => path.clone(),
        Address::Abstract(name) => format!("@{name}"),
    };
    error.context(format!("connect to systemd at {place}"))
}

/// The user id to introduce ourselves with; in a user namespace ours is another one outside, and the kernel tells it.
fn identity() -> Option<u32> {
    (!crate::host::in_user_namespace()).then(|| rustix::process::geteuid().as_raw())
}

fn system_addresses() -> Vec<(Address, Peer)> {
    let path = |path: &str| Address::Path(path.to_owned());
    vec![(path("/run/systemd/private"), Peer::Service), (path("/run/dbus/system_bus_socket"), Peer::Bus)]
}

fn user_addresses() -> Vec<(Address, Peer)> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let runtime = variable("XDG_RUNTIME_DIR").or_else(|| {
        let uid = rustix::process::geteuid();
        (!uid.is_root()).then(|| format!("/run/user/{}", uid.as_raw()))
    });
    let mut addresses = Vec::new();
    if let Some(runtime) = &runtime {
        addresses.push((Address::Path(format!("{runtime}/systemd/private")), Peer::Service));
    }
    if let Some(session) = variable("DBUS_SESSION_BUS_ADDRESS") {
        addresses.extend(session.split(';').filter_map(bus_address).map(|address| (address, Peer::Bus)));
    }
    if let Some(runtime) = &runtime {
        addresses.push((Address::Path(format!("{runtime}/bus")), Peer::Bus));
    }
    addresses
}

/// Reads `unix:path=/run/user/1000/bus,guid=…`; D-Bus specification, section "Server Addresses".
fn bus_address(text: &str) -> Option<Address> {
    let pairs = text.strip_prefix("unix:")?.split(',');
    pairs.filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| match key {
        "path" => Some(Address::Path(unescape(value)?)),
        "abstract" => Some(Address::Abstract(unescape(value)?)),
        _ => None,
    })
}

/// Undoes `%2d`.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_buses_are_read() {
        let path = |path: &str| Some(Address::Path(path.to_owned()));
        for (text, address) in [
            ("unix:path=/run/user/1000/bus", path("/run/user/1000/bus")),
            ("unix:guid=1f,path=/a%20b", path("/a b")),
            ("unix:abstract=/tmp/dbus-X,guid=1", Some(Address::Abstract("/tmp/dbus-X".to_owned()))),
            ("unix:path=/a%", None),
            ("tcp:host=localhost", None),
            ("", None),
        ] {
            assert_eq!(bus_address(text), address, "{text}");
        }
    }
}
