//! Where `exec` puts its process in the cgroup trees: v1 and hybrid as the machine has them, v2 mounted over
//! `/sys/fs/cgroup` in a private mount namespace.

mod support;

use std::fs;
use support::{Bundle, Outcome, cgroups, skip_on_peer};

const SHOW: &str = "cat /proc/self/cgroup";

/// The path in each hierarchy by controllers, of the output of [`SHOW`].
fn paths(output: &str) -> Vec<(&str, &str)> {
    output.lines().map(|line| line.split_once(':').unwrap().1.split_once(':').unwrap()).collect()
}

/// True where there is no cgroup v1, after saying so.
fn lacks_v1() -> bool {
    let lacks = cgroups::v1("pids").is_none();
    if lacks {
        eprintln!("skipped: no pids in cgroup v1");
    }
    lacks
}

#[test]
fn process_is_in_every_cgroup_of_init() {
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let table = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    assert_eq!(bundle.exec_sh(&[], SHOW), table);
    bundle.kill_and_delete();
}

#[test]
fn sub_cgroup_is_the_one_typed_in_its_hierarchies_alone() {
    if lacks_v1() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    for controller in ["pids", "freezer"] {
        fs::create_dir(cgroups::v1(controller).unwrap().join(&bundle.id).join("sub")).unwrap();
    }
    let output = bundle.exec_sh(&["--cgroup", "pids:sub", "--cgroup", "freezer:/sub/"], SHOW);
    for (controllers, path) in paths(&output) {
        let below = matches!(controllers, "pids" | "freezer");
        assert_eq!(path.ends_with(&format!("/{}/sub", bundle.id)), below, "{controllers}: {path}");
        assert!(path.contains(&bundle.id), "{controllers}: {path}");
    }
    let output = bundle.exec_sh(&["--cgroup", "pids,freezer:sub"], SHOW);
    assert_eq!(paths(&output).iter().filter(|(_, path)| path.ends_with("/sub")).count(), 2, "{output}");
    bundle.kill_and_delete();
}

#[test]
fn sub_cgroup_that_cannot_be_meant_is_refused() {
    if skip_on_peer("the words are ours") || lacks_v1() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    for (arguments, words) in [
        (vec!["../x"], "leads out of the container's cgroup"),
        (vec!["pids:a/../../.."], "leads out of the container's cgroup"),
        (vec!["pids:a:b"], "has more than one colon"),
        (vec!["weather:a"], "no such controller"),
        (vec![":a"], "no such controller"),
        (vec!["a", "b"], "needs a controller"),
        (vec!["pids:a", "pids:b"], "names a controller again"),
        (vec!["pids:nosuch"], "/nosuch: it does not exist"),
    ] {
        let flags: Vec<&str> = arguments.iter().flat_map(|argument| ["--cgroup", *argument]).collect();
        bundle.exec(&flags, &["true"]).fails_with(255, words);
    }
    bundle.kill_and_delete();
}

/// A shell script with the v2 tree alone in place and the container running; `"$@"` is the runtime, `$ID` the container.
fn script_on_v2(bundle: &Bundle, script: &str) -> Outcome {
    let script = format!(
        "\"$@\" run --detach --bundle bundle --pid-file pid $ID </dev/null >/dev/null 2>&1; {script}; \
        \"$@\" delete --force $ID"
    );
    bundle.finish(&mut bundle.script_on_v2(&script))
}

#[test]
fn v2_process_is_in_the_containers_cgroup_or_below() {
    let bundle = Bundle::sleeper();
    let script = "\"$@\" exec $ID grep ^0:: /proc/self/cgroup; mkdir $c/sub; \
        \"$@\" exec --cgroup sub $ID grep ^0:: /proc/self/cgroup; \
        \"$@\" exec --cgroup / $ID grep ^0:: /proc/self/cgroup";
    let id = &bundle.id;
    assert_eq!(script_on_v2(&bundle, script).ok().stdout, format!("0::/{id}\n0::/{id}/sub\n0::/{id}\n"));
}

#[test]
fn v2_process_follows_init_where_the_containers_cgroup_only_holds_others() {
    // A systemd or a docker in the container moves all processes down and hands controllers out.
    let bundle = Bundle::sleeper();
    let script = "test -s /sys/fs/cgroup/cgroup.controllers || { echo skipped; \"$@\" delete --force $ID; exit 0; }; \
        mkdir $c/init; for p in $(cat $c/cgroup.procs); do echo $p > $c/init/cgroup.procs; done; \
        for k in $(cat $c/cgroup.controllers); do echo +$k > $c/cgroup.subtree_control; done; \
        \"$@\" exec $ID grep ^0:: /proc/self/cgroup";
    let outcome = script_on_v2(&bundle, script).ok();
    if outcome.stdout.starts_with("skipped") {
        return eprintln!("skipped: no controllers in cgroup v2");
    }
    assert_eq!(outcome.stdout, format!("0::/{}/init\n", bundle.id));
}

#[test]
fn v2_exec_works_where_the_caller_has_seen_fewer_kills() {
    // Kernels up to 7.2 kill a child at birth where source and target differ in their kills (S16, F4).
    let bundle = Bundle::sleeper();
    let script = "p=/sys/fs/cgroup/$ID-poisoned; mkdir $p; echo 1 > $p/cgroup.kill; echo $$ > $p/cgroup.procs; \
        \"$@\" exec $ID echo alive; echo $$ > /sys/fs/cgroup/cgroup.procs; rmdir $p";
    assert_eq!(script_on_v2(&bundle, script).ok().stdout, "alive\n");
}
