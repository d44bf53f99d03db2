//! Answering a challenge: name and password, or a token from the service that the registry names (distribution's token specification).
//! A registry does not choose who gets to see its account.

use super::challenge::Challenge;
use super::client::{Access, Client};
use super::credentials::{Credentials, base64_encode};
use super::http::{Answer, Ask, Origin, Sent, ask};
use crate::error::{Context, Error, Result};
use std::net::IpAddr;

const MAX_TOKEN_BYTES: u64 = 1 << 20;
/// What reading the list of all repositories is called.
const CATALOG: &str = "registry:catalog:*";

impl Client {
    /// The header field that answers a challenge; nothing if we have nothing to show.
    pub(super) fn authorize(&self, challenge: &Challenge) -> Result<Option<String>> {
        match challenge {
            Challenge::Basic => Ok(match &self.credentials {
                Some(Credentials::Password { user, password }) => Some(basic(user, password)),
                _ => None,
            }),
            Challenge::Bearer { realm, service, scope } => {
                let token = self.token(realm, service.as_deref(), scope.as_deref())?;
                Ok(Some(format!("Bearer {token}")))
            }
        }
    }

    /// A token for this repository, from the service at `realm`.
    fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<String> {
        let (registry, giver) = (self.origin(), Origin::of(realm)?);
        if giver.scheme != "https" && registry.scheme == "https" {
            return Err(Error::new(format!("the registry sends us for a token to {realm}, out of TLS")));
        }
        self.check_redirect(&registry, &giver).context(|| "token")?;
        let credentials = self.credentials.as_ref().filter(|_| is_of_one_house(&registry, &giver));
        let mut query = Vec::new();
        query.extend(service.map(|service| ("service", service.to_owned())));
        query.extend(self.scope(scope).map(|scope| ("scope", scope)));
        let answer = self.ask_for_token(realm, query, credentials)?;
        if answer.status != 200 {
            let error = answer.refusal().context(format!("token from {}", giver.host));
            return Err(match (&self.credentials, credentials) {
                (Some(_), None) => error.hint(format!(
                    "name and password for {} were not sent to {}, which is not of its house",
                    registry.host, giver.host
                )),
                _ => error,
            });
        }
        let bytes = answer.bytes(MAX_TOKEN_BYTES).context(|| "token")?;
        let body: serde_json::Value =
            serde_json::from_slice(&bytes).map_err(|error| Error::new(error.to_string()).context("token"))?;
        let token = body["token"].as_str().or_else(|| body["access_token"].as_str());
        let is_word = |token: &&str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        token.filter(is_word).map(str::to_owned).ok_or_else(|| Error::new("the answer holds no token"))
    }

    /// What the token is to be for: what we want to do with this repository, whatever the registry says. Without a repository, the list
    /// of all may be asked for.
    fn scope(&self, said: Option<&str>) -> Option<String> {
        let repository = &self.reference.repository;
        match self.access {
            _ if repository.is_empty() => said.filter(|scope| *scope == CATALOG).map(str::to_owned),
            Access::Pull => Some(format!("repository:{repository}:pull")),
            Access::Push => Some(format!("repository:{repository}:pull,push")),
        }
    }

    /// A token of an earlier login goes into a form, name and password into a header field.
    fn ask_for_token(
        &self,
        realm: &str,
        mut query: Vec<(&str, String)>,
        credentials: Option<&Credentials>,
    ) -> Result<Answer> {
        if let Some(Credentials::Identity { token }) = credentials {
            query.extend([
                ("grant_type", "refresh_token".to_owned()),
                ("refresh_token", token.clone()),
                ("client_id", "ocictl".to_owned()),
            ]);
            let form = encode(&query);
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let body = Sent::Bytes(form.as_bytes());
            return ask(
                &self.agent,
                Ask { method: "POST", url: realm, headers: &headers, body, small: true },
            );
        }
        let mut headers = Vec::new();
        let authorization;
        if let Some(Credentials::Password { user, password }) = credentials {
            query.push(("account", user.clone()));
            authorization = basic(user, password);
            headers.push(("authorization", authorization.as_str()));
        }
        let url = format!("{realm}{}{}", if realm.contains('?') { '&' } else { '?' }, encode(&query));
        ask(
            &self.agent,
            Ask { method: "GET", url: &url, headers: &headers, body: Sent::Nothing, small: true },
        )
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64_encode(format!("{user}:{password}").as_bytes()))
}

/// A query or a form, with everything but plain letters escaped.
pub(super) fn encode(pairs: &[(&str, String)]) -> String {
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
    fn queries_are_escaped() {
        assert_eq!(
            encode(&[("scope", "repository:a/b:pull,push".into()), ("x", "é&=".into())]),
            "scope=repository%3Aa%2Fb%3Apull%2Cpush&x=%C3%A9%26%3D"
        );
    }
}
