//! Images, and the registries they come from and go to.

use super::Sees::{Done, Id, Prints, Refuses, Shows, Terminal};
use super::{Row, aside, typed};

pub const SESSION: &[Row] = &[
    typed("ocictl info", Shows(&["hostname:", "ociRuntime:", "graphRoot:", "docker.io"])),
    typed(
        "ocictl search busybox",
        Shows(&["NAME", "DESCRIPTION", "docker.io/busybox", "Busybox base image.", "[OK]"]),
    ),
    aside("ocictl push busybox docker.io/library/busybox:latest", Done),
    aside("ocictl rmi -f busybox", Shows(&["Deleted: "])),
    typed("ocictl images", Shows(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"])),
    aside("ocictl images -q", Prints("")),
    typed("ocictl pull docker.io/library/busybox:latest", Id),
    typed("ocictl image ls", Shows(&["docker.io/library/busybox", "latest"])),
    aside("ocictl run --rm busybox echo pulled", Prints("pulled")),
    aside("ocictl rmi busybox", Shows(&["Untagged: docker.io/library/busybox:latest"])),
    // A name without a registry is looked for where names are searched.
    aside("ocictl run --rm busybox echo pulled-by-run", Prints("pulled-by-run")),
    aside("ocictl pull docker.io/library/nothere", Refuses(1, "nothere")),
    aside("ocictl tag busybox myreg:5000/myimage", Done),
    typed("ocictl push myreg:5000/myimage", Done),
    aside(
        "ocictl search --list-tags myreg:5000/myimage --format '{{.Name}} {{.Tag}}'",
        Prints("myreg:5000/myimage latest"),
    ),
    aside("ocictl tag busybox myimage", Done),
    typed("ocictl image rm myimage", Prints("Untagged: localhost/myimage:latest")),
    aside("ocictl tag busybox your.registry/group/rhel", Done),
    aside(
        "ocictl push --tls-verify=false your.registry/group/rhel",
        Refuses(1, "ocictl login your.registry"),
    ),
    aside("ocictl login -u user -p secret your.registry", Refuses(1, "certificate")),
    typed(
        "ocictl login --tls-verify=false your.registry",
        Terminal(&[("Username: ", "user\n"), ("Password: ", "wrong\n")], 1),
    ),
    aside(
        "ocictl login --tls-verify=false your.registry",
        Terminal(&[("Username: ", "user\n"), ("Password: ", "secret\n"), ("Login Succeeded!", "")], 0),
    ),
    typed("ocictl push --tls-verify=false your.registry/group/rhel", Done),
    aside("ocictl rmi your.registry/group/rhel", Done),
    aside("ocictl pull -q --tls-verify=false your.registry/group/rhel", Id),
    aside("ocictl logout your.registry", Prints("Removed login credentials for your.registry")),
    aside(
        "ocictl pull --tls-verify=false your.registry/group/rhel",
        Refuses(1, "ocictl login your.registry"),
    ),
    aside("ocictl save -o /tmp/saved.tar busybox", Done),
    aside("ocictl rmi -a", Shows(&["Deleted: "])),
    aside("ocictl load -i /tmp/saved.tar", Shows(&["Loaded image: docker.io/library/busybox:latest"])),
    aside("ocictl version", Shows(&["Version:", "OS/Arch:"])),
    aside("ocictl version --format '{{.Client.Version}}'", Prints(env!("CARGO_PKG_VERSION"))),
];
