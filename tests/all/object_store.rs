//! Code from objects of buckets: used like an upload, and each way in which it cannot be had is told.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use hearth_tests::{Reply, Server, Start, answering};
use serde_json::{Value, json};

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn package(says: &str) -> Vec<u8> {
    zip(&[("main.wasm", &answering(says))])
}

/// Puts an object where a server finds it that was told nothing.
fn put(server: &Server, key: &str, bytes: &[u8]) {
    let path = server.data_dir().join("objects/releases").join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn code(bucket: &str, key: &str) -> Value {
    json!({"ossBucketName": bucket, "ossObjectName": key})
}

fn create_in(server: &Server, service: &str, name: &str, code: &Value) -> Reply {
    server.service(service);
    let body = json!({"functionName": name, "runtime": "wasm", "handler": "handle", "code": code});
    server.call("POST", &format!("/services/{service}/functions"), &body)
}

fn create(server: &Server, name: &str, code: &Value) -> Reply {
    create_in(server, "s", name, code)
}

fn update(server: &Server, name: &str, body: &Value) -> Reply {
    server.call("PUT", &format!("/services/s/functions/{name}"), body)
}

#[test]
fn a_function_lives_on_objects_as_on_uploads() {
    let mut server = Server::start();
    put(&server, "v1/f.zip", &package("one"));
    put(&server, "v2 ä.zip", &package("two"));
    let made = create(&server, "f", &code("releases", "v1/f.zip"));
    assert_eq!(made.status, 200, "{}", made.text());
    let uploaded = server.create_from_package("u", &package("one")).json();
    for field in ["codeSize", "codeChecksum"] {
        assert_eq!(made.json()[field], uploaded[field], "{field}");
    }
    assert_eq!(server.invoke("f", "x").text(), "one");
    let version = server.publish();

    let changed = update(&server, "f", &json!({"code": code("releases", "v2 ä.zip")}));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_ne!(changed.json()["codeChecksum"], made.json()["codeChecksum"]);
    assert_eq!(server.invoke("f", "x").text(), "two");
    assert_eq!(server.invoke_at(&version, "f").text(), "one");
    assert_eq!(update(&server, "f", &json!({"description": "d"})).status, 200);
    assert_eq!(server.invoke("f", "x").text(), "two", "other fields leave the code");

    // What was read once is kept: neither a call nor a start asks the store again.
    std::fs::remove_dir_all(server.data_dir().join("objects")).unwrap();
    server.restart();
    assert_eq!(server.invoke("f", "x").text(), "two");
    let link = server.call("GET", "/services/s/functions/f/code", &Value::Null).json();
    assert_eq!(link["checksum"], changed.json()["codeChecksum"]);
    let link = link["url"].as_str().unwrap();
    let fetched = server.send("GET", &link[link.find("/hearth/").unwrap()..], &[], b"");
    assert_eq!((fetched.status, fetched.body), (200, package("two")));
}

#[test]
fn a_checksum_holds_for_objects_too() {
    let server = Server::start();
    put(&server, "f.zip", &package("one"));
    server.service("s");
    let with = |checksum: &str| {
        let code = code("releases", "f.zip");
        let body =
            json!({"functionName": "f", "runtime": "wasm", "handler": "handle", "code": code});
        let headers = [("x-fc-code-checksum", checksum)];
        let path = "/2016-08-15/services/s/functions";
        server.send("POST", path, &headers, body.to_string().as_bytes())
    };
    with("1").is_error(400, "InvalidArgument");
    let right = server.create_from_package("u", &package("one")).json()["codeChecksum"].clone();
    let right = right.as_str().unwrap().to_owned();
    assert_eq!(with(&right).status, 200);
}

#[test]
fn a_layer_is_published_from_an_object() {
    let server = Server::start();
    put(&server, "words.zip", &zip(&[("a", b"1")]));
    put(&server, "words.txt", b"no zip");
    let publish = |key: &str| {
        server.call("POST", "/layers/words/versions", &json!({"code": code("releases", key)}))
    };
    let made = publish("words.zip");
    assert_eq!((made.status, &made.json()["version"]), (200, &json!(1)), "{}", made.text());
    assert_eq!(made.json()["codeSize"], json!(zip(&[("a", b"1")]).len()));
    publish("words.txt").is_error(400, "InvalidArgument");
    publish("none.zip").is_error(400, "InvalidArgument");
}

#[test]
fn the_command_line_names_objects() {
    let server = Server::start();
    put(&server, "f.wasm", &answering("plain"));
    put(&server, "f.zip", &package("packed"));
    for (key, says) in [("f.wasm", "plain"), ("f.zip", "packed")] {
        let object = format!("releases/{key}");
        let done = server.cli(&["deploy", "--object", &object, "--name", "s/f"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(server.invoke("f", "x").text(), says);
    }
    for arguments in [
        &["deploy", "--object", "releases/none", "--name", "s/f"][..],
        &["deploy", "--object", "releases", "--name", "s/f"],
        &["deploy", "x.wasm", "--object", "releases/f.zip", "--name", "s/f"],
        &["deploy", "--name", "s/f"],
    ] {
        assert!(!server.cli(arguments).status.success(), "{arguments:?}");
    }
    assert_eq!(server.invoke("f", "x").text(), "packed");
}

#[test]
fn what_cannot_be_had_is_told_and_leaves_nothing() {
    let server = Server::start();
    put(&server, "f.zip", &package("one"));
    put(&server, "text", b"the operator's notes");
    put(&server, "dir/f", b"x");
    let bucket = server.data_dir().join("objects/releases");
    symlink("/etc/passwd", bucket.join("out")).unwrap();
    std::fs::write(server.data_dir().join("own.zip"), package("own")).unwrap();
    symlink("../../own.zip", bucket.join("own")).unwrap();
    std::process::Command::new("mkfifo").arg(bucket.join("pipe")).status().unwrap();
    let sparse = std::fs::File::create(bucket.join("large")).unwrap();
    sparse.set_len((100 << 20) + 1).unwrap();
    let zipped = json!({"zipFile": "UEs=", "ossBucketName": "releases", "ossObjectName": "f.zip"});
    for (code, error, says) in [
        (code("missing", "f.zip"), "InvalidArgument", "bucket `missing` does not exist"),
        (code("releases", "g.zip"), "InvalidArgument", "object `releases/g.zip` does not exist"),
        (code("releases", "dir"), "InvalidArgument", "not a plain file"),
        (code("releases", "out"), "InvalidArgument", "not a plain file"),
        (code("releases", "own"), "InvalidArgument", "not a plain file"),
        (code("releases", "pipe"), "InvalidArgument", "not a plain file"),
        (code("releases", "text"), "InvalidArgument", "archive cannot be read"),
        (code("releases", "large"), "EntityTooLarge", "104857600"),
        (code("releases", "../releases/f.zip"), "InvalidArgument", "code.ossObjectName is set"),
        (code("releases", "/etc/passwd"), "InvalidArgument", "code.ossObjectName is set"),
        (code("releases", "f.zip\0"), "InvalidArgument", "code.ossObjectName is set"),
        (code("releases", &"x".repeat(1024)), "InvalidArgument", "code.ossObjectName is set"),
        (code("releases", &"x".repeat(1023)), "InvalidArgument", "object `releases/xxx"),
        (code("..", "f.zip"), "InvalidArgument", "code.ossBucketName is set"),
        (code("Releases", "f.zip"), "InvalidArgument", "code.ossBucketName is set"),
        (json!({"ossBucketName": "releases"}), "InvalidArgument", "ossObjectName is required"),
        (json!({"ossObjectName": "f.zip"}), "InvalidArgument", "ossBucketName is required"),
        (zipped, "InvalidArgument", "both"),
    ] {
        let refused = create(&server, "f", &code);
        refused.is_error(400, error);
        assert!(refused.text().contains(says), "{says}: {}", refused.text());
        assert!(!refused.text().contains("notes"), "{}", refused.text());
    }
    let listed = server.call("GET", "/services/s/functions", &Value::Null).json();
    assert_eq!(listed["functions"], json!([]));
    assert_eq!(create(&server, "f", &code("releases", "f.zip")).status, 200);
    update(&server, "f", &json!({"code": code("releases", "g.zip")}))
        .is_error(400, "InvalidArgument");
    assert_eq!(server.invoke("f", "x").text(), "one");
}

#[test]
fn an_object_may_be_as_large_as_an_upload() {
    let server = Start::default().with("--http-upload-size", "1MiB").start();
    put(&server, "f.zip", &package("one"));
    put(&server, "large", &vec![0; (1 << 20) + 1]);
    let refused = create(&server, "f", &code("releases", "large"));
    refused.is_error(400, "EntityTooLarge");
    assert!(refused.text().contains("1048576"), "{}", refused.text());
    assert_eq!(create(&server, "f", &code("releases", "f.zip")).status, 200);
    assert!(server.log().contains("releases/f.zip"), "what was used as code is told");
}

/// A server with these buckets in its settings file.
fn with_buckets(home: &Path, more: &str) -> Server {
    let file = home.join("settings.toml");
    std::fs::write(&file, format!("[object_store]\ntimeout = \"1s\"\n{more}")).unwrap();
    Start::default().with("--config", file.to_str().unwrap()).start()
}

#[test]
fn a_bucket_is_for_the_services_it_was_given_to() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("elsewhere");
    std::fs::create_dir_all(dir.join("releases")).unwrap();
    std::fs::write(dir.join("releases/f.zip"), package("one")).unwrap();
    let bucket = "[[object_store.buckets]]\nname = \"releases\"\nservices = [\"team-\"]\n";
    let server = with_buckets(home.path(), &format!("dir = {dir:?}\n{bucket}"));
    let object = code("releases", "f.zip");
    assert_eq!(create_in(&server, "team-a", "f", &object).status, 200);
    create_in(&server, "shop", "f", &object).is_error(403, "AccessDenied");
    let layer = server.call("POST", "/layers/words/versions", &json!({"code": object}));
    layer.is_error(403, "AccessDenied");
}

/// A store on loopback that reads one request and says this, and nothing more.
fn store(says: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(says.as_bytes());
            open.push(stream);
        }
    });
    url
}

#[test]
fn a_store_that_is_down_slow_or_closed_is_told_apart_and_nothing_hangs() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "s3cr3t-of-the-store").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let mut buckets = String::new();
    for (name, url) in [
        ("down", "http://127.0.0.1:1".to_owned()),
        ("slow", store("")),
        ("stalled", store("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nPK")),
        ("failing", store("HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n")),
        ("closed", store("HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\ninside")),
        ("large", store("HTTP/1.1 200 OK\r\ncontent-length: 104857601\r\n\r\n")),
    ] {
        buckets.push_str(&format!(
            "[[object_store.buckets]]\nname = \"{name}\"\nurl = \"{url}\"\naccess_key = \"AKID\"\nsecret_file = {secret:?}\n"
        ));
    }
    let server = with_buckets(home.path(), &buckets);
    for (bucket, status, error) in [
        ("down", 503, "ServiceUnavailable"),
        ("slow", 503, "ServiceUnavailable"),
        ("stalled", 503, "ServiceUnavailable"),
        ("failing", 503, "ServiceUnavailable"),
        ("closed", 403, "AccessDenied"),
        ("large", 400, "EntityTooLarge"),
    ] {
        let refused = create(&server, "f", &code(bucket, "f.zip"));
        assert_eq!((refused.status, refused.error_code()), (status, error.to_owned()), "{bucket}");
        assert!(!refused.text().contains("inside"), "{}", refused.text());
    }
    assert!(!server.log().contains("s3cr3t"), "{}", server.log());
}

#[test]
fn a_secret_that_others_can_read_is_refused_at_start() {
    let home = tempfile::tempdir().unwrap();
    let (file, secret) = (home.path().join("settings.toml"), home.path().join("secret"));
    std::fs::write(&secret, "s3cr3t").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o644)).unwrap();
    let bucket = format!(
        "[[object_store.buckets]]\nname = \"code\"\nurl = \"http://127.0.0.1:1\"\naccess_key = \"AKID\"\nsecret_file = {secret:?}\n"
    );
    std::fs::write(&file, bucket).unwrap();
    let told = Start::default().with("--config", file.to_str().unwrap()).fail();
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("chmod 600") && !told.contains("s3cr3t"), "{told}");
}
