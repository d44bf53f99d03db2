//! The lines, and the differences that are meant.

use crate::observe::Peer;
use crate::support::Bundle;

/// What a container is before the line is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Unknown,
    Created,
    Running,
    Paused,
    Stopped,
}

use State::{Created, Paused, Running, Stopped, Unknown};

/// A command line without the runtime's name and `--root`; `ID` is the container's.
#[derive(Clone, Debug)]
pub struct Line {
    pub words: String,
    pub state: State,
    verb: &'static str,
}

impl Line {
    /// The verb that the line is about; `global` where it is about options before any.
    pub fn verb(&self) -> &'static str {
        self.verb
    }

    /// The words, with the container's id. A pid file is named by its whole path: crun takes a relative one for one of the bundle.
    pub fn words(&self, bundle: &Bundle) -> Vec<String> {
        let pid_file = bundle.dir.join("out.pid").to_string_lossy().into_owned();
        self.words
            .split_whitespace()
            .map(|word| word.replace("ID", &bundle.id).replace("''", "").replace("out.pid", &pid_file))
            .collect()
    }

    /// Whether the peer has not the verb or the flag, so that there is nothing to compare.
    pub fn is_unknown_to(&self, peer: Peer) -> bool {
        let list: &[&str] = match peer {
            Peer::Corten => &[],
            Peer::Runc => &["--regex", "--config", "--cgroup-manager"],
            Peer::Crun => &[
                // Debian's is built without CRIU.
                "checkpoint",
                "restore",
                "events",
                "features",
                "--criu",
                "--additional-gids",
                "--ignore-paused",
                "--keep",
                "-g",
                "--l3-cache-schema",
                "help",
                "-h",
            ],
        };
        self.words.split_whitespace().any(|word| list.contains(&word.split('=').next().unwrap()))
    }
}

const VERBS: &[&str] = &[
    "create",
    "start",
    "run",
    "exec",
    "state",
    "kill",
    "delete",
    "list",
    "ps",
    "pause",
    "resume",
    "update",
    "events",
    "spec",
    "features",
    "checkpoint",
    "restore",
];

/// The lines of each verb beside those that all verbs have.
const LINES: &[(&str, State, &[&str])] = &[
    (
        "global",
        Unknown,
        &[
            "",
            "--help",
            "-h",
            "--version",
            "-v",
            "nonsense",
            "--nonsense",
            "--nonsense state ID",
            "--root",
            "--log-format xml state ID",
            "--log-format=json --log log state ID",
            "--log log --log-format json state ID",
            "--log log state ID",
            "--log=log --log-format=text state ID",
            "--log",
            "--log /nowhere/log state ID",
            "--debug state ID",
            "--debug --debug state ID",
            "--log nowhere/log --log log --log-format text --log-format json state ID",
            "--rootless=true state ID",
            "--rootless false state ID",
            "--rootless auto state ID",
            "--criu /x state ID",
            "--systemd-cgroup --nonsense",
            "--log log --log-format json start ID",
            "--log log --log-format json delete ID",
            "--log log --log-format json kill ID",
            "--log log --log-format json list",
        ],
    ),
    (
        "global",
        Running,
        &["--debug state ID", "--log log state ID", "--log-format json state ID", "--rootless=auto state ID"],
    ),
    (
        "create",
        Unknown,
        &[
            "create --bundle bundle ID",
            "create -b bundle ID",
            "create --bundle nowhere --no-pivot --bundle bundle --no-pivot ID",
            "create --bundle=bundle ID",
            "create ID",
            "create --bundle nowhere ID",
            "create --bundle bundle/config.json ID",
            "create --bundle bundle --pid-file out.pid ID",
            "create --bundle bundle --pid-file=out.pid ID",
            "create --bundle bundle --pid-file /nowhere/pid ID",
            "create --bundle bundle --no-pivot ID",
            "create --bundle bundle --no-new-keyring ID",
            "create --bundle bundle --preserve-fds 0 ID",
            "create --bundle bundle --preserve-fds x ID",
            "create --bundle bundle --preserve-fds -1 ID",
            "create --bundle bundle --console-socket nowhere ID",
            "create --bundle",
            "create --bundle bundle a/b",
            "create --bundle bundle ..",
            "create --bundle bundle ''",
            "create ID --bundle bundle",
            "create --bundle bundle -- ID",
        ],
    ),
    ("create", Created, &["create --bundle bundle ID"]),
    ("create", Running, &["create --bundle bundle ID"]),
    ("create", Stopped, &["create --bundle bundle ID"]),
    (
        "run",
        Unknown,
        &[
            "run --bundle bundle --detach ID",
            "run -b bundle -d ID",
            "run --bundle=bundle --detach --pid-file=out.pid ID",
            "run --bundle nowhere ID",
            "run -d --bundle bundle --console-socket nowhere ID",
            "run ID",
            "run -d --bundle bundle --no-subreaper ID",
            "run -d --bundle bundle --keep ID",
            "run -d --bundle bundle a*b",
        ],
    ),
    ("run", Running, &["run --bundle bundle ID", "run -d --bundle bundle ID"]),
    ("start", Created, &["start ID ID", "start --nonsense ID"]),
    (
        "exec",
        Running,
        &[
            "exec ID true",
            "exec ID false",
            "exec ID sh -c exit",
            "exec --user 0 --cwd /nowhere --cwd / --user 0 ID true",
            "exec ID nosuch",
            "exec ID /bin/nosuch",
            "exec ID /etc",
            "exec ID",
            "exec --cwd /bin ID ./true",
            "exec --cwd /nowhere/at/all ID true",
            "exec --env A=b ID env",
            "exec -e A ID true",
            "exec --user 0 ID true",
            "exec --user 0:0 ID true",
            "exec --user x ID true",
            "exec -u 1:x ID true",
            "exec --additional-gids 5 ID true",
            "exec -g x ID true",
            "exec --process nowhere ID",
            "exec --process in ID",
            "exec --detach --pid-file out.pid ID sleep 0",
            "exec -d --pid-file=out.pid ID true",
            "exec --no-new-privs ID true",
            "exec --cap CAP_KILL ID true",
            "exec -c CAP_NONSENSE ID true",
            "exec --preserve-fds 0 ID true",
            "exec --preserve-fds x ID true",
            "exec --tty=false ID true",
            "exec -t -d ID true",
            "exec --console-socket nowhere ID true",
            "exec --cgroup /nowhere ID true",
            "exec --ignore-paused ID true",
            "exec ID true --nonsense",
            "exec ID -- true",
            "exec --nonsense ID true",
            "exec ID sleep --nonsense",
        ],
    ),
    ("exec", Unknown, &["exec ID true", "exec --process in ID"]),
    ("exec", Created, &["exec ID true"]),
    ("exec", Paused, &["exec ID true"]),
    ("exec", Stopped, &["exec ID true"]),
    (
        "kill",
        Running,
        &[
            "kill ID",
            "kill ID KILL",
            "kill ID SIGKILL",
            "kill ID 9",
            "kill ID kill",
            "kill ID sigterm",
            "kill ID 0",
            "kill ID 65",
            "kill ID NONSENSE",
            "kill ID -1",
            "kill --all ID KILL",
            "kill -a ID 9",
            "kill --all=true ID KILL",
            "kill ID RTMIN+1",
            "kill ID KILL more",
            "kill ID --all",
        ],
    ),
    ("kill", Stopped, &["kill ID KILL", "kill --all ID KILL", "kill ID 0"]),
    ("kill", Created, &["kill ID KILL", "kill ID NONSENSE"]),
    ("kill", Unknown, &["kill ID NONSENSE", "kill --all ID", "kill --regex no.*such KILL"]),
    (
        "delete",
        Running,
        &["delete -f ID", "delete --force ID", "delete --force=true ID", "delete --force=false ID"],
    ),
    (
        "delete",
        Unknown,
        &["delete -f ID", "delete --force ID", "delete --regex no.*such", "delete --force a/b"],
    ),
    ("delete", Paused, &["delete --force ID"]),
    ("delete", Created, &["delete --force ID"]),
    (
        "list",
        Running,
        &[
            "list",
            "list -q",
            "list --quiet",
            "list --format json",
            "list -f json",
            "list --format=table",
            "list -f xml",
            "list --format",
            "list -q -f json",
        ],
    ),
    ("list", Unknown, &["list --format json", "list -f table"]),
    ("list", Created, &["list -f json"]),
    ("list", Stopped, &["list -f json"]),
    (
        "ps",
        Running,
        &[
            "ps --format json ID",
            "ps -f json ID",
            "ps --format=table ID",
            "ps -f xml ID",
            "ps ID -ef",
            "ps ID -o pid,comm",
            "ps ID -o nonsense",
        ],
    ),
    (
        "update",
        Running,
        &[
            "update --resources=- ID",
            "update --resources - ID",
            "update -r in ID",
            "update --resources in ID",
            "update --resources nowhere ID",
            "update --pids-limit 32 ID",
            "update --pids-limit=-1 ID",
            "update --pids-limit x ID",
            "update --memory 64m ID",
            "update --memory 67108864 ID",
            "update --memory x ID",
            "update --memory=-1 ID",
            "update --memory-swap=-1 ID",
            "update --memory-reservation 32M ID",
            "update --cpu-share 512 ID",
            "update --cpu-shares 512 ID",
            "update --cpu-quota 50000 --cpu-period 100000 ID",
            "update --cpu-quota x ID",
            "update --cpu-period=100000 ID",
            "update --cpuset-cpus 0 ID",
            "update --cpuset-cpus 999 ID",
            "update --cpuset-mems 0 ID",
            "update --blkio-weight 5 ID",
            "update --memory 1 ID",
            "update ID --pids-limit 32",
        ],
    ),
    ("update", Created, &["update --pids-limit 32 ID", "update --resources=- ID"]),
    ("update", Stopped, &["update --pids-limit 32 ID"]),
    ("update", Unknown, &["update --resources=- ID"]),
    (
        "events",
        Running,
        &[
            "events --stats ID",
            "events --stats --interval 1s ID",
            "events --interval=1s --stats ID",
            "events --interval x ID",
            "events --interval 0s ID",
            "events --stats=true ID",
        ],
    ),
    ("events", Created, &["events --stats ID"]),
    ("events", Stopped, &["events --stats ID"]),
    (
        "spec",
        Unknown,
        &["spec --bundle bundle", "spec -b nowhere", "spec", "spec --rootless", "spec --bundle=io"],
    ),
    ("features", Unknown, &["features"]),
    ("state", Running, &["state --nonsense ID", "state ID ID"]),
    (
        "checkpoint",
        Created,
        &[
            "checkpoint --image-path images --leave-running ID",
            "checkpoint --manage-cgroups-mode sometimes ID",
            "checkpoint --page-server nowhere ID",
            "checkpoint --empty-ns pid ID",
            "checkpoint --status-fd x ID",
            "checkpoint --pre-dump --parent-path /absolute ID",
        ],
    ),
    (
        "restore",
        Unknown,
        &[
            "restore --bundle bundle --image-path nowhere ID",
            "restore -d --bundle nowhere --image-path images ID",
            "restore --bundle bundle --manage-cgroups-mode sometimes ID",
            "restore --bundle bundle --console-socket nowhere ID",
        ],
    ),
];

/// Every line.
pub fn lines() -> Vec<Line> {
    let mut all = Vec::new();
    let mut add = |verb, words: String, state| all.push(Line { words, state, verb });
    for verb in VERBS {
        for words in ["VERB --help", "VERB -h", "VERB --nonsense ID"] {
            add(verb, words.replace("VERB", verb), Unknown);
        }
        if ["list", "spec", "features"].contains(verb) {
            continue;
        }
        add(verb, (*verb).to_owned(), Unknown);
        let more = if ["kill", "ps", "exec"].contains(verb) { "" } else { " more" };
        for state in [Unknown, Created, Running, Paused, Stopped] {
            // What becomes of a dump is CRIU's affair, not the line's.
            let dumps = *verb == "checkpoint" && matches!(state, Running | Paused);
            if !["create", "run", "exec"].contains(verb) && !dumps {
                let words =
                    if *verb == "events" { "events --stats ID".to_owned() } else { format!("{verb} ID") };
                add(verb, words, state);
            }
        }
        if !more.is_empty() && !["create", "run"].contains(verb) {
            add(verb, format!("{verb} ID{more}"), Running);
        }
    }
    for (verb, state, lines) in LINES {
        for words in *lines {
            add(verb, (*words).to_owned(), *state);
        }
    }
    all.dedup_by(|one, other| one.words == other.words && one.state == other.state);
    all
}

/// A difference that is meant: of which lines, from whom, and why.
#[derive(Debug)]
pub struct Difference {
    peers: &'static [Peer],
    lines: &'static [(&'static str, &'static [State])],
    pub why: &'static str,
}

const EVERY: &[State] = &[Unknown, Created, Running, Paused, Stopped];

impl Difference {
    pub fn is_about(&self, line: &Line, peer: Peer) -> bool {
        let is_it = |(words, states): &(&str, &[State])| *words == line.words && states.contains(&line.state);
        self.peers.contains(&peer) && !line.is_unknown_to(peer) && self.lines.iter().any(is_it)
    }
}

const BOTH: &[Peer] = &[Peer::Runc, Peer::Crun];
const RUNC: &[Peer] = &[Peer::Runc];
const CRUN: &[Peer] = &[Peer::Crun];

/// Every difference.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        peers: BOTH,
        lines: &[("create --bundle bundle --preserve-fds -1 ID", EVERY)],
        why: "fewer than no descriptors are refused",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("create --bundle bundle a/b", EVERY),
            ("create --bundle bundle ..", EVERY),
            ("create --bundle bundle ''", EVERY),
        ],
        why: "an id that cannot be is told as one, in runc's words",
    },
    Difference {
        peers: CRUN,
        lines: &[("create ID --bundle bundle", EVERY)],
        why: "options may stand behind the id, as in runc",
    },
    Difference {
        peers: RUNC,
        lines: &[("", EVERY)],
        why: "a line that asks for nothing is an error, and shows what can be asked",
    },
    Difference {
        peers: RUNC,
        lines: &[("nonsense", EVERY)],
        why: "an unknown verb is an error like others; runc says 3",
    },
    Difference {
        peers: BOTH,
        lines: &[
            ("--log log --log-format json list", EVERY),
            ("list --format json", &[Unknown]),
            ("list -f table", &[Unknown]),
        ],
        why: "a --root that is not there is an error, as of runc 1.5",
    },
    Difference {
        peers: CRUN,
        lines: &[("kill --regex no.*such KILL", EVERY), ("delete --regex no.*such", EVERY)],
        why: "a --root that is not there is an error, as of runc 1.5",
    },
    Difference {
        peers: CRUN,
        lines: &[("--rootless=auto state ID", EVERY)],
        why: "crun 1.8 takes the value of --rootless for that of --root",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("exec ID", &[Running]),
            ("exec --user x ID true", EVERY),
            ("exec -u 1:x ID true", EVERY),
            ("exec --process nowhere ID", EVERY),
            ("exec -t -d ID true", EVERY),
            ("exec ID true", &[Unknown, Paused, Stopped]),
            ("exec --process in ID", &[Unknown]),
        ],
        why: "exec that could not begin is 255, as in runc; crun 1.8 says 1",
    },
    Difference {
        peers: CRUN,
        lines: &[("exec --env A=b ID env", EVERY), ("exec -e A ID true", EVERY)],
        why: "the container's environment stays; crun 1.8 throws it away, PATH too",
    },
    Difference {
        peers: BOTH,
        lines: &[("exec --process in ID", &[Running])],
        why: "what is missing is named as a path in the document",
    },
    Difference {
        peers: RUNC,
        lines: &[("exec -g x ID true", EVERY)],
        why: "exec that could not begin is 255, whatever the reason",
    },
    Difference {
        peers: BOTH,
        lines: &[("exec -c CAP_NONSENSE ID true", EVERY)],
        why: "a capability that was typed wrong is an error; in a document it is a warning",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("exec --preserve-fds x ID true", EVERY),
            ("exec --console-socket nowhere ID true", EVERY),
            ("exec --cgroup /nowhere ID true", EVERY),
            ("create --bundle bundle --preserve-fds x ID", EVERY),
            ("run -d --bundle bundle a*b", EVERY),
            ("kill ID NONSENSE", &[Running, Created]),
            ("pause ID more", EVERY),
            ("resume ID more", EVERY),
            ("update ID", &[Stopped]),
            ("update --pids-limit 32 ID", &[Stopped]),
            ("resume ID", &[Created, Running]),
            ("pause ID", &[Paused]),
            ("delete --force a/b", EVERY),
            ("ps ID", &[Stopped]),
        ],
        why: "crun 1.8 lets it pass, or dies of it",
    },
    Difference {
        peers: RUNC,
        lines: &[("exec --cgroup /nowhere ID true", EVERY)],
        why: "the cgroup is named, and no word of a missing file: podman takes these for a missing command",
    },
    Difference {
        peers: BOTH,
        lines: &[("ps --nonsense ID", EVERY)],
        why: "what is no option of ours belongs to ps(1)",
    },
    Difference { peers: CRUN, lines: &[("ps ID", &[Unknown])], why: "an error is 1; crun 1.8 says 253" },
    Difference {
        peers: CRUN,
        lines: &[("ps ID -ef", EVERY), ("ps ID -o pid,comm", EVERY), ("update ID --pids-limit 32", EVERY)],
        why: "crun has no options of ps(1), and none behind the id",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("list --format json", &[Running]),
            ("list -f json", &[Running, Created, Stopped]),
            ("list -q -f json", EVERY),
        ],
        why: "the document has runc's members; -q prints ids alone",
    },
    Difference {
        peers: RUNC,
        lines: &[("events --interval 0s ID", EVERY)],
        why: "an interval that cannot be is one with the other wrong values",
    },
    Difference {
        peers: BOTH,
        lines: &[("kill ID 65", EVERY), ("kill ID -1", EVERY)],
        why: "no signal has this number, which is said instead of an errno of the kernel",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("kill --all=true ID KILL", EVERY),
            ("delete --force=true ID", EVERY),
            ("delete --force=false ID", EVERY),
        ],
        why: "a switch takes true and false, as in runc",
    },
    Difference {
        peers: RUNC,
        lines: &[("kill ID RTMIN+1", EVERY)],
        why: "real-time signals have names, as in crun",
    },
    Difference {
        peers: BOTH,
        lines: &[
            ("kill ID NONSENSE", &[Unknown]),
            ("checkpoint --manage-cgroups-mode sometimes ID", EVERY),
            ("checkpoint --page-server nowhere ID", EVERY),
            ("checkpoint --empty-ns pid ID", EVERY),
            ("restore --bundle bundle --manage-cgroups-mode sometimes ID", EVERY),
        ],
        why: "the line is read whole before a container is looked for",
    },
    Difference { peers: RUNC, lines: &[("features", EVERY)], why: "runc 1.1 knows an older specification" },
    Difference {
        peers: CRUN,
        lines: &[("start ID", &[Running, Paused, Stopped]), ("resume ID", &[Stopped])],
        why: "the state that the container is in is named, in runc's words",
    },
    Difference {
        peers: CRUN,
        lines: &[("update --resources nowhere ID", EVERY)],
        why: "a file that is missing is no container that is missing: crun's words do not tell",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("update --pids-limit x ID", EVERY),
            ("update --memory x ID", EVERY),
            ("update --cpu-quota x ID", EVERY),
            ("update --memory 64m ID", EVERY),
            ("update --memory-reservation 32M ID", EVERY),
            ("update --pids-limit=-1 ID", EVERY),
        ],
        why: "sizes have units, -1 is no limit, and a wrong value is an error of the line, as in runc",
    },
    Difference {
        peers: RUNC,
        lines: &[("update --blkio-weight 5 ID", EVERY)],
        why: "a weight that the specification forbids is refused, whether or not this kernel has weights",
    },
    Difference {
        peers: CRUN,
        lines: &[("update --memory 1 ID", EVERY)],
        why: "the limit that cannot be is named with what is in use",
    },
];
