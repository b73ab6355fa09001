//! Archives, good and hostile. What the zip crate refuses to write is made by patching bytes.

use std::io::Write;

use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;
use proptest::prelude::*;

use super::*;

const WASM: &[u8] = b"\0asm\x01\0\0\0";

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn open(bytes: Vec<u8>) -> Result<Bytes, PackageError> {
    wasm_of(&bytes.into(), &PackageLimits::default())
}

/// Replaces a text everywhere by one of the same length: names stand in two headers.
fn patch(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    for at in 0..bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from {
            bytes[at..at + from.len()].copy_from_slice(to);
        }
    }
    bytes
}

/// Sets a bit in the flags of all headers.
fn flag(mut bytes: Vec<u8>, bit: u8) -> Vec<u8> {
    for at in 0..bytes.len() - 10 {
        match &bytes[at..at + 4] {
            b"PK\x03\x04" => bytes[at + 6] |= bit,
            b"PK\x01\x02" => bytes[at + 8] |= bit,
            _ => {}
        }
    }
    bytes
}

#[test]
fn which_binary_is_taken() {
    assert_eq!(open(archive(&[("a/b/x.wasm", WASM), ("README", b"")])).unwrap(), WASM);
    let several = [("other.wasm", &b"no"[..]), ("main.wasm", WASM), ("index.wasm", b"no")];
    assert_eq!(open(archive(&several)).unwrap(), WASM);
    let deep = [("a/main.wasm", &b"no"[..]), ("b.wasm", b"no")];
    assert!(
        matches!(open(archive(&deep)), Err(PackageError::Ambiguous { names }) if names.len() == 2)
    );
    assert_eq!(open(archive(&[("index.js", b"x")])), Err(PackageError::NoWasm));
}

#[test]
fn path_tricks_are_refused() {
    for name in [
        "../a.wasm",
        "/a.wasm",
        "a/../../b.wasm",
        "..\\a.wasm",
        "C:a.wasm",
        "a//b.wasm",
        "a\n.wasm",
    ] {
        let entry = "x".repeat(name.len());
        let bytes = patch(archive(&[(&entry, WASM)]), entry.as_bytes(), name.as_bytes());
        assert!(matches!(open(bytes), Err(PackageError::UnsafePath { .. })), "{name}");
    }
}

#[test]
fn links_are_refused() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("a.wasm", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    assert!(matches!(open(bytes), Err(PackageError::NotPlain { .. })));
}

#[test]
fn duplicates_are_refused() {
    let bytes = archive(&[("a.wasm", WASM), ("b.wasm", b"evil")]);
    let bytes = patch(bytes, b"b.wasm", b"a.wasm");
    assert!(matches!(
        open(bytes),
        Err(PackageError::DuplicateNames | PackageError::Malformed { .. })
    ));
}

#[test]
fn encrypted_entries_are_refused() {
    let bytes = flag(archive(&[("a.wasm", WASM)]), 1);
    let found = open(bytes);
    assert!(matches!(found, Err(PackageError::Encrypted { .. })), "{found:?}");
}

#[test]
fn bombs_are_refused_while_inflating() {
    let zeros = vec![0; 8 << 20];
    let bytes = archive(&[("a.wasm", &zeros)]);
    let found = open(bytes.clone());
    assert!(matches!(found, Err(PackageError::Ratio { limit: 200, .. })), "{found:?}");
    let small = PackageLimits { code_bytes: 4096, ..PackageLimits::default() };
    let found = wasm_of(&bytes.into(), &small);
    assert!(matches!(found, Err(PackageError::TooLarge { limit_bytes: 4096, .. })), "{found:?}");
}

#[test]
fn a_size_that_lies_does_not_help() {
    let zeros = vec![7; 100_000];
    let honest = archive(&[("a.wasm", &zeros)]);
    let bytes = patch(honest, &100_000_u32.to_le_bytes(), &10_u32.to_le_bytes());
    let small = PackageLimits { code_bytes: 4096, ..PackageLimits::default() };
    assert!(wasm_of(&bytes.into(), &small).is_err());
}

#[test]
fn many_entries_are_refused_before_they_are_read() {
    let limits = PackageLimits { entries: 2, ..PackageLimits::default() };
    let bytes = archive(&[("a", b""), ("b", b""), ("c.wasm", WASM)]);
    let found = wasm_of(&bytes.into(), &limits);
    assert_eq!(found, Err(PackageError::TooManyEntries { count: 3, limit: 2 }));
}

#[test]
fn a_wrong_checksum_is_damage() {
    let text = b"\0asm\x01\0\0\0 some text that is stored";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("a.wasm", stored).unwrap();
    zip.write_all(text).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    let found = open(patch(bytes, b"some text", b"evil text"));
    assert!(matches!(found, Err(PackageError::Damaged { .. })), "{found:?}");
}

#[test]
fn what_is_no_archive_is_refused() {
    for bytes in [&b""[..], b"PK", b"hello", WASM, b"PK\x05\x06"] {
        assert!(open(bytes.to_vec()).is_err());
    }
    let whole = archive(&[("a.wasm", WASM)]);
    for length in 0..whole.len() {
        assert!(open(whole[..length].to_vec()).is_err(), "cut to {length}");
    }
}

proptest! {
    #[test]
    fn no_change_of_bytes_panics_or_exceeds_the_bound(
        at in proptest::collection::vec((0_usize..400, any::<u8>()), 1..8)
    ) {
        let mut bytes = archive(&[("a/b.txt", b"text text text"), ("main.wasm", &[7; 3000])]);
        for (at, byte) in at {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        if let Ok(wasm) = open(bytes) {
            prop_assert!(wasm.len() <= 1 << 20);
        }
    }
}
