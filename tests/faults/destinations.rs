//! Kill -9 in a loop while invocations are accepted, worked down, told to destinations, given up and queued again. Afterwards the books
//! are reconciled: what was accepted and what has ended are the same, each end is in one record and told by one event, what gave up
//! is one dead letter, nothing ran after its record, and nothing ran twice without a kill between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use hearth_tests::{Posted, Server, Sink, Start, eventually, guest};
use serde_json::{Value, json};

use crate::witness;

/// Rounds, each of which ends a server process; another number with `KILL_ROUNDS`.
fn rounds() -> u32 {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(50)
}

/// Who accepts at once, and how much each of them in a round.
const CLIENTS: u32 = 4;
const EACH: u32 = 4;
/// The latest moment of a kill, in microseconds after the round's beginning.
const LATEST_US: u64 = 120_000;

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// A random moment; short ones more often, for much happens at the beginning.
fn moment() -> Duration {
    let (which, random) = uuid::Uuid::new_v4().as_u64_pair();
    let most = [LATEST_US / 16, LATEST_US / 4, LATEST_US];
    Duration::from_micros(random % most[usize::try_from(which % 3).unwrap()])
}

fn tells(server: &Server, name: &str, destinations: &Value) {
    let path = format!("/services/s/functions/{name}/async-invoke-config");
    let body = json!({"destinationConfig": destinations, "maxAsyncRetryAttempts": 0});
    let set = server.call("PUT", &path, &body);
    assert_eq!(set.status, 200, "{}", set.text());
}

/// What is known outside of the server.
#[derive(Default)]
struct Books {
    /// The event of each id that was answered for.
    accepted: Mutex<BTreeMap<String, String>>,
    /// What was queued again: the new id, by the old one.
    redriven: Mutex<BTreeMap<String, String>>,
    /// When a server was dead and the next not begun.
    kills: Vec<u64>,
}

impl Books {
    fn accept(&self, server: &Server, round: u32, client: u32) {
        for number in 0..EACH {
            let name = if number % 2 == 0 { "good" } else { "bad" };
            let event = format!("{}{round:05}-{client:04}-{number:04}", &name[..1]);
            let Some(id) = server.try_invoke_async(name, &event) else { return };
            self.accepted.lock().unwrap().insert(id, event);
        }
    }

    fn redrive(&self, server: &Server) {
        let list = "/hearth/v1/dead?function=s/bad&limit=2";
        let Some(page) = server.try_send("GET", list, &[], b"") else { return };
        for letter in page.json()["dead_letters"].as_array().into_iter().flatten() {
            let id = letter["request_id"].as_str().unwrap();
            let path = format!("/hearth/v1/dead/{id}");
            let Some(reply) = server.try_send("POST", &path, &[], b"") else { return };
            assert_eq!(reply.status, 200, "{}", reply.text());
            let again = reply.json()["request_id"].as_str().unwrap().to_owned();
            self.redriven.lock().unwrap().insert(id.to_owned(), again);
        }
    }

    /// Work of all kinds, cut off at some moment; in each fifth round only what is left is worked down.
    fn round(&mut self, server: &mut Server, round: u32) {
        thread::scope(|scope| {
            let books = &*self;
            let server = &*server;
            if round % 5 != 4 {
                for client in 0..CLIENTS {
                    scope.spawn(move || books.accept(server, round, client));
                }
                scope.spawn(move || books.redrive(server));
            }
            thread::sleep(moment());
            server.kill9_now();
        });
        server.kill9();
        self.kills.push(now_us());
        server.restart();
    }
}

/// All records of a function by id, each of which is there once.
fn records(server: &Server, function: &str) -> BTreeMap<String, Value> {
    let records = server.records_of(function);
    assert!(records.len() < 1000, "more of {function} than one page holds");
    let count = records.len();
    let id = |record: &Value| record["request_id"].as_str().unwrap().to_owned();
    let by_id: BTreeMap<_, _> = records.into_iter().map(|one| (id(&one), one)).collect();
    assert_eq!(by_id.len(), count, "something of {function} ended twice");
    by_id
}

/// The ids of the events that tell of these ends, each of which has one of its own.
fn events(records: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let event = |record: &Value| record["event"].as_str().expect("it is told").to_owned();
    let events: BTreeSet<String> = records.values().map(event).collect();
    assert_eq!(events.len(), records.len(), "two ends share an event");
    events
}

#[test]
fn every_end_is_told_once_whatever_is_killed() {
    let sink = Sink::start(|_| (200, Duration::from_millis(2)));
    let home = tempfile::tempdir().unwrap();
    let mut server = Start::default()
        .with("--queue-destination-private", "true")
        .with("--queue-backoff", "20ms")
        // On a busy machine the oldest may be under way at the end of every round.
        .with("--queue-crashes", "1000")
        .start();
    for name in ["good", "bad"] {
        witness::deploy(&server, name, home.path());
    }
    assert_eq!(server.create("told", &guest("wat-echo"), json!({})).status, 200);
    let told = json!({"destination": "acs:fc:local:0:services/s/functions/told"});
    let sent = json!({"destination": sink.url("/told")});
    tells(&server, "good", &json!({ "onSuccess": told }));
    tells(&server, "told", &json!({ "onSuccess": sent }));
    tells(&server, "bad", &json!({ "onFailure": sent }));

    let mut books = Books::default();
    let mut cut_off = 0;
    for round in 0..rounds() {
        books.round(&mut server, round);
        cut_off += u32::from(server.metric("hearth_queue_depth") > 0.0);
    }
    assert!(cut_off * 8 > rounds(), "only {cut_off} kills met a queue that was not empty");
    eventually("the end of everything", || server.metric("hearth_queue_depth") == 0.0);

    let (good, bad) = (records(&server, "s/good"), records(&server, "s/bad"));
    let told = records(&server, "s/told");
    for (id, event) in &*books.accepted.lock().unwrap() {
        let (of, status) =
            if event.starts_with('g') { (&good, "succeeded") } else { (&bad, "failed") };
        let record = of.get(id).unwrap_or_else(|| panic!("{event} was accepted and is lost"));
        assert_eq!(record["status"], status, "{event}: {record}");
    }
    let ids_told: BTreeSet<String> = told.keys().cloned().collect();
    assert_eq!(events(&good), ids_told, "one invocation for each end");
    let sent: BTreeSet<String> = events(&told).union(&events(&bad)).cloned().collect();
    assert_eq!(sent.len(), told.len() + bad.len());
    all_arrived(&server, &sink.posted(), &sent);
    let letters = letters(&server);
    letters_fit(&books, &letters, &bad);
    let ended: BTreeMap<_, _> = good.into_iter().chain(bad).collect();
    runs_fit(&books, &witness::executions(home.path()), &ended, &letters);

    let before = (sink.posted().len(), witness::executions(home.path()));
    server.restart();
    server.moment();
    let after = (sink.posted().len(), witness::executions(home.path()));
    assert_eq!(before, after, "nothing runs after its record");
}

/// Each event arrived, the same each time, and nothing else did.
fn all_arrived(server: &Server, posted: &[Posted], sent: &BTreeSet<String>) {
    let mut arrived: BTreeMap<&str, &Value> = BTreeMap::new();
    for one in posted {
        assert!(sent.contains(&one.request_id), "{} tells of nothing", one.request_id);
        // At least once: a server that dies between the answer and its record sends it again, the same.
        let first = arrived.entry(&one.request_id).or_insert(&one.body);
        assert_eq!(*first, &one.body);
    }
    assert_eq!(arrived.len(), sent.len(), "recorded as sent, and did not arrive");
    for id in sent {
        let record = server.record(id).expect("an event that was sent has its record");
        assert_eq!(record["status"], "succeeded", "{record}");
    }
}

/// The ids of dead letters by their events, of which each has one.
fn letters(server: &Server) -> BTreeMap<String, String> {
    let mut after = String::new();
    let mut letters = BTreeMap::new();
    loop {
        let path = format!("/hearth/v1/dead?function=s/bad&limit=100&after={after}");
        let page = server.send("GET", &path, &[], b"").json();
        for letter in page["dead_letters"].as_array().unwrap() {
            let id = letter["request_id"].as_str().unwrap().to_owned();
            let shown = server.send("GET", &format!("/hearth/v1/dead/{id}"), &[], b"").json();
            let event = base64::prelude::BASE64_STANDARD.decode(shown["event"].as_str().unwrap());
            let event = String::from_utf8(event.unwrap()).unwrap();
            assert!(letters.insert(event, id).is_none(), "one event has two letters");
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return letters,
        }
    }
}

/// Each event that failed is a dead letter, whether it was queued again or not.
fn letters_fit(books: &Books, letters: &BTreeMap<String, String>, bad: &BTreeMap<String, Value>) {
    assert!(letters.values().all(|id| bad.contains_key(id)), "a letter without a record");
    let redriven = books.redriven.lock().unwrap();
    for event in books.accepted.lock().unwrap().values().filter(|event| event.starts_with('b')) {
        let id = letters.get(event).unwrap_or_else(|| panic!("{event} failed and has no letter"));
        assert!(!redriven.contains_key(id), "{event} was queued again and is a letter still");
    }
    assert!(redriven.values().all(|again| bad.contains_key(again)), "what was redriven is lost");
}

/// What was accepted ran, before its record, and again only if a server was killed between.
fn runs_fit(
    books: &Books,
    executions: &BTreeMap<String, Vec<u64>>,
    ended: &BTreeMap<String, Value>,
    letters: &BTreeMap<String, String>,
) {
    for (id, event) in &*books.accepted.lock().unwrap() {
        let began = executions.get(event).unwrap_or_else(|| panic!("{event} never ran"));
        if letters.get(event).is_some_and(|letter| letter != id) {
            // Queued again: it ran under two ids.
            continue;
        }
        for pair in began.windows(2) {
            let mut kills = books.kills.iter();
            assert!(kills.any(|kill| (pair[0]..=pair[1]).contains(kill)), "{event} ran {pair:?}");
        }
        let (last, ended_ms) = (began.last().unwrap(), ended[id]["ended_ms"].as_u64().unwrap());
        assert!(last / 1000 <= ended_ms, "{event} began at {last} us and ended at {ended_ms} ms");
    }
}
