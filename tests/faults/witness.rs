//! A guest that writes down each of its executions into a directory of the host: when it began, and for which event. What it wrote is
//! there whatever becomes of the server.

use std::collections::BTreeMap;
use std::path::Path;

use hearth_tests::Server;
use serde_json::json;

/// Bytes of an event that the witness takes down.
pub(super) const EVENT_BYTES: usize = 16;
const LINE_BYTES: usize = 8 + EVENT_BYTES;

/// Ends with a trap if the event begins with `b`.
const WITNESS: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get"
        (func $time (param i32 i64 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "runs")
    ;; One buffer: the time at 1016, and the event behind it.
    (data (i32.const 16) "\f8\03\00\00\18\00\00\00")
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func $must (param i32) (if (local.get 0) (then unreachable)))
    (func (export "handle") (param $event i32) (param $length i32) (result i64)
        (call $must (call $time (i32.const 0) (i64.const 1) (i32.const 1016)))
        ;; Create, for writing, appending.
        (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 1)
            (i64.const 0x40) (i64.const 0) (i32.const 1) (i32.const 32)))
        (call $must (call $write (i32.load (i32.const 32)) (i32.const 16) (i32.const 1) (i32.const 36)))
        (call $must (call $close (i32.load (i32.const 32))))
        (if (i32.eq (i32.load8_u (local.get $event)) (i32.const 0x62)) (then unreachable))
        (i64.or (i64.shl (i64.extend_i32_u (local.get $event)) (i64.const 32))
            (i64.extend_i32_u (local.get $length)))))"#;

/// Makes function `s/NAME` a witness that writes into `directory`.
pub(super) fn deploy(server: &Server, name: &str, directory: &Path) {
    let grant = json!({"host_path": directory, "guest_path": "/out", "access": "read-write"});
    let settings = json!({"grants": {"directories": [grant]}}).to_string();
    let path = format!("/hearth/v1/functions/s/{name}");
    let headers = [("x-hearth-settings", settings.as_str())];
    let made = server.send("PUT", &path, &headers, &wat::parse_str(WITNESS).unwrap());
    assert_eq!(made.status, 200, "{}", made.text());
}

/// When its executions began, in microseconds since the Unix epoch, by event.
pub(super) fn executions(directory: &Path) -> BTreeMap<String, Vec<u64>> {
    let written = std::fs::read(directory.join("runs")).unwrap_or_default();
    let mut executions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in written.chunks_exact(LINE_BYTES) {
        let (time, event) = line.split_at(8);
        let began = u64::from_le_bytes(time.try_into().unwrap()) / 1000;
        executions.entry(String::from_utf8(event.to_vec()).unwrap()).or_default().push(began);
    }
    executions
}
