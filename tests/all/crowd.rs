//! Many at once: a thousand calls of one function, hundreds of deployments. Each gets its answer or a refusal with the documented
//! code; none is lost, none gets another's.

use std::collections::BTreeSet;

use hearth_tests::Server;
use serde_json::{Value, json};

/// An echo that counts up to `turns` before it answers; `name` makes the code its own.
fn busy_echo(turns: u32, name: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{name}")
            (func (export "alloc") (param i32) (result i32) i32.const 1024)
            (func (export "handle") (param $at i32) (param $length i32) (result i64)
                (local $turn i32)
                (loop $again
                    (local.set $turn (i32.add (local.get $turn) (i32.const 1)))
                    (br_if $again (i32.lt_u (local.get $turn) (i32.const {turns}))))
                (i64.or
                    (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
                    (i64.extend_i32_u (local.get $length)))))"#
    ))
    .unwrap()
}

#[test]
fn a_thousand_in_the_same_moment_against_ten_instances() {
    let server = Server::start();
    let settings = json!({"max_instances": 10, "queue": 20, "queue_wait": "2s", "timeout": "30s"});
    let deployed = server.put("busy", &busy_echo(20_000_000, ""), &settings);
    assert_eq!(deployed.status, 200, "{}", deployed.text());
    let events: Vec<String> = (0..1000).map(|number| format!("event {number}")).collect();
    let replies = server.invoke_at_once("busy", &events);
    let (mut answered, mut refused) = (0, 0);
    for (event, reply) in events.iter().zip(&replies) {
        let reply = reply.as_ref().unwrap_or_else(|| panic!("{event} got no whole answer"));
        match reply.status {
            200 => {
                assert_eq!(&reply.text(), event, "its own answer");
                answered += 1;
            }
            429 => {
                reply.is_error(429, "ResourceExhausted");
                refused += 1;
            }
            other => panic!("{event} got {other}: {}", reply.text()),
        }
    }
    assert_eq!(answered + refused, 1000);
    assert!(answered >= 10, "only {answered} were answered");
    assert!(refused > 0, "a queue of 20 held {answered}");
    assert_eq!(server.metric("hearth_running_invocations"), 0.0);
    assert_eq!(server.metric("faas_invocations_total"), f64::from(answered));
    assert_eq!(server.metric("hearth_refusals_total"), f64::from(refused));
    assert_eq!(server.invoke("busy", "afterwards").text(), "afterwards");
}

#[test]
fn requests_have_ids_of_their_own() {
    let server = Server::start();
    server.deploy("wat-echo");
    let events: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let replies = server.invoke_at_once("wat-echo", &events);
    let ids: BTreeSet<_> = replies
        .iter()
        .map(|reply| reply.as_ref().unwrap().header("x-fc-request-id").unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), events.len());
}

#[test]
fn two_hundred_deployments_at_once_are_done_or_refused() {
    let server = Server::start();
    server.deploy("wat-echo");
    let functions: Vec<_> = (0..200)
        .map(|number| format!("f{number}"))
        .map(|name| (name.clone(), busy_echo(1, &name)))
        .collect();
    let replies = std::thread::scope(|scope| {
        let deploying = scope.spawn(|| server.create_at_once(&functions));
        while !deploying.is_finished() {
            assert_eq!(server.invoke("wat-echo", "meanwhile").text(), "meanwhile");
        }
        deploying.join().unwrap()
    });
    let mut done = BTreeSet::from(["wat-echo".to_owned()]);
    for ((name, _), reply) in functions.iter().zip(&replies) {
        let reply = reply.as_ref().unwrap_or_else(|| panic!("{name} got no whole answer"));
        match reply.status {
            200 => {
                done.insert(name.clone());
            }
            _ => reply.is_error(429, "ResourceExhausted"),
        }
    }
    assert!(done.len() > 1, "not one deployment was done");
    assert_eq!(
        names(&server),
        done,
        "what was refused left something, or what was accepted is lost"
    );
    for name in &done {
        assert_eq!(server.invoke(name, "hi").text(), "hi", "{name}");
    }
}

/// The names of all functions of service `s`.
fn names(server: &Server) -> BTreeSet<String> {
    let (mut names, mut token) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/services/s/functions?limit=100{token}");
        let page = server.call("GET", &path, &Value::Null).json();
        for function in page["functions"].as_array().unwrap() {
            names.insert(function["functionName"].as_str().unwrap().to_owned());
        }
        match page["nextToken"].as_str() {
            Some(next) => token = format!("&nextToken={next}"),
            None => return names,
        }
    }
}

#[test]
fn of_twenty_who_take_one_name_one_gets_it() {
    let server = Server::start();
    let functions: Vec<_> = (0..20)
        .map(|number| ("contested".to_owned(), busy_echo(1, &format!("candidate {number}"))))
        .collect();
    let replies = server.create_at_once(&functions);
    let mut winners = Vec::new();
    for reply in replies {
        let reply = reply.expect("a whole answer");
        match reply.status {
            200 => winners.push(reply.json()["codeChecksum"].clone()),
            _ => reply.is_error(409, "FunctionAlreadyExists"),
        }
    }
    assert_eq!(winners.len(), 1);
    let kept = server.call("GET", "/services/s/functions/contested", &Value::Null).json();
    assert_eq!(kept["codeChecksum"], winners[0]);
}
