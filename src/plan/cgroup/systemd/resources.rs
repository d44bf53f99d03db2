//! Resources as properties of a unit, from the lines that are written to the files; systemd.resource-control(5). Pure.

use super::Property;
use crate::gvariant::Value;
use crate::host::cgroup::Mode;
use crate::plan::cgroup::{Missing, Write};
use crate::plan::devices::{Kind, MKNOD, READ, Rule, WRITE};
use crate::spec::number_list::NumberList;
use std::ops::RangeInclusive;

/// systemd rounds a quota to hundredths of a processor: this many microseconds in a second.
const QUOTA_STEP: u64 = 10_000;

/// The length of a period where nobody names one, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// The shares of v1 that the kernel knows.
const SHARES: RangeInclusive<u64> = 2..=262_144;

/// The properties that stand for resources which change.
pub(in crate::plan::cgroup) fn resources(writes: &[Write], mode: Mode) -> Vec<Property> {
    let mut properties = Properties::default();
    properties.write(writes, mode);
    properties.0
}

/// Properties in the making; each name once.
#[derive(Debug, Default)]
pub(super) struct Properties(Vec<Property>);

impl From<Properties> for Vec<Property> {
    fn from(properties: Properties) -> Self {
        properties.0
    }
}

impl Properties {
    pub(super) fn set(&mut self, name: &str, value: Value) {
        match self.0.iter_mut().find(|property| property.name == name) {
            Some(property) => property.value = value,
            None => self.0.push(Property::new(name, value)),
        }
    }

    /// Adds to a property that is a list of pairs, a path and what it may.
    fn add(&mut self, name: &str, kind: &str, path: String, value: Value) {
        let pair = Value::Struct(vec![Value::Str(path), value]);
        match self.0.iter_mut().find(|property| property.name == name) {
            Some(Property { value: Value::Array(_, pairs), .. }) => pairs.push(pair),
            _ => self.0.push(Property::new(name, Value::Array(kind.to_owned(), vec![pair]))),
        }
    }

    /// Translates lines of files. What systemd has no property for, or what only the kernel understands, is left to the file.
    pub(super) fn write(&mut self, writes: &[Write], mode: Mode) {
        if mode == Mode::V2 {
            return writes.iter().for_each(|write| self.write_v2(write));
        }
        writes.iter().for_each(|write| self.write_v1(write));
        self.quota_v1(writes);
    }

    fn write_v2(&mut self, write: &Write) {
        let (file, value) = line(write);
        let property = match file {
            "memory.max" => "MemoryMax",
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.swap.max" => "MemorySwapMax",
            "cpu.weight" => "CPUWeight",
            "pids.max" => "TasksMax",
            "cpuset.cpus" => return self.mask("AllowedCPUs", value),
            "cpuset.mems" => return self.mask("AllowedMemoryNodes", value),
            "cpu.max" => return self.quota(value),
            "io.weight" => return self.io_weight(value),
            "io.max" => return self.io_max(value),
            _ => return,
        };
        if let Some(amount) = amount(value) {
            self.set(property, Value::U64(amount));
        }
    }

    /// The names from before v2, which every systemd that still makes v1 knows; it has none for cpusets and huge pages there.
    fn write_v1(&mut self, write: &Write) {
        let (file, value) = line(write);
        let property = match file {
            "memory.limit_in_bytes" => "MemoryLimit",
            "cpu.shares" => return self.shares(value),
            "pids.max" => "TasksMax",
            "blkio.weight" => "BlockIOWeight",
            "blkio.weight_device" => return self.device("BlockIODeviceWeight", value),
            "blkio.throttle.read_bps_device" => return self.device("BlockIOReadBandwidth", value),
            "blkio.throttle.write_bps_device" => return self.device("BlockIOWriteBandwidth", value),
            _ => return,
        };
        match amount(value) {
            Some(amount) => self.set(property, Value::U64(amount)),
            None if value == "-1" => self.set(property, Value::U64(u64::MAX)),
            None => {}
        }
    }

    /// The kernel takes shares that are out of range to its bounds, and systemd refuses them.
    fn shares(&mut self, value: &str) {
        if let Some(shares) = amount(value) {
            self.set("CPUShares", Value::U64(shares.clamp(*SHARES.start(), *SHARES.end())));
        }
    }

    /// Quota and period are files of their own there.
    fn quota_v1(&mut self, writes: &[Write]) {
        let value = |file: &str| {
            let mut last = writes.iter().rev().filter(|write| write.file == file);
            last.next().map(|write| write.value.as_str())
        };
        let (quota, period) = (value("cpu.cfs_quota_us"), value("cpu.cfs_period_us"));
        if quota.is_some() || period.is_some() {
            let quota = quota.filter(|quota| *quota != "-1").unwrap_or("max");
            self.quota(&format!("{quota} {}", period.unwrap_or_default()));
        }
    }

    /// `8:0 1048576`; 0 is no limit.
    fn device(&mut self, name: &str, line: &str) {
        let Some((device, number)) = line.split_once(' ') else { return };
        if let Some(number) = amount(number) {
            let number = if number == 0 { u64::MAX } else { number };
            self.add(name, "(st)", block_device(device), Value::U64(number));
        }
    }

    fn mask(&mut self, name: &str, list: &str) {
        let Ok(list) = NumberList::parse(list) else { return };
        let mut bytes: Vec<u8> = list.mask().iter().flat_map(|word| word.to_le_bytes()).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        self.set(name, Value::bytes(bytes));
    }

    fn quota(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(quota) = words.next().and_then(amount) else { return };
        let period = words.next().and_then(amount).filter(|&period| period > 0).unwrap_or(DEFAULT_PERIOD);
        if let Some(in_second) = in_second(quota, period) {
            self.set("CPUQuotaPerSecUSec", Value::U64(in_second));
            self.set("CPUQuotaPeriodUSec", Value::U64(period));
        }
    }

    /// `100`, `default 100` or `8:0 100`.
    fn io_weight(&mut self, line: &str) {
        let (device, weight) = line.rsplit_once(' ').unwrap_or(("default", line));
        match (amount(weight), device) {
            (None, _) => {}
            (Some(weight), "default") => self.set("IOWeight", Value::U64(weight)),
            (Some(weight), device) => {
                self.add("IODeviceWeight", "(st)", block_device(device), Value::U64(weight));
            }
        }
    }

    /// `8:0 rbps=1048576 wiops=max`.
    fn io_max(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(device) = words.next() else { return };
        for (key, limit) in words.filter_map(|word| word.split_once('=')) {
            let name = match key {
                "rbps" => "IOReadBandwidthMax",
                "wbps" => "IOWriteBandwidthMax",
                "riops" => "IOReadIOPSMax",
                "wiops" => "IOWriteIOPSMax",
                _ => continue,
            };
            if let Some(limit) = amount(limit) {
                self.add(name, "(st)", block_device(device), Value::U64(limit));
            }
        }
    }

    /// The devices, and whether that is all that the rules say. systemd knows no denial: its list allows at least what the
    /// rules allow, and on v2 the runtime's own device program, which is attached beside systemd's, does the rest. Sorted,
    /// since systemd compares the list with that of its unit file and takes another order for a change (runc #4568).
    pub(super) fn devices(&mut self, rules: &[Rule]) -> bool {
        let mut allowed: Vec<(String, String)> = Vec::new();
        let (mut everything, mut is_exact) = (false, true);
        for rule in rules {
            match (rule.is_total(), rule.allow) {
                (true, allow) => {
                    (everything, is_exact) = (allow, true);
                    allowed.clear();
                }
                (false, true) => allowed.extend(nodes(rule).map(|node| (node, access(rule.access)))),
                (false, false) => is_exact = false,
            }
        }
        self.set("DevicePolicy", Value::text(if everything { "auto" } else { "strict" }));
        if everything {
            return is_exact;
        }
        allowed.sort_unstable();
        allowed.dedup();
        for (node, access) in allowed {
            self.add("DeviceAllow", "(ss)", node, Value::Str(access));
        }
        is_exact
    }
}

/// The file and the value that systemd has a property for.
fn line(write: &Write) -> (&str, &str) {
    match &write.missing {
        Missing::Instead { file, value } => (file, value),
        _ => (&write.file, &write.value),
    }
}

/// A quota in a period is a quota in a second, rounded up as systemd does when it shows it.
fn in_second(quota: u64, period: u64) -> Option<u64> {
    match quota {
        u64::MAX => Some(u64::MAX),
        quota => {
            quota.checked_mul(1_000_000)?.checked_div(period).map(|time| time.next_multiple_of(QUOTA_STEP))
        }
    }
}

/// How systemd names the devices of a rule: by number without asking the file system, by major number, or all of a kind.
fn nodes(rule: &Rule) -> impl Iterator<Item = String> {
    let kinds = match rule.kind {
        Some(Kind::Block) => &["block"][..],
        Some(Kind::Char) => &["char"],
        None => &["block", "char"],
    };
    let (major, minor) = (rule.major, rule.minor);
    kinds.iter().map(move |kind| match (major, minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, _) => format!("{kind}-*"),
    })
}

fn access(access: u8) -> String {
    [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .iter()
        .filter(|(bit, _)| access & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

fn block_device(numbers: &str) -> String {
    format!("/dev/block/{numbers}")
}

/// A number as the kernel's files take it; the greatest stands for no limit.
fn amount(text: &str) -> Option<u64> {
    if text == "max" {
        return Some(u64::MAX);
    }
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
