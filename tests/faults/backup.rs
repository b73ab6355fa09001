//! A backup of a server under load starts as a server of its own and has everything of its moment; what is damaged is found.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hearth_tests::{Server, Start, binary};
use serde_json::{Value, json};

use crate::kill::answering;

fn hearth(arguments: &[&str]) -> (bool, Value, String) {
    let mut command = std::process::Command::new(binary());
    let output = command.args(arguments).args(["--format", "json"]).output().unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.success(), told, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_backup_under_load_is_a_server() {
    let server = Server::start();
    server.deploy("wat-echo");
    let home = tempfile::tempdir().unwrap();
    let copy = home.path().join("copy");
    let is_over = AtomicBool::new(false);
    let before: Vec<String> = (0..20).map(|_| server.invoke_async("wat-echo", "x")).collect();
    let accepted = thread::scope(|scope| {
        let deploying = scope.spawn(|| {
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                number += 1;
                let made = server.create(&format!("f{number}"), &answering(number, 1), json!({}));
                assert_eq!(made.status, 200);
            }
        });
        let enqueuing = scope.spawn(|| {
            let mut accepted = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                accepted.push(server.invoke_async("wat-echo", "x"));
            }
            accepted
        });
        hearth_tests::eventually("some are there", || {
            server.metric("hearth_functions_stored") > 5.0
        });
        let (done, told, why) = hearth(&[
            "backup",
            &copy.display().to_string(),
            "--data-dir",
            &server.data_dir().display().to_string(),
        ]);
        is_over.store(true, Ordering::Relaxed);
        deploying.join().unwrap();
        assert!(done && told["functions"].as_u64() > Some(5), "{told} {why}");
        enqueuing.join().unwrap()
    });
    assert!(!accepted.is_empty());
    let (whole, told, why) = hearth(&["check", "--data-dir", &copy.display().to_string()]);
    assert!(whole, "{told} {why}");
    let restored = Start::default().on(&copy).start();
    assert_eq!(restored.invoke("wat-echo", "alive").text(), "alive");
    assert_eq!(restored.invoke("f1", "x").text(), "000001");
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive", "the first goes on");
    restored.all_succeed(&before);
    let made = restored.create("new", &answering(1, 1), json!({}));
    assert_eq!(made.status, 200, "it is a server like another: {}", made.text());
    let (again, _, why) = hearth(&[
        "backup",
        &copy.display().to_string(),
        "--data-dir",
        &server.data_dir().display().to_string(),
    ]);
    assert!(!again && why.contains("exists"), "nothing is overwritten: {why}");
}

#[test]
fn what_is_damaged_or_missing_is_found() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    server.deploy("wat-log");
    let dir = server.data_dir().display().to_string();
    let (done, _, why) = hearth(&["check", "--data-dir", &dir]);
    assert!(!done && !why.is_empty(), "a server works with it");
    server.kill9();
    let (whole, told, why) = hearth(&["check", "--data-dir", &dir]);
    assert!(whole, "{told} {why}");
    let mut files = server.all_files();
    files.retain(|file| file.components().any(|part| part.as_os_str() == "code"));
    assert!(files.len() >= 2, "{files:?}");
    std::fs::write(&files[0], b"something else").unwrap();
    std::fs::remove_file(&files[1]).unwrap();
    let (whole, told, _) = hearth(&["check", "--data-dir", &dir]);
    let problems = told["problems"].to_string();
    assert!(!whole && problems.contains("damaged") && problems.contains("missing"), "{told}");
}

/// A copy that is not all there is no server's: it is made whole or refused.
#[test]
fn a_backup_that_is_killed_is_whole_or_refused() {
    let server = Server::start();
    for number in 0..12 {
        let made = server.create(&format!("f{number}"), &answering(number, 1), json!({}));
        assert_eq!(made.status, 200, "{}", made.text());
    }
    let home = tempfile::tempdir().unwrap();
    let backup = |to: &std::path::Path| {
        let mut command = std::process::Command::new(binary());
        command.arg("backup").arg(to).arg("--data-dir").arg(server.data_dir());
        command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    };
    let whole = crate::kill::time_of(|| {
        assert!(backup(&home.path().join("whole")).wait().unwrap().success());
    });
    let (mut served, mut refused) = (0, 0);
    // On a busy machine a copy takes longer than the first one did.
    for round in 0..90 {
        if round >= 15 && served > 0 && refused > 0 {
            break;
        }
        let copy = home.path().join(round.to_string());
        let mut copying = backup(&copy);
        thread::sleep(whole * round / 12);
        // It fails only when it has ended by itself.
        let _ = copying.kill();
        copying.wait().unwrap();
        if !copy.join("hearth.db").exists() {
            continue;
        }
        let (is_whole, ..) = hearth(&["check", "--data-dir", &copy.display().to_string()]);
        if is_whole {
            let restored = Start::default().on(&copy).start();
            assert_eq!(restored.metric("hearth_functions_stored"), 12.0);
            assert_eq!(restored.invoke("f11", "x").text(), "000011");
            served += 1;
        } else {
            let output = Start::default().on(&copy).fail();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "round {round}: {told}");
            assert!(told.contains("interrupted"), "{told}");
            refused += 1;
        }
    }
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused: wrong moments");
}
