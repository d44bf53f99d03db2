//! Table K: what an image says of itself, and what is made of it.

use crate::engine::{Engine, IMAGE};
use crate::registry::{Answer, Server};
use crate::stage::{Stage, one_error};
use crate::support::config;
use ocictl::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// `config.json` of a running container, without its ID.
fn written(engine: &Engine, name: &str) -> String {
    let id = engine.ask(name, "{{.Id}}");
    let path = engine.scratch.join("run/containers").join(&id).join("config.json");
    fs::read_to_string(path).expect("a config.json").replace(&id, "ID").replace(&id[..12], "ID")
}

/// Names by which engines and runtimes are told what to do.
const ORDERS: [(&str, &str); 18] = [
    ("ocictl.log-driver", "none"),
    ("ocictl.privileged", "true"),
    ("ocictl.runtime", "/tmp/evil"),
    ("ocictl.restart", "always"),
    ("io.podman.annotations.privileged", "TRUE"),
    ("io.podman.annotations.seccomp", "unconfined"),
    ("io.podman.annotations.autoremove", "TRUE"),
    ("io.containers.seccomp.profile", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}"),
    ("io.containers.capabilities", "sys_admin"),
    ("io.kubernetes.cri-o.Devices", "/dev/sda"),
    ("run.oci.keep_original_groups", "1"),
    ("run.oci.hooks.stderr", "/tmp/evil"),
    ("run.oci.handler", "krun"),
    ("run.oci.mount_context_type", "x"),
    ("run.oci.systemd.subgroup", "../../x"),
    ("org.systemd.property.ExecStartPre", "'/tmp/evil'"),
    ("com.docker.compose.project", "evil"),
    ("RUN", "/usr/bin/docker run --privileged -v /:/host IMAGE"),
];

#[test]
fn k1_labels_of_an_image_change_nothing() {
    let stage = Stage::new("k1");
    let labels: serde_json::Map<String, Value> =
        ORDERS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let config = |labels: Value| json!({ "Cmd": ["sleep", "1000"], "Env": ["PATH=/bin"], "Labels": labels });
    stage.image("plain", &config(json!({})), &[]);
    stage.image("orders", &config(Value::Object(labels)), &[]);
    for image in ["plain", "orders"] {
        stage.engine.ok(&["run", "-d", "--name", &format!("{image}1"), image]);
    }
    let (plain, orders) = (written(&stage.engine, "plain1"), written(&stage.engine, "orders1"));
    assert_eq!(orders.replace("orders1", "plain1"), plain, "the same but for the names");
    for template in [
        "{{.HostConfig.LogConfig.Type}}",
        "{{json .HostConfig.RestartPolicy}}",
        "{{.OCIRuntime}}",
        "{{.HostConfig.Privileged}}",
    ] {
        assert_eq!(stage.engine.ask("orders1", template), stage.engine.ask("plain1", template), "{template}");
    }
    // They are kept, as words.
    assert_eq!(stage.engine.ask("orders1", "{{index .Config.Labels \"ocictl.restart\"}}"), "always");
    stage.engine.ok(&["stop", "-t", "0", "orders1"]);
    assert_eq!(stage.engine.ask("orders1", "{{.State.Status}}"), "exited");
    stage.finish();
}

#[test]
fn k2_variables_of_an_image_are_its_own_and_well_formed() {
    let stage = Stage::new("k2");
    // One too many, and far from too many bytes.
    let many: Vec<String> = (0..4097).map(|number| format!("V{number}=x")).collect();
    let rows: [(&str, Vec<String>); 11] = [
        ("a name", vec!["OCICTL_SECRET".into()]),
        ("a star", vec!["*".into()]),
        ("a front and a star", vec!["OCICTL_*".into()]),
        ("no name", vec!["=x".into()]),
        ("nothing", vec![String::new()]),
        ("a NUL", vec!["A=b\0c".into()]),
        ("a NUL in a name", vec!["A\0B=c".into()]),
        ("1 MiB", vec![format!("A={}", "x".repeat(1 << 20))]),
        ("4097 of them", many),
        ("much", (0..60).map(|number| format!("V{number}={}", "x".repeat(10_000))).collect()),
        ("among others", vec!["PATH=/bin".into(), "OCICTL_SECRET".into()]),
    ];
    for (name, env) in rows {
        stage.image("env", &json!({ "Cmd": ["env"], "Env": env }), &[]);
        let mut command = stage.engine.command();
        let output = command
            .env("OCICTL_SECRET", "of the host")
            .args(["run", "--rm", "env"])
            .output()
            .expect("it starts");
        let said = one_error(&output, name);
        assert!(said.contains("the image's Env") && !said.contains("of the host"), "{name}: {said}");
    }
    // What is odd and well-formed is taken as it is.
    let odd = ["PATH=/bin", "A*=star", "B==", "C=$PATH", "D=a b", "E=\u{1b}[2J", "f.g-h=1"];
    stage.image("odd", &json!({ "Cmd": ["env"], "Env": odd }), &[]);
    let mut command = stage.engine.command();
    let output =
        command.env("OCICTL_SECRET", "of the host").args(["run", "--rm", "odd"]).output().expect("it starts");
    let said = String::from_utf8(output.stdout).expect("text");
    for variable in odd {
        assert!(said.lines().any(|line| line == variable), "{variable:?}: {said}");
    }
    assert!(!said.contains("of the host"), "{said}");
    stage.finish();
}

#[test]
fn k3_words_of_an_image_are_not_read_as_templates_or_lines() {
    let stage = Stage::new("k3");
    let words = ["{{.Id}}", "{{json .}}", "$(id)", "`id`", "${PATH}", "%s%n", "a\nb", "\"};x", "../../x"];
    let labels: serde_json::Map<String, Value> =
        words.iter().enumerate().map(|(number, word)| (format!("l{number}"), json!(word))).collect();
    let arguments: Vec<&str> = ["printf", "%s|"].into_iter().chain(words).collect();
    let config = json!({ "Entrypoint": arguments, "Cmd": [], "WorkingDir": "/a\nb/{{.Id}}/$(id)", "Labels": labels, "Env": ["PATH=/bin", "T={{.Id}}"] });
    stage.image("words", &config, &[]);
    assert_eq!(
        stage.engine.ok(&["run", "--name", "c", "words"]),
        words.map(|word| format!("{word}|")).concat()
    );
    for (number, word) in words.iter().enumerate() {
        let template = format!("{{{{index .Config.Labels \"l{number}\"}}}}");
        assert_eq!(stage.engine.ask("c", &template), *word);
        let filter = format!("label=l{number}={word}");
        assert_eq!(stage.engine.ok(&["ps", "-a", "-q", "--filter", &filter]).len(), 12, "{filter}");
    }
    assert_eq!(stage.engine.ask("c", "{{.Config.WorkingDir}}"), "/a\nb/{{.Id}}/$(id)");
    // In tables a line stays a line.
    assert_eq!(stage.engine.ok(&["ps", "-a", "--no-trunc"]).lines().count(), 2);
    let listed: Value = serde_json::from_str(&stage.engine.ok(&["container", "inspect", "c"])).expect("JSON");
    assert_eq!(listed[0]["Config"]["Labels"]["l6"], "a\nb");
    stage.finish();
}

#[test]
fn k4_annotations_reach_no_command_line_and_those_of_an_image_nothing() {
    let stage = Stage::new("k4");
    // An image whose manifest, index entry and layers have annotations.
    let orders: serde_json::Map<String, Value> =
        ORDERS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let layer = crate::support::tar_of(&stage.engine.scratch.join("image-root"));
    let mut document = config(std::slice::from_ref(&layer));
    document["annotations"] = Value::Object(orders.clone());
    let document = document.to_string().into_bytes();
    let entry = |bytes: &[u8], kind: &str| json!({ "mediaType": format!("application/vnd.oci.image.{kind}"), "digest": Digest::of(bytes).to_string(), "size": bytes.len(), "annotations": orders });
    let manifest = json!({
        "schemaVersion": 2, "annotations": orders.clone(),
        "config": entry(&document, "config.v1+json"), "layers": [entry(&layer, "layer.v1.tar")],
    });
    let manifest = manifest.to_string();
    let server = Server::start(move |asked, _| match asked.path.rsplit('/').next() {
        Some("1") => Answer::new(200, manifest.clone())
            .header("content-type", "application/vnd.oci.image.manifest.v1+json"),
        Some(digest) if digest == Digest::of(&layer).as_str() => Answer::new(200, layer.clone()),
        _ => Answer::new(200, document.clone()),
    });
    let name = format!("{}/x:1", server.host);
    stage.engine.ok(&["pull", "-q", "--tls-verify=false", &name]);
    stage.engine.ok(&["run", "-d", "--name", "c", &name, "sleep", "1000"]);
    let text = written(&stage.engine, "c");
    assert!(!text.contains("annotations") && !text.contains("evil"), "{text}");
    // Those of the caller are in the document, and in no command line.
    let log = stage.engine.scratch.join("strace");
    let command = stage.engine.command();
    let mut traced = Command::new("strace");
    traced.args(["-f", "-s", "4096", "-v", "-o", log.to_str().expect("text"), "-e", "trace=execve"]);
    traced.arg(command.get_program()).args(command.get_args());
    traced.args([
        "run",
        "--rm",
        "--annotation=--evil=--bundle=/evil",
        "--label=--log=/evil=x",
        "--hostname",
        "evilhost",
        IMAGE,
        "cat",
        "/etc/hostname",
    ]);
    let output = traced
        .env("HOME", &stage.engine.scratch.path)
        .env("OCICTL_RUNTIME", crate::engine::runtime())
        .output()
        .expect("strace");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "evilhost\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let trace = fs::read_to_string(log).expect("a trace");
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains("execve(")).collect();
    assert!(calls.iter().any(|line| line.contains("\"monitor\"")) && calls.len() > 2, "{calls:#?}");
    for call in calls.iter().skip(1) {
        let arguments = call.split("], [").next().unwrap_or_default();
        assert!(!arguments.contains("evil"), "{arguments}");
    }
    stage.finish();
}

#[test]
fn k5_what_makes_no_sense_in_an_image_is_refused_by_its_name() {
    let stage = Stage::new("k5");
    let rows: [(Value, &str); 20] = [
        (json!({ "StopSignal": "SIGKILL=-1" }), "stop signal"),
        (json!({ "StopSignal": "0" }), "stop signal"),
        (json!({ "StopSignal": "65" }), "stop signal"),
        (json!({ "StopSignal": "-9" }), "stop signal"),
        (json!({ "StopSignal": "SIGRTMIN+99" }), "stop signal"),
        (json!({ "ExposedPorts": { "99999/tcp": {} } }), "ExposedPorts \"99999/tcp\""),
        (json!({ "ExposedPorts": { "0": {} } }), "ExposedPorts \"0\""),
        (json!({ "ExposedPorts": { "-1/udp": {} } }), "ExposedPorts \"-1/udp\""),
        (json!({ "ExposedPorts": { "80/../../x": {} } }), "ExposedPorts"),
        (json!({ "ExposedPorts": { "1-70000": {} } }), "ExposedPorts"),
        (
            json!({ "Healthcheck": { "Test": ["CMD", "true"], "Interval": -1 } }),
            "Healthcheck.Interval \"-1\"",
        ),
        (json!({ "Healthcheck": { "Test": ["CMD", "true"], "Interval": 1 } }), "Healthcheck.Interval \"1\""),
        (json!({ "Healthcheck": { "Test": ["CMD", "true"], "Timeout": -5 } }), "Healthcheck.Timeout"),
        (json!({ "Healthcheck": { "Test": ["CMD", "true"], "Retries": -5 } }), "Healthcheck.Retries"),
        (json!({ "Healthcheck": { "Test": ["HOST", "reboot"] } }), "Healthcheck.Test \"HOST\""),
        (json!({ "WorkingDir": "relative" }), "working directory"),
        (json!({ "WorkingDir": "/a/../../b" }), "working directory"),
        (json!({ "User": "a\tb" }), "User"),
        (json!({ "Entrypoint": ["a\0b"] }), "Cmd"),
        (json!({ "Volumes": { "..": {} } }), "Volumes"),
    ];
    for (fields, wanted) in rows {
        let mut config = json!({ "Cmd": ["true"], "Env": ["PATH=/bin"] });
        config.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        stage.image("senseless", &config, &[]);
        stage.refused(&["run", "--rm", "senseless"], &[wanted]);
        stage.refused(&["create", "senseless"], &[wanted]);
    }
    // 0 stands for the default, and ONBUILD is a builder's.
    let config = json!({
        "Cmd": ["sleep", "1000"], "Env": ["PATH=/bin"], "OnBuild": ["RUN reboot"], "Shell": ["/evil"],
        "Healthcheck": { "Test": ["CMD", "true"], "Interval": 0, "Timeout": 0, "Retries": 0 },
    });
    stage.image("zeros", &config, &[]);
    stage.engine.ok(&["run", "-d", "--name", "c", "zeros"]);
    assert_eq!(stage.engine.ask("c", "{{.Config.Healthcheck.Interval}}"), "30000000000");
    stage.finish();
}

#[test]
fn k6_a_rule_for_a_path_is_for_no_path_beside_it() {
    let stage = Stage::new("k6");
    let server = Server::start(|_, _| Answer::new(404, "{}"));
    let host = &server.host;
    let rules = format!(
        "[[registry]]\nprefix = \"{host}/data\"\nblocked = true\n\
         [[registry]]\nprefix = \"{host}/open\"\nlocation = \"{host}/open\"\ninsecure = true\n\
         [[registry]]\nprefix = \"*.example.invalid\"\nblocked = true\n"
    );
    let file = stage.file("rules.conf", rules.as_bytes());
    let pull = |name: &str| {
        let mut command = stage.engine.command();
        let output = command
            .env("CONTAINERS_REGISTRIES_CONF", &file)
            .args(["pull", "-q", name])
            .output()
            .expect("it starts");
        one_error(&output, name)
    };
    // Blocked is what is below the path; what only begins like it is asked for, by TLS, which this server has not.
    for (name, blocked) in [
        ("data", true),
        ("data/x", true),
        ("data-evil/x", false),
        ("database", false),
        ("x/data", false),
        ("dat", false),
    ] {
        let said = pull(&format!("{host}/{name}:1"));
        assert_eq!(said.contains("blocked"), blocked, "{name}: {said}");
        assert!(blocked || !said.contains("404"), "{name}: {said}");
    }
    // Without TLS goes what is below the path, and nothing beside it.
    for (name, plain) in [("open", true), ("open/x", true), ("open-evil", false), ("opener/x", false)] {
        let said = pull(&format!("{host}/{name}:1"));
        assert_eq!(said.contains("404"), plain, "{name}: {said}");
    }
    for (name, blocked) in [
        ("a.example.invalid", true),
        ("a.b.example.invalid", true),
        ("evilexample.invalid", false),
        ("example.invalid.evil.invalid", false),
    ] {
        let said = pull(&format!("{name}/x:1"));
        assert_eq!(said.contains("blocked"), blocked, "{name}: {said}");
    }
    for name in [format!("{host}/data/../x:1"), format!("{host}/open/../data:1"), format!("{host}//data:1")] {
        assert!(pull(&name).contains("is no name of an image"), "{name}");
    }
    stage.finish();
}
