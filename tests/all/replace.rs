//! Code that changes under load: each answer is of one whole version, and none fails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hearth_tests::{Reply, Server, answering};
use serde_json::{Value, json};

/// Ends the load when the story ends, however it ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `s.QUALIFIER/f` from three threads while `change` goes on; each answer must say `check`.
fn under_load(server: &Server, qualifier: &str, check: fn(&Reply), change: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    check(&server.invoke_at(qualifier, "f"));
                }
            });
        }
        // Whatever happens here, the callers stop.
        let _stop = Stop(&done);
        change();
    });
}

#[test]
fn switching_an_alias_under_load_fails_no_request_and_mixes_no_versions() {
    let server = Server::start();
    server.deploy_answering("f", "1");
    server.publish();
    assert_eq!(server.replace("f", &answering("2")).status, 200);
    server.publish();
    let alias = json!({"aliasName": "prod", "versionId": "1"});
    assert_eq!(server.call("POST", "/services/s/aliases", &alias).status, 200);
    let is_whole = |reply: &Reply| {
        let version = reply.header("x-fc-invocation-service-version");
        assert_eq!((reply.status, Some(reply.text().as_str())), (200, version), "{}", reply.text());
    };
    under_load(&server, "prod", is_whole, || {
        for switch in 0..1000_u32 {
            let body = match switch % 3 {
                0 => json!({"versionId": "2", "additionalVersionWeight": {}}),
                1 => json!({"versionId": "1", "additionalVersionWeight": {"2": 0.5}}),
                _ => json!({"versionId": "1", "additionalVersionWeight": {}}),
            };
            let switched = server.call("PUT", "/services/s/aliases/prod", &body);
            let why = || format!("{} {}", switched.text(), server.log_about("storage"));
            assert_eq!(switched.status, 200, "{}", why());
        }
    });
}

#[test]
fn removing_under_load_is_seen_as_there_or_gone() {
    let server = Server::start();
    server.deploy_answering("f", "here");
    server.publish();
    let is_there_or_gone = |reply: &Reply| match reply.status {
        200 => assert_eq!((reply.text().as_str(), reply.header("x-fc-error-type")), ("here", None)),
        _ => assert_eq!(reply.status, 404, "{}", reply.text()),
    };
    for round in 0..5 {
        under_load(&server, "1", is_there_or_gone, || {
            server.moment();
            let path =
                if round == 4 { "/services/s/versions/1" } else { "/services/s/functions/f" };
            assert_eq!(server.call("DELETE", path, &Value::Null).status, 204);
            if round < 4 {
                server.deploy_answering("f", "here");
            }
        });
        let wanted = if round == 4 { 404 } else { 200 };
        assert_eq!(server.invoke_at("1", "f").status, wanted, "a version outlives its function");
    }
    under_load(&server, "LATEST", is_there_or_gone, || {
        for _ in 0..20 {
            assert_eq!(server.call("DELETE", "/services/s/functions/f", &Value::Null).status, 204);
            server.deploy_answering("f", "here");
        }
    });
}

#[test]
fn of_two_deployments_at_once_none_is_half_done() {
    let server = Server::start();
    server.deploy_answering("f", "0");
    let mut refused = 0;
    for round in 0..20 {
        let (one, two) = (answering(&format!("{round}a")), answering(&format!("{round}b")));
        let (one, two) = thread::scope(|scope| {
            let one = scope.spawn(|| server.replace("f", &one));
            let two = scope.spawn(|| server.replace("f", &two));
            (one.join().unwrap(), two.join().unwrap())
        });
        assert!(one.status == 200 || two.status == 200, "{} {}", one.text(), two.text());
        for reply in [&one, &two].into_iter().filter(|reply| reply.status != 200) {
            reply.is_error(409, "ConcurrentUpdateError");
            refused += 1;
        }
        let stands = server.call("GET", "/services/s/functions/f", &Value::Null).json();
        let won = [&one, &two].into_iter().filter(|reply| reply.status == 200);
        let mut sums = won.map(|reply| reply.json()["codeChecksum"].clone());
        assert!(
            sums.any(|sum| sum == stands["codeChecksum"]),
            "it stands at what one of them sent"
        );
    }
    assert!(refused > 0, "they never met, so nothing was tried");
}

#[test]
fn of_two_publications_at_once_each_is_a_version_or_refused() {
    let server = Server::start();
    let mut numbers = std::collections::BTreeSet::new();
    for round in 0..20 {
        server.deploy_answering("f", "0");
        assert_eq!(server.replace("f", &answering(&round.to_string())).status, 200);
        let publish = || server.call("POST", "/services/s/versions", &json!({}));
        let replies: Vec<Reply> = thread::scope(|scope| {
            let calls: Vec<_> = (0..3).map(|_| scope.spawn(publish)).collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        let mut made = 0;
        for reply in replies {
            if reply.status != 200 {
                assert!((400..500).contains(&reply.status), "{}", reply.text());
                continue;
            }
            made += 1;
            let number = reply.json()["versionId"].as_str().unwrap().parse::<u64>().unwrap();
            assert!(numbers.last().is_none_or(|last| *last < number), "{number} came again");
            assert!(numbers.insert(number));
            assert_eq!(server.invoke_at(&number.to_string(), "f").text(), round.to_string());
        }
        assert_eq!(made, 1, "nothing had changed for the others");
        assert_eq!(server.call("DELETE", "/services/s/functions/f", &Value::Null).status, 204);
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
