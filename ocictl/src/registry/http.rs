//! One request, one answer: URLs and their origins, time limits, errors that name the host. Redirects are answers like others;
//! whoever asked decides about them.

use super::pace::Pace;
use crate::error::{Error, Result};
use std::io::Read;
use std::time::Duration;
use ureq::http::{HeaderMap, Request, Uri};
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, SendBody};

/// How long a connection may take, and how long a peer may be silent.
const CONNECT: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(60);
/// How long a small document may take as a whole.
const DOCUMENT: Duration = Duration::from_secs(120);
/// The most bytes of a body that only says what went wrong.
const MAX_EXCUSE: u64 = 8 << 10;

/// Scheme, host and port: what credentials are bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `https` or `http`.
    pub scheme: String,
    /// The host in lower case.
    pub host: String,
    /// The port, the scheme's own if none was named.
    pub port: u16,
}

impl Origin {
    /// The origin of a URL.
    ///
    /// # Errors
    /// Fails for what is neither `https` nor `http`, or has no host, or carries a user.
    pub fn of(url: &str) -> Result<Self> {
        let bad = || {
            Error::new(format!("\"{}\" is no URL of a registry", url.chars().take(200).collect::<String>()))
        };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let scheme = uri.scheme_str().unwrap_or_default().to_ascii_lowercase();
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let port = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return Err(bad()),
        };
        if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(bad());
        }
        Ok(Self { scheme, host, port: uri.port_u16().unwrap_or(port) })
    }

    /// A URL below this origin: `location` may be whole, or a path.
    pub fn join(&self, location: &str) -> String {
        if location.split('/').next().is_some_and(|front| front.ends_with(':')) {
            return location.to_owned(); // With a scheme of its own, whichever.
        }
        let host = if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{}://{host}:{}/{}", self.scheme, self.port, location.trim_start_matches('/'))
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// What follows.
    pub body: ureq::Body,
}

impl Answer {
    /// A header field, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body, which must be no larger than `limit`.
    ///
    /// # Errors
    /// Fails if it is larger, or reading does.
    pub fn bytes(self, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.body.into_reader().take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(format!("the answer is larger than {limit} bytes")));
        }
        Ok(bytes)
    }

    /// What a registry says of its refusal (spec.md, "Error Codes"), in one line.
    pub fn refusal(self) -> Error {
        let status = self.status;
        let mut bytes = Vec::new();
        let _what_was_read = self.body.into_reader().take(MAX_EXCUSE).read_to_end(&mut bytes);
        let errors = serde_json::from_slice::<serde_json::Value>(&bytes).unwrap_or_default();
        let first = &errors["errors"][0];
        let text = |name: &str| first[name].as_str().unwrap_or_default();
        let said = match (text("code"), text("message")) {
            ("", "") => String::new(),
            (code, "") => format!(" ({code})"),
            (_, message) => format!(" ({})", message.chars().take(300).collect::<String>()),
        };
        Error::new(format!("the registry answered {status} {}{said}", reason(status)))
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "bad request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not found",
        405 => "method not allowed",
        409 => "conflict",
        413 => "too large",
        429 => "too many requests",
        500 => "internal server error",
        502 => "bad gateway",
        503 => "unavailable",
        504 => "gateway timeout",
        _ => "",
    }
}

/// An agent that follows no redirect, undoes no compression and waits for nobody for ever; `names` looks names up, and `pace` says how
/// long a peer may take nothing of what is sent.
pub fn agent(tls: ureq::tls::TlsConfig, names: impl Resolver, pace: Pace) -> Agent {
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(pace.patience(SILENCE)))
        .user_agent(concat!("ocictl/", env!("CARGO_PKG_VERSION")))
        .max_response_header_size(64 << 10)
        .build();
    Agent::with_parts(config, DefaultConnector::default(), names)
}

/// What is sent with a request.
pub enum Sent<'a> {
    /// Nothing.
    Nothing,
    /// Bytes, whose number is said.
    Bytes(&'a [u8]),
    /// What comes, piece by piece.
    Stream(&'a mut dyn Read),
}

impl std::fmt::Debug for Sent<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => out.write_str("Nothing"),
            Self::Bytes(bytes) => write!(out, "Bytes({})", bytes.len()),
            Self::Stream(_) => out.write_str("Stream"),
        }
    }
}

/// What is asked.
#[derive(Debug)]
pub struct Ask<'a, 'b> {
    /// `GET`, `HEAD`, `POST`, `PATCH`, `PUT`, `DELETE`.
    pub method: &'a str,
    /// Where.
    pub url: &'a str,
    /// Header fields.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent.
    pub body: Sent<'b>,
    /// Whether the answer is a small document, for which a time limit holds as a whole.
    pub small: bool,
}

/// Asks once.
///
/// # Errors
/// Names the host, and what kept it from answering. An answer that refuses is no error here.
pub fn ask(agent: &Agent, ask: Ask) -> Result<Answer> {
    let origin = Origin::of(ask.url)?;
    let mut request = Request::builder().method(ask.method).uri(ask.url);
    for (name, value) in ask.headers {
        request = request.header(*name, *value);
    }
    let malformed = |error: ureq::http::Error| Error::new(error.to_string());
    let answer = match ask.body {
        Sent::Nothing => run(agent, request.body(()).map_err(malformed)?, ask.small),
        Sent::Bytes(bytes) => run(agent, request.body(bytes).map_err(malformed)?, ask.small),
        Sent::Stream(stream) => {
            run(agent, request.body(SendBody::from_reader(stream)).map_err(malformed)?, ask.small)
        }
    };
    let place = || format!("{}:{}", origin.host, origin.port);
    match answer {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        }
        Err(error) => Err(words(error, &origin).context(place())),
    }
}

fn run(agent: &Agent, request: Request<impl ureq::AsSendBody>, small: bool) -> Outcome {
    let request = agent.configure_request(request).timeout_global(small.then_some(DOCUMENT)).build();
    agent.run(request)
}

type Outcome = std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// What kept a host from answering, as a person would say it.
fn words(error: ureq::Error, origin: &Origin) -> Error {
    match error {
        ureq::Error::Io(error) => match error.raw_os_error() {
            Some(errno) => Error::from_errno(errno),
            None => tls_words(error.to_string(), origin),
        },
        ureq::Error::HostNotFound => Error::new("there is no such host"),
        ureq::Error::Other(why) => Error::new(why.to_string()),
        ureq::Error::Timeout(ureq::Timeout::PerWrite) => {
            Error::new("too slow: it takes nothing of what is sent any more")
        }
        ureq::Error::Timeout(what) => Error::new(format!("no answer in time ({what})")),
        other => tls_words(other.to_string(), origin),
    }
}

fn tls_words(said: String, origin: &Origin) -> Error {
    if said.contains("failed to lookup address") {
        return Error::new("there is no such host");
    }
    let https = origin.scheme == "https";
    if https && (said.contains("UnknownIssuer") || said.contains("CaUsedAsEndEntity")) {
        return Error::new("its certificate is signed by nobody whom this machine trusts")
            .hint(format!("lay the authority's certificate down as /etc/containers/certs.d/{}:{}/ca.crt, or say --tls-verify=false", origin.host, origin.port));
    }
    if https && (said.contains("Expired") || said.contains("certificate expired")) {
        return Error::new("its certificate has expired");
    }
    if https && (said.contains("NotValidForName") || said.contains("not valid for name")) {
        return Error::new(format!("its certificate is not for the name {}", origin.host));
    }
    if https && (said.contains("InvalidContentType") || said.contains("corrupt message")) {
        return Error::new("it does not speak TLS").hint("if it is meant to be reached by plain HTTP, say --tls-verify=false, or set insecure in registries.conf");
    }
    Error::new(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_apart() {
        let origin = |url: &str| Origin::of(url).map_err(|error| error.to_string());
        assert_eq!(origin("https://a.b/x"), origin("HTTPS://A.B:443/y"));
        assert_ne!(origin("https://a.b/x"), origin("http://a.b/x"));
        assert_ne!(origin("https://a.b/x"), origin("https://a.b:5000/x"));
        for bad in ["file:///etc/passwd", "unix:/x", "https:///x", "ftp://a/x", "https://user@a.b/", "/x", ""]
        {
            assert!(origin(bad).is_err_and(|said| said.contains("is no URL")), "{bad}");
        }
        assert_eq!(
            Origin::of("http://[::1]:5000/v2/").expect("an address").join("/v2/x"),
            "http://[::1]:5000/v2/x"
        );
    }
}
