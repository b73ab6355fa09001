//! Stateful async invocations over the wire: accepted once under an id, looked up, listed and stopped.

use std::time::{Duration, Instant};

use hearth_tests::{Reply, Server, Start, eventually};
use serde_json::{Value, json};

fn path(name: &str) -> String {
    format!("/services/s/functions/{name}/stateful-async-invocations")
}

fn start_as(server: &Server, name: &str, id: &str) -> Reply {
    let headers = [("x-fc-invocation-type", "Async"), ("x-fc-stateful-async-invocation-id", id)];
    server.invoke_with(name, "the event", &headers)
}

fn get(server: &Server, name: &str, id: &str) -> Value {
    let found = server.call("GET", &format!("{}/{id}", path(name)), &Value::Null);
    assert_eq!(found.status, 200, "{}", found.text());
    found.json()
}

fn becomes(server: &Server, name: &str, id: &str, status: &str) -> Value {
    eventually(status, || get(server, name, id)["status"] == status);
    get(server, name, id)
}

#[test]
fn an_id_is_accepted_once_whatever_became_of_it() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    server.deploy("bad/trap");
    let first = start_as(&server, "wat-echo", "order-1");
    assert_eq!(first.status, 202, "{}", first.text());
    assert_eq!(first.header("x-fc-stateful-async-invocation-id"), Some("order-1"));
    let taken = |server: &Server| {
        start_as(server, "wat-echo", "order-1")
            .is_error(409, "StatefulAsyncInvocationAlreadyExists");
    };
    taken(&server);
    let id = [("x-fc-invocation-type", "Async"), ("x-fc-stateful-async-invocation-id", "order-1")];
    let another = server.invoke_with("wat-echo", "another event", &id);
    another.is_error(409, "StatefulAsyncInvocationAlreadyExists");
    let ended = becomes(&server, "wat-echo", "order-1", "Succeeded");
    assert_eq!(ended["requestId"], first.header("x-fc-request-id").unwrap());
    assert_eq!(ended["invocationPayload"], "the event");
    assert_eq!(ended["returnPayload"], "the event", "an echo");
    assert_eq!((&ended["qualifier"], &ended["alreadyRetriedTimes"]), (&json!("LATEST"), &json!(0)));
    assert_eq!(ended["events"].as_array().map(Vec::len), Some(2));
    taken(&server);
    server.restart();
    taken(&server);
    let other = start_as(&server, "trap", "order-1");
    assert_eq!(other.status, 202, "another function has ids of its own: {}", other.text());
}

#[test]
fn many_at_once_are_one() {
    let server = Server::start();
    server.deploy("wat-echo");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..16).map(|_| scope.spawn(|| start_as(&server, "wat-echo", "same").status)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 15, "{statuses:?}");
    becomes(&server, "wat-echo", "same", "Succeeded");
    assert_eq!(server.records_of("s/wat-echo").len(), 1);
}

#[test]
fn a_config_or_a_header_makes_it_stateful() {
    let server = Server::start();
    server.deploy("wat-echo");
    let request = server.invoke_async("wat-echo", "x");
    server
        .call("GET", &format!("{}/{request}", path("wat-echo")), &Value::Null)
        .is_error(404, "StatefulAsyncInvocationNotFound");
    let headers =
        [("x-fc-invocation-type", "Async"), ("x-fc-stateful-async-invocation-enable", "true")];
    let accepted = server.invoke_with("wat-echo", "x", &headers);
    let id = accepted.header("x-fc-stateful-async-invocation-id").unwrap().to_owned();
    assert_eq!(accepted.header("x-fc-request-id"), Some(&*id), "its request id");
    becomes(&server, "wat-echo", &id, "Succeeded");
    let config = "/services/s/functions/wat-echo/async-invoke-config";
    assert_eq!(server.call("PUT", config, &json!({"statefulInvocation": true})).status, 200);
    let id = server.invoke_async("wat-echo", "x");
    becomes(&server, "wat-echo", &id, "Succeeded");
    for (header, value) in [("id", "a/b"), ("id", "a b"), ("id", "1a"), ("enable", "maybe")] {
        let name = format!("x-fc-stateful-async-invocation-{header}");
        let headers = [("x-fc-invocation-type", "Async"), (&*name, value)];
        server.invoke_with("wat-echo", "x", &headers).is_error(400, "InvalidArgument");
    }
    let functions = server.call("GET", "/stateful-async-invocation-functions", &Value::Null);
    assert_eq!(functions.json()["data"][0]["functionName"], "wat-echo", "{}", functions.text());
}

#[test]
fn what_runs_ends_within_a_tenth_of_a_second_of_its_stop() {
    let server = Start::default().with("--queue-concurrency", "1").start();
    for name in ["infinite-loop", "sleeper"] {
        server.deploy_with(&format!("bad/{name}"), json!({"timeout": 600}));
    }
    for name in ["infinite-loop", "sleeper"] {
        assert_eq!(start_as(&server, name, "running").status, 202);
        eventually("it runs", || {
            server.metric("hearth_running_invocations") >= 1.0
                && get(&server, name, "running")["status"] == "Running"
        });
        assert_eq!(start_as(&server, name, "waiting").status, 202);
        assert_eq!(get(&server, name, "waiting")["status"], "Enqueued");
        let stop = |id: &str| server.call("PUT", &format!("{}/{id}", path(name)), &json!({}));
        let stopped = stop("waiting");
        assert_eq!((stopped.status, stopped.json()), (200, json!({})));
        let before = Instant::now();
        assert_eq!(stop("running").status, 200);
        while server.metric("hearth_running_invocations") > 0.0 {
            // The bound is the promise; the machine that runs this may be busy with others.
            assert!(before.elapsed() < Duration::from_secs(2), "{name} still runs");
        }
        for id in ["running", "waiting"] {
            assert_eq!(get(&server, name, id)["status"], "Stopped");
            stop(id).is_error(400, "InvalidArgument");
        }
        let records = server.records_of(&format!("s/{name}"));
        assert_eq!(records.len(), 2, "{records:?}");
        assert!(records.iter().all(|one| one["status"] == "cancelled"), "{records:?}");
    }
    server
        .call("PUT", &format!("{}/nobody", path("sleeper")), &json!({}))
        .is_error(404, "StatefulAsyncInvocationNotFound");
}

#[test]
fn lists_are_filtered_sorted_and_paged() {
    let server = Server::start();
    server.deploy("wat-echo");
    for n in 0..5 {
        assert_eq!(start_as(&server, "wat-echo", &format!("a-{n}")).status, 202);
    }
    assert_eq!(start_as(&server, "wat-echo", "b").status, 202);
    becomes(&server, "wat-echo", "b", "Succeeded");
    let list = |query: &str| {
        let found = server.call("GET", &format!("{}?{query}", path("wat-echo")), &Value::Null);
        assert_eq!(found.status, 200, "{}", found.text());
        found.json()
    };
    let ids = |list: &Value| -> Vec<String> {
        let found = list["invocations"].as_array().unwrap();
        found.iter().map(|one| one["invocationId"].as_str().unwrap().to_owned()).collect()
    };
    eventually("all of them", || ids(&list("status=Succeeded")).len() == 6);
    let all = ids(&list(""));
    assert_eq!(all, ["a-0", "a-1", "a-2", "a-3", "a-4", "b"]);
    let mut down = ids(&list("sortOrderByTime=desc"));
    down.reverse();
    assert_eq!(down, all);
    assert_eq!(ids(&list("invocationIdPrefix=a-")).len(), 5);
    assert_eq!(ids(&list("status=Failed")), Vec::<String>::new());
    for order in ["asc", "desc"] {
        let (mut paged, mut token) = (Vec::new(), String::new());
        loop {
            let page = list(&format!("limit=2&sortOrderByTime={order}&nextToken={token}"));
            paged.extend(ids(&page));
            match page["nextToken"].as_str() {
                Some(next) => next.clone_into(&mut token),
                None => break,
            }
        }
        assert_eq!(paged, ids(&list(&format!("sortOrderByTime={order}"))), "{order}");
    }
    let shown = list("includePayload=true&limit=1");
    assert_eq!(shown["invocations"][0]["invocationPayload"], "the event");
    assert!(list("limit=1")["invocations"][0].get("invocationPayload").is_none());
    let at = list("limit=1&sortOrderByTime=desc")["invocations"][0]["startedTime"].as_u64();
    let (at, after) = (at.unwrap(), at.unwrap() + 1);
    assert!(ids(&list(&format!("startedTimeBegin={at}"))).contains(&"b".to_owned()));
    assert_eq!(ids(&list(&format!("startedTimeBegin={after}"))), Vec::<String>::new());
    assert!(!ids(&list(&format!("startedTimeEnd={at}"))).contains(&"b".to_owned()));
    for bad in [
        "limit=0",
        "limit=101",
        "limit=x",
        "status=Odd",
        "sortOrderByTime=up",
        "startedTimeBegin=-1",
    ] {
        server
            .call("GET", &format!("{}?{bad}", path("wat-echo")), &Value::Null)
            .is_error(400, "InvalidArgument");
    }
}
