//! Whether the container may manage its own cgroup, and who owns it then (config-linux.md, "Cgroup ownership").

use crate::plan::mount_options::{Options, attribute};
use crate::plan::mounts::target_of;
use crate::spec::linux::{IdMapping, Linux, NamespaceKind};
use crate::spec::{self, Spec};

/// The host uid of the container's user, when the container sees its own cgroup alone and may write to it.
///
/// Nothing for a user namespace that is joined and whose maps are not given, and for host root, who owns it anyway.
pub(super) fn owner(spec: &Spec) -> Option<u32> {
    let is_new = |namespace: &spec::linux::Namespace| namespace.path.is_none();
    let own_namespace = spec.linux.namespace(NamespaceKind::Cgroup).is_some_and(is_new);
    if !own_namespace || !spec.mounts.iter().any(is_writable_tree) {
        return None;
    }
    let uid = spec.process.as_ref()?.user.uid;
    host_id(&spec.linux, uid).filter(|uid| *uid != 0)
}

fn is_writable_tree(mount: &spec::Mount) -> bool {
    let options = Options::parse(&mount.options);
    let set = options.attributes.set | options.recursive.set;
    let is_tree = target_of(&mount.destination) == "sys/fs/cgroup" && options.bind.is_none();
    is_tree && mount.source.as_deref() == Some("cgroup") && set & attribute::RDONLY == 0
}

/// What a uid of the container is outside.
fn host_id(linux: &Linux, uid: u32) -> Option<u32> {
    match linux.namespace(NamespaceKind::User) {
        None => Some(uid),
        Some(_) => linux.uid_mappings.iter().find_map(|mapping| mapped(mapping, uid)),
    }
}

fn mapped(mapping: &IdMapping, uid: u32) -> Option<u32> {
    let offset = uid.checked_sub(mapping.container_id).filter(|offset| *offset < mapping.size)?;
    mapping.host_id.checked_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner_of(user: u32, mount: &str, linux: &str) -> Option<u32> {
        let text = format!(
            r#"{{"process": {{"cwd": "/", "args": ["x"], "user": {{"uid": {user}, "gid": 0}}}},
                "mounts": [{mount}], "linux": {linux}}}"#
        );
        owner(&serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn l10_owner_is_the_user_of_a_container_that_sees_its_own_writable_cgroup() {
        const MOUNT: &str =
            r#"{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]}"#;
        const OWN: &str = r#"{"namespaces": [{"type": "cgroup"}]}"#;
        let mapped = r#"{"namespaces": [{"type": "cgroup"}, {"type": "user"}],
            "uidMappings": [{"containerID": 0, "hostID": 5000, "size": 10}, {"containerID": 10, "hostID": 7000, "size": 9}]}"#;
        for (user, mount, linux, expected) in [
            (1000, MOUNT, OWN, Some(1000)),
            (0, MOUNT, OWN, None),
            (0, MOUNT, mapped, Some(5000)),
            (12, MOUNT, mapped, Some(7002)),
            (19, MOUNT, mapped, None),
            (1000, MOUNT, r#"{"namespaces": []}"#, None),
            (1000, MOUNT, r#"{"namespaces": [{"type": "cgroup", "path": "/c"}]}"#, None),
            (1000, MOUNT, r#"{"namespaces": [{"type": "cgroup"}, {"type": "user", "path": "/u"}]}"#, None),
            (1000, &MOUNT.replace("\"rw\"", "\"ro\""), OWN, None),
            (1000, &MOUNT.replace("\"rw\"", "\"rro\""), OWN, None),
            (1000, &MOUNT.replace("\"rw\"", "\"bind\""), OWN, None),
            (1000, &MOUNT.replace("/sys/fs/cgroup", "/cgroup"), OWN, None),
            (1000, &MOUNT.replace("\"source\": \"cgroup\"", "\"source\": \"x\""), OWN, None),
        ] {
            assert_eq!(owner_of(user, mount, linux), expected, "{user} {mount} {linux}");
        }
    }
}
