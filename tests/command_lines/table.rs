//! The lines, and the differences that are meant.

use crate::observe::{Class, Peer};
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

/// A line in some states, and what comes of it under corten: the exit code and the class of the message.
type Pinned = (&'static str, &'static [State], i32, Class);

/// A difference that is meant: of which lines, from whom, and why. What ours do is said, too, lest anything goes there.
#[derive(Debug)]
pub struct Difference {
    peers: &'static [Peer],
    lines: &'static [Pinned],
    pub why: &'static str,
}

impl Difference {
    pub fn is_about(&self, line: &Line, peer: Peer) -> bool {
        self.peers.contains(&peer) && !line.is_unknown_to(peer) && self.pinned(line).is_some()
    }

    /// What comes of one of its lines under corten.
    pub fn pinned(&self, line: &Line) -> Option<(i32, Class)> {
        let is_it = |(words, states, ..): &&Pinned| *words == line.words && states.contains(&line.state);
        self.lines.iter().find(is_it).map(|(_, _, code, class)| (*code, *class))
    }
}

const BOTH: &[Peer] = &[Peer::Runc, Peer::Crun];
const RUNC: &[Peer] = &[Peer::Runc];
const CRUN: &[Peer] = &[Peer::Crun];

/// Every difference.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        peers: BOTH,
        lines: &[("create --bundle bundle --preserve-fds -1 ID", &[Unknown], 1, Class::Usage)],
        why: "fewer than no descriptors are refused",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("create --bundle bundle a/b", &[Unknown], 1, Class::BadId),
            ("create --bundle bundle ..", &[Unknown], 1, Class::BadId),
            ("create --bundle bundle ''", &[Unknown], 1, Class::BadId),
        ],
        why: "an id that cannot be is told as one, in runc's words",
    },
    Difference {
        peers: CRUN,
        lines: &[("create ID --bundle bundle", &[Unknown], 0, Class::None)],
        why: "options may stand behind the id, as in runc",
    },
    Difference {
        peers: RUNC,
        lines: &[("", &[Unknown], 1, Class::Usage)],
        why: "a line that asks for nothing is an error, and shows what can be asked",
    },
    Difference {
        peers: RUNC,
        lines: &[("nonsense", &[Unknown], 1, Class::Usage)],
        why: "an unknown verb is an error like others; runc says 3",
    },
    Difference {
        peers: BOTH,
        lines: &[
            ("--log log --log-format json list", &[Unknown], 1, Class::File),
            ("list --format json", &[Unknown], 1, Class::File),
            ("list -f table", &[Unknown], 1, Class::File),
        ],
        why: "a --root that is not there is an error, as of runc 1.5",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("kill --regex no.*such KILL", &[Unknown], 1, Class::File),
            ("delete --regex no.*such", &[Unknown], 1, Class::File),
        ],
        why: "a --root that is not there is an error, as of runc 1.5",
    },
    Difference {
        peers: CRUN,
        lines: &[("--rootless=auto state ID", &[Running], 0, Class::None)],
        why: "crun 1.8 takes the value of --rootless for that of --root",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("exec ID", &[Running], 255, Class::Process),
            ("exec --user x ID true", &[Running], 255, Class::Process),
            ("exec -u 1:x ID true", &[Running], 255, Class::Process),
            ("exec --process nowhere ID", &[Running], 255, Class::File),
            ("exec -t -d ID true", &[Running], 255, Class::Terminal),
            ("exec ID true", &[Unknown], 255, Class::Unknown),
            ("exec ID true", &[Paused], 255, Class::WrongState),
            ("exec ID true", &[Stopped], 255, Class::NotRunning),
            ("exec --process in ID", &[Unknown], 255, Class::Unknown),
        ],
        why: "exec that could not begin is 255, as in runc; crun 1.8 says 1",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("exec --env A=b ID env", &[Running], 0, Class::None),
            ("exec -e A ID true", &[Running], 255, Class::Process),
        ],
        why: "the container's environment stays; crun 1.8 throws it away, PATH too",
    },
    Difference {
        peers: CRUN,
        lines: &[("exec --process in ID", &[Running], 255, Class::Process)],
        why: "what is missing is named as a path in the document",
    },
    Difference {
        peers: RUNC,
        lines: &[("exec -g x ID true", &[Running], 255, Class::Process)],
        why: "exec that could not begin is 255, whatever the reason",
    },
    Difference {
        peers: BOTH,
        lines: &[("exec -c CAP_NONSENSE ID true", &[Running], 255, Class::Process)],
        why: "a capability that was typed wrong is an error; in a document it is a warning",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("exec --preserve-fds x ID true", &[Running], 1, Class::Usage),
            ("exec --console-socket nowhere ID true", &[Running], 255, Class::Terminal),
            ("exec --cgroup /nowhere ID true", &[Running], 255, Class::Cgroup),
            ("create --bundle bundle --preserve-fds x ID", &[Unknown], 1, Class::Usage),
            ("run -d --bundle bundle a*b", &[Unknown], 1, Class::BadId),
            ("kill ID NONSENSE", &[Running, Created], 1, Class::NoSignal),
            ("pause ID more", &[Running], 1, Class::Usage),
            ("resume ID more", &[Running], 1, Class::Usage),
            ("update ID", &[Stopped], 1, Class::NotRunning),
            ("update --pids-limit 32 ID", &[Stopped], 1, Class::NotRunning),
            ("resume ID", &[Created, Running], 1, Class::WrongState),
            ("pause ID", &[Paused], 1, Class::NotRunning),
            ("delete --force a/b", &[Unknown], 1, Class::BadId),
            ("ps ID", &[Stopped], 0, Class::None),
        ],
        why: "crun 1.8 lets it pass, or dies of it",
    },
    Difference {
        peers: BOTH,
        lines: &[("ps --nonsense ID", &[Unknown], 1, Class::Unknown)],
        why: "what is no option of ours belongs to ps(1)",
    },
    Difference {
        peers: CRUN,
        lines: &[("ps ID", &[Unknown], 1, Class::Unknown)],
        why: "an error is 1; crun 1.8 says 253",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("ps ID -ef", &[Running], 0, Class::None),
            ("ps ID -o pid,comm", &[Running], 0, Class::None),
            ("update ID --pids-limit 32", &[Running], 0, Class::None),
        ],
        why: "crun has no options of ps(1), and none behind the id",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("list --format json", &[Running], 0, Class::None),
            ("list -f json", &[Running, Created, Stopped], 0, Class::None),
            ("list -q -f json", &[Running], 0, Class::None),
        ],
        why: "the document has runc's members; -q prints ids alone",
    },
    Difference {
        peers: BOTH,
        lines: &[("kill ID 65", &[Running], 1, Class::NoSignal), ("kill ID -1", &[Running], 1, Class::Usage)],
        why: "no signal has this number, which is said instead of an errno of the kernel",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("kill --all=true ID KILL", &[Running], 0, Class::None),
            ("delete --force=true ID", &[Running], 0, Class::None),
            ("delete --force=false ID", &[Running], 1, Class::WrongState),
        ],
        why: "a switch takes true and false, as in runc",
    },
    Difference {
        peers: RUNC,
        lines: &[("kill ID RTMIN+1", &[Running], 0, Class::None)],
        why: "real-time signals have names, as in crun",
    },
    Difference {
        peers: BOTH,
        lines: &[
            ("kill ID NONSENSE", &[Unknown], 1, Class::NoSignal),
            ("checkpoint --manage-cgroups-mode sometimes ID", &[Created], 1, Class::Usage),
            ("checkpoint --page-server nowhere ID", &[Created], 1, Class::Usage),
            ("checkpoint --empty-ns pid ID", &[Created], 1, Class::Usage),
            ("checkpoint --pre-dump --parent-path /absolute ID", &[Created], 1, Class::Usage),
            ("restore --bundle bundle --manage-cgroups-mode sometimes ID", &[Unknown], 1, Class::Usage),
        ],
        why: "the line is read whole before a container is looked for",
    },
    Difference {
        peers: RUNC,
        lines: &[("features", &[Unknown], 0, Class::None)],
        why: "runc 1.1 knows an older specification",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("start ID", &[Running, Paused, Stopped], 1, Class::WrongState),
            ("resume ID", &[Stopped], 1, Class::WrongState),
        ],
        why: "the state that the container is in is named, in runc's words",
    },
    Difference {
        peers: CRUN,
        lines: &[("update --resources nowhere ID", &[Running], 1, Class::File)],
        why: "a file that is missing is no container that is missing: crun's words do not tell",
    },
    Difference {
        peers: CRUN,
        lines: &[
            ("update --pids-limit x ID", &[Running], 1, Class::Usage),
            ("update --memory x ID", &[Running], 1, Class::Usage),
            ("update --cpu-quota x ID", &[Running], 1, Class::Usage),
            ("update --memory 64m ID", &[Running], 0, Class::None),
            ("update --memory-reservation 32M ID", &[Running], 0, Class::None),
            ("update --pids-limit=-1 ID", &[Running], 0, Class::None),
        ],
        why: "sizes have units, -1 is no limit, and a wrong value is an error of the line, as in runc",
    },
    Difference {
        peers: RUNC,
        lines: &[("update --blkio-weight 5 ID", &[Running], 1, Class::Limit)],
        why: "a weight that the specification forbids is refused, whether or not this kernel has weights",
    },
    Difference {
        peers: CRUN,
        lines: &[("update --memory 1 ID", &[Running], 1, Class::Usage)],
        why: "the limit that cannot be is named with what is in use",
    },
];
