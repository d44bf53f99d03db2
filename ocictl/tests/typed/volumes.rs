//! Volumes, and directories of the machine.

use super::Sees::{Becomes, Done, Id, Prints, Refuses, Shows, Terminal};
use super::{Row, aside, typed};

pub const SESSION: &[Row] = &[
    typed("ocictl volume create myvol", Prints("myvol")),
    typed("ocictl volume ls", Shows(&["DRIVER", "VOLUME NAME", "local", "myvol"])),
    typed(
        "ocictl volume inspect myvol",
        Shows(&["\"Mountpoint\"", "/volumes/myvol/_data", "\"Driver\": \"local\""]),
    ),
    typed("ocictl volume rm myvol", Prints("myvol")),
    aside("ocictl volume inspect myvol", Refuses(1, "volume myvol: no such volume")),
    typed("ocictl run -d -it --name devtest --mount source=myvol2,target=/app nginx:latest", Id),
    aside("ocictl exec devtest touch /app/file", Done),
    aside("ocictl volume rm myvol2", Refuses(2, "it is in use by container devtest")),
    aside("ocictl rm -f devtest", Prints("devtest")),
    typed("ocictl run -d -it --name devtest -v myvol2:/app nginx:latest", Id),
    aside("ocictl exec devtest ls /app", Prints("file")),
    aside("ocictl rm -f devtest", Prints("devtest")),
    typed("ocictl run -d -v hello:/world busybox ls /world", Id),
    aside("ocictl volume ls -q", Prints("hello\nmyvol2")),
    aside("ocictl volume create repo", Prints("repo")),
    aside(
        "ocictl volume inspect --format '{{ .Mountpoint }}' repo | grep -o '/root/volumes/.*'",
        Becomes("/root/volumes/repo/_data"),
    ),
    typed("ocictl volume inspect --format '{{ .Mountpoint }}' repo", Shows(&["/root/volumes/repo/_data"])),
    aside("ocictl volume create; ocictl run --rm -v unnamed:/x busybox true", Id),
    // Of what no container has; that is asked first.
    aside("ocictl run -v /data busybox true", Done),
    aside("ocictl rm -a", Done),
    aside("ocictl volume prune", Refuses(1, "say --force")),
    typed("ocictl volume prune", Terminal(&[("[y/N]", "n\n")], 0)),
    aside("ocictl volume ls -q --filter dangling=true | wc -l", Prints("6")),
    aside("ocictl volume prune", Terminal(&[("[y/N]", "y\n")], 0)),
    aside("ocictl volume ls -q", Prints("hello\nmyvol2\nrepo\nunnamed")),
];
