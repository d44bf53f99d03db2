//! The document that `spec` writes for the user to edit: what runc writes, so that scripts which edit one edit the other.
//! It is text from the start, since the reader is a person and the order of the properties is part of it.

use super::OCI_VERSION;
use super::linux::NamespaceKind;

/// What the document depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether the machine has cgroup v2 alone, where a container gets a cgroup namespace.
    pub cgroup_v2: bool,
    /// For `spec --rootless`: user and group of the caller, who becomes root of a user namespace.
    pub rootless: Option<(u32, u32)>,
}

/// The whole document, indented by tabs.
pub fn document(options: Options) -> String {
    // A caller who maps one group can neither give terminals to group 5 nor mount a sysfs of the host's network.
    let (terminal_group, sys, linux) = match options.rootless {
        None => (",\n\t\t\t\t\"gid=5\"", SYSFS, RESOURCES.to_owned()),
        Some((uid, gid)) => {
            ("", BOUND_SYS, [id_map("uidMappings", uid), id_map("gidMappings", gid)].concat())
        }
    };
    [
        "{\n\t\"ociVersion\": \"",
        OCI_VERSION,
        PROCESS_TO_TERMINALS,
        terminal_group,
        MOUNTS_TO_MQUEUE,
        sys,
        CGROUP,
        &linux,
        &namespaces(options),
        PATHS,
    ]
    .concat()
}

fn id_map(property: &str, id: u32) -> String {
    format!(
        "\t\t\"{property}\": [\n\t\t\t{{\n\t\t\t\t\"containerID\": 0,\n\t\t\t\t\"hostID\": {id},\n\t\t\t\t\"size\": 1\n\
         \t\t\t}}\n\t\t],\n"
    )
}

/// A rootless container stays in the caller's network namespace: in a new one nothing could reach it.
fn namespaces(options: Options) -> String {
    use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let is_rootless = options.rootless.is_some();
    let listed: Vec<String> = [Pid, Network, Ipc, Uts, Mount, Cgroup, User]
        .into_iter()
        .filter(|kind| match kind {
            Network => !is_rootless,
            Cgroup => options.cgroup_v2,
            User => is_rootless,
            _ => true,
        })
        .map(|kind| format!("\t\t\t{{\n\t\t\t\t\"type\": \"{kind}\"\n\t\t\t}}"))
        .collect();
    format!("\t\t\"namespaces\": [\n{}\n\t\t],\n", listed.join(",\n"))
}

const PROCESS_TO_TERMINALS: &str = r#"",
	"process": {
		"terminal": true,
		"user": {
			"uid": 0,
			"gid": 0
		},
		"args": [
			"sh"
		],
		"env": [
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
			"TERM=xterm"
		],
		"cwd": "/",
		"capabilities": {
			"bounding": [
				"CAP_AUDIT_WRITE",
				"CAP_KILL",
				"CAP_NET_BIND_SERVICE"
			],
			"effective": [
				"CAP_AUDIT_WRITE",
				"CAP_KILL",
				"CAP_NET_BIND_SERVICE"
			],
			"permitted": [
				"CAP_AUDIT_WRITE",
				"CAP_KILL",
				"CAP_NET_BIND_SERVICE"
			]
		},
		"rlimits": [
			{
				"type": "RLIMIT_NOFILE",
				"hard": 1024,
				"soft": 1024
			}
		],
		"noNewPrivileges": true
	},
	"root": {
		"path": "rootfs",
		"readonly": true
	},
	"hostname": "corten",
	"mounts": [
		{
			"destination": "/proc",
			"type": "proc",
			"source": "proc"
		},
		{
			"destination": "/dev",
			"type": "tmpfs",
			"source": "tmpfs",
			"options": [
				"nosuid",
				"strictatime",
				"mode=755",
				"size=65536k"
			]
		},
		{
			"destination": "/dev/pts",
			"type": "devpts",
			"source": "devpts",
			"options": [
				"nosuid",
				"noexec",
				"newinstance",
				"ptmxmode=0666",
				"mode=0620""#;

const MOUNTS_TO_MQUEUE: &str = r#"
			]
		},
		{
			"destination": "/dev/shm",
			"type": "tmpfs",
			"source": "shm",
			"options": [
				"nosuid",
				"noexec",
				"nodev",
				"mode=1777",
				"size=65536k"
			]
		},
		{
			"destination": "/dev/mqueue",
			"type": "mqueue",
			"source": "mqueue",
			"options": [
				"nosuid",
				"noexec",
				"nodev"
			]
		},
"#;

const SYSFS: &str = r#"		{
			"destination": "/sys",
			"type": "sysfs",
			"source": "sysfs",
			"options": [
				"nosuid",
				"noexec",
				"nodev",
				"ro"
			]
		},
"#;

const BOUND_SYS: &str = r#"		{
			"destination": "/sys",
			"type": "none",
			"source": "/sys",
			"options": [
				"rbind",
				"nosuid",
				"noexec",
				"nodev",
				"ro"
			]
		},
"#;

const CGROUP: &str = r#"		{
			"destination": "/sys/fs/cgroup",
			"type": "cgroup",
			"source": "cgroup",
			"options": [
				"nosuid",
				"noexec",
				"nodev",
				"relatime",
				"ro"
			]
		}
	],
	"linux": {
"#;

const RESOURCES: &str = r#"		"resources": {
			"devices": [
				{
					"allow": false,
					"access": "rwm"
				}
			]
		},
"#;

const PATHS: &str = r#"		"maskedPaths": [
			"/proc/acpi",
			"/proc/asound",
			"/proc/kcore",
			"/proc/keys",
			"/proc/latency_stats",
			"/proc/timer_list",
			"/proc/timer_stats",
			"/proc/sched_debug",
			"/sys/firmware",
			"/proc/scsi"
		],
		"readonlyPaths": [
			"/proc/bus",
			"/proc/fs",
			"/proc/irq",
			"/proc/sys",
			"/proc/sysrq-trigger"
		]
	}
}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::load::spec_from;
    use serde_json::{Value, json};
    use std::process::Command;

    const VARIANTS: [Options; 4] = [
        Options { cgroup_v2: false, rootless: None },
        Options { cgroup_v2: true, rootless: None },
        Options { cgroup_v2: false, rootless: Some((1000, 1001)) },
        Options { cgroup_v2: true, rootless: Some((1000, 1001)) },
    ];

    #[test]
    fn it_is_sound_for_us_and_for_the_oci_spec_crate() {
        for options in VARIANTS {
            let text = document(options);
            assert_eq!(spec_from(text.as_bytes(), "config.json").unwrap().warnings, Vec::<String>::new());
            let theirs: oci_spec::runtime::Spec = serde_json::from_str(&text).unwrap();
            assert_eq!(theirs.version(), OCI_VERSION);
        }
    }

    #[test]
    fn namespaces_depend_on_the_options() {
        let expected = [
            "pid network ipc uts mount",
            "pid network ipc uts mount cgroup",
            "pid ipc uts mount user",
            "pid ipc uts mount cgroup user",
        ];
        for (options, expected) in VARIANTS.into_iter().zip(expected) {
            let spec = spec_from(document(options).as_bytes(), "config.json").unwrap().spec;
            let kinds: Vec<&str> =
                spec.linux.namespaces.iter().map(|namespace| namespace.kind.word()).collect();
            assert_eq!(kinds.join(" "), expected);
        }
    }

    /// Skipped where there is no runc. What differs on purpose: the version, the host name, and the ambient capabilities,
    /// which runc gave up in 1.2 (a program that is not root would keep them).
    #[test]
    fn it_is_what_runc_writes() {
        let bundle = std::env::temp_dir().join(format!("corten-default-{}", std::process::id()));
        std::fs::create_dir(&bundle).unwrap();
        for is_rootless in [false, true] {
            let mut runc = Command::new("runc");
            runc.args(["spec", "--bundle"]).arg(&bundle).args(is_rootless.then_some("--rootless"));
            if !runc.status().is_ok_and(|status| status.success()) {
                break;
            }
            let text = std::fs::read(bundle.join("config.json")).unwrap();
            std::fs::remove_file(bundle.join("config.json")).unwrap();
            let mut theirs: Value = serde_json::from_slice(&text).unwrap();
            let map =
                |kind: &str| theirs["linux"][kind][0]["hostID"].as_u64().map(|id| u32::try_from(id).unwrap());
            let rootless = map("uidMappings").zip(map("gidMappings"));
            let cgroup_v2 =
                theirs["linux"]["namespaces"].as_array().unwrap().contains(&json!({"type": "cgroup"}));
            let ours: Value = serde_json::from_str(&document(Options { cgroup_v2, rootless })).unwrap();
            theirs["ociVersion"] = json!(OCI_VERSION);
            theirs["hostname"] = json!("corten");
            theirs["process"]["capabilities"].as_object_mut().unwrap().remove("ambient");
            assert_eq!(rootless.is_some(), is_rootless);
            assert_eq!(ours, theirs);
        }
        std::fs::remove_dir(&bundle).unwrap();
    }
}
