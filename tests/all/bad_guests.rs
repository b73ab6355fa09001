//! Every guest of `guest-examples/bad`, each beside a healthy neighbour that keeps answering: what it ends as, with the figures, and
//! whether its instance may serve again.

use std::collections::BTreeSet;
use std::thread;

use hearth_tests::{Reply, Server, eventually, guest, guest_path};
use serde_json::{Value, json};

/// What a bad guest must end as.
struct Row {
    name: &'static str,
    settings: Value,
    /// The type of the error; empty for one that answers.
    fault: &'static str,
    /// What the error says.
    says: &'static str,
    then: Then,
}

/// What becomes of the instance.
#[derive(PartialEq)]
enum Then {
    /// It serves the next call.
    Stays,
    /// It never serves again.
    Goes,
}

use Then::{Goes, Stays};

fn row(name: &'static str, fault: &'static str, says: &'static str, then: Then) -> Row {
    Row { name, settings: json!({}), fault, says, then }
}

fn within(seconds: u32, row: Row) -> Row {
    Row { settings: json!({"timeout": seconds, "initializationTimeout": seconds}), ..row }
}

fn rows() -> Vec<Row> {
    let abi = |name, says| row(name, "bad_abi", says, Goes);
    let memory = |name| within(30, row(name, "memory_limit", "134217728", Goes));
    vec![
        within(1, row("infinite-loop", "timeout", "after 1 seconds", Goes)),
        within(1, row("spin-with-clock", "timeout", "after 1 seconds", Goes)),
        within(1, row("sleeper", "timeout", "after 1 seconds", Goes)),
        within(1, row("sleeper-component", "timeout", "after 1 seconds", Goes)),
        within(1, row("start-loop", "initialize_timeout", "after 1 seconds", Goes)),
        memory("memory-hog"),
        memory("two-memories-hog"),
        memory("grow-memory64"),
        memory("gc-hog"),
        memory("gc-cycles"),
        within(30, row("memory-hog-survivor", "", "", Goes)),
        within(30, row("table-grow", "host_resource", "131073 elements", Goes)),
        row("stack-overflow", "stack_overflow", "overflowed its stack", Goes),
        row("trap", "trap", "unreachable", Goes),
        row("rust-panic", "trap", "unreachable", Goes),
        row("secret-panic", "trap", "unreachable", Goes),
        row("returned-error", "OutOfStock", "no more a", Stays),
        // Its fault is one of isolation `snapshot` alone.
        row("keeps-handle", "", "", Stays),
        // They answer events; what they do to requests is told in `tests/engine/rude.rs`.
        // Nor to WebSockets: see `tests/all/websocket_faults.rs`.
        row("bad-websocket", "", "", Stays),
        row("http-rude", "", "", Stays),
        row("http-rude-p3", "", "", Stays),
        row("fail", "OutOfStock", "no more kettles", Stays),
        row("exit-code", "exited", "exit code 3", Goes),
        row("huge-answer", "answer_too_large", "6291456", Stays),
        row("huge-answer-stdout", "answer_too_large", "6291456", Goes),
        within(30, row("random-huge", "?", "", Goes)),
        within(30, row("random-huge-component", "?", "", Goes)),
        abi("initialize-fails", "initialize returned 7"),
        abi("bad-imports", ""),
        abi("bad-pointers-alloc-beyond", "alloc"),
        abi("bad-pointers-alloc-negative", "alloc"),
        abi("bad-pointers-alloc-zero", "alloc"),
        abi("bad-pointers-handle-beyond", "65535"),
        abi("bad-pointers-handle-negative", "4294967295"),
        abi("bad-pointers-handle-length-negative", "4294967280"),
    ]
}

/// Those that are refused at upload, and what the refusal names.
const REFUSED: [(&str, &str); 5] = [
    ("many-memories", "100"),
    ("unknown-import", "open_sesame"),
    ("wrong-type", "alloc"),
    ("memory64-abi", "memory"),
    ("no-kind", "add"),
];

/// Those whose story is told by [`a_flood_of_logs_is_bounded`].
const FLOODS: [&str; 2] = ["log-flood", "log-flood-stderr"];

/// Invokes a guest while its neighbour goes on answering.
fn beside_a_neighbour(server: &Server, name: &str) -> Reply {
    thread::scope(|scope| {
        let bad = scope.spawn(|| server.invoke(name, "a"));
        let mut rounds = 0;
        while rounds < 3 || !bad.is_finished() {
            assert_eq!(server.invoke("wat-echo", "alive").text(), "alive", "beside {name}");
            rounds += 1;
        }
        bad.join().unwrap()
    })
}

fn check(server: &Server, row: &Row) {
    let Row { name, fault, says, .. } = row;
    server.deploy_with(&format!("bad/{name}"), row.settings.clone());
    let reply = beside_a_neighbour(server, name);
    assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    match *fault {
        "" => assert_eq!(reply.header("x-fc-error-type"), None, "{name}: {}", reply.text()),
        // Either is right, as long as it ends.
        "?" => {}
        _ => {
            let told = reply.fault();
            assert_eq!(reply.json()["errorType"], *fault, "{name}: {told}");
            assert!(told.contains(says), "{name} says {told}");
        }
    }
    if !matches!(*fault, "" | "?") {
        leaves_traces(server, row, &reply);
    }
    let again = server.invoke(name, "a");
    assert_eq!(again.status, 200, "{name} again: {}", again.text());
    assert_eq!(again.header("x-fc-error-type"), reply.header("x-fc-error-type"), "{name} again");
    let is_warm = again.header("x-hearth-start") == Some("warm");
    assert_eq!(is_warm, row.then == Stays, "{name} started {:?}", again.header("x-hearth-start"));
}

/// A fault moves the figure of its type and leaves one record that says what it was.
fn leaves_traces(server: &Server, Row { name, fault, .. }: &Row, reply: &Reply) {
    let metrics = server.admin("/metrics").text();
    let figure = metrics.lines().find(|line| {
        line.starts_with("faas_errors_total{")
            && line.contains(&format!("\"s/{name}\""))
            && line.ends_with(" 1")
    });
    let figure = figure.unwrap_or_else(|| panic!("no figure tells of {name}: {metrics}"));
    let id = reply.header("x-fc-request-id").unwrap();
    let record = server.record(id).unwrap_or_else(|| panic!("no record tells of {name}"));
    assert_eq!(record["status"], "failed", "{record}");
    // What a guest calls its own errors is for its owner; figures and records know them by one name.
    let kind = if *fault == "OutOfStock" { "returned" } else { fault };
    assert_eq!(record["error"]["kind"], kind, "{record}");
    assert!(figure.contains(&format!("\"{kind}\"")), "{figure}");
}

#[test]
fn each_ends_as_what_it_is() {
    let server = Server::start();
    server.deploy("wat-echo");
    let before = server.resident_bytes();
    for row in rows() {
        check(&server, &row);
    }
    assert_eq!(server.metric("hearth_running_invocations"), 0.0);
    // Instances of the largest guests are taken apart behind who serves; what is left is code and pools.
    eventually("the memory of the largest is given back", || {
        server.resident_bytes().saturating_sub(before) < 256 << 20
    });
}

#[test]
fn what_is_no_guest_is_refused_and_named() {
    let server = Server::start();
    for (name, says) in REFUSED {
        let refused = server.create(name, &guest(&format!("bad/{name}")), json!({}));
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(says), "{name}: {}", refused.text());
        server.invoke(name, "a").is_error(404, "FunctionNotFound");
    }
}

#[test]
fn each_rule_of_an_import_is_kept() {
    let server = Server::start();
    server.deploy("bad/bad-imports");
    for letter in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let broken = server.invoke("bad-imports", letter);
        assert_eq!(broken.json()["errorType"], "bad_abi", "{letter}: {}", broken.text());
    }
    assert_eq!(server.invoke("bad-imports", "z").text(), "fine");
}

#[test]
fn a_flood_of_logs_is_bounded() {
    let server = Server::start();
    server.deploy("wat-echo");
    for name in FLOODS {
        server.deploy_with(&format!("bad/{name}"), json!({"timeout": 10}));
        let reply = beside_a_neighbour(&server, name);
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        let ended_well = reply.text() == "done" || reply.json()["errorType"] == "timeout";
        assert!(ended_well, "{name}: {}", reply.text());
        // The log itself is 4 KiB; around it stands the frame.
        assert!(reply.tail().len() < 5 << 10, "{name}: {} bytes", reply.tail().len());
        let held = server.resident_bytes();
        assert!(held < 400 << 20, "{name}: {held} bytes are held");
    }
    assert!(server.metric("hearth_log_lines_dropped_total") > 0.0, "what was dropped is counted");
}

#[test]
fn none_is_forgotten() {
    let folder = guest_path("bad/trap");
    let files = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    let there: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".wasm").map(str::to_owned))
        .collect();
    let known: BTreeSet<String> = rows()
        .iter()
        .map(|row| row.name)
        .chain(REFUSED.iter().map(|(name, _)| *name))
        .chain(FLOODS)
        .map(str::to_owned)
        .collect();
    assert_eq!(there, known);
}
