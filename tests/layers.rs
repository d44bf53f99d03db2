//! The floors of the house and its three nevers, checked by reading the sources (`docs/architecture.md`).
//!
//! A module of `src/` imports `crate::X` only from floors below its own. Beyond that: `launch/init` imports no `spec`,
//! `cgroup`, `container` or `log`; `plan` imports no `sys` and opens nothing; only `container` imports `launch`. No files
//! import each other in a circle, and `unsafe` stands in `src/sys` alone.

#[path = "layers/source.rs"]
mod source;

use source::{Source, read_tree, sources, tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The floor of each module of `src/`. `lib.rs` declares them all and stands on no floor.
const FLOORS: [(&str, u32); 16] = [
    ("main", 8),
    ("cli", 7),
    ("container", 6),
    ("launch", 5),
    ("cgroup", 5),
    ("plan", 4),
    ("host", 3),
    ("seccomp", 3),
    ("dbus", 3),
    ("criu", 3),
    ("gvariant", 2),
    ("spec", 2),
    ("sys", 2),
    ("log", 2),
    ("error", 1),
    ("errno", 0),
];

/// The floor of each module of `ocictl/src/`.
const ENGINE_FLOORS: [(&str, u32); 19] = [
    ("main", 8),
    ("cli", 7),
    ("container", 6),
    ("image", 5),
    ("registry", 4),
    ("volume", 4),
    ("runtime", 4),
    ("store", 3),
    ("archive", 2),
    ("oci", 2),
    ("reference", 2),
    ("rootless", 2),
    ("sys", 1),
    ("given", 1),
    ("paths", 1),
    ("digest", 1),
    ("time", 1),
    ("error", 0),
    ("errno", 0),
];

/// Modules that are pure: from data to data. What they may not name, since it opens, asks or runs something.
const PURE: [&str; 3] = ["plan", "seccomp", "gvariant"];
const IMPURE: [&str; 7] = [
    "std::fs",
    "std::env",
    "std::net",
    "std::os::unix::net",
    "std::process",
    "std::thread",
    "std::io::stdin",
];
/// Methods of `Path` that ask the machine.
const IMPURE_METHODS: [&str; 7] =
    ["exists", "try_exists", "canonicalize", "read_dir", "read_link", "metadata", "symlink_metadata"];

/// Only `container` may import `launch`; `launch/init` runs between clone and exec and may know nothing of these.
const ONLY_CONTAINER_IMPORTS: &str = "launch";
const INIT_NEVER_IMPORTS: [&str; 4] = ["spec", "cgroup", "container", "log"];

#[test]
fn the_floors_and_the_nevers_hold() {
    let found = violations(&sources());
    assert!(found.is_empty(), "the architecture is broken in {} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_floors_of_the_engine_hold() {
    let found = broken_rules(&engine_sources(), &ENGINE_FLOORS);
    assert!(
        found.is_empty(),
        "the architecture of ocictl is broken in {} places:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// The files of `ocictl/src`; `error` and `errno` are those of the runtime and stand there.
fn engine_sources() -> Vec<Source> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ocictl/src");
    read_tree(&folder, &folder)
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut circles = circles(&sources());
    circles.extend(self::circles(&engine_sources()));
    assert!(circles.is_empty(), "files import each other in a circle:\n{}", circles.join("\n"));
}

#[test]
fn unsafe_stands_in_sys_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = read_tree(&root.join("src"), &root.join("src"));
    files.extend(read_tree(&root.join("ocictl/src"), &root.join("ocictl/src")));
    let found: Vec<_> = files.iter().filter(|file| has_unsafe(file)).map(|file| file.path.clone()).collect();
    assert!(found.is_empty(), "unsafe outside src/sys: {found:?}");
}

#[test]
fn the_engine_does_not_link_the_runtime() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ocictl/Cargo.toml"));
    let manifest = manifest.expect("ocictl has a manifest");
    assert!(
        !manifest.lines().any(|line| line.starts_with("corten")),
        "ocictl runs corten, it never links it"
    );
}

// ---- the rules -------------------------------------------------------------------------------------------------------

/// All imports of the runtime that break a rule, one sentence each.
fn violations(files: &[Source]) -> Vec<String> {
    broken_rules(files, &FLOORS)
}

/// All imports of a house with these floors that break a rule, one sentence each.
fn broken_rules(files: &[Source], floors: &[(&str, u32)]) -> Vec<String> {
    let floor_of = |module: &str| floors.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor);
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path != "lib.rs") {
        let Some(floor) = floor_of(file.top()) else {
            found.push(format!(
                "{}: module `{}` has no floor: give it one here and in docs/architecture.md",
                file.path,
                file.top()
            ));
            continue;
        };
        for import in file.imports() {
            let mut broken = |why: String| {
                found.push(format!("{}:{}: {}: {why}", file.path, import.line, import.path.join("::")))
            };
            if let Some(target) = import.own_module() {
                match floor_of(target) {
                    None => broken(format!("module `{target}` has no floor")),
                    Some(_) if target == file.top() => {}
                    Some(below) if below >= floor => {
                        broken(format!(
                            "`{}` (floor {floor}) may not import `{target}` (floor {below})",
                            file.top()
                        ));
                    }
                    Some(_) => {}
                }
                if target == ONLY_CONTAINER_IMPORTS && !["container", "launch"].contains(&file.top()) {
                    broken("only `container` imports `launch`".into());
                }
                if file.path.starts_with("launch/init") && INIT_NEVER_IMPORTS.contains(&target) {
                    broken(format!("`launch/init` never imports `{target}`"));
                }
                if file.top() == "plan" && target == "sys" {
                    broken("`plan` never imports `sys`".into());
                }
            } else if PURE.contains(&file.top()) && opens_something(&import.path) {
                broken(format!("`{}` is pure: it opens, asks and runs nothing", file.top()));
            }
        }
    }
    found
}

/// Whether a path leads to something that touches the machine. Of `rustix` a pure module may name types and constants
/// (they begin with a capital), not functions.
fn opens_something(path: &[String]) -> bool {
    let joined = path.join("::");
    let named = |prefix: &str| joined == prefix || joined.starts_with(&format!("{prefix}::"));
    IMPURE.iter().any(|prefix| named(prefix))
        || IMPURE_METHODS.iter().any(|method| path == [*method])
        || (path[0] == "rustix"
            && !path.iter().any(|name| name.starts_with(|first: char| first.is_ascii_uppercase())))
}

/// Circles among the files, with the way round each. A file may import its own parent and children: a folder is one
/// thought, told in several files.
fn circles(files: &[Source]) -> Vec<String> {
    let modules: BTreeMap<Vec<String>, &Source> =
        files.iter().map(|file| (file.module.clone(), file)).collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        for import in file.imports().iter().filter(|import| import.path[0] == "crate") {
            let target = (1..=import.path.len()).rev().find_map(|end| modules.get(&import.path[1..end]));
            let Some(target) = target.filter(|target| !target.module.is_empty()) else { continue };
            if !target.module.starts_with(&file.module) && !file.module.starts_with(&target.module) {
                edges.entry(&file.path).or_default().insert(&target.path);
            }
        }
    }
    let mut found = BTreeSet::new();
    for start in edges.keys() {
        if let Some(way) = way_back(&edges, start) {
            let first = way.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(index, _)| index);
            let mut round = [&way[first..], &way[..first]].concat();
            round.push(round[0]);
            found.insert(round.join(" → "));
        }
    }
    found.into_iter().collect()
}

/// The files on a shortest way from `start` back to itself.
fn way_back<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while let Some(way) = (!ways.is_empty()).then(|| ways.remove(0)) {
        for next in edges.get(way[way.len() - 1]).into_iter().flatten() {
            if *next == start {
                return Some(way);
            }
            if seen.insert(*next) {
                ways.push([&way[..], &[*next]].concat());
            }
        }
    }
    None
}

/// `unsafe`, or the permission for it, outside `src/sys`; `lib.rs` may give the permission to `mod sys`.
fn has_unsafe(file: &Source) -> bool {
    if file.path.starts_with("sys/") || file.path == "sys.rs" {
        return false;
    }
    let tokens = tokens(&file.text);
    let named = |name: &str| tokens.iter().any(|token| token.text == name);
    named("unsafe") || (named("unsafe_code") && file.path != "lib.rs")
}

// ---- the checker is checked ------------------------------------------------------------------------------------------

/// What is said of a file with this text.
fn said(path: &str, text: &str) -> String {
    violations(&[Source::new(path, text)]).join("\n")
}

#[test]
fn bad_imports_are_found() {
    let table = [
        ("plan/mounts.rs", "use crate::sys::mount;", "never imports `sys`"),
        (
            "plan/mounts.rs",
            "use crate::{spec::Spec, container::{self, state}};",
            "may not import `container`",
        ),
        ("plan/mod.rs", "fn f() { crate::cgroup::v1::apply() }", "may not import `cgroup`"),
        ("plan/mod.rs", "use super::launch as x;", "only `container` imports `launch`"),
        ("plan/a/b.rs", "use super::super::super::cli::{C};", "may not import `cli`"),
        ("plan/mod.rs", "use std::{fmt, fs};", "is pure"),
        ("plan/mod.rs", "use std::{fs::File as F};", "is pure"),
        ("plan/mod.rs", "fn f() { std::env::var(\"X\"); }", "is pure"),
        ("plan/mod.rs", "fn f(path: &Path) { path.exists() }", "is pure"),
        ("plan/mod.rs", "use rustix::fs::openat;", "is pure"),
        ("seccomp/mod.rs", "fn f() { std::process::id(); }", "is pure"),
        ("spec/load.rs", "use crate::sys;", "may not import `sys` (floor 2)"),
        ("launch/init/mod.rs", "use crate::log;", "`launch/init` never imports `log`"),
        ("launch/init/rootfs.rs", "use crate::{error, spec::Mount};", "`launch/init` never imports `spec`"),
        ("cli/mod.rs", "use crate::launch::spawn;", "only `container` imports `launch`"),
        ("main.rs", "use corten::launch;", "only `container` imports `launch`"),
        ("error.rs", "mod inner { use super::super::log; }", "may not import `log`"),
        ("misc.rs", "", "has no floor"),
        ("plan/mod.rs", "use crate::misc::x;", "`misc` has no floor"),
    ];
    for (path, text, wanted) in table {
        let said = said(path, text);
        assert!(said.contains(wanted), "{path}: {text}\nwanted: {wanted}\nsaid: {said}");
    }
}

#[test]
fn good_imports_are_left_alone() {
    let table = [
        ("plan/mounts.rs", "use crate::{host::Host, seccomp, spec::{self, Spec}};\nuse super::place::Place;"),
        ("plan/mod.rs", "use rustix::mount::MountFlags; fn f() { rustix::fs::Mode::empty(); }"),
        (
            "plan/mod.rs",
            "#[cfg(test)]\nmod tests { use std::fs; use crate::container; }\nuse crate::error::Result;",
        ),
        (
            "plan/mod.rs",
            "// use crate::sys;\n/* crate::launch /* nested */ crate::sys */ const A: &str = \"crate::sys::x\";",
        ),
        (
            "plan/mod.rs",
            "const A: &str = r#\"std::fs \" crate::sys\"#; const B: char = '\"'; fn f<'a>(x: &'a str) {}",
        ),
        ("container/create.rs", "use crate::launch; use crate::cgroup::Manager;"),
        ("launch/init/mod.rs", "use crate::plan::Step; use super::protocol; use crate::sys;"),
        ("main.rs", "use corten::{cli, error::Error}; fn main() { std::process::exit(1) }"),
        ("lib.rs", "pub mod misc;"),
    ];
    for (path, text) in table {
        assert_eq!(said(path, text), "", "{path}: {text}");
    }
}

#[test]
fn circles_are_found_and_families_are_not_circles() {
    let circle = [
        Source::new("plan/mod.rs", "use mounts::X;"),
        Source::new("plan/mounts.rs", "use super::process::Y; use super::Step;"),
        Source::new("plan/process.rs", "fn f() { crate::plan::security::f() }"),
        Source::new("plan/security.rs", "use crate::plan::{mounts::X};"),
    ];
    assert_eq!(circles(&circle), ["plan/mounts.rs → plan/process.rs → plan/security.rs → plan/mounts.rs"]);
    assert_eq!(circles(&circle[..3]), [""; 0]);
}

#[test]
fn unsafe_is_found() {
    assert!(has_unsafe(&Source::new("plan/mod.rs", "fn f() { unsafe { g() } }")));
    assert!(has_unsafe(&Source::new("plan/mod.rs", "#![allow(unsafe_code)]")));
    assert!(!has_unsafe(&Source::new("plan/mod.rs", "// unsafe\nconst A: &str = \"unsafe\";")));
    assert!(!has_unsafe(&Source::new("sys/bpf.rs", "fn f() { unsafe { g() } }")));
    assert!(!has_unsafe(&Source::new("lib.rs", "#[allow(unsafe_code)]\npub mod sys;")));
}

#[test]
fn lines_are_counted_through_strings_and_comments() {
    let text = "/* a\n */\nconst A: &str = \"\n\";\nuse crate::sys;";
    assert!(said("plan/mod.rs", text).contains("plan/mod.rs:5:"), "{}", said("plan/mod.rs", text));
}
