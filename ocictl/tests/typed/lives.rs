//! Containers from their creation to their removal.

use super::Sees::{AsHost, Becomes, Done, Id, Prints, Refuses, Shows, Terminal};
use super::{Row, aside, typed};

pub const SESSION: &[Row] = &[
    typed("ocictl --help", Shows(&["Usage: ocictl", "container", "run", "pull"])),
    typed("ocictl run --help", Shows(&["Usage: ocictl run", "--volume", "--network", "--restart"])),
    typed("ocictl container create -i -t --name fed1 fedora bash", Id),
    typed("ocictl container start fed1", Prints("fed1")),
    typed(
        "ocictl container attach fed1",
        Terminal(&[("", "echo one-$((1+1)); test -t 0 && tty\n"), ("one-2", ""), ("/dev/", "\x10\x11")], 0),
    ),
    typed("ocictl ps", Shows(&["CONTAINER ID", "fed1", "fedora", "\"bash\"", "Up "])),
    typed("ocictl container stop fed1", Prints("fed1")),
    // A shell at a terminal passes SIGTERM over, and was killed in the end: 137. Others end by it.
    aside("ocictl inspect --format '{{.State.Status}} {{.State.ExitCode}}' fed1", Prints("exited 137")),
    aside(
        r#"ocictl run -d --name polite fedora sh -c 'trap "exit 7" TERM; while :; do sleep 0.1; done'"#,
        Id,
    ),
    aside("ocictl stop polite", Prints("polite")),
    aside("ocictl inspect --format '{{.State.ExitCode}}' polite; ocictl rm -f polite", Prints("7\npolite")),
    typed("ocictl container ls -a", Shows(&["fed1", "Exited (137)"])),
    aside("ocictl ps", Shows(&["CONTAINER ID"])),
    aside("ocictl ps -q", Prints("")),
    aside("ocictl start fed1", Prints("fed1")),
    aside("ocictl container rm fed1", Refuses(1, "container fed1: it is running")),
    typed("ocictl container kill fed1", Prints("fed1")),
    aside("ocictl inspect --format '{{.State.Status}} {{.State.ExitCode}}' fed1", Prints("exited 137")),
    typed("ocictl container rm fed1", Prints("fed1")),
    typed("ocictl ps -a", Shows(&["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES"])),
    aside("ocictl ps -a -q", Prints("")),
    typed("ocictl run ubuntu echo Hello World", Prints("Hello World")),
    typed(
        "ocictl run -ti ubuntu bash",
        Terminal(&[("", "echo two-$((2+2)); tty\n"), ("two-4", ""), ("/dev/pts/0", "exit 3\n")], 3),
    ),
    typed("ocictl run ubuntu ps -ef", Shows(&["    1 root     ps -ef"])),
    aside("ocictl run ubuntu nothere", Refuses(127, "\"nothere\": executable file not found in $PATH")),
    aside("ocictl run ubuntu /etc", Refuses(126, "exec: \"/etc\": is a directory")),
    aside("ocictl run --nothing ubuntu true", Refuses(125, "--nothing")),
    aside("ocictl run ubuntu sh -c 'exit 9'", Refuses(9, "")),
    typed("ocictl tag 2f131c88217 rhel", Done),
    typed(
        "ocictl run --rm -it 2f131c88217 bash",
        Terminal(&[("", "echo $((300+3)); exit\n"), ("303", "")], 0),
    ),
    typed("ocictl run --detach rhel sh -c 'sleep 30'", Id),
    aside("ocictl rename $(ocictl ps -l -q) romantic_jang", Done),
    aside("ocictl stop -t 0 romantic_jang", Prints("romantic_jang")),
    typed("ocictl start romantic_jang", Prints("romantic_jang")),
    aside("ocictl stop -t 0 romantic_jang", Prints("romantic_jang")),
    typed("ocictl rm romantic_jang", Prints("romantic_jang")),
    typed("ocictl run --restart always --detach rhel sh -c 'sleep 30'", Id),
    aside("ocictl rename $(ocictl ps -l -q) funny_cori", Done),
    typed(
        "ocictl exec -it funny_cori bash",
        Terminal(&[("", "cat /proc/1/cmdline\n"), ("sleep", "exit\n")], 0),
    ),
    aside("pid=$(ocictl inspect --format '{{.State.Pid}}' funny_cori); [ $pid -gt 1 ] && kill -9 $pid", Done),
    aside("ocictl inspect --format '{{.RestartCount}} {{.State.Status}}' funny_cori", Becomes("1 running")),
    aside("ocictl rm -f funny_cori", Prints("funny_cori")),
    aside("ocictl create --name CONTAINER --label purpose=typed fedora ls", Id),
    typed(
        "ocictl inspect CONTAINER",
        Shows(&["\"Name\": \"CONTAINER\"", "\"purpose\": \"typed\"", "\"created\""]),
    ),
    aside("ocictl info --format '{{.host.hostname}}'", AsHost("hostname")),
];
