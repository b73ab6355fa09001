//! Ten thousand functions that nobody calls: a server that knows them holds little for it, and each of them answers when it is called.

use std::path::Path;

use hearth_platform::storage::sqlite::SqliteStorage;
use hearth_platform::storage::{Collection, Entry, Expect, Found, Op, Query, Storage};
use hearth_tests::Server;
use serde_json::Value;

const COUNT: usize = 10_000;

/// Resident memory of a server that knows so many and has run none.
const RESIDENT_MAX: u64 = 200 << 20;

const FUNCTIONS: Collection = Collection("function");

/// Copies of a function's record under other names, many in each commit: deploying as many takes minutes and writes the same.
async fn multiply(data_dir: &Path) {
    let storage = SqliteStorage::open(data_dir).unwrap();
    let start = String::new();
    let all = Query::List { collection: FUNCTIONS, prefix: start.clone(), start, limit: 2 };
    let Found::Entries(found) = storage.read(all).await.unwrap() else { panic!("no entries") };
    let [Entry { key, value, .. }] = found.as_slice() else { panic!("one function: {found:?}") };
    let service = key.split('/').next().unwrap();
    let mut record: Value = serde_json::from_slice(value).unwrap();
    let ops: Vec<Op> = (1..COUNT)
        .map(|number| {
            let name = format!("copy-{number}");
            record["name"] = name.clone().into();
            record["id"] = uuid::Uuid::new_v4().to_string().into();
            let value = serde_json::to_vec(&record).unwrap().into();
            let key = format!("{service}/{name}");
            Op::Put { collection: FUNCTIONS, key, value, expect: Expect::Absent }
        })
        .collect();
    for batch in ops.chunks(1000) {
        storage.commit(batch.to_vec()).await.unwrap();
    }
}

/// As many artifacts as there would be if each had code of its own; what they hold matters only to who loads them.
fn plant_artifacts(data_dir: &Path) {
    for number in 1..COUNT {
        let name = format!("{number:064x}-{number:064x}.cwasm");
        std::fs::write(data_dir.join("artifacts").join(name), b"code").unwrap();
    }
}

#[test]
fn ten_thousand_known_functions_cost_little_until_they_are_called() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    assert_eq!(server.terminate(), Some(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(multiply(server.data_dir()));
    plant_artifacts(server.data_dir());
    server.restart();
    assert_eq!(server.metric("hearth_functions_stored"), COUNT as f64);
    assert_eq!(server.metric("hearth_functions"), 0.0, "none is loaded");
    let resident = server.resident_bytes();
    // 87 MiB when this was written, 54 with one function.
    assert!(resident < RESIDENT_MAX, "{resident} bytes with {COUNT} functions");
    for name in ["wat-echo", "copy-1", "copy-5000", "copy-9999"] {
        assert_eq!(server.invoke(name, name).text(), name);
    }
    assert_eq!(server.metric("hearth_functions"), 4.0);
    assert_eq!(server.metric("hearth_compilations_total"), 0.0, "their code is the same");
}
