//! Code that changes under load: each answer is of one whole version, and none fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hearth_tests::{Server, answering};
use serde_json::json;

/// Ends the load when the story ends, however it ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn updates_under_load_fail_no_request() {
    let server = Server::start();
    assert_eq!(server.create("versions", &answering("a"), json!({})).status, 200);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 'a';
                while !done.load(Ordering::Relaxed) {
                    let reply = server.invoke_with("versions", "x", &[]);
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    assert!(reply.header("x-fc-error-type").is_none(), "{}", reply.text());
                    let letter = reply.text().chars().next().unwrap();
                    assert!(letter >= last, "`{letter}` after `{last}`");
                    last = letter;
                }
            });
        }
        // Whatever happens here, the callers stop.
        let _stop = Stop(&done);
        for letter in 'b'..='u' {
            let changed = server.replace("versions", &answering(&letter.to_string()));
            assert_eq!(changed.status, 200, "{}", changed.text());
        }
    });
    assert_eq!(server.invoke("versions", "x").text(), "u");
}
