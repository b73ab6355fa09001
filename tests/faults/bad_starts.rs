//! A server that cannot start: settings, secrets, addresses and directories that are wrong. Each ends with the exit code of whose fault
//! it is (2: what was typed, 3: what was found) and one sentence that names the thing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use hearth_tests::{Start, binary};

/// One start that fails, told in one sentence with these words in it.
fn refused(start: Start, code: i32, words: &[&str]) {
    let output = start.fail();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {told}");
    let lines: Vec<&str> = told.lines().filter(|line| !line.trim().is_empty()).collect();
    // A settings file that cannot be parsed is shown at the place.
    let most = if told.contains("TOML parse error") { 6 } else { 1 };
    assert!(lines[0].starts_with("error: ") && lines.len() <= most, "{words:?}: {told}");
    for word in words {
        assert!(told.contains(word), "it does not say {word}: {told}");
    }
}

#[test]
fn settings_that_are_wrong_are_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("settings.toml");
    let with = |text: &str| {
        fs::write(&file, text).unwrap();
        Start::default().on(&home.path().join("data")).with("--config", file.to_str().unwrap())
    };
    refused(with("listen = "), 2, &["settings.toml"]);
    refused(with("[queue]\nretires = 3"), 2, &["retires", "`retries`", "queue"]);
    refused(with("[queue]\nretries = \"often\""), 2, &["often", "queue.retries"]);
    refused(with("[queue]\nage = \"soon\""), 2, &["soon", "queue.age"]);
    refused(with("\u{0}\u{1}"), 2, &["settings.toml"]);
    fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    let path = file.to_str().unwrap();
    refused(Start::default().with("--config", path), 2, &["settings.toml"]);
    let gone = home.path().join("gone.toml");
    refused(
        Start::default().with("--config", gone.to_str().unwrap()),
        2,
        &["gone.toml", "does not exist"],
    );
    let folder = home.path().to_str().unwrap();
    refused(Start::default().with("--config", folder), 2, &[folder]);
    refused(Start::default().with("--queue-retries", "9"), 2, &["retries", "9", "8"]);
    refused(Start::default().with("--queue-age", "0s"), 2, &["queue.age", "nothing would run"]);
    refused(Start::default().with("--queue-backoff", "1h"), 2, &["queue.backoff", "1h", "5m"]);
    refused(Start::default().with("--queue-retries", "few"), 2, &["queue.retries", "few"]);
    refused(Start::default().with("--listen", "here"), 2, &["socket address", "listen"]);
    assert!(!home.path().join("data").exists(), "nothing was made before the settings were read");
}

#[test]
fn addresses_that_are_taken_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    refused(Start::default().on(&data).with("--listen", &address), 3, &[&address, "--listen"]);
    refused(Start::default().on(&data).with("--admin-listen", &address), 3, &[&address]);
    assert!(!data.join("hearth.db").exists(), "a taken port is found before anything is made");
    let nobody = "192.0.2.1:9000";
    let open = Start::default().with("--listen", nobody).with("--auth", "off");
    let output = open.fail();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

fn key(data: &Path) -> std::path::PathBuf {
    let made = Command::new(binary())
        .args(["key", "create", "--role", "admin", "--data-dir"])
        .arg(data)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    data.join("sealing.key")
}

#[test]
fn a_sealing_key_that_is_not_right_is_named() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let file = key(&data);
    let right = fs::read(&file).unwrap();
    let start = || Start::default().on(&data);
    let write = |path: &Path, bytes: &[u8], mode| {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::remove_file(&file).unwrap();
    refused(start(), 3, &["sealing.key", "put it back"]);
    assert!(!file.exists(), "no other is made in its place");
    write(&file, &right[1..], 0o600);
    refused(start(), 3, &["sealing.key", "31 bytes"]);
    write(&file, &[7; 32], 0o600);
    refused(start(), 3, &["does not open"]);
    write(&file, &right, 0o644);
    refused(start(), 3, &["sealing.key", "chmod 600"]);
    let elsewhere = home.path().join("elsewhere.key");
    refused(start().with("--sealing-key", elsewhere.to_str().unwrap()), 3, &["elsewhere.key"]);
    write(&file, &right, 0o600);
    let mut server = start().start();
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn what_else_is_missing_is_named() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    refused(Start::default().on(&data).with("--auth", "required"), 2, &["key"]);
    let ports = home.path().join("no/ports.json");
    refused(
        Start::default().on(&data).with("--port-file", ports.to_str().unwrap()),
        3,
        &["port file"],
    );
    // A lock that is a folder, and folders that are files: left by who knows whom.
    fs::create_dir_all(data.join("hearth.lock.d")).unwrap();
    for (name, is_folder) in [
        ("hearth.lock", true),
        ("hearth.db", true),
        ("code", false),
        ("artifacts", false),
        ("logs", false),
    ] {
        let data = home.path().join(format!("with-{name}"));
        fs::create_dir_all(&data).unwrap();
        match is_folder {
            true => fs::create_dir(data.join(name)).unwrap(),
            false => fs::write(data.join(name), "x").unwrap(),
        }
        refused(Start::default().on(&data), 3, &[data.to_str().unwrap()]);
    }
}
