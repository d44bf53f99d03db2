//! An ordinary user: uid 4711 of no passwd, with ids of his own bound over /etc/subuid in a mount namespace of the test.

mod support;
#[path = "support/user.rs"]
mod user;

use std::fs;
use support::{Scratch, docker_archive, run, tar_of};
use user::as_user;

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
