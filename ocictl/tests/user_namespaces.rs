//! `--userns`, `--uidmap`: containers with ids of their own, root's and an ordinary user's. What is in them has the owners that the image
//! says, and what comes out of them too.

mod engine;
#[path = "support/user.rs"]
mod user;

use engine::{Engine, IMAGE, support};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use user::as_user;

const LOOK: &str = "id -u; stat -c '%n %u:%g' / /data /etc/hosts; cat /proc/self/uid_map | tr -s ' '";

/// Whether it is root who tests, after saying what that means.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: ids of others need root");
    }
    root
}

/// Runs it where user "containers" has these ids.
fn among_ids(engine: &Engine, ids: &str, words: &[&str]) -> (i32, String, String) {
    let sub = engine.scratch.join("sub");
    fs::write(&sub, ids).expect("written");
    let script = r#"touch /etc/subuid /etc/subgid; mount --bind "$0" /etc/subuid; mount --bind "$0" /etc/subgid; exec "$@""#;
    let wrapper = ["unshare", "-m", "sh", "-ec", script, sub.to_str().expect("text")];
    let output = support::below(&wrapper, &engine.command(), words).output().expect("unshare starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn ids_of_a_container_are_mapped_on_the_way_in_and_out() {
    if !is_root() {
        return;
    }
    let engine = Engine::new("uidmap");
    let map = ["--uidmap", "0:100000:1000", "--gidmap", "0:200000:1000"];
    let run = |words: &[&str], script: &str| {
        engine.ok(&[&["run"], &map[..], words, &[IMAGE, "sh", "-c", script]].concat())
    };
    assert_eq!(run(&["--rm"], LOOK), "0\n/ 0:0\n/data 33:34\n/etc/hosts 0:0\n 0 100000 1000");
    // Who may write where is as in the image; what is written is the mapped user's outside.
    run(&["--name", "c", "-u", "web", "-w", "/made/here"], "pwd > /data/new; ls /nothere; touch /no || true");
    let upper = |path: &str| {
        let id = engine.ask("c", "{{.Id}}");
        fs::metadata(engine.scratch.join(&format!("root/containers/{id}/layer/upper/{path}"))).expect(path)
    };
    assert_eq!((upper("data/new").uid(), upper("data/new").gid()), (100_033, 200_034));
    assert_eq!((upper("made/here").uid(), upper("data").uid()), (100_000, 100_033));
    // What comes out has the container's ids, and what goes in gets them.
    engine.ok(&["start", "c"]);
    let made =
        |name: &str| engine.ok(&["run", "--rm", name, "stat", "-c", "%u:%g %n", "/data/new", "/made/here"]);
    engine.ok(&["commit", "-q", "c", "made:1"]);
    assert_eq!(made("made:1"), "33:34 /data/new\n0:0 /made/here");
    let tar = engine.scratch.join("out.tar");
    engine.ok(&["export", "-o", tar.to_str().expect("text"), "c"]);
    engine.ok(&["import", "-q", tar.to_str().expect("text"), "made:2"]);
    assert_eq!(made("made:2"), "33:34 /data/new\n0:0 /made/here");
    engine.ok(&["rm", "c"]);
    engine.ok(&[&["run", "-d", "--name", "c"], &map[..], &[IMAGE, "sleep", "1000"]].concat());
    let host = engine.scratch.join("host");
    fs::write(&host, "host").expect("written");
    std::os::unix::fs::chown(&host, Some(5), Some(6)).expect("given away");
    engine.ok(&["cp", host.to_str().expect("text"), "c:/plain"]);
    engine.ok(&["cp", "-a", host.to_str().expect("text"), "c:/kept"]);
    assert_eq!(
        engine.ok(&["exec", "c", "stat", "-c", "%u:%g", "/plain", "/kept", "/data/inner/file"]),
        "0:0\n5:6\n0:0"
    );
    engine.ok(&["exec", "c", "chown", "7:8", "/kept"]);
    engine.ok(&["cp", "-a", "c:/kept", host.to_str().expect("text")]);
    let back = fs::metadata(&host).expect("copied");
    assert_eq!((back.uid(), back.gid()), (7, 8));
    // exec knows the ids, too, and another container can share them.
    assert_eq!(engine.ok(&["exec", "-u", "web", "c", "id", "-u"]), "33");
    let (code, _, said) = engine.run(&["exec", "-u", "1000", "c", "id"]);
    assert!(
        code == 126 && said.contains("user 1000:0 is none of the ids of this container"),
        "{code}: {said}"
    );
    assert_eq!(
        engine.ok(&["run", "--rm", "--userns", "container:c", IMAGE, "sh", "-c", LOOK]),
        "0\n/ 0:0\n/data 33:34\n/etc/hosts 0:0\n 0 100000 1000"
    );
    assert_eq!(
        engine.ask("c", "{{.HostConfig.UsernsMode}} {{.HostConfig.IDMappings.UidMap}}"),
        "private [0:100000:1000]"
    );
    engine.ok(&["rm", "-f", "c"]);
    engine.assert_clean();
}

#[test]
fn volumes_belong_to_the_containers_root() {
    if !is_root() {
        return;
    }
    let engine = Engine::new("userns-volumes");
    let host = engine.scratch.join("host");
    fs::create_dir(&host).expect("a directory");
    let bind = format!("{}:/bound", host.display());
    let run = |options: &[&str], script: &str| {
        engine
            .ok(&[&["run", "--rm", "--uidmap", "0:100000:1000"], options, &[IMAGE, "sh", "-c", script]]
                .concat())
    };
    // Filled from the image, empty, and the host's own.
    let look = "stat -c '%n %u:%g' /data /empty /bound; echo x > /empty/x; echo x > /data/x";
    assert_eq!(
        run(&["-v", "full:/data", "-v", "empty:/empty", "-v", &bind], look),
        "/data 33:34\n/empty 0:0\n/bound 65534:65534"
    );
    assert_eq!(run(&["-v", &format!("{bind}:U")], "stat -c %u:%g /bound; touch /bound/x"), "0:0");
    assert_eq!(fs::metadata(host.join("x")).expect("made").uid(), 100_000);
    std::os::unix::fs::chown(&host, Some(0), Some(0)).expect("given back");
    assert_eq!(run(&["-v", &format!("{bind}:idmap")], "stat -c %u:%g /bound; touch /bound/y"), "0:0");
    assert_eq!(fs::metadata(host.join("y")).expect("made").uid(), 0);
    engine.ok(&["volume", "prune", "-a", "-f"]);
    engine.assert_clean();
}

#[test]
fn auto_gives_each_container_ids_that_no_other_has() {
    if !is_root() {
        return;
    }
    let engine = Engine::new("userns-auto");
    let ids = "containers:300000:3000\nother:1:5\n";
    let run = |words: &[&str]| among_ids(&engine, ids, &[&["run"], words].concat());
    let map = ["cat", "/proc/self/uid_map"];
    let numbers = |text: &str| -> Vec<u32> {
        text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
    };
    let (code, printed, said) = run(&[&["--name", "a", "--userns=auto", IMAGE], &map[..]].concat());
    assert!(code == 0, "{said}");
    assert_eq!(numbers(&printed), [0, 300_000, 1024]);
    let sized = run(&[&["--name", "b", "--userns=auto:size=1500", IMAGE], &map[..]].concat());
    assert_eq!(numbers(&sized.1), [0, 301_024, 1500], "{}", sized.2);
    // The row between is too small for another, until the first goes.
    let (code, _, said) = run(&["--name", "c", "--userns=auto", IMAGE, "true"]);
    assert!(code == 125 && said.contains("no row of 1024 uids is free any more"), "{code}: {said}");
    engine.ok(&["rm", "a"]);
    assert_eq!(numbers(&run(&[&["--rm", "--userns=auto", IMAGE], &map[..]].concat()).1), [0, 300_000, 1024]);
    // The user that was asked for has to be among them.
    let wide = run(&[&["--rm", "--userns=auto", "-u", "1200", IMAGE], &map[..]].concat());
    assert_eq!(wide.0, 125, "{}", wide.2);
    engine.ok(&["rm", "b"]);
    let wide = run(&[&["--rm", "--userns=auto", "-u", "1200", IMAGE], &map[..]].concat());
    assert_eq!(numbers(&wide.1), [0, 300_000, 1201], "{}", wide.2);
    // What is said to stand for something stands for that, among what is picked.
    let mapped = "--userns=auto:size=1100,uidmapping=0:7:1,uidmapping=33:9:1,gidmapping=5:100:2";
    let fixed =
        run(&["--rm", mapped, IMAGE, "sh", "-c", "cat /proc/self/uid_map; echo; cat /proc/self/gid_map"]);
    assert_eq!(
        numbers(&fixed.1),
        [0, 7, 1, 1, 300_001, 32, 33, 9, 1, 34, 300_034, 1066, 0, 300_000, 5, 5, 100, 2, 7, 300_007, 1093],
        "{}",
        fixed.2
    );
    let twice = run(&["--rm", "--userns=auto:uidmapping=0:7:1,uidmapping=0:8:1", IMAGE, "true"]);
    assert!(twice.0 == 125 && twice.2.contains("id 0 of the container is there twice"), "{}", twice.2);
    let (code, _, said) = among_ids(&engine, "other:1:5\n", &["run", "--userns=auto", IMAGE, "true"]);
    assert!(code == 125 && said.contains("user \"containers\" has no subordinate ids"), "{code}: {said}");
    engine.assert_clean();
}

#[test]
fn what_root_cannot_have_is_refused() {
    if !is_root() {
        return;
    }
    let engine = Engine::new("userns-refused");
    for (words, wanted) in [
        (&["--userns", "keep-id"][..], "--userns keep-id: it is for ordinary users, and this is root"),
        (&["--userns", "nomap"], "--userns nomap: it is for ordinary users"),
        (&["--userns", "private"], "--userns private needs --uidmap or --gidmap"),
        (&["--userns", "auto", "--uidmap", "0:1:1"], "go with --userns private alone"),
        (&["--uidmap", "0:1:2", "--uidmap", "1:5:1"], "--uidmap: id 1 of the container is there twice"),
        (&["--uidmap", "0"], "--uidmap: \"0\" is not CONTAINER-ID:HOST-ID[:COUNT]"),
        (&["--userns", "mine"], "--userns: \"mine\" is none of host"),
        (&["--userns", "container:nobody"], "nobody: no such container"),
    ] {
        let (code, _, said) = engine.run(&[&["run", "--rm"], words, &[IMAGE, "true"]].concat());
        assert!(code == 125 && said.contains(wanted), "{words:?}: {code}: {said}");
    }
    engine.assert_clean();
}

/// The busybox image as an archive below a directory that is closed to others, as homes are.
fn at_home(name: &str) -> Engine {
    let engine = Engine::empty(name);
    engine.tree();
    engine.load(IMAGE, &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
    for folder in ["root", "run"] {
        fs::remove_dir_all(engine.scratch.join(folder)).expect("removed");
    }
    support::run("chmod", &["700", engine.scratch.path.to_str().expect("text")]);
    engine
}

#[test]
fn an_ordinary_user_is_himself_in_the_container_or_nobody() {
    if !is_root() {
        return;
    }
    let script = r#"
        ocictl load -q -i image.tar > /dev/null
        look() { ocictl run --rm "$@" busybox sh -c 'echo $(id -u):$(id -g) $(stat -c %u:%g / /data /etc/hosts) $(tr -s " " < /proc/self/uid_map)'; }
        echo "keep: $(look --userns keep-id)"
        echo "named: $(look --userns keep-id:uid=200,gid=210)"
        echo "root: $(look --userns keep-id -u root)"
        echo "nomap: $(look --userns nomap)"
        echo "private: $(look --userns private)"
        echo "auto: $(look --userns auto)"
        mkdir mine; ocictl run --rm --userns keep-id -v $2/mine:/mine busybox sh -c 'stat -c %u /mine; touch /mine/x'; stat -c %u mine/x
        ocictl run --name c --userns keep-id -u root busybox sh -c 'touch /new; chown web /new; rm /data/inner/file'
        ocictl commit -q c made > /dev/null; ocictl run --rm made stat -c %u:%n /new /data
        ocictl export c > c.tar; ocictl import -q c.tar imported > /dev/null; ocictl run --rm imported stat -c %u:%n /new /data
        ocictl rm c
        # A layer is copied once for each map: keep-id, that of 200, nomap and auto; the second layer was never run so.
        ls -d root/layers/*/shifted-* | wc -l
        ocictl rmi -a -f > /dev/null; ocictl system check; ls -A root/layers
    "#;
    let engine = at_home("user-userns");
    let printed = as_user(&engine.scratch, true, script).expect("root");
    let wanted = "keep: 4711:4711 0:0 33:34 0:0 0 1 4711 4711 0 1 4712 4712 60825
named: 200:210 0:0 33:34 0:0 0 1 200 200 0 1 201 201 65336
root: 0:0 0:0 33:34 0:0 0 1 4711 4711 0 1 4712 4712 60825
nomap: 0:0 0:0 33:34 0:0 0 1 65536
private: 0:0 0:0 33:34 0:0 0 0 1 1 1 65536
auto: 0:0 0:0 33:34 0:0 0 1 1024
4711
4711
33:/new
33:/data
33:/new
33:/data
c
4
0 objects checked, all whole
";
    assert_eq!(printed, wanted);
}

#[test]
fn without_subordinate_ids_there_is_no_namespace_of_its_own() {
    if !is_root() {
        return;
    }
    let engine = at_home("user-userns-alone");
    let script = r#"
        tar --owner 0 --group 0 -C image-root -cf image.tar .; ocictl import -q image.tar busybox > /dev/null
        for mode in keep-id nomap auto; do ocictl run --rm --userns $mode busybox true 2>&1 || echo "code $?"; done
        ocictl run --rm --userns host busybox id -u
    "#;
    let printed = as_user(&engine.scratch, false, script).expect("root");
    let refusal = "Error: --userns: this user has no ids beside his own";
    assert_eq!(printed.matches(refusal).count(), 3, "{printed}");
    assert!(printed.matches("code 125\n").count() == 3 && printed.ends_with("\n0\n"), "{printed}");
}

#[test]
fn a_device_of_a_container_with_its_own_ids_has_another_name() {
    if !is_root() {
        return;
    }
    let engine = Engine::new("uidmap-device");
    let map =
        ["--uidmap", "0:100000:1000", "--gidmap", "0:200000:1000", "--device", "/dev/zero:/dev/other/nil"];
    let words =
        [&["run", "--rm"], &map[..], &[IMAGE, "sh", "-c", "head -c 4 /dev/other/nil | wc -c; ls /dev/other"]]
            .concat();
    assert_eq!(engine.ok(&words), "4\nnil");
    // Where it can be made, it is; a whole directory, too.
    let words = [
        "run",
        "--rm",
        "--device",
        "/dev/zero:/dev/other/nil",
        IMAGE,
        "sh",
        "-c",
        "head -c 4 /dev/other/nil | wc -c",
    ];
    assert_eq!(engine.ok(&words), "4");
    engine.assert_clean();
}
