//! Signals while the queue works: what runs may end, what does not is given back, and nothing is answered for that no guest has seen. A
//! second signal ends the process at once, which is no worse than a kill.

use std::collections::BTreeMap;
use std::time::Duration;

use hearth_tests::{Start, eventually};
use serde_json::json;

use crate::kill::answering;
use crate::witness;

const ROUNDS: u32 = 12;

#[test]
fn nothing_ends_that_no_guest_has_seen_whenever_the_signal_comes() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Start::default().with("--drain-time", "50ms").start();
    witness::deploy(&server, "seen", home.path());
    let made = server.create("slow", &answering(7, 60_000_000), json!({"timeout": 60}));
    assert_eq!(made.status, 200, "{}", made.text());
    let (mut accepted, mut slow) = (BTreeMap::new(), Vec::new());
    let mut cut_off = 0;
    for round in 0..ROUNDS {
        // As many as the server takes until it ends.
        let events = (0..30).map(|number| format!("g{round:05}-{number:09}"));
        std::thread::scope(|scope| {
            let enqueuing = scope.spawn(|| {
                let one = |event: String| Some((server.try_invoke_async("seen", &event)?, event));
                events.map_while(one).collect::<Vec<_>>()
            });
            slow.extend(server.try_invoke_async("slow", "x"));
            std::thread::sleep(Duration::from_millis(u64::from(round * 7)));
            server.ask_to_stop();
            if round % 2 == 1 {
                eventually("it is stopping", || {
                    server.log().matches("stopping: running").count() > round as usize
                });
                server.ask_to_stop();
            }
            accepted.extend(enqueuing.join().unwrap());
        });
        let code = server.wait();
        assert!(matches!(code, Some(0 | 1)), "{code:?}: {}", server.log());
        server.restart();
        cut_off += u32::from(server.metric("hearth_queue_depth") > 0.0);
    }
    assert!(cut_off > 0, "the queue was empty each time");
    eventually("the end of all", || server.metric("hearth_queue_depth") == 0.0);
    let executions = witness::executions(home.path());
    for (id, event) in &accepted {
        let record = server.record(id).expect("what was accepted has ended");
        assert_eq!(record["status"], "succeeded", "{record}");
        let began = executions.get(event).unwrap_or_else(|| panic!("{event} ended and never ran"));
        assert!(began.last().unwrap() / 1000 <= record["ended_ms"].as_u64().unwrap());
    }
    for id in &slow {
        let record = server.record(id).expect("what was accepted has ended");
        // To be ended by a shutdown is no fault of the function's.
        assert_eq!((&record["status"], &record["attempt"]), (&json!("succeeded"), &json!(1)));
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
