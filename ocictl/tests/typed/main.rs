//! What people type, as introductions to docker and podman have it (`lines.txt`): each line is given to a shell as it stands there and prints
//! what its users expect. Networks have no place here yet: publishing a port is refused, in words.
//!
//! A session is a list of rows that are typed one after the other on a machine of its own ([`stage::Machine`]). One test compares the
//! rows of all sessions with `lines.txt`: no line is left out. That an ordinary user's container is not let into the machine's `/root`, as
//! root's is here, `rootless_containers.rs` shows.

#[path = "../engine/mod.rs"]
mod engine;
mod images;
mod lives;
mod programs;
#[path = "../support/registry.rs"]
mod registry;
mod stage;
mod volumes;

use engine::support;
use std::collections::BTreeSet;

/// A line and what is seen when it has been typed.
struct Row {
    line: &'static str,
    sees: Sees,
    /// Whether it is one of `lines.txt`, and not there to prepare or to look.
    listed: bool,
}

/// What is seen. Of rows that are no terminals, nothing is on stderr that begins with `Error`.
enum Sees {
    /// This alone is on stdout.
    Prints(&'static str),
    /// Each of these is in what is on stdout.
    Shows(&'static [&'static str]),
    /// An ID is on stdout, and it is an image's or a container's.
    Id,
    /// Nothing that matters here.
    Done,
    /// This is on stdout, sooner or later: the line is typed until then.
    Becomes(&'static str),
    /// What this line of a shell prints on the machine itself.
    AsHost(&'static str),
    /// The exit code, and what is on stderr.
    Refuses(i32, &'static str),
    /// At a terminal: what is read, then what is typed, and so on; the exit code.
    Terminal(&'static [(&'static str, &'static str)], i32),
}

const fn typed(line: &'static str, sees: Sees) -> Row {
    Row { line, sees, listed: true }
}

const fn aside(line: &'static str, sees: Sees) -> Row {
    Row { line, sees, listed: false }
}

/// Each session with its machine's name, the images that are on it, and whether there are registries.
macro_rules! sessions {
    ($($name:ident: $module:ident, $images:expr, $network:expr;)*) => {
        const SESSIONS: &[&[Row]] = &[$($module::SESSION),*];
        $(
            #[test]
            fn $name() {
                stage::play(stringify!($name), $images, $network, $module::SESSION);
            }
        )*
    };
}

sessions! {
    lives_of_containers: lives, &["fedora", "ubuntu", "rhel"], false;
    programs_inside: programs, &["httpd", "my-app", "debian", "image", "rhel"], false;
    volumes_and_directories: volumes, &["nginx", "busybox", "rhel", "image"], false;
    images_and_registries: images, &["busybox"], true;
}

#[test]
fn every_line_is_in_a_session() {
    let wanted: BTreeSet<&str> = include_str!("lines.txt").lines().collect();
    let rows = SESSIONS.iter().flat_map(|session| session.iter());
    let played: BTreeSet<&str> = rows.filter(|row| row.listed).map(|row| row.line).collect();
    assert_eq!(played, wanted);
}
