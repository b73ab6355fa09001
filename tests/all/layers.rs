//! Layers: files that functions share, in versions that never change.

use std::io::Write as _;

use base64::Engine as _;
use hearth_tests::{Reply, Server, guest};
use serde_json::{Value, json};

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn publish_with(server: &Server, name: &str, files: &[(&str, &str)], more: &Value) -> Reply {
    let text = base64::prelude::BASE64_STANDARD.encode(zip(files));
    let mut body =
        json!({"description": "words", "compatibleRuntime": ["wasm"], "code": {"zipFile": text}});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    server.call("POST", &format!("/layers/{name}/versions"), &body)
}

/// Publishes a version; its ARN.
fn publish(server: &Server, name: &str, files: &[(&str, &str)]) -> String {
    let made = publish_with(server, name, files, &json!({}));
    assert_eq!(made.status, 200, "{}", made.text());
    made.json()["arnV2"].as_str().unwrap().to_owned()
}

fn get(server: &Server, path: &str) -> Reply {
    server.call("GET", path, &Value::Null)
}

#[test]
fn versions_of_a_layer_live() {
    let mut server = Server::start();
    let made = publish_with(&server, "words", &[("a", "1")], &json!({}));
    let record = made.json();
    assert_eq!((&record["version"], &record["acl"]), (&json!(1), &json!(0)), "{}", made.text());
    assert_eq!(record["codeSize"], json!(zip(&[("a", "1")]).len()));
    publish(&server, "words", &[("a", "2")]);
    publish(&server, "other", &[("a", "2")]);
    assert_eq!(server.call("PUT", "/layers/words/acl?public=true", &Value::Null).json(), json!({}));
    server.restart();
    let again = get(&server, "/layers/words/versions/1").json();
    for field in [
        "layerName",
        "version",
        "description",
        "compatibleRuntime",
        "codeChecksum",
        "createTime",
        "arn",
    ] {
        assert_eq!(again[field], record[field], "{field}");
    }
    assert_eq!(again["acl"], json!(1));
    for name in ["arn", "arnV2"] {
        let escaped = record[name].as_str().unwrap().replace('#', "%23").replace('/', "%2F");
        for arn in [escaped.clone(), escaped.replace("%2F", "/")] {
            assert_eq!(
                get(&server, &format!("/layerarn/{arn}")).json()["version"],
                json!(1),
                "{arn}"
            );
        }
    }
    let versions = |path: &str| -> Vec<Value> {
        let page = get(&server, path).json();
        page["layers"].as_array().unwrap().iter().map(|layer| layer["version"].clone()).collect()
    };
    assert_eq!(versions("/layers/words/versions"), [2, 1]);
    assert_eq!(get(&server, "/layers/words/versions?limit=1").json()["nextVersion"], json!(1));
    assert_eq!(versions("/layers/words/versions?startVersion=1"), [1]);
    assert_eq!(versions("/layers?prefix=w"), [2]);
    assert_eq!(versions("/layers"), [1, 2]);
    assert_eq!(versions("/layers?public=false"), [1]);
    for version in [2, 1] {
        let removed =
            server.call("DELETE", &format!("/layers/words/versions/{version}"), &Value::Null);
        assert_eq!(removed.status, 204, "{}", removed.text());
    }
    get(&server, "/layers/words/versions/1").is_error(404, "LayerVersionNotFound");
    get(&server, "/layers/none/versions/1").is_error(404, "LayerNotFound");
    assert_eq!(versions("/layers"), [1], "only that of the other");
    let next = publish(&server, "words", &[("a", "3")]);
    assert!(next.ends_with("/versions/3"), "no number is given twice: {next}");
}

#[test]
fn its_archive_can_be_fetched_for_a_while() {
    let server = Server::start();
    publish(&server, "words", &[("a", "1")]);
    let record = get(&server, "/layers/words/versions/1").json();
    let link = record["code"]["location"].as_str().unwrap();
    let path = &link[link.find("/hearth/").unwrap()..];
    let fetched = server.send("GET", path, &[], b"");
    assert_eq!((fetched.status, fetched.body.as_slice()), (200, zip(&[("a", "1")]).as_slice()));
    publish(&server, "words", &[("a", "2")]);
    for wrong in [
        path.replace("/1?", "/2?"),
        path.replace("/words/", "/others/"),
        "/hearth/v1/layers/words/1".to_owned(),
    ] {
        server.send("GET", &wrong, &[], b"").is_error(403, "AccessDenied");
    }
    server.send("GET", "/hearth/v1/layers/words/x", &[], b"").is_error(400, "PathNotSupported");
}

#[test]
fn a_function_reads_its_layers_and_cannot_change_them() {
    let mut server = Server::start();
    let first = publish(&server, "first", &[("lib/words.txt", "first"), ("both", "first")]);
    let second = publish(&server, "second", &[("lib/more.txt", "second"), ("both", "second")]);
    let both = json!({"layers": [first, second]});
    server.deploy_with("rust-tmp-command", both.clone());
    let found = get(&server, "/services/s/functions/rust-tmp-command");
    assert_eq!(found.json()["layers"], both["layers"]);
    assert_eq!(found.json()["layersArnV2"], both["layers"]);
    assert_eq!(found.header("x-hearth-no-effect"), None);
    let script = "read /opt/lib/words.txt\nread /opt/lib/more.txt\nread /opt/both";
    let read = |server: &Server| server.invoke("rust-tmp-command", script).text().clone();
    assert_eq!(read(&server), "first\nsecond\nfirst\n");
    let hostile = "write /opt/both x\nnew /opt/mine\nmkdir /opt/dir\nread /opt/../../hearth.db\nread /etc/hostname\nread /opt/both";
    let answer = server.invoke("rust-tmp-command", hostile).text().clone();
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!((lines.len(), lines.last()), (6, Some(&"first")), "{answer}");
    assert!(
        lines.iter().take(5).all(|line| *line != "done" && !line.contains("SQLite")),
        "{answer}"
    );
    // A version that is removed stays with those who have it, over a restart and in a published version.
    server.publish();
    for layer in ["first", "second"] {
        let path = format!("/layers/{layer}/versions/1");
        assert_eq!(server.call("DELETE", &path, &Value::Null).status, 204);
    }
    server.restart();
    assert_eq!(read(&server), "first\nsecond\nfirst\n");
    let change =
        server.call("PUT", "/services/s/functions/rust-tmp-command", &json!({"timeout": 9}));
    assert_eq!(change.status, 200, "{}", change.text());
    assert_eq!(read(&server), "first\nsecond\nfirst\n");
    let none = server.call("PUT", "/services/s/functions/rust-tmp-command", &json!({"layers": []}));
    assert_eq!(none.status, 200, "{}", none.text());
    assert!(!read(&server).contains("first"), "{}", read(&server));
    server
        .call("PUT", "/services/s/functions/rust-tmp-command", &both)
        .is_error(404, "LayerVersionNotFound");
}

#[test]
fn what_makes_no_layer_is_refused() {
    let server = Server::start();
    let good: &[(&str, &str)] = &[("a", "1")];
    publish_with(&server, "1%20bad%20name", good, &json!({})).is_error(400, "InvalidArgument");
    publish_with(&server, &"x".repeat(65), good, &json!({})).is_error(400, "InvalidArgument");
    for more in [
        json!({"code": null}),
        json!({"code": []}),
        json!({"code": {}}),
        json!({"code": {"zipFile": "AAAA"}}),
        json!({"code": {"zipFile": "*"}}),
        json!({"code": {"ossBucketName": "b", "ossObjectName": "o"}}),
        json!({"description": "x".repeat(257)}),
        json!({"description": 7}),
        json!({"compatibleRuntime": "wasm"}),
        json!({"compatibleRuntime": ["x".repeat(65)]}),
        json!({"compatibleRuntime": vec!["x"; 33]}),
    ] {
        publish_with(&server, "l", good, &more).is_error(400, "InvalidArgument");
    }
    for files in
        [[("../a", "x"), ("b", "x")], [("/a", "x"), ("b", "x")], [("a", "x"), ("a/b", "x")]]
    {
        publish_with(&server, "l", &files, &json!({})).is_error(400, "InvalidArgument");
    }
    get(&server, "/layers/l/versions").is_error(404, "LayerNotFound");
    get(&server, "/layers/l/versions/x").is_error(400, "InvalidArgument");
    get(&server, "/layerarn/nonsense").is_error(400, "InvalidArgument");
    server.call("PUT", "/layers/l/acl", &Value::Null).is_error(400, "InvalidArgument");
    server.call("PUT", "/layers/l/acl?public=maybe", &Value::Null).is_error(400, "InvalidArgument");
    server.call("PUT", "/layers/l/acl?public=true", &Value::Null).is_error(404, "LayerNotFound");
    let absent = json!({"layers": ["acs:fc:any:1:layers/none/versions/1"]});
    server.create("f", &guest("wat-echo"), absent).is_error(404, "LayerNotFound");
    let arn = publish(&server, "l", good);
    let many = json!({"layers": vec![arn; 6]});
    server.create("f", &guest("wat-echo"), many).is_error(400, "LimitExceededError");
}
