//! Data directories that earlier programs wrote: today's opens them, serves what they hold and works down what was queued, whatever
//! kills it meanwhile. And the reverse: an older program leaves alone what a newer one wrote.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use hearth_tests::{Server, Start, binary, eventually, guest};
use serde_json::{Value, json};

use crate::kill::answering;

fn hearth(arguments: &[&str]) -> Value {
    let mut command = Command::new(binary());
    let output = command.args(arguments).args(["--format", "json"]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Settings under which nothing in a fixture is too old, whenever the test is run, and no key is asked for.
fn ageless(home: &Path) -> Start {
    let start = Start::default().on(home).with("--auth", "off").with("--queue-retries", "0");
    start.with("--queue-age", "876000h").with("--queue-dead-letter-age", "876000h")
}

fn send_async(server: &Server, target: &str, more: &[(&str, &str)]) -> String {
    let path = format!("/2016-08-15/services/{target}/invocations");
    let headers = [&[("x-fc-invocation-type", "Async")], more].concat();
    let reply = server.send("POST", &path, &headers, b"the event");
    assert_eq!(reply.status, 202, "{}", reply.text());
    reply.header("x-fc-request-id").unwrap().to_owned()
}

/// A server's life up to its death: what its directory then holds is in the answer.
fn live(home: &Path) -> Value {
    let mut server = ageless(home).start();
    for (name, code) in [
        ("echo", guest("wat-echo")),
        ("bad", guest("bad/trap")),
        ("slow", answering(7, 900_000_000)),
    ] {
        let made = server.create(name, &code, json!({"timeout": 60}));
        assert_eq!(made.status, 200, "{}", made.text());
    }
    let version = server.publish();
    assert_eq!(server.replace("echo", &answering(2, 1)).status, 200);
    let timer = json!({"payload": "x", "cronExpression": "0 0 4 1 1 *", "enable": false});
    for (method, path, body) in [
        ("POST", "/services/s/aliases", json!({"aliasName": "prod", "versionId": version})),
        (
            "POST",
            "/services/s/functions/echo/triggers",
            json!({"triggerName": "yearly", "triggerType": "timer", "triggerConfig": timer}),
        ),
        (
            "PUT",
            "/services/s/functions/bad/async-invoke-config",
            json!({"destinationConfig": {"onFailure": {"destination": "acs:fc:local:0:services/s/functions/echo"}}}),
        ),
    ] {
        let made = server.call(method, path, &body);
        assert_eq!(made.status, 200, "{path}: {}", made.text());
    }
    let done: Vec<String> = (0..3).map(|_| server.invoke_async("echo", "x")).collect();
    let parked: Vec<String> = (0..2).map(|_| server.invoke_async("bad", "x")).collect();
    eventually("their ends", || server.metric("hearth_queue_depth") == 0.0);
    assert_eq!(server.terminate(), Some(0));
    let key =
        hearth(&["key", "create", "--role", "invoke", "--data-dir", &home.display().to_string()]);

    let mut server = ageless(home).with("--queue-concurrency", "0").start();
    let mut queued = BTreeMap::new();
    for (target, ends) in
        [("s/functions/echo", "succeeded"), ("s.prod/functions/echo", "succeeded")]
    {
        queued.extend((0..3).map(|_| (send_async(&server, target, &[]), ends)));
    }
    queued.insert(send_async(&server, "s/functions/bad", &[]), "failed");
    queued.insert(send_async(&server, "s/functions/slow", &[]), "succeeded");
    let stateful = [("x-fc-stateful-async-invocation-id", "order-7")];
    queued.insert(send_async(&server, "s/functions/echo", &stateful), "succeeded");
    server.kill9();
    // The first in turn is the slow one: it is leased when the server dies.
    let mut server = ageless(home).with("--queue-concurrency", "1").start();
    eventually("it runs", || server.metric("hearth_running_invocations") >= 1.0);
    server.kill9();
    let key = &key["accessKeyId"];
    json!({"key": key, "done": done, "parked": parked, "queued": queued, "stateful": "order-7"})
}

/// Everything of that life is there, and what was queued ends as it has to.
fn has_everything(server: &Server, expected: &Value) {
    let texts = |name: &str| -> Vec<String> {
        let all = expected[name].as_array().unwrap().iter();
        all.map(|id| id.as_str().unwrap().to_owned()).collect()
    };
    eventually("the end of what was queued", || server.metric("hearth_queue_depth") == 0.0);
    for (id, ends) in expected["queued"].as_object().unwrap() {
        assert_eq!(&server.record(id).expect("it has ended")["status"], ends, "{id}");
    }
    assert!(texts("done").iter().all(|id| server.record(id).is_some()));
    assert_eq!(server.invoke("echo", "x").text(), "000002");
    let old =
        server.send("POST", "/2016-08-15/services/s.prod/functions/echo/invocations", &[], b"hi");
    assert_eq!(old.text(), "hi", "a version keeps its code");
    let there = |path: &str| server.call("GET", path, &Value::Null).json();
    let trigger = there("/services/s/functions/echo/triggers/yearly");
    assert_eq!(trigger["triggerType"], "timer", "{trigger}");
    let stateful = there("/services/s/functions/echo/stateful-async-invocations/order-7");
    assert_eq!(stateful["status"], "Succeeded", "{stateful}");
    let letters = server.send("GET", "/hearth/v1/dead?function=s/bad", &[], b"").json();
    let letters = letters["dead_letters"].as_array().unwrap().clone();
    assert_eq!(letters.len(), 3, "{letters:?}");
    let first = &texts("parked")[0];
    let again = server.send("POST", &format!("/hearth/v1/dead/{first}"), &[], b"");
    assert_eq!(again.status, 200, "{}", again.text());
    let keys = server.send("GET", "/hearth/v1/keys", &[], b"").text();
    assert!(keys.contains(expected["key"].as_str().unwrap()), "{keys}");
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults/fixtures");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "zip")).collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// Unpacks one; what it holds.
fn unpack(fixture: &Path, to: &Path) -> Value {
    let mut zip = zip::ZipArchive::new(fs::File::open(fixture).unwrap()).unwrap();
    let mut expected = Value::Null;
    for at in 0..zip.len() {
        let mut file = zip.by_index(at).unwrap();
        let path = to.join(file.enclosed_name().unwrap());
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        if file.name().unwrap() == "expected.json" {
            expected = serde_json::from_slice(&bytes).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        // As the server writes them: a sealing key that others can read is refused.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    expected
}

fn pack(home: &Path, expected: &Value, to: &Path) {
    let mut zip = zip::ZipWriter::new(fs::File::create(to).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(home).unwrap().to_str().unwrap();
            zip.start_file(name, options).unwrap();
            zip.write_all(&fs::read(&path).unwrap()).unwrap();
        }
    }
    zip.start_file("expected.json", options).unwrap();
    zip.write_all(expected.to_string().as_bytes()).unwrap();
    zip.finish().unwrap();
}

/// A life of today's server, packed: what the next release will find. With `MAKE_FIXTURE` it is kept there.
#[test]
fn what_this_server_leaves_behind_the_next_one_takes_up() {
    let home = tempfile::tempdir().unwrap();
    let (lived, copy) = (home.path().join("lived"), home.path().join("copy"));
    let expected = live(&lived);
    let told = hearth(&[
        "backup",
        &copy.display().to_string(),
        "--data-dir",
        &lived.display().to_string(),
    ]);
    assert_eq!(told["has_keys"], true, "{told}");
    fs::remove_file(copy.join("hearth.lock")).unwrap();
    fs::copy(lived.join("sealing.key"), copy.join("sealing.key")).unwrap();
    let packed = std::env::var_os("MAKE_FIXTURE")
        .map_or_else(|| home.path().join("packed.zip"), PathBuf::from);
    pack(&copy, &expected, &packed);
    let unpacked = home.path().join("unpacked");
    assert_eq!(unpack(&packed, &unpacked), expected);
    has_everything(&ageless(&unpacked).start(), &expected);
    assert!(fs::metadata(&packed).unwrap().len() < 200 << 10, "too large to be kept");
}

#[test]
fn what_every_earlier_server_left_behind_is_taken_up() {
    for fixture in fixtures() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let expected = unpack(&fixture, &data);
        let whole = hearth(&["check", "--data-dir", &data.display().to_string()]);
        assert_eq!((&whole["functions"], &whole["keys"]), (&json!(3), &json!(1)), "{whole}");
        let mut server = ageless(&data).start();
        has_everything(&server, &expected);
        // And what it made of the directory, it takes up itself.
        assert_eq!(server.terminate(), Some(0));
        server.restart();
        assert_eq!(server.invoke("echo", "x").text(), "000002");
    }
}

/// Starts on the directory and is killed a while later, whatever it has done by then.
fn cut_off_start(data: &Path, after: Duration) {
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", "127.0.0.1:0", "--queue-concurrency", "0", "--data-dir"]);
    let mut process =
        command.arg(data).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    thread::sleep(after);
    // It fails only when it has ended by itself.
    let _ = process.kill();
    process.wait().unwrap();
}

#[test]
fn an_opening_may_be_killed_at_any_moment() {
    for fixture in fixtures().into_iter().map(Some).chain([None]) {
        for round in 0..8 {
            let home = tempfile::tempdir().unwrap();
            let data = home.path().join("data");
            let expected = fixture.as_ref().map(|fixture| unpack(fixture, &data));
            for kill in 0..5 {
                cut_off_start(&data, Duration::from_millis(round * 5 + kill));
            }
            let server = ageless(&data).start();
            match expected {
                Some(expected) => has_everything(&server, &expected),
                None => server.deploy("wat-echo"),
            }
        }
    }
}

#[test]
fn an_older_program_refuses_what_a_newer_one_wrote() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    assert_eq!(server.terminate(), Some(0));
    let path = server.data_dir().join("hearth.db");
    let before = fs::read(&path).unwrap();
    let mut newer = before.clone();
    // `user_version` in the header of the file: the number of its schema.
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&path, &newer).unwrap();
    let refused = Start::default().on(server.data_dir()).fail();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{told}");
    assert!(told.contains("schema 99") && told.contains("newer program"), "{told}");
    assert_eq!(fs::read(&path).unwrap(), newer, "it is left as it was");
    fs::write(&path, before).unwrap();
    server.restart();
    assert_eq!(server.invoke("wat-echo", "x").text(), "x");
}
