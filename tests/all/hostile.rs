//! Every call of the Function Compute API and of our own with every value that it takes missing, empty, of another type, far too long or made to do
//! harm: refused in the documented form or taken for what it is, never an error of the server's own, never a silence, and the same
//! connection goes on. What was refused changed nothing; what the server held, it holds, also after it was killed.

use std::collections::BTreeSet;

use hearth_tests::{Connection, Server, Start, guest};
use serde_json::{Value, json};

use crate::hostile_calls::{Call, Text, calls};
use crate::hostile_values::{filled, fillings, hostile_texts};
use crate::hostile_world::{Attempt, World, bare, target, without_times};

/// The call as it may be made.
fn plain(call: &Call) -> Attempt {
    let query: Vec<_> =
        call.query.iter().map(|(name, value, _)| format!("{name}={value}")).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let set = call.headers.iter().filter(|(_, value, _)| !value.is_empty());
    Attempt {
        what: "as it may be".to_owned(),
        is_wrong: false,
        target: format!("{}{query}", target(call.path)),
        headers: set
            .map(|(name, value, _)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: if call.body.is_null() { Vec::new() } else { call.body.to_string().into_bytes() },
        sent: None,
    }
}

fn of_fields(call: &Call) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for field in call.fields() {
        let valid = call.body.pointer(&field).unwrap();
        for (what, value, is_wrong) in fillings(call, &field, valid) {
            let shown: String = value.iter().map(Value::to_string).collect();
            let shown: String = shown.chars().take(40).collect();
            let sent = value.as_ref().and_then(Value::as_str).map(str::to_owned);
            let body = filled(&call.body, &field, value).to_string().into_bytes();
            let what = format!("{field} {what} {shown}");
            let sent = sent.map(|text| (field.clone(), text));
            attempts.push(Attempt { what, is_wrong, body, sent, ..plain(call) });
        }
    }
    attempts
}

/// Bodies that are no JSON, or none that a field could make.
fn of_bodies(call: &Call) -> Vec<Attempt> {
    let Some(fields) = call.body.as_object() else {
        // Nobody reads it, whatever it is.
        return vec![Attempt { what: "a body".into(), body: b"{garbage".to_vec(), ..plain(call) }];
    };
    let (name, value) = fields.iter().next().unwrap();
    let rest = call.body.to_string();
    let nested = |open: &str, close: &str| {
        format!("{{\"unknown\":{}1{}}}", open.repeat(100_000), close.repeat(100_000))
    };
    let bodies: Vec<(&str, Vec<u8>, bool)> = vec![
        ("nothing", vec![], true),
        ("half", rest.as_bytes()[..rest.len() / 2].to_vec(), true),
        ("text", b"\"x\"".to_vec(), true),
        ("null", b"null".to_vec(), true),
        ("list", b"[]".to_vec(), true),
        ("its values", json!(fields.values().collect::<Vec<_>>()).to_string().into_bytes(), true),
        ("number", b"1e999".to_vec(), true),
        ("NaN", format!("{{\"{name}\":NaN}}").into_bytes(), true),
        ("more after it", format!("{rest}{rest}").into_bytes(), true),
        ("no UTF-8", [b"{\"unknown\":\"", &b"\xff\xfe"[..], b"\"}"].concat(), true),
        ("half a surrogate", format!("{{\"{name}\":\"\\ud800\"}}").into_bytes(), true),
        ("a raw NUL", format!("{{\"{name}\":\"\0\"}}").into_bytes(), true),
        ("a number that overflows", format!("{{\"{name}\":1e999}}").into_bytes(), true),
        ("deep lists", nested("[", "]").into_bytes(), true),
        ("deep objects", nested("{\"a\":", "}").into_bytes(), true),
        ("an entity", b"<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>".to_vec(), true),
        ("twice, wrong last", format!("{{\"{name}\":{value},\"{name}\":[[]]}}").into_bytes(), true),
        ("twice", format!("{{\"{name}\":[[]],{}", &rest[1..]).into_bytes(), false),
        (
            "a huge list",
            format!("{{\"unknown\":[{}0],{}", "0,".repeat(500_000), &rest[1..]).into_bytes(),
            false,
        ),
        (
            "a huge name",
            format!("{{\"{}\":0,{}", "a".repeat(1 << 20), &rest[1..]).into_bytes(),
            false,
        ),
    ];
    let attempt = |(what, body, is_wrong): (&str, Vec<u8>, bool)| {
        let what = format!("body: {what}");
        Attempt { what, is_wrong, body, ..plain(call) }
    };
    bodies.into_iter().map(attempt).collect()
}

fn of_names(call: &Call) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let names: Vec<_> =
        call.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
    let long = "a".repeat(1300);
    let hostile = [
        "",
        "%00",
        "a%00b",
        "%0A",
        "%0d%0ax:y",
        "%2E%2E%2Fa",
        "..%2f..%2f",
        "a%2Fb",
        "%2f",
        "%ff",
        "%zz",
        "%",
        "%2",
        "a%20b",
        "%20",
        "%F0%9F%94%A5",
        "%E2%80%AE",
        "a;b",
        "a,b",
        "a=b",
        "~",
        "*",
        "-1",
        "9223372036854775808",
        "18446744073709551616",
        "%7Balert%7D",
        ".1.2.3",
        "...",
        "%252F",
        "none%2Enone",
        &long,
    ];
    for name in names {
        for other in hostile {
            let path = call.path.replacen(&format!("{{{name}}}"), other, 1);
            let Attempt { target, .. } = plain(call);
            let target = target.replacen(&bare(call.path), &bare(&path), 1);
            let what = format!("{name} in the path as {}", &other[..other.len().min(40)]);
            attempts.push(Attempt { what, is_wrong: true, target, ..plain(call) });
        }
    }
    attempts
}

fn of_query(call: &Call) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let long = "a".repeat(5000);
    for (name, valid, text) in &call.query {
        let wrong = [
            "x",
            "-1",
            "1.5",
            "NaN",
            "%00",
            "%ff",
            "18446744073709551616",
            "0x10",
            "..%2F",
            "1%0A",
            &long,
        ];
        let odd = ["", "%zz", "+", "9223372036854775808", "%F0%9F%94%A5", "a%00b", "0"];
        let of = |value: &str, is_wrong: bool| {
            let what = format!("{name} in the query as {}", &value[..value.len().min(40)]);
            let target = format!("{}?{name}={value}", target(call.path));
            Attempt { what, is_wrong, target, ..plain(call) }
        };
        attempts.extend(wrong.map(|value| of(value, *text == Text::Strict)));
        attempts.extend(odd.map(|value| of(value, false)));
        attempts.push(of(&format!("{valid}&{name}=x&{name}=-1"), false));
    }
    attempts
}

fn of_headers(call: &Call) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let long = vec![b'a'; 9000];
    for (name, _, text) in &call.headers {
        let wrong: [&[u8]; 8] =
            [b"x", b"-1", b"18446744073709551616", b"NaN", b"\xff\xfe", b"a\tb", b"%00", &long];
        let of = |value: &[u8], is_wrong: bool| {
            let mut attempt = plain(call);
            attempt.headers.retain(|(other, _)| other != name);
            attempt.headers.push(((*name).to_owned(), value.to_vec()));
            let shown = String::from_utf8_lossy(&value[..value.len().min(40)]).into_owned();
            Attempt { what: format!("{name}: {shown}"), is_wrong, ..attempt }
        };
        attempts.extend(wrong.map(|value| of(value, *text == Text::Strict)));
        attempts.push(of(b"", false));
    }
    attempts
}

/// Makes all attempts of one kind at all calls.
fn assail(kind: fn(&Call) -> Vec<Attempt>) {
    let mut world = World::new();
    for call in calls() {
        // As it may be, first, so that the rest are refused for what is wrong with them alone; and what is held has all fields.
        let plain = plain(&call);
        let refused = world.refusals;
        world.attempt(&call, &plain);
        // But for what there is not, and for a version that would be the same as the last.
        let is_odd = ["none", "99", "s}/versions", "/audit/verify"]
            .iter()
            .any(|part| call.path.contains(part));
        assert!(world.refusals == refused || is_odd, "{} {}", call.method, call.path);
        let before = world.holdings();
        for attempt in kind(&call) {
            world.attempt(&call, &attempt);
        }
        if call.path.ends_with("/invocations") {
            let answer = world.server.invoke("f", "alive");
            assert_eq!(answer.text(), "alive", "after {} {}", call.method, call.path);
        }
        for ((path, was), (_, is)) in before.iter().zip(world.holdings()) {
            if without_times(was) != without_times(&is) {
                world
                    .wrong
                    .push(format!("{} {}: {path} was {was} and is {is}", call.method, call.path));
            }
        }
    }
    let before = world.holdings();
    world.server.kill9();
    world.server.restart();
    assert_eq!(world.holdings(), before, "what was held is held");
    let report = world.server.send("GET", "/hearth/v1/audit/verify", &[], b"").json();
    assert_eq!(report["problem"], Value::Null);
    let (wrong, count) = (world.wrong.len(), world.count);
    assert!(world.wrong.is_empty(), "{wrong} of {count}:\n{}", world.wrong.join("\n"));
    assert!(count > 200, "only {count} attempts were made");
}

#[test]
fn every_call_is_in_the_table() {
    let pattern = |path: &str| {
        let mut parts = path.split('{');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |done, part| {
            format!("{done}{{}}{}", part.split_once('}').map_or("", |(_, rest)| rest))
        })
    };
    let known = |call: &Call| {
        (call.method.to_owned(), target(&pattern(call.path).replace("{}", "@")).replace('@', "{}"))
    };
    let known: BTreeSet<_> = calls().iter().map(known).collect();
    let routes = Server::start().routes();
    let missing: Vec<_> = routes.difference(&known).collect();
    assert!(missing.is_empty(), "calls that are not in the table: {missing:?}");
    let gone: Vec<_> = known.difference(&routes).collect();
    assert!(gone.is_empty(), "no calls of the server: {gone:?}");
}

#[test]
fn fields_of_bodies() {
    assail(of_fields);
}

#[test]
fn bodies_as_a_whole() {
    assail(of_bodies);
}

#[test]
fn names_in_paths() {
    assail(of_names);
}

#[test]
fn values_in_queries() {
    assail(of_query);
}

#[test]
fn values_in_headers() {
    assail(of_headers);
}

#[test]
fn names_and_values_of_variables_reach_the_guest_or_are_refused() {
    let server = Server::start();
    let guests = ["rust-event", "rust-command", "rust-http"];
    for name in guests {
        server.deploy(name);
    }
    let long = "a".repeat(4000);
    let odd = hostile_texts().into_iter().chain([long, "=".into(), "A=B".into(), String::new()]);
    for text in odd {
        for variables in [json!({ text.clone(): "v" }), json!({ "A": text })] {
            for name in guests {
                let path = format!("/services/s/functions/{name}");
                let set = server.call("PUT", &path, &json!({"environmentVariables": variables}));
                if set.status != 200 {
                    set.is_error(400, "InvalidArgument");
                    continue;
                }
                let answer = server.invoke(name, r#"{"name":"x"}"#);
                assert_eq!(answer.status, 200, "{name} with {variables}: {}", answer.text());
                let fault = answer.header("x-fc-error-type");
                assert_eq!(fault, None, "{name} with {variables}: {}", answer.text());
            }
        }
    }
}

/// A header beyond this is nobody's to read: `edges` has what becomes of it.
const HEADER_BYTES: usize = 60 << 10;

#[test]
fn settings_of_a_deployment() {
    let server = Start::default().start();
    let path = "/hearth/v1/functions/s/f";
    let settings = json!({
        "description": "d", "memory": "128MiB", "timeout": "3s", "cpu_time": "1s", "initialize_timeout": "3s",
        "isolation": "reuse", "environment": {"A": "b"}, "min_ready": 0, "max_instances": 5, "idle_time": "1m", "uses": 10,
        "queue": 5, "queue_wait": "1s", "grants": {},
    });
    let call = Call::of_settings(settings.clone());
    let mut connection = Connection::new(server.address());
    let mut send = |settings: &Value, code: &[u8]| {
        let text = settings.to_string();
        connection.send("PUT", path, &[("x-hearth-settings", text.as_bytes())], code).unwrap()
    };
    // What is refused makes nothing, the service neither.
    assert_eq!(send(&settings, b"").status, 400, "there is no code");
    assert_eq!(send(&settings, b"no wasm").status, 400);
    assert_eq!(send(&json!([]), &guest("wat-echo")).status, 400);
    server.call("GET", "/services/s", &Value::Null).is_error(404, "ServiceNotFound");
    assert_eq!(send(&settings, &guest("wat-echo")).status, 200);
    for field in call.fields() {
        let valid = settings.pointer(&field).unwrap();
        for (what, value, is_wrong) in fillings(&call, &field, valid) {
            let shown: String = value.iter().map(Value::to_string).collect();
            let shown: String = shown.chars().take(40).collect();
            let sent = filled(&settings, &field, value);
            let text = sent.to_string();
            // No header holds the one character that JSON does not escape and HTTP does not take.
            if text.len() > HEADER_BYTES || text.contains('\u{7f}') {
                continue;
            }
            let reply = send(&sent, b"");
            let text = format!("{field} {what} {shown}: {} {}", reply.status, reply.text());
            // A size may be a plain number as well.
            let is_wrong = is_wrong && field != "/memory";
            assert!(if is_wrong { reply.status >= 400 } else { reply.status < 500 }, "{text}");
            assert!(reply.status < 500, "{text}");
            let is_told = reply.status < 400 || reply.text().contains("\"ErrorCode\"");
            assert!(is_told, "{text}");
        }
    }
    assert_eq!(send(&settings, b"").status, 200);
    assert_eq!(server.invoke("f", "alive").text(), "alive");
}
