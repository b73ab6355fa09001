//! The store's file damaged, cut, taken away, locked by another program or not growing any more. Either the server says what is wrong
//! in one sentence and ends, or it serves; it never starts as if nothing had been there, and never panics.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use hearth_tests::{Server, Start, eventually};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::kill::answering;

const DB: &str = "hearth.db";
const LOG: &str = "hearth.db-wal";
const INDEX: &str = "hearth.db-shm";

/// What a directory holds that was in use: functions, and invocations that wait.
fn lived_in(home: &Path) -> Vec<String> {
    let mut server = Start::default().on(home).with("--queue-concurrency", "0").start();
    for number in 0..20 {
        let made = server.create(&format!("f{number}"), &answering(number, 1), json!({}));
        assert_eq!(made.status, 200, "{}", made.text());
    }
    let accepted = (0..30).map(|_| server.invoke_async("f1", "x")).collect();
    server.kill9();
    accepted
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(source, target).unwrap();
        }
    }
}

fn cut(path: &Path, bytes: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

fn garble(path: &Path, from: usize, count: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes.iter_mut().skip(from).take(count).for_each(|byte| *byte ^= 0x5a);
    fs::write(path, bytes).unwrap();
}

/// Starts on a directory that may be damaged: what it said when it gave up, or the server.
fn started(data: &Path) -> Result<Server, String> {
    // Whether it starts is asked first, for a start that is waited for must not fail.
    let ports = data.join("ports");
    let mut probe = std::process::Command::new(hearth_tests::binary());
    probe.args(["serve", "--listen", "127.0.0.1:0", "--queue-concurrency", "0"]);
    probe.arg("--data-dir").arg(data).arg("--port-file").arg(&ports);
    probe.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut probe = probe.spawn().unwrap();
    let mut ended = None;
    eventually("a start or its end", || {
        ended = probe.try_wait().unwrap();
        ended.is_some() || ports.exists()
    });
    if ended.is_none() {
        probe.kill().unwrap();
    }
    let output = probe.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!told.contains("panicked"), "{told}");
    let Some(status) = ended else {
        fs::remove_file(&ports).unwrap();
        return Ok(Start::default().on(data).start());
    };
    assert_eq!(status.code(), Some(3), "{told}");
    Err(told)
}

/// One sentence that names the directory, and what to do about it.
fn is_clear(told: &str, data: &Path) -> bool {
    let error: Vec<&str> = told.lines().filter(|line| line.contains("error:")).collect();
    error.len() == 1
        && error[0].contains(&data.display().to_string())
        && error[0].contains("restore")
}

fn has_all(server: &Server, accepted: &[String]) -> bool {
    eventually("the end of all", || server.metric("hearth_queue_depth") == 0.0);
    let functions = server.metric("hearth_functions_stored");
    functions == 20.0 && accepted.iter().all(|id| server.record(id).is_some())
}

/// What becomes of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// It is refused in one sentence.
    Refused,
    /// It has everything.
    Whole,
    /// One or the other, or it serves without a value that was damaged: SQLite keeps no checksum of what it is given.
    Clear,
}
use Wanted::{Clear, Refused, Whole};

type Harm = Box<dyn Fn(&Path)>;

fn try_each(accepted: &[String], whole: &Path, harms: Vec<(String, Wanted, Harm)>) {
    let home = tempfile::tempdir().unwrap();
    for (number, (name, wanted, harm)) in harms.into_iter().enumerate() {
        let data = home.path().join(format!("d{number}"));
        copy(whole, &data);
        harm(&data);
        match started(&data) {
            Err(told) => {
                assert!(wanted != Whole && is_clear(&told, &data), "{name}: {told}");
                // It is told again, not forgotten by having been told.
                assert!(started(&data).is_err(), "{name}: the second start begins anew");
            }
            Ok(_) if wanted == Refused => panic!("{name}: it starts as if nothing had been there"),
            Ok(server) if wanted == Clear => {
                let listed = server.call("GET", "/services/s/functions", &Value::Null);
                assert!([200, 404, 500].contains(&listed.status), "{name}: {}", listed.text());
                assert!(!server.log().contains("panicked"), "{name}: {}", server.log());
            }
            Ok(server) => assert!(has_all(&server, accepted), "{name}: {}", server.log()),
        }
    }
}

fn harm(
    name: impl Into<String>,
    wanted: Wanted,
    harm: impl Fn(&Path) + 'static,
) -> (String, Wanted, Harm) {
    (name.into(), wanted, Box::new(harm))
}

#[test]
fn a_file_that_lost_something_after_a_kill_is_never_taken_for_a_new_one() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    let accepted = lived_in(&whole);
    let size = |name: &str| fs::metadata(whole.join(name)).unwrap().len();
    let (db, log) = (size(DB), size(LOG));
    let without = |name: &'static str| move |data: &Path| fs::remove_file(data.join(name)).unwrap();
    let mut harms = vec![
        harm("nothing", Whole, |_| {}),
        harm("database gone", Refused, without(DB)),
        harm("log gone", Refused, without(LOG)),
        harm("index of the log gone", Whole, without(INDEX)),
        harm("database and log gone", Refused, move |data| {
            without(DB)(data);
            without(LOG)(data);
        }),
        harm("all three gone", Refused, move |data| {
            [DB, LOG, INDEX].into_iter().for_each(|name| without(name)(data));
        }),
    ];
    for bytes in [0, 1, 99] {
        harms.push(harm(format!("database cut to {bytes}"), Refused, move |data| {
            cut(&data.join(DB), bytes)
        }));
    }
    for bytes in [100, 4096, db / 2] {
        // What the log holds is not missed.
        harms.push(harm(format!("database cut to {bytes}"), Clear, move |data| {
            cut(&data.join(DB), bytes)
        }));
    }
    for bytes in [0, 31, 1000, log / 2, log - 1] {
        harms.push(harm(format!("log cut to {bytes}"), Refused, move |data| {
            cut(&data.join(LOG), bytes)
        }));
    }
    for at in [0, 40, log / 2] {
        let at = usize::try_from(at).unwrap();
        let garbled = move |data: &Path| garble(&data.join(LOG), at, 500);
        harms.push(harm(format!("log garbled at {at}"), Refused, garbled));
        harms.push(harm(format!("log garbled at {at}, no index"), Refused, move |data| {
            garbled(data);
            without(INDEX)(data);
        }));
    }
    try_each(&accepted, &whole, harms);
}

#[test]
fn nor_is_one_after_a_stop() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    let accepted = lived_in(&whole);
    let mut server = Start::default().on(&whole).with("--queue-concurrency", "0").start();
    assert_eq!(server.terminate(), Some(0));
    assert!(!whole.join(LOG).exists(), "a stop leaves one file");
    let db = fs::metadata(whole.join(DB)).unwrap().len();
    let mut harms = vec![
        harm("nothing", Whole, |_| {}),
        harm("gone", Refused, |data| fs::remove_file(data.join(DB)).unwrap()),
        harm("text", Refused, |data| {
            fs::write(data.join(DB), "no database ".repeat(1000)).unwrap()
        }),
        harm("garbled whole", Refused, |data| garble(&data.join(DB), 0, usize::MAX)),
        harm("another's log", Clear, |data| fs::write(data.join(LOG), "x".repeat(9000)).unwrap()),
    ];
    for bytes in [0, 99, 100, 4096, 5000, db / 2, db - 4096] {
        harms
            .push(harm(format!("cut to {bytes}"), Refused, move |data| cut(&data.join(DB), bytes)));
    }
    for at in (0..db).step_by(usize::try_from(db / 8).unwrap()) {
        let at = usize::try_from(at).unwrap();
        harms.push(harm(format!("garbled at {at}"), Clear, move |data| {
            garble(&data.join(DB), at, 700)
        }));
    }
    try_each(&accepted, &whole, harms);
}

/// A power cut may tear the last commit, and takes the index of the log with it: that is no damage.
#[test]
fn an_end_that_is_torn_is_an_ordinary_start() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    let mut accepted = lived_in(&whole);
    // The last one is not on disk then.
    accepted.pop();
    let torn = |bytes: u64, garbled: bool| {
        move |data: &Path| {
            fs::remove_file(data.join(INDEX)).unwrap();
            let path = data.join(LOG);
            let length = fs::metadata(&path).unwrap().len();
            match garbled {
                true => garble(&path, usize::try_from(length - bytes).unwrap(), usize::MAX),
                false => cut(&path, length - bytes),
            }
        }
    };
    let harms = [(1, false), (100, false), (4097, false), (1, true), (100, true), (4097, true)];
    let harms = harms.into_iter().map(|(bytes, garbled)| {
        harm(format!("{bytes} bytes torn, {garbled}"), Whole, torn(bytes, garbled))
    });
    try_each(&accepted, &whole, harms.collect());
}

/// Opening the file would wipe out what tells that its log is missing, whoever opens it.
#[test]
fn a_backup_of_what_is_not_whole_is_refused_and_hides_nothing() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    lived_in(&data);
    fs::remove_file(data.join(LOG)).unwrap();
    for command in ["backup", "check"] {
        let mut hearth = std::process::Command::new(hearth_tests::binary());
        hearth.arg(command).arg("--data-dir").arg(&data);
        if command == "backup" {
            hearth.arg(home.path().join("copy"));
        }
        let output = hearth.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{command}: {told}");
        assert!(told.contains("hearth.db-wal has 0 of"), "{command}: {told}");
    }
    assert!(started(&data).is_err());
}

/// The log is begun anew whenever eight mebibytes of it are copied back: kills fall before, after and in the middle of that.
#[test]
fn a_log_that_is_begun_anew_again_and_again_is_whole_at_each_start() {
    let mut server = Start::default().with("--queue-age", "1h").start();
    server.deploy("wat-echo");
    let event = "x".repeat(120 << 10);
    let asynchronous = [("x-fc-invocation-type", "Async")];
    let path = "/2016-08-15/services/s/functions/wat-echo/invocations";
    let mut accepted = BTreeSet::new();
    for round in 0..10 {
        let taken = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let send = || server.try_send("POST", path, &asynchronous, event.as_bytes());
                    while let Some(reply) = send().filter(|reply| reply.status == 202) {
                        let id = reply.header("x-fc-request-id").unwrap().to_owned();
                        taken.lock().unwrap().push(id);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(150 + round * 17));
            server.kill9_now();
        });
        server.restart();
        accepted.extend(taken.into_inner().unwrap());
    }
    assert!(accepted.len() > 300, "{} are too few to fill the log", accepted.len());
    eventually("the end of all", || server.metric("hearth_queue_depth") == 0.0);
    let ended: BTreeSet<String> =
        accepted.iter().filter(|id| server.record(id).is_some()).cloned().collect();
    assert_eq!(ended, accepted);
}

/// A file may not grow beyond a size: an error of the disk that is neither full nor read-only.
#[test]
fn a_file_that_cannot_grow_refuses_what_is_new_and_the_server_lives() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    };
    limit(Some(fs::metadata(server.data_dir().join(LOG)).unwrap().len() + (256 << 10)));
    let event = "x".repeat(60 << 10);
    let mut accepted = server.invoke_async_beyond_room("wat-echo", &event, 12);
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
    limit(None);
    accepted.push(server.invoke_async("wat-echo", "x"));
    server.all_succeed(&accepted);
    server.kill9();
    server.restart();
    server.all_succeed(&accepted);
}
