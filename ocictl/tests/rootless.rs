//! An ordinary user: uid 4711 of no passwd, with ids of his own bound over /etc/subuid in a mount namespace of the test.

mod support;

use std::fs;
use std::process::{Command, Stdio};
use support::{Scratch, docker_archive, run, tar_of};

const USER: &str = "4711";

/// Runs a script as the user, with `ocictl` as `$1` and the directory as `$2`; what it printed.
fn as_user(scratch: &Scratch, with_ids: bool, script: &str) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: to become another user needs root");
        return None;
    }
    let sub = scratch.join("sub");
    fs::write(&sub, if with_ids { "4711:500000:65536\n" } else { "" }).expect("written");
    let program = std::env::var_os("OCICTL").unwrap_or_else(|| env!("CARGO_BIN_EXE_ocictl").into());
    run("chown", &["-R", USER, scratch.path.to_str().expect("text")]);
    let outer = "touch /etc/subuid /etc/subgid; echo user:x:4711:4711::/:/bin/sh > \"$2/passwd\"
        mount --bind \"$2/sub\" /etc/subuid; mount --bind \"$2/sub\" /etc/subgid; mount --bind \"$2/passwd\" /etc/passwd
        cp \"$1\" \"$2/ocictl\"; chmod 755 \"$2/ocictl\"
        exec env -u XDG_RUNTIME_DIR HOME=\"$2\" OCICTL_ROOT=\"$2/root\" OCICTL_RUNROOT=\"$2/run\" CONTAINERS_REGISTRIES_CONF=/dev/null \\
            setpriv --reuid 4711 --regid 4711 --clear-groups sh -ec \"$3\" sh \"$2/ocictl\" \"$2\"";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-ec", outer, "sh"])
        .arg(program)
        .arg(&scratch.path)
        .arg(script)
        .stdin(Stdio::null())
        .output()
        .expect("unshare");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_ordinary_user_keeps_images_with_their_owners() {
    let scratch = Scratch::new("ordinary");
    let tree = scratch.join("tree");
    let script = "mkdir -p $1/a $1/b; echo text > $1/a/file; chown 1000:50 $1/a/file; chmod 4750 $1/a/file; ln $1/a/file $1/a/hard; ln -s file $1/a/link; mknod $1/null c 1 3";
    run("sh", &["-ec", script, "sh", tree.to_str().expect("text")]);
    fs::write(scratch.join("image.tar"), docker_archive("mine:1", &[tar_of(&tree)])).expect("written");
    let script = "$1 load -q -i $2/image.tar; $1 images --format '{{.Repository}}'; $1 system check --deep
        $1 unshare sh -c 'cd $($0 image mount mine:1); stat -c \"%n %u:%g %a %h\" a/file a/hard b; cat a/link; ls' $1
        $1 rmi mine:1 > /dev/null; find $2/root/layers -mindepth 1";
    let Some(printed) = as_user(&scratch, true, script) else { return };
    let wanted = "docker.io/library/mine:1\ndocker.io/library/mine\n3 objects checked, all whole\n\
        a/file 1000:50 4750 2\na/hard 1000:50 4750 2\nb 0:0 755 2\ntext\na\nb\n";
    assert_eq!(printed, wanted, "there are no devices without root, and nothing is left of the layer");
}

#[test]
fn a_user_without_ids_hears_what_he_lacks() {
    let scratch = Scratch::new("without-ids");
    let tree = scratch.join("tree");
    run(
        "sh",
        &[
            "-ec",
            "mkdir -p $1; echo text > $1/file; chown 1000:50 $1/file",
            "sh",
            tree.to_str().expect("text"),
        ],
    );
    fs::write(scratch.join("image.tar"), docker_archive("mine:1", &[tar_of(&tree)])).expect("written");
    let Some(printed) =
        as_user(&scratch, false, "! $1 load -i $2/image.tar 2>&1; $1 images -q; $1 system check --repair")
    else {
        return;
    };
    assert!(
        printed.contains("owner 1000:50: invalid argument") && printed.contains("/etc/subuid"),
        "{printed}"
    );
    assert!(printed.contains("0 objects checked, all whole"), "{printed}");
}
