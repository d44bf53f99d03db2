//! `pull`, `push`, `login`, `search` with Debian's docker-registry on loopback: plain, and with TLS and a password; exchanged
//! with skopeo.

#[path = "support/registry.rs"]
mod registry;
mod support;

use ocictl::digest::Digest;
use registry::{Answer, Registry, Server, hostile, is_layer};
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Scratch, docker_archive, tar};

fn layers() -> [Vec<u8>; 2] {
    let large: Vec<u8> =
        (0..3_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    [tar(&[("etc/motd", b"hello\n"), ("large", &large)]), tar(&[("etc/motd", b"changed\n")])]
}

/// A store that holds `busybox:test`.
fn loaded(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    fs::write(scratch.join("image.tar"), docker_archive("busybox:test", &layers())).expect("written");
    scratch.ok(&["load", "-q", "-i", scratch.join("image.tar").to_str().expect("text")]);
    scratch
}

fn id(scratch: &Scratch, name: &str) -> String {
    scratch.ok(&["image", "inspect", name, "--format", "{{.Id}}"]).trim().to_owned()
}

#[test]
fn an_image_goes_to_a_registry_and_comes_back() {
    let scratch = loaded("goes");
    let Some(registry) = Registry::plain(&scratch.path) else { return };
    let (name, wanted) = (format!("{}/some/where:1", registry.host), id(&scratch, "busybox:test"));
    scratch.ok(&["push", "--tls-verify=false", "-q", "busybox:test", &name]);
    scratch.ok(&["rmi", "-a"]);
    scratch.assert_empty();
    assert_eq!(scratch.ok(&["pull", "--tls-verify=false", "-q", &name]).trim(), wanted);
    assert_eq!(scratch.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).trim(), name);
    let digest = scratch.ok(&["image", "inspect", &name, "--format", "{{.Digest}}"]).trim().to_owned();
    let by_digest = format!("{}/some/where@{digest}", registry.host);
    assert_eq!(id(&scratch, &by_digest), wanted);
    scratch.ok(&["system", "check", "--deep"]);

    // A second push finds everything there, to another repository of the same registry as well; a pull asks only once.
    let output =
        scratch.output(&["push", "--tls-verify=false", &name, &format!("{}/else/where", registry.host)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.matches("mounted").count() == 2, "{said}");
    let output = scratch.output(&["push", "--tls-verify=false", &name]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.matches("already there").count() == 2, "{said}");
    let output = scratch.output(&["pull", "--tls-verify=false", &name]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("Layer"), "nothing is fetched again: {said}");

    // Search and tags.
    let found = scratch.ok(&[
        "search",
        "--tls-verify=false",
        &format!("{}/where", registry.host),
        "--format",
        "{{.Name}}",
    ]);
    assert_eq!(found.lines().count(), 2, "{found}");
    let tags = scratch.ok(&[
        "search",
        "--tls-verify=false",
        "--list-tags",
        &format!("{}/some/where", registry.host),
        "--format",
        "{{.Tag}}",
    ]);
    assert_eq!(tags, "1\n");
}

#[test]
fn compressions_and_formats_come_back_the_same() {
    let scratch = loaded("formats");
    let Some(registry) = Registry::plain(&scratch.path) else { return };
    let wanted = id(&scratch, "busybox:test");
    for (index, options) in
        [&["--compression-format=zstd"][..], &["--compression-format=none"], &["--format=v2s2"], &[]]
            .iter()
            .enumerate()
    {
        let name = format!("{}/f{index}", registry.host);
        let push = [
            &["push", "--tls-verify=false", "-q", "--force-compression"][..],
            options,
            &["busybox:test", &name],
        ]
        .concat();
        scratch.ok(&push);
        let other = Scratch::new(&format!("formats-{index}"));
        assert_eq!(other.ok(&["pull", "--tls-verify=false", "-q", &name]).trim(), wanted, "{options:?}");
        other.ok(&["system", "check", "--deep"]);
    }
}

#[test]
fn skopeo_reads_what_we_push_and_we_read_what_skopeo_copies() {
    let scratch = loaded("skopeo");
    if Command::new("skopeo").arg("--version").output().is_err() {
        println!("skipped: skopeo is not installed");
        return;
    }
    let Some(registry) = Registry::plain(&scratch.path) else { return };
    let name = format!("{}/x:1", registry.host);
    let wanted = id(&scratch, "busybox:test");
    scratch.ok(&["push", "--tls-verify=false", "-q", "busybox:test", &name]);
    let skopeo = |arguments: &[&str]| {
        let output = Command::new("skopeo")
            .arg("--insecure-policy")
            .args(arguments)
            .env("HOME", &scratch.path)
            .output()
            .expect("skopeo");
        assert!(output.status.success(), "skopeo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let digest = Digest::parse(
        skopeo(&["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &format!("docker://{name}")])
            .trim(),
    );
    assert!(digest.is_ok(), "{digest:?}");
    let path = |name: &str| scratch.join(name).to_str().expect("text").to_owned();
    let source = format!("docker://{name}");
    for target in [
        format!("oci:{}:named", path("layout")),
        format!("oci-archive:{}:named", path("oci.tar")),
        format!("docker-archive:{}:named:latest", path("docker.tar")),
    ] {
        skopeo(&["copy", "-q", "--src-tls-verify=false", &source, &target]);
        scratch.ok(&["rmi", "-a"]);
        let file = target.split(':').nth(1).expect("a path");
        scratch.ok(&["load", "-q", "-i", file]);
        assert_eq!(id(&scratch, "named"), wanted, "{target}");
    }
    // And what we save, skopeo reads.
    for (format, transport) in
        [("oci-archive", "oci-archive"), ("docker-archive", "docker-archive"), ("oci-dir", "oci")]
    {
        let file = path(&format!("saved-{format}"));
        scratch.ok(&["save", "--format", format, "-o", &file, "named"]);
        let raw = skopeo(&["inspect", "--config", "--raw", &format!("{transport}:{file}")]);
        assert_eq!(Digest::of(raw.as_bytes()).hex(), wanted, "{format}");
    }
}

#[test]
fn tls_and_passwords_are_insisted_on() {
    let scratch = loaded("tls");
    let Some(registry) = Registry::private(&scratch.path) else { return };
    let name = format!("{}/x:1", registry.host);
    let certs = format!("--cert-dir={}", scratch.join("certs").display());
    let said = scratch.fails(&["push", "busybox:test", &name]);
    assert!(
        said.contains("signed by nobody whom this machine trusts") && said.contains("certs.d/127.0.0.1:"),
        "{said}"
    );
    let said = scratch.fails(&["push", &certs, "busybox:test", &name]);
    assert!(said.contains("401 unauthorized") && said.contains("ocictl login"), "{said}");
    let login = |password: &str| {
        let mut child = scratch
            .command()
            .args(["login", &certs, "-u", "user", "--password-stdin", &registry.host])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ocictl starts");
        child.stdin.take().expect("a pipe").write_all(password.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends")
    };
    let output = login("wrong\n");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("does not accept name and password"), "{said}");
    assert!(fs::metadata(scratch.join("auth.json")).is_err(), "nothing is kept");
    assert_eq!(String::from_utf8_lossy(&login("secret\n").stdout), "Login Succeeded!\n");
    assert_eq!(scratch.ok(&["login", "--get-login", &registry.host]), "user\n");
    let wanted = id(&scratch, "busybox:test");
    scratch.ok(&["push", &certs, "-q", "busybox:test", &name]);
    scratch.ok(&["rmi", "-a"]);
    assert_eq!(scratch.ok(&["pull", &certs, "-q", &name]).trim(), wanted);
    scratch.ok(&["logout", &registry.host]);
    let said = scratch.fails(&["pull", &certs, "-q", &name]);
    assert!(said.contains("401 unauthorized"), "{said}");
    assert_eq!(scratch.ok(&["pull", &certs, "-q", "--creds=user:secret", &name]).trim(), wanted);
}

#[test]
fn a_mirror_is_asked_first_and_the_image_keeps_its_name() {
    let scratch = loaded("mirror");
    let Some(registry) = Registry::plain(&scratch.path) else { return };
    scratch.ok(&[
        "push",
        "--tls-verify=false",
        "-q",
        "busybox:test",
        &format!("{}/mirrored/app:1", registry.host),
    ]);
    scratch.ok(&["rmi", "-a"]);
    let text = format!(
        "[[registry]]\nprefix = \"registry.invalid/team\"\nlocation = \"registry.invalid/team\"\n[[registry.mirror]]\nlocation = \"{}/mirrored\"\ninsecure = true\n",
        registry.host
    );
    fs::write(scratch.join("registries.conf"), text).expect("written");
    scratch.ok(&["pull", "-q", "registry.invalid/team/app:1"]);
    assert_eq!(
        scratch.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]),
        "registry.invalid/team/app:1\n"
    );
    let said = scratch.fails(&["pull", "-q", "registry.invalid/team/other:1"]);
    assert!(
        said.contains("mirrored/other:1: the registry answered 404") && said.contains("no such host"),
        "{said}"
    );
}

/// A registry with images of two platforms below `x:1`: this machine's and another.
fn two_platforms() -> (Server, [String; 2]) {
    let other = if support::goarch() == "arm64" { "amd64" } else { "arm64" };
    let layer = tar(&[("file", b"content")]);
    let mut blobs = vec![layer.clone()];
    let mut manifests = Vec::new();
    let ids = [support::goarch(), other].map(|architecture| {
        let mut config = support::config(std::slice::from_ref(&layer));
        config["architecture"] = json!(architecture);
        let config = config.to_string().into_bytes();
        let manifest = registry::manifest_of(&config, &layer);
        manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": Digest::of(&manifest), "size": manifest.len(),
            "platform": {"os": "linux", "architecture": architecture},
        }));
        let id = Digest::of(&config).hex().to_owned();
        blobs.extend([config, manifest]);
        id
    });
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests,
    })
    .to_string()
    .into_bytes();
    let server = Server::start(move |asked, _| {
        let wanted = asked.path.rsplit('/').next().unwrap_or_default();
        if wanted == "1" || wanted == Digest::of(&index).as_str() {
            return Answer::new(200, index.clone())
                .header("content-type", "application/vnd.oci.image.index.v1+json")
                .header("docker-content-digest", Digest::of(&index).to_string());
        }
        match blobs.iter().find(|blob| Digest::of(blob).as_str() == wanted) {
            Some(blob) if asked.path.contains("/manifests/") => Answer::new(200, blob.clone())
                .header("content-type", "application/vnd.oci.image.manifest.v1+json"),
            Some(blob) => Answer::new(200, blob.clone()),
            None => Answer::new(404, ""),
        }
    });
    (server, ids)
}

#[test]
fn an_image_for_another_platform_is_not_taken_for_ours() {
    let scratch = Scratch::new("platforms");
    let (server, [ours, theirs]) = two_platforms();
    let other = if support::goarch() == "arm64" { "linux/amd64" } else { "linux/arm64" };
    let name = format!("{}/x:1", server.host);
    let pull = |options: &[&str], name: &str| {
        scratch.ok(&[&["pull", "--tls-verify=false", "-q"], options, &[name]].concat()).trim().to_owned()
    };
    assert_eq!(pull(&["--platform", other], &name), theirs);
    assert_eq!(pull(&[], &name), ours);
    assert_eq!(pull(&["--platform", other], &name), theirs);
    // By the digest of the index, too.
    let digests = scratch.ok(&["image", "inspect", &theirs, "--format", "{{json .RepoDigests}}"]);
    let digests: Vec<String> = serde_json::from_str(&digests).expect("a list");
    scratch.ok(&["rmi", "-f", &ours]);
    assert!(digests.iter().any(|digest| pull(&[], digest) == ours), "{digests:?}");
    scratch.ok(&["rmi", "-f", &ours]);

    // What is here is for another machine: `missing` fetches, `never` says so, `newer` has nothing to fall back to.
    assert_eq!(pull(&["--policy=missing"], &name), theirs, "nobody asked for a platform");
    let said = scratch.fails(&["pull", "--policy=never", "--platform", "linux/arm/v7", &name]);
    assert!(said.contains(&format!("it is for {other}")), "{said}");
    assert_eq!(
        pull(&["--policy=missing", "--platform", &format!("linux/{}", support::goarch())], &name),
        ours
    );

    // `newer` makes do with what is here, and says why, quiet or not.
    drop(server);
    let output = scratch.output(&["pull", "--tls-verify=false", "-q", "--policy=newer", &name]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), ours, "{said}");
    assert!(said.contains("Warning: pull: ") && said.contains("; the image that is here is used"), "{said}");
    let said = scratch.fails(&["pull", "--tls-verify=false", "--policy=newer", "--platform", other, &name]);
    assert!(said.contains("connection refused"), "{said}");
    let said = scratch.fails(&["create", "--pull=never", "--platform", other, &name, "true"]);
    assert!(said.contains("it is for linux/"), "{said}");
}

#[test]
fn a_blocked_registry_does_not_end_the_search_of_others() {
    let scratch = loaded("blocked");
    let Some(registry) = Registry::plain(&scratch.path) else { return };
    let wanted = id(&scratch, "busybox:test");
    scratch.ok(&["push", "--tls-verify=false", "-q", "busybox:test", &format!("{}/app:1", registry.host)]);
    scratch.ok(&["rmi", "-a"]);
    let text = format!(
        "unqualified-search-registries = [\"blocked.invalid\", \"{0}\"]\n[[registry]]\nprefix = \"blocked.invalid\"\nblocked = true\n",
        registry.host
    );
    fs::write(scratch.join("registries.conf"), text).expect("written");
    assert_eq!(scratch.ok(&["pull", "--tls-verify=false", "-q", "app:1"]).trim(), wanted);
    let said = scratch.fails(&["pull", "--tls-verify=false", "-q", "other:1"]);
    assert!(said.contains("\"blocked.invalid\" is blocked") && said.contains("404"), "{said}");
}

/// A credential helper, `docker-credential-test`, that keeps what it is given in files; the directory of these.
fn helper(scratch: &Scratch) -> std::path::PathBuf {
    let script = r#"#!/bin/sh
        cd "${0%/*}/kept"; input=$(cat); file=$(printf %s "$input" | tr / _)
        case $1 in
        store) server=$(printf %s "$input" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/')
            printf %s "$input" > "$(printf %s "$server" | tr / _)";;
        get) cat "$file" 2> /dev/null || { echo "credentials not found in native keychain"; exit 1; };;
        erase) rm -f "$file";;
        list) echo '{'; first=; for file in *; do printf '%s"%s":"user"' "$first" "$(printf %s "$file" | tr _ /)"; first=,; done; echo '}';;
        esac
    "#;
    let kept = scratch.join("bin/kept");
    fs::create_dir_all(&kept).expect("a directory");
    let program = scratch.join("bin/docker-credential-test");
    fs::write(&program, script).expect("written");
    support::run("chmod", &["755", program.to_str().expect("text")]);
    kept
}

#[test]
fn a_credential_helper_is_told_and_asked_and_forgets() {
    let scratch = Scratch::new("helper");
    let kept = helper(&scratch);
    let server = Server::start(|_, _| Answer::new(200, "{}"));
    let run = |words: &[&str]| {
        let path = format!("{}:{}", scratch.join("bin").display(), std::env::var("PATH").expect("a path"));
        let output = scratch.command().env("PATH", path).args(words).output().expect("ocictl starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned(), said)
    };
    let auth = scratch.join("auth.json");
    // An entry of the file would count more than what the helper gets.
    let old = json!({"credsStore": "test", "auths": {&server.host: {"auth": "b2xkOm9sZA=="}}});
    fs::write(&auth, old.to_string()).expect("written");
    let (worked, _, said) = run(&["login", "--tls-verify=false", "-u", "user", "-p", "secret", &server.host]);
    assert!(worked, "{said}");
    assert_eq!(support::files(&kept), std::slice::from_ref(&server.host));
    assert_eq!(run(&["login", "--get-login", &server.host]).1, "user\n");

    // What docker has left there for its own registry is found and forgotten.
    let credentials =
        |server: &str| json!({"ServerURL": server, "Username": "hub", "Secret": "x"}).to_string();
    let hub = "https://index.docker.io/v1/";
    fs::write(kept.join(hub.replace('/', "_")), credentials(hub)).expect("written");
    assert_eq!(run(&["login", "--get-login", "docker.io"]).1, "hub\n");
    let (worked, _, said) = run(&["logout", "docker.io"]);
    assert!(worked, "{said}");
    assert_eq!(support::files(&kept), std::slice::from_ref(&server.host));
    let (worked, _, said) = run(&["logout", "docker.io"]);
    assert!(!worked && said.contains("not logged in to docker.io"), "{said}");

    // All registries are all: of the helper for all, of one for a single registry, and of the file.
    let all = json!({"credsStore": "test", "credHelpers": {"r.io": "test", "s.io": "gone"}, "auths": {"t.io": {"auth": "dDp0"}}});
    fs::write(&auth, all.to_string()).expect("written");
    fs::write(kept.join("r.io"), credentials("r.io")).expect("written");
    let (worked, printed, said) = run(&["logout", "--all"]);
    assert!(!worked && printed.is_empty() && said.contains("docker-credential-gone: "), "{printed}{said}");
    assert_eq!(support::files(&kept), Vec::<String>::new());
    let left: serde_json::Value = serde_json::from_slice(&fs::read(&auth).expect("there")).expect("JSON");
    assert_eq!(left["auths"], json!({}));
    fs::write(&auth, "{}").expect("written");
    assert_eq!(run(&["logout", "--all"]).1, "Removed login credentials for all registries\n");

    // One that keeps nothing has stored nothing, in whichever words.
    let lost = scratch.join("bin/docker-credential-lost");
    let script = "#!/bin/sh\ncat > /dev/null; echo 'credentials not found in native keychain'; exit 1\n";
    fs::write(&lost, script).expect("written");
    support::run("chmod", &["755", lost.to_str().expect("text")]);
    fs::write(&auth, json!({"credsStore": "lost"}).to_string()).expect("written");
    let (worked, printed, said) =
        run(&["login", "--tls-verify=false", "-u", "user", "-p", "secret", &server.host]);
    assert!(
        !worked && printed.is_empty() && said.contains("docker-credential-lost: store: "),
        "{printed}{said}"
    );
}

#[test]
fn a_list_of_repositories_is_read_to_its_end() {
    let scratch = Scratch::new("catalog");
    let server = Server::start(|asked, _| match asked.path.as_str() {
        path if path.starts_with("/v2/_catalog?n=1000") => {
            Answer::new(200, r#"{"repositories":["a/first","b"]}"#)
                .header("link", "</v2/_catalog?last=b>; rel=\"next\"")
        }
        "/v2/_catalog?last=b" => Answer::new(200, r#"{"repositories":["c/second"]}"#),
        _ => Answer::new(404, ""),
    });
    let search = |term: &str| {
        let words = ["search", "--tls-verify=false", "--format", "{{.Name}}", term];
        let output = scratch.output(&words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let term = format!("{}/sec", server.host);
    assert_eq!(search(&term).1, format!("{}/c/second\n", server.host));
    // One that does not answer does not hide what others have.
    let text = format!("unqualified-search-registries = [\"127.0.0.1:1\", \"{}\"]\n", server.host);
    fs::write(scratch.join("registries.conf"), text).expect("written");
    let (worked, printed, said) = search("sec");
    assert!(!worked && printed == format!("{}/c/second\n", server.host), "{printed}");
    assert!(said.contains("127.0.0.1:1: connection refused"), "{said}");
}

// ---- registries that are not what they should be ---------------------------------------------------------------------

#[test]
fn a_broken_download_is_taken_up_where_it_broke() {
    let scratch = Scratch::new("broken");
    let times = AtomicUsize::new(0);
    let server = hostile(move |asked, _, answer| match is_layer(asked, &answer) {
        false => answer,
        true => match asked.headers.get("range") {
            None => answer.cut(700),
            Some(range) => {
                let from: usize =
                    range.trim_start_matches("bytes=").trim_end_matches('-').parse().expect("a range");
                let whole = answer.body.len();
                let rest = Answer::new(206, &answer.body[from..])
                    .header("content-range", format!("bytes {from}-{}/{whole}", whole - 1));
                if times.fetch_add(1, Ordering::Relaxed) == 0 { rest.cut(300) } else { rest }
            }
        },
    });
    scratch.ok(&["pull", "--tls-verify=false", "-q", &format!("{}/x:1", server.host)]);
    let ranges: Vec<String> =
        server.asked().iter().filter_map(|asked| asked.headers.get("range").cloned()).collect();
    assert_eq!(ranges, ["bytes=700-", "bytes=1000-"]);
}

#[test]
fn h10_what_does_not_have_its_digest_is_refused_and_nothing_stays() {
    type Change = fn(&registry::Asked, &str, Answer) -> Answer;
    let cases: [(&str, Change, &str); 9] = [
        (
            "other layer",
            |asked, _, mut answer| {
                if is_layer(asked, &answer) {
                    answer.body[600] ^= 1;
                }
                answer
            },
            "digest is sha256:",
        ),
        (
            "short layer",
            |asked, _, mut answer| {
                if is_layer(asked, &answer) {
                    answer.body.truncate(1024);
                }
                answer
            },
            "bytes where",
        ),
        (
            "long layer",
            |asked, _, mut answer| {
                if is_layer(asked, &answer) {
                    answer.body.extend([0; 512]);
                }
                answer
            },
            "bytes where",
        ),
        (
            "other config",
            |asked, _, mut answer| {
                if asked.path.contains("/blobs/") && !is_layer(asked, &answer) {
                    answer.body.push(b' ');
                }
                answer
            },
            "digest is sha256:",
        ),
        (
            "lying header",
            |asked, _, answer| match asked.path.contains("/manifests/") {
                true => answer.header("docker-content-digest", format!("sha256:{}", "0".repeat(64))),
                false => answer,
            },
            "not sha256:0000",
        ),
        (
            "wrong type",
            |asked, _, mut answer| {
                if asked.path.contains("/manifests/") {
                    answer.headers =
                        vec![("content-type".into(), "application/vnd.oci.image.index.v1+json".into())];
                }
                answer
            },
            "which is not its shape",
        ),
        (
            "endless manifest",
            |asked, _, answer| match asked.path.contains("/manifests/") {
                true => Answer::new(200, vec![b' '; 5 << 20]),
                false => answer,
            },
            "larger than 4194304 bytes",
        ),
        (
            "redirects for ever",
            |asked, host, answer| match is_layer(asked, &answer) || asked.path.contains("again") {
                true => Answer::new(307, "").header("location", format!("http://{host}/again")),
                false => answer,
            },
            "more than 5 redirects",
        ),
        (
            "redirect to a file",
            |asked, _, answer| match is_layer(asked, &answer) {
                true => Answer::new(307, "").header("location", "file:///etc/passwd"),
                false => answer,
            },
            "file:",
        ),
    ];
    for (name, change, wanted) in cases {
        let scratch = Scratch::new("refused-by-digest");
        let server = hostile(change);
        let said = scratch.fails(&["pull", "--tls-verify=false", "-q", &format!("{}/x:1", server.host)]);
        assert!(said.contains(wanted), "{name}: {said}");
        scratch.ok(&["system", "check", "--repair"]);
        scratch.assert_empty();
    }
}

#[test]
fn i1_i2_credentials_go_to_the_registry_and_nowhere_else() {
    let elsewhere = Server::start(|_, _| Answer::new(200, r#"{"token":"t"}"#));
    // A token service at another host, and blobs at another host.
    for kind in ["realm", "redirect"] {
        let scratch = Scratch::new("nowhere-else");
        let target = elsewhere.host.replace("127.0.0.1", "localhost");
        let server = hostile(move |asked, _, answer| match (kind, asked.headers.get("authorization")) {
            ("realm", None) => Answer::new(401, "")
                .header("www-authenticate", format!("Bearer realm=\"http://{target}/token\",service=\"x\"")),
            ("redirect", None) => Answer::new(401, "").header("www-authenticate", "Basic realm=\"x\""),
            ("redirect", Some(_)) if is_layer(asked, &answer) => {
                Answer::new(307, "").header("location", format!("http://{target}/blob"))
            }
            _ => answer,
        });
        let _either = scratch.output(&[
            "pull",
            "--tls-verify=false",
            "-q",
            "--creds=user:secret",
            &format!("{}/x:1", server.host),
        ]);
    }
    let asked = elsewhere.asked();
    for place in ["/token", "/blob"] {
        let followed = asked.iter().filter(|asked| asked.path.starts_with(place)).count();
        assert!(followed >= 1, "{place} was followed: {asked:?}");
    }
    for asked in asked {
        assert!(!asked.headers.contains_key("authorization"), "{asked:?}");
        assert!(!asked.path.contains("user"), "{asked:?}");
    }
}

#[test]
fn i2_a_registry_gets_no_token_for_more_than_was_asked_of_it() {
    let scratch = Scratch::new("scopes");
    for said in ["repository:other:pull,push", "repository:x:pull repository:y:pull", "repository:x:pull", ""]
    {
        let server = hostile(move |asked, host, answer| {
            if asked.path.starts_with("/token") {
                return Answer::new(200, r#"{"token":"t"}"#);
            }
            match asked.headers.get("authorization") {
                Some(_) => answer,
                None => Answer::new(401, "").header(
                    "www-authenticate",
                    format!("Bearer realm=\"http://{host}/token\",service=\"s\",scope=\"{said}\""),
                ),
            }
        });
        let name = format!("{}/x:1", server.host);
        scratch.ok(&["pull", "--tls-verify=false", "-q", "--creds=user:secret", &name]);
        let asked = server.asked();
        let tokens: Vec<&str> =
            asked.iter().map(|asked| asked.path.as_str()).filter(|path| path.starts_with("/token")).collect();
        assert!(!tokens.is_empty(), "{asked:?}");
        for token in tokens {
            assert_eq!(token, "/token?service=s&scope=repository%3Ax%3Apull&account=user", "{said}");
        }
        scratch.ok(&["rmi", "-a"]);
    }
}

/// Stands before a registry that speaks TLS: the first connection reaches it, later ones break. What is asked without TLS is noted.
fn breaking(registry: &str) -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let (registry, plain) = (registry.to_owned(), std::sync::Arc::<std::sync::Mutex<Vec<String>>>::default());
    let noted = std::sync::Arc::clone(&plain);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let (registry, noted) = (registry.clone(), std::sync::Arc::clone(&noted));
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut first = [0; 1024];
                let length = stream.read(&mut first).unwrap_or(0);
                if first[0] != 0x16 {
                    noted.lock().expect("notes").push(String::from_utf8_lossy(&first[..length]).into_owned());
                    return;
                }
                if number > 0 {
                    return;
                }
                let mut out = TcpStream::connect(registry).expect("the registry");
                out.write_all(&first[..length]).expect("written");
                let (mut from, mut to) =
                    (out.try_clone().expect("a copy"), stream.try_clone().expect("a copy"));
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let _client_may_go = std::io::copy(&mut stream, &mut out);
            });
        }
    });
    (host, plain)
}

#[test]
fn i8_a_broken_connection_does_not_lead_out_of_tls() {
    let scratch = loaded("out-of-tls");
    let Some(registry) = Registry::private(&scratch.path) else { return };
    let options = ["--tls-verify=false", "-q", "--creds=user:secret"];
    scratch.ok(&[&["push"], &options[..], &["busybox:test", &format!("{}/x:1", registry.host)]].concat());
    scratch.ok(&["rmi", "-a"]);
    let (host, plain) = breaking(&registry.host);
    let said = scratch.fails(&[&["pull"], &options[..], &[&format!("{host}/x:1")]].concat());
    assert_eq!(*plain.lock().expect("notes"), Vec::<String>::new(), "nothing is said in plain");
    assert!(said.contains(&format!("{host}: ")) && !said.contains("401"), "{said}");
}
