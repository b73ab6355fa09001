//! The log store: its bounds, its files and its followers.

use std::borrow::Cow;

use super::*;

fn entry(function: &str, time_ms: u64, text: &str) -> Arc<LogEntry> {
    Arc::new(LogEntry {
        time_ms,
        request_id: format!("r{}", time_ms % 2).into(),
        function: function.into(),
        stream: Cow::Borrowed("stdout"),
        level: Cow::Borrowed("info"),
        text: text.to_owned(),
        cut: false,
    })
}

fn query(function: &str, limit: usize) -> LogQuery {
    LogQuery { function: function.to_owned(), since_ms: None, request_id: None, limit }
}

async fn texts(store: &Arc<LogStore>, query: LogQuery) -> Vec<String> {
    store.query(query).await.unwrap().iter().map(|entry| entry.text.clone()).collect()
}

#[tokio::test]
async fn lines_are_found_by_function_time_and_request() {
    let store = LogStore::open(LogConfig::new(None)).unwrap();
    store.take((0..6).map(|n| entry("s/f", n, &n.to_string())).collect());
    store.take(vec![entry("s/g", 9, "other")]);
    assert_eq!(texts(&store, query("s/f", 2)).await, ["4", "5"]);
    let since = LogQuery { since_ms: Some(3), ..query("s/f", 9) };
    assert_eq!(texts(&store, since).await, ["3", "4", "5"]);
    let request = LogQuery { request_id: Some("r1".into()), ..query("s/f", 9) };
    assert_eq!(texts(&store, request).await, ["1", "3", "5"]);
}

#[tokio::test]
async fn memory_is_bounded_and_files_fill_in() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { lines_per_function: 2, ..LogConfig::new(Some(dir.path().into())) };
    let store = LogStore::open(config.clone()).unwrap();
    store.take((0..10).map(|n| entry("s/f", n, &n.to_string())).collect());
    assert_eq!(texts(&store, query("s/f", 3)).await, ["7", "8", "9"]);
    drop(store);
    let again = LogStore::open(config).unwrap();
    assert_eq!(texts(&again, query("s/f", 3)).await, ["7", "8", "9"], "after a restart");
}

#[tokio::test]
async fn all_functions_share_one_bound_of_bytes() {
    let config = LogConfig { memory_bytes: 10_000, ..LogConfig::new(None) };
    let store = LogStore::open(config).unwrap();
    for n in 0..1000 {
        store.take(vec![entry(&format!("s/f{n}"), n, &"x".repeat(100))]);
    }
    assert!(texts(&store, query("s/f0", 9)).await.is_empty());
    assert_eq!(texts(&store, query("s/f999", 9)).await.len(), 1);
}

#[tokio::test]
async fn files_rotate_within_their_bound_and_a_cut_line_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes: 1000,
        disk_bytes: 5000,
        lines_per_function: 1,
        ..LogConfig::new(Some(dir.path().into()))
    };
    let store = LogStore::open(config.clone()).unwrap();
    for n in 0..200 {
        store.take(vec![entry("s/f", n, &format!("line {n}"))]);
    }
    let files = || std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap());
    let size: u64 = files().map(|file| file.metadata().unwrap().len()).sum();
    assert!(size <= 6000 && files().count() <= 8, "{size}");
    drop(store);
    let newest = files().map(|file| file.path()).max().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    bytes.extend(b"{\"time_ms\":1,");
    std::fs::write(&newest, bytes).unwrap();
    let again = LogStore::open(config).unwrap();
    again.take(vec![entry("s/f", 200, "line 200")]);
    assert_eq!(texts(&again, query("s/f", 2)).await, ["line 199", "line 200"]);
}

#[tokio::test]
async fn a_follower_is_told_what_it_missed() {
    let config = LogConfig { follow_lines: 4, ..LogConfig::new(None) };
    let store = LogStore::open(config).unwrap();
    let mut follower = store.follow(Some("s/f"));
    store.take((0..10).map(|n| entry("s/f", n, &n.to_string())).collect());
    assert_eq!(follower.next().await, Some(Followed::Missed(6)));
    let next = follower.next().await;
    assert!(matches!(next, Some(Followed::Line(line)) if line.text == "6"));
    store.take(vec![entry("s/g", 11, "other")]);
    drop(store);
    let mut rest = 0;
    while let Some(followed) = follower.next().await {
        assert!(matches!(followed, Followed::Line(line) if &*line.function == "s/f"));
        rest += 1;
    }
    assert_eq!(rest, 3);
}
