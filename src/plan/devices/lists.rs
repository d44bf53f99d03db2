//! Device rules for cgroup v1, whose controller knows one default and a list of exceptions to it.
//!
//! The kernel silently ignores an exception to an exception (`security/device_cgroup.c`: only an entry with the very
//! same numbers is taken back). So the rules are first carried out here, and one that the kernel could not express is
//! an error rather than a false sense of security.

use super::{ALL, Kind, MKNOD, READ, Rule, WRITE};
use crate::error::{Error, Result};

/// An exception to the default.
struct Exception<'a> {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
    access: u8,
    made_by: &'a Rule,
}

/// What to write, in order, as pairs of `devices.allow` or `devices.deny` and the line. The first sets the default.
///
/// # Errors
/// A rule that takes back only a part of an earlier one.
pub fn lists(rules: &[Rule]) -> Result<Vec<(&'static str, String)>> {
    let start = rules.iter().rposition(Rule::is_total);
    let default_allow = start.is_some_and(|index| rules[index].allow);
    let mut exceptions: Vec<Exception> = Vec::new();
    for rule in &rules[start.map_or(0, |index| index + 1)..] {
        for kind in [Kind::Block, Kind::Char] {
            if rule.kind.is_some_and(|only| only != kind) {
                continue;
            }
            if rule.allow == default_allow {
                take_back(&mut exceptions, rule, kind)?;
            } else {
                add(&mut exceptions, rule, kind);
            }
        }
    }
    let (default, other) =
        if default_allow { ("devices.allow", "devices.deny") } else { ("devices.deny", "devices.allow") };
    let mut writes = vec![(default, "a".to_owned())];
    writes.extend(exceptions.iter().filter(|exception| exception.access != 0).map(|it| (other, line(it))));
    Ok(writes)
}

fn add<'a>(exceptions: &mut Vec<Exception<'a>>, rule: &'a Rule, kind: Kind) {
    let same = |it: &&mut Exception| it.kind == kind && it.major == rule.major && it.minor == rule.minor;
    match exceptions.iter_mut().find(same) {
        Some(exception) => exception.access |= rule.access,
        None => {
            let Rule { major, minor, access, .. } = *rule;
            exceptions.push(Exception { kind, major, minor, access, made_by: rule });
        }
    }
}

fn take_back(exceptions: &mut [Exception], rule: &Rule, kind: Kind) -> Result<()> {
    for exception in exceptions.iter_mut().filter(|it| it.kind == kind && it.access & rule.access != 0) {
        let meets = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        if !meets(exception.major, rule.major) || !meets(exception.minor, rule.minor) {
            continue;
        }
        let covers = |wide: Option<u32>, narrow: Option<u32>| wide.is_none() || wide == narrow;
        if !covers(rule.major, exception.major) || !covers(rule.minor, exception.minor) {
            return Err(hole(exception, rule));
        }
        exception.access &= !rule.access;
    }
    Ok(())
}

fn hole(exception: &Exception, rule: &Rule) -> Error {
    let place = if rule.place.is_none() { &exception.made_by.place } else { &rule.place };
    let verb = if rule.allow { "allow" } else { "deny" };
    let part = Exception {
        kind: exception.kind,
        major: rule.major,
        minor: rule.minor,
        access: rule.access,
        made_by: rule,
    };
    let message = format!("cgroup v1 cannot {verb} \"{}\", a part of \"{}\"", line(&part), line(exception));
    Error::new(message).context(place.to_string())
}

/// The line as the kernel reads it: `c 1:* rwm`.
fn line(exception: &Exception) -> String {
    let kind = match exception.kind {
        Kind::Block => 'b',
        Kind::Char => 'c',
    };
    let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
    let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
    let access: String = letters
        .iter()
        .filter(|(bit, _)| exception.access & ALL & bit != 0)
        .map(|&(_, letter)| letter)
        .collect();
    format!("{kind} {}:{} {access}", number(exception.major), number(exception.minor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Place;

    fn rule(allow: bool, kind: Option<Kind>, major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
        Rule { allow, kind, major, minor, access, place: Place::element("linux.resources.devices", 7) }
    }

    fn text(rules: &[Rule]) -> String {
        match lists(rules) {
            Ok(writes) => {
                writes.iter().map(|(file, line)| format!("{file} {line}")).collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn rules_become_a_default_and_exceptions() {
        let (char, block) = (Some(Kind::Char), Some(Kind::Block));
        let all = |allow| rule(allow, None, None, None, ALL);
        for (rules, expected) in [
            (vec![], "devices.deny a"),
            (vec![rule(true, char, Some(1), Some(3), ALL), all(true)], "devices.allow a"),
            (
                vec![
                    all(true),
                    all(false),
                    rule(true, char, Some(1), Some(3), READ),
                    rule(true, char, Some(1), Some(3), WRITE),
                ],
                "devices.deny a; devices.allow c 1:3 rw",
            ),
            (
                vec![rule(true, None, Some(8), None, MKNOD)],
                "devices.deny a; devices.allow b 8:* m; devices.allow c 8:* m",
            ),
            (
                vec![
                    rule(true, block, Some(8), Some(1), ALL),
                    rule(false, block, Some(8), None, WRITE | MKNOD),
                ],
                "devices.deny a; devices.allow b 8:1 r",
            ),
            (
                vec![
                    all(true),
                    rule(false, char, Some(1), Some(3), READ),
                    rule(true, char, None, None, MKNOD),
                ],
                "devices.allow a; devices.deny c 1:3 r",
            ),
        ] {
            assert_eq!(text(&rules), expected, "{rules:?}");
        }
    }

    #[test]
    fn a_hole_in_a_wildcard_is_an_error() {
        let char = Some(Kind::Char);
        let rules = [rule(true, char, Some(1), None, ALL), rule(false, char, Some(1), Some(3), WRITE)];
        let expected =
            "linux.resources.devices[7]: cgroup v1 cannot deny \"c 1:3 w\", a part of \"c 1:* rwm\"";
        assert_eq!(text(&rules), expected);
    }
}
