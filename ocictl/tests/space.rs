//! `system df` and the prunes: what is counted, what goes, and what must stay.

mod engine;

use engine::{Engine, IMAGE, eventually};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

fn df(engine: &Engine) -> Vec<(String, u64, u64)> {
    let list: Value = serde_json::from_str(&engine.ok(&["system", "df", "--format", "json"])).expect("JSON");
    let row = |row: &Value| {
        let number = |key: &str| row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"));
        (row["Type"].as_str().expect("text").to_owned(), number("Total"), number("Active"))
    };
    list.as_array().expect("a list").iter().map(row).collect()
}

#[test]
fn df_counts_images_containers_and_volumes() {
    let engine = Engine::new("space-df");
    engine.load("unused", &json!({ "Cmd": ["sh"], "Labels": { "is": "unused" } }));
    engine.ok(&[
        "run",
        "--name",
        "done",
        "-v",
        "named:/data",
        IMAGE,
        "dd",
        "if=/dev/urandom",
        "of=/big",
        "bs=1024",
        "count=2048",
    ]);
    engine.ok(&["run", "-d", "--name", "up", "-v", "/anonymous", IMAGE, "sleep", "1000"]);
    engine.ok(&["volume", "create", "free"]);
    assert_eq!(
        df(&engine),
        [("Images".into(), 2, 1), ("Containers".into(), 2, 1), ("Local Volumes".into(), 3, 2)]
    );
    let one = |kind: &str, key: &str| {
        let list: Value =
            serde_json::from_str(&engine.ok(&["system", "df", "--format", "json"])).expect("JSON");
        let rows = list.as_array().expect("a list").clone();
        rows.iter().find(|row| row["Type"] == kind).and_then(|row| row[key].as_u64()).expect("a number")
    };
    assert!(one("Containers", "RawReclaimable") >= 2 << 20, "what the ended one has written");
    assert!(one("Containers", "RawSize") >= one("Containers", "RawReclaimable"));
    let table = engine.ok(&["system", "df"]);
    for kind in ["TYPE", "Images", "Containers", "Local Volumes"] {
        assert!(table.contains(kind), "{table}");
    }
    assert_eq!(
        engine.ok(&["system", "df", "--format", "{{.Type}}:{{.Total}}"]),
        "Images:2\nContainers:2\nLocal Volumes:3"
    );
    let whole = engine.ok(&["system", "df", "-v"]);
    for part in [
        "Images space usage:",
        "Containers space usage:",
        "Local Volumes space usage:",
        "done",
        "up",
        "named",
        "free",
    ] {
        assert!(whole.contains(part), "{part}: {whole}");
    }
    let whole: Value =
        serde_json::from_str(&engine.ok(&["system", "df", "-v", "--format", "json"])).expect("JSON");
    assert_eq!(whole["Containers"].as_array().map(Vec::len), Some(2), "{whole}");
    engine.ok(&["rm", "-a", "-f", "-v"]);
    engine.ok(&["volume", "prune", "-a", "-f"]);
    engine.assert_clean();
}

#[test]
fn a_prune_takes_what_nobody_needs_and_nothing_else() {
    let engine = Engine::new("space-prune");
    engine.load("unused", &json!({ "Cmd": ["sh"], "Labels": { "is": "unused" } }));
    engine.ok(&["run", "--name", "done", "-v", "/of-done", IMAGE, "true"]);
    engine.ok(&["create", "--name", "made", "--label", "keep=1", IMAGE, "true"]);
    engine.ok(&["run", "-d", "--name", "up", "-v", "/of-up", "-v", "named:/n", IMAGE, "sleep", "1000"]);
    engine.ok(&["run", "-d", "--name", "frozen", IMAGE, "sleep", "1000"]);
    engine.ok(&["pause", "frozen"]);
    engine.ok(&["volume", "create", "free"]);
    let (code, _, said) = engine.run(&["system", "prune"]);
    assert!(
        code == 1
            && said.contains("all containers that do not run, all images without a name")
            && said.contains("say --force"),
        "{said}"
    );
    // By labels and age: nothing is old enough, and one has the label.
    engine.ok(&[
        "system",
        "prune",
        "-f",
        "-a",
        "--volumes",
        "--filter",
        "until=1h",
        "--filter",
        "label=keep",
    ]);
    assert_eq!(engine.ok(&["ps", "-a", "-q"]).lines().count(), 4);
    let printed = engine.ok(&["system", "prune", "-f", "--filter", "label!=keep"]);
    assert!(
        printed.starts_with("Deleted Containers\n") && printed.contains("Total reclaimed space: "),
        "{printed}"
    );
    assert_eq!(engine.ok(&["ps", "-a", "--sort", "names", "--format", "{{.Names}}"]), "frozen\nmade\nup");
    // Without --volumes there they stay, and images with a name.
    assert_eq!(engine.ok(&["volume", "ls", "-q"]).lines().count(), 4);
    assert_eq!(engine.ok(&["images", "-q"]).lines().count(), 2);
    let printed = engine.ok(&["system", "prune", "-f", "--volumes"]);
    assert!(printed.contains("Deleted Volumes\n"), "{printed}");
    assert_eq!(engine.ok(&["volume", "ls", "-q", "--filter", "name=^(free|named)$"]), "free\nnamed");
    assert_eq!(engine.ok(&["volume", "ls", "-q"]).lines().count(), 3, "that of the one that runs is there");
    let printed = engine.ok(&["system", "prune", "-f", "-a", "--volumes"]);
    assert!(
        printed.contains("free\n")
            && printed.contains("Deleted Images\nUntagged: docker.io/library/unused:latest\n"),
        "{printed}"
    );
    assert_eq!(engine.ok(&["ps", "-a", "--sort", "names", "--format", "{{.Names}}"]), "frozen\nup");
    assert_eq!(engine.ok(&["volume", "ls", "-q"]).lines().count(), 2);
    assert_eq!(engine.ok(&["exec", "up", "echo", "still"]), "still");
    assert_eq!(engine.ok(&["images", "-q"]).lines().count(), 1);
    engine.ok(&["rm", "-a", "-f", "-v"]);
    engine.ok(&["volume", "prune", "-a", "-f"]);
    engine.assert_clean();
}

#[test]
fn a_prune_of_containers_leaves_their_volumes() {
    let engine = Engine::new("space-volumes");
    engine.ok(&["run", "--name", "c", "-v", "/data", IMAGE, "true"]);
    engine.ok(&["container", "prune", "-f"]);
    assert_eq!(engine.ok(&["ps", "-a", "-q"]), "");
    assert_eq!(engine.ok(&["volume", "ls", "-q"]).lines().count(), 1);
    engine.ok(&["image", "prune", "-f", "-a", "--filter", "label=is"]);
    assert_eq!(engine.ok(&["images", "-q"]).lines().count(), 1, "it has no such label");
    engine.ok(&["image", "prune", "-f", "-a", "--filter", "until=2000-01-01"]);
    assert_eq!(engine.ok(&["images", "-q"]).lines().count(), 1, "it is younger");
    engine.ok(&["image", "prune", "-f", "-a", "--filter", "label!=is"]);
    assert_eq!(engine.ok(&["images", "-q"]), "");
    engine.ok(&["volume", "prune", "-f"]);
    engine.assert_clean();
}

#[test]
fn it_asks_at_a_terminal() {
    let engine = Engine::new("space-asks");
    engine.ok(&["create", "--name", "c", IMAGE, "true"]);
    for (answer, left) in [("n\n", 1), ("y\n", 0)] {
        let mut command = engine.command();
        command.args(["system", "prune"]);
        let line = std::iter::once(command.get_program()).chain(command.get_args());
        let line: Vec<String> = line.map(|word| word.to_string_lossy().into_owned()).collect();
        let mut child = Command::new("script")
            .args(["-q", "-e", "-c", &line.join(" "), "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script starts");
        let mut stdout = child.stdout.take().expect("a pipe");
        let mut seen = String::new();
        let mut buffer = [0; 1024];
        while !seen.contains("[y/N]") {
            let length = stdout.read(&mut buffer).expect("read");
            assert!(length > 0, "{seen}");
            seen += &String::from_utf8_lossy(&buffer[..length]);
        }
        child.stdin.take().expect("a pipe").write_all(answer.as_bytes()).expect("typed");
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).expect("read");
        assert!(child.wait().expect("it ends").success(), "{seen}{rest}");
        assert_eq!(engine.ok(&["ps", "-a", "-q"]).lines().count(), left, "{answer}{seen}{rest}");
    }
    engine.assert_clean();
}

#[test]
fn prunes_beside_each_other_and_beside_runs_lose_nothing() {
    let engine = Engine::new("space-parallel");
    for number in 0..6 {
        engine.ok(&["run", "--name", &format!("old-{number}"), "-v", "/data", IMAGE, "true"]);
    }
    std::thread::scope(|scope| {
        let prunes: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..6 {
                        engine.ok(&["system", "prune", "-f", "--volumes"]);
                    }
                })
            })
            .collect();
        // What is about to be started is not taken away, nor the volume that it has.
        for number in 0..8 {
            let printed = engine.ok(&["run", "--rm", "-v", "/data", IMAGE, "echo", &number.to_string()]);
            assert_eq!(printed, number.to_string());
        }
        for prune in prunes {
            prune.join().expect("a prune");
        }
    });
    engine.ok(&["system", "prune", "-f", "--volumes"]);
    eventually("all is gone", || engine.leftovers().is_empty());
    let (code, printed, said) = engine.run(&["system", "check"]);
    assert_eq!(code, 0, "{printed}{said}");
    engine.assert_clean();
}
