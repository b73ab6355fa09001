//! `hearth logs`: lines as they come, each of one invocation, none that could be mistaken for another.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::mpsc;

use hearth_tests::{PATIENCE, Server, eventually};
use serde_json::Value;

fn shown(server: &Server, arguments: &[&str]) -> String {
    let shown = server.cli(arguments);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    String::from_utf8_lossy(&shown.stdout).into_owned()
}

#[test]
fn a_follower_sees_lines_as_they_come_and_ends_with_the_server() {
    let mut server = Server::start();
    server.deploy("rust-event");
    let _ = server.invoke("rust-event", r#"{"name":"before"}"#);
    eventually("its line is kept", || shown(&server, &["logs", "s/rust-event"]).contains("before"));
    let mut follower = server.cli_start(&["logs", "s/rust-event", "-f"]);
    let output = follower.output();
    let (lines, seen) = mpsc::sync_channel(100);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            lines.send(line).unwrap();
        }
    });
    let next_with = |word: &str| loop {
        let line = seen.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line with {word}"));
        if line.contains(word) {
            return serde_json::from_str::<Value>(&line).unwrap();
        }
    };
    next_with("greeting before");
    let now = server.invoke("rust-event", r#"{"name":"now"}"#);
    let line = next_with("greeting now");
    assert_eq!(line["request_id"].as_str(), now.header("x-fc-request-id"));
    assert_eq!(line["level"], "info");
    assert_eq!(server.terminate(), Some(0), "a follower does not hold up the end");
    assert!(follower.wait().is_some(), "the follower ends with its server");
    reader.join().unwrap();
}

#[test]
fn a_line_belongs_to_one_invocation() {
    let server = Server::start();
    server.deploy("rust-event");
    let events: Vec<String> =
        (0..40).map(|number| format!(r#"{{"name":"visitor-{number}-"}}"#)).collect();
    let mut names = BTreeMap::new();
    for (number, reply) in server.invoke_at_once("rust-event", &events).into_iter().enumerate() {
        let id = reply.unwrap().header("x-fc-request-id").unwrap().to_owned();
        names.insert(id, format!("visitor-{number}-"));
    }
    let mut lines = Vec::new();
    eventually("all lines are kept", || {
        let text = shown(&server, &["logs", "s/rust-event", "-n", "1000"]);
        lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
        lines.len() >= 80
    });
    for line in lines {
        let (id, text) = (line["request_id"].as_str().unwrap(), line["text"].as_str().unwrap());
        let says_who = text.contains("visitor-");
        assert!(!says_who || text.contains(&names[id]), "{text} stands under {id}");
        assert!(says_who || text.contains(id), "{text} stands under {id}");
    }
}

/// What a person sees of the log, and of the tail, after a visitor of this name came.
fn seen_after(name: &str) -> [String; 2] {
    let server = Server::start();
    server.deploy("rust-event");
    let event = serde_json::json!({"name": name}).to_string();
    let invoke = ["invoke", "s/rust-event", "--data", &event, "--tail", "--format", "human"];
    let invoked = server.cli(&invoke);
    assert!(invoked.status.success());
    let mut log = String::new();
    eventually("its lines are kept", || {
        log = shown(&server, &["logs", "s/rust-event", "--format", "human"]);
        log.contains("is attempt 1")
    });
    assert_eq!(log.lines().count(), 2, "one line for each that was logged: {log}");
    [log, String::from_utf8_lossy(&invoked.stderr).into_owned()]
}

#[test]
fn a_terminal_gets_no_control_characters_of_a_guest() {
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\r2026-01-01T00:00:00Z forged\u{2028}line\u{2029}\u{85}\0";
    for seen in seen_after(hostile) {
        let bad = |c: char| (c.is_control() && c != '\n') || "\u{2028}\u{2029}".contains(c);
        assert!(seen.contains("owned") && !seen.contains(bad), "{seen:?}");
    }
}

#[test]
fn a_terminal_gets_no_marks_that_reverse_text() {
    let hostile = "a\u{202e}b\u{2066}c\u{200f}d";
    for seen in seen_after(hostile) {
        assert!(!seen.contains(['\u{202e}', '\u{2066}', '\u{200f}']), "{seen:?}");
    }
}

#[test]
fn logs_outlive_a_restart() {
    let mut server = Server::start();
    server.deploy("rust-event");
    let _ = server.invoke("rust-event", r#"{"name":"earlier"}"#);
    eventually("its line is kept", || {
        shown(&server, &["logs", "s/rust-event"]).contains("earlier")
    });
    assert_eq!(server.terminate(), Some(0));
    server.restart();
    assert!(shown(&server, &["logs", "s/rust-event"]).contains("earlier"));
}

#[test]
fn logs_of_nobody_are_told_so() {
    let server = Server::start();
    let missing = server.cli(&["logs", "s/nobody"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("ServiceNotFound"));
}
