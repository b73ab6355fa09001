//! Dead letters from the command line: listed, shown, queued again.

use hearth_tests::{Server, Start, answering, eventually};
use serde_json::Value;

fn json(server: &Server, arguments: &[&str]) -> Value {
    let output = server.cli(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn listed(server: &Server, function: &str) -> Vec<Value> {
    let list = json(server, &["dead", "list", function]);
    list["dead_letters"].as_array().unwrap().clone()
}

#[test]
fn what_gave_up_is_listed_shown_and_queued_again() {
    let server = Start::default().with("--queue-retries", "0").start();
    server.deploy("bad/trap");
    let ids: Vec<_> = (0..3).map(|n| server.invoke_async("trap", &format!("event {n}"))).collect();
    eventually("their ends", || listed(&server, "s/trap").len() == 3);
    assert_eq!(listed(&server, "s/other").len(), 0);
    let shown = json(&server, &["dead", "show", &ids[1]]);
    assert_eq!((shown["function"].as_str(), shown["attempts"].as_u64()), (Some("s/trap"), Some(1)));
    assert!(shown["reason"].as_str().unwrap().contains("trap"), "{shown}");
    let text = server.cli(&["--format", "human", "dead", "show", &ids[1]]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("event 1"), "{text:?}");

    assert_eq!(server.replace("trap", &answering("well")).status, 200);
    let again = json(&server, &["dead", "redrive", &ids[0]]);
    let queued_as = again["queued_as"].as_str().unwrap();
    assert_ne!(queued_as, ids[0]);
    eventually("its end", || server.record(queued_as).is_some());
    assert_eq!(server.record(queued_as).unwrap()["status"], "succeeded");
    assert_eq!(server.record(&ids[0]).unwrap()["status"], "failed", "what was is not rewritten");
    let twice = server.cli(&["dead", "redrive", &ids[0]]);
    assert_eq!(twice.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("does not exist"), "{twice:?}");

    let all = server.cli(&["dead", "redrive", "--function", "s/trap"]);
    assert!(all.status.success(), "{all:?}");
    eventually("the rest", || {
        let records = server.records_of("s/trap");
        records.iter().filter(|one| one["status"] == "succeeded").count() == 3
    });
    assert_eq!(listed(&server, "s/trap").len(), 0);
    assert_eq!(server.cli(&["dead", "redrive"]).status.code(), Some(2));
}
