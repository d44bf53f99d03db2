//! Containers of an ordinary user, with subordinate ids and without: the same verbs as root's, and nothing is left.

mod engine;
#[path = "support/user.rs"]
mod user;

use engine::{Engine, support};
use std::fs;
use user::{as_user, as_user_after};

/// What the last line of each script says when nothing is left.
const END: &str = "ocictl system check; ls $2/run/containers $2/root/containers $2/run/namespace | grep -v :";

/// The lines that were printed, without the ones that differ from run to run.
fn check_end(printed: &str, wanted: &str) {
    let (before, after) = printed.split_once(" objects checked, all whole\n").expect(printed);
    let before = before.rsplit_once('\n').map_or("", |(before, _)| before);
    assert_eq!(before.trim_end(), wanted.trim_end(), "{printed}");
    assert_eq!(after.split_whitespace().collect::<Vec<_>>(), ["lock"], "something is left");
}

#[test]
fn every_verb_works_for_an_ordinary_user() {
    for ids in [true, false] {
        let engine = Engine::for_a_user(if ids { "user-ids" } else { "user-alone" });
        let script = r#"
            ocictl load -q -i image.tar > /dev/null
            ocictl run -d --name c busybox sleep 1000 > /dev/null
            ocictl exec c sh -c 'id -u; echo new > /file'
            ocictl exec -w /data/inner -e A=b c sh -c 'echo $A; pwd; cat file'
            ocictl cp c:/file - | tar -xO; echo more > host; ocictl cp host c:/data/; ocictl exec c cat /data/host
            ocictl top c | tail -1 | grep -o 'sleep 1000'
            ocictl stats --no-stream --format '{{.Name}} {{.PIDs}}' c
            [ "$(ocictl run --rm --network host busybox readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo network
            ocictl diff c
            ocictl commit -q c changed > /dev/null; ocictl run --rm changed cat /file /data/host
            ocictl export c | tar -tf - | grep -c '^proc/.'  || :
            ocictl run --rm -v vol:/data busybox sh -c 'echo kept > /data/x'; ocictl run --rm -v vol:/v busybox cat /v/x /v/inner/file
            ocictl run --rm -v $2:/mnt busybox sh -c 'echo written > /mnt/by-container'; stat -c %u by-container
            ocictl run --rm -v /:/mnt busybox sh -c 'echo hello > /mnt/root/test' 2> /dev/null || echo refused
            ocictl restart -t 0 c; ocictl exec c cat /file; ocictl logs c
            ocictl stop -t 0 c; ocictl inspect --format '{{.State.ExitCode}}' c
            ocictl rm -a -f -v; ocictl volume rm vol; ocictl rmi -a -f > /dev/null
        "#;
        let Some(printed) = as_user(&engine.scratch, ids, &format!("{script}{END}")) else { return };
        let wanted = "0\nb\n/data/inner\nof the image\nnew\nmore\nsleep 1000\nc 1\nnetwork\nC /data\nA /data/host\nA /file\nnew\nmore\n0\n\
            kept\nof the image\n4711\nrefused\nc\nnew\nc\n137\nc\nvol\n";
        check_end(&printed, wanted);
    }
}

/// What a container does with a device that it has by another name.
const LOOK_AT_DEVICE: &str = "head -c 4 /dev/other/nil | wc -c; test -c /dev/other/nil && test -c /data/null && echo x > /data/null && echo devices";

#[test]
fn a_device_has_another_name_where_none_can_be_made() {
    let engine = Engine::for_a_user("user-device");
    let devices = "--device /dev/zero:/dev/other/nil --device /dev/null:/data/null:rw";
    let script = format!(
        "ocictl load -q -i image.tar > /dev/null; ocictl run --rm {devices} busybox sh -c '{LOOK_AT_DEVICE}'
        ocictl run --rm --device /dev/zero busybox sh -c 'head -c 3 /dev/zero | wc -c'; ocictl rmi -a -f > /dev/null;"
    );
    let Some(printed) = as_user(&engine.scratch, true, &format!("{script}{END}")) else { return };
    check_end(&printed, "4\ndevices\n3\n");
}

#[test]
fn users_of_the_image_need_subordinate_ids() {
    let engine = Engine::for_a_user("user-web");
    let script = "ocictl load -q -i image.tar > /dev/null; ocictl run --rm -u web busybox sh -c 'id -u; id -G'
        ocictl run -d --name c busybox sleep 1000 > /dev/null; ocictl exec -u web c id -u; ocictl rm -f c; ocictl rmi -a -f > /dev/null;";
    let Some(printed) = as_user(&engine.scratch, true, &format!("{script}{END}")) else { return };
    check_end(&printed, "33\n34 4\n33\nc\n");
    let engine = Engine::for_a_user("user-no-web");
    let script =
        "ocictl load -q -i image.tar > /dev/null; ocictl run --rm -u web busybox id -u 2>&1 || echo code $?";
    let printed = as_user(&engine.scratch, false, script).expect("root");
    assert!(
        printed.contains("user 33 is none of the ids of this user\n") && printed.contains("/etc/subuid"),
        "{printed}"
    );
    assert!(printed.ends_with("code 126\n"), "{printed}");
}

#[test]
fn the_hosts_root_below_a_throw_away_layer() {
    for ids in [true, false] {
        let engine = Engine::empty(if ids { "user-rootfs-ids" } else { "user-rootfs" });
        let script = r#"
            echo old > file
            ocictl run --rm --rootfs /:O sh -c "cat $2/file; echo new > $2/file; cat $2/file; echo \$\$; ls -d /etc /usr/bin; echo x > /tmp/x; id -u" | tr '\n' ' '
            cat file; [ -e /tmp/x ] && echo leaked
        "#;
        // Mounts of others, such as root's layers, lie in directories that are closed.
        let others = r#"mkdir -m 700 "$2/closed" "$2/closed/mount"; mount -t tmpfs tmpfs "$2/closed/mount""#;
        let script = format!("{script}{END}");
        let Some(printed) = as_user_after(&engine.scratch, ids, &format!("{others}\n"), &script) else {
            return;
        };
        check_end(&printed, "old new 1 /etc /usr/bin 0 old\n");
    }
}

#[test]
fn commands_of_one_user_meet_in_one_namespace() {
    let engine = Engine::for_a_user("user-meet");
    // A monitor that was killed is no reason to lose its container; nor are other commands that begin and end meanwhile.
    let script = r#"
        ocictl load -q -i image.tar > /dev/null
        ocictl run -d --name a busybox sleep 1000 > /dev/null
        pid=$(ocictl inspect --format '{{.State.ConmonPid}}' a); [ "$pid" -gt 1 ]; kill -9 "$pid"
        ocictl run -d --name b busybox sleep 1000 > /dev/null
        [ "$(ocictl exec a readlink /proc/self/ns/user)" = "$(ocictl exec b readlink /proc/self/ns/user)" ] && echo one
        for i in 1 2 3 4; do ocictl exec a true & ocictl run --rm busybox true & done; wait
        ocictl rm -f -a | sort; ocictl rmi -a -f > /dev/null
    "#;
    let Some(printed) = as_user(&engine.scratch, true, &format!("{script}{END}")) else { return };
    check_end(&printed, "one\na\nb\n");
}

#[test]
fn limits_need_a_delegated_cgroup() {
    let engine = Engine::for_a_user("user-limits");
    let script = r#"
        ocictl load -q -i image.tar > /dev/null
        ocictl run --rm -m 64m --pids-limit 10 busybox echo ran 2>&1
        ocictl run -d --name c busybox sleep 1000 > /dev/null
        ocictl update -m 64m c 2>&1 || echo refused; ocictl pause c 2>&1 || echo refused
        ocictl rm -f c; ocictl rmi -a -f > /dev/null
    "#;
    let Some(printed) = as_user(&engine.scratch, true, &format!("{script}{END}")) else { return };
    let wanted = "Warning: --memory, --pids-limit: ignored, since no cgroup controller for it is delegated to this user\nran\n\
        Error: container c: --memory: no cgroup controller for it is delegated to this user\nrefused\n\
        Error: container c: it has no cgroup that could be frozen\n  hint: without root, a cgroup has to be delegated to the user\nrefused\nc\n";
    check_end(&printed, wanted);
}

/// A cgroup of this name, which goes with all below it, whichever way the test ends.
struct Delegated(String);

impl Drop for Delegated {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let trees = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
        for tree in trees.filter_map(|line| line.split(' ').nth(4)) {
            let path = std::path::Path::new(tree).join(&self.0);
            if fs::symlink_metadata(&path).is_err() {
                continue;
            }
            // What is still in it after a failure has no other end.
            let _as_far_as_it_goes = fs::write(path.join("cgroup.kill"), "1");
            let folders = format!("find {} -depth -type d", path.display());
            let folders = String::from_utf8(support::run("sh", &["-c", &folders])).expect("text");
            let until = std::time::Instant::now() + engine::PATIENCE;
            while fs::symlink_metadata(&path).is_ok() && std::time::Instant::now() < until {
                folders.lines().for_each(|folder| drop(fs::remove_dir(folder)));
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}

#[test]
fn a_delegated_cgroup_is_used() {
    let engine = Engine::for_a_user("user-delegated");
    let name = format!("ocictl-test-{}", std::process::id());
    let prepare = format!(
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup; c=/sys/fs/cgroup/{name}; mkdir $c $c/shell
         for d in $c $c/shell; do chown 4711 $d $d/cgroup.procs $d/cgroup.subtree_control $d/cgroup.threads; done
         echo $$ > $c/shell/cgroup.procs\n"
    );
    let script = r#"
        ocictl load -q -i image.tar > /dev/null
        id=$(ocictl run -d --name c busybox sleep 1000)
        [ "$(sed -n 's/^0:://p' /proc/$(ocictl inspect --format '{{.State.Pid}}' c)/cgroup)" = /NAME/ocictl-$id ] && echo own
        ocictl pause c; ocictl ps --format '{{.Status}}' | grep -o Paused; ocictl unpause c
        ocictl exec c echo in; ocictl top c | grep -c 'sleep 1000'
        ocictl rm -f c; ls -d /sys/fs/cgroup/NAME/ocictl-* 2> /dev/null | wc -l; ocictl rmi -a -f > /dev/null
    "#
    .replace("NAME", &name);
    let _delegated = Delegated(name);
    let Some(printed) = as_user_after(&engine.scratch, true, &prepare, &format!("{script}{END}")) else {
        return;
    };
    check_end(&printed, "own\nc\nPaused\nc\nin\n1\nc\n0\n");
}
