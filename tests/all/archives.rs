//! Archives made to deceive, as code: each is refused with the reason and nothing of it is kept.

use std::io::{Cursor, Write};

use hearth_tests::{Reply, Server, guest};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// How a local header begins, and a central one.
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";

fn archive(write: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    write(&mut zip);
    zip.finish().unwrap().into_inner()
}

fn files(files: &[(&str, &[u8])]) -> Vec<u8> {
    archive(|zip| {
        for (name, bytes) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
    })
}

/// Changes the bytes at an offset of every local header, and at another of every central one.
fn forged(mut zip: Vec<u8>, local: usize, central: usize, change: impl Fn(&mut [u8])) -> Vec<u8> {
    for at in 0..zip.len() {
        let rest = &zip[at..];
        let offset = match rest {
            _ if rest.starts_with(LOCAL) => local,
            _ if rest.starts_with(CENTRAL) => central,
            _ => continue,
        };
        change(&mut zip[at + offset..]);
    }
    zip
}

fn upload(server: &Server, zip: &[u8]) -> Reply {
    server.create_from_package("f", zip)
}

#[test]
fn each_trick_is_refused_and_named() {
    let server = Server::start();
    let echo = guest("wat-echo");
    let plain = || files(&[("main.wasm", &echo)]);
    let link = archive(|zip| {
        zip.add_symlink("main.wasm", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    });
    let many: Vec<String> = (0..10_001).map(|number| format!("{number}.txt")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let tricks: Vec<(&str, Vec<u8>, &str)> = vec![
        ("parent", files(&[("../main.wasm", &echo)]), "leads out of the archive"),
        ("inner parent", files(&[("a/../../main.wasm", &echo)]), "leads out of the archive"),
        ("absolute", files(&[("/main.wasm", &echo)]), "leads out of the archive"),
        ("backslash", files(&[("..\\main.wasm", &echo)]), "leads out of the archive"),
        ("drive", files(&[("c:main.wasm", &echo)]), "leads out of the archive"),
        ("beside", files(&[("main.wasm", &echo), ("../x", b"x")]), "leads out of the archive"),
        ("link", link, "not a plain file"),
        ("encrypted", forged(plain(), 6, 8, |flags| flags[0] |= 1), "encrypted"),
        ("wrong sum", forged(plain(), 14, 16, |sum| sum[0] ^= 1), "damaged"),
        (
            "two of a name",
            forged(files(&[("a.wasm", &echo), ("b.wasm", &echo)]), 30, 46, |name| name[0] = b'a'),
            "same name",
        ),
        ("many entries", files(&many), "10001 entries"),
        ("no code", files(&[("readme.txt", b"text")]), ".wasm"),
        ("two to choose from", files(&[("a.wasm", &echo), ("b.wasm", &echo)]), "several"),
        ("a bomb", files(&[("main.wasm", &vec![0; 63 << 20])]), "inflates"),
        ("a large bomb", files(&[("main.wasm", &vec![0; 65 << 20])]), "inflates"),
        (
            "an understated bomb",
            forged(files(&[("main.wasm", &vec![0; 65 << 20])]), 22, 24, |size| {
                size[..4].copy_from_slice(&[160, 0, 0, 0])
            }),
            "main.wasm",
        ),
        ("cut off", plain()[..plain().len() - 30].to_vec(), "archive"),
        ("empty", Vec::new(), "archive"),
        ("no archive", echo.clone(), "archive"),
    ];
    for (trick, zip, says) in tricks {
        let refused = upload(&server, &zip);
        assert_eq!(refused.status, 400, "{trick}: {}", refused.text());
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(says), "{trick}: {}", refused.text());
    }
    let listed = server.call("GET", "/services/s/functions", &Value::Null).json();
    assert_eq!(listed["functions"], json!([]), "nothing is left behind");
    let held = server.resident_bytes();
    assert!(held < 400 << 20, "{held} bytes are held after the bombs");
    assert_eq!(upload(&server, &plain()).status, 200);
}

#[test]
fn a_folder_with_one_binary_is_welcome() {
    let server = Server::start();
    let zip = files(&[
        ("readme.txt", b"text"),
        ("lib/other.wasm", b"\0asm"),
        ("main.wasm", &guest("wat-echo")),
    ]);
    assert_eq!(upload(&server, &zip).status, 200);
    assert_eq!(server.invoke("f", "hi").text(), "hi");
}

#[test]
fn an_upload_is_bounded_and_its_checksum_counts() {
    let server = hearth_tests::Start::default().with("--http-upload-size", "1MiB").start();
    let noise: Vec<u8> =
        (0u32..2 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    upload(&server, &noise).is_error(400, "EntityTooLarge");
    let zip = files(&[("main.wasm", &guest("wat-echo"))]);
    let wrong = server.create_from_package_with("f", &zip, &[("x-fc-code-checksum", "1")]);
    wrong.is_error(400, "InvalidArgument");
    assert!(wrong.text().contains("checksum"), "{}", wrong.text());
    let made = upload(&server, &zip);
    assert_eq!(made.status, 200, "{}", made.text());
    let sum = made.json()["codeChecksum"].as_str().unwrap().to_owned();
    let removed = server.call("DELETE", "/services/s/functions/f", &Value::Null);
    assert_eq!(removed.status, 204);
    let again = server.create_from_package_with("f", &zip, &[("x-fc-code-checksum", &sum)]);
    assert_eq!(again.status, 200, "{}", again.text());
}

#[test]
fn native_code_is_refused_as_such() {
    let server = Server::start();
    server.deploy("wat-echo");
    let artifact = server.files("artifacts").into_iter().next().expect("an artifact was written");
    let bytes = std::fs::read(artifact).unwrap();
    let native_at = bytes.windows(4).position(|four| four == b"\x7fELF").expect("native code");
    for code in [&bytes[..], &bytes[native_at..]] {
        let refused = server.create("native", code, json!({}));
        refused.is_error(400, "InvalidArgument");
    }
    let refused = server.create("native", &bytes[native_at..], json!({}));
    assert!(refused.text().contains("precompiled"), "{}", refused.text());
}
