//! What `events --stats` tells of resctrl: the lines of the container's class, what the processor could do, and what it counts.
//!
//! Documentation/filesystems/resctrl.rst, "Info directory" and "mon_data"; the names are runc's, which its Go callers parse. What the
//! machine does not have is left out.

use super::mount_point;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A class, and what is counted of the container.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    #[serde(skip_serializing_if = "Option::is_none")]
    l3_cache_info: Option<CacheInfo>,
    /// What the default class has of the cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    l3_cache_schema_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    l3_cache_schema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_bw_info: Option<BandwidthInfo>,
    /// What the default class has of the bandwidth.
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_bw_schema_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_bw_schema: Option<String>,
    /// Memory bandwidth, one for each cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    mbm_stats: Option<Vec<Bandwidth>>,
    /// Cache, one for each cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    cmt_stats: Option<Vec<Occupancy>>,
}

/// How caches can be shared: `info/L3`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct CacheInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    cbm_mask: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_cbm_bits: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_closids: Option<u64>,
}

/// How bandwidth can be shared: `info/MB`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct BandwidthInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    bandwidth_gran: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_linear: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_bandwidth: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_closids: Option<u64>,
}

/// Bytes since the group was made; the kernel may have no number now.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Bandwidth {
    #[serde(skip_serializing_if = "Option::is_none")]
    mbm_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mbm_local_bytes: Option<u64>,
}

/// Bytes of the cache now; the kernel may have no number now.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Occupancy {
    #[serde(skip_serializing_if = "Option::is_none")]
    llc_occupancy: Option<u64>,
}

impl Stats {
    /// Reads them for the container `id` by its directories below resctrl: the class and then its monitoring group, if it has
    /// one. What has another name than its own is not counted: the numbers would be others', too.
    pub fn read(directories: &[String], id: &str) -> Self {
        if directories.is_empty() {
            return Self::default();
        }
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        mount_point(&table).map_or_else(Self::default, |root| Self::below(Path::new(root), directories, id))
    }

    fn below(root: &Path, directories: &[String], id: &str) -> Self {
        let counted = directories.iter().map(Path::new).rfind(|path| path.ends_with(id));
        let domains = counted.map_or_else(Vec::new, |path| domains(&path.join("mon_data")));
        let schemata = |directory: &Path| text(&directory.join("schemata")).unwrap_or_default();
        let of_root = schemata(root);
        let of_class = directories.first().map_or_else(String::new, |class| schemata(Path::new(class)));
        Self {
            l3_cache_info: CacheInfo::read(&root.join("info")),
            l3_cache_schema_root: lines(&of_root, is_cache),
            l3_cache_schema: lines(&of_class, is_cache),
            mem_bw_info: BandwidthInfo::read(&root.join("info/MB")),
            mem_bw_schema_root: lines(&of_root, is_bandwidth),
            mem_bw_schema: lines(&of_class, is_bandwidth),
            mbm_stats: each(&domains, &["mbm_total_bytes", "mbm_local_bytes"], Bandwidth::read),
            cmt_stats: each(&domains, &["llc_occupancy"], Occupancy::read),
        }
    }
}

impl CacheInfo {
    /// With code and data apart there are two of them, which say the same.
    fn read(info: &Path) -> Option<Self> {
        let found = ["L3", "L3CODE"].map(|name| info.join(name)).into_iter().find(|path| path.is_dir())?;
        Some(Self {
            cbm_mask: text(&found.join("cbm_mask")),
            min_cbm_bits: number(&found.join("min_cbm_bits")),
            num_closids: number(&found.join("num_closids")),
        })
    }
}

impl BandwidthInfo {
    fn read(info: &Path) -> Option<Self> {
        info.is_dir().then(|| Self {
            bandwidth_gran: number(&info.join("bandwidth_gran")),
            delay_linear: number(&info.join("delay_linear")),
            min_bandwidth: number(&info.join("min_bandwidth")),
            num_closids: number(&info.join("num_closids")),
        })
    }
}

impl Bandwidth {
    fn read(domain: &Path) -> Self {
        Self {
            mbm_total_bytes: number(&domain.join("mbm_total_bytes")),
            mbm_local_bytes: number(&domain.join("mbm_local_bytes")),
        }
    }
}

impl Occupancy {
    fn read(domain: &Path) -> Self {
        Self { llc_occupancy: number(&domain.join("llc_occupancy")) }
    }
}

/// The caches that are counted, in their order: `mon_L3_00` and on.
fn domains(mon_data: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(mon_data) else { return Vec::new() };
    let is_cache =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"mon_L3_"));
    let mut found: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_cache).collect();
    found.sort();
    found
}

/// What `read` says of each cache; nothing where none has any of the `files`.
fn each<T>(domains: &[PathBuf], files: &[&str], read: fn(&Path) -> T) -> Option<Vec<T>> {
    let counts = |domain: &PathBuf| files.iter().any(|file| domain.join(file).is_file());
    domains.iter().any(counts).then(|| domains.iter().map(|domain| read(domain)).collect())
}

/// The lines of one resource. With code and data apart the cache has two.
fn lines(schemata: &str, is_wanted: fn(&str) -> bool) -> Option<String> {
    let named = |line: &&str| line.split_once(':').is_some_and(|(name, _)| is_wanted(name));
    let found: Vec<&str> = schemata.lines().map(str::trim).filter(named).collect();
    (!found.is_empty()).then(|| found.join("\n"))
}

fn is_cache(resource: &str) -> bool {
    matches!(resource, "L3" | "L3CODE" | "L3DATA")
}

fn is_bandwidth(resource: &str) -> bool {
    resource == "MB"
}

/// A number; the kernel may say `Unavailable` or `Unassigned` instead.
fn number(path: &Path) -> Option<u64> {
    u64::from_str(&text(path)?).ok()
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;
    use serde_json::json;
    use std::fs;

    /// Counters as the kernel has them; of the energy nothing is told.
    fn count(fake: &Fake, group: &str, numbers: [[&str; 3]; 2]) {
        for (domain, values) in ["mon_L3_00", "mon_L3_01"].iter().zip(numbers) {
            let directory = format!("{group}/mon_data/{domain}");
            fs::create_dir_all(fake.root().join(&directory)).unwrap();
            for (file, value) in ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"].iter().zip(values) {
                fake.write(&format!("{directory}/{file}"), &format!("{value}\n"));
            }
        }
        fs::create_dir_all(fake.root().join(group).join("mon_data/mon_PERF_PKG_00")).unwrap();
    }

    fn info(fake: &Fake, cache: &str) {
        fs::create_dir_all(fake.root().join("info").join(cache)).unwrap();
        for (file, value) in [("cbm_mask", "fffff"), ("min_cbm_bits", "2"), ("num_closids", "16")] {
            fake.write(&format!("info/{cache}/{file}"), &format!("{value}\n"));
        }
        for (file, value) in [("delay_linear", "1"), ("min_bandwidth", "10"), ("num_closids", "8")] {
            fake.write(&format!("info/MB/{file}"), &format!("{value}\n"));
        }
    }

    fn told(fake: &Fake, directories: &[&str]) -> serde_json::Value {
        let path = |name: &&str| fake.root().join(name).to_str().unwrap().to_owned();
        let directories: Vec<String> = directories.iter().map(path).collect();
        serde_json::to_value(Stats::below(fake.root(), &directories, "web1")).unwrap()
    }

    #[test]
    fn l18_own_class_is_told_with_its_counters() {
        let fake = Fake::new("stats-own");
        info(&fake, "L3");
        fake.write("schemata", "    L3:0=fffff;1=fffff\n    MB:0=100;1=100\n");
        fake.fill("web1");
        fake.write("web1/schemata", "    L2:0=f\n    L3:0=ff;1=f\n    MB:0= 20;1=100\n");
        count(&fake, "web1", [["4096", "70000", "60000"], ["Unavailable", "Unassigned", "5"]]);
        let expected = json!({
            "l3_cache_info": { "cbm_mask": "fffff", "min_cbm_bits": 2, "num_closids": 16 },
            "l3_cache_schema_root": "L3:0=fffff;1=fffff",
            "l3_cache_schema": "L3:0=ff;1=f",
            "mem_bw_info": { "bandwidth_gran": 10, "delay_linear": 1, "min_bandwidth": 10, "num_closids": 8 },
            "mem_bw_schema_root": "MB:0=100;1=100",
            "mem_bw_schema": "MB:0= 20;1=100",
            "mbm_stats": [{ "mbm_total_bytes": 70000, "mbm_local_bytes": 60000 }, { "mbm_local_bytes": 5 }],
            "cmt_stats": [{ "llc_occupancy": 4096 }, {}],
        });
        assert_eq!(told(&fake, &["web1"]), expected);
    }

    #[test]
    fn l18_of_a_shared_class_only_the_monitoring_group_is_counted() {
        let fake = Fake::new("stats-shared");
        info(&fake, "L3CODE");
        fake.fill("gold");
        fake.write("gold/schemata", "L3DATA:0=ff\nL3CODE:0=f0\n");
        count(&fake, "gold", [["1", "1", "1"], ["1", "1", "1"]]);
        let group = "gold/mon_groups/web1";
        count(&fake, group, [["7", "8", "9"], ["0", "0", "0"]]);
        let of_class = told(&fake, &["gold"]);
        assert_eq!(of_class["l3_cache_schema"], "L3DATA:0=ff\nL3CODE:0=f0");
        assert_eq!(of_class["l3_cache_info"]["cbm_mask"], "fffff");
        assert_eq!((of_class.get("mbm_stats"), of_class.get("cmt_stats")), (None, None));
        let of_group = told(&fake, &["gold", group]);
        assert_eq!(of_group["cmt_stats"], json!([{ "llc_occupancy": 7 }, { "llc_occupancy": 0 }]));
        assert_eq!(of_group["mbm_stats"][0], json!({ "mbm_total_bytes": 8, "mbm_local_bytes": 9 }));
    }

    #[test]
    fn l18_what_the_processor_lacks_is_left_out() {
        let fake = Fake::new("stats-poor");
        fs::remove_dir_all(fake.root().join("info/MB")).unwrap();
        fake.fill("web1");
        assert_eq!(told(&fake, &["web1"]), json!({}));
        assert_eq!(Stats::read(&[], "web1"), Stats::default());
    }
}
