//! A registry as one repository sees it: who we are, manifests, tags, and whether blobs are there.

use super::challenge::{Challenge, parse};
use super::config::Endpoint;
use super::credentials::{self, Credentials, base64_encode};
use super::http::{Answer, Ask, Origin, Sent, agent, ask};
use super::tls;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::{MAX_MANIFEST_BYTES, media};
use crate::reference::Reference;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Mutex;
use ureq::Agent;

/// What the command line says about reaching registries.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--tls-verify`, if it was given: it counts more than registries.conf.
    pub tls_verify: Option<bool>,
    /// `--authfile`.
    pub authfile: Option<PathBuf>,
    /// `--creds`: instead of what files say.
    pub credentials: Option<Credentials>,
    /// `--cert-dir`.
    pub cert_dir: Option<PathBuf>,
}

/// A manifest or an index as it came.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the registry calls it.
    pub content_type: Option<String>,
    /// Of the bytes.
    pub digest: Digest,
}

/// What is done with a repository, in the words of the token specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

/// A connection to a repository.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    /// The scheme may become `http` once, where that is allowed.
    origin: Mutex<Origin>,
    /// The name that is asked for.
    pub reference: Reference,
    access: Access,
    may_be_plain: bool,
    credentials: Option<Credentials>,
    authorization: Mutex<Option<String>>,
}

const MAX_TOKEN_BYTES: u64 = 1 << 20;
const MAX_REDIRECTS: usize = 5;
const MAX_PAGE_BYTES: u64 = 1 << 20;
const MAX_PAGES: usize = 1000;
/// Docker's registry answers under another name than images have.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

impl Client {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// Fails if certificates or credentials cannot be read.
    pub fn new(endpoint: &Endpoint, access: Access, options: &Options) -> Result<Self> {
        let reference = endpoint.reference.clone();
        let insecure = options.tls_verify.map_or(endpoint.insecure, |verify| !verify);
        let host = if reference.registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { &reference.registry };
        let tls = tls::config(&reference.registry, options.cert_dir.as_deref(), !insecure)?;
        let credentials = match &options.credentials {
            Some(given) => Some(given.clone()),
            None => {
                credentials::find(options.authfile.as_deref(), &reference.registry, &reference.repository)?
            }
        };
        Ok(Self {
            agent: agent(tls),
            origin: Mutex::new(Origin::of(&format!("https://{host}/"))?),
            reference,
            access,
            may_be_plain: insecure,
            credentials,
            authorization: Mutex::new(None),
        })
    }

    /// The digest of what a tag stands for now, without fetching it.
    ///
    /// # Errors
    /// As [`Client::manifest`]; nothing if the registry does not say it.
    pub fn manifest_digest(&self, version: &str) -> Result<Option<Digest>> {
        let answer = self.request(
            "HEAD",
            &self.path(&format!("manifests/{version}")),
            &[("accept", &accepted())],
            None,
        )?;
        match answer.status {
            200 => Ok(answer.header("docker-content-digest").and_then(|digest| Digest::parse(digest).ok())),
            _ => Err(self.refused(answer)),
        }
    }

    /// A manifest or an index, by tag or digest. The digest is compared with the bytes.
    ///
    /// # Errors
    /// Says what the registry answered, or what is wrong with the bytes.
    pub fn manifest(&self, version: &str) -> Result<Fetched> {
        let answer = self.request(
            "GET",
            &self.path(&format!("manifests/{version}")),
            &[("accept", &accepted())],
            None,
        )?;
        if answer.status != 200 {
            return Err(self.refused(answer));
        }
        let content_type = answer
            .header("content-type")
            .map(|text| text.split(';').next().unwrap_or_default().trim().to_owned());
        let said = answer
            .header("docker-content-digest")
            .map(Digest::parse)
            .transpose()
            .context(|| "Docker-Content-Digest")?;
        let bytes = answer.bytes(MAX_MANIFEST_BYTES).context(|| "manifest")?;
        for wanted in [Digest::parse(version).ok(), said].into_iter().flatten() {
            wanted.verify(&bytes).context(|| "manifest")?;
        }
        let digest = Digest::parse(version).unwrap_or_else(|_| Digest::of(&bytes));
        Ok(Fetched { bytes, content_type, digest })
    }

    /// A small blob, compared with its digest.
    ///
    /// # Errors
    /// Says what the registry answered, or what is wrong with the bytes.
    pub fn small_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let place = || format!("blob {digest}");
        let answer = self.follow(&self.path(&format!("blobs/{digest}")), &[], true).context(place)?;
        if answer.status != 200 {
            return Err(self.refused(answer).context(place()));
        }
        let bytes = answer.bytes(limit).context(place)?;
        digest.verify(&bytes).context(place)?;
        Ok(bytes)
    }

    /// All tags of the repository.
    ///
    /// # Errors
    /// Says what the registry answered, or that the list has no end.
    pub fn tags(&self) -> Result<Vec<String>> {
        let mut tags = Vec::new();
        let mut path = self.path("tags/list");
        for _ in 0..MAX_PAGES {
            let answer = self.request("GET", &path, &[("accept", "application/json")], None)?;
            if answer.status != 200 {
                return Err(self.refused(answer));
            }
            let next = answer.header("link").and_then(next_page);
            let page = page(answer, "list of tags")?;
            let names = page["tags"].as_array().into_iter().flatten().filter_map(|tag| tag.as_str());
            tags.extend(names.map(str::to_owned));
            let Some(next) = next else { return Ok(tags) };
            let url = self.origin().join(&next);
            if Origin::of(&url)? != self.origin() {
                return Err(Error::new("the list of tags goes on at another host"));
            }
            path = url;
        }
        Err(Error::new(format!("the list of tags has more than {MAX_PAGES} pages")))
    }

    /// Whether a blob is there, and how large it is.
    ///
    /// # Errors
    /// Says what the registry answered, if neither yes nor no.
    pub fn has_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let answer = self.request("HEAD", &self.path(&format!("blobs/{digest}")), &[], None)?;
        match answer.status {
            200 => Ok(answer.header("content-length").and_then(|length| length.parse().ok())),
            300..400 => Ok(Some(0)),
            404 => Ok(None),
            _ => Err(self.refused(answer)),
        }
    }

    /// Finds out whether the registry answers and takes us for who we are; for `login`.
    ///
    /// # Errors
    /// Says what it answered.
    pub fn ping(&self) -> Result<()> {
        let answer = self.request("GET", "/v2/", &[], None)?;
        match answer.status {
            200 => Ok(()),
            401 => Err(Error::new("the registry does not accept name and password")),
            _ => Err(answer.refusal()),
        }
    }

    /// Images whose names hold a word: by the search of Docker's registry where there is one, else out of the catalog.
    ///
    /// # Errors
    /// Says what the registry answered.
    pub fn search(&self, term: &str, limit: usize) -> Result<Vec<Found>> {
        let query = encode(&[("q", term.to_owned()), ("n", limit.to_string())]);
        let path = match self.reference.registry == DOCKER_HUB.0 {
            true => format!("https://index.docker.io/v1/search?{query}"),
            false => format!("/v1/search?{query}"),
        };
        let answer = self.request("GET", &path, &[("accept", "application/json")], None)?;
        if answer.status == 200 {
            let page = page(answer, "search")?;
            let results = page["results"].as_array().into_iter().flatten();
            return Ok(results.filter_map(Found::of).take(limit).collect());
        }
        let answer = self.request("GET", "/v2/_catalog?n=1000", &[("accept", "application/json")], None)?;
        if answer.status != 200 {
            return Err(self.refused(answer));
        }
        let page = page(answer, "catalog")?;
        let names = page["repositories"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
        let found = names
            .filter(|name| name.contains(term))
            .map(|name| Found { name: name.into(), ..Found::default() });
        Ok(found.take(limit).collect())
    }

    /// `/v2/NAME/…`
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.reference.repository)
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin.lock().map_or_else(|poisoned| poisoned.into_inner().clone(), |origin| origin.clone())
    }

    /// What a refusal means for this repository.
    pub(super) fn refused(&self, answer: Answer) -> Error {
        let status = answer.status;
        let error = answer.refusal();
        match (status, &self.credentials) {
            (401, None) | (403, None) => error.hint(format!(
                "`ocictl login {}` if it needs an account; or there is no such image",
                self.reference.registry
            )),
            (401 | 403, Some(_)) => error
                .hint("the account that ocictl is logged in with may not do this; or there is no such image"),
            _ => error,
        }
    }

    /// A request to the registry itself, authorized as it asks.
    pub(super) fn request(
        &self,
        method: &str,
        location: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer> {
        let answer = self.once(method, location, headers, body)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let Some(challenge) = answer
            .headers
            .get_all("www-authenticate")
            .iter()
            .filter_map(|value| parse(value.to_str().ok()?))
            .max_by_key(|challenge| matches!(challenge, Challenge::Bearer { .. }))
        else {
            return Ok(answer);
        };
        let Some(authorization) = self.authorize(&challenge).context(|| "log in")? else { return Ok(answer) };
        if let Ok(mut slot) = self.authorization.lock() {
            *slot = Some(authorization);
        }
        self.once(method, location, headers, body)
    }

    fn once(
        &self,
        method: &str,
        location: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer> {
        let send = || {
            let url = self.origin().join(location);
            self.send(Ask {
                method,
                url: &url,
                headers,
                body: body.map_or(Sent::Nothing, Sent::Bytes),
                small: true,
            })
        };
        match send() {
            // Plain HTTP is tried where it is allowed, and only where TLS got no answer.
            Err(error)
                if self.may_be_plain && self.origin().scheme == "https" && !location.starts_with("http") =>
            {
                let plain = Origin { scheme: "http".into(), ..self.origin() };
                let port = if plain.port == 443 { 80 } else { plain.port };
                if let Ok(mut origin) = self.origin.lock() {
                    *origin = Origin { port, ..plain };
                }
                send().map_err(|plain| plain.hint(format!("over TLS: {error}")))
            }
            result => result,
        }
    }

    /// Sends with our authorization if it is for this origin.
    pub(super) fn send(&self, request: Ask) -> Result<Answer> {
        let same = Origin::of(request.url)? == self.origin();
        let authorization = self.authorization.lock().ok().and_then(|slot| slot.clone()).filter(|_| same);
        let mut headers = request.headers.to_vec();
        if let Some(authorization) = &authorization {
            headers.push(("authorization", authorization));
        }
        ask(
            &self.agent,
            Ask {
                method: request.method,
                url: request.url,
                headers: &headers,
                body: request.body,
                small: request.small,
            },
        )
    }

    /// Gets something, wherever the registry says that it is. Credentials stay with the registry.
    pub(super) fn follow(&self, location: &str, headers: &[(&str, &str)], small: bool) -> Result<Answer> {
        let mut answer = self.request("GET", location, headers, None)?;
        let mut from = self.origin();
        for _ in 0..MAX_REDIRECTS {
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let target = answer.header("location").ok_or_else(|| Error::new("a redirect to nowhere"))?;
            let url = from.join(target);
            let origin = Origin::of(&url)?;
            self.check_redirect(&from, &origin)?;
            answer = self.send(Ask { method: "GET", url: &url, headers, body: Sent::Nothing, small })?;
            from = origin;
        }
        Err(Error::new(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// A registry may send us to another host, but neither out of TLS nor into our own network.
    fn check_redirect(&self, from: &Origin, to: &Origin) -> Result<()> {
        let place = || format!("redirect to {}", to.host);
        if from.scheme == "https" && to.scheme != "https" {
            return Err(Error::new("it leaves TLS").context(place()));
        }
        if from.host == to.host && from.port == to.port {
            return Ok(());
        }
        if let Some(address) = addresses(to).into_iter().find(is_ours)
            && !addresses(&self.origin()).iter().any(is_ours)
        {
            return Err(Error::new(format!(
                "{address} is an address of this network, which a public registry has no business with"
            ))
            .context(place()));
        }
        Ok(())
    }

    /// The header field that answers a challenge; nothing if we have nothing to show.
    fn authorize(&self, challenge: &Challenge) -> Result<Option<String>> {
        let basic = |user: &str, password: &str| {
            format!("Basic {}", base64_encode(format!("{user}:{password}").as_bytes()))
        };
        let Challenge::Bearer { realm, service, scope } = challenge else {
            return Ok(match &self.credentials {
                Some(Credentials::Password { user, password }) => Some(basic(user, password)),
                _ => None,
            });
        };
        let (registry, service_origin) = (self.origin(), Origin::of(realm)?);
        if service_origin.scheme != "https" && registry.scheme == "https" {
            return Err(Error::new(format!("the registry sends us for a token to {realm}, out of TLS")));
        }
        self.check_redirect(&registry, &service_origin).context(|| "token")?;
        let credentials = self.credentials.as_ref().filter(|_| is_of_one_house(&registry, &service_origin));
        let actions = if self.access == Access::Push { "pull,push" } else { "pull" };
        let scope = match scope {
            Some(scope) if self.access == Access::Pull => scope.clone(),
            _ if self.reference.repository.is_empty() => String::new(),
            _ => format!("repository:{}:{actions}", self.reference.repository),
        };
        let mut query = Vec::new();
        query.extend(service.iter().map(|service| ("service", service.clone())));
        query.extend((!scope.is_empty()).then_some(("scope", scope)));
        let answer = match credentials {
            Some(Credentials::Identity { token }) => {
                query.extend([
                    ("grant_type", "refresh_token".to_owned()),
                    ("refresh_token", token.clone()),
                    ("client_id", "ocictl".to_owned()),
                ]);
                let form = encode(&query);
                let headers = [("content-type", "application/x-www-form-urlencoded")];
                ask(
                    &self.agent,
                    Ask {
                        method: "POST",
                        url: realm,
                        headers: &headers,
                        body: Sent::Bytes(form.as_bytes()),
                        small: true,
                    },
                )?
            }
            other => {
                let authorization = match other {
                    Some(Credentials::Password { user, password }) => {
                        query.push(("account", user.clone()));
                        Some(basic(user, password))
                    }
                    _ => None,
                };
                let url = format!("{realm}{}{}", if realm.contains('?') { '&' } else { '?' }, encode(&query));
                let headers: Vec<(&str, &str)> =
                    authorization.iter().map(|value| ("authorization", value.as_str())).collect();
                ask(
                    &self.agent,
                    Ask { method: "GET", url: &url, headers: &headers, body: Sent::Nothing, small: true },
                )?
            }
        };
        if answer.status != 200 {
            let error = answer.refusal().context(format!("token from {}", service_origin.host));
            return Err(match (&self.credentials, credentials) {
                (Some(_), None) => error.hint(format!(
                    "name and password for {} were not sent to {}, which is not of its house",
                    registry.host, service_origin.host
                )),
                _ => error,
            });
        }
        let body: serde_json::Value =
            serde_json::from_slice(&answer.bytes(MAX_TOKEN_BYTES).context(|| "token")?)
                .map_err(|error| Error::new(error.to_string()).context("token"))?;
        let token = body["token"].as_str().or_else(|| body["access_token"].as_str());
        let token =
            token.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        Ok(Some(format!("Bearer {}", token.ok_or_else(|| Error::new("the answer holds no token"))?)))
    }
}

/// A repository that a search has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its name without the registry.
    pub name: String,
    /// What it says of itself.
    pub description: String,
    /// How many like it.
    pub stars: u64,
    /// Whether the registry vouches for it.
    pub official: bool,
}

impl Found {
    fn of(value: &serde_json::Value) -> Option<Self> {
        Some(Self {
            name: value["name"].as_str()?.to_owned(),
            description: value["description"].as_str().unwrap_or_default().to_owned(),
            stars: value["star_count"].as_u64().unwrap_or(0),
            official: value["is_official"].as_bool().unwrap_or(false),
        })
    }
}

fn page(answer: Answer, what: &str) -> Result<serde_json::Value> {
    let bytes = answer.bytes(MAX_PAGE_BYTES).context(|| what.to_owned())?;
    serde_json::from_slice(&bytes).map_err(|error| Error::new(error.to_string()).context(what))
}

fn accepted() -> String {
    [media::MANIFEST, media::INDEX, media::DOCKER_MANIFEST, media::DOCKER_INDEX].join(", ")
}

/// `<…>; rel="next"`
fn next_page(link: &str) -> Option<String> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| target.to_owned())
}

/// A query or a form, with everything but plain letters escaped.
fn encode(pairs: &[(&str, String)]) -> String {
    let escape = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect::<String>()
    };
    pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

/// Whether a token service may see the credentials of a registry: the same host, a host below it or above it, or a sister
/// (`auth.docker.io` of `registry-1.docker.io`).
fn is_of_one_house(registry: &Origin, service: &Origin) -> bool {
    let (one, other) = (registry.host.as_str(), service.host.as_str());
    if one.parse::<IpAddr>().is_ok() || other.parse::<IpAddr>().is_ok() || !one.contains('.') {
        return one == other;
    }
    let below = |host: &str, domain: &str| {
        host == domain || host.strip_suffix(domain).is_some_and(|front| front.ends_with('.'))
    };
    let Some((_, parent)) = one.split_once('.') else { return one == other };
    // `co.uk` is nobody's house.
    let labels: Vec<&str> = parent.split('.').collect();
    let is_public = labels.len() < 2 || (labels.len() == 2 && labels[1].len() == 2 && labels[0].len() <= 3);
    below(other, one) || (!is_public && below(other, parent))
}

fn addresses(origin: &Origin) -> Vec<IpAddr> {
    let host = origin.host.trim_start_matches('[').trim_end_matches(']');
    (host, origin.port)
        .to_socket_addrs()
        .map(|found| found.map(|address| address.ip()).collect())
        .unwrap_or_default()
}

/// Loopback, link-local and private addresses: what is there trusts this machine.
fn is_ours(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_unspecified()
        }
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_ours(&IpAddr::V4(address)),
            None => {
                let front = address.segments()[0];
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
    fn credentials_stay_in_the_house() {
        for (registry, service, wanted) in [
            ("registry-1.docker.io", "auth.docker.io", true),
            ("ghcr.io", "ghcr.io", true),
            ("registry.gitlab.com", "gitlab.com", true),
            ("r.example.com", "auth.r.example.com", true),
            ("ghcr.io", "evil.io", false),
            ("a.co.uk", "b.co.uk", false),
            ("a.example.com", "example.com.evil.org", false),
            ("127.0.0.1", "127.0.0.2", false),
            ("localhost", "localhost", true),
            ("localhost", "evil.localhost", false),
            ("xghcr.io", "ghcr.io", false),
        ] {
            let origin = |host: &str| Origin::of(&format!("https://{host}/")).expect(host);
            assert_eq!(is_of_one_house(&origin(registry), &origin(service)), wanted, "{registry} {service}");
        }
    }

    #[test]
    fn our_own_addresses_are_known() {
        for (address, wanted) in [
            ("127.0.0.1", true),
            ("169.254.169.254", true),
            ("10.1.2.3", true),
            ("::1", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("::ffff:127.0.0.1", true),
            ("8.8.8.8", false),
            ("2606:4700::1", false),
        ] {
            assert_eq!(is_ours(&address.parse().expect(address)), wanted, "{address}");
        }
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(
            encode(&[("scope", "repository:a/b:pull,push".into()), ("x", "é&=".into())]),
            "scope=repository%3Aa%2Fb%3Apull%2Cpush&x=%C3%A9%26%3D"
        );
    }
}
