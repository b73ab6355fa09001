//! Synchronous invocations: the answer untouched, the documented headers, the tail log, errors of functions.

use hearth_tests::Server;
use serde_json::json;

#[test]
fn an_answer_has_the_documented_headers() {
    let server = Server::start();
    server.deploy("wat-echo");
    let bytes = "\u{0}any bytes \u{ff}\r\n";
    let answer = server.invoke_with("wat-echo", bytes, &[]);
    assert_eq!((answer.status, answer.text().as_str()), (200, bytes));
    let header =
        |name: &str| answer.header(name).unwrap_or_else(|| panic!("{name} is missing")).to_owned();
    assert_eq!(header("x-fc-request-id").len(), 36);
    assert_eq!(header("x-fc-invocation-service-version"), "LATEST");
    assert!(header("x-fc-invocation-duration").parse::<u64>().is_ok());
    assert!(header("x-fc-max-memory-usage").contains('.'));
    assert!(header("x-fc-code-checksum").parse::<u64>().is_ok());
    assert!(header("x-fc-instance-id").starts_with("c-"));
    assert_eq!(header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("x-fc-log-result"), None, "nobody asked for the log");
    assert_eq!(answer.header("x-fc-error-type"), None);
}

#[test]
fn the_tail_has_its_frame() {
    let server = Server::start();
    server.deploy("rust-event");
    let answer = server.invoke("rust-event", r#"{"name":"Ann"}"#);
    let id = answer.header("x-fc-request-id").unwrap().to_owned();
    let tail = answer.tail();
    assert!(tail.starts_with(&format!("FC Invoke Start RequestId: {id}\n")), "{tail}");
    assert!(
        tail.contains("greeting Ann") && tail.contains(&format!("FC Invoke End RequestId: {id}\n"))
    );
    for part in ["Duration: ", "Billed Duration: ", "Memory Size: 128 MB", "Max Memory Used: "] {
        assert!(tail.contains(part), "{part} is missing: {tail}");
    }
}

#[test]
fn errors_of_functions_are_answers() {
    let server = Server::start();
    server.deploy("rust-event");
    let handled = server.invoke("rust-event", r#"{"name":""}"#);
    assert_eq!(handled.status, 200);
    assert_eq!(handled.header("x-fc-error-type"), Some("HandledInvocationError"));
    assert_eq!(
        handled.json(),
        json!({"errorMessage": "a visitor needs a name", "errorType": "NoName"})
    );
    server.deploy("bad/trap");
    let trapped = server.invoke("trap", "x");
    assert_eq!(trapped.status, 200);
    assert_eq!(trapped.header("x-fc-error-type"), Some("UnhandledInvocationError"));
    let frames = trapped.json()["stackTrace"].to_string();
    assert!(frames.contains("handle"), "{frames}");
}

#[test]
fn qualifiers_and_wrong_headers() {
    let server = Server::start();
    server.deploy("wat-echo");
    for qualifier in ["", ".", ".LATEST"] {
        let path = format!("/2016-08-15/services/s{qualifier}/functions/wat-echo/invocations");
        assert_eq!(server.send("POST", &path, &[], b"hi").text(), "hi", "{qualifier:?}");
    }
    let path = "/2016-08-15/services/s.prod/functions/wat-echo/invocations";
    server.send("POST", path, &[], b"hi").is_error(404, "AliasNotFound");
    server
        .invoke_with("wat-echo", "x", &[("x-fc-invocation-type", "Later")])
        .is_error(400, "InvalidArgument");
    let wrong = server.invoke_with("wat-echo", "x", &[("x-fc-log-type", "All")]);
    wrong.is_error(400, "InvalidArgument");
    assert!(wrong.text().contains("LogType is set to an invalid value"), "{}", wrong.text());
    server.invoke("nobody", "x").is_error(404, "FunctionNotFound");
}

#[test]
fn every_kind_of_guest_is_served() {
    let server = Server::start();
    for (guest, event, answer) in [
        ("wat-echo", "hi", "hi"),
        ("c-echo", "hi", "hi"),
        ("assemblyscript-upper", "hi", "HI"),
        ("rust-http", "hi", "hi"),
        ("rust-http-p3", "hi", "hi"),
    ] {
        server.deploy(guest);
        assert_eq!(server.invoke(guest, event).text(), answer, "{guest}");
    }
    for guest in ["rust-command", "rust-command-component"] {
        server.deploy(guest);
        let answer = server.invoke(guest, "hi");
        assert!(answer.status == 200 && !answer.body.is_empty(), "{guest}: {}", answer.text());
    }
}

#[test]
fn a_trace_is_carried_on() {
    let server = Server::start();
    server.deploy("wat-echo");
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let answer = server.invoke_with("wat-echo", "x", &[("traceparent", parent)]);
    let carried = answer.header("traceparent").expect("a trace goes out again").to_owned();
    assert!(carried.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{carried}");
    assert_ne!(carried, parent, "the server's own span");
    let junk = server.invoke_with("wat-echo", "x", &[("traceparent", "00-junk")]);
    assert_eq!(junk.status, 200);
}
