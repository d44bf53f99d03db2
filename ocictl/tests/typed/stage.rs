//! A machine for one session: processes, mounts and network of its own, in which `ocictl` is in the `PATH`, `/root` and `/tmp` are empty,
//! and the names of the registries lead to servers of the test.

use super::engine::{Engine, PATIENCE, eventually, runtime};
use super::registry::HTPASSWD;
use super::support::{Scratch, run};
use super::{Row, Sees};
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddrV4;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// `$1` is the test's directory. What it prints first is its number on the host.
const INIT: &str = r#"
    read -r pid rest < /proc/self/stat; echo $pid
    mount -t proc proc /proc; mount -t tmpfs tmpfs /root; mount -t tmpfs tmpfs /tmp; mount --bind "$1/hosts" /etc/hosts
    ip link set lo up; ip address add 11.0.0.2/32 dev lo; ip address add 11.0.0.3/32 dev lo
    echo ready; while read -r line; do :; done
"#;

/// Docker's registry with its search, which are public and have such addresses, one of a house with an account, and one of a colleague.
const HOSTS: &str = "127.0.0.1 localhost\n11.0.0.2 docker.io registry-1.docker.io\n11.0.0.3 index.docker.io\n\
    127.0.0.4 your.registry\n127.0.0.5 myreg\n";
const REGISTRIES: [(&str, &str, bool); 3] =
    [("docker", "11.0.0.2:443", false), ("your", "127.0.0.4:443", true), ("my", "127.0.0.5:5000", false)];
/// What docker's registry answers to `/v1/search?q=busybox&n=25`.
const FOUND: &str = r#"{"results":[{"name":"busybox","description":"Busybox base image.","star_count":3400,"is_official":true}]}"#;

/// An authority that the machine trusts and one that it does not, with a certificate each: `$1` is their directory.
const CERTIFICATES: &str = r#"
    cd "$1"
    for name in known unknown; do
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name-ca.pem -out $name-ca.crt -days 2 -subj /CN=$name
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.pem -out $name.csr -subj /CN=$name
        printf 'subjectAltName=DNS:docker.io,DNS:registry-1.docker.io,DNS:index.docker.io,DNS:your.registry,DNS:myreg' > names
        openssl x509 -req -in $name.csr -CA $name-ca.crt -CAkey $name-ca.pem -CAcreateserial -days 2 -extfile names -out $name.crt
    done
"#;

/// A session from its first row to its last; nothing is left of it.
pub fn play(name: &str, images: &[&str], registries: bool, session: &[Row]) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: a machine of its own needs root");
        return;
    }
    if registries && Command::new("docker-registry").arg("--version").output().is_err() {
        println!("skipped: docker-registry is not installed");
        return;
    }
    // Not below `/tmp`, which the machine has of its own.
    let engine = Engine { scratch: Scratch::below(Path::new("/var/tmp"), &format!("typed-{name}")) };
    furnish(&engine);
    for image in images {
        engine.load(image, &json!({ "Cmd": program(image), "Env": ["PATH=/bin"] }));
    }
    let mut machine = Machine::boot(&engine);
    if registries {
        machine.serve();
    }
    for row in session {
        machine.play(row);
    }
    machine.shut_down();
    assert!(engine.leftovers().is_empty(), "{:?}", engine.leftovers());
}

/// What people look for in the images that the lines name: a bash, a file of httpd's.
fn furnish(engine: &Engine) {
    let tree = engine.tree();
    let bash = tree.join("bin/bash");
    fs::write(&bash, "#!/bin/sh\nexec /bin/sh \"$@\"\n").expect("written");
    fs::set_permissions(bash, fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::write(tree.join("etc/httpd.conf"), "Listen 80\n").expect("written");
}

/// What an image runs by itself.
fn program(image: &str) -> &'static [&'static str] {
    match image {
        "httpd" | "nginx" => &["sleep", "1000"],
        "my-app" => &["sh", "-c", "env | grep POSTGRES | sort"],
        "image" => &["readlink", "/proc/self/ns/net"],
        _ => &["sh"],
    }
}

struct Machine<'a> {
    engine: &'a Engine,
    init: Child,
    pid: String,
    servers: Vec<Child>,
    /// The front of an image's ID, for the one in `lines.txt`.
    image: String,
}

impl<'a> Machine<'a> {
    fn boot(engine: &'a Engine) -> Self {
        let scratch = &engine.scratch;
        fs::write(scratch.join("hosts"), HOSTS).expect("written");
        for folder in ["path", "here"] {
            fs::create_dir(scratch.join(folder)).expect("a directory");
        }
        symlink(engine.command().get_program(), scratch.join("path/ocictl")).expect("a link");
        let mut init = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec", INIT, "sh"])
            .arg(&scratch.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut said = BufReader::new(init.stdout.take().expect("a pipe")).lines();
        let mut next = || said.next().expect("it boots").expect("text");
        let pid = next();
        assert_eq!(next(), "ready");
        let images = engine.ok(&["images", "--no-trunc", "-q"]);
        let image = images.lines().next().expect("an image").trim_start_matches("sha256:")[..11].to_owned();
        Self { engine, init, pid, servers: Vec::new(), image }
    }

    /// A command on the machine.
    fn command(&self, program: &str) -> Command {
        let scratch = &self.engine.scratch;
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid, "-m", "-n", "-p", program]);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", scratch.join("path").display()))
            .env("HOME", "/root")
            .env("OCICTL_ROOT", scratch.join("root"))
            .env("OCICTL_RUNROOT", scratch.join("run"))
            .env("OCICTL_RUNTIME", runtime())
            .env("CONTAINERS_REGISTRIES_CONF", "/dev/null")
            .env("REGISTRY_AUTH_FILE", scratch.join("auth.json"))
            .env("SSL_CERT_FILE", scratch.join("certs/known-ca.crt"))
            .env_remove("XDG_RUNTIME_DIR")
            .stdin(Stdio::null());
        command
    }

    /// What the shell is given for a line: in a directory of its own.
    fn shell(&self, line: &str) -> [String; 2] {
        let here = self.engine.scratch.join("here");
        ["-c".to_owned(), format!("cd {}; {}", here.display(), line.replace("2f131c88217", &self.image))]
    }

    fn types(&self, line: &str) -> Output {
        self.command("sh").args(self.shell(line)).output().expect("nsenter starts")
    }

    fn serve(&mut self) {
        let scratch = &self.engine.scratch;
        let certs = scratch.join("certs");
        fs::create_dir(&certs).expect("a directory");
        run("sh", &["-ec", CERTIFICATES, "sh", certs.to_str().expect("text")]);
        fs::write(scratch.join("htpasswd"), HTPASSWD).expect("written");
        for (name, address, private) in REGISTRIES {
            let folder = scratch.join(name);
            fs::create_dir(&folder).expect("a directory");
            let certificate = certs.join(if private { "unknown" } else { "known" });
            let account = match private {
                true => format!(
                    "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                    scratch.join("htpasswd").display()
                ),
                false => String::new(),
            };
            let config = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {0}}}}}\n\
                 http:\n  addr: {address}\n  tls: {{certificate: {1}.crt, key: {1}.pem}}\n{account}",
                folder.display(),
                certificate.display(),
            );
            let file = scratch.join(&format!("{name}.yml"));
            fs::write(&file, config).expect("written");
            let mut server = self.command("docker-registry");
            // It takes what is called so for its own configuration.
            server.arg("serve").arg(file).env_remove("REGISTRY_AUTH_FILE");
            self.start(server, address);
        }
        let pages = scratch.join("pages/v1");
        fs::create_dir_all(&pages).expect("a directory");
        let answer = format!(
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{FOUND}",
            FOUND.len()
        );
        fs::write(pages.join("search?q=busybox&n=25"), answer).expect("written");
        let mut server = self.command("sh");
        let line = format!(
            "cd {0}/pages; exec openssl s_server -quiet -HTTP -accept 11.0.0.3:443 -cert {0}/certs/known.crt -key {0}/certs/known.pem",
            scratch.path.display()
        );
        server.args(["-c", &line]);
        self.start(server, "11.0.0.3:443");
    }

    /// Starts a server and waits until it listens.
    fn start(&mut self, mut server: Command, address: &str) {
        let path = self.engine.scratch.join("servers.log");
        let log = fs::File::create(&path).expect("a log");
        server.stdout(Stdio::null()).stderr(log);
        let mut child = server.spawn().expect("nsenter starts");
        eventually(&format!("{address} is served"), || {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none(), "{address}: {}", fs::read_to_string(&path).unwrap_or_default());
            let table = self.command("cat").arg("/proc/net/tcp").output().expect("cat").stdout;
            listens(&String::from_utf8_lossy(&table), address)
        });
        self.servers.push(child);
    }

    fn play(&self, row: &Row) {
        let line = row.line;
        if let Sees::Terminal(dialogue, code) = row.sees {
            return self.at_terminal(line, dialogue, code);
        }
        if let Sees::Becomes(wanted) = row.sees {
            return eventually(&format!("{line}: {wanted}"), || text(&self.types(line).stdout) == wanted);
        }
        let output = self.types(line);
        let (stdout, stderr, code) = (text(&output.stdout), text(&output.stderr), output.status.code());
        if let Sees::Refuses(wanted, why) = row.sees {
            assert!(code == Some(wanted) && stderr.contains(why), "{line}: {code:?}: {stdout}{stderr}");
            return;
        }
        assert!(code == Some(0) && !stderr.contains("Error"), "{line}: {code:?}: {stdout}{stderr}");
        match row.sees {
            Sees::Prints(wanted) => assert_eq!(stdout, wanted, "{line}"),
            Sees::AsHost(command) => assert_eq!(stdout, text(&self.types(command).stdout), "{line}"),
            Sees::Shows(parts) => {
                for part in parts {
                    assert!(stdout.contains(part), "{line}: {part:?} is not in {stdout}");
                }
            }
            Sees::Id => {
                let id = stdout.strip_prefix("sha256:").unwrap_or(&stdout);
                assert!(
                    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
                    "{line}: {stdout}"
                );
            }
            Sees::Done | Sees::Becomes(_) | Sees::Refuses(..) | Sees::Terminal(..) => {}
        }
    }

    /// script(1) of util-linux is the terminal.
    fn at_terminal(&self, line: &str, dialogue: &[(&str, &str)], wanted: i32) {
        let mut script = self.command("script");
        script.args(["-q", "-e", "-c", r#"sh -c "$LINE""#, "/dev/null"]).env("LINE", &self.shell(line)[1]);
        let mut child =
            script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("nsenter starts script");
        let mut stdout = child.stdout.take().expect("a pipe");
        let mut stdin = child.stdin.take().expect("a pipe");
        let seen = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&seen);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                sink.lock().expect("a lock").push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        let seen = || seen.lock().expect("a lock").clone();
        for (read, keys) in dialogue {
            let until = std::time::Instant::now() + PATIENCE;
            while !seen().contains(read) {
                assert!(std::time::Instant::now() < until, "{line}: {read:?} is not in {:?}", seen());
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            stdin.write_all(keys.as_bytes()).expect("typed");
        }
        let code = child.wait().expect("it ends").code();
        drop(stdin);
        reader.join().expect("all is read");
        assert_eq!(code, Some(wanted), "{line}: {:?}", seen());
    }

    /// Everything ends with the first process.
    fn shut_down(self) {
        let left =
            self.types("ocictl rm -a -f -v > /dev/null; ocictl volume prune -a -f; ocictl system check");
        assert!(left.status.success(), "{}{}", text(&left.stdout), text(&left.stderr));
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _as_far_as_it_goes = self.types("ocictl rm -a -f -v");
        }
        drop(self.init.stdin.take());
        let _it_ends = self.init.wait();
        for server in &mut self.servers {
            let _ended_with_it = server.wait();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

/// Whether somebody listens there, by `/proc/net/tcp`: the address in hex, the last byte first.
fn listens(table: &str, address: &str) -> bool {
    let address: SocketAddrV4 = address.parse().expect("an address");
    let bytes = u32::from_le_bytes(address.ip().octets());
    table.contains(&format!("{bytes:08X}:{:04X} 00000000:0000 0A", address.port()))
}
