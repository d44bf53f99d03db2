//! Programs in containers: what they are given, who they are, and what comes out of them.

use super::Sees::{AsHost, Done, Id, Prints, Refuses, Shows, Terminal};
use super::{Row, aside, typed};

pub const SESSION: &[Row] = &[
    typed("ocictl container run -d -p 10.0.0.1:1080:80 --name web1 httpd", Refuses(125, "--publish")),
    typed("ocictl container run -d -P httpd", Refuses(125, "--publish")),
    aside("ocictl container run -d --name web1 httpd", Id),
    typed(
        "ocictl container exec -it web1 /bin/bash",
        Terminal(&[("", "cat /etc/httpd.conf; tty\n"), ("Listen 80", ""), ("/dev/pts/", "exit 4\n")], 4),
    ),
    aside("ocictl exec web1 sh -c 'echo Listen 8080 > /etc/httpd.conf'", Done),
    typed("ocictl container commit web1 httpd:2.6", Id),
    aside("ocictl run --rm httpd:2.6 cat /etc/httpd.conf", Prints("Listen 8080")),
    typed("ocictl container cp web1:/etc/httpd.conf /tmp", Prints("")),
    aside("cat /tmp/httpd.conf", Prints("Listen 8080")),
    aside("ocictl logs web1; ocictl rm -f web1", Prints("web1")),
    typed(
        "ocictl run -e POSTGRES_PORT=1234 -e POSTGRES_USER=pg my-app",
        Prints("POSTGRES_PORT=1234\nPOSTGRES_USER=pg"),
    ),
    // Without a terminal, and with nothing to read, a shell ends.
    typed("ocictl run my-app bash", Prints("")),
    typed(
        "ocictl run -it --entrypoint /bin/sh image",
        Terminal(&[("", "echo $((40+4)); exit 5\n"), ("44", "")], 5),
    ),
    aside(
        "ocictl run --rm --pull never image echo here; ocictl run --rm --pull=missing image echo there",
        Prints("here\nthere"),
    ),
    typed("ocictl run --network=host image", AsHost("readlink /proc/self/ns/net")),
    typed("ocictl run -v /:/mnt --rm --user root image sh -c 'echo hello > /mnt/root/test'", Prints("")),
    aside("cat /root/test", Prints("hello")),
    typed(
        "ocictl run -it --rm --privileged --pid=host debian nsenter -t 1 -m -u -n -i sh",
        Terminal(
            &[
                ("", "readlink /proc/1/exe; cat /root/test; echo $((50+5)); exit\n"),
                ("hello", ""),
                ("55", ""),
            ],
            0,
        ),
    ),
    typed(
        "ocictl run -it --rm --volume $(pwd):$(pwd) --workdir $(pwd) rhel bash",
        Terminal(&[("", "pwd; echo kept > file; exit\n"), ("/here", "")], 0),
    ),
    aside("cat file", Prints("kept")),
    aside("ocictl ps -a --format '{{.Image}}' | sort -u", Shows(&["my-app"])),
];
