//! What is mounted in a container beside volumes and directories: other images; and directories whose mounts are shared with the host.

mod engine;

use engine::{Engine, IMAGE, support};
use serde_json::json;

#[test]
fn an_image_is_mounted_in_a_container() {
    let engine = Engine::new("image-mounts");
    engine.load("tools", &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
    let run = |options: &[&str], mount: &str, script: &str| {
        engine.ok(&[&["run", "--mount", mount], options, &[IMAGE, "sh", "-c", script]].concat())
    };
    let look =
        "cat /img/data/inner/file; stat -c %u:%g /img/data; touch /img/new 2> /dev/null || echo read-only";
    let plain = "type=image,src=tools,dst=/img";
    assert_eq!(run(&["--rm"], plain, look), "of the image\n33:34\nread-only");
    let writable = "type=image,source=tools,destination=/img,rw=true";
    assert_eq!(
        run(&["--name", "c"], writable, &format!("{look}; ls /img/new")),
        "of the image\n33:34\n/img/new"
    );
    // What was written is the container's, and is there when it is started again; the image is as it was.
    assert_eq!(run(&["--rm"], plain, "ls /img/new 2> /dev/null || echo none"), "none");
    assert_eq!(
        engine.ask("c", "{{range .Mounts}}{{.Type}} {{.Source}} {{.Destination}}{{end}}"),
        "image tools /img"
    );
    let (code, _, said) = engine.run(&["rmi", "tools"]);
    assert!(code == 1 && said.contains("is in use by container"), "{code}: {said}");
    engine.ok(&["rm", "c"]);
    if rustix::process::geteuid().is_root() {
        let mapped = ["--rm", "--uidmap", "0:100000:1000"];
        assert_eq!(run(&mapped, plain, look), "of the image\n33:34\nread-only");
        assert_eq!(run(&mapped, writable, look), "of the image\n33:34");
    }
    engine.ok(&["rmi", "tools"]);
    for (mount, wanted) in [(plain, "tools"), ("type=image,dst=/img", "an image mount needs a source")] {
        let (code, _, said) = engine.run(&["run", "--rm", "--mount", mount, IMAGE, "true"]);
        assert!(code == 125 && said.contains(wanted), "{mount}: {code}: {said}");
    }
    engine.assert_clean();
}

/// In a mount namespace of the test, with a directory whose mounts are shared.
#[test]
fn mounts_of_a_shared_directory_are_seen_on_both_sides() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: a mount namespace needs root");
        return;
    }
    let engine = Engine::new("shared-mounts");
    let script = r#"
        mount --make-rprivate /; cd "$1"; shift; mkdir d plain
        mount -t tmpfs shared d; mount --make-shared d; mkdir d/before d/late d/inner; mount -t tmpfs before d/before
        "$@" run -d --name s --cap-add SYS_ADMIN --security-opt seccomp=unconfined -v "$PWD/d:/d:rshared" busybox sleep 1000 > /dev/null
        "$@" exec s sh -c 'mount -t tmpfs inner /d/inner && echo by-container > /d/inner/file'
        cat d/inner/file
        mount -t tmpfs late d/late; echo by-host > d/late/file; "$@" exec s cat /d/late/file
        "$@" rm -f s
        # What it has mounted stays, and what was there before, too.
        cat d/inner/file; grep -c "/d/before \|/d/late " /proc/self/mountinfo
        "$@" run --rm -v "$PWD/plain:/d:shared" busybox true 2>&1 || echo "code $?"
        "$@" run --rm -v "volume:/d:shared" busybox true 2>&1 || echo "code $?"
    "#;
    let wrapper = ["unshare", "-m", "sh", "-ec", script, "sh", engine.scratch.path.to_str().expect("text")];
    let output = support::below(&wrapper, &engine.command(), &[]).output().expect("unshare starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{said}");
    let (seen, refused) = printed.split_at(printed.find("Error").expect("a refusal"));
    assert_eq!(seen, "by-container\nby-host\ns\nby-container\n2\n", "{said}");
    assert!(refused.contains("it is not on a shared mount of the host"), "{refused}");
    assert!(refused.contains("shared needs a directory of the host"), "{refused}");
    assert_eq!(refused.matches("code 125").count(), 2, "{refused}");
    engine.assert_clean();
}
