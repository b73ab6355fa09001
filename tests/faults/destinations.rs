//! Kill -9 while invocations are accepted, worked down and told to destinations: first a function, then an address. Afterwards everything
//! that was accepted has ended once, and each end was told by exactly one event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use hearth_tests::{Server, Sink, Start, eventually, guest};
use serde_json::{Value, json};

/// Rounds, each of which ends a server process; more of them with `KILL_ROUNDS`.
fn rounds() -> u64 {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// Invocations of one round, so that all records fit on one page for some rounds.
const EACH: usize = 40;

fn tells(server: &Server, name: &str, destination: &str) {
    let made = server.create(name, &guest("wat-echo"), json!({}));
    assert_eq!(made.status, 200, "{}", made.text());
    let path = format!("/services/s/functions/{name}/async-invoke-config");
    let body = json!({"destinationConfig": {"onSuccess": {"destination": destination}}});
    let set = server.call("PUT", &path, &body);
    assert_eq!(set.status, 200, "{}", set.text());
}

/// The event that tells of an invocation, which has ended well.
fn event_of(server: &Server, id: &str) -> Option<String> {
    let record = server.record(id)?;
    assert_eq!(record["status"], "succeeded", "{record}");
    Some(record["event"].as_str().expect("it has a destination").to_owned())
}

/// The ids of all records, each of which is there once.
fn ids(records: &[Value]) -> BTreeSet<String> {
    let ids: BTreeSet<String> =
        records.iter().map(|one| one["request_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), records.len(), "each ended once");
    ids
}

#[test]
fn every_end_is_told_once_whatever_is_killed() {
    let sink = Sink::start(|_| (200, Duration::from_millis(2)));
    let mut server = Start::default()
        .with("--queue-destination-private", "true")
        .with("--queue-backoff", "20ms")
        .start();
    tells(&server, "first", "acs:fc:local:0:services/s/functions/second");
    tells(&server, "second", &sink.url("/told"));
    let accepted = Mutex::new(BTreeSet::new());
    let mut cut = 0;
    for round in 0..rounds() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let ids = (0..EACH / 4).map_while(|_| server.try_invoke_async("first", "x"));
                    ids.for_each(|id| _ = accepted.lock().unwrap().insert(id));
                });
            }
            thread::sleep(Duration::from_millis(5 + round * 17 % 150));
            server.kill9_now();
        });
        server.restart();
        let depth = server.metric("hearth_queue_depth");
        cut += u32::from(depth > 0.0);
    }
    assert!(cut > 0, "the queue was empty at each start: nothing was cut off");
    let accepted = accepted.into_inner().unwrap();
    assert!(!accepted.is_empty(), "nothing was accepted");
    eventually("the end of everything", || server.metric("hearth_queue_depth") == 0.0);

    let told: BTreeMap<String, String> = accepted
        .iter()
        .map(|id| (event_of(&server, id).expect("what was accepted has ended"), id.clone()))
        .collect();
    assert_eq!(told.len(), accepted.len(), "each end has an event of its own");
    let sent: BTreeSet<String> =
        told.keys().map(|event| event_of(&server, event).expect("the event was run")).collect();
    assert_eq!(sent.len(), accepted.len());
    let posted = sink.posted();
    for id in &sent {
        let record = server.record(id).expect("the event was sent");
        assert_eq!(record["status"], "succeeded", "{record}");
        let of = |posted: &&hearth_tests::Posted| posted.request_id == *id;
        let arrived: Vec<_> = posted.iter().filter(of).collect();
        // At least once: a server that dies between the answer and its record sends it again, the same.
        assert!(!arrived.is_empty(), "{id} is recorded as sent and did not arrive");
        let second = arrived[0].body["requestContext"]["requestId"].as_str().unwrap();
        assert!(told.contains_key(second), "it tells of an end that is known");
        assert!(arrived.iter().all(|posted| posted.body == arrived[0].body));
    }
    // What was on disk when a server died, but not yet answered for, runs as well; it is told the same way.
    if accepted.len() < 1000 - 4 * EACH {
        let (first, second) =
            (ids(&server.records_of("s/first")), ids(&server.records_of("s/second")));
        assert_eq!(first.len(), second.len(), "one event for each end");
        assert!(first.is_superset(&accepted));
    }
    let before = sink.posted().len();
    server.restart();
    server.moment();
    assert_eq!(sink.posted().len(), before, "nothing runs after its record");
}
