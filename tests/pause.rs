//! `pause` and `resume`: in each state of a container, and what a paused one does and does not do.

mod support;

use std::fs;
use support::counter::{self, await_progress, count};
use support::{Bundle, cgroups, runtime, skip_on_peer};

#[test]
fn paused_container_stands_still_and_resumed_one_goes_on() {
    let bundle = counter::bundle();
    bundle.run_with(&["--detach"]).ok();
    await_progress(&bundle);
    let outcome = bundle.call(&["pause", &bundle.id]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
    assert_eq!(bundle.status(), "paused");
    let before = count(&bundle);
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(count(&bundle), before);
    bundle.call(&["resume", &bundle.id]).ok();
    assert_eq!(bundle.status(), "running");
    await_progress(&bundle);
    bundle.kill_and_delete();
}

#[test]
fn created_container_is_paused_and_resumed_and_then_starts() {
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    bundle.call(&["pause", &bundle.id]).ok();
    assert_eq!(bundle.status(), "paused");
    bundle.call(&["resume", &bundle.id]).ok();
    if skip_on_peer("runc 1.1 forgets that it was only created") {
        bundle.delete_force().ok();
        return;
    }
    assert_eq!(bundle.status(), "created");
    bundle.start().ok();
    bundle.kill_and_delete();
}

#[test]
fn paused_container_that_was_only_created_does_not_start() {
    if skip_on_peer("runc 1.1 waits for ever") {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    bundle.call(&["pause", &bundle.id]).ok();
    bundle.start().fails("cannot start a container that is paused");
    bundle.delete_force().ok();
}

#[test]
fn pause_and_resume_say_what_state_forbids_them() {
    let bundle = Bundle::sleeper();
    let pause = || bundle.call(&["pause", &bundle.id]);
    let resume = || bundle.call(&["resume", &bundle.id]);
    pause().fails("container does not exist");
    resume().fails("container does not exist");
    bundle.create().ok();
    resume().fails("container not paused");
    bundle.start().ok();
    resume().fails("container not paused");
    pause().ok();
    pause().fails("container not running");
    resume().ok();
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    pause().fails("container not running");
    resume().fails("container not paused");
    bundle.delete().ok();
}

#[test]
fn container_that_is_being_created_is_not_paused() {
    if skip_on_peer("runc knows no container before it is created") {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let running = bundle.begin_create();
    bundle.call(&["pause", &bundle.id]).fails("container not running");
    bundle.call(&["resume", &bundle.id]).fails("container not paused");
    bundle.let_go();
    running.finish().ok();
    bundle.delete().ok();
}

#[test]
fn paused_container_is_killed_and_deleted() {
    let bundle = Bundle::sleeper();
    bundle.run_with(&["--detach"]).ok();
    bundle.call(&["pause", &bundle.id]).ok();
    if !skip_on_peer("runc 1.1 says only that it is not stopped") {
        bundle.delete().fails(&format!("cannot delete container {} that is not stopped: paused", bundle.id));
    }
    bundle.kill_and_delete();
}

#[test]
fn reclaim_gives_the_memory_of_files_back() {
    if skip_on_peer("an option of corten's own") {
        return;
    }
    // A file of the root file system, cached on account of the container.
    let bundle = Bundle::sh(
        "dd if=/dev/zero of=/file bs=1M count=16 2>/dev/null; cat /file >/dev/null; \
        sync; touch /done; sleep 100",
    );
    bundle.run_with(&["--detach"]).ok();
    let done = bundle.rootfs().join("done");
    runtime::eventually(|| fs::exists(&done).unwrap(), || "the file is written".into());
    bundle.call(&["pause", "--reclaim", "5z", &bundle.id]).fails("\"5z\" is no size");
    let usage = || cgroups::read("memory", &bundle.id, "memory.usage_in_bytes").parse::<u64>().unwrap();
    if cgroups::v1("memory").is_some() {
        let before = usage();
        for amount in [&["--reclaim=1m"][..], &["--reclaim", "1m"]] {
            let words = [&["pause"], amount, &[bundle.id.as_str()]].concat();
            bundle.call(&words).fails("cgroup v1 reclaims everything or nothing");
        }
        assert_eq!(bundle.status(), "running");
        bundle.call(&["pause", "--reclaim", &bundle.id]).ok();
        assert!(usage() + (8 << 20) < before, "{} after {before}", usage());
        assert_eq!(bundle.status(), "paused");
    }
    bundle.kill_and_delete();
}
