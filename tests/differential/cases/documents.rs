//! `config.json` as others write it: the runtimes' own `spec`, and the documents of engines. Those of docker, podman, containerd
//! and the kubelet that the golden plans are made of, and what podman 4.3.1 and `ctr oci spec` of containerd 1.6.20 wrote.

use super::super::case::{Case, case};
use super::super::support::Bundle;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The bundles.
pub fn cases() -> Vec<Case> {
    vec![
        case("spec-of-runc", |bundle| spec(bundle, "/usr/sbin/runc")),
        case("spec-of-crun", |bundle| spec(bundle, "/usr/bin/crun")),
        case("spec-of-corten", |bundle| {
            let program = super::super::support::runtime::program();
            spec(bundle, program.to_str().unwrap());
        }),
        case("of-docker", |bundle| document(bundle, include_str!("../../plans/docker/config.json"))),
        case("of-podman", |bundle| document(bundle, include_str!("../../plans/podman/config.json")))
            .holder(&["--net"]),
        case("of-containerd", |bundle| document(bundle, include_str!("../../plans/containerd/config.json"))),
        case("of-cri", |bundle| document(bundle, include_str!("../../plans/cri/config.json")))
            .holder(&["--net", "--ipc", "--uts"]),
        case("of-cri-sandbox", |bundle| {
            document(bundle, include_str!("../../plans/cri-sandbox/config.json"))
        })
        .holder(&["--net"]),
        case("of-podman-4", |bundle| document(bundle, include_str!("../../fixtures/podman.json"))),
        case("of-podman-4-privileged", |bundle| {
            document(bundle, include_str!("../../fixtures/podman-privileged.json"))
        }),
        case("of-podman-4-userns", |bundle| {
            document(bundle, include_str!("../../fixtures/podman-userns.json"))
        }),
        case("of-ctr", |bundle| document(bundle, include_str!("../../fixtures/containerd.json"))),
    ]
}

/// What a runtime's `spec` writes, with a payload instead of a shell on a terminal.
fn spec(bundle: &mut Bundle, runtime: &str) {
    let dir = bundle.dir.join("spec");
    fs::create_dir(&dir).unwrap();
    assert!(
        Command::new(runtime).arg("spec").current_dir(&dir).status().unwrap().success(),
        "{runtime} spec"
    );
    take(bundle, serde_json::from_str(&fs::read_to_string(dir.join("config.json")).unwrap()).unwrap());
    bundle.set("/process/terminal", json!(false));
}

/// A document of an engine, with the places of its machine replaced by those of the bundle: the root, the sources of bind mounts,
/// namespaces to join, the cgroup. What this kernel lacks (security modules) and who is called (hooks) is left out.
fn document(bundle: &mut Bundle, text: &str) {
    take(bundle, serde_json::from_str(text).unwrap());
    bundle.set("/hooks", json!({}));
    for label in ["apparmorProfile", "selinuxLabel"] {
        bundle.config["process"].as_object_mut().unwrap().remove(label);
    }
    // A test machine need not have CAP_SYS_RESOURCE, and crun needs more than a little memory.
    if bundle.config["process"]["oomScoreAdj"].as_i64() < Some(0) {
        bundle.set("/process/oomScoreAdj", json!(0));
    }
    for limit in bundle.config["process"]["rlimits"].as_array_mut().into_iter().flatten() {
        (limit["soft"], limit["hard"]) = (json!(1000), json!(2000));
    }
    if bundle.config["linux"]["resources"]["memory"].is_object() {
        bundle.set("/linux/resources/memory", json!({ "limit": 128 << 20, "swap": 256 << 20 }));
    }
    // With two of them it would have next to no processor.
    if bundle.config["linux"]["resources"]["cpu"]["shares"].is_u64() {
        bundle.set("/linux/resources/cpu/shares", json!(512));
    }
    let linux = bundle.config["linux"].as_object_mut().unwrap();
    linux.remove("mountLabel");
    if let Some(resources) = linux.get_mut("resources").and_then(Value::as_object_mut) {
        resources.remove("unified");
    }
    let sources = bundle.dir.join("sources");
    fs::create_dir(&sources).unwrap();
    for (index, mount) in bundle.config["mounts"].as_array_mut().unwrap().iter_mut().enumerate() {
        if mount["type"] == "bind" {
            mount["source"] = json!(source(&sources, index, mount["destination"].as_str().unwrap()));
        }
    }
    if let Some(id) = bundle.config["linux"]["uidMappings"][0]["hostID"].as_u64() {
        bundle.chown_rootfs(u32::try_from(id).unwrap());
    }
    for namespace in bundle.config["linux"]["namespaces"].as_array_mut().unwrap() {
        if namespace.get("path").is_some() {
            let kind = namespace["type"].as_str().unwrap().replace("network", "net");
            namespace["path"] = json!(format!("/proc/HOLDER/ns/{kind}"));
        }
    }
}

/// A directory, or a file where the destination has the name of one.
fn source(below: &Path, index: usize, destination: &str) -> String {
    let path = below.join(index.to_string());
    if destination.starts_with("/etc/") || destination.ends_with("log") || destination.contains("env") {
        fs::write(&path, "text\n").unwrap();
    } else {
        fs::create_dir(&path).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// Takes a document over, in this bundle's root and cgroup.
fn take(bundle: &mut Bundle, config: Value) {
    let path = json!(format!("/{}", bundle.id));
    let readonly = config["root"]["readonly"].clone();
    bundle.config = config;
    bundle.set("/root", json!({ "path": "rootfs", "readonly": readonly == true }));
    // crun 1.8 refuses newer ones.
    bundle.set("/ociVersion", json!("1.0.2"));
    bundle.set("/linux/cgroupsPath", path).set("/process/args", json!(["true"]));
}
