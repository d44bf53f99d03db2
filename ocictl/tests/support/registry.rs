//! Registries for tests: Debian's `docker-registry` on loopback, plain, with TLS, with a password; and a server that says whatever
//! a test wants, to see what a hostile one could do.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use super::support::{config, run, tar};
use ocictl::digest::Digest;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running `docker-registry`.
pub struct Registry {
    child: Child,
    pub host: String,
}

impl Registry {
    /// Plain HTTP, anybody may do anything; nothing if the program is not on this machine.
    pub fn plain(directory: &Path) -> Option<Self> {
        Self::start(directory, "")
    }

    /// TLS with an authority of its own, whose certificate is `DIRECTORY/certs/ca.crt`, and the account `user` with `secret`.
    pub fn private(directory: &Path) -> Option<Self> {
        let certs = directory.join("certs");
        fs::create_dir_all(&certs).expect("a directory");
        let script = r#"
            cd "$1"
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.pem -out ca.crt -days 2 -subj /CN=test-authority
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.pem -out server.csr -subj /CN=localhost
            printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' > names
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.pem -CAcreateserial -days 2 -extfile names -out server.pub
        "#;
        run("sh", &["-ec", script, "sh", certs.to_str().expect("text")]);
        let password = directory.join("htpasswd");
        fs::write(&password, HTPASSWD).expect("written");
        let more = format!(
            "  tls: {{certificate: {0}/server.pub, key: {0}/server.pem}}\nauth: {{htpasswd: {{realm: test, path: {1}}}}}\n",
            certs.display(),
            password.display()
        );
        Self::start(directory, &more)
    }

    /// TLS with this certificate and key, and more lines of its `http` section and behind it.
    pub fn with_certificate(directory: &Path, certificate: &str, key: &str, more: &str) -> Option<Self> {
        Self::start(directory, &format!("  tls: {{certificate: {certificate}, key: {key}}}\n{more}"))
    }

    fn start(directory: &Path, more: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let host = format!("127.0.0.1:{port}");
        fs::create_dir_all(directory.join("data")).expect("a directory");
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp:\n  addr: {host}\n{more}",
            directory.join("data").display()
        );
        let file = directory.join("registry.yml");
        fs::write(&file, config).expect("written");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("registry.log")).expect("a log"))
            .spawn();
        let Ok(child) = child else {
            println!("skipped: docker-registry is not installed");
            return None;
        };
        let registry = Self { child, host };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&registry.host).is_err() {
            assert!(
                Instant::now() < deadline,
                "docker-registry: {}",
                fs::read_to_string(directory.join("registry.log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// `user:secret`, as `htpasswd -B` writes it.
pub const HTPASSWD: &str = "user:$2y$05$0NgQIMTHopJmI8.dYBeREuWZyBClQnhz./9xzw5pSo3nne7eaYyrW\n";

/// What a client asked.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What it is answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    pub cut: Option<usize>,
    /// Say the body again and again, as long as somebody listens.
    pub endless: bool,
    /// Say nothing more after the cut, and keep the connection.
    pub stall: bool,
    /// Say a byte of the body, and wait so long.
    pub drip: Option<Duration>,
    /// Say nothing, take so many bytes of what is sent, and wait so long.
    pub sip: Option<(usize, Duration)>,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
            endless: false,
            stall: false,
            drip: None,
            sip: None,
        }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    pub fn drip(mut self, pause: Duration) -> Self {
        self.drip = Some(pause);
        self
    }

    pub fn sip(mut self, bytes: usize, pause: Duration) -> Self {
        self.sip = Some((bytes, pause));
        self
    }

    pub fn stall(mut self, after: usize) -> Self {
        (self.cut, self.stall) = (Some(after), true);
        self
    }
}

/// A server that answers as a function says.
pub struct Server {
    pub host: String,
    log: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answer: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", answer)
    }

    /// At this address and port.
    pub fn at(address: &str, answer: impl Fn(&Asked, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let host = listener.local_addr().expect("an address").to_string();
        let server = Self { host: host.clone(), log: Arc::default(), ended: Arc::default() };
        let (log, ended, answer) = (Arc::clone(&server.log), Arc::clone(&server.ended), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let (log, answer, host) = (Arc::clone(&log), Arc::clone(&answer), host.clone());
                std::thread::spawn(move || {
                    let _client_may_go = serve(stream, &log, |asked| answer(asked, &host));
                });
            }
        });
        server
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().expect("a log").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _wake = TcpStream::connect(&self.host);
    }
}

fn reader_of(stream: &TcpStream) -> std::io::Result<TcpStream> {
    stream.try_clone()
}

fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: impl Fn(&Asked) -> Answer,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() {
        // TLS, as a server of plain HTTP sees it.
        return out.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
    }
    let mut words = line.split_whitespace();
    let (method, path) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: u64 = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let asked = Asked { method, path, headers };
    log.lock().expect("a log").push(asked.clone());
    let answer = answer(&asked);
    if let Some((bytes, pause)) = answer.sip {
        let mut sip = vec![0; bytes];
        while out.read(&mut sip)? > 0 {
            std::thread::sleep(pause);
        }
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", answer.status);
    if !answer.endless
        && !answer.headers.iter().any(|(name, _)| name == "content-length" || name == "transfer-encoding")
    {
        head += &format!("content-length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    out.write_all((head + "\r\n").as_bytes())?;
    if let (Some(pause), true) = (answer.drip, asked.method != "HEAD") {
        for byte in &answer.body {
            out.write_all(std::slice::from_ref(byte))?;
            std::thread::sleep(pause);
        }
    } else if asked.method != "HEAD" {
        out.write_all(&answer.body[..answer.cut.unwrap_or(answer.body.len()).min(answer.body.len())])?;
        if answer.endless {
            loop {
                out.write_all(&answer.body)?;
            }
        }
        if answer.stall {
            // Until the client hangs up.
            out.flush()?;
            let _end = reader_of(&out)?.read(&mut [0]);
        }
    }
    out.flush()
}

/// The manifest of an image of one layer.
pub fn manifest_of(config: &[u8], layer: &[u8]) -> Vec<u8> {
    json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(config), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": Digest::of(layer), "size": layer.len()}],
    })
    .to_string()
    .into_bytes()
}

/// A registry with one image of one layer, `x:1`, that `change` makes worse.
pub fn hostile(change: impl Fn(&Asked, &str, Answer) -> Answer + Send + Sync + 'static) -> Server {
    let layer = tar(&[("file", b"content")]);
    let config = config(std::slice::from_ref(&layer)).to_string().into_bytes();
    let manifest = manifest_of(&config, &layer);
    Server::start(move |asked, host| {
        let path = asked.path.as_str();
        let answer = if path.starts_with("/v2/x/manifests/") {
            Answer::new(200, manifest.clone())
                .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        } else if path.ends_with(Digest::of(&config).as_str()) {
            Answer::new(200, config.clone())
        } else if path.ends_with(Digest::of(&layer).as_str()) {
            Answer::new(200, layer.clone())
        } else {
            Answer::new(404, "")
        };
        change(asked, host, answer)
    })
}

/// Whether this answer is the layer of [`hostile`]'s image.
pub fn is_layer(asked: &Asked, answer: &Answer) -> bool {
    asked.path.contains("/blobs/") && answer.body.len() > 1500
}
