//! Every property of `config.json` that the runtime knows changes a golden plan, or is listed with the reason why none can show it.
//!
//! The plans are those of `plans.rs`. What is known is asked of the types of `spec` (`golden/known.rs`), so that a property
//! that is added there fails here until a plan shows it.
#![cfg(target_arch = "x86_64")]

mod golden;
#[path = "golden/known.rs"]
mod known;

use corten::spec::{Spec, load_file};
use golden::{CASES, EXEC_CASES, directory, exec_printed, printed};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// A plan tells how long a filter is.
const FILTER: &str = "what the filter says is no step";
const DELETE: &str = "it is run by delete";

/// What no plan shows: why not, and the test that sees it.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "process.execCPUAffinity.initial",
        "the runtime is there itself before the process is",
        "exec_process::affinity_is_the_documents_or_every_processor",
    ),
    ("hooks.poststop[].args[]", DELETE, "hooks::hook_of_delete_has_its_arguments_and_environment"),
    ("hooks.poststop[].env[]", DELETE, "hooks::hook_of_delete_has_its_arguments_and_environment"),
    ("hooks.poststop[].timeout", DELETE, "hooks::h1_to_h6_hook_past_its_timeout_is_killed_in_runcs_words"),
    (
        "linux.seccomp.defaultErrnoRet",
        FILTER,
        "seccomp_oracle::the_default_action_tells_whether_newer_calls_are_unknown",
    ),
    ("linux.seccomp.syscalls[].errnoRet", FILTER, "seccomp::actions_do_what_they_say"),
    (
        "linux.seccomp.syscalls[].args[].index",
        FILTER,
        "seccomp::rules_on_different_arguments_are_and_and_on_the_same_one_or",
    ),
    ("linux.seccomp.syscalls[].args[].valueTwo", FILTER, "seccomp::operators_compare_64_bits_without_a_sign"),
    (
        "linux.seccomp.listenerMetadata",
        "the agent is told it when the program starts",
        "seccomp_agent::l22_agent_is_told_the_container_process_state",
    ),
];

/// A configuration with all plans that are known of it.
struct Sample {
    name: &'static str,
    document: Value,
    plans: Vec<String>,
}

fn samples() -> Vec<Sample> {
    let names: BTreeSet<&str> = CASES.iter().map(|(name, ..)| *name).collect();
    let read = |name| {
        let document: Value =
            serde_json::from_slice(&fs::read(directory(name).join("config.json")).unwrap()).unwrap();
        Sample { name, plans: plans(name, &document), document }
    };
    names.into_iter().map(read).collect()
}

/// What a document becomes wherever that is known of the configuration of this name; or its error.
fn plans(name: &str, document: &Value) -> Vec<String> {
    let file = Scratch::write(document);
    let loaded = match load_file(&file.0) {
        Ok(loaded) => loaded,
        Err(error) => return vec![error.to_string()],
    };
    let of_create = CASES.iter().filter(|case| case.0 == name);
    let of_create = of_create.map(|(_, _, host, options)| printed(&loaded, &host(), *options));
    let of_exec = EXEC_CASES.iter().filter(|case| case.0 == name).map(|_| exec_printed(&loaded.spec));
    of_create.chain(of_exec).collect()
}

/// A file of this test's own.
struct Scratch(PathBuf);

impl Scratch {
    fn write(document: &Value) -> Self {
        let path = std::env::temp_dir().join(format!("cortentest-properties-{}.json", std::process::id()));
        fs::write(&path, document.to_string()).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The document without a property, wherever its path leads; nothing where it is not there.
fn without(document: &Value, path: &str) -> Option<Value> {
    let mut changed = document.clone();
    remove(&mut changed, path).then_some(changed)
}

fn remove(value: &mut Value, path: &str) -> bool {
    if let Some(rest) = path.strip_prefix("[]") {
        let items = value.as_array_mut().map(std::mem::take).unwrap_or_default();
        let mut items = items;
        let removed = if rest.is_empty() {
            !std::mem::take(&mut items).is_empty()
        } else {
            items.iter_mut().fold(false, |removed, item| remove(item, rest) | removed)
        };
        *value = Value::Array(items);
        return removed;
    }
    let Some(members) = value.as_object_mut() else { return false };
    if let Some(rest) = path.strip_prefix("{}") {
        if rest.is_empty() {
            return !std::mem::take(members).is_empty();
        }
        return members.values_mut().fold(false, |removed, member| remove(member, rest) | removed);
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    let end = path.find(['.', '[', '{']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    match members.get_mut(name) {
        None | Some(Value::Null) => false,
        Some(_) if rest.is_empty() => members.remove(name).is_some(),
        Some(member) => remove(member, rest),
    }
}

/// Whether `FILE::NAME` is a test.
fn is_there(test: &str) -> bool {
    let (file, name) = test.split_once("::").unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/{file}.rs"));
    fs::read_to_string(path).unwrap().contains(&format!("#[test]\nfn {name}() {{"))
}

#[test]
fn every_property_changes_a_golden_plan_or_says_where_it_is_seen() {
    let samples = samples();
    let known = known::properties::<Spec>();
    assert!(known.len() > 150, "{}: {known:?}", known.len());
    let mut problems = Vec::new();
    for path in &known {
        let is_shown = samples.iter().any(|sample| {
            without(&sample.document, path)
                .is_some_and(|changed| plans(sample.name, &changed) != sample.plans)
        });
        match (is_shown, ELSEWHERE.iter().find(|(listed, ..)| listed == path)) {
            (false, None) => problems.push(format!("{path}: no golden plan shows it")),
            (false, Some((_, _, test))) if !is_there(test) => {
                problems.push(format!("{path}: there is no test {test}"));
            }
            (true, Some((_, reason, _))) => {
                problems.push(format!("{path} is shown by a plan, and said not to be: {reason}"))
            }
            _ => {}
        }
    }
    let listed = ELSEWHERE.iter().filter(|(path, ..)| !known.iter().any(|one| one == path));
    problems.extend(listed.map(|(path, ..)| format!("{path}: no such property")));
    println!("{} properties, {} seen elsewhere", known.len(), ELSEWHERE.len());
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), known.len(), problems.join("\n"));
}
