//! Users and groups by the image's own `/etc/passwd` and `/etc/group` (passwd(5), group(5)). The files come from the image and are
//! hostile: lines that make no sense are passed over, numbers are taken as they are.

use crate::error::{Error, Result};

/// Who runs a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The home directory.
    pub home: String,
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// The largest number that user and group may have: others have told `-1` from it at their own peril (CVE-2024-40635).
const MAX_ID: u32 = i32::MAX as u32;

/// Looks up `user[:group]`, each a name or a number, and more groups that were asked for. What looks like a number is one: a name
/// `1000` in the image's passwd does not make it another user (CVE-2016-3697).
///
/// # Errors
/// Names the user or group that the image does not know, and a number that is beyond all ids.
pub fn identify(user: &str, more: &[String], passwd: &str, group: &str) -> Result<Identity> {
    let (user, typed_group) = user.split_once(':').unwrap_or((user, ""));
    let entries: Vec<User> = passwd.lines().filter_map(user_of).collect();
    let wanted = if user.is_empty() { "0" } else { user };
    let number = number("user", wanted)?;
    let entry = match number {
        Some(uid) => entries.iter().find(|entry| entry.uid == uid),
        None => entries.iter().find(|entry| entry.name == wanted),
    };
    let (uid, mut gid, home, name) = match (entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid, entry.home, entry.name),
        (None, Some(uid)) => (uid, 0, if uid == 0 { "/root" } else { "/" }, ""),
        (None, None) => {
            return Err(Error::new(format!("unable to find user {user}: no matching entry in passwd file")));
        }
    };
    let mut groups = Vec::new();
    if typed_group.is_empty() {
        if !name.is_empty() {
            groups.extend(
                group
                    .lines()
                    .filter_map(group_of)
                    .filter(|(_, _, members)| members.split(',').any(|member| member == name))
                    .map(|(_, gid, _)| gid),
            );
        }
    } else {
        gid = group_number(typed_group, group)?;
    }
    for name in more {
        groups.push(group_number(name, group)?);
    }
    let mut seen = Vec::new();
    groups.retain(|gid| {
        !seen.contains(gid) && {
            seen.push(*gid);
            true
        }
    });
    let home = if home.is_empty() { "/" } else { home };
    Ok(Identity { uid, gid, groups, home: home.into() })
}

fn group_number(name: &str, group: &str) -> Result<u32> {
    if let Some(gid) = number("group", name)? {
        return Ok(gid);
    }
    let entry = group.lines().filter_map(group_of).find(|(known, ..)| *known == name);
    entry
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| Error::new(format!("unable to find group {name}: no matching entry in group file")))
}

/// The number that a text is; nothing for a name.
fn number(kind: &str, text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(None);
    }
    match id(text) {
        Some(id) => Ok(Some(id)),
        None => Err(Error::new(format!("{kind} {text}: numbers of users and groups are 0 to {MAX_ID}"))),
    }
}

/// An id in digits alone.
fn id(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|id| plain && *id <= MAX_ID)
}

fn user_of(line: &str) -> Option<User<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = id(fields.nth(1)?)?;
    let gid = id(fields.next()?)?;
    let home = fields.nth(1).unwrap_or_default();
    Some(User { name, uid, gid, home })
}

/// All ids that a file like passwd or group names.
pub fn ids_of(text: &str) -> impl Iterator<Item = u32> {
    text.lines().flat_map(|line| line.split(':').skip(2).take(2).filter_map(id))
}

fn group_of(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = id(fields.nth(1)?)?;
    Some((name, gid, fields.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nrubbish\nweb:x:33:34::/var/www:/bin/sh\n1000:x:7:7::/odd:\nbad:x:-1:0::/:\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nadm:x:4:root,web\ntape:x:26:web\n";

    #[test]
    fn names_and_numbers_are_looked_up_in_the_images_files() {
        // what was typed, uid, gid, groups, home
        let table: [(&str, u32, u32, &[u32], &str); 9] = [
            ("", 0, 0, &[4], "/root"),
            ("root", 0, 0, &[4], "/root"),
            ("web", 33, 34, &[4, 26], "/var/www"),
            ("33", 33, 34, &[4, 26], "/var/www"),
            ("web:adm", 33, 4, &[], "/var/www"),
            ("web:77", 33, 77, &[], "/var/www"),
            ("500", 500, 0, &[], "/"),
            ("500:500", 500, 500, &[], "/"),
            // That is the name of another: the number counts.
            ("1000", 1000, 0, &[], "/"),
        ];
        for (typed, uid, gid, groups, home) in table {
            let wanted = Identity { uid, gid, groups: groups.to_vec(), home: home.into() };
            assert_eq!(identify(typed, &[], PASSWD, GROUP).expect(typed), wanted, "{typed}");
        }
        assert_eq!(
            identify("", &["tape".into(), "99".into()], PASSWD, GROUP).expect("root").groups,
            [4, 26, 99]
        );
        assert_eq!(identify("", &[], "", "").expect("no files").home, "/root");
    }

    #[test]
    fn who_is_not_there_is_named() {
        for (typed, wanted) in [
            ("nobody", "unable to find user nobody"),
            ("web:nogroup", "unable to find group nogroup"),
            ("bad", "find user bad"),
            ("-1", "user -1: numbers of users and groups are 0 to 2147483647"),
            ("+1", "user +1: numbers"),
            ("2147483648", "user 2147483648: numbers"),
            ("4294967296", "user 4294967296: numbers"),
            ("0:99999999999", "group 99999999999: numbers"),
            (" 1", "unable to find user  1"),
            ("0x1", "unable to find user 0x1"),
        ] {
            let said = identify(typed, &[], PASSWD, GROUP).expect_err(typed).to_string();
            assert!(said.contains(wanted), "{said}");
        }
    }
}
