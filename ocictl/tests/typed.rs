//! What people type, as introductions to docker and podman have it: each line works, and prints what its users expect. Published ports
//! and networks have no place here yet.

mod engine;

use engine::{Engine, eventually};
use serde_json::json;
use std::fs;

/// Stand-ins for the images that the lines name.
fn shop(name: &str, images: &[&str]) -> Engine {
    let engine = Engine::empty(name);
    for image in images {
        engine.load(image, &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
    }
    engine
}

fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

#[test]
fn lives_of_containers() {
    let engine = shop("typed-lives", &["fedora", "ubuntu", "rhel"]);
    let type_ = |line: &str| engine.ok(&words(line));
    assert_eq!(type_("container create -i -t --name fed1 fedora sh").len(), 64);
    assert_eq!(type_("container start fed1"), "fed1");
    assert!(type_("container ls -a").contains("fed1") && type_("ps").contains("\"sh\""));
    assert_eq!(type_("container stop -t 0 fed1"), "fed1");
    assert_eq!(type_("start fed1"), "fed1");
    assert_eq!(type_("container kill fed1"), "fed1");
    assert_eq!(type_("container rm fed1"), "fed1");
    assert_eq!(type_("run ubuntu echo Hello World"), "Hello World");
    assert!(type_("run ubuntu ps -ef").contains("1 root"));
    let id = type_("run --detach rhel sleep 30");
    assert_eq!(id.len(), 64);
    let name = type_("ps -l --format {{.Names}}");
    assert_eq!(type_(&format!("stop -t 0 {name}")), name);
    assert_eq!(type_(&format!("start {name}")), name);
    assert_eq!(type_(&format!("rm -f {name}")), name);
    let id = type_("run --restart always --detach rhel sleep 0.1");
    eventually("it is started again", || engine.ask(&id, "{{.RestartCount}}") != "0");
    type_(&format!("rm -f {id}"));
    let image = type_("image inspect rhel --format {{.Id}}");
    assert_eq!(type_(&format!("run --rm {} echo by-id", &image[..11])), "by-id");
    for help in ["--help", "run --help", "container --help", "volume --help"] {
        assert!(type_(help).contains("Usage: ocictl"), "{help}");
    }
    type_("rm -a");
    engine.assert_clean();
}

#[test]
fn programs_inside() {
    let engine = shop("typed-inside", &["httpd", "my-app", "debian"]);
    let type_ = |line: &str| engine.ok(&words(line));
    type_("container run -d --name web1 httpd sleep 1000");
    assert_eq!(type_("container exec web1 cat /etc/group").lines().next(), Some("root:x:0:"));
    assert_eq!(type_("exec web1 cat /proc/1/cmdline").replace('\0', " "), "sleep 1000 ");
    assert_eq!(type_("container commit web1 httpd:2.6").len(), 64);
    assert_eq!(type_("run --rm httpd:2.6 cat /etc/passwd").lines().count(), 2);
    type_("exec web1 sh -c echo>/etc/httpd.conf");
    let target = engine.scratch.join("copied");
    fs::create_dir(&target).expect("a directory");
    type_(&format!("container cp web1:/etc/httpd.conf {}", target.display()));
    assert!(fs::metadata(target.join("httpd.conf")).is_ok());
    assert!(type_("inspect web1").contains("\"NetworkMode\": \"none\""));
    assert_eq!(
        type_("run --rm -e POSTGRES_PORT=1234 -e POSTGRES_USER=pg my-app sh -c env|grep${IFS}POSTGRES|sort"),
        "POSTGRES_PORT=1234\nPOSTGRES_USER=pg"
    );
    assert!(!type_("run --rm --network=host my-app hostname").is_empty());
    assert_eq!(type_("run --rm --entrypoint /bin/echo my-app x"), "x");
    // A process of the host stands in for its init, which a sandbox may keep to itself.
    let mut host = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep starts");
    let line =
        format!("run --rm --privileged --pid=host debian nsenter -t {} -m -u -n -i hostname", host.id());
    let entered = engine.run(&words(&line));
    host.kill().and_then(|()| host.wait()).expect("it ends");
    assert_eq!((entered.0, entered.1.is_empty()), (0, false), "{}", entered.2);
    type_("rm -f web1");
    assert!(engine.leftovers().is_empty(), "{:?}", engine.leftovers());
}

#[test]
fn a_committed_image_has_what_was_changed() {
    let engine = shop("typed-commit", &["base"]);
    let type_ = |line: &str| engine.ok(&words(line));
    engine.ok(&[
        "run",
        "--name",
        "c",
        "base",
        "sh",
        "-c",
        "echo new > /new; rm /data/inner/file; chmod 4755 /bin/busybox; mkdir /data/more",
    ]);
    let id = type_("commit -m changed c localhost/made:1");
    assert_eq!(type_("image inspect made:1 --format {{.Id}}"), id);
    assert_eq!(
        engine
            .run(&[
                "run",
                "--rm",
                "made:1",
                "sh",
                "-c",
                "cat /new; ls /data /data/inner; stat -c %a /bin/busybox"
            ])
            .1,
        "new\n/data:\ninner\nmore\n\n/data/inner:\n4755"
    );
    assert!(type_("history made:1").contains("changed"));
    let changed = [
        "commit",
        "-c",
        "CMD [\"cat\", \"/new\"]",
        "--change",
        "ENV A=b C=d",
        "-c",
        "LABEL by=hand",
        "c",
        "made:2",
    ];
    engine.ok(&changed);
    assert_eq!(type_("run --rm made:2"), "new");
    assert!(type_("run --rm made:2 env").contains("A=b\nC=d"));
    let before = type_("images -q");
    let (code, _, said) = engine.run(&["commit", "--change", "RUN make", "c", "made:3"]);
    assert!(code == 1 && said.contains("--change \"RUN make\": \"RUN\" is none of CMD"), "{code}: {said}");
    assert_eq!(type_("images -q"), before);
    let tar = engine.scratch.join("out.tar");
    type_(&format!("export -o {} c", tar.display()));
    let listed =
        String::from_utf8(engine::support::run("tar", &["-tf", tar.to_str().expect("text")])).expect("text");
    assert!(listed.lines().any(|line| line == "new") && !listed.contains("data/inner/file"), "{listed}");
    type_("rm c");
    assert!(engine.leftovers().is_empty(), "{:?}", engine.leftovers());
}

#[test]
fn volumes_and_directories() {
    let engine = shop("typed-volumes", &["nginx", "busybox", "rhel", "image"]);
    let type_ = |line: &str| engine.ok(&words(line));
    assert_eq!(type_("volume create myvol"), "myvol");
    assert!(type_("volume ls").contains("local   myvol"), "{}", type_("volume ls"));
    assert!(type_("volume inspect myvol").contains("\"Mountpoint\""));
    assert_eq!(type_("volume rm myvol"), "myvol");
    type_("run -d -it --name devtest --mount source=myvol2,target=/app nginx:latest");
    type_("run -d -it --name devtest2 -v myvol2:/app nginx:latest");
    type_("exec devtest touch /app/file");
    assert_eq!(type_("exec devtest2 ls /app"), "file");
    type_("run -d -v hello:/world busybox ls /world");
    assert!(type_("volume inspect --format {{.Mountpoint}} hello").ends_with("/volumes/hello/_data"));
    let here = engine.scratch.join("here");
    fs::create_dir(&here).expect("a directory");
    let here = here.display();
    assert_eq!(
        type_(&format!("run --rm --volume {here}:{here} --workdir {here} rhel pwd")),
        here.to_string()
    );
    type_(&format!("run -v {here}:/mnt --rm --user root image touch /mnt/test"));
    assert!(fs::metadata(engine.scratch.join("here/test")).is_ok());
    type_("rm -a -f");
    type_("volume prune -f");
    assert_eq!(type_("volume ls -q"), "hello\nmyvol2");
    type_("volume prune -a -f");
    engine.assert_clean();
}
