//! Which addresses a registry may lead to. A name is looked up once for a connection, and what was found is judged before it is used, so
//! that no second answer can differ from the one that was looked at (DNS rebinding).
//!
//! Whoever types the name of a registry means the addresses that it has then. If these are of this network, it may lead to others of it.
//! If one is public, no other host, and no later answer for the registry's own name, may stand for an address of this network: what
//! is there trusts this machine.

use super::http::Origin;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Looks names up for one registry.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The registry's hosts, in lower case: those that we name, and nobody leads us to.
    hosts: Vec<String>,
    home: Mutex<Home>,
    names: DefaultResolver,
}

/// What the registry's own names stand for.
#[derive(Debug, Default)]
struct Home {
    /// The addresses of the first answer for each.
    first: BTreeMap<String, Vec<IpAddr>>,
    /// Whether one ever stood for an address that is not of this network.
    is_public: bool,
}

impl Guard {
    /// A guard for a registry, which we may ask at other hosts, too.
    pub fn new(registry: &Origin, others: &[&str]) -> Self {
        let others = others.iter().map(|host| (*host).to_owned());
        Self(Arc::new(Shared {
            hosts: others.chain([registry.host.clone()]).collect(),
            home: Mutex::default(),
            names: DefaultResolver::default(),
        }))
    }

    /// For hosts that a proxy looks up for us: judges what they stand for here, as far as that is known.
    ///
    /// # Errors
    /// Names the address that the registry has no business with.
    pub fn check(&self, registry: &Origin, to: &Origin) -> Result<()> {
        let look = |origin: &Origin| self.admit(&origin.host, addresses(origin));
        look(registry).and_then(|_| look(to)).map(drop).map_err(|refused| Error::new(refused.to_string()))
    }

    /// Those of `found`, which a host stands for, that may be connected to.
    fn admit(&self, host: &str, found: Vec<SocketAddr>) -> std::result::Result<Vec<SocketAddr>, Refused> {
        let mut home = self.0.home.lock().unwrap_or_else(PoisonError::into_inner);
        let is_home = self.0.hosts.iter().any(|own| own == host);
        if is_home && !found.is_empty() {
            home.is_public |= found.iter().any(|address| !is_ours(&address.ip()));
            let all = || found.iter().map(SocketAddr::ip).collect();
            home.first.entry(host.to_owned()).or_insert_with(all);
        }
        let of_first = |ip| home.first.get(host).is_some_and(|first| first.contains(&ip));
        let is_known_as_ours = !home.is_public && !home.first.is_empty();
        let may = |address: &SocketAddr| {
            !is_ours(&address.ip()) || is_known_as_ours || (is_home && of_first(address.ip()))
        };
        let admitted: Vec<SocketAddr> = found.iter().copied().filter(may).collect();
        match found.first() {
            Some(stranger) if admitted.is_empty() => Err(Refused(stranger.ip())),
            _ => Ok(admitted),
        }
    }
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.0.names.resolve(uri, config, timeout)?;
        // The caller's own proxy is wherever he says that it is.
        if config.proxy().is_some_and(|proxy| proxy.uri() == uri) {
            return Ok(found);
        }
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let admitted = self
            .admit(&host, found.iter().copied().collect())
            .map_err(|refused| ureq::Error::Other(Box::new(refused)))?;
        let mut addresses = self.empty();
        admitted.into_iter().for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

/// An address that a registry has led to and may not.
#[derive(Debug)]
struct Refused(IpAddr);

/// By these words it is known that another attempt is of no use.
pub const REFUSAL: &str = "is an address of this network";

impl std::fmt::Display for Refused {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {REFUSAL}, which a public registry has no business with", self.0)
    }
}

impl std::error::Error for Refused {}

fn addresses(origin: &Origin) -> Vec<SocketAddr> {
    let host = origin.host.trim_start_matches('[').trim_end_matches(']');
    (host, origin.port).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

/// Loopback, link-local, private and shared addresses, also where they are wrapped in IPv6.
fn is_ours(address: &IpAddr) -> bool {
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_ours(&IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
    };
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_broadcast()
                || first == 0
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => match address.segments() {
            // IPv4 within IPv6, as it is written and as NAT64 writes it.
            [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
            [front, ..] => {
                address.is_loopback()
                    || address.is_unspecified()
                    || front & 0xfe00 == 0xfc00
                    || front & 0xffc0 == 0xfe80
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_addresses_are_known() {
        for (address, wanted) in [
            ("127.0.0.1", true),
            ("169.254.169.254", true),
            ("10.1.2.3", true),
            ("0.1.2.3", true),
            ("100.100.100.200", true),
            ("100.128.0.1", false),
            ("::1", true),
            ("::", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:8.8.8.8", false),
            ("64:ff9b::a9fe:a9fe", true),
            ("64:ff9b::808:808", false),
            ("8.8.8.8", false),
            ("2606:4700::1", false),
        ] {
            assert_eq!(is_ours(&address.parse().expect(address)), wanted, "{address}");
        }
    }

    #[test]
    fn nobody_gets_from_a_public_address_into_this_network() {
        // What is looked up in turn: a host, its addresses, and which of them may be connected to.
        type Turn = (&'static str, &'static str, Option<&'static str>);
        let rows: [&[Turn]; 8] = [
            &[("r", "8.8.8.8", Some("8.8.8.8")), ("b", "127.0.0.1", None), ("c", "9.9.9.9", Some("9.9.9.9"))],
            // The registry's own name, answered anew.
            &[
                ("r", "8.8.8.8", Some("8.8.8.8")),
                ("r", "127.0.0.1", None),
                ("r", "8.8.4.4 10.0.0.1", Some("8.8.4.4")),
            ],
            &[("r", "10.0.0.1", Some("10.0.0.1")), ("b", "10.0.0.2", Some("10.0.0.2"))],
            // Once it was public, it stays so, however it began.
            &[
                ("r", "10.0.0.1", Some("10.0.0.1")),
                ("r", "8.8.8.8", Some("8.8.8.8")),
                ("b", "10.0.0.2", None),
            ],
            &[
                ("r", "10.0.0.1 2606:4700::1", Some("10.0.0.1 2606:4700::1")),
                ("r", "10.0.0.1", Some("10.0.0.1")),
                ("b", "10.0.0.2", None),
                ("r", "10.0.0.2", None),
            ],
            // Another host that we name ourselves: its first answer is what it is.
            &[
                ("s", "10.0.0.1", Some("10.0.0.1")),
                ("r", "8.8.8.8", Some("8.8.8.8")),
                ("b", "10.0.0.2", None),
            ],
            &[
                ("r", "8.8.8.8", Some("8.8.8.8")),
                ("s", "10.0.0.1", Some("10.0.0.1")),
                ("s", "10.0.0.2", None),
            ],
            // Nobody has asked for the registry itself.
            &[("b", "10.0.0.2", None), ("b", "9.9.9.9 10.0.0.2", Some("9.9.9.9"))],
        ];
        for (number, row) in rows.iter().enumerate() {
            let guard = Guard::new(&Origin::of("https://r/").expect("a URL"), &["s"]);
            for (host, found, wanted) in *row {
                let list = |text: &str| -> Vec<SocketAddr> {
                    text.split(' ').map(|word| SocketAddr::new(word.parse().expect(word), 443)).collect()
                };
                let admitted = guard.admit(host, list(found)).ok();
                assert_eq!(admitted, wanted.map(list), "row {number}: {host} {found}");
            }
        }
    }
}
