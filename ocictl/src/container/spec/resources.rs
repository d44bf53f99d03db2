//! Limits and devices: `linux.resources`, `linux.devices`, `process.rlimits`.

use super::{Facts, is_bound};
use crate::container::options::{Options, Resources};
use serde_json::{Map, Value, json};

/// Processes of a container unless something else was typed.
const PIDS: i64 = 2048;
/// `nofile` as far as the caller may set it: programs that close every descriptor there could be stay quick.
const NOFILE: (i64, i64) = (1024, 524_288);

/// `linux.resources`.
pub fn resources(options: &Options, facts: &Facts) -> Value {
    let typed = &options.resources;
    let mut resources = Map::new();
    let mut memory = Map::new();
    let mut put = |name: &str, value: Option<i64>| {
        if let Some(value) = value {
            memory.insert(name.into(), value.into());
        }
    };
    put("limit", typed.memory);
    // No swap beside the memory, where swap can be limited at all: a limit is a limit, and what is secret stays off the disk.
    let no_more = typed.memory.filter(|memory| facts.swap && *memory > 0);
    put("swap", typed.memory_swap.or(no_more));
    put("reservation", typed.memory_reservation);
    if typed.oom_kill_disable {
        memory.insert("disableOOMKiller".into(), true.into());
    }
    let mut cpu = Map::new();
    if let Some(millis) = typed.cpu_millis {
        cpu.insert("period".into(), 100_000.into());
        cpu.insert("quota".into(), (millis * 100).into());
    }
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            cpu.insert(name.into(), value);
        }
    };
    put("period", typed.cpu_period.map(Value::from));
    put("quota", typed.cpu_quota.map(Value::from));
    put("shares", typed.cpu_shares.map(Value::from));
    put("cpus", (!typed.cpuset_cpus.is_empty()).then(|| typed.cpuset_cpus.clone().into()));
    put("mems", (!typed.cpuset_mems.is_empty()).then(|| typed.cpuset_mems.clone().into()));
    let has = |controller: &str| {
        facts.controllers.as_ref().is_none_or(|list| list.iter().any(|name| name == controller))
    };
    cpu.retain(|name, _| has(if matches!(name.as_str(), "cpus" | "mems") { "cpuset" } else { "cpu" }));
    if !has("memory") {
        memory.clear();
    }
    resources.insert("devices".into(), device_rules(options, facts));
    for (name, value) in [("memory", memory), ("cpu", cpu)] {
        if !value.is_empty() {
            resources.insert(name.into(), Value::Object(value));
        }
    }
    let pids = typed.pids.unwrap_or(PIDS);
    if pids != 0 && has("pids") {
        resources.insert("pids".into(), json!({ "limit": pids }));
    }
    if let Some(weight) = typed.blkio_weight.filter(|_| has("io")) {
        resources.insert("blockIO".into(), json!({ "weight": weight }));
    }
    Value::Object(resources)
}

/// The options that were typed and limit nothing here, since their controllers are not ours.
pub fn ignored(typed: &Resources, facts: &Facts) -> Vec<&'static str> {
    let Some(there) = &facts.controllers else { return Vec::new() };
    let table = [
        ("--memory", "memory", typed.memory.is_some() || typed.memory_swap.is_some()),
        ("--memory-reservation", "memory", typed.memory_reservation.is_some()),
        ("--oom-kill-disable", "memory", typed.oom_kill_disable),
        ("--cpus", "cpu", typed.cpu_millis.is_some()),
        ("--cpu-quota", "cpu", typed.cpu_quota.is_some() || typed.cpu_period.is_some()),
        ("--cpu-shares", "cpu", typed.cpu_shares.is_some()),
        ("--cpuset-cpus", "cpuset", !typed.cpuset_cpus.is_empty()),
        ("--cpuset-mems", "cpuset", !typed.cpuset_mems.is_empty()),
        ("--pids-limit", "pids", typed.pids.is_some_and(|pids| pids > 0)),
        ("--blkio-weight", "io", typed.blkio_weight.is_some()),
    ];
    let lost = table
        .into_iter()
        .filter(|(_, controller, is_typed)| *is_typed && !there.iter().any(|name| name == controller));
    lost.map(|(option, ..)| option).collect()
}

/// What `update` changes: as above, without what was not typed. What follows from several options follows from all that are in force.
pub fn changed(typed: &Resources, all: &Resources, facts: &Facts) -> Value {
    let mut typed = typed.clone();
    if typed.memory.is_some() || typed.memory_swap.is_some() {
        (typed.memory, typed.memory_swap) = (all.memory, all.memory_swap);
    }
    if typed.cpu_period.is_some() || typed.cpu_quota.is_some() {
        (typed.cpu_period, typed.cpu_quota) = (all.cpu_period, all.cpu_quota);
    }
    let pids = typed.pids;
    let options = Options { resources: typed, ..Options::default() };
    let mut value = resources(&options, facts);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("devices");
        if pids.is_none() {
            fields.remove("pids");
        }
    }
    value
}

fn device_rules(options: &Options, facts: &Facts) -> Value {
    if options.security.privileged {
        return json!([{ "allow": true, "access": "rwm" }]);
    }
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    for node in &facts.devices {
        rules.push(json!({
            "allow": true, "type": node.kind.to_string(), "major": node.major, "minor": node.minor, "access": node.access,
        }));
    }
    Value::Array(rules)
}

/// `linux.devices`.
pub fn devices(options: &Options, facts: &Facts) -> Vec<Value> {
    let made = facts.devices.iter().filter(|node| !is_bound(node, options, facts));
    made.map(|node| {
        json!({
            "path": node.path, "type": node.kind.to_string(), "major": node.major, "minor": node.minor,
            "fileMode": node.mode, "uid": node.uid, "gid": node.gid,
        })
    })
    .collect()
}

/// `process.rlimits`.
pub fn rlimits(options: &Options, facts: &Facts) -> Value {
    // RLIM_INFINITY.
    let number = |limit: i64| u64::try_from(limit).unwrap_or(u64::MAX);
    let mut list: Vec<Value> = Vec::new();
    if !options.ulimits.iter().any(|limit| limit.name == "nofile") && facts.nofile > 0 {
        let hard = NOFILE.1.min(facts.nofile);
        list.push(json!({ "type": "RLIMIT_NOFILE", "soft": NOFILE.0.min(hard), "hard": hard }));
    }
    for limit in &options.ulimits {
        list.push(json!({
            "type": format!("RLIMIT_{}", limit.name.to_ascii_uppercase()), "soft": number(limit.soft), "hard": number(limit.hard),
        }));
    }
    Value::Array(list)
}
