//! Golden files: what `config.json` becomes on a machine that is fixed here.
//!
//! `tests/plans/NAME/config.json` is the input, `plan*.txt` beside it what `corten plan` prints of it. Nothing is asked
//! of the machine that runs the test, but its architecture: a seccomp program is as long as that demands.
//!
//! `UPDATE=1 cargo test --test plans` writes the files anew: read the difference before you commit it, it is the review
//! of a change to the plan.
#![cfg(target_arch = "x86_64")]

mod golden;

use corten::host::Host;
use corten::plan::text;
use corten::spec::{Loaded, default, load};
use golden::{CASES, EXEC_CASES, as_typed, decide, directory, exec_printed, loaded, printed, spec, v2};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_configuration_becomes_the_plan_beside_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut differences = String::new();
    let plans = CASES.iter().map(|(name, file, host, change)| {
        (directory(name).join(file), printed(&loaded(name), &host(), *change))
    });
    let of_exec =
        EXEC_CASES.iter().map(|(name, file)| (directory(name).join(file), exec_printed(&spec(name))));
    for (path, plan) in plans.chain(of_exec) {
        if update {
            replace(&path, &plan);
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if plan != expected {
            differences += &format!("--- {}\n{}", path.display(), difference(&expected, &plan));
        }
    }
    assert!(differences.is_empty(), "\n{differences}UPDATE=1 writes the files anew");
}

#[test]
fn every_golden_file_belongs_to_a_case() {
    let files = CASES.iter().map(|(name, file, ..)| (name, file));
    let files = files.chain(EXEC_CASES.iter().map(|(name, file)| (name, file)));
    let known: BTreeSet<PathBuf> = files.map(|(name, file)| directory(name).join(file)).collect();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory("")).unwrap() {
        for entry in fs::read_dir(entry.unwrap().path()).unwrap() {
            found.insert(entry.unwrap().path());
        }
    }
    found.retain(|path| path.file_name().unwrap() != "config.json");
    assert_eq!(found, known);
}

#[test]
fn default_documents_among_the_cases_are_those_that_spec_writes() {
    for (name, cgroup_v2, rootless) in
        [("spec", true, None), ("spec-v1", false, None), ("spec-rootless", true, Some((1000, 1000)))]
    {
        let path = directory(name).join("config.json");
        let document = default::document(default::Options { cgroup_v2, rootless });
        if std::env::var_os("UPDATE").is_some() {
            replace(&path, &document);
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), document, "{name}");
    }
}

#[test]
fn l15_mount_label_is_on_what_can_have_one() {
    let mut spec = spec("spec");
    spec.linux.mount_label = Some("system_u:object_r:c_t:s0:c1,c2".into());
    let plan = |host| text::table(&decide(&spec, &host, as_typed).unwrap());
    let labelled = plan(v2());
    let line = |words: &str| {
        labelled.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{labelled}"))
    };
    for on in ["on \"/dev\" (", "mount devpts on", "on \"/dev/shm\" ("] {
        assert!(line(on).contains("context=system_u:object_r:c_t:s0:c1,c2"), "{labelled}");
    }
    // mqueue takes it as an extended attribute.
    assert!(line("mount mqueue on").contains("label=system_u:object_r:c_t:s0:c1,c2"), "{labelled}");
    for without in ["mount proc on", "mount sysfs on"] {
        assert!(!line(without).contains("c_t"), "{labelled}");
    }
    assert!(!plan(Host { selinux: false, ..v2() }).contains("c_t"));
}

#[test]
fn every_step_is_numbered_and_has_an_actor_and_an_action() {
    for (name, file, host, change) in CASES {
        let Ok(plan) = decide(&spec(name), &host(), *change) else { continue };
        let Value::Array(steps) = serde_json::to_value(text::lines(&plan)).unwrap() else { panic!() };
        for (index, step) in steps.iter().enumerate() {
            let mut keys: Vec<&str> = step.as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            // A step of the runtime's own accord has no place: the key is left out, never empty.
            assert!(
                [&["action", "actor", "place", "step"][..], &["action", "actor", "step"]]
                    .contains(&&keys[..]),
                "{name}/{file}: {step}"
            );
            assert_eq!(step["step"], index + 1, "{name}/{file}");
            assert!(["runtime", "init"].contains(&step["actor"].as_str().unwrap()), "{name}/{file}: {step}");
            assert_ne!(step["action"], "", "{name}/{file}: {step}");
            assert_ne!(step["place"], "", "{name}/{file}: {step}");
        }
    }
}

#[test]
fn every_place_is_one_of_the_configuration() {
    for (name, file, host, change) in CASES {
        let config: Value =
            serde_json::from_slice(&fs::read(directory(name).join("config.json")).unwrap()).unwrap();
        let Ok(plan) = decide(&spec(name), &host(), *change) else { continue };
        for line in text::lines(&plan).iter().filter(|line| !line.place.is_empty()) {
            assert!(exists(&config, &line.place), "{name}/{file}: {line:?}");
        }
    }
}

#[test]
fn a2_unknown_properties_change_nothing_wherever_they_stand() {
    changed_documents_have_the_same_plans("a2", |members| {
        members.insert("ofTomorrow".to_owned(), serde_json::json!({ "deep": [null, { "er": -1 }] }));
    });
}

#[test]
fn d32_every_property_may_be_written_in_another_case() {
    let warnings = changed_documents_have_the_same_plans("d32", |members| {
        *members =
            std::mem::take(members).into_iter().map(|(name, value)| (name.to_uppercase(), value)).collect();
    });
    assert!(warnings.contains("the property \"LINUX\" is taken as \"linux\""), "{warnings}");
}

/// Changes the members of every object of each configuration whose plan is known, and compares the plans with those of the
/// unchanged one: what was warned of on the way.
fn changed_documents_have_the_same_plans(
    name: &str,
    mut change: impl FnMut(&mut Map<String, Value>),
) -> String {
    let bundle = std::env::temp_dir().join(format!("corten-plans-{name}-{}", std::process::id()));
    fs::create_dir(&bundle).unwrap();
    let mut warnings = String::new();
    let mut differences = String::new();
    for (name, file, host, options) in CASES {
        let text = fs::read(directory(name).join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        in_every_object(&mut config, true, &mut change);
        fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        let plan = match load::load(&bundle) {
            Ok(loaded) => {
                warnings += &loaded.warnings.join("\n");
                let sound = golden::loaded(name).warnings;
                printed(&Loaded { warnings: sound, ..loaded }, &host(), *options)
            }
            Err(error) => error.to_string(),
        };
        differences += &difference(&printed(&loaded(name), &host(), *options), &plan).replace("@@", file);
    }
    fs::remove_dir_all(&bundle).unwrap();
    assert!(differences.is_empty(), "{differences}");
    warnings
}

/// Properties whose members have names of the user's choice.
const MAPS: [&str; 6] = ["annotations", "sysctl", "timeOffsets", "netDevices", "unified", "rdma"];

/// Changes the members of every object whose names are the specification's, the inner ones first.
fn in_every_object(value: &mut Value, named: bool, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| in_every_object(item, true, change)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                in_every_object(member, !(named && MAPS.contains(&name.as_str())), change);
            }
            if named {
                change(members);
            }
        }
        _ => {}
    }
}

/// Whether the configuration has something at a place such as `linux.sysctl["net.core.somaxconn"]` or `mounts[3]`.
fn exists(config: &Value, place: &str) -> bool {
    let pointer = place.replace("[\"", "/").replace("\"]", "");
    let (path, key) = match place.split_once("[\"") {
        Some((path, key)) => (path, Some(key.trim_end_matches("\"]"))),
        None => (pointer.as_str(), None),
    };
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    config.pointer(&pointer).is_some_and(|value| key.is_none_or(|key| value.get(key).is_some()))
}

/// Writes a file in one step, since the other tests read it meanwhile.
fn replace(path: &Path, text: &str) {
    let aside = path.with_extension("new");
    fs::write(&aside, text).unwrap();
    fs::rename(aside, path).unwrap();
}

/// The lines that differ, `-` expected and `+` found, with the line before each change. Numbers shift when a step is
/// added, so that lines are compared without theirs.
fn difference(expected: &str, found: &str) -> String {
    let expected: Vec<&str> = expected.lines().collect();
    let found: Vec<&str> = found.lines().collect();
    let same = |left: usize, right: usize| unnumbered(expected[left]) == unnumbered(found[right]);
    // common[left][right]: the longest common subsequence of what follows.
    let mut common = vec![vec![0; found.len() + 1]; expected.len() + 1];
    for left in (0..expected.len()).rev() {
        for right in (0..found.len()).rev() {
            common[left][right] = if same(left, right) {
                common[left + 1][right + 1] + 1
            } else {
                common[left + 1][right].max(common[left][right + 1])
            };
        }
    }
    let (mut text, mut left, mut right, mut context) = (String::new(), 0, 0, None);
    while left < expected.len() || right < found.len() {
        let is_common = left < expected.len() && right < found.len() && same(left, right);
        if is_common {
            context = Some(found[right]);
            (left, right) = (left + 1, right + 1);
            continue;
        }
        text += &context.take().map_or_else(String::new, |line| format!("  {line}\n"));
        let removed = right == found.len()
            || left < expected.len() && common[left + 1][right] >= common[left][right + 1];
        if removed {
            text += &format!("- {}\n", expected[left]);
            left += 1;
        } else {
            text += &format!("+ {}\n", found[right]);
            right += 1;
        }
    }
    text
}

fn unnumbered(line: &str) -> &str {
    line.trim_start().trim_start_matches(|letter: char| letter.is_ascii_digit())
}

#[test]
fn difference_shows_changed_lines_alone() {
    let expected = "   1  init     one\n   2  init     two\n   3  init     three\n";
    let found = "   1  init     one\n   2  init     new\n   3  init     two\n   4  init     3\n";
    assert_eq!(
        difference(expected, found),
        "     1  init     one\n+    2  init     new\n     3  init     two\n-    3  init     three\n+    4  init     3\n"
    );
}
