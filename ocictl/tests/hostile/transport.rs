//! Table I, second half: where a registry leads to, how long it may take, and who it is.

use crate::engine::IMAGE;
use crate::registry::{Answer, Asked, Registry, Server, hostile, is_layer};
use crate::stage::{Stage, archive, one_error};
use crate::support;
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Set for the copy of a test that runs in a network of its own.
const INSIDE: &str = "OCICTL_TEST_NETWORK";

/// Runs this test again in a network namespace, and in a mount namespace; whether we are in them.
pub fn in_own_network(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        let script = "ip link set lo up; ip addr add 8.8.8.7/32 dev lo; ip addr add 169.254.169.254/32 dev lo; ip addr add 10.1.2.3/32 dev lo";
        support::run("sh", &["-ec", script]);
        return true;
    }
    let own = std::env::current_exe().expect("this program");
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "--"])
        .arg(own)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare starts");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    print!("{said}");
    // A name that is none makes "0 passed", and a success.
    assert!(output.status.success() && said.contains("1 passed"), "in a network of its own: {said}");
    false
}

/// Counts who connects.
pub struct Listener {
    pub host: String,
    pub calls: Arc<AtomicUsize>,
}

impl Listener {
    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("an address");
        let host = listener.local_addr().expect("an address").to_string();
        let calls = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&calls);
        std::thread::spawn(move || {
            listener.incoming().for_each(|_| {
                count.fetch_add(1, Ordering::Relaxed);
            })
        });
        Self { host, calls }
    }
}

#[test]
fn i3_a_public_registry_leads_nobody_into_our_network() {
    if !in_own_network("transport::i3_a_public_registry_leads_nobody_into_our_network") {
        return;
    }
    let stage = Stage::new("i3");
    let inside = ["127.0.0.1:0", "169.254.169.254:0", "10.1.2.3:0", "[::1]:0"].map(Listener::at);
    let port = |listener: &Listener| listener.host.rsplit(':').next().unwrap_or_default().to_owned();
    let mut targets: Vec<String> =
        inside.iter().map(|listener| format!("http://{}/x", listener.host)).collect();
    for host in ["localhost", "2130706433", "0x7f.1", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1"] {
        targets.push(format!("http://{host}:{}/x", port(&inside[0])));
    }
    targets.extend(
        ["file:///etc/passwd", "unix:/run/docker.sock", "gopher://127.0.0.1:22/", "http:///x"]
            .map(String::from),
    );
    for target in targets {
        for kind in ["blob", "token", "page", "upload"] {
            let to = target.clone();
            let server = Server::at("8.8.8.7:0", move |asked, _| lead(asked, kind, &to));
            let name = format!("{}/x:1", server.host);
            let words: &[&str] = match kind {
                "page" => &["search", "--tls-verify=false", "--list-tags", name.trim_end_matches(":1")],
                "upload" => &["push", "-q", "--tls-verify=false", IMAGE, &name],
                _ => &["pull", "-q", "--tls-verify=false", &name],
            };
            let said = one_error(&stage.engine.output(words), &format!("{kind} {target}"));
            assert!(!said.contains("root:x:"), "{kind} {target}: {said}");
        }
    }
    for listener in &inside {
        assert_eq!(listener.calls.load(Ordering::Relaxed), 0, "{} was connected to", listener.host);
    }
    // From a registry of this network there may be a way to another one: then the listener hears of it, so it can.
    let to = format!("http://{}/x", inside[2].host);
    let server = Server::start(move |asked, _| lead(asked, "blob", &to));
    one_error(
        &stage.engine.output(&["pull", "-q", "--tls-verify=false", &format!("{}/x:1", server.host)]),
        "within",
    );
    assert!(inside[2].calls.load(Ordering::Relaxed) > 0);
    stage.finish();
}

/// An answer that leads to `target`.
pub fn lead(asked: &Asked, kind: &str, target: &str) -> Answer {
    match (kind, asked.method.as_str()) {
        ("token", _) => Answer::new(401, "")
            .header("www-authenticate", format!("Bearer realm=\"{target}\",service=\"x\"")),
        ("page", _) => Answer::new(200, r#"{"name":"x","tags":["1"]}"#)
            .header("link", format!("<{target}>; rel=\"next\"")),
        ("upload", "POST") => Answer::new(202, "").header("location", target.to_owned()),
        ("upload", _) => Answer::new(404, ""),
        _ if asked.path.contains("/manifests/") => {
            Answer::new(200, manifest()).header("content-type", MANIFEST)
        }
        _ => Answer::new(307, "").header("location", target.to_owned()),
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest() -> String {
    let digest = format!("sha256:{}", "1".repeat(64));
    let entry = |kind: &str| {
        format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":2}}"#)
    };
    format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
        entry("config.v1+json"),
        entry("layer.v1.tar")
    )
}

#[test]
fn i7_what_has_no_end_is_cut_off() {
    let stage = Stage::new("i7");
    let pull = |server: &Server, name: &str, wanted: &str| {
        let words = ["pull", "-q", "--tls-verify=false", &format!("{}/x:1", server.host)];
        let said = one_error(&stage.bounded(&words), name);
        assert!(said.contains(wanted), "{name}: {said}");
    };
    let blanks = || Answer::new(200, vec![b' '; 1 << 16]).header("content-type", MANIFEST).endless();
    pull(
        &hostile(move |asked, _, answer| if asked.path.contains("/manifests/") { blanks() } else { answer }),
        "manifest",
        "larger than 4194304 bytes",
    );
    pull(
        &hostile(move |asked, _, answer| if asked.path.contains("/blobs/") { blanks() } else { answer }),
        "blobs",
        "bytes",
    );
    pull(
        &hostile(move |asked, _, answer| if is_layer(asked, &answer) { blanks() } else { answer }),
        "a layer",
        "more bytes than the",
    );
    pull(&Server::start(move |_, _| Answer { status: 500, ..blanks() }), "an excuse", "answered 500");
    let tokens = Server::start(move |asked, host| match asked.path.starts_with("/token") {
        true => blanks(),
        false => Answer::new(401, "")
            .header("www-authenticate", format!("Bearer realm=\"http://{host}/token\",service=\"x\"")),
    });
    pull(&tokens, "token", "larger than 1048576 bytes");
    // Small pages without an end, and one page that is large.
    let pages = Server::start(|_, host| {
        Answer::new(200, r#"{"name":"x","tags":["t"]}"#)
            .header("link", format!("<http://{host}/v2/x/tags/list?n=1>; rel=\"next\""))
    });
    for (server, wanted) in [
        (&pages, "more than 1000 pages"),
        (&Server::start(move |_, _| blanks()), "larger than 1048576 bytes"),
    ] {
        let words = ["search", "--tls-verify=false", "--list-tags", &format!("{}/x", server.host)];
        let said = one_error(&stage.bounded(&words), wanted);
        assert!(said.contains(wanted), "{said}");
    }
    assert!(pages.asked().len() <= 1001);
    // A compressed answer is not what was asked for, whatever it unpacks to.
    let zipped = hostile(|asked, _, answer| match asked.path.contains("/manifests/") {
        true => Answer { body: packed(), ..answer.header("content-encoding", "gzip") },
        false => answer,
    });
    pull(&zipped, "gzip", "manifest");
    let header = Server::start(|_, _| Answer::new(200, "{}").header("x", "y".repeat(1 << 20)));
    pull(&header, "a large header", "");
    stage.finish();
}

fn packed() -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![b' '; 64 << 20]).and_then(|()| encoder.finish()).expect("to memory")
}

#[test]
fn i7_indexes_end_somewhere() {
    use ocictl::digest::Digest;
    let stage = Stage::new("i7-indexes");
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = |digest: &str, count: usize| {
        let platform = format!(r#"{{"architecture":"{}","os":"linux"}}"#, support::goarch());
        let entry = format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":1,"platform":{platform}}}"#);
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, vec![entry; count].join(","))
    };
    // Ten within each other: each is sound for itself.
    let mut documents = vec![index(&format!("sha256:{}", "0".repeat(64)), 1)];
    for _ in 0..10 {
        let inner = Digest::of(documents.last().expect("one").as_bytes()).to_string();
        documents.push(index(&inner, 1));
    }
    documents.reverse();
    let nested = Server::start(move |asked, _| {
        let name = asked.path.rsplit('/').next().unwrap_or_default();
        let found = documents.iter().find(|text| Digest::of(text.as_bytes()).as_str() == name);
        Answer::new(200, found.unwrap_or(&documents[0]).clone()).header("content-type", kind)
    });
    let many = index(&format!("sha256:{}", "0".repeat(64)), 100_000);
    let large = Server::start(move |_, _| Answer::new(200, many.clone()).header("content-type", kind));
    // Of a circle, one has not the digest that it is asked for by.
    let circle = index(&format!("sha256:{}", "2".repeat(64)), 1);
    let round = Server::start(move |_, _| Answer::new(200, circle.clone()).header("content-type", kind));
    for (server, wanted) in [
        (nested, "indexes within indexes"),
        (large, "larger than 4194304 bytes"),
        (round, "digest is sha256:"),
    ] {
        let words = ["pull", "-q", "--tls-verify=false", &format!("{}/x:1", server.host)];
        let said = one_error(&stage.bounded(&words), wanted);
        assert!(said.contains(wanted), "{said}");
        assert!(server.asked().len() < 20, "{:?}", server.asked().len());
    }
    stage.finish();
}

#[test]
fn i7_who_says_nothing_is_given_up_after_a_minute() {
    let stage = Stage::new("i7-silent");
    let silent = hostile(
        |asked, _, answer| if asked.path.contains("/manifests/") { answer.stall(10) } else { answer },
    );
    let begun = std::time::Instant::now();
    let words = ["pull", "-q", "--tls-verify=false", &format!("{}/x:1", silent.host)];
    let said = one_error(&stage.engine.output(&words), "silence");
    assert!(said.contains("timeout") || said.contains("in time"), "{said}");
    // Much more than that minute would be a retry for ever; the rest is the machine's load.
    assert!(begun.elapsed().as_secs() < 110, "{:?}", begun.elapsed());
    stage.finish();
}

#[test]
fn i7_who_sends_a_byte_at_a_time_is_given_up() {
    let stage = Stage::new("i7-slow");
    let tries = |rate: &str, server: &Server| {
        let mut command = stage.engine.command();
        command.env("OCICTL_MIN_RATE", rate);
        let words = ["pull", "-q", "--tls-verify=false", &format!("{}/x:1", server.host)];
        one_error(&command.args(words).output().expect("it starts"), rate)
    };
    let slow = hostile(|asked, _, answer| match is_layer(asked, &answer) {
        true => answer.drip(Duration::from_millis(100)),
        false => answer,
    });
    let begun = Instant::now();
    let said = tries("100/1", &slow);
    assert!(said.contains("too slow: ") && said.contains("OCICTL_MIN_RATE wants 100 a second"), "{said}");
    // Five seconds of the sender, three of ours; the layer as a whole would take more than three minutes.
    assert!(begun.elapsed().as_secs() < 90, "{:?}", begun.elapsed());
    // A byte and the end, again and again: each time a little further is not for ever.
    let rude = hostile(|asked, _, answer| {
        if !is_layer(asked, &answer) {
            return answer;
        }
        let from = asked.headers.get("range").and_then(|range| range[6..].trim_end_matches('-').parse().ok());
        let (from, whole) = (from.unwrap_or(0), answer.body.len());
        match from {
            0 => answer.cut(1),
            _ => Answer::new(206, &answer.body[from..])
                .header("content-range", format!("bytes {from}-{}/{whole}", whole - 1))
                .cut(1),
        }
    });
    let said = tries("", &rude);
    assert!(said.contains("at byte 5 of "), "{said}");
    let asked = rude.asked().into_iter().filter(|asked| asked.headers.contains_key("range")).count();
    assert_eq!(asked, 4, "the first, and four attempts more");
    let said = tries("fast", &rude);
    assert!(said.contains(r#"OCICTL_MIN_RATE: "fast" is neither"#), "{said}");
    stage.finish();
}

#[test]
fn i7_who_takes_a_byte_at_a_time_is_given_up() {
    let stage = Stage::new("i7-sips");
    // More than what the kernel takes in for a reader who does not read.
    let mut noise = 1u32;
    let content: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    })
    .take(24 << 20)
    .collect();
    let layers = [support::tar(&[("file", &content)])];
    let file = stage.file("large.tar", &archive("large:1", &serde_json::json!({}), &layers));
    let large = stage.engine.ok(&["load", "-q", "-i", &file]);
    for (sip, rate, wanted) in [
        (1, "1000/2", "too slow: it takes nothing of what is sent any more"),
        // Some go each ten seconds, as the kernel makes room.
        (64 << 10, "50000000/20", "OCICTL_MIN_RATE wants 50000000 a second"),
    ] {
        let registry = hostile(move |asked, _, answer| match asked.method.as_str() {
            "POST" => Answer::new(202, "").header("location", "/v2/x/blobs/uploads/1"),
            "PATCH" => Answer::new(202, "").sip(sip, Duration::from_millis(500)),
            _ => answer,
        });
        let begun = Instant::now();
        let mut command = stage.engine.command();
        command.env("OCICTL_MIN_RATE", rate).args(["push", "-q", "--tls-verify=false", &large]);
        command.arg(format!("{}/x:1", registry.host));
        let said = one_error(&command.output().expect("it starts"), rate);
        assert!(said.contains(wanted), "{said}");
        // At that pace the whole would take three minutes, or half a year.
        assert!(begun.elapsed().as_secs() < 120, "{:?}", begun.elapsed());
    }
    stage.engine.ok(&["rmi", &large]);
    stage.finish();
}

/// Certificates: of an authority, of others, of another time; all in one directory.
fn certificates(stage: &Stage) -> String {
    let folder = stage.engine.scratch.join("certificates");
    fs::create_dir(&folder).expect("a directory");
    let script = r#"
        cd "$1"
        key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        openssl req -x509 $key -keyout ca.pem -out ca.crt -days 2 -subj /CN=authority
        openssl req -x509 $key -keyout self.pem -out self.pub -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1
        for name in good other expired; do
            openssl req $key -keyout $name.pem -out $name.csr -subj /CN=127.0.0.1
        done
        echo subjectAltName=IP:127.0.0.1 > here
        echo subjectAltName=DNS:registry.invalid,IP:127.0.0.9 > there
        sign="openssl x509 -req -CA ca.crt -CAkey ca.pem -CAcreateserial"
        $sign -in good.csr -out good.pub -days 2 -extfile here
        $sign -in other.csr -out other.pub -days 2 -extfile there
        : > index.txt; echo 01 > serial
        printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\npolicy=p\ndefault_md=sha256\n[p]\n' > ca.conf
        openssl ca -batch -notext -config ca.conf -cert ca.crt -keyfile ca.pem -in expired.csr -out expired.pub \
            -startdate 200101000000Z -enddate 200201000000Z -extfile here -subj /CN=127.0.0.1
    "#;
    support::run("sh", &["-ec", script, "sh", folder.to_str().expect("text")]);
    folder.to_str().expect("text").to_owned()
}

#[test]
fn i8_who_cannot_prove_who_he_is_gets_nothing() {
    let stage = Stage::new("i8");
    let folder = certificates(&stage);
    // Only `ca.crt` of the directory is an authority: docker-registry's own files must not be taken for one.
    let trust = stage.engine.scratch.join("trust");
    fs::create_dir(&trust)
        .and_then(|()| fs::copy(format!("{folder}/ca.crt"), trust.join("ca.crt")).map(drop))
        .expect("copied");
    let trust = format!("--cert-dir={}", trust.display());
    for (name, wanted) in [
        ("self", "signed by nobody whom this machine trusts"),
        ("other", "certificate is not for the name 127.0.0.1"),
        ("expired", "certificate has expired"),
        ("good", ""),
    ] {
        let (certificate, key) = (format!("{folder}/{name}.pub"), format!("{folder}/{name}.pem"));
        let Some(registry) = Registry::with_certificate(&stage.engine.scratch.path, &certificate, &key, "")
        else {
            return;
        };
        let image = format!("{}/x:1", registry.host);
        for words in [["push", "-q", &trust, IMAGE, &image].as_slice(), &["pull", "-q", &trust, &image]] {
            match wanted {
                "" => drop(stage.engine.ok(words)),
                wanted => drop(stage.refused(words, &[wanted])),
            }
        }
        // Nobody is trusted by himself, and not for having been asked not to be.
        if name == "good" {
            stage.refused(&["pull", "-q", &image], &["signed by nobody whom this machine trusts"]);
            stage.refused(&["pull", "-q", "--tls-verify=true", &image], &["signed by nobody"]);
        } else {
            stage.engine.ok(&["push", "-q", "--tls-verify=false", IMAGE, &image]);
        }
    }
    // Plain HTTP is not taken for TLS unless somebody says so; and a registry with TLS leads nobody out of it.
    let plain = hostile(|_, _, answer| answer);
    stage.refused(&["pull", "-q", &format!("{}/x:1", plain.host)], &["does not speak TLS"]);
    assert!(plain.asked().iter().all(|asked| !asked.path.contains("/v2/")), "{:?}", plain.asked());
    let more = format!(
        "middleware: {{storage: [{{name: redirect, options: {{baseurl: 'http://{}/'}}}}]}}\n",
        plain.host
    );
    let (certificate, key) = (format!("{folder}/good.pub"), format!("{folder}/good.pem"));
    let Some(leading) = Registry::with_certificate(&stage.engine.scratch.path, &certificate, &key, &more)
    else {
        return;
    };
    let image = format!("{}/x:1", leading.host);
    stage.refused(&["pull", "-q", &trust, &image], &["it leaves TLS"]);
    stage.finish();
}
