//! Table I, row I3, second half: names that stand for one address when they are looked at, and for another when they are used.

use crate::registry::Server;
use crate::stage::{Stage, one_error};
use crate::support;
use crate::transport::{Listener, in_own_network, lead};
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 7);
const INSIDE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What each name stands for, question by question; the last address from then on.
type Zone = Arc<Mutex<BTreeMap<String, Vec<Ipv4Addr>>>>;

/// A name server for this network: answers live for no second.
fn name_server() -> Zone {
    let socket = UdpSocket::bind("127.0.0.1:53").expect("nobody else serves names in this network");
    let zone = Zone::default();
    let served = Arc::clone(&zone);
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
            let answer = answer(&buffer[..length], &served);
            let _asker_may_have_gone = socket.send_to(&answer, asker);
        }
    });
    zone
}

/// RFC 1035, section 4: the question again, and an address if it asks for one.
fn answer(question: &[u8], zone: &Zone) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..=at + length]).to_ascii_lowercase());
        at += length + 1;
    }
    let (kind, end) = (question[at + 2], at + 5);
    let mut zone = zone.lock().expect("a zone");
    let known = zone.get_mut(&labels.join("."));
    let code = if known.is_some() { 0 } else { 3 };
    let address = known.filter(|_| kind == 1).map(|list| match list.len() {
        1 => list[0],
        _ => list.remove(0),
    });
    let mut bytes =
        [&question[..2], &[0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]].concat();
    bytes.extend_from_slice(&question[12..end]);
    if let Some(address) = address {
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        bytes.extend(address.octets());
    }
    bytes
}

#[test]
fn i3_a_name_that_changes_its_address_leads_nobody_into_our_network() {
    if !in_own_network("rebinding::i3_a_name_that_changes_its_address_leads_nobody_into_our_network") {
        return;
    }
    let stage = Stage::new("i3-rebinding");
    // Without the file, the name server is the one on loopback as well.
    if Path::new("/etc/resolv.conf").exists() {
        let file = stage.engine.scratch.join("resolv.conf");
        fs::write(&file, "nameserver 127.0.0.1\n").expect("written");
        support::run("mount", &["--bind", file.to_str().expect("text"), "/etc/resolv.conf"]);
    }
    let zone = name_server();
    let say = |name: &str, list: &[Ipv4Addr]| {
        zone.lock().expect("a zone").insert(name.to_owned(), list.to_vec());
    };
    let listener = Listener::at("127.0.0.1:0");
    let port = listener.host.rsplit(':').next().unwrap_or_default().to_owned();
    let pull = |host: &str, what: &str| {
        let words = ["pull", "-q", "--tls-verify=false", &format!("{host}/x:1")];
        one_error(&stage.engine.output(&words), what)
    };
    // Looked at once, twice, three times before it changes; and changed from the start.
    for kind in ["blob", "token"] {
        for before in 0..4 {
            let to = format!("http://elsewhere.test:{port}/x");
            let server = Server::at(&format!("{PUBLIC}:0"), move |asked, _| lead(asked, kind, &to));
            say("elsewhere.test", &[vec![PUBLIC; before], vec![INSIDE]].concat());
            let said = pull(&server.host, kind);
            let wanted =
                if before == 0 { "127.0.0.1 is an address of this network" } else { "elsewhere.test" };
            assert!(said.contains(wanted), "{kind} {before}: {said}");
        }
    }
    // The registry itself: TLS is tried, then plain HTTP; the manifest comes, and with the next connection the name has changed.
    let server = Server::at(&format!("{PUBLIC}:{port}"), move |asked, _| lead(asked, "blob", "/again"));
    say("registry.test", &[PUBLIC, PUBLIC, INSIDE]);
    let said = pull(&format!("registry.test:{port}"), "the registry itself");
    assert!(said.contains("127.0.0.1 is an address of this network"), "{said}");
    assert!(server.asked().iter().any(|asked| asked.path.contains("/manifests/")), "{:?}", server.asked());
    assert_eq!(listener.calls.load(Ordering::Relaxed), 0, "{} was connected to", listener.host);
    // Who means this network from the start gets there.
    say("home.test", &[INSIDE]);
    pull(&format!("home.test:{port}"), "home");
    assert!(listener.calls.load(Ordering::Relaxed) > 0, "the listener hears");
    // It is the scratch directory's.
    let _not_where_there_is_no_such_file = Command::new("umount").arg("/etc/resolv.conf").status();
    stage.finish();
}
