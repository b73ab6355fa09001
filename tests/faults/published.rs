//! Kill -9 while publishing: a version is there whole or not at all, answers as when it was published, and no number is given twice.

use std::collections::BTreeMap;

use hearth_tests::Server;
use serde_json::{Value, json};

use crate::kill::{answering, cut_off, time_of};

/// Rounds; each ends a server process and starts one.
const ROUNDS: u32 = 24;

fn publish(server: &Server, description: &str) -> Option<(u16, Value)> {
    let body = json!({"description": description}).to_string();
    let path = "/2016-08-15/services/s/versions";
    let reply = server.try_send("POST", path, &[], body.as_bytes())?;
    Some((reply.status, reply.json()))
}

/// The versions that are there, by number, with their descriptions.
fn versions(server: &Server) -> BTreeMap<u64, String> {
    let page = server.call("GET", "/services/s/versions?limit=100", &Value::Null).json();
    let versions = page["versions"].as_array().unwrap().iter();
    let text = |version: &Value, key: &str| version[key].as_str().unwrap().to_owned();
    versions
        .map(|version| (text(version, "versionId").parse().unwrap(), text(version, "description")))
        .collect()
}

#[test]
fn publishing_that_is_cut_off_happened_or_did_not() {
    let mut server = Server::start();
    for other in 0..20 {
        let made = server.create(&format!("other{other}"), &answering(0, 1), json!({}));
        assert_eq!(made.status, 200, "{}", made.text());
    }
    assert_eq!(server.create("f", &answering(0, 1), json!({})).status, 200);
    let whole = time_of(|| assert_eq!(publish(&server, "000000").unwrap().0, 200));
    let mut newest = 1;
    for round in 1..ROUNDS {
        assert_eq!(server.replace("f", &answering(round, 1)).status, 200);
        let (description, mut given) = (format!("{round:06}"), None);
        let accepted = cut_off(&mut server, whole * round / (ROUNDS / 2), |server| {
            let (status, body) = publish(server, &description)?;
            given = body["versionId"].as_str().and_then(|id| id.parse::<u64>().ok());
            Some(status)
        });
        let held = versions(&server);
        if accepted {
            let given = given.unwrap();
            assert!(given > newest, "{given} after {newest}");
            assert_eq!(held.get(&given), Some(&description), "an accepted version is there");
        }
        for (id, description) in held.range(newest..) {
            let answer = server.invoke_at(&id.to_string(), "f");
            assert_eq!((answer.status, &answer.text()), (200, description), "version {id}");
            let other = server.invoke_at(&id.to_string(), "other7");
            assert_eq!(other.text(), "000000", "{}", other.text());
        }
        newest = held.last_key_value().map_or(newest, |(id, _)| newest.max(*id));
        // A deletion that went through stays, and takes no other version with it.
        if round % 3 == 0 && held.contains_key(&newest) {
            let path = format!("/2016-08-15/services/s/versions/{newest}");
            let gone = cut_off(&mut server, whole * round / ROUNDS, |server| {
                server.try_send("DELETE", &path, &[], b"").map(|reply| match reply.status {
                    204 => 200,
                    other => other,
                })
            });
            let left = versions(&server);
            assert!(!gone || !left.contains_key(&newest), "version {newest} came back");
            assert!(held.keys().filter(|id| **id != newest).all(|id| left.contains_key(id)));
        }
    }
}
