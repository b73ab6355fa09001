//! The log store: its bounds, its files and its followers.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use hearth_engine::{Level, Stream};

use super::*;

/// Gives the store lines of `function`, each with its time in milliseconds.
fn write(store: &LogStore, function: &str, texts: impl IntoIterator<Item = (u64, String)>) {
    let line = |(time_ms, text): (u64, String)| {
        let mut line = LogLine::new(function, "r", &text).into_owned();
        line.request_id = format!("r{}", time_ms % 2).into();
        line.time = UNIX_EPOCH + Duration::from_millis(time_ms);
        line
    };
    store.write(&texts.into_iter().map(line).collect::<Vec<_>>());
}

fn numbers(of: std::ops::Range<u64>) -> impl Iterator<Item = (u64, String)> {
    of.map(|n| (n, n.to_string()))
}

/// Files that a few hundred lines fill.
fn small_files(dir: &Path) -> LogConfig {
    LogConfig { segment_bytes: 1000, disk_bytes: 5000, ..LogConfig::new(Some(dir.into())) }
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
    write(&store, "s/f", numbers(0..6));
    write(&store, "s/g", [(9, "other".to_owned())]);
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
    write(&store, "s/f", numbers(0..10));
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
        write(&store, &format!("s/f{n}"), [(n, "x".repeat(100))]);
    }
    assert!(texts(&store, query("s/f0", 9)).await.is_empty());
    assert_eq!(texts(&store, query("s/f999", 9)).await.len(), 1);
}

#[tokio::test]
async fn files_rotate_within_their_bound_and_a_cut_line_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { lines_per_function: 1, ..small_files(dir.path()) };
    let store = LogStore::open(config.clone()).unwrap();
    for n in 0..200 {
        write(&store, "s/f", [(n, format!("line {n}"))]);
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
    write(&again, "s/f", [(200, "line 200".to_owned())]);
    assert_eq!(texts(&again, query("s/f", 2)).await, ["line 199", "line 200"]);
}

#[tokio::test]
async fn lines_in_memory_are_found_though_their_files_went() {
    let dir = tempfile::tempdir().unwrap();
    let store = LogStore::open(small_files(dir.path())).unwrap();
    write(&store, "s/quiet", numbers(0..3));
    for n in 0..200 {
        write(&store, "s/loud", [(n, format!("line {n}"))]);
    }
    write(&store, "s/quiet", numbers(3..4));
    assert_eq!(texts(&store, query("s/quiet", 9)).await, ["0", "1", "2", "3"]);
}

#[tokio::test]
async fn a_follower_is_told_what_it_missed() {
    let config = LogConfig { follow_lines: 4, ..LogConfig::new(None) };
    let store = LogStore::open(config).unwrap();
    let mut follower = store.follow(Some("s/f"));
    write(&store, "s/f", numbers(0..10));
    assert_eq!(follower.next().await, Some(Followed::Missed(6)));
    let next = follower.next().await;
    assert!(matches!(next, Some(Followed::Line(line)) if line.text == "6"));
    write(&store, "s/g", [(11, "other".to_owned())]);
    drop(store);
    let mut rest = 0;
    while let Some(followed) = follower.next().await {
        assert!(matches!(followed, Followed::Line(line) if &*line.function == "s/f"));
        rest += 1;
    }
    assert_eq!(rest, 3);
}

#[tokio::test]
async fn who_has_looked_a_line_up_keeps_it_when_its_memory_is_wanted_for_another() {
    let store =
        LogStore::open(LogConfig { lines_per_function: 3, ..LogConfig::new(None) }).unwrap();
    write(&store, "s/f", numbers(0..3));
    let seen = store.query(query("s/f", 1)).await.unwrap();
    for n in 3..9 {
        write(&store, "s/f", [(n, "x".repeat(usize::try_from(n).unwrap() * 100))]);
    }
    assert_eq!((&*seen[0].text, &*seen[0].request_id), ("2", "r0"));
    let lengths: Vec<_> = texts(&store, query("s/f", 9)).await.iter().map(String::len).collect();
    assert_eq!(lengths, [600, 700, 800]);
}

#[tokio::test]
async fn a_file_has_of_a_line_what_memory_had() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::new(Some(dir.path().into()));
    let store = LogStore::open(config.clone()).unwrap();
    let mut line = LogLine::new("s/f", "r1", "quoted \" and \\ and \u{1f525}");
    (line.stream, line.level, line.cut) = (Stream::Stderr, Level::Critical, true);
    store.write(&[line]);
    let in_memory = store.query(query("s/f", 9)).await.unwrap();
    assert_eq!((&*in_memory[0].stream, &*in_memory[0].level), ("stderr", "critical"));
    drop(store);
    let in_files = LogStore::open(config).unwrap().query(query("s/f", 9)).await.unwrap();
    assert_eq!(in_files, in_memory);
}
