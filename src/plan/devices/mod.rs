//! The allowed devices: `linux.resources.devices` as ordered rules, and what each generation of cgroups is given for
//! them: `lists` for the files of cgroup v1, `program` for the eBPF program of cgroup v2.
//!
//! Serves config-linux.md, section "Allowed Device list". Where no rule speaks, access is denied: an empty list must
//! not mean "everything" (GHSA-g54h-m393-cpwq).

mod lists;
mod program;

pub use lists::lists;
pub use program::program;

use crate::error::{Error, Result};
use crate::plan::Place;
use crate::spec::resources::DeviceRule;

/// Making a node of the device; the bits are those of `BPF_DEVCG_ACC_*`.
pub const MKNOD: u8 = 1;
/// Reading from the device.
pub const READ: u8 = 2;
/// Writing to the device.
pub const WRITE: u8 = 4;
/// Every kind of access.
pub const ALL: u8 = MKNOD | READ | WRITE;

/// The two kinds of device nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A block device.
    Block,
    /// A character device.
    Char,
}

/// One rule; a later rule overrules an earlier one for each bit of access by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whether the access is allowed or denied.
    pub allow: bool,
    /// The kind of device; `None` for both.
    pub kind: Option<Kind>,
    /// The major number; `None` for every one.
    pub major: Option<u32>,
    /// The minor number; `None` for every one.
    pub minor: Option<u32>,
    /// A set of [`MKNOD`], [`READ`] and [`WRITE`].
    pub access: u8,
    /// The rule of `config.json`, or none for the runtime's own.
    pub place: Place,
}

impl Rule {
    /// Whether the rule speaks of every device and every access, so that nothing before it matters.
    pub fn is_total(&self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }
}

/// What every container may do, as (kind, major, minor, access): make any node, and use those that every runtime
/// provides: `null`, `zero`, `full`, `random`, `urandom`, `tty`, `ptmx`, the terminals of devpts, and `net/tun`, which
/// VPN software relies on (runc removed it in 1.2.0 and had to bring it back in 1.2.4).
const DEFAULTS: [(Kind, Option<u32>, Option<u32>, u8); 11] = [
    (Kind::Char, None, None, MKNOD),
    (Kind::Block, None, None, MKNOD),
    (Kind::Char, Some(1), Some(3), ALL),
    (Kind::Char, Some(1), Some(5), ALL),
    (Kind::Char, Some(1), Some(7), ALL),
    (Kind::Char, Some(1), Some(8), ALL),
    (Kind::Char, Some(1), Some(9), ALL),
    (Kind::Char, Some(5), Some(0), ALL),
    (Kind::Char, Some(5), Some(2), ALL),
    (Kind::Char, Some(136), None, ALL),
    (Kind::Char, Some(10), Some(200), ALL),
];

/// Reads the rules of `config.json` and puts the default ones after them, as all runtimes do: the container cannot be
/// denied its own `/dev/null`.
///
/// # Errors
/// A rule whose type, numbers or access are none; it names the property.
pub fn rules(devices: &[DeviceRule], with_defaults: bool) -> Result<Vec<Rule>> {
    let mut rules = Vec::with_capacity(devices.len() + DEFAULTS.len());
    for (index, device) in devices.iter().enumerate() {
        let place = Place::element("linux.resources.devices", index);
        let rule = read(device, place.clone());
        rules.push(
            rule.map_err(|(property, problem)| Error::new(problem).context(format!("{place}.{property}")))?,
        );
    }
    if with_defaults {
        rules.extend(DEFAULTS.iter().map(|&(kind, major, minor, access)| Rule {
            allow: true,
            kind: Some(kind),
            major,
            minor,
            access,
            place: Place::NONE,
        }));
    }
    Ok(rules)
}

/// Reads one rule; a failure is the property and what is wrong with it.
fn read(device: &DeviceRule, place: Place) -> std::result::Result<Rule, (&'static str, String)> {
    let kind = match device.kind.as_str() {
        "" | "a" => None,
        "b" => Some(Kind::Block),
        "c" => Some(Kind::Char),
        other => return Err(("type", format!("must be \"a\", \"b\" or \"c\", not {other:?}"))),
    };
    let mut access = 0;
    for letter in device.access.chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            _ => return Err(("access", format!("must be composed of r, w and m, not {:?}", device.access))),
        };
    }
    Ok(Rule {
        allow: device.allow,
        kind,
        major: number(device.major).map_err(|problem| ("major", problem))?,
        minor: number(device.minor).map_err(|problem| ("minor", problem))?,
        access: if device.access.is_empty() { ALL } else { access },
        place,
    })
}

/// A device number; absent and -1 (as runc writes it) are every one.
fn number(value: Option<i64>) -> std::result::Result<Option<u32>, String> {
    match value {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| format!("must be a device number or -1 for all of them, not {number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_properties_mean_all() {
        let rules = rules(&[DeviceRule::default()], false).expect("rules");
        assert!(rules[0].is_total());
        assert!(!rules[0].allow);
    }

    #[test]
    fn defaults_come_after_the_users_rules() {
        let rules = rules(&[DeviceRule::default()], true).expect("rules");
        assert_eq!(rules.len(), 12);
        assert!(rules[1..].iter().all(|rule| rule.allow && rule.place.is_none()));
    }

    #[test]
    fn errors_name_the_property() {
        let good = DeviceRule::default();
        for (bad, expected) in [
            (
                DeviceRule { kind: "u".into(), ..good.clone() },
                "linux.resources.devices[1].type: must be \"a\", \"b\" or \"c\", not \"u\"",
            ),
            (
                DeviceRule { access: "rx".into(), ..good.clone() },
                "linux.resources.devices[1].access: must be composed of r, w and m, not \"rx\"",
            ),
            (
                DeviceRule { major: Some(-2), ..good.clone() },
                "linux.resources.devices[1].major: must be a device number or -1 for all of them, not -2",
            ),
            (
                DeviceRule { minor: Some(1 << 32), ..good.clone() },
                "linux.resources.devices[1].minor: must be a device number or -1 for all of them, not 4294967296",
            ),
        ] {
            assert_eq!(rules(&[good.clone(), bad], true).expect_err("bad rule").to_string(), expected);
        }
    }
}
