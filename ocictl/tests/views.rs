//! What `ocictl` shows, and how it is asked to choose: filters, templates, JSON, help and versions.

mod engine;

use engine::{Engine, IMAGE};
use serde_json::Value;

/// Names of containers, a word each, in the order of their names.
fn names(engine: &Engine, filters: &[&str]) -> String {
    let mut words = vec!["ps", "-a", "--sort", "names", "--format", "{{.Names}}"];
    for filter in filters {
        words.extend(["--filter", filter]);
    }
    engine.ok(&words).replace('\n', " ")
}

#[test]
fn names_are_filtered_by_expressions_and_ids_by_their_front() {
    let engine = Engine::new("views-filters");
    for name in ["a", "ab", "web-1", "web-22"] {
        engine.ok(&[
            "create",
            "--name",
            name,
            "--label",
            &format!("is={name}"),
            "-v",
            "/data",
            IMAGE,
            "true",
        ]);
    }
    for (filters, wanted) in [
        (&["name=^a$"][..], "a"),
        (&["name=^/a$"], "a"),
        (&["name=^[^w]"], "a ab"),
        (&["name=a"], "a ab"),
        (&["name=b"], "ab web-1 web-22"),
        (&["name=^web-[0-9]{2}$"], "web-22"),
        (&["name=^a$", "name=2$"], "a web-22"),
        (&["name=web", "label=is=web-1"], "web-1"),
        (&["label!=is=a", "name=^a"], "ab"),
        (&["status=created", "name=^ab?$"], "a ab"),
        (&["status=running"], ""),
        (&["until=1h"], ""),
        (&["until=2100-01-01", "name=^a$"], "a"),
        (&["before=ab"], "a"),
        (&["since=ab"], "web-1 web-22"),
        (&["health=none", "name=^a"], "a ab"),
    ] {
        assert_eq!(names(&engine, filters), wanted, "{filters:?}");
    }
    let id = engine.ask("ab", "{{.Id}}");
    for filter in [format!("id={}", &id[..12]), format!("id=^{}", &id[..5]), format!("id={}$", &id[40..])] {
        assert_eq!(names(&engine, &[&filter]), "ab", "{filter}");
    }
    engine.ok(&["volume", "create", "one"]);
    engine.ok(&["volume", "create", "one-more"]);
    let volumes = |filter: &str| engine.ok(&["volume", "ls", "-q", "--filter", filter]).replace('\n', " ");
    assert_eq!(volumes("name=^one$"), "one");
    assert_eq!(volumes("name=one"), "one one-more");
    engine.ok(&["tag", IMAGE, "reg.example.com/team/app:v1"]);
    let images = |filter: &str| engine.run(&["images", "-q", "--filter", filter]).1.lines().count();
    for (reference, count) in [
        ("reference=team/*", 1),
        ("reference=*/app:v[12]", 1),
        ("reference=app:v[!1]", 0),
        ("reference=reg.example.com/*", 0),
        ("reference=nothere", 0),
    ] {
        assert_eq!(images(reference), count, "{reference}");
    }
    engine.ok(&["rm", "-a", "-v"]);
    engine.ok(&["volume", "prune", "-a", "-f"]);
    engine.assert_clean();
}

#[test]
fn a_filter_that_makes_no_sense_is_refused_by_each_command() {
    let engine = Engine::empty("views-bad-filters");
    let listing: [&[&str]; 4] = [&["ps", "-a"], &["images"], &["volume", "ls"], &["search", "x"]];
    let pruning: [&[&str]; 4] = [
        &["container", "prune", "-f"],
        &["image", "prune", "-f"],
        &["volume", "prune", "-f"],
        &["system", "prune", "-f"],
    ];
    let mut cases: Vec<(&[&str], &str, &str)> = vec![
        (&["ps"], "status=nonsense", "none of created, running, paused, restarting, exited, stopped"),
        (&["ps"], "health=ill", "none of starting, healthy, unhealthy, none"),
        (&["ps"], "exited=abc", "no whole number"),
        (&["ps"], "until=…", "neither a time"),
        (&["ps"], "name=[", "no regular expression"),
        (&["ps"], "before=nobody", "no such container"),
        (&["images"], "dangling=maybe", "neither true nor false"),
        (&["images"], "since=nothing", "no such image"),
        (&["volume", "ls"], "dangling=maybe", "neither true nor false"),
        (&["search", "x"], "stars=many", "no whole number"),
        (&["search", "x"], "is-official=x", "neither true nor false"),
        (&["system", "prune", "-f"], "until=yesterday", "neither a time"),
        (&["volume", "prune", "-f"], "label==", "no label"),
    ];
    for words in listing.iter().chain(&pruning) {
        cases.push((words, "colour=red", "\"colour\" is none of the keys "));
        cases.push((words, "colour", "it is not KEY=VALUE; the keys are "));
    }
    for (words, filter, wanted) in cases {
        let (code, printed, said) = engine.run(&[words, &["--filter", filter]].concat());
        let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
        assert!(
            code == 125
                && printed.is_empty()
                && said.contains(wanted)
                && said.contains(key)
                && said.contains(value),
            "{words:?} {filter}: {code}: {printed}{said}"
        );
        assert_eq!(said.lines().filter(|line| line.starts_with("Error: --filter ")).count(), 1, "{said}");
    }
}

#[test]
fn templates_that_scripts_use_print_what_podmans_do() {
    let engine = Engine::new("views-templates");
    engine.ok(&[
        "create",
        "--name",
        "c",
        "--label",
        "x=1",
        "--label",
        "foo.bar=2",
        "-v",
        "vol1:/data",
        IMAGE,
        "sh",
        "-c",
        "true",
    ]);
    let id = engine.ask("c", "{{.ID}}");
    for (template, wanted) in [
        ("{{.State.Status}}", "created"),
        ("{{json .State.Running}}", "false"),
        ("{{index .Config.Labels \"x\"}}", "1"),
        ("{{index .Config.Labels \"foo.bar\"}}", "2"),
        ("{{index .Config.Labels \"nope\"}}|", "|"),
        ("{{.Config.Labels.nope}}", "<no value>"),
        ("{{range .Mounts}}{{.Name}} {{.Destination}}{{end}}", "vol1 /data"),
        ("{{.NetworkSettings.IPAddress}}|", "|"),
        ("{{if .State.Running}}y{{else}}n{{end}}", "n"),
        ("{{len .Mounts}}", "1"),
        ("{{printf \"%s-%d\" .Name 3}}", "c-3"),
        ("{{printf \"%.12s\" .Id}}", &id[..12]),
        ("{{slice .Id 0 12}}", &id[..12]),
        ("{{join .Config.Cmd \",\"}}", "sh,-c,true"),
        ("{{upper .Name}}{{.Name | title}}", "CC"),
        ("{{json .Config.Labels}}", "{\"foo.bar\":\"2\",\"x\":\"1\"}"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "foo.bar=2 x=1"),
        ("{{range $i, $m := .Mounts}}{{if $i}},{{end}}{{$m.Type}}{{end}}", "volume"),
        ("{{with .State}}{{.Status}}{{end}}{{$x := .Name}}{{$x}}", "createdc"),
        ("{{index .Config.Env 0}}", "PATH=/bin"),
        ("{{json .NetworkSettings.Ports}}", "{}"),
        ("{{.NetworkSettings.Networks}}", "map[]"),
    ] {
        assert_eq!(engine.ok(&["inspect", "-f", template, "c"]), wanted, "{template}");
    }
    for (template, wanted) in [
        ("{{.Nope}}", "there is no field \"Nope\""),
        ("{{.State.Nope}}", "there is no field \"Nope\""),
        ("{{index .Config.Env 99}}", "index: 99 is beyond"),
    ] {
        let (code, _, said) = engine.run(&["inspect", "-f", template, "c"]);
        assert!(code == 125 && said.contains(wanted), "{template}: {code}: {said}");
    }
    assert_eq!(engine.ok(&["ps", "-a", "--format", "{{.Label \"x\"}} {{.Labels.nope}}"]), "1 <no value>");
    assert_eq!(
        engine.ok(&["ps", "-a", "--format", "table {{.Names}}\\t{{.State}}"]),
        "NAMES  STATE\nc      created"
    );
    assert!(engine.ok(&["images", "--format", "table {{.ID}}"]).starts_with("IMAGE ID\n"));
    assert!(engine.ok(&["ps", "-a", "--format", "table"]).starts_with("CONTAINER ID  IMAGE"));
    let image = engine.ok(&[
        "image",
        "inspect",
        "-f",
        "{{.Config.Entrypoint}} {{.Config.Labels}} {{.Config.Volumes}} {{index .Config.Labels \"x\"}}|",
        IMAGE,
    ]);
    assert_eq!(image, "[] map[] map[] |");
    assert_eq!(engine.ok(&["info", "-f", "{{.Store.ContainerStore.Number}} {{.Host.OS}}"]), "1 linux");
    engine.ok(&["rm", "c"]);
    engine.assert_clean();
}

#[test]
fn json_is_as_podmans() {
    let engine = Engine::new("views-json");
    engine.ok(&["create", "--name", "c", "--label", "x=1", IMAGE, "echo", "one", "two"]);
    let parsed = |words: &[&str]| -> Value { serde_json::from_str(&engine.ok(words)).expect("JSON") };
    for words in [
        &["ps", "-a", "--format", "json"][..],
        &["ps", "-a", "--format=json"],
        &["ps", "-a", "--format", "json", "--size"],
    ] {
        let list = parsed(words);
        let one = &list[0];
        assert_eq!(one["Names"], serde_json::json!(["c"]), "{one}");
        assert_eq!(one["Command"], serde_json::json!(["echo", "one", "two"]));
        assert_eq!(
            (&one["State"], &one["Labels"]["x"], &one["Exited"]),
            (&"created".into(), &"1".into(), &false.into())
        );
        assert!(one["Created"].is_u64() && one["Id"].as_str().is_some_and(|id| id.len() == 64), "{one}");
        assert_eq!(one["Size"].is_object(), words.contains(&"--size"), "{one}");
    }
    engine.ok(&["tag", IMAGE, "other:1"]);
    let list = parsed(&["images", "--format", "json"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "one image of two names: {list}");
    assert_eq!(list[0]["Names"].as_array().map(Vec::len), Some(2));
    assert_eq!(list[0]["Containers"], 1);
    assert!(list[0]["Size"].is_u64() && list[0]["Created"].is_i64(), "{list}");
    engine.ok(&["rm", "c"]);
    engine.assert_clean();
}

#[test]
fn lists_are_sorted_cut_and_shown_whole() {
    let engine = Engine::new("views-lists");
    for (name, command) in [("b", "zz"), ("a", "yy"), ("c", "xx")] {
        engine.ok(&["create", "--name", name, IMAGE, command]);
    }
    let shown = |words: &[&str]| {
        engine.ok(&[&["ps", "-a", "--format", "{{.Names}}"], words].concat()).replace('\n', "")
    };
    for (key, wanted) in [("names", "abc"), ("command", "cab"), ("created", "cab"), ("runningfor", "bac")] {
        assert_eq!(shown(&["--sort", key]), wanted, "{key}");
    }
    for key in ["id", "image", "size", "status"] {
        assert_eq!(shown(&["--sort", key]).len(), 3, "{key}");
    }
    assert_eq!(shown(&["-n", "2"]), "ca");
    assert_eq!(shown(&["--last=1"]), "c");
    assert_eq!(shown(&["-l"]), "c");
    let (short, whole) = (engine.ok(&["ps", "-l", "-q"]), engine.ok(&["ps", "-l", "-q", "--no-trunc"]));
    assert!(short.len() == 12 && whole.len() == 64 && whole.starts_with(&short), "{short} {whole}");
    assert!(engine.ok(&["ps", "-a", "-s"]).contains("(virtual "), "sizes");
    let (code, _, said) = engine.run(&["ps", "--sort", "colour"]);
    assert!(code == 125 && said.contains("colour") && said.contains("runningfor"), "{said}");
    engine.ok(&["rm", "-a"]);
    engine.assert_clean();
}

#[test]
fn help_is_there_for_every_command_in_both_forms() {
    let engine = Engine::empty("views-help");
    for (words, wanted) in [
        (&["help"][..], "Usage: ocictl [OPTIONS] COMMAND"),
        (&["help", "run"], "Usage: ocictl run [OPTIONS]"),
        (&["help", "image"], "Usage: ocictl image COMMAND"),
        (&["help", "image", "pull"], "Usage: ocictl image pull"),
        (&["image", "help", "pull"], "Usage: ocictl image pull"),
        (&["image", "help"], "Usage: ocictl image COMMAND"),
        (&["help", "ps"], "Usage: ocictl ps"),
        (&["run", "--help"], "Usage: ocictl run [OPTIONS]"),
        (&["help", "--help"], "Usage: ocictl [OPTIONS] COMMAND"),
    ] {
        let printed = engine.ok(words);
        assert!(printed.contains(wanted), "{words:?}: {printed}");
    }
    for words in [&["help", "nonsense"][..], &["help", "image", "nonsense"], &["image", "help", "nonsense"]] {
        let (code, _, said) = engine.run(words);
        assert!(code == 125 && said.contains("\"nonsense\" is no command"), "{words:?}: {said}");
    }
}

#[test]
fn the_version_tells_the_commit() {
    let engine = Engine::empty("views-version");
    let commit = engine.ok(&["version", "--format", "{{.Client.GitCommit}}"]);
    let is_commit = commit.len() >= 12 && commit.bytes().all(|digit| digit.is_ascii_hexdigit());
    assert!(is_commit || commit == "unknown", "{commit}");
    assert!(engine.ok(&["version"]).contains(&format!("Commit:   {commit}\n")));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        engine.ok(&["version", "-f", "{{.Version}} {{.Server.Version}}"]),
        format!("{version} {version}")
    );
    let json: Value = serde_json::from_str(&engine.ok(&["version", "--format", "json"])).expect("JSON");
    assert_eq!(
        (&json["Client"]["Version"], &json["Client"]["GitCommit"]),
        (&version.into(), &commit.as_str().into())
    );
    assert_eq!(engine.ok(&["info", "--format", "{{.Version.GitCommit}}"]), commit);
}
