//! `--userns`, `--uidmap`, `--gidmap`.

use crate::container::ids::Range;
use crate::container::options::UserNamespace;
use crate::error::{Error, Result};

/// The most ids that a container may ask for by `auto:size=`.
const MAX_SIZE: u32 = 1 << 30;

/// `host`, `private`, `keep-id[:uid=N,gid=N]`, `nomap`, `auto[:size=N,uidmapping=MAP,gidmapping=MAP]`, `container:NAME`, `ns:PATH`.
///
/// # Errors
/// Names what is wrong.
pub fn user_namespace(text: &str) -> Result<UserNamespace> {
    let (word, rest) = text.split_once(':').unwrap_or((text, ""));
    let numbers = |keys: &[&str]| -> Result<Vec<Option<u32>>> {
        let mut found = vec![None; keys.len()];
        for field in rest.split(',').filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            let index = keys
                .iter()
                .position(|known| *known == key)
                .ok_or_else(|| Error::new(format!("\"{text}\": \"{key}\" is none of {}", keys.join(", "))))?;
            let number = value.parse::<u32>().ok().filter(|number| *number < MAX_SIZE);
            found[index] =
                Some(number.ok_or_else(|| Error::new(format!("\"{text}\": {key} \"{value}\" is no id")))?);
        }
        Ok(found)
    };
    match word {
        "" | "host" if rest.is_empty() => Ok(UserNamespace::Host),
        "private" if rest.is_empty() => Ok(UserNamespace::Private),
        "nomap" if rest.is_empty() => Ok(UserNamespace::NoMap),
        "keep-id" => {
            let found = numbers(&["uid", "gid"])?;
            Ok(UserNamespace::KeepId { uid: found[0], gid: found[1] })
        }
        "auto" => auto(text, rest),
        "container" if !rest.is_empty() => Ok(UserNamespace::Container(rest.into())),
        "ns" if rest.starts_with('/') => Ok(UserNamespace::Path(rest.into())),
        _ => Err(Error::new(format!(
            "\"{text}\" is none of host, private, keep-id[:uid=N,gid=N], nomap, auto[:size=N,uidmapping=MAP,gidmapping=MAP], container:NAME, ns:PATH"
        ))),
    }
}

/// What stands behind `auto:`; mappings may be given several times.
fn auto(text: &str, rest: &str) -> Result<UserNamespace> {
    let mut size = None;
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    let place = |error: Error| error.context(format!("\"{text}\""));
    for field in rest.split(',').filter(|field| !field.is_empty()) {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key {
            "size" => match value.parse::<u32>().ok().filter(|number| *number < MAX_SIZE) {
                Some(0) => return Err(place(Error::new("no ids at all"))),
                None => return Err(place(Error::new(format!("size \"{value}\" is no id")))),
                number => size = number,
            },
            "uidmapping" => uids.push(id_map(value).map_err(place)?),
            "gidmapping" => gids.push(id_map(value).map_err(place)?),
            _ => {
                return Err(place(Error::new(format!("\"{key}\" is none of size, uidmapping, gidmapping"))));
            }
        }
    }
    Ok(UserNamespace::Auto { size, uids, gids })
}

/// `CONTAINER:HOST[:COUNT]`; without root the second is an id of the user's own namespace, where he is 0 and his subordinate ids follow.
///
/// # Errors
/// Names what is wrong.
pub fn id_map(text: &str) -> Result<Range> {
    let bad = || Error::new(format!("\"{text}\" is not CONTAINER-ID:HOST-ID[:COUNT]"));
    let parts: Vec<&str> = text.split(':').collect();
    let number = |index: usize| parts.get(index).and_then(|part| part.parse::<u32>().ok()).ok_or_else(bad);
    match parts.len() {
        2 => Ok(Range { inside: number(0)?, outside: number(1)?, count: 1 }),
        3 => Ok(Range { inside: number(0)?, outside: number(1)?, count: number(2)? }),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_namespaces_are_read() {
        for (text, wanted) in [
            ("host", UserNamespace::Host),
            ("private", UserNamespace::Private),
            ("nomap", UserNamespace::NoMap),
            ("keep-id", UserNamespace::KeepId { uid: None, gid: None }),
            ("keep-id:uid=200,gid=210", UserNamespace::KeepId { uid: Some(200), gid: Some(210) }),
            ("auto", UserNamespace::Auto { size: None, uids: Vec::new(), gids: Vec::new() }),
            (
                "auto:size=8192,uidmapping=0:1000:1,gidmapping=5:100,uidmapping=9:2000:2",
                UserNamespace::Auto {
                    size: Some(8192),
                    uids: vec![
                        Range { inside: 0, outside: 1000, count: 1 },
                        Range { inside: 9, outside: 2000, count: 2 },
                    ],
                    gids: vec![Range { inside: 5, outside: 100, count: 1 }],
                },
            ),
            ("container:web1", UserNamespace::Container("web1".into())),
            ("ns:/proc/1/ns/user", UserNamespace::Path("/proc/1/ns/user".into())),
        ] {
            assert_eq!(user_namespace(text).expect(text), wanted, "{text}");
        }
        for (text, wanted) in [
            ("keep-ids", "is none of host, private"),
            ("keep-id:user=1", "\"user\" is none of uid, gid"),
            ("keep-id:uid=x", "uid \"x\" is no id"),
            ("auto:size=0", "no ids at all"),
            ("auto:size=4294967295", "is no id"),
            ("auto:uidmapping=x", "\"auto:uidmapping=x\": \"x\" is not CONTAINER-ID:HOST-ID"),
            ("auto:sise=1", "\"sise\" is none of size, uidmapping, gidmapping"),
            ("nomap:1", "is none of host"),
            ("container:", "is none of host"),
        ] {
            let said = user_namespace(text).expect_err(text).to_string();
            assert!(said.contains(wanted), "{said}");
        }
    }

    #[test]
    fn maps_are_read() {
        assert_eq!(
            id_map("0:100000:65536").expect("a map"),
            Range { inside: 0, outside: 100_000, count: 65_536 }
        );
        assert_eq!(id_map("5:6").expect("a map").count, 1);
        for text in ["0", "0:1:2:3", "a:1:1", "0:-1:1", "+0:1:1x"] {
            id_map(text).expect_err(text);
        }
    }
}
