//! Code that is refused at upload, each time told why; nothing of it is left behind.

use hearth_tests::{Server, guest};
use serde_json::{Value, json};

#[test]
fn code_that_is_no_guest_is_told_why() {
    let server = Server::start();
    let event = guest("rust-event");
    let text = b"(module (memory (export \"memory\") 1))";
    for (code, says) in [
        (&b""[..], "not a WebAssembly binary"),
        (&b"hello"[..], "not a WebAssembly binary"),
        (&text[..], "not a WebAssembly binary"),
        (&b"\0asm"[..], "not"),
        (&b"\0asm\x09\0\0\0"[..], "not"),
        (&event[..event.len() / 2], "not valid"),
        (&event[..event.len() - 1], "not valid"),
    ] {
        let refused = server.create("f", code, json!({}));
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(says), "{says}: {}", refused.text());
    }
    let listed = server.call("GET", "/services/s/functions", &Value::Null).json();
    assert_eq!(listed["functions"], json!([]), "nothing is left behind");
}

#[test]
fn memory_over_the_limit_is_refused_at_upload() {
    let server = Server::start();
    let large = wat::parse_str(r#"(module (memory 4096) (func (export "_start")))"#).unwrap();
    let refused = server.create("large", &large, json!({"memorySize": 128}));
    refused.is_error(400, "InvalidArgument");
    for figure in ["268435456", "134217728"] {
        assert!(refused.text().contains(figure), "{}", refused.text());
    }
    assert_eq!(server.create("large", &large, json!({"memorySize": 512})).status, 200);
    let shrunk = server.call("PUT", "/services/s/functions/large", &json!({"memorySize": 128}));
    shrunk.is_error(400, "InvalidArgument");
    assert_eq!(server.invoke("large", "still as it was").status, 200);
}

#[test]
fn a_refused_replacement_leaves_what_was_there() {
    let server = Server::start();
    server.deploy("wat-echo");
    for code in [&b"hello"[..], &guest("bad/no-kind"), &guest("bad/unknown-import")] {
        server.replace("wat-echo", code).is_error(400, "InvalidArgument");
        assert_eq!(server.invoke("wat-echo", "as before").text(), "as before");
    }
}

#[test]
fn a_body_that_is_no_creation_is_told_why() {
    let server = Server::start();
    server.service("s");
    let path = "/services/s/functions";
    let deep = format!("{{\"functionName\":{}", "[".repeat(100_000));
    for (body, says) in [
        ("{", "JSON"),
        (deep.as_str(), "JSON"),
        (r#"{"functionName":"f"}"#, "required"),
        (r#"{"functionName":"f","runtime":"wasm","handler":"h"}"#, "code"),
        (r#"{"functionName":"f","runtime":"wasm","handler":"h","code":{"zipFile":"*"}}"#, "base64"),
        (r#"{"functionName":"f","runtime":"cobol","handler":"h","code":{}}"#, "Runtime"),
        (r#"{"functionName":7}"#, "functionName"),
    ] {
        let refused = server.send("POST", &format!("/2016-08-15{path}"), &[], body.as_bytes());
        refused.is_error(400, "InvalidArgument");
        assert!(refused.text().contains(says), "{says}: {}", refused.text());
    }
}
