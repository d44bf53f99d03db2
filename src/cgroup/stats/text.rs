//! The forms that the kernel's numbers come in. What is not understood counts as absent.

use super::{BlockIoEntry, Pressure, RdmaEntry, Stalled};
use std::collections::BTreeMap;

/// A file of one number; `max` is the greatest.
pub(super) fn number(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or_default(),
    }
}

/// Lines `name number`.
pub(super) fn table(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Numbers in a row.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// A list of ranges, `0-3,7`, one number each.
pub(super) fn ranges(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            found.extend(first..=last);
        }
    }
    found
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and for `full`; nothing where the kernel does not count it.
pub(super) fn pressure(text: &str) -> Option<Pressure> {
    let line = |kind: &str| text.lines().find_map(|line| line.strip_prefix(kind)).map(stalled);
    Some(Pressure { some: line("some ")?, full: line("full ").unwrap_or_default() })
}

fn stalled(line: &str) -> Stalled {
    let mut stalled = Stalled::default();
    for (name, value) in line.split_whitespace().filter_map(|word| word.split_once('=')) {
        let percent = value.parse().unwrap_or_default();
        match name {
            "avg10" => stalled.avg10 = percent,
            "avg60" => stalled.avg60 = percent,
            "avg300" => stalled.avg300 = percent,
            "total" => stalled.total = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    stalled
}

/// Lines `8:0 Read 4096` or `8:0 4096` of v1; the sum of all at the end is left out.
pub(super) fn devices(text: &str) -> Vec<BlockIoEntry> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = device(words.next()?)?;
        let (op, value) = match (words.next()?, words.next()) {
            (op, Some(value)) => (op.to_owned(), value),
            (value, None) => (String::new(), value),
        };
        Some(BlockIoEntry { major, minor, op, value: value.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

/// Lines `8:0 rbytes=1 wbytes=2` of v2; `keys` are those wanted and what they are called.
pub(super) fn keyed_devices(text: &str, keys: &[(&str, &str)]) -> Vec<BlockIoEntry> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let op = keys.iter().find(|(key, _)| *key == name).map(|(_, op)| (*op).to_owned());
            if let (Some(op), Ok(value)) = (op, value.parse()) {
                found.push(BlockIoEntry { major, minor, op, value });
            }
        }
    }
    found
}

fn device(word: &str) -> Option<(u64, u64)> {
    let (major, minor) = word.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Lines `mlx5_0 hca_handle=2 hca_object=max`.
pub(super) fn rdma(text: &str) -> Vec<RdmaEntry> {
    let amount = |word: &str| if word == "max" { u32::MAX } else { word.parse().unwrap_or_default() };
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let mut entry = RdmaEntry { device: words.next()?.to_owned(), ..RdmaEntry::default() };
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            match name {
                "hca_handle" => entry.hca_handles = amount(value),
                "hca_object" => entry.hca_objects = amount(value),
                _ => {}
            }
        }
        Some(entry)
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(major: u64, minor: u64, op: &str, value: u64) -> BlockIoEntry {
        BlockIoEntry { major, minor, op: op.to_owned(), value }
    }

    #[test]
    fn numbers_are_read_in_each_form() {
        assert_eq!((number("5\n"), number("max\n"), number("")), (5, u64::MAX, 0));
        assert_eq!(numbers("1 2 \n"), [1, 2]);
        assert_eq!(ranges("0-2,7\n"), [0, 1, 2, 7]);
        assert!(ranges("\n").is_empty());
        assert_eq!(table("user 1\nbroken\nsystem 2\n"), [("system".into(), 2), ("user".into(), 1)].into());
    }

    #[test]
    fn pressure_is_read_where_it_is_counted() {
        let text = "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n";
        let pressure = super::pressure(text).unwrap();
        assert_eq!(pressure.some, Stalled { avg10: 1.5, avg60: 0.25, avg300: 0.0, total: 77 });
        assert_eq!(pressure.full.total, 3);
        assert_eq!(super::pressure(""), None);
    }

    #[test]
    fn devices_are_read_without_the_sum_of_all() {
        let text = "8:0 Read 4096\n8:0 Write 0\n8:0 Total 4096\nTotal 4096\n";
        assert_eq!(
            devices(text),
            [entry(8, 0, "Read", 4096), entry(8, 0, "Write", 0), entry(8, 0, "Total", 4096)]
        );
        assert_eq!(devices("8:16 9\n"), [entry(8, 16, "", 9)]);
        let keys = [("rbytes", "Read"), ("wbytes", "Write")];
        let text = "253:0 rbytes=1 wbytes=2 rios=3\n7:0 \n";
        assert_eq!(keyed_devices(text, &keys), [entry(253, 0, "Read", 1), entry(253, 0, "Write", 2)]);
    }

    #[test]
    fn adapters_are_read_with_their_limits() {
        let expected = RdmaEntry { device: "mlx5_0".into(), hca_handles: 2, hca_objects: u32::MAX };
        assert_eq!(rdma("mlx5_0 hca_handle=2 hca_object=max\n"), [expected]);
    }
}
