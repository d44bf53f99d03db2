//! Table I, first half: what registries say, and what names mean.

use crate::engine::IMAGE;
use crate::registry::{Answer, Asked, Server, hostile, is_layer};
use crate::stage::{FILE, Layer, Stage};
use crate::support::{config, goarch};
use ocictl::digest::Digest;
use serde_json::{Value, json};
use std::fs;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry with these documents: each has its digest, and the first is `x:1`; blobs are found as manifests, too.
fn shelf(documents: Vec<(Vec<u8>, &'static str)>) -> Server {
    Server::start(move |asked, _| {
        let name = asked.path.rsplit('/').next().unwrap_or_default();
        let found = documents.iter().enumerate().find(|(index, (bytes, _))| {
            Digest::of(bytes).as_str() == name || (*index == 0 && asked.path.ends_with("/manifests/1"))
        });
        match found {
            Some((_, (bytes, kind))) => Answer::new(200, bytes.clone()).header("content-type", *kind),
            None => Answer::new(404, ""),
        }
    })
}

fn descriptor(bytes: &[u8], kind: &str) -> Value {
    json!({ "mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": bytes.len() })
}

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A sound image of one layer: manifest, configuration, layer.
fn sound() -> [Vec<u8>; 3] {
    let layer = Layer::default().add(FILE, "file", "content").end();
    let config = config(std::slice::from_ref(&layer)).to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(&config, CONFIG), "layers": [descriptor(&layer, LAYER)],
    });
    [manifest.to_string().into_bytes(), config, layer]
}

/// What is pulled is refused with these words, and nothing of it stays.
fn refuse_pull(stage: &Stage, server: &Server, wanted: &[&str]) {
    let name = format!("{}/x:1", server.host);
    stage.refused(&["pull", "-q", "--tls-verify=false", &name], wanted);
    let names = stage.engine.ok(&["images", "--format", "{{.Repository}}"]);
    assert_eq!(names, "docker.io/library/busybox", "nothing has a name");
    stage.engine.ok(&["system", "check"]);
}

#[test]
fn i1_uploads_pages_and_urls_of_others_get_no_credentials() {
    let stage = Stage::new("i1");
    let other = Server::start(|_, _| Answer::new(200, "{}"));
    let target = other.host.replace("127.0.0.1", "localhost");
    let (layer, page) = (target.clone(), target.clone());
    let server = Server::start(move |asked, _| {
        if !asked.headers.contains_key("authorization") {
            return Answer::new(401, "").header("www-authenticate", "Basic realm=\"x\"");
        }
        match asked.method.as_str() {
            "POST" => Answer::new(202, "").header("location", format!("http://{layer}/upload")),
            "HEAD" => Answer::new(404, ""),
            _ if asked.path.contains("/tags/") => Answer::new(200, r#"{"name":"x","tags":["1"]}"#)
                .header("link", format!("<http://{page}/v2/x/tags/list?n=2>; rel=\"next\"")),
            _ => Answer::new(200, "{}"),
        }
    });
    let name = format!("{}/x:1", server.host);
    let given = ["--tls-verify=false", "--creds=user:secret"];
    stage.refused(&["push", "-q", given[0], given[1], IMAGE, &name], &["upload"]);
    let account = json!({ "auths": { &server.host: { "auth": "dXNlcjpzZWNyZXQ=" } } });
    fs::write(stage.engine.scratch.join("auth.json"), account.to_string()).expect("written");
    let repository = name.trim_end_matches(":1");
    stage.refused(&["search", given[0], "--list-tags", repository], &["goes on at another host"]);
    let mut with_account = server.asked().into_iter().filter(|asked| asked.path.contains("/tags/"));
    assert!(with_account.next_back().is_some_and(|asked| asked.headers.contains_key("authorization")));
    // `urls` of a layer are nobody's business: what is not at the registry is not there.
    let [manifest, config, _] = sound();
    let mut manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    manifest["layers"][0]["urls"] = json!([format!("http://{target}/layer"), "file:///etc/passwd"]);
    let shelf = shelf(vec![(manifest.to_string().into_bytes(), MANIFEST), (config, CONFIG)]);
    refuse_pull(&stage, &shelf, &["layer", "404"]);
    assert_eq!(other.asked().len(), 0, "{:?}", other.asked());
    stage.finish();
}

#[test]
fn i4_a_document_is_one_thing_and_what_its_type_says() {
    let stage = Stage::new("i4");
    let [manifest, config, layer] = sound();
    let value: Value = serde_json::from_slice(&manifest).expect("JSON");
    let with = |key: &str, new: Value| {
        let mut value = value.clone();
        value[key] = new;
        value.to_string().into_bytes()
    };
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(&manifest, MANIFEST)] });
    let rows: [(Vec<u8>, &'static str, &str); 9] = [
        (
            with("manifests", json!([descriptor(&manifest, MANIFEST)])),
            MANIFEST,
            "both a manifest and an index",
        ),
        (with("manifests", json!([])), INDEX, "both a manifest and an index"),
        (manifest.clone(), INDEX, "which is not its shape"),
        (index.to_string().into_bytes(), MANIFEST, "which is not its shape"),
        (with("mediaType", json!(INDEX)), MANIFEST, "which is not its shape"),
        (manifest.clone(), "text/html", "not supported"),
        (with("schemaVersion", json!(1)), MANIFEST, "schema 1"),
        (b"{}".to_vec(), MANIFEST, "neither layers nor manifests"),
        (b"[]".to_vec(), MANIFEST, "manifest"),
    ];
    for (bytes, kind, wanted) in rows {
        let server = shelf(vec![
            (bytes, kind),
            (manifest.clone(), MANIFEST),
            (config.clone(), CONFIG),
            (layer.clone(), LAYER),
        ]);
        refuse_pull(&stage, &server, &[wanted]);
    }
    stage.finish();
}

#[test]
fn i5_a_digest_is_checked_before_a_path_is_made_of_it() {
    let stage = Stage::new("i5");
    let [manifest, config, layer] = sound();
    let hex = "0".repeat(64);
    let canary = stage.canary.path().to_owned();
    let digests = [
        "sha256:../../x".to_owned(),
        format!("sha256:../../../../../..{canary}/file"),
        format!("sha256:{}", "A".repeat(64)),
        "sha256:00".to_owned(),
        "sha256:".to_owned(),
        String::new(),
        format!("md5:{}", "0".repeat(32)),
        format!("sha384:{}", "0".repeat(96)),
        format!("sha256:{hex}\u{0}"),
        format!("sha256:{hex}/.."),
        hex.clone(),
        format!("sha512:{hex}"),
    ];
    for digest in digests {
        for place in ["/config/digest", "/layers/0/digest"] {
            let mut value: Value = serde_json::from_slice(&manifest).expect("JSON");
            *value.pointer_mut(place).expect("there") = digest.clone().into();
            let server = shelf(vec![(value.to_string().into_bytes(), MANIFEST), (config.clone(), CONFIG)]);
            refuse_pull(&stage, &server, &["is no digest"]);
        }
        let mut value: Value = serde_json::from_slice(&config).expect("JSON");
        value["rootfs"]["diff_ids"][0] = digest.clone().into();
        let config = value.to_string().into_bytes();
        let mut value: Value = serde_json::from_slice(&manifest).expect("JSON");
        value["config"] = descriptor(&config, CONFIG);
        let documents =
            vec![(value.to_string().into_bytes(), MANIFEST), (config, CONFIG), (layer.clone(), LAYER)];
        refuse_pull(&stage, &shelf(documents), &["is no digest"]);
        let name = format!("localhost:1/x@{}", digest.replace('\0', "\u{1}"));
        stage.refused(&["pull", "-q", "--tls-verify=false", &name], &[]);
    }
    stage.finish();
}

#[test]
fn i6_what_a_configuration_lacks_or_has_too_much_of_is_told() {
    let stage = Stage::new("i6");
    let [manifest, config, layer] = sound();
    let value: Value = serde_json::from_slice(&manifest).expect("JSON");
    let id = Digest::of(&layer).to_string();
    // A configuration, and what is said of it; nothing where it does no harm.
    let platform = json!({ "architecture": goarch(), "os": "linux" });
    let with = |more: Value| {
        let mut value = platform.clone();
        value.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        value.to_string().into_bytes()
    };
    let layers = |ids: Value| {
        with(json!({ "config": null, "history": null, "rootfs": { "type": "layers", "diff_ids": ids } }))
    };
    let configurations: [(Vec<u8>, &str); 9] = [
        (b"null".to_vec(), "image configuration"),
        (b"[]".to_vec(), "image configuration"),
        (b"{".to_vec(), "image configuration"),
        (with(json!({})), "rootfs.type"),
        (layers(json!([])), "the manifest has 1 layers, the configuration 0"),
        (layers(json!(vec![id.clone(); 10_000])), "10000 layers; the most is 500"),
        (layers(json!([id.clone(), id.clone()])), "the manifest has 1 layers, the configuration 2"),
        (layers(json!([format!("sha256:{}", "0".repeat(64))])), "digest is sha256:"),
        (layers(json!([id.clone()])), ""),
    ];
    for (config, wanted) in configurations {
        let mut value = value.clone();
        value["config"] = descriptor(&config, CONFIG);
        let server =
            shelf(vec![(value.to_string().into_bytes(), MANIFEST), (config, CONFIG), (layer.clone(), LAYER)]);
        if wanted.is_empty() {
            let name = format!("{}/x:1", server.host);
            stage.engine.ok(&["pull", "-q", "--tls-verify=false", &name]);
            stage.engine.ok(&["history", &name]);
            stage.refused(&["run", "--rm", &name], &["no command"]);
            stage.engine.ok(&["rmi", &name]);
        } else {
            refuse_pull(&stage, &server, &[wanted]);
        }
    }
    // And manifests.
    let many: Vec<Value> = vec![descriptor(&layer, LAYER); 10_000];
    for (place, new, wanted) in [
        ("/layers/0/size", json!(-1), "manifest"),
        ("/layers/0/size", json!(1u64 << 62), "bytes"),
        ("/layers/0/size", json!(1), "bytes"),
        ("/config/size", json!(-1), "manifest"),
        ("/config/size", json!(1u64 << 40), "a configuration of 1099511627776 bytes"),
        ("/layers", json!([]), "the manifest has 0 layers, the configuration 1"),
        ("/layers", json!(many), "10000 layers; the most is 500"),
        ("/layers", Value::Null, "manifest"),
        ("/layers/0/mediaType", json!("application/x"), "no media type of a layer"),
        ("/layers/0/mediaType", json!(format!("{LAYER}+encrypted")), "encrypted"),
        ("/config", Value::Null, "manifest"),
    ] {
        let mut value = value.clone();
        *value.pointer_mut(place).expect("there") = new;
        let server = shelf(vec![
            (value.to_string().into_bytes(), MANIFEST),
            (config.clone(), CONFIG),
            (layer.clone(), LAYER),
        ]);
        refuse_pull(&stage, &server, &[wanted]);
    }
    stage.finish();
}

#[test]
fn i9_names_are_names_and_a_digest_counts_more_than_a_tag() {
    let stage = Stage::new("i9");
    let long = "a".repeat(300);
    for name in [
        "a//b",
        "..",
        "a/../b",
        "a/./b",
        "./a",
        "/a",
        "a/",
        "Foo",
        "a b",
        "a:b:c",
        "a.b:99999/x",
        "a.b:0/x",
        "a.b:-1/x",
        "é.com/x",
        "xn--é/x",
        "a@b",
        "a@sha256:0",
        "a:t@",
        "a.b/..%2f..%2fetc",
        "a.b/x?y",
        "a.b/x#y",
        "a.b\\x",
        "user@a.b/x",
        "http://a.b/x",
        &long,
    ] {
        for words in [
            &["pull", "-q", "--", name][..],
            &["tag", "--", IMAGE, name],
            &["create", "--pull=always", "--", name, "true"],
        ] {
            stage.refused(words, &[]);
        }
    }
    assert_eq!(stage.engine.run(&["pull", "-o"]).0, 125, "an option is not a name");
    // Under the tag is something else than under the digest that was typed.
    let [manifest, config, layer] = sound();
    let other = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(b"{}", CONFIG), "layers": [] });
    let wanted = Digest::of(&manifest);
    let documents = vec![
        (other.to_string().into_bytes(), MANIFEST),
        (manifest, MANIFEST),
        (config.clone(), CONFIG),
        (layer, LAYER),
    ];
    let server = shelf(documents);
    let name = format!("{}/x:1@{wanted}", server.host);
    let id = stage.engine.ok(&["pull", "-q", "--tls-verify=false", &name]);
    assert_eq!(id, Digest::of(&config).hex());
    assert!(server.asked().iter().all(|asked| !asked.path.ends_with("/manifests/1")), "{:?}", server.asked());
    stage.engine.ok(&["rmi", &id]);
    // And a registry that gives something else for a digest.
    let liar = hostile(|asked: &Asked, _, mut answer: Answer| {
        if asked.path.contains("/manifests/sha256:") {
            answer.body.push(b' ');
        }
        answer
    });
    let [manifest, ..] = sound();
    let name = format!("{}/x@{}", liar.host, Digest::of(&manifest));
    stage.refused(&["pull", "-q", "--tls-verify=false", &name], &["digest is sha256:"]);
    stage.finish();
}

#[test]
fn i10_a_pull_names_what_was_asked_for_and_nothing_else() {
    let stage = Stage::new("i10");
    let victim = stage.engine.ok(&["image", "inspect", "--format", "{{.Id}}", IMAGE]);
    let [manifest, config, layer] = sound();
    let mut value: Value = serde_json::from_slice(&manifest).expect("JSON");
    let names = json!({
        "org.opencontainers.image.ref.name": "docker.io/library/busybox:latest",
        "io.containerd.image.name": "docker.io/library/busybox:latest",
        "org.opencontainers.image.base.name": "busybox",
    });
    value["annotations"] = names.clone();
    value["layers"][0]["annotations"] = names.clone();
    let manifest = value.to_string().into_bytes();
    let mut entry = descriptor(&manifest, MANIFEST);
    entry["annotations"] = names;
    entry["platform"] = json!({ "architecture": goarch(), "os": "linux" });
    let index =
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }).to_string().into_bytes();
    let digest = Digest::of(&manifest);
    let server = shelf(vec![(index, INDEX), (manifest, MANIFEST), (config, CONFIG), (layer, LAYER)]);
    let list = || stage.engine.ok(&["images", "-a", "--format", "{{.Repository}}:{{.Tag}}"]);
    stage.engine.ok(&["pull", "-q", "--tls-verify=false", &format!("{}/x@{digest}", server.host)]);
    let by_digest = list();
    assert!(
        by_digest.lines().all(|name| name.ends_with("busybox:latest") || name.ends_with(":<none>")),
        "{by_digest}"
    );
    stage.engine.ok(&["pull", "-q", "--tls-verify=false", &format!("{}/x:1", server.host)]);
    let mut names: Vec<String> =
        list().lines().filter(|name| !name.ends_with(":<none>")).map(String::from).collect();
    names.sort();
    assert_eq!(names, [format!("{}/x:1", server.host), "docker.io/library/busybox:latest".into()]);
    assert_eq!(stage.engine.ok(&["image", "inspect", "--format", "{{.Id}}", IMAGE]), victim);
    // Half a pull names nothing.
    stage.engine.ok(&["rmi", "-f", names[0].as_str()]);
    let broken = hostile(|asked: &Asked, _, mut answer: Answer| {
        if is_layer(asked, &answer) {
            answer.body[600] ^= 1;
        }
        answer
    });
    let name = format!("{}/x:1", broken.host);
    stage.refused(&["pull", "-q", "--tls-verify=false", &name], &["digest is"]);
    assert!(!list().contains(&broken.host), "{}", list());
    stage.finish();
}

#[test]
fn i11_no_signature_is_called_verified() {
    // Nothing looks at signatures yet, so nothing may say or seem to: what would ask for it is refused.
    let stage = Stage::new("i11");
    let key = stage.file("key.pub", b"-----BEGIN PUBLIC KEY-----\n");
    let verbs: [&[&str]; 7] = [
        &["image", "trust", "show"],
        &["image", "sign", IMAGE],
        &["pull", "--signature-policy", &key, IMAGE],
        &["pull", "--decryption-key", &key, IMAGE],
        &["push", "--sign-by", "x", IMAGE],
        &["push", "--sign-by-sigstore-private-key", &key, IMAGE],
        &["run", "--rm", "--signature-policy", &key, IMAGE, "true"],
    ];
    for words in verbs {
        assert_eq!(stage.engine.run(words).0, 125, "{words:?}");
    }
    let shown = stage.engine.ok(&["image", "inspect", IMAGE]);
    assert!(
        !shown.to_lowercase().contains("verified") && !shown.to_lowercase().contains("trusted"),
        "{shown}"
    );
    stage.finish();
}

#[test]
fn h8_a_pull_that_is_killed_leaves_no_half_layer() {
    let stage = Stage::new("h8");
    let large = Layer::default().add(FILE, "large", &"0123456789abcdef".repeat(200_000)).end();
    let document = config(std::slice::from_ref(&large)).to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(&document, CONFIG), "layers": [descriptor(&large, LAYER)],
    });
    let manifest = manifest.to_string().into_bytes();
    let sound = shelf(vec![(manifest.clone(), MANIFEST), (document.clone(), CONFIG), (large.clone(), LAYER)]);
    for form in ["index", "directory"] {
        for half in [0, 1, 700, 512 << 10, 2 << 20, large.len() - 1] {
            let (bytes, layer) = (manifest.clone(), large.clone());
            let config = document.clone();
            let stalling = Server::start(move |asked, _| match asked.path.rsplit('/').next() {
                Some("1") => Answer::new(200, bytes.clone()).header("content-type", MANIFEST),
                Some(digest) if digest == Digest::of(&layer).as_str() => {
                    Answer::new(200, layer.clone()).stall(half)
                }
                _ => Answer::new(200, config.clone()),
            });
            let mut command = stage.engine.command();
            command.env("OCICTL_LAYERS", form).args([
                "pull",
                "-q",
                "--tls-verify=false",
                &format!("{}/x:1", stalling.host),
            ]);
            let mut child = command.spawn().expect("it starts");
            crate::engine::eventually("the layer is asked for", || {
                stalling.asked().iter().any(|asked| asked.path.contains(Digest::of(&large).hex()))
            });
            std::thread::sleep(std::time::Duration::from_millis(50));
            child.kill().and_then(|()| child.wait()).expect("killed");
            stage.engine.ok(&["system", "check", "--deep"]);
            let name = format!("{}/x:1", sound.host);
            let mut again = stage.engine.command();
            again.env("OCICTL_LAYERS", form).args(["pull", "-q", "--tls-verify=false", &name]);
            assert!(again.status().expect("it starts").success(), "{form} {half}");
            stage.engine.ok(&["system", "check", "--deep"]);
            stage.engine.ok(&["rmi", &name]);
        }
    }
    let ingest = stage.engine.scratch.join("root/ingest");
    stage.engine.ok(&["system", "check", "--repair"]);
    assert_eq!(fs::read_dir(ingest).map_or(0, Iterator::count), 0, "nothing half made is left");
    stage.finish();
}
