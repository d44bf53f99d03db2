//! A connection to one repository of a registry: requests with who we are, and the way to where the registry says that something is.

use super::challenge::{Challenge, parse};
use super::config::Endpoint;
use super::credentials::{self, Credentials};
use super::guard::Guard;
use super::http::{Answer, Ask, Origin, Sent, agent, ask};
use super::pace::Pace;
use super::tls;
use crate::error::{Context, Error, Result};
use crate::reference::Reference;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
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
    pub(super) agent: Agent,
    guard: Guard,
    /// The least that layers must come and go at.
    pub(super) pace: Pace,
    /// The scheme may become `http` once, where that is allowed.
    origin: Mutex<Origin>,
    /// The name that is asked for.
    pub reference: Reference,
    pub(super) access: Access,
    may_be_plain: bool,
    /// Whether an answer has come over TLS: from then on it is insisted on.
    speaks_tls: AtomicBool,
    pub(super) credentials: Option<Credentials>,
    authorization: Mutex<Option<String>>,
}

const MAX_REDIRECTS: usize = 5;
/// Docker's registry answers under another name than images have.
pub(super) const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// And where it is searched.
pub(super) const DOCKER_SEARCH: &str = "index.docker.io";

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
        let origin = Origin::of(&format!("https://{host}/"))?;
        let others: &[&str] = if reference.registry == DOCKER_HUB.0 { &[DOCKER_SEARCH] } else { &[] };
        let guard = Guard::new(&origin, others);
        let pace = Pace::configured()?;
        Ok(Self {
            agent: agent(tls, guard.clone(), pace),
            guard,
            pace,
            origin: Mutex::new(origin),
            reference,
            access,
            may_be_plain: insecure,
            speaks_tls: AtomicBool::new(false),
            credentials,
            authorization: Mutex::new(None),
        })
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
            // Plain HTTP is tried where it is allowed, and only where TLS never got an answer: a connection that is broken later
            // must not lead out of it, and what was shown over TLS is not shown again.
            Err(error)
                if self.may_be_plain
                    && !self.speaks_tls.load(Ordering::Relaxed)
                    && self.origin().scheme == "https"
                    && !location.starts_with("http") =>
            {
                let plain = Origin { scheme: "http".into(), ..self.origin() };
                let port = if plain.port == 443 { 80 } else { plain.port };
                if let (Ok(mut origin), Ok(mut authorization)) =
                    (self.origin.lock(), self.authorization.lock())
                {
                    *origin = Origin { port, ..plain };
                    *authorization = None;
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
        let answer = ask(
            &self.agent,
            Ask {
                method: request.method,
                url: request.url,
                headers: &headers,
                body: request.body,
                small: request.small,
            },
        );
        if same && answer.is_ok() && request.url.starts_with("https:") {
            self.speaks_tls.store(true, Ordering::Relaxed);
        }
        answer
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

    /// A registry may send us to another host, but neither out of TLS nor, as the guard sees to, into our own network.
    pub(super) fn check_redirect(&self, from: &Origin, to: &Origin) -> Result<()> {
        let place = || format!("redirect to {}", to.host);
        if from.scheme == "https" && to.scheme != "https" {
            return Err(Error::new("it leaves TLS").context(place()));
        }
        // A proxy looks names up for us: then nothing is looked up for a connection.
        match self.agent.config().proxy() {
            Some(_) => self.guard.check(&self.origin(), to).context(place),
            None => Ok(()),
        }
    }
}
