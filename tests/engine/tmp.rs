//! `/tmp` in memory: what guests do in it, its bounds, and who sees it, as a component and through preview 1.

use hearth_engine::{Engine, Function, FunctionSpec, Grants, Invocation, Isolation, LoadError};
use serde_json::json;

use crate::world::{engine, engine_with, invoke, spec, story};

/// The event component and the preview 1 command, with the same script.
const GUESTS: [&str; 2] = ["rust-tmp", "rust-tmp-command"];

fn grants(tmp: &serde_json::Value) -> Grants {
    serde_json::from_value(json!({ "tmp": tmp })).unwrap()
}

async fn granted(engine: &Engine, guest: &str, tmp: &serde_json::Value) -> Function {
    engine.load(spec(guest).grants(grants(tmp))).await.unwrap()
}

/// What each line of a script answered.
async fn run(function: &Function, script: &[&str]) -> Vec<String> {
    let outcome = invoke(function, &script.join("\n")).await;
    let answer = String::from_utf8(outcome.result.unwrap().to_vec()).unwrap();
    answer.lines().map(str::to_owned).collect()
}

/// Runs a script whose lines say after `=>` what they answer; `|` is between what different Rusts call an error.
async fn check(function: &Function, script: &str) {
    let lines: Vec<(&str, &str)> = script
        .lines()
        .filter_map(|line| line.trim().split_once("=>"))
        .map(|(line, answer)| (line.trim(), answer.trim()))
        .collect();
    let (asked, expected): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    let answers = run(function, &asked).await;
    for ((asked, expected), answer) in asked.iter().zip(expected).zip(&answers) {
        assert!(
            expected.split(" | ").any(|one| one == answer),
            "{asked}: {answer}, not {expected}"
        );
    }
    assert_eq!(answers.len(), asked.len());
}

#[test]
fn files_can_be_worked_with() {
    story(async {
        let engine = engine();
        for guest in GUESTS {
            let function = granted(&engine, guest, &json!({})).await;
            check(
                &function,
                "list /tmp =>
                 write /tmp/a hello => done
                 append /tmp/a -world => done
                 read /tmp/a => hello-world
                 size /tmp/a => 11
                 seek /tmp/a 5 => world
                 new /tmp/a => AlreadyExists
                 mkdir /tmp/d/e => done
                 rename /tmp/a /tmp/d/e/b => done
                 read /tmp/a => NotFound
                 read /tmp/d/../d/e/b => hello-world
                 kind /tmp/d => file=false dir=true
                 kind /tmp/d/e/b => file=true dir=false
                 write /tmp/d no => IsADirectory
                 rmdir /tmp/d => errno 55 | DirectoryNotEmpty
                 resize /tmp/d/e/b 5 => done
                 read /tmp/d/e/b => hello
                 list /tmp/d => e
                 remove /tmp/d/e/b => done
                 unlinked /tmp/u => still here
                 clear /tmp/d => done
                 list /tmp =>",
            )
            .await;
        }
    });
}

#[test]
fn listing_is_whole_however_many_there_are() {
    story(async {
        let engine = engine();
        for guest in GUESTS {
            let function = granted(&engine, guest, &json!({})).await;
            let answers =
                run(&function, &["many /tmp 300", "list /tmp", "clear /tmp", "list /tmp"]).await;
            let expected: Vec<_> = (0..300).map(|number| number.to_string()).collect();
            assert_eq!(answers[0], "done");
            assert_eq!(answers[1].split(' ').collect::<Vec<_>>(), expected);
            assert_eq!(answers[3], "", "all of it went: {}", answers[2]);
        }
    });
}

#[test]
fn the_bounds_are_those_of_a_full_disk() {
    story(async {
        let engine = engine();
        for guest in GUESTS {
            let function = granted(&engine, guest, &json!({"bytes": 65536, "nodes": 3})).await;
            check(
                &function,
                "fill /tmp/a 100000 => StorageFull at 65536
                 write /tmp/b x => StorageFull
                 resize /tmp/a 1000 => done
                 write /tmp/b x => done
                 resize /tmp/b 1000000000 => done
                 size /tmp/b => 1000000000
                 new /tmp/c => done
                 new /tmp/d => StorageFull
                 mkdir /tmp/e => StorageFull
                 remove /tmp/c => done
                 mkdir /tmp/e => done",
            )
            .await;
        }
    });
}

#[test]
fn a_reused_instance_finds_what_it_left_and_another_does_not() {
    story(async {
        let engine = engine();
        let function = granted(&engine, "rust-tmp", &json!({})).await;
        check(&function, "write /tmp/a kept => done").await;
        check(&function, "read /tmp/a => kept").await;
        let other = granted(&engine, "rust-tmp", &json!({})).await;
        check(&other, "list /tmp =>").await;
        let fresh = spec("rust-tmp").grants(grants(&json!({}))).isolation(Isolation::Fresh);
        let fresh = engine.load(fresh).await.unwrap();
        check(&fresh, "write /tmp/a mine => done").await;
        check(&fresh, "list /tmp =>").await;
        let command = granted(&engine, "rust-tmp-command", &json!({})).await;
        check(&command, "write /tmp/a mine => done").await;
        check(&command, "list /tmp =>").await;
    });
}

#[test]
fn two_instances_at_once_have_two() {
    story(async {
        let engine = engine();
        // On a quick machine the first may have ended before the second begins, and then it is the same instance that serves both.
        for _ in 0..100 {
            let function = granted(&engine, "rust-tmp", &json!({})).await;
            let script = |name: &str| {
                let lines = [
                    format!("new /tmp/{name}"),
                    "fill /tmp/much 4000000".into(),
                    "list /tmp".into(),
                ];
                function.invoke(Invocation::new(lines.join("\n")))
            };
            let (a, b) = tokio::join!(script("a"), script("b"));
            let (a, b) = (a.unwrap(), b.unwrap());
            if a.report.instance == b.report.instance {
                continue;
            }
            for (outcome, name) in [(a, "a"), (b, "b")] {
                assert_eq!(outcome.result.unwrap(), format!("done\ndone\n{name} much\n"));
            }
            return;
        }
        panic!("no two calls of a hundred were at once");
    });
}

#[test]
fn without_the_grant_there_is_nothing() {
    story(async {
        let engine = engine();
        for guest in GUESTS {
            // The same code with and without it, in one engine.
            let with = granted(&engine, guest, &json!({})).await;
            let without = engine.load(spec(guest)).await.unwrap();
            check(&with, "write /tmp/a x => done").await;
            for answer in run(&without, &["write /tmp/a x", "list /tmp", "list /"]).await {
                assert!(!answer.contains("done") && !answer.is_empty(), "{answer}");
            }
        }
    });
}

#[test]
fn the_hosts_tmp_is_not_touched_and_granted_directories_stay_theirs() {
    story(async {
        let host = tempfile::tempdir().unwrap();
        std::fs::write(host.path().join("there"), "before").unwrap();
        let name = format!("hearth-tmp-{}", std::process::id());
        let grants: Grants = serde_json::from_value(json!({
            "tmp": {},
            "directories": [
                {"host_path": host.path(), "guest_path": "/data", "access": "read-write"},
                {"host_path": host.path(), "guest_path": "/seen"},
            ],
        }))
        .unwrap();
        for guest in GUESTS {
            let function = engine().load(spec(guest).grants(grants.clone())).await.unwrap();
            let script = format!(
                "list /tmp =>
                 new /tmp/{name} => done
                 read /data/there => before
                 write /data/made text => done
                 append /data/made -more => done
                 read /seen/made => text-more
                 write /tmp/in memory => done
                 read /tmp/in => memory
                 seek /data/made 4 => more
                 rename /data/made /tmp/made => CrossesDevices
                 rename /tmp/in /data/in => CrossesDevices
                 read /tmp/../data/there => PermissionDenied
                 list /data => there made
                 unlinked /data/u => still here
                 unlinked /tmp/u => still here
                 remove /data/made => done
                 list /seen => there"
            );
            check(&function, &script).await;
            assert!(!std::env::temp_dir().join(&name).exists());
            assert_eq!(std::fs::read_dir(host.path()).unwrap().count(), 1);
        }
    });
}

#[test]
fn what_is_held_counts_against_the_engines_budget() {
    story(async {
        let engine = engine_with(|config| config.memory_budget_bytes = 12 << 20);
        let function = granted(&engine, "rust-tmp", &json!({"bytes": 64 << 20})).await;
        let before = engine.stats().memory_bytes;
        check(&function, "fill /tmp/a 4000000 => done").await;
        assert!(engine.stats().memory_bytes >= before + 4_000_000);
        let answers = run(&function, &["fill /tmp/b 32000000", "read /tmp/none"]).await;
        assert!(answers[0].starts_with("StorageFull at "), "{answers:?}");
        assert_eq!(answers[1], "NotFound", "the guest goes on");
        drop(function);
        crate::world::eventually("giving back", || engine.stats().memory_bytes == before).await;
    });
}

#[test]
fn bad_bounds_are_refused_when_the_function_is_loaded() {
    story(async {
        let engine = engine();
        for tmp in [json!({"bytes": 0}), json!({"nodes": 0})] {
            let refused = engine.load(spec("rust-tmp").grants(grants(&tmp))).await.unwrap_err();
            assert!(matches!(refused, LoadError::Setting { .. }), "{refused}");
        }
    });
}

/// Adds a byte to a file with each call and answers how many there are, as a digit.
const COUNTER: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "a")
    (data (i32.const 16) "\00\00\00\00\01\00\00\00")
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func $must (param i32) (if (local.get 0) (then unreachable)))
    (func (export "handle") (param i32 i32) (result i64)
        ;; Create, for reading and writing, appending.
        (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1)
            (i64.const 0x62) (i64.const 0) (i32.const 1) (i32.const 32)))
        (call $must (call $write (i32.load (i32.const 32)) (i32.const 16) (i32.const 1) (i32.const 36)))
        (call $must (call $tell (i32.load (i32.const 32)) (i32.const 40)))
        (call $must (call $close (i32.load (i32.const 32))))
        (i32.store8 (i32.const 48) (i32.add (i32.const 48) (i32.load (i32.const 40))))
        (i64.const 0x30_0000_0001)))"#;

#[test]
fn a_core_module_that_is_reused_finds_what_it_left() {
    story(async {
        let code = wat::parse_str(COUNTER).unwrap();
        let spec = FunctionSpec::new("counter", code).grants(grants(&json!({})));
        let engine = engine();
        let function = engine.load(spec.clone()).await.unwrap();
        for expected in ["1", "2", "3"] {
            assert_eq!(invoke(&function, "").await.result.unwrap(), expected);
        }
        let other = engine.load(spec).await.unwrap();
        assert_eq!(invoke(&other, "").await.result.unwrap(), "1");
    });
}

#[test]
fn a_guest_of_the_newest_wasi_has_it_too() {
    story(async {
        let engine = engine();
        let function = granted(&engine, "rust-tmp-p3", &json!({"bytes": 65536})).await;
        check(
            &function,
            "list /tmp =>
             write /tmp/a hello => done
             append /tmp/a -world => done
             read /tmp/a => hello-world
             mkdir /tmp/d => done
             rename /tmp/a /tmp/d/b => done
             size /tmp/d/b => 11
             read /tmp/a => ErrorCode::NoEntry
             read /tmp/../etc/passwd => ErrorCode::NotPermitted
             read /tmp/d => ErrorCode::IsDirectory
             fill /tmp/much 100000 => ErrorCode::InsufficientSpace
             size /tmp/much => 61440
             list /tmp => d much
             remove /tmp/much => done",
        )
        .await;
        check(&function, "read /tmp/d/b => hello-world").await;
        let other = granted(&engine, "rust-tmp-p3", &json!({})).await;
        check(&other, "list /tmp =>").await;
        let without = engine.load(spec("rust-tmp-p3")).await.unwrap();
        check(&without, "list /tmp => ErrorCode::NoEntry").await;
        // Another guest of 0.3, whose files go through 0.2 as those of Rust's standard library do.
        engine.load(spec("rust-http-p3").grants(grants(&json!({})))).await.unwrap();
    });
}

#[test]
fn directories_of_the_host_are_beside_it_for_a_guest_of_the_newest_wasi() {
    story(async {
        let host = tempfile::tempdir().unwrap();
        std::fs::write(host.path().join("there"), "before").unwrap();
        let grants: Grants = serde_json::from_value(json!({
            "tmp": {},
            "directories": [{"host_path": host.path(), "guest_path": "/data", "access": "read-write"}],
        }))
        .unwrap();
        let function = engine().load(spec("rust-tmp-p3").grants(grants)).await.unwrap();
        check(
            &function,
            "read /data/there => before
             write /data/made text => done
             append /data/made -more => done
             read /data/made => text-more
             size /data/made => 9
             mkdir /data/d => done
             rename /data/made /data/d/made => done
             rename /data/d/made /tmp/made => ErrorCode::CrossDevice
             write /tmp/in memory => done
             rename /tmp/in /data/in => ErrorCode::CrossDevice
             list /data => d there
             list /tmp => in
             remove /data/there => done",
        )
        .await;
        assert_eq!(std::fs::read_to_string(host.path().join("d/made")).unwrap(), "text-more");
    });
}
