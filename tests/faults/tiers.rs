//! A server that is killed while it compiles fully what the fast tier serves: nothing of it stays behind, and the next one finishes it.

use std::path::Path;

use hearth_tests::{Server, Start, eventually};
use serde_json::json;

/// An echo with enough code beside it that compiling it fully takes a while.
fn large() -> Vec<u8> {
    let step = "local.get 0 i32.const 77 i32.mul local.get 0 i32.add i32.xor ";
    let body = format!("(func (param i32) (result i32) local.get 0 {})", step.repeat(300));
    let text = format!(
        r#"(module (memory (export "memory") 2)
            (func (export "alloc") (param i32) (result i32) i32.const 65536)
            (func (export "handle") (param $ptr i32) (param $len i32) (result i64)
                (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
                        (i64.extend_i32_u (local.get $len))))
            {})"#,
        body.repeat(600)
    );
    wat::parse_str(text).unwrap()
}

/// Compilers that work on something of this directory.
fn compilers(data_dir: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    let directory = data_dir.to_str().unwrap();
    lines.filter(|line| line.contains("compile-child") && line.contains(directory)).count()
}

fn artifacts(server: &Server, ending: &str) -> usize {
    let is = |path: &&std::path::PathBuf| path.extension().is_some_and(|found| found == ending);
    server.files("artifacts").iter().filter(is).count()
}

#[test]
fn a_server_killed_while_it_compiles_behind_leaves_nothing_and_the_next_one_finishes() {
    let mut server = Start::default().with("--engine-compile-fast-from", "0").start();
    assert_eq!(server.create("large", &large(), json!({})).status, 200);
    eventually("the compiler behind", || compilers(server.data_dir()) == 1);
    assert_eq!(server.invoke("large", "first").text(), "first");
    assert_eq!(server.metric("hearth_code_optimised_total"), 0.0, "the fast tier answered");
    server.kill9();
    eventually("the compiler's end", || compilers(server.data_dir()) == 0);
    server.restart();
    assert_eq!(artifacts(&server, "wasm") + artifacts(&server, "tmp"), 0, "leftovers");
    assert_eq!(server.invoke("large", "then").text(), "then");
    assert_eq!(server.metric("hearth_artifact_hits_total"), 1.0, "that of the fast tier");
    eventually("the full tier", || server.metric("hearth_code_optimised_total") == 1.0);
    assert_eq!(server.invoke("large", "last").text(), "last");
    eventually("the end of the fast one", || artifacts(&server, "cwasm") == 1);
    assert_eq!(server.metric("hearth_compilations_total"), 1.0);
    server.restart();
    assert_eq!(server.invoke("large", "again").text(), "again");
    assert_eq!(server.metric("hearth_compilations_total"), 0.0, "the full one was kept");
}

#[test]
fn stopping_does_not_wait_for_what_is_compiled_behind() {
    let mut server = Start::default().with("--engine-compile-fast-from", "0").start();
    assert_eq!(server.create("large", &large(), json!({})).status, 200);
    eventually("the compiler behind", || compilers(server.data_dir()) == 1);
    assert_eq!(server.terminate(), Some(0));
    eventually("the compiler's end", || compilers(server.data_dir()) == 0);
}
