//! `WWW-Authenticate`: how a registry wants to know who asks (RFC 9110, section 11.6.1; distribution's token specification).

use std::collections::BTreeMap;

/// A way to say who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token that another service gives out.
    Bearer {
        /// Where.
        realm: String,
        /// For whom.
        service: Option<String>,
        /// For what, if the registry says so.
        scope: Option<String>,
    },
}

/// The best way that a header offers: a token before a password; nothing if it offers neither.
pub fn parse(header: &str) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, mut parameters) in schemes(header) {
        if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = parameters.remove("realm")
        {
            return Some(Challenge::Bearer {
                realm,
                service: parameters.remove("service"),
                scope: parameters.remove("scope"),
            });
        }
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

/// Schemes and their parameters; the list of parameters and the list of schemes are both parted by commas.
fn schemes(header: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        if rest.is_empty() {
            return found;
        }
        let end = rest.find([' ', ',', '=', '\t']).unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        let Some(value) = rest.strip_prefix('=') else {
            found.push((word.to_owned(), BTreeMap::new()));
            continue;
        };
        let (value, after) = value_of(value);
        rest = after;
        if let Some((_, parameters)) = found.last_mut() {
            parameters.entry(word.to_ascii_lowercase()).or_insert(value);
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_preferred_and_rubbish_is_nothing() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        };
        for (header, wanted) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                Some(bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:a/b:pull,push"),
                )),
            ),
            (r#"Basic realm="x", Bearer realm=https://y"#, Some(bearer("https://y", None, None))),
            (r#"basic realm="Registry \"Realm\"""#, Some(Challenge::Basic)),
            ("Bearer", None),
            ("Negotiate abc", None),
            ("", None),
            ("=,=,\"", None),
        ] {
            assert_eq!(parse(header), wanted, "{header}");
        }
    }
}
