//! A small sound `config.json` for the tests of this floor, and how to change it.

use super::{Loaded, load};
use crate::error::Result;
use serde_json::Value;

/// All namespaces, a process, and nothing that is odd.
pub(super) const SOUND: &str = r#"{
    "ociVersion": "1.3.0",
    "process": { "cwd": "/", "args": ["sh"], "env": ["PATH=/bin"] },
    "root": { "path": "rootfs" },
    "linux": {
        "namespaces": [
            {"type": "pid"}, {"type": "network"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "user"},
            {"type": "cgroup"}, {"type": "time"}
        ],
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]
    }
}"#;

/// Judges the sound document after a merge patch (RFC 7396): objects are merged, everything else is replaced, and `null`
/// removes.
pub(super) fn judge_with(patch: &str) -> Result<Loaded> {
    load::spec_from(&changed(SOUND, patch), "config.json")
}

/// The bytes of a document after a merge patch.
pub(super) fn changed(document: &str, patch: &str) -> Vec<u8> {
    let mut value: Value = serde_json::from_str(document).unwrap();
    merge(&mut value, serde_json::from_str(patch).unwrap_or_else(|error| panic!("{patch}: {error}")));
    serde_json::to_vec(&value).unwrap()
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(changes) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Default::default());
    }
    let Value::Object(properties) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            properties.remove(&key);
        } else {
            merge(properties.entry(key).or_insert(Value::Null), change);
        }
    }
}
