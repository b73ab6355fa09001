//! Kill -9 while deploying, while replacing code and while working off the queue. Moments are spread over the time the work takes,
//! so that some fall before it is on disk, some after, and some between.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use hearth_tests::{Server, Start, eventually};
use serde_json::{Value, json};

/// Rounds of each story; each ends a server process and starts one.
const ROUNDS: u32 = 24;

/// A guest that answers with one number, after so many turns of a loop.
pub(super) fn answering(number: u32, turns: u32) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{number:06}")
            (func (export "alloc") (param i32) (result i32) i32.const 8)
            (func (export "handle") (param i32 i32) (result i64)
                (local $turn i32)
                (loop $again
                    (local.set $turn (i32.add (local.get $turn) (i32.const 1)))
                    (br_if $again (i32.lt_u (local.get $turn) (i32.const {turns}))))
                i64.const 6))"#
    ))
    .unwrap()
}

fn answer(server: &Server, name: &str) -> String {
    let reply = server.invoke(name, "x");
    assert_eq!(
        (reply.status, reply.header("x-fc-error-type")),
        (200, None),
        "{name}: {}",
        reply.text()
    );
    reply.text()
}

/// Does some work, kills the server a while after its beginning, starts it again; whether the work was accepted.
pub(super) fn cut_off(
    server: &mut Server,
    after: Duration,
    work: impl FnOnce(&Server) -> Option<u16>,
) -> bool {
    let status = thread::scope(|scope| {
        let killing = scope.spawn(|| {
            thread::sleep(after);
            server.kill9_now();
        });
        let status = work(server);
        killing.join().unwrap();
        status
    });
    server.restart();
    assert!(matches!(status, None | Some(200)), "{status:?}");
    status == Some(200)
}

/// How long one piece of work takes when nobody cuts it off.
pub(super) fn time_of(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

#[test]
fn a_deployment_that_is_cut_off_happened_or_did_not() {
    let mut server = Server::start();
    let whole =
        time_of(|| assert_eq!(server.create("first", &answering(1, 1), json!({})).status, 200));
    let mut accepted = BTreeSet::from(["first".to_owned()]);
    for round in 0..ROUNDS {
        let (name, code) = (format!("f{round}"), answering(round, 1));
        let done = cut_off(&mut server, whole * round / (ROUNDS / 2), |server| {
            server.try_create(&name, &code)
        });
        if done {
            accepted.insert(name);
        }
        let listed = server.call("GET", "/services/s/functions?limit=100", &Value::Null).json();
        let there: BTreeSet<String> = listed["functions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|function| function["functionName"].as_str().unwrap().to_owned())
            .collect();
        assert!(there.is_superset(&accepted), "{accepted:?} were accepted, {there:?} are there");
        for name in &there {
            let number =
                name.strip_prefix('f').and_then(|number| number.parse().ok()).unwrap_or(1u32);
            assert_eq!(answer(&server, name), format!("{number:06}"), "{name} is half there");
        }
    }
    assert!(accepted.len() > 1, "no deployment was done: the moments are too early");
    assert!(accepted.len() <= ROUNDS as usize, "none was cut off: the moments are too late");
}

#[test]
fn a_replacement_that_is_cut_off_leaves_the_old_code_or_the_new() {
    let mut server = Server::start();
    assert_eq!(server.create("f", &answering(0, 1), json!({})).status, 200);
    let whole = time_of(|| assert_eq!(server.replace("f", &answering(1, 1)).status, 200));
    let mut current = 1;
    let (mut done, mut undone) = (0, 0);
    for round in 2..ROUNDS {
        let code = answering(round, 1);
        let accepted = cut_off(&mut server, whole * round / (ROUNDS / 2), |server| {
            server.try_replace("f", &code)
        });
        let now = answer(&server, "f");
        match accepted || now == format!("{round:06}") {
            true => (current, done) = (round, done + 1),
            false => undone += 1,
        }
        assert_eq!(now, format!("{current:06}"), "accepted: {accepted}");
    }
    assert!(done > 0 && undone > 0, "{done} done, {undone} undone: the moments are wrong");
}

#[test]
fn what_was_accepted_ends_well_whatever_is_killed() {
    let mut server = Server::start();
    // Slow enough that the queue is never empty when the server dies.
    assert_eq!(server.create("slow", &answering(7, 8_000_000), json!({})).status, 200);
    let accepted = Mutex::new(BTreeSet::new());
    let mut left = 0;
    for round in 0..ROUNDS / 3 {
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let ids = (0..30).map_while(|_| server.try_invoke_async("slow", "x"));
                    ids.for_each(|id| _ = accepted.lock().unwrap().insert(id));
                });
            }
            thread::sleep(Duration::from_millis(u64::from(40 + round * 13)));
            server.kill9_now();
        });
        server.restart();
        left += unended(&server, &accepted.lock().unwrap());
    }
    assert!(left > 0, "the queue was empty each time: nothing was cut off");
    let accepted = accepted.into_inner().unwrap();
    assert!(accepted.len() >= 8, "{} were accepted", accepted.len());
    eventually("the end of all that was accepted", || unended(&server, &accepted) == 0);
    for id in &accepted {
        let record = server.record(id).expect("it has ended");
        assert_eq!(record["status"], "succeeded", "{record}");
    }
    // What was on disk when the server died, but not yet answered for, runs as well: it may be more than was accepted.
    let ids: Vec<String> = server
        .records_of("s/slow")
        .iter()
        .map(|record| record["request_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each ended once");
}

/// How many have no record yet.
pub(super) fn unended(server: &Server, accepted: &BTreeSet<String>) -> usize {
    accepted.iter().filter(|id| server.record(id).is_none()).count()
}

#[test]
fn what_runs_whenever_the_process_dies_becomes_a_dead_letter() {
    let mut server = Start::default().with("--queue-concurrency", "1").start();
    let made = server.create("poison", &answering(7, u32::MAX), json!({"timeout": 600}));
    assert_eq!(made.status, 200, "{}", made.text());
    server.deploy("wat-echo");
    let poison = server.invoke_async("poison", "x");
    // As many as are taken for bad luck.
    for died in 0..17 {
        let runs = || server.metric("hearth_running_invocations") >= 1.0;
        eventually("it runs", || runs() || server.record(&poison).is_some());
        assert!(server.record(&poison).is_none(), "it gave up after {died} deaths");
        server.kill9();
        server.restart();
    }
    eventually("its end", || server.record(&poison).is_some());
    let record = server.record(&poison).unwrap();
    assert_eq!(
        (&record["status"], &record["error"]["kind"]),
        (&json!("failed"), &json!("crashed"))
    );
    let letter = server.send("GET", &format!("/hearth/v1/dead/{poison}"), &[], b"");
    assert_eq!(letter.status, 200, "{}", letter.text());
    let other = server.invoke_async("wat-echo", "x");
    eventually("the others' turn", || server.record(&other).is_some());
}

#[test]
fn the_depth_of_the_queue_is_known_after_a_restart() {
    let mut server = Server::start();
    assert_eq!(
        server.create("slow", &answering(7, 200_000_000), json!({"timeout": 60})).status,
        200
    );
    let accepted: Vec<String> = (0..40).map(|_| server.invoke_async("slow", "x")).collect();
    server.kill9();
    server.restart();
    let waiting = accepted.iter().filter(|id| server.record(id).is_none()).count();
    assert!(waiting > 20, "they ended too soon: {waiting}");
    let depth = server.metric("hearth_queue_depth");
    assert!(depth > 0.0 && depth <= 40.0, "{waiting} wait or run, and the figure says {depth}");
}

#[test]
fn a_server_that_dies_again_and_again_starts_again_and_again() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    for _ in 0..10 {
        server.kill9();
        server.restart();
        assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
    }
    assert_eq!(server.metric("hearth_compilations_total"), 0.0, "the artifact was kept");
    assert_eq!(server.metric("hearth_artifacts_rejected_total"), 0.0);
}
