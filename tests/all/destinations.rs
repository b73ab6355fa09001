//! Destinations: who is told how an async invocation ended, and what becomes of what cannot be told.

use std::time::Duration;

use hearth_tests::{Server, Sink, Start, eventually, guest};
use serde_json::{Value, json};

const NOW: Duration = Duration::ZERO;

/// A server whose destinations may be on this machine and that tries again soon.
fn server() -> Server {
    Start::default()
        .with("--queue-destination-private", "true")
        .with("--queue-destination-timeout", "500ms")
        .with("--queue-backoff", "10ms")
        .with("--queue-backoff-max", "50ms")
        .start()
}

fn config(server: &Server, function: &str, body: &Value) {
    let path = format!("/services/s/functions/{function}/async-invoke-config");
    let set = server.call("PUT", &path, body);
    assert_eq!(set.status, 200, "{}", set.text());
}

fn to(name: &str) -> Value {
    json!({ "destination": name })
}

fn function(name: &str) -> Value {
    to(&format!("acs:fc:local:0:services/s/functions/{name}"))
}

#[test]
fn an_endpoint_is_told_of_success_and_failure() {
    let server = server();
    server.deploy("wat-echo");
    server.deploy("bad/trap");
    let sink = Sink::start(|_| (204, NOW));
    for name in ["wat-echo", "trap"] {
        let both =
            json!({"onSuccess": to(&sink.url("/ok?a=b")), "onFailure": to(&sink.url("/failed"))});
        config(&server, name, &json!({"destinationConfig": both, "maxAsyncRetryAttempts": 1}));
    }
    let id = server.invoke_async("wat-echo", "the event");
    eventually("the event", || sink.posted().len() == 1);
    let told = sink.posted().remove(0);
    assert_eq!(told.path, "/ok?a=b");
    let context = &told.body["requestContext"];
    assert_eq!(context["requestId"], id);
    assert_eq!(context["functionArn"], "acs:fc:local:0:services/s.LATEST/functions/wat-echo");
    assert_eq!(
        (&context["condition"], &context["approximateInvokeCount"]),
        (&json!(""), &json!(1))
    );
    assert_eq!(told.body["requestPayload"], "the event");
    assert_eq!(told.body["responsePayload"], "the event", "an echo");
    assert_eq!(told.body["responseContext"], json!({"statusCode": 200, "functionError": ""}));
    assert!(told.body["timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    eventually("its record", || server.record(&told.request_id).is_some());
    assert_eq!(server.record(&id).unwrap()["event"], told.request_id);
    assert_eq!(server.record(&told.request_id).unwrap()["status"], "succeeded");

    let id = server.invoke_async("trap", "x");
    eventually("the other event", || sink.posted().len() == 2);
    let told = sink.posted().remove(1);
    assert_eq!(told.path, "/failed");
    assert_eq!(told.body["requestContext"]["requestId"], id);
    assert_eq!(told.body["requestContext"]["condition"], "UnhandledInvocationError");
    assert_eq!(told.body["requestContext"]["approximateInvokeCount"], 2);
    assert!(told.body["responsePayload"].as_str().unwrap().contains("errorMessage"));
}

#[test]
fn a_function_is_told_by_an_invocation_of_its_own() {
    let server = server();
    server.deploy("wat-echo");
    server.deploy_answering("told", "thanks");
    config(&server, "wat-echo", &json!({"destinationConfig": {"onSuccess": function("told")}}));
    config(&server, "told", &json!({"statefulInvocation": true}));
    let id = server.invoke_async("wat-echo", "x");
    let list = "/services/s/functions/told/stateful-async-invocations?includePayload=true";
    let told = || server.call("GET", list, &Value::Null).json()["invocations"][0].clone();
    eventually("the destination's end", || told()["status"] == "Succeeded");
    let event: Value = serde_json::from_str(told()["invocationPayload"].as_str().unwrap()).unwrap();
    assert_eq!(event["requestContext"]["requestId"], id);
    assert_eq!(server.record(&id).unwrap()["event"], told()["requestId"]);
}

#[test]
fn two_that_tell_each_other_come_to_an_end() {
    let server = server();
    for (name, other) in [("ping", "pong"), ("pong", "ping")] {
        let made = server.create(name, &guest("wat-echo"), json!({}));
        assert_eq!(made.status, 200, "{}", made.text());
        config(&server, name, &json!({"destinationConfig": {"onSuccess": function(other)}}));
    }
    let _ = server.invoke_async("ping", "x");
    let count = || server.records_of("s/ping").len() + server.records_of("s/pong").len();
    eventually("the last of them", || count() == 17);
    server.moment();
    server.moment();
    assert_eq!(count(), 17);
    assert!(server.log().contains("tells no other"), "{}", server.log());
}

#[test]
fn what_is_down_or_slow_is_tried_again() {
    let server = server();
    server.deploy("wat-echo");
    let sink = Sink::start(|number| match number {
        0 => (503, NOW),
        1 => (200, Duration::from_millis(900)),
        2 => (429, NOW),
        _ => (200, NOW),
    });
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    config(&server, "wat-echo", &json!({"destinationConfig": {"onSuccess": to(&sink.url("/"))}}));
    let id = server.invoke_async("wat-echo", "x");
    eventually("the event", || sink.posted().len() == 4);
    let ids: Vec<_> = sink.posted().into_iter().map(|posted| posted.request_id).collect();
    assert!(ids.iter().all(|one| *one == ids[0]), "each time the same: {ids:?}");
    eventually("its record", || server.record(&ids[0]).is_some());
    assert_eq!(server.record(&ids[0]).unwrap()["attempt"], 4);
    assert_eq!(server.record(&id).unwrap()["status"], "succeeded", "whatever its destination does");

    let address = format!("http://{down}/");
    config(&server, "wat-echo", &json!({"destinationConfig": {"onSuccess": to(&address)}}));
    let id = server.invoke_async("wat-echo", "x");
    eventually("its end", || server.record(&id).is_some());
    let event = server.record(&id).unwrap()["event"].as_str().unwrap().to_owned();
    eventually("attempts", || server.metric("hearth_queue_retries_total") >= 10.0);
    assert!(server.record(&event).is_none(), "nobody listens there, and it is not given up");
    assert_eq!(server.invoke("wat-echo", "still").text(), "still");
}

#[test]
fn who_asks_for_a_wait_is_left_alone_for_it() {
    let server = Start::default()
        .with("--queue-destination-private", "true")
        .with("--queue-backoff", "10ms")
        .start();
    server.deploy("wat-echo");
    let sink = Sink::start(|number| (if number == 0 { 429 } else { 200 }, NOW));
    config(&server, "wat-echo", &json!({"destinationConfig": {"onSuccess": to(&sink.url("/"))}}));
    let _ = server.invoke_async("wat-echo", "x");
    eventually("the event", || sink.posted().len() == 2);
    let posted = sink.posted();
    assert!(posted[1].at - posted[0].at >= Duration::from_secs(1));
    assert_eq!(posted[1].request_id, posted[0].request_id);
}

#[test]
fn what_can_never_be_told_is_a_dead_letter() {
    let server = server();
    server.deploy("wat-echo");
    let itself = Sink::start(|_| (307, NOW));
    let gone = Sink::start(|_| (410, NOW));
    for (address, why) in [(itself.url("/"), "redirects are not followed"), (gone.url("/"), "410")]
    {
        config(&server, "wat-echo", &json!({"destinationConfig": {"onSuccess": to(&address)}}));
        let id = server.invoke_async("wat-echo", "x");
        eventually("its end", || server.record(&id).is_some());
        let event = server.record(&id).unwrap()["event"].as_str().unwrap().to_owned();
        eventually("the end of its event", || server.record(&event).is_some());
        let record = server.record(&event).unwrap();
        assert_eq!(record["status"], "failed");
        assert!(record["error"]["message"].as_str().unwrap().contains(why), "{record}");
    }
    assert_eq!((itself.posted().len(), gone.posted().len()), (1, 1), "each was asked once");
}

#[test]
fn this_machine_is_out_of_reach_unless_allowed() {
    let server = Server::start();
    server.deploy("wat-echo");
    let sink = Sink::start(|_| (200, NOW));
    let port = sink.url("").rsplit(':').next().unwrap().to_owned();
    for address in
        [sink.url("/"), format!("http://localhost:{port}/"), format!("http://2130706433:{port}/")]
    {
        config(&server, "wat-echo", &json!({"destinationConfig": {"onSuccess": to(&address)}}));
        let id = server.invoke_async("wat-echo", "x");
        eventually("its end", || server.record(&id).is_some());
        let event = server.record(&id).unwrap()["event"].as_str().unwrap().to_owned();
        eventually("the end of its event", || server.record(&event).is_some());
        let record = server.record(&event).unwrap();
        assert!(record["error"]["message"].as_str().unwrap().contains("not public"), "{record}");
    }
    assert_eq!(sink.posted().len(), 0);
}
