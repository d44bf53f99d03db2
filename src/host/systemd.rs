//! Which systemd makes cgroups for this caller, and where its part of the tree begins; asked only with
//! `--systemd-cgroup`. See systemd(1) and user@.service(5).

use super::Host;
use std::env;

/// One of the machine's service managers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Whether it is the caller's own (`systemd --user`) instead of pid 1.
    pub user: bool,
    /// Its cgroup, below which its slices are: an absolute path below the mount point, empty for the mount point itself.
    pub root: String,
}

impl Manager {
    /// Asks the machine. Pid 1 serves root; the user's manager serves everybody else, and root of a user namespace where
    /// the environment says that there is a user's session around it.
    pub fn probe(host: &Host) -> Self {
        let in_session =
            || ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"].iter().any(|name| env::var_os(name).is_some());
        let user = host.uid != 0 || host.in_user_namespace && in_session();
        let own = host.cgroups.hierarchies.last().map_or("/", |hierarchy| hierarchy.own.as_str());
        let root = if user {
            // A map that cannot be read leaves the user who he seems to be: systemd then refuses what is not his.
            let map = || super::cgroup::read("/proc/self/uid_map").unwrap_or_default();
            let uid = if host.in_user_namespace { outside(host.uid, &map()) } else { host.uid };
            root_of_user(own, uid)
        } else {
            // Where /proc hides it, pid 1 is taken for the root's, as it is but in a container with its host's tree.
            let first = super::cgroup::read("/proc/1/cgroup").unwrap_or_default();
            root_of_system(&first).to_owned()
        };
        Self { user, root }
    }
}

/// Where pid 1 has its slices: beside its own `init.scope`, which is in the unified hierarchy or in systemd's of v1.
fn root_of_system(cgroup_file: &str) -> &str {
    let is_its_own = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let paths = cgroup_file.lines().filter(is_its_own).filter_map(|line| line.splitn(3, ':').nth(2));
    let mut roots = paths.filter_map(|path| path.strip_suffix("/init.scope"));
    roots.find(|root| !root.contains("/..")).unwrap_or("")
}

/// Who a user is outside of his namespace, by its map (user_namespaces(7)).
fn outside(uid: u32, map: &str) -> u32 {
    let row = |line: &str| {
        let mut words = line.split_ascii_whitespace().map(|word| word.parse::<u32>().ok());
        let (inside, outside, count) = (words.next()??, words.next()??, words.next()??);
        let place = uid.checked_sub(inside).filter(|place| *place < count)?;
        outside.checked_add(place)
    };
    map.lines().find_map(row).unwrap_or(uid)
}

/// Where a user's manager has its slices: its service, which mostly is around us, and else where logind puts it.
fn root_of_user(own: &str, uid: u32) -> String {
    let mut end = 0;
    for part in own.split('/').skip(1) {
        end += 1 + part.len();
        if part.starts_with("user@") && part.ends_with(".service") {
            return own[..end].to_owned();
        }
    }
    format!("/user.slice/user-{uid}.slice/user@{uid}.service")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_of_a_user_namespace_is_the_user_who_made_it() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        for (uid, wanted) in [(0, 1000), (1, 100_000), (65_536, 165_535), (70_000, 70_000)] {
            assert_eq!(outside(uid, map), wanted);
        }
        assert_eq!(outside(1000, ""), 1000);
    }

    #[test]
    fn slices_are_beside_the_init_scope() {
        for (file, root) in [
            ("0::/init.scope\n", ""),
            ("0::/docker/4f/init.scope\n", "/docker/4f"),
            ("1:name=systemd:/init.scope\n0::/../init.scope\n", ""),
            ("5:cpu,cpuacct:/\n1:name=systemd:/lxc/a/init.scope\n0::/\n", "/lxc/a"),
            ("0::/\n", ""),
            ("", ""),
        ] {
            assert_eq!(root_of_system(file), root, "{file}");
        }
    }

    #[test]
    fn a_users_slices_are_below_its_manager() {
        let usual = "/user.slice/user-1000.slice/user@1000.service";
        for (own, root) in [
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope", usual),
            ("/user.slice/user-1000.slice/user@1000.service", usual),
            ("/user.slice/user-1000.slice/session-3.scope", usual),
            ("/system.slice/ssh.service", usual),
            (
                "/lxc/a/user.slice/user-0.slice/user@0.service/b",
                "/lxc/a/user.slice/user-0.slice/user@0.service",
            ),
        ] {
            assert_eq!(root_of_user(own, 1000), root, "{own}");
        }
    }
}
