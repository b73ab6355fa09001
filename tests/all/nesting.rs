//! Values that are kept as they came may be nested. What was accepted must be readable from the disk, where it is deeper in a record
//! than it was in the request: else a server that took it would not start again.

use hearth_tests::{Server, guest};
use serde_json::{Value, json};

/// An object in an object, so many of them.
fn nested(depth: usize) -> Value {
    (1..depth).fold(json!({}), |inner, _| json!({"a": inner}))
}

/// A place for such a value: how a request carries it, and where an answer shows it.
struct Place {
    method: &'static str,
    path: &'static str,
    body: fn(Value) -> Value,
    shown: &'static str,
}

const PLACES: [Place; 7] = [
    Place {
        method: "PUT",
        path: "/services/s",
        body: |value| json!({"vendorConfig": value}),
        shown: "/vendorConfig",
    },
    Place {
        method: "PUT",
        path: "/services/s/functions/wat-echo",
        body: |value| json!({"customDNS": value}),
        shown: "/customDNS",
    },
    Place {
        method: "PUT",
        path: "/services/s/aliases/prod",
        body: |value| json!({"routePolicy": value}),
        shown: "/routePolicy",
    },
    Place {
        method: "PUT",
        path: "/services/s/functions/wat-echo/triggers/t",
        body: |value| json!({"triggerConfig": value}),
        shown: "/triggerConfig",
    },
    Place {
        method: "PUT",
        path: "/custom-domains/a.example",
        body: |value| json!({"wafConfig": value}),
        shown: "/wafConfig",
    },
    Place {
        method: "PUT",
        path: "/custom-domains/b.example",
        body: |value| {
            let route = json!({"path": "/", "serviceName": "s", "functionName": "f", "rewriteConfig": value});
            json!({"routeConfig": {"routes": [route]}})
        },
        shown: "/routeConfig/routes/0/rewriteConfig",
    },
    Place {
        method: "PUT",
        path: "/services/s/functions/wat-echo",
        body: |value| json!({"customContainerConfig": value}),
        shown: "/customContainerConfig",
    },
];

#[test]
fn what_was_accepted_however_deep_is_there_after_a_restart() {
    let mut server = Server::start();
    assert_eq!(server.create("wat-echo", &guest("wat-echo"), json!({})).status, 200);
    server.publish();
    for (path, body) in [
        ("/services/s/aliases", json!({"aliasName": "prod", "versionId": "1"})),
        (
            "/services/s/functions/wat-echo/triggers",
            json!({"triggerName": "t", "triggerType": "oss", "triggerConfig": {}, "sourceArn": "acs:x"}),
        ),
        ("/custom-domains", json!({"domainName": "a.example", "protocol": "HTTP"})),
        ("/custom-domains", json!({"domainName": "b.example", "protocol": "HTTP"})),
    ] {
        let made = server.call("POST", path, &body);
        assert_eq!(made.status, 200, "{path}: {}", made.text());
    }
    let mut held = Vec::new();
    for place in &PLACES {
        let Place { method, path, body, shown } = place;
        // The deepest that is accepted, from what no parser takes downwards.
        let deepest = (1..=130).rev().find(|depth| {
            let reply = server.call(method, path, &body(nested(*depth)));
            if reply.status != 200 {
                reply.is_error(400, "InvalidArgument");
            }
            reply.status == 200
        });
        let deepest = deepest.unwrap_or_default();
        assert!(deepest >= 16, "{path} {shown}: what clients send is accepted, not only {deepest}");
        held.push((path, shown, nested(deepest)));
    }
    // A version holds its service and its functions deeper still.
    assert_eq!(server.publish(), "2");
    server.restart();
    for (path, shown, value) in held {
        let found = server.call("GET", path, &Value::Null).json();
        assert_eq!(found.pointer(shown), Some(&value), "{path}");
    }
    assert_eq!(server.call("GET", "/services/s.2", &Value::Null).status, 200);
    assert_eq!(server.invoke_at("2", "wat-echo").text(), "x");
}
