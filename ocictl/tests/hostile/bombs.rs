//! Row H6: little that becomes much. Each is read within 256 MB of addresses and ends with one error, and nothing stays.

use crate::engine::Engine;
use crate::stage::{FILE, Layer, Stage, archive_of, one_error};
use crate::support::{self, Scratch, goarch, header, seal};
use serde_json::json;
use std::fs;
use std::io::Write;

/// A stage in memory: what a bomb writes before it is noticed is no business of the disk.
fn in_memory(name: &str) -> Stage {
    let scratch = Scratch::in_memory(&format!("hostile-{name}"));
    let canary = crate::canary::Canary::new(&scratch.path, "canary");
    Stage { engine: Engine { scratch }, canary }
}

/// Loads an image whose layer these bytes are.
fn refuse(stage: &Stage, name: &str, layer: Vec<u8>, wanted: &str) {
    let id = format!("sha256:{}", "0".repeat(64));
    let document = json!({ "architecture": goarch(), "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": [id] } });
    let file = stage.file("bomb.tar", &archive_of("bomb", document.to_string().as_bytes(), &[layer]));
    let said = one_error(&stage.bounded(&["load", "-q", "-i", &file]), name);
    assert!(said.contains(wanted), "{name}: {said}");
    fs::remove_file(file).expect("removed");
    stage.engine.ok(&["system", "check", "--repair"]);
    stage.engine.scratch.assert_empty();
}

/// Many bytes that are all the same, compressed.
fn packed(zstd: bool, front: &[u8], gibibytes: usize) -> Vec<u8> {
    let zeros = vec![0u8; 1 << 20];
    if zstd {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.write_all(front).expect("to memory");
        (0..gibibytes * 1024).for_each(|_| encoder.write_all(&zeros).expect("to memory"));
        return encoder.finish().expect("to memory");
    }
    // A member of zeros, again and again: gzip's members follow each other.
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
        encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("to memory")
    };
    [member(front), member(&zeros).repeat(gibibytes * 1024)].concat()
}

/// The header of a file of so many bytes.
fn large(name: &str, bytes: u64) -> Vec<u8> {
    let mut block = header(name, FILE, 0, "");
    block[124..136].copy_from_slice(&[0; 12]);
    block[124] = 0x80;
    block[128..136].copy_from_slice(&bytes.to_be_bytes());
    seal(block).to_vec()
}

#[test]
fn h6_compressed_bombs_are_noticed() {
    let stage = in_memory("h6-compressed");
    let front = large("zeros", 40 << 30);
    refuse(&stage, "gzip", packed(false, &front, 40), "this is a bomb");
    refuse(&stage, "zstd", packed(true, &front, 4), "this is a bomb");
    // A window of 2 GiB: a frame that makes its reader hold as much.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
    refuse(&stage, "a window of 2 GiB", window.to_vec(), "requires too much memory");
    stage.canary.assert_unchanged();
}

#[test]
fn h6_many_entries_are_too_many() {
    let stage = in_memory("h6-entries");
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    for number in 0..5_000_000 {
        // Headers differ in six digits; the whole would be 2.5 GB.
        let block = header(&format!("{number}"), FILE, 0, "");
        encoder.write_all(&block).expect("to memory");
        if number == 1_100_000 {
            break; // More are never read.
        }
    }
    refuse(&stage, "five million files", encoder.finish().expect("to memory"), "1000000 entries");
    stage.canary.assert_unchanged();
}

#[test]
fn h6_headers_that_claim_much_get_little() {
    let stage = in_memory("h6-headers");
    let many: Vec<String> = (0..1_000_000).map(|number| format!("key{number}")).collect();
    let records: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "1")).collect();
    refuse(&stage, "a million records", Layer::default().pax(&records).add(FILE, "x", "").end(), "1048576");
    let long = "n".repeat(8 << 20);
    refuse(
        &stage,
        "a name of 8 MiB",
        Layer::default().pax(&[("path", &long)]).add(FILE, "x", "").end(),
        "1048576",
    );
    let gnu = Layer::default().raw(header("././@LongLink", b'L', long.len() as u64, ""), long.as_bytes());
    refuse(&stage, "GNU's", gnu.add(FILE, "x", "").end(), "1048576");
    // A terabyte of holes: refused as an index, harmless as a directory's file. Here only its digest is wrong.
    let sparse = [("GNU.sparse.size", "1099511627776"), ("GNU.sparse.map", "0,512,1099511627000,8")];
    refuse(&stage, "a terabyte", Layer::default().pax(&sparse).add(FILE, "x", &"x".repeat(520)).end(), "");
    let attributes: Vec<(String, String)> =
        (0..100).map(|number| (format!("SCHILY.xattr.user.a{number}"), "v".repeat(9000))).collect();
    let records: Vec<(&str, &str)> =
        attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    refuse(&stage, "attributes", Layer::default().pax(&records).add(FILE, "x", "").end(), "attributes");
    stage.canary.assert_unchanged();
}

#[test]
fn h6_documents_of_archives_are_small() {
    let stage = in_memory("h6-documents");
    for name in ["manifest.json", "index.json", "repositories"] {
        // 4 GiB are promised; 9 MiB of blanks would be JSON so far.
        let mut bytes = large(name, 4 << 30);
        bytes.resize(9 << 20, b' ');
        let file = stage.file("documents.tar", &bytes);
        let said = one_error(&stage.bounded(&["load", "-q", "-i", &file]), name);
        assert!(!said.contains("memory"), "{name}: {said}");
        stage.engine.ok(&["system", "check", "--repair"]);
        stage.engine.scratch.assert_empty();
    }
    let depth = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let file = stage.file("deep.tar", &support::tar(&[("manifest.json", depth.as_bytes())]));
    one_error(&stage.bounded(&["load", "-q", "-i", &file]), "a deep document");
    stage.canary.assert_unchanged();
}
