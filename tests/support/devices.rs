//! Devices of this machine, and a payload that makes and opens them under the device rules of its cgroup.

use super::Bundle;
use serde_json::{Value, json};
use std::fs;

/// A disk of this machine, as MAJOR and MINOR.
pub fn disk() -> (u64, u64) {
    let table = fs::read_to_string("/proc/partitions").unwrap();
    let rows = table.lines().skip(2).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut disks = rows.filter(|row| !["ram", "zram", "loop"].iter().any(|kind| row[3].starts_with(kind)));
    let row = disks.next().expect("a disk");
    (row[0].parse().unwrap(), row[1].parse().unwrap())
}

/// The minor number of a device that anyone may open, whatever his capabilities: fuse (10:229), if it is there.
pub fn misc() -> u64 {
    let table = fs::read_to_string("/proc/misc").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut known = rows.filter(|row| ["fuse", "loop-control"].contains(&row[1]));
    known.next().expect("fuse or loop-control").first().unwrap().parse().unwrap()
}

/// Makes devices with `CAP_MKNOD` (that is always allowed, D7) and tries to open them.
fn device_script() -> String {
    let ((major, minor), misc) = (disk(), misc());
    format!(
        "cd /tmp; mknod disk b {major} {minor}; mknod misc c 10 {misc}; mknod null c 1 3; \
        try() {{ (eval \"$2\") 2>/dev/null && echo $1 yes || echo $1 no; }}; \
        try disk-read 'exec 3<disk'; try misc-read 'exec 3<misc'; try misc-write 'exec 3>misc'; \
        try null-write 'exec 3>null'"
    )
}

/// A bundle whose container has `CAP_MKNOD` and the device rules, and tells what it can open.
pub fn with_mknod(rules: Value) -> Bundle {
    let mut bundle = Bundle::sh(&device_script());
    for set in ["bounding", "permitted", "effective"] {
        bundle.push(&format!("/process/capabilities/{set}"), json!("CAP_MKNOD"));
    }
    bundle.set("/linux/resources/devices", rules);
    bundle
}

/// What is told under rules that allow nothing: the null device is always allowed.
pub const NOTHING: &str = "disk-read no\nmisc-read no\nmisc-write no\nnull-write yes\n";
/// What is told under rules that allow reading the misc device.
pub const READ_OF_MISC: &str = "disk-read no\nmisc-read yes\nmisc-write no\nnull-write yes\n";
