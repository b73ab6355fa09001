//! What is the SQLite driver's own: files, locks, settings, and what survives.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::storage::contract::{enqueue, row};
use crate::storage::{Collection, Expect};

fn put(key: &str, bytes: usize) -> Op {
    let (collection, key) = (Collection("c"), key.to_owned());
    Op::Put { collection, key, value: Bytes::from(vec![7; bytes]), expect: Expect::Any }
}

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3_u64 {
        let storage = SqliteStorage::open(dir.path()).unwrap();
        let id = format!("i{round}");
        storage.commit(vec![enqueue(&id, "l", 0)]).await.unwrap();
        let claimed = storage
            .claim(Claim { now_ms: 10 * round + 5, limit: 99, ..Claim::default() })
            .await
            .unwrap();
        assert_eq!(claimed.len() as u64, round + 1, "all earlier ones came back");
        drop(storage);
    }
}

/// A copy of the files at the moment of the answer is what a crash would leave: it must hold what was answered.
#[tokio::test]
async fn a_copy_taken_after_the_answer_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(dir.path()).unwrap();
    for n in 0..5 {
        storage.commit(vec![enqueue(&format!("i{n}"), "l", 0)]).await.unwrap();
        let crashed = tempfile::tempdir().unwrap();
        for name in ["hearth.db", "hearth.db-wal"] {
            std::fs::copy(dir.path().join(name), crashed.path().join(name)).unwrap();
        }
        let copy = SqliteStorage::open(crashed.path()).unwrap();
        let query = Query::Lanes { after: String::new(), limit: 9 };
        let found = copy.read(query).await.unwrap();
        assert_eq!(found, Found::Lanes(vec![("l".into(), n + 1)]));
    }
}

#[tokio::test]
async fn a_second_owner_is_told_who_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = SqliteStorage::open(dir.path()).unwrap();
    let error = SqliteStorage::open(dir.path()).unwrap_err();
    let StorageError::Locked { path, pid } = &error else { panic!("{error}") };
    assert_eq!((path.as_path(), *pid), (dir.path(), Some(std::process::id())));
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    drop(first);
    SqliteStorage::open(dir.path()).unwrap();
}

fn tampered(statement: &str) -> StorageError {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStorage::open(dir.path()).unwrap());
    let connection = rusqlite::Connection::open(dir.path().join("hearth.db")).unwrap();
    connection.execute_batch(statement).unwrap();
    drop(connection);
    SqliteStorage::open(dir.path()).unwrap_err()
}

#[test]
fn a_newer_schema_and_another_programs_file_are_refused() {
    let error = tampered("PRAGMA user_version = 99");
    assert!(matches!(error, StorageError::NewerSchema { found: 99, known: schema::KNOWN, .. }));
    assert!(error.to_string().contains("schema 99"), "{error}");
    assert!(matches!(tampered("PRAGMA application_id = 7"), StorageError::Corrupt { .. }));
}

#[test]
fn damage_is_told_when_opening() {
    let dir = tempfile::tempdir().unwrap();
    drop(SqliteStorage::open(dir.path()).unwrap());
    let file = dir.path().join("hearth.db");
    let mut bytes = std::fs::read(&file).unwrap();
    for byte in bytes.iter_mut().skip(4096).take(8192) {
        *byte ^= 0x5a;
    }
    std::fs::write(&file, &bytes).unwrap();
    let error = SqliteStorage::open(dir.path()).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    std::fs::write(&file, b"this is a text file, and a long one, which no database ever was")
        .unwrap();
    let error = SqliteStorage::open(dir.path()).unwrap_err();
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
}

#[test]
fn durable_settings_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let connection = schema::open(dir.path()).unwrap();
    let value = |name: &str| -> String {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| {
                row.get::<_, rusqlite::types::Value>(0).map(|value| format!("{value:?}"))
            })
            .unwrap()
    };
    assert_eq!(value("journal_mode"), r#"Text("wal")"#);
    assert_eq!(value("synchronous"), "Integer(2)");
}

/// SQLite's own bound on pages stands in for a small disk: both end as the same error.
#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let connection = schema::open(dir.path()).unwrap();
    let set = |connection: &rusqlite::Connection, pages: i64| {
        connection
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))
            .unwrap();
    };
    set(&connection, 60);
    let mut writer = writer::Writer::new(
        connection,
        reserve::Reserve::open(dir.path()),
        dir.path().to_owned(),
        Arc::default(),
    );
    let mut commit = |ops: Vec<Op>| {
        let (reply, mut answer) = oneshot::channel();
        writer.write(vec![Job::Commit { ops, reply }]);
        answer.try_recv().unwrap()
    };
    commit(vec![put("small", 10)]).unwrap();
    let error = commit(vec![put("large", 1 << 20)]).unwrap_err();
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    assert!(error.is_retryable());
    commit(vec![put("small", 20)]).unwrap();
    let delete =
        Op::Delete { collection: Collection("c"), key: "small".into(), expect: Expect::Any };
    assert_eq!(commit(vec![delete]).unwrap(), [Effect::Removed(1)]);
}

/// When the transaction is lost, neighbours that had succeeded in it are told so.
#[tokio::test]
async fn nobody_is_told_of_success_in_a_lost_group() {
    let dir = tempfile::tempdir().unwrap();
    let connection = schema::open(dir.path()).unwrap();
    connection
        .execute_batch(
            "CREATE TRIGGER lose BEFORE INSERT ON journal BEGIN SELECT RAISE(ROLLBACK, 'lost'); END",
        )
        .unwrap();
    let mut writer = writer::Writer::new(
        connection,
        reserve::Reserve::open(dir.path()),
        dir.path().to_owned(),
        Arc::default(),
    );
    let ops = [vec![put("a", 1)], vec![Op::Append { record: row("x", 1) }], vec![put("b", 1)]];
    let (jobs, answers): (Vec<_>, Vec<_>) = ops
        .into_iter()
        .map(|ops| {
            let (reply, answer) = oneshot::channel();
            (Job::Commit { ops, reply }, answer)
        })
        .unzip();
    writer.write(jobs);
    for mut answer in answers {
        assert!(answer.try_recv().unwrap().is_err());
    }
    let (reply, mut answer) = oneshot::channel();
    writer.write(vec![Job::Commit { ops: vec![put("c", 1)], reply }]);
    assert_eq!(answer.try_recv().unwrap().unwrap(), [Effect::Version(1)], "and it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Arc::new(SqliteStorage::open(dir.path()).unwrap());
    let tasks: Vec<_> = (0..500)
        .map(|n| {
            let storage = storage.clone();
            tokio::spawn(
                async move { storage.commit(vec![enqueue(&format!("i{n}"), "l", 0)]).await },
            )
        })
        .collect();
    let all = async {
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
    let found = storage.read(Query::Lanes { after: String::new(), limit: 9 }).await.unwrap();
    assert_eq!(found, Found::Lanes(vec![("l".into(), 500)]));
}

/// Another program that holds the file, as one does that copies it carelessly.
#[tokio::test]
async fn what_another_program_holds_is_told_and_written_once_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let storage = SqliteStorage::open(dir.path()).unwrap();
    storage.commit(vec![put("before", 1)]).await.unwrap();
    let other = rusqlite::Connection::open(dir.path().join("hearth.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let get = |key: &str| Query::Get { collection: Collection("c"), key: key.to_owned() };
    let Found::Entry(Some(_)) = storage.read(get("before")).await.unwrap() else { panic!() };
    let error = storage.commit(vec![put("while", 1)]).await.unwrap_err();
    assert!(matches!(error, StorageError::Locked { .. }), "{error}");
    assert!(error.is_retryable(), "it may work later, with nothing changed but time");
    other.execute_batch("ROLLBACK").unwrap();
    storage.commit(vec![put("after", 1)]).await.unwrap();
    assert_eq!(storage.read(get("while")).await.unwrap(), Found::Entry(None));
}

/// Readers cannot copy the log back: the writer has to be the last to close the file.
#[tokio::test]
async fn a_stop_leaves_one_file() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(dir.path()).unwrap();
        storage.commit(vec![put("k", 1)]).await.unwrap();
        storage.read(Query::Lanes { after: String::new(), limit: 1 }).await.unwrap();
        drop(storage);
        assert!(!dir.path().join("hearth.db-wal").exists());
    }
}
