//! The same bundles under corten, Debian's runc and Debian's crun, side by side: what a program inside sees, what the host sees,
//! and what is left. Differences are none, or rows of `docs/differences.md` with a reason; a row that nothing shows any more
//! fails the test, too.
//!
//! `make differential` prints the summary. `DIFFERENTIAL=NAME…` runs some bundles only and leaves the rows of the others alone.

#[path = "differential/case.rs"]
mod case;
#[path = "differential/cases/mod.rs"]
mod cases;
#[path = "differential/hooks.rs"]
mod hooks;
#[path = "differential/side.rs"]
mod side;
#[path = "differential/sight.rs"]
mod sight;
mod support;
#[path = "differential/table.rs"]
mod table;

use case::Case;
use sight::Sight;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use table::{Found, PEERS, Row};

/// What is compared where.
struct Ground {
    cases: Vec<Case>,
    rows: Vec<Row>,
    /// The versions that the table is about.
    versions: [&'static str; 2],
    /// Leaves of what was seen what is compared.
    narrow: fn(&mut Sight),
}

impl Ground {
    /// With the hierarchies of v1 all bundles beside Debian 12's peers; on v2 alone, which is the test host, those about
    /// cgroups beside Debian 13's.
    fn here() -> Self {
        if support::cgroups::v1("memory").is_some() {
            let rows = table::read("docs/differences.md", include_str!("../docs/differences.md"));
            return Self {
                cases: cases::all(),
                rows,
                versions: ["runc version 1.1.5", "crun version 1.8.1"],
                narrow: |_| {},
            };
        }
        let rows = table::read("docs/differences-v2.md", include_str!("../docs/differences-v2.md"));
        let versions = ["runc version 1.1.15", "crun version 1.21"];
        Self { cases: cases::on_v2_host(), rows, versions, narrow: to_cgroups }
    }
}

/// What takes the place of a value that is not there.
const ABSENT: &str = "—";

#[test]
fn corten_runc_and_crun_show_the_same_container() {
    if support::skip_on_peer("it compares corten with both peers itself") {
        return;
    }
    let Ground { cases: all, rows, versions, narrow } = Ground::here();
    let peers: Vec<(usize, PathBuf)> =
        (0..PEERS.len()).filter_map(|peer| Some((peer, installed(peer, versions[peer])?))).collect();
    if peers.is_empty() {
        eprintln!("skipped: without a peer there is nothing to compare with");
        return;
    }
    let wanted = std::env::var("DIFFERENTIAL").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    let names: BTreeSet<&str> = all.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), all.len(), "each bundle has a name of its own");
    let chosen: Vec<&Case> =
        all.iter().filter(|case| wanted.is_empty() || wanted.contains(&case.name)).collect();
    let mut seen = look_at_all(&chosen, &peers);
    seen.iter_mut().flatten().for_each(narrow);

    let mut wrong = Vec::new();
    let mut summary = String::new();
    for (case, sights) in chosen.iter().zip(&seen) {
        summary += &format!("{:28}", case.name);
        for ((peer, _), sight) in peers.iter().zip(&sights[1..]) {
            let verdict = judge(case.name, *peer, &sights[0], sight, &rows, &mut wrong);
            summary += &format!(" {}: {verdict:24}", PEERS[*peer]);
        }
        summary += "\n";
    }
    println!("{summary}{} bundles", chosen.len());
    if wanted.is_empty() {
        let there: Vec<usize> = peers.iter().map(|(peer, _)| *peer).collect();
        wrong.extend(rows.iter().flat_map(|row| row.stale(&there)));
    }
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn difference_without_a_row_is_wrong_and_so_is_a_row_without_a_difference() {
    let sight = |umask: &str| Sight::of(&[("umask", umask), ("cwd", "/")]);
    let rows = |bundles: &str| {
        table::read("table", &format!("| `umask` | {bundles} | `0022` | `0077` | `=` | because |"))
    };
    let judged = |rows: &[Row], theirs: &str| {
        let mut wrong = Vec::new();
        let verdict = judge("one", 0, &sight("0022"), &sight(theirs), rows, &mut wrong);
        wrong.extend(rows.iter().flat_map(|row| row.stale(&[0, 1])));
        (verdict, wrong.len())
    };
    assert_eq!(judged(&rows("all"), "0077"), ("1 expected".to_owned(), 0));
    assert_eq!(judged(&rows("`o*`"), "0077"), ("1 expected".to_owned(), 0));
    // A bundle that does not show it, another value, none.
    assert_eq!(judged(&rows("`one`, `two`"), "0077"), ("1 expected".to_owned(), 1));
    assert_eq!(judged(&rows("all"), "0027"), ("1 UNEXPECTED".to_owned(), 2));
    assert_eq!(judged(&rows("all"), "0022"), ("same".to_owned(), 1));
}

/// Everything else is compared where the peers are older. The options of the machine's one tree are left out: crun takes some
/// of them away, and whoever comes after it sees that; so are the files of rdma, which a peer hands down for all that come after it.
fn to_cgroups(sight: &mut Sight) {
    let verbs = ["create", "start", "delete", "ends", "exit code", "left behind"];
    let begins = ["cgroup", "file ", "mount /sys/fs/cgroup", "mknod-", "read-", "write-"];
    let is_about = |key: &str| verbs.contains(&key) || begins.iter().any(|word| key.starts_with(word));
    sight.values.retain(|key, _| is_about(key) && !key.starts_with("file cgroup/rdma."));
    if let Some(tree) = sight.values.get_mut("mount /sys/fs/cgroup") {
        tree.truncate(tree.rfind(' ').unwrap_or_default());
    }
}

/// The peer's path, if it is there in the version that the table is about.
fn installed(peer: usize, wanted: &str) -> Option<PathBuf> {
    let path = ["/usr/sbin", "/usr/bin"]
        .map(|dir| PathBuf::from(dir).join(PEERS[peer]))
        .into_iter()
        .find(|path| path.exists());
    let Some(path) = path else {
        eprintln!("skipped: {} is not installed", PEERS[peer]);
        return None;
    };
    let output = Command::new(&path).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    if !version.starts_with(wanted) {
        eprintln!("skipped: the table of differences is about {wanted}, and this is {version}");
        return None;
    }
    Some(path)
}

/// For each case what corten shows, and then each peer; two cases at a time.
fn look_at_all(cases: &[&Case], peers: &[(usize, PathBuf)]) -> Vec<Vec<Sight>> {
    let next = AtomicUsize::new(0);
    let seen = Mutex::new(cases.iter().map(|_| Vec::new()).collect::<Vec<Vec<Sight>>>());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else { break };
            let runtimes =
                [support::runtime::program()].into_iter().chain(peers.iter().map(|(_, path)| path.clone()));
            let sights = runtimes.map(|runtime| side::look(case, &runtime)).collect();
            seen.lock().unwrap()[index] = sights;
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    seen.into_inner().unwrap()
}

/// What there is to say of a bundle under a peer; what no row explains is added to what is wrong.
fn judge(
    name: &str,
    peer: usize,
    ours: &Sight,
    theirs: &Sight,
    rows: &[Row],
    wrong: &mut Vec<String>,
) -> String {
    let differences = differences(name, peer, ours, theirs);
    let (mut expected, mut unexpected) = (0, 0);
    for found in &differences {
        // Every row that fits is marked, not only the first.
        if rows.iter().filter(|row| row.explains(found)).count() > 0 {
            expected += 1;
        } else {
            unexpected += 1;
            wrong.push(format!(
                "{name} `{}`: corten `{}`, {} `{}`",
                found.key, found.ours, PEERS[peer], found.theirs
            ));
        }
    }
    match (expected, unexpected) {
        (0, 0) => "same".to_owned(),
        (expected, 0) => format!("{expected} expected"),
        (_, unexpected) => format!("{unexpected} UNEXPECTED"),
    }
}

fn differences<'a>(bundle: &'a str, peer: usize, ours: &'a Sight, theirs: &'a Sight) -> Vec<Found<'a>> {
    let value = |sight: &'a Sight, key: &str| sight.values.get(key).map_or(ABSENT, String::as_str);
    // Where one of them refuses, or never ends, that is the difference.
    for key in ["create", "start", "ends", "exit code"] {
        let (ours, theirs) = (value(ours, key), value(theirs, key));
        if ours != theirs {
            return vec![Found { bundle, key, ours, peer, theirs }];
        }
    }
    let keys: BTreeSet<&'a str> =
        ours.values.keys().chain(theirs.values.keys()).map(String::as_str).collect();
    let found = keys.into_iter().map(|key| Found {
        bundle,
        key,
        ours: value(ours, key),
        peer,
        theirs: value(theirs, key),
    });
    found.filter(|found| found.ours != found.theirs).collect()
}
