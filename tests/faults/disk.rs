//! The disk: full, not writable, or another server's. What is there goes on being served; what is new is refused clearly.

use std::path::Path;
use std::process::Command;

use hearth_tests::{Disk, Start, eventually, guest};
use serde_json::{Value, json};

use crate::kill::answering;

#[test]
fn two_servers_never_share_a_directory() {
    let home = tempfile::tempdir().unwrap();
    let first = Start::default().on(home.path()).start();
    let second = Start::default().on(home.path()).fail();
    assert_eq!(second.status.code(), Some(3));
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(told.contains(&first.pid().to_string()), "it names who has it: {told}");
    assert!(told.contains(&home.path().display().to_string()), "it names the directory: {told}");
    first.service("alive");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let refused = Start::default().on(&file.join("data")).fail();
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("file/data"));
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let Some(disk) = Disk::mount(16) else { return };
    let data = disk.path().join("data");
    let mut server = Start::default().on(&data).start();
    server.deploy("wat-echo");
    assert_eq!(server.terminate(), Some(0));
    disk.make_read_only();
    let refused = Start::default().on(&data).fail();
    assert_eq!(refused.status.code(), Some(3));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains(&data.display().to_string()), "{told}");
    assert!(told.to_lowercase().contains("read-only"), "{told}");
    disk.make_writable();
    server.restart();
    assert_eq!(server.invoke("wat-echo", "back").text(), "back");
}

/// One file of it that cannot be written, whoever one is.
#[test]
fn a_file_that_cannot_be_written_is_refused_and_the_directory_named() {
    let Some(disk) = Disk::mount(16) else { return };
    let data = disk.path().join("data");
    let mut server = Start::default().on(&data).start();
    server.deploy("wat-echo");
    server.kill9();
    for name in ["hearth.db", "hearth.db-wal"] {
        let file = data.join(name);
        let mount = |arguments: &[&str]| {
            let status = Command::new("mount").args(arguments).arg(&file).status();
            assert!(status.is_ok_and(|status| status.success()), "{arguments:?}");
        };
        mount(&["--bind", file.to_str().unwrap()]);
        mount(&["-o", "remount,ro,bind"]);
        let refused = Start::default().on(&data).fail();
        assert!(Command::new("umount").arg(&file).status().unwrap().success());
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{told}");
        let error = told.lines().last().unwrap();
        assert!(error.starts_with("error: ") && error.contains("read-only"), "{told}");
        assert!(error.contains(&data.display().to_string()), "{told}");
    }
    server.restart();
    assert_eq!(server.invoke("wat-echo", "back").text(), "back");
}

#[test]
fn a_full_disk_refuses_what_is_new_and_serves_what_is_there() {
    let Some(disk) = Disk::mount(16) else { return };
    let server = Start::default().on(&disk.path().join("data")).start();
    server.deploy("wat-echo");
    server.deploy("rust-event");
    disk.fill();
    let before = server.call("GET", "/services/s/functions", &Value::Null).json();
    // What the log has room for already is on disk all the same; then it is full for records as well.
    let mut services = (0..1000).map(|number| {
        server.call("POST", "/services", &json!({"serviceName": format!("more{number}")}))
    });
    let refused = services.find(|reply| reply.status != 200).expect("a full disk has an end");
    refused.is_error(503, "ServiceUnavailable");
    for _ in 0..3 {
        server.create("more", &guest("c-echo"), json!({})).is_error(503, "ServiceUnavailable");
        server.replace("wat-echo", &guest("c-echo")).is_error(503, "ServiceUnavailable");
        assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
        assert_eq!(server.invoke("rust-event", r#"{"name":"x"}"#).json()["message"], "hello x");
    }
    assert_eq!(server.call("GET", "/services/s/functions", &Value::Null).json(), before);
    eventually("the operator is told", || server.log().contains("full"));
    disk.empty();
    let made = server.create("more", &guest("c-echo"), json!({}));
    assert_eq!(made.status, 200, "{}", made.text());
    assert_eq!(server.invoke("more", "hi").text(), "hi");
}

/// Removing things is how an operator makes room: it has to work when there is none.
#[test]
fn a_full_disk_lets_things_be_removed() {
    let Some(disk) = Disk::mount(16) else { return };
    let mut server = Start::default().on(&disk.path().join("data")).start();
    for number in 0..20 {
        let made = server.create(&format!("f{number}"), &answering(number, 1), json!({}));
        assert_eq!(made.status, 200, "{}", made.text());
    }
    for round in 0..2 {
        disk.fill();
        server.create("more", &guest("c-echo"), json!({})).is_error(503, "ServiceUnavailable");
        for number in round * 8..round * 8 + 8 {
            let path = format!("/services/s/functions/f{number}");
            let removed = server.call("DELETE", &path, &Value::Null);
            assert_eq!(removed.status, 204, "{number}: {}", removed.text());
        }
        assert_eq!(server.invoke("f19", "x").text(), "000019");
        // A start finds room as well.
        server.restart();
        let path = format!("/services/s/functions/f{}", 16 + round);
        assert_eq!(server.call("DELETE", &path, &Value::Null).status, 204);
        disk.empty();
        eventually("room again", || {
            let name = format!("again{round}");
            server.create(&name, &guest("c-echo"), json!({})).status == 200
        });
    }
}

#[test]
fn nothing_is_accepted_that_is_not_on_disk() {
    let Some(disk) = Disk::mount(16) else { return };
    let mut server = Start::default().on(&disk.path().join("data")).start();
    server.deploy("wat-echo");
    disk.fill();
    let event = "x".repeat(100 << 10);
    let accepted = server.invoke_async_beyond_room("wat-echo", &event, 20);
    server.kill9();
    disk.empty();
    server.restart();
    server.all_succeed(&accepted);
}

#[test]
fn what_ends_while_the_disk_is_full_is_written() {
    let Some(disk) = Disk::mount(16) else { return };
    let server = Start::default().on(&disk.path().join("data")).start();
    let made = server.create("slow", &answering(7, 400_000_000), json!({"timeout": 60}));
    assert_eq!(made.status, 200, "{}", made.text());
    let ids: Vec<String> = (0..6).map(|_| server.invoke_async("slow", "x")).collect();
    eventually("they run", || server.metric("hearth_running_invocations") >= 1.0);
    disk.fill();
    // What the log has room for already is on disk all the same.
    let event = "x".repeat(100 << 10);
    let accept = || server.invoke_with("slow", &event, &[("x-fc-invocation-type", "Async")]).status;
    eventually("it is full", || accept() == 503);
    // There is room kept for ends.
    eventually("all ends", || ids.iter().all(|id| server.record(id).is_some()));
    assert_eq!(accept(), 503, "and for nothing else");
    disk.empty();
    eventually("room again", || accept() == 202);
    for id in &ids {
        let record = server.record(id).unwrap();
        assert_eq!((&record["status"], &record["attempt"]), (&json!("succeeded"), &json!(1)));
    }
    assert_eq!(server.metric("hearth_queue_leases_lost_total"), 0.0, "nothing ran again");
}

#[test]
fn a_server_starts_on_a_full_disk_and_says_what_is_wrong_or_serves() {
    let Some(disk) = Disk::mount(16) else { return };
    let data = disk.path().join("data");
    let mut server = Start::default().on(&data).start();
    server.deploy("wat-echo");
    server.kill9();
    disk.fill();
    // Either is right, as long as it is clear and nothing is lost.
    let home = tempfile::tempdir().unwrap();
    let ports = home.path().join("ports.json");
    let ended = serve_briefly(&data, &ports);
    if let Some(told) = ended {
        assert!(told.contains("full") || told.contains("space"), "{told}");
    }
    disk.empty();
    server.restart();
    assert_eq!(server.invoke("wat-echo", "all there").text(), "all there");
}

/// Starts a server for a few seconds; what it said if it gave up by itself.
fn serve_briefly(data: &Path, ports: &Path) -> Option<String> {
    let mut command = Command::new("timeout");
    command.args(["5"]).arg(hearth_tests::binary()).args(["serve", "--listen", "127.0.0.1:0"]);
    let output =
        command.arg("--data-dir").arg(data).arg("--port-file").arg(ports).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("panicked"), "{told}");
    // What `timeout` ends was running: it drained within its time, or had to be told twice.
    (!ports.exists()).then_some(told)
}
