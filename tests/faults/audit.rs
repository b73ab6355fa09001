//! The audit trail under faults: a file that somebody edited, a disk that is full, a process that is killed while it changes things.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hearth_tests::{Disk, Server, Start, binary};
use serde_json::{Value, json};

/// Rounds of killing; each ends a server process and starts one.
const ROUNDS: u64 = 12;

/// All records, the oldest first.
fn trail(server: &Server) -> Vec<Value> {
    let (mut records, mut from) = (Vec::new(), 1);
    loop {
        let path = format!("/hearth/v1/audit?order=oldest&from={from}");
        let page = server.send("GET", &path, &[], b"").json();
        records.extend(page["records"].as_array().unwrap().clone());
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => return records,
        }
    }
}

fn verified(server: &Server) -> Value {
    server.send("GET", "/hearth/v1/audit/verify", &[], b"").json()
}

fn make(server: &Server, name: &str) -> Option<u16> {
    let body = json!({"serviceName": name}).to_string();
    let reply = server.try_send("POST", "/2016-08-15/services", &[], body.as_bytes())?;
    Some(reply.status)
}

/// Replaces text in the files of a stopped server, by another of the same length; whether it was there.
fn edit(server: &Server, was: &str, is: &str) -> bool {
    assert_eq!(was.len(), is.len());
    let mut found = false;
    for file in server.all_files() {
        let mut bytes = std::fs::read(&file).unwrap();
        let places: Vec<_> = bytes
            .windows(was.len())
            .enumerate()
            .filter_map(|(at, window)| (window == was.as_bytes()).then_some(at))
            .collect();
        for at in &places {
            bytes[*at..at + is.len()].copy_from_slice(is.as_bytes());
        }
        if !places.is_empty() {
            std::fs::write(&file, bytes).unwrap();
            found = true;
        }
    }
    found
}

/// What `hearth check` says of a directory that no server works with.
fn checked(server: &Server) -> (bool, Value) {
    let mut command = Command::new(binary());
    command.args(["check", "--format", "json", "--data-dir"]).arg(server.data_dir());
    let output = command.output().unwrap();
    (output.status.success(), serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn an_edited_file_is_found_running_and_stopped() {
    let mut server = Server::start();
    for name in ["first", "second", "third"] {
        server.service(name);
    }
    assert_eq!(verified(&server)["problem"], Value::Null);
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(checked(&server).1["audit_records"], 3);
    let is_log = |file: &PathBuf| {
        file.extension().is_some_and(|end| end.to_string_lossy().ends_with("-wal"))
    };
    assert!(!server.all_files().iter().any(is_log), "all is in one file");
    let (was, is) = (r#""noun":"service","name":"second""#, r#""noun":"service","name":"sacond""#);
    assert!(edit(&server, was, is), "the record is in the file");
    let (whole, told) = checked(&server);
    assert!(!whole, "{told}");
    let problem = "audit record 2 is not what was written";
    assert_eq!(told["problems"], json!([problem]));
    server.restart();
    assert_eq!(verified(&server)["problem"], problem);
    let told = server.cli(&["audit", "verify"]);
    assert_eq!(told.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&told.stdout).contains(problem));
    // It goes on being written, and says so however much follows.
    server.service("fourth");
    assert_eq!(verified(&server)["problem"], problem);
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let Some(disk) = Disk::mount(16) else { return };
    let mut server = Start::default().on(&disk.path().join("data")).start();
    server.service("before");
    disk.fill();
    // What little room its log has left is used up first.
    let refused = (0..200).find(|number| make(&server, &format!("s{number}")) == Some(503));
    let refused = refused.expect("no end of room on a full disk");
    for (method, path, body) in [
        ("POST", "/services", json!({"serviceName": "after"})),
        ("PUT", "/services/before", json!({"description": "other"})),
        ("POST", "/services/before/versions", json!({})),
    ] {
        server.call(method, path, &body).is_error(503, "ServiceUnavailable");
    }
    let key = server.send("POST", "/hearth/v1/keys", &[], br#"{"role":"admin"}"#);
    assert_eq!(key.status, 503, "{}", key.text());
    for round in 0..2 {
        let records = trail(&server);
        assert_eq!(records.len() as u64, refused + 1, "one for each that was made");
        let services = server.call("GET", "/services?limit=100", &Value::Null).json();
        let services = services["services"].as_array().unwrap().clone();
        assert_eq!(services.len(), records.len().min(100));
        assert_eq!(services[0]["description"], "", "and nothing was changed");
        assert_eq!(verified(&server)["problem"], Value::Null, "round {round}");
        if round == 0 {
            server.kill9();
            disk.empty();
            server.restart();
        }
    }
    assert_eq!(make(&server, "after"), Some(200));
    // There is room kept for removing things, and for the records of that.
    disk.fill();
    let records = trail(&server).len();
    assert_eq!(server.call("DELETE", "/services/before", &Value::Null).status, 204);
    assert_eq!(trail(&server).len(), records + 1);
    assert_eq!(verified(&server)["problem"], Value::Null);
}

#[test]
fn a_server_that_is_killed_leaves_a_whole_trail_of_what_it_did() {
    let mut server = Server::start();
    let (next, mut accepted) = (AtomicU64::new(0), BTreeSet::new());
    for round in 0..ROUNDS {
        let made = thread::scope(|scope| {
            let change = || {
                let mut made = Vec::new();
                loop {
                    let name = format!("s{}", next.fetch_add(1, Ordering::Relaxed));
                    match make(&server, &name) {
                        Some(200) => made.push(name),
                        None => return made,
                        Some(other) => panic!("{name}: {other}"),
                    }
                }
            };
            let changing = [scope.spawn(change), scope.spawn(change), scope.spawn(change)];
            thread::sleep(Duration::from_millis(20 + 7 * round));
            server.kill9_now();
            changing.map(|thread| thread.join().unwrap()).concat()
        });
        accepted.extend(made);
        server.restart();
        assert_eq!(verified(&server)["problem"], Value::Null, "round {round}");
    }
    let told = trail(&server);
    let told: BTreeSet<_> =
        told.iter().map(|record| record["name"].as_str().unwrap().to_owned()).collect();
    assert!(accepted.len() > 100 && told.is_superset(&accepted), "what was accepted is told");
    let (mut there, mut start) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/services?limit=100&nextToken={start}");
        let page = server.call("GET", &path, &Value::Null).json();
        let name = |service: &Value| service["serviceName"].as_str().unwrap().to_owned();
        there.extend(page["services"].as_array().unwrap().iter().map(name));
        match page["nextToken"].as_str() {
            Some(next) => next.clone_into(&mut start),
            None => break,
        }
    }
    assert_eq!(there, told, "and what is told is there");
}
