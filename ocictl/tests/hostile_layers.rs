//! Layers that mean harm (security.md, table H): what each means is told, refused or harmless, and nothing outside of the layer
//! is touched; and random damage, where what we accept must be what GNU tar and bsdtar read.

mod support;

use ocictl::archive::tar::{Kind, Reader};
use ocictl::archive::tree::{Content, Id, ROOT, Tree};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use support::{Scratch, below, docker_archive, header, pax, seal, tar};

/// The tree that a tar means, a line a name; or what is said of it.
fn meaning(bytes: &[u8]) -> Result<String, String> {
    let mut reader = Reader::new(bytes);
    let mut tree = Tree::default();
    let read = (|| {
        while let Some(entry) = reader.next_entry()? {
            tree.insert(entry)?;
        }
        reader.drain()
    })();
    read.map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    list(&tree, ROOT, "", &mut lines);
    Ok(lines.join(" "))
}

fn list(tree: &Tree, id: Id, path: &str, lines: &mut Vec<String>) {
    let Content::Directory(children) = &tree.node(id).content else { return };
    for (name, child) in children {
        let node = tree.node(*child);
        let path = format!("{path}/{}", String::from_utf8_lossy(name));
        let kind = match &node.content {
            Content::Directory(_) if node.opaque => "!".to_owned(),
            Content::Directory(_) => String::new(),
            Content::File { size, .. } => format!("={size}"),
            Content::Symlink(target) => format!("->{}", String::from_utf8_lossy(target)),
            Content::Character(0, 0) => "x".to_owned(),
            _ => "?".to_owned(),
        };
        let links = if node.children().is_none() && node.links > 1 {
            format!("*{}", node.links)
        } else {
            String::new()
        };
        lines.push(format!("{path}{kind}{links}"));
        list(tree, *child, &path, lines);
    }
}

/// A tar of headers: type, path, link; files have one byte.
fn tar_of(entries: &[(u8, &str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, path, link) in entries {
        bytes.extend(header(path, *kind, u64::from(*kind == b'0'), link));
        if *kind == b'0' {
            bytes.extend([b'x'; 1]);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

#[test]
fn h1_h2_h3_names_are_resolved_within_the_layer() {
    const FILE: u8 = b'0';
    const HARD: u8 = b'1';
    const LINK: u8 = b'2';
    const DIRECTORY: u8 = b'5';
    type Row<'a> = (&'a [(u8, &'a str, &'a str)], Result<&'a str, &'a str>);
    let table: &[Row] = &[
        // Below a symlink, its target within the layer is meant.
        (&[(LINK, "a", "/etc"), (FILE, "a/x", "")], Ok("/a->/etc /etc /etc/x=1")),
        (&[(LINK, "a", "../../etc"), (FILE, "a/x", "")], Ok("/a->../../etc /etc /etc/x=1")),
        (&[(LINK, "a", "b"), (LINK, "b", "c"), (FILE, "a/x", "")], Ok("/a->b /b->c /c /c/x=1")),
        (&[(LINK, "a", "a"), (FILE, "a/x", "")], Err("too many levels of symbolic links")),
        (&[(LINK, "a", "b"), (LINK, "b", "a"), (FILE, "a/x", "")], Err("too many levels of symbolic links")),
        (&[(LINK, "a", "no/../such"), (FILE, "a/x", "")], Err("is not there, and back")),
        // A later entry replaces; nothing is written through what was there.
        (&[(LINK, "a", "/etc/passwd"), (FILE, "a", "")], Ok("/a=1")),
        (
            &[(DIRECTORY, "a", ""), (FILE, "a/x", ""), (LINK, "a", "/etc"), (FILE, "a/y", "")],
            Ok("/a->/etc /etc /etc/y=1"),
        ),
        (&[(FILE, "a", ""), (FILE, "a/x", "")], Err("\"a\" on its way is not a directory")),
        (&[(FILE, "a", ""), (DIRECTORY, "a", ""), (FILE, "a/x", "")], Ok("/a /a/x=1")),
        // Hard links share, within the layer, and not with symlinks' targets.
        (&[(FILE, "a", ""), (HARD, "b", "a"), (HARD, "c", "/b")], Ok("/a=1*3 /b=1*3 /c=1*3")),
        (
            &[(HARD, "a", "/etc/passwd")],
            Err("hard link to \"/etc/passwd\": there is no such file in this layer"),
        ),
        (&[(HARD, "a", "../../etc/passwd")], Err("goes up")),
        (&[(LINK, "a", "/etc/passwd"), (HARD, "b", "a")], Ok("/a->/etc/passwd*2 /b->/etc/passwd*2")),
        (&[(DIRECTORY, "a", ""), (HARD, "b", "a")], Err("there is no such file")),
        (&[(FILE, "a", ""), (HARD, "a", "a")], Ok("/a=1")),
        (&[(FILE, "a", ""), (HARD, "b", "a"), (FILE, "a", "")], Ok("/a=1 /b=1")),
        // The root is a directory and stays one.
        (&[(LINK, ".", "/etc")], Err("the root of a layer can only be a directory")),
        (&[(FILE, "/", "")], Err("which its kind cannot have")),
        (&[(LINK, "./", "x")], Err("the root of a layer can only be a directory")),
        (&[(FILE, "../x", "")], Err("goes up by \"..\"")),
        (&[(FILE, "a/../../x", "")], Err("goes up by \"..\"")),
        (
            &[(FILE, "/abs", ""), (FILE, "./rel", ""), (FILE, "a//b/./c", "")],
            Ok("/a /a/b /a/b/c=1 /abs=1 /rel=1"),
        ),
        // Whiteouts speak of the layers below.
        (&[(FILE, ".wh.a", "")], Ok("/ax")),
        (&[(FILE, ".wh.a", ""), (FILE, "a", "")], Ok("/a=1")),
        (&[(FILE, "a", ""), (FILE, ".wh.a", "")], Ok("/a=1")),
        (&[(FILE, ".wh.a", ""), (FILE, "a/b", "")], Ok("/a! /a/b=1")),
        (&[(DIRECTORY, "a", ""), (FILE, ".wh.a", "")], Ok("/a!")),
        (&[(FILE, "a/.wh..wh..opq", "")], Ok("/a!")),
        (&[(FILE, ".wh..wh.plnk", ""), (FILE, ".wh..wh.aufs/x", "")], Ok("/.wh..wh.aufs /.wh..wh.aufs/x=1")),
        (&[(FILE, ".wh.", "")], Err("a whiteout without a name")),
        (&[(FILE, ".wh...", "")], Err("a whiteout without a name")),
        (&[(LINK, "l", "/etc"), (FILE, "l/.wh.passwd", "")], Ok("/etc /etc/passwdx /l->/etc")),
        (&[(b'Z', "a", "")], Err("entries of type 'Z' are not supported")),
    ];
    for (entries, wanted) in table {
        let found = meaning(&tar_of(entries));
        match (wanted, &found) {
            (Ok(wanted), Ok(found)) => assert_eq!(wanted, found, "{entries:?}"),
            (Err(wanted), Err(said)) => assert!(said.contains(wanted), "{entries:?}: {said}"),
            _ => panic!("{entries:?}: wanted {wanted:?}, found {found:?}"),
        }
    }
}

#[test]
fn h5_headers_that_can_be_read_in_two_ways_are_refused() {
    let file = || tar(&[("file", b"content")]);
    let with = |front: Vec<u8>| [front, file()].concat();
    let long = |kind: u8, name: &str| {
        let mut bytes = header("././@LongLink", kind, name.len() as u64, "").to_vec();
        bytes.extend(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    let directory_with_data = [header("d", b'5', 512, "").to_vec(), vec![0; 512], file()].concat();
    let lone_zero = [vec![0; 512], file()].concat();
    let behind = [file(), header("hidden", b'0', 0, "").to_vec()].concat();
    let huge = {
        let mut block = header("huge", b'0', 0, "");
        block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        [seal(block).to_vec(), file()].concat()
    };
    let negative = {
        let mut block = header("negative", b'0', 0, "");
        block[124..136].copy_from_slice(&[0xff; 12]);
        [seal(block).to_vec(), file()].concat()
    };
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a size in PAX counts", with(pax(&[("size", "4096")])), "cut off"),
        ("no number", with(pax(&[("size", "0x10")])), "is no number"),
        ("twice in one header", with(pax(&[("path", "a"), ("path", "b")])), "it stands twice"),
        (
            "two headers",
            with([pax(&[("path", "a")]), pax(&[("path", "b")])].concat()),
            "two extended headers in a row",
        ),
        (
            "PAX and GNU",
            with([pax(&[("path", "a")]), long(b'L', "b")].concat()),
            "both a PAX path and a GNU long name",
        ),
        ("two long names", with([long(b'L', "a"), long(b'L', "b")].concat()), "two long names in a row"),
        ("a NUL in a long name", with(long(b'L', "a\0b")), "a NUL inside a long name"),
        ("a NUL in a PAX path", with(pax(&[("path", "a\0b")])), "a NUL in a name"),
        ("data of a directory", directory_with_data, "which its kind cannot have"),
        ("a lone block of zeros", lone_zero, "a lone block of zeros"),
        ("entries behind the end", behind, "data behind the end of the archive"),
        ("a huge size", huge, "beyond"),
        ("a negative size", negative, "a negative number"),
        ("a header for nobody", [pax(&[("path", "a")]), vec![0; 1024]].concat(), "belongs to no entry"),
        ("a uid beyond", with(pax(&[("uid", "4294967295")])), "uid: 4294967295 is beyond"),
        ("sparse 0.0", with(pax(&[("GNU.sparse.offset", "0"), ("GNU.sparse.numbytes", "1")])), "format 0.0"),
        (
            "a sparse bomb",
            with(pax(&[("GNU.sparse.size", "1"), ("GNU.sparse.map", &"0,0,".repeat(70_000))])),
            "pieces",
        ),
        (
            "a sparse map that lies",
            with(pax(&[("GNU.sparse.realsize", "100"), ("GNU.sparse.map", "0,9")])),
            "9 bytes for 7 bytes of data",
        ),
        (
            "a sparse map beyond its file",
            with(pax(&[("GNU.sparse.realsize", "3"), ("GNU.sparse.map", "0,7")])),
            "leave the file",
        ),
        ("a long component", with(pax(&[("path", &"n".repeat(256))])), "longer than 255 bytes"),
        ("a long path", with(pax(&[("path", &("n/".repeat(3000) + "n"))])), "longer than 4096 bytes"),
        ("too deep", with(pax(&[("path", &("n/".repeat(600) + "n"))])), "more than 500 deep"),
        ("a large PAX header", with(pax(&[("comment", &"n".repeat(2 << 20))])), "the most is 1048576"),
    ];
    for (name, bytes, wanted) in table {
        let said = meaning(&bytes).expect_err(name);
        assert!(said.contains(wanted), "{name}: {said}");
    }
}

#[test]
fn h2_orders_for_overlayfs_and_labels_do_not_come_with_a_layer() {
    let records = [
        ("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
        ("SCHILY.xattr.user.overlay.opaque", "y"),
        ("SCHILY.xattr.security.selinux", "x"),
        ("SCHILY.xattr.user.kept", "yes"),
        ("SCHILY.xattr.security.capability", "caps"),
    ];
    let bytes = [pax(&records), tar(&[("file", b"x")])].concat();
    let mut reader = Reader::new(bytes.as_slice());
    let mut tree = Tree::default();
    while let Some(entry) = reader.next_entry().expect("well-formed") {
        tree.insert(entry).expect("harmless");
    }
    let file = tree.nodes.iter().find(|node| node.children().is_none()).expect("the file");
    let names: Vec<String> =
        file.xattrs.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, ["user.kept", "security.capability"]);
}

#[test]
fn h6_a_bomb_is_bounded_and_leaves_nothing() {
    let scratch = Scratch::new("bomb");
    let sparse = [
        pax(&[("GNU.sparse.size", "1099511627776"), ("GNU.sparse.map", "0,512")]),
        tar(&[("huge", &[0; 512])]),
    ]
    .concat();
    let unaligned = [
        pax(&[("GNU.sparse.size", "1099511627776"), ("GNU.sparse.map", "1099511627000,512")]),
        tar(&[("huge", &[0; 512])]),
    ]
    .concat();
    // A terabyte with one piece of data, at a block or not.
    for (name, layer) in [("aligned", sparse), ("unaligned", unaligned)] {
        fs::write(scratch.join("bomb.tar"), docker_archive("bomb:1", &[layer])).expect("written");
        let bounds = ["sh", "-c", "ulimit -v 1000000; ulimit -f 2000000; exec \"$@\"", "sh"];
        let file = scratch.join("bomb.tar");
        let load = ["load", "-i", file.to_str().expect("text")];
        let output = below(&bounds, &scratch.command(), &load)
            .env("OCICTL_LAYERS", "index")
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("sparse file"), "{name}: {said}");
    }
    scratch.ok(&["system", "check", "--repair"]);
    scratch.assert_empty();
}

// ---- random damage ---------------------------------------------------------------------------------------------------

/// Small, quick and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("small")
    }
}

/// What a reader makes of a tar: names, and the data of all files behind each other.
type Reading = (Vec<String>, Vec<u8>);

fn ours(bytes: &[u8]) -> Option<Reading> {
    let mut reader = Reader::new(bytes);
    let (mut names, mut data) = (Vec::new(), Vec::new());
    while let Some(entry) = reader.next_entry().ok()? {
        if entry.sparse.is_some() {
            return None; // Compared as trees elsewhere.
        }
        names.push(String::from_utf8(entry.path.clone()).ok()?.trim_end_matches('/').to_owned());
        let is_file = entry.kind == Kind::File;
        reader
            .data(|piece| {
                if is_file {
                    data.extend_from_slice(piece);
                }
                Ok(())
            })
            .ok()?;
    }
    reader.drain().ok()?;
    Some((names, data))
}

/// What another program makes of it; nothing if it refuses.
fn theirs(program: &str, list: &[&str], extract: &[&str], bytes: &[u8]) -> Option<Reading> {
    let run = |arguments: &[&str]| {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take()?;
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&bytes));
        let output = child.wait_with_output().ok()?;
        let _it_may_stop_reading = writer.join();
        (output.status.success() && output.stderr.is_empty()).then_some(output.stdout)
    };
    let names = String::from_utf8(run(list)?).ok()?;
    let names = names.lines().map(|name| name.trim_end_matches('/').to_owned()).collect();
    Some((names, run(extract)?))
}

#[test]
fn h5_what_we_accept_gnu_tar_and_bsdtar_read_the_same() {
    let rounds: usize =
        std::env::var("OCICTL_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(150);
    let long = "directory/".repeat(20) + "name";
    let whole = [
        pax(&[("path", &long), ("mtime", "1.5")]),
        tar(&[("short", b"one"), ("two", &[b'2'; 700])])[..512 * 5].to_vec(),
        pax(&[("size", "600")]),
        tar(&[("three", &[b'3'; 600]), ("four", b"4")]),
    ]
    .concat();
    assert!(ours(&whole).is_some(), "the sound one is read: {:?}", meaning(&whole));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut compared) = (0, 0);
    for round in 0..rounds {
        let mut bytes = whole.clone();
        for _ in 0..=random.below(2) {
            damage(&mut bytes, &mut random);
        }
        let Some(reading) = ours(&bytes) else { continue };
        accepted += 1;
        if reading
            .0
            .iter()
            .any(|name| name.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b'\\'))
        {
            continue; // Printed in as many ways as there are programs.
        }
        let gnu = theirs("tar", &["-tPf", "-", "--quoting-style=literal"], &["-xOPf", "-"], &bytes);
        let bsd = theirs("bsdtar", &["-tf", "-"], &["-xOf", "-"], &bytes);
        for (name, other) in [("GNU tar", gnu), ("bsdtar", bsd)] {
            if let Some(other) = other {
                compared += 1;
                assert_eq!(reading.0, other.0, "round {round}: names by {name}");
                assert!(reading.1 == other.1, "round {round}: data by {name}");
            }
        }
    }
    assert!(accepted >= rounds / 20 && compared >= accepted / 2, "{accepted} accepted, {compared} compared");
}

/// Changes a byte, a number, a type, or the order of blocks; half of the time the checksum is made right again.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let blocks = bytes.len() / 512;
    let block = random.below(blocks);
    let at = block * 512;
    match random.below(6) {
        0 => bytes[at + random.below(512)] = u8::try_from(random.below(256)).expect("a byte"),
        1 => bytes[at + 124 + random.below(11)] = b"01234567 "[random.below(9)],
        2 => bytes[at + 156] = b"0123567LKxgS"[random.below(12)],
        3 => {
            let copy = bytes[at..at + 512].to_vec();
            let to = random.below(blocks) * 512;
            bytes.splice(to..to, copy);
        }
        4 => drop(bytes.drain(at..at + 512)),
        _ => {
            // Within an extended header: a digit of a size or a length.
            if let Some(digit) = (at..at + 512).find(|index| bytes[*index] == b'=') {
                bytes[digit + 1] = b"0123456789"[random.below(10)];
            }
        }
    }
    if random.below(4) > 0
        && let Some(found) = bytes.get(at..at + 512)
        && &found[257..262] == b"ustar"
    {
        let block: [u8; 512] = found.try_into().expect("a block");
        bytes[at..at + 512].copy_from_slice(&seal(block));
    }
}
