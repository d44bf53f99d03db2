//! A share of the caches and of the memory bandwidth: `linux.intelRdt`.
//!
//! config-linux.md, "IntelRdt"; Documentation/filesystems/resctrl.rst. A class of service is a directory at the top of
//! a mounted resctrl, and a line of its `schemata` file says what it gets of one resource.

use crate::plan::Place;
use crate::spec::linux::IntelRdt;
use std::fmt::{self, Display, Formatter};

/// What is made and written below resctrl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resctrl {
    /// The class of service, a directory; empty is the default class, resctrl itself.
    pub class: String,
    /// What may be there already.
    pub presence: Presence,
    /// Lines for `schemata`, in order, each with the property that asks for it.
    pub schemata: Vec<(Place, String)>,
    /// The monitoring group, a directory in `mon_groups` of the class.
    pub monitoring: Option<String>,
}

/// Whose class of service it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The container's own: made if it is missing, and then removed with the container.
    Own,
    /// A named one: made if it is missing, and if it is there it must say what the container asks for.
    Agrees,
    /// A named one of which nothing is asked: it must be there.
    Required,
}

/// Where `linux.intelRdt` stands.
pub const PLACE: Place = Place::property("linux.intelRdt");

impl Resctrl {
    /// Decides what is made and written for the container `id`.
    pub fn decide(rdt: &IntelRdt, id: &str) -> Self {
        let line = |place, line: &Option<String>| line.clone().map(|line| (Place::property(place), line));
        let mut schemata = Vec::new();
        schemata.extend(line("linux.intelRdt.l3CacheSchema", &rdt.l3_cache_schema));
        schemata.extend(line("linux.intelRdt.memBwSchema", &rdt.mem_bw_schema));
        let rest = rdt.schemata.iter().enumerate();
        schemata.extend(
            rest.map(|(index, line)| (Place::element("linux.intelRdt.schemata", index), line.clone())),
        );
        let presence = match &rdt.clos_id {
            None => Presence::Own,
            Some(_) if schemata.is_empty() => Presence::Required,
            Some(_) => Presence::Agrees,
        };
        Self {
            class: rdt.clos_id.as_deref().unwrap_or(id).trim_matches('/').to_owned(),
            presence,
            schemata,
            monitoring: rdt.enable_monitoring.then(|| id.to_owned()),
        }
    }

    /// The lines that an existing class must agree with: those of `l3CacheSchema` and `memBwSchema`.
    pub fn agreed(&self) -> impl Iterator<Item = &(Place, String)> {
        let named = |(place, _): &&(Place, String)| !place.to_string().starts_with("linux.intelRdt.schemata");
        let exists_by_right = self.presence == Presence::Agrees;
        self.schemata.iter().filter(named).filter(move |_| exists_by_right)
    }

    /// The steps before the clone, as a user reads them.
    pub fn lines(&self) -> Vec<(String, Place)> {
        let verb = match self.presence {
            Presence::Own => "make",
            Presence::Agrees => "make or find",
            Presence::Required => "find",
        };
        let mut lines = vec![(format!("{verb} {self}"), PLACE)];
        if let Some(name) = &self.monitoring {
            let place = Place::property("linux.intelRdt.enableMonitoring");
            lines.push((format!("make its monitoring group {name:?}"), place));
        }
        lines.extend(
            self.schemata
                .iter()
                .map(|(place, line)| (format!("write {line:?} to its schemata"), place.clone())),
        );
        lines
    }
}

impl Display for Resctrl {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.class.as_str() {
            "" => out.write_str("the default resctrl class"),
            class => write!(out, "resctrl class {class:?}"),
        }
    }
}

/// Whether the text of a `schemata` file says what `line` asks for. What it leaves open does not count, nor do leading
/// zeros and the order; bandwidth is in steps of `step`, which the kernel rounds up to.
pub fn agrees(line: &str, schemata: &str, step: u64) -> bool {
    let Some((name, asked)) = line.trim().split_once(':') else { return false };
    let there = schemata.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    let value = |text: &str| match name {
        "MB" => text.trim().parse::<u64>().ok().and_then(|value| value.checked_next_multiple_of(step.max(1))),
        _ => u64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok(),
    };
    let values = |text: &str| -> Option<Vec<(u64, u64)>> {
        let domains = text.split(';').filter(|domain| !domain.trim().is_empty());
        domains
            .map(|domain| {
                let (id, text) = domain.split_once('=')?;
                Some((id.trim().parse().ok()?, value(text)?))
            })
            .collect()
    };
    match (values(asked), there.and_then(values)) {
        (Some(asked), Some(there)) => asked.iter().all(|one| there.contains(one)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(json: &str) -> Resctrl {
        Resctrl::decide(&serde_json::from_str(json).unwrap(), "web1")
    }

    #[test]
    fn l18_class_is_named_or_the_containers_own() {
        for (json, class, presence) in [
            ("{}", "web1", Presence::Own),
            (r#"{"memBwSchema": "MB:0=20"}"#, "web1", Presence::Own),
            (r#"{"closID": "gold"}"#, "gold", Presence::Required),
            (r#"{"closID": "/"}"#, "", Presence::Required),
            (r#"{"closID": "gold", "schemata": ["L2:0=f"]}"#, "gold", Presence::Agrees),
        ] {
            let resctrl = decided(json);
            assert_eq!((resctrl.class.as_str(), resctrl.presence), (class, presence), "{json}");
        }
    }

    #[test]
    fn l18_schemata_are_written_l3_first_then_bandwidth_then_the_rest() {
        let resctrl = decided(
            r#"{"schemata": ["L2:0=f", "MB:0=70"], "memBwSchema": "MB:0=20", "l3CacheSchema": "L3:0=7f0",
                "enableMonitoring": true}"#,
        );
        let lines: Vec<String> =
            resctrl.lines().iter().map(|(words, place)| format!("{words} <- {place}")).collect();
        let expected = [
            r#"make resctrl class "web1" <- linux.intelRdt"#,
            r#"make its monitoring group "web1" <- linux.intelRdt.enableMonitoring"#,
            r#"write "L3:0=7f0" to its schemata <- linux.intelRdt.l3CacheSchema"#,
            r#"write "MB:0=20" to its schemata <- linux.intelRdt.memBwSchema"#,
            r#"write "L2:0=f" to its schemata <- linux.intelRdt.schemata[0]"#,
            r#"write "MB:0=70" to its schemata <- linux.intelRdt.schemata[1]"#,
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn l18_schemata_are_compared_by_what_they_mean() {
        let file = "    MB:0= 30;1=100\n    L3:0=00ff;1=fffff\n";
        for (line, agreed) in [
            ("L3:0=ff", true),
            ("L3:1=FFFFF;0=0ff", true),
            ("L3:0=f", false),
            ("L3:2=ff", false),
            ("L3CODE:0=ff", false),
            ("MB:0=30", true),
            ("MB:0=25;1=100", true),
            ("MB:0=35", false),
            ("MB:0=x", false),
            ("nonsense", false),
        ] {
            assert_eq!(agrees(line, file, 10), agreed, "{line}");
        }
    }
}
