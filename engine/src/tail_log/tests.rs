//! The ring against a reference, lines against forgery, bounds against floods.

use proptest::prelude::*;

use super::*;
use crate::log_lines::{LogLine, LogSink};

const OWNER: (&str, &str) = ("r-1", "s/f");

#[derive(Default)]
struct Seen(Mutex<Vec<LogLine<'static>>>);

impl LogSink for Seen {
    fn write(&self, lines: &[LogLine<'_>]) {
        self.0.lock().extend(lines.iter().map(|line| line.clone().into_owned()));
    }
}

/// Runs `write` on a log with a sink and returns the lines and what was counted.
fn lines(budget: u64, write: impl FnOnce(&InstanceLog)) -> (Vec<LogLine<'static>>, Logged) {
    let seen = Arc::new(Seen::default());
    let drain = Arc::new(LogDrain::start(seen.clone(), 1000).unwrap());
    let log = InstanceLog::new(Some(drain.clone()));
    log.begin(OWNER, 4096, budget);
    write(&log);
    let logged = log.end();
    drop(log);
    drain.flush();
    let lines = seen.0.lock().clone();
    (lines, logged)
}

proptest! {
    #[test]
    fn the_tail_is_the_end_of_everything(
        chunks in prop::collection::vec(prop::collection::vec(b'a'..=b'z', 0..40), 0..20),
        capacity in 1_usize..64,
    ) {
        let log = InstanceLog::new(None);
        log.begin(OWNER, capacity, 0);
        for chunk in &chunks {
            log.write(Stream::Stdout, chunk);
        }
        let all = chunks.concat();
        let logged = log.end();
        prop_assert_eq!(logged.bytes, all.len() as u64);
        prop_assert_eq!(&logged.tail.unwrap()[..], &all[all.len().saturating_sub(capacity)..]);
    }

    #[test]
    fn the_tail_never_starts_inside_a_character(text in "\\PC{0,60}", capacity in 1_usize..50) {
        let log = InstanceLog::new(None);
        log.begin(OWNER, capacity, 0);
        log.write(Stream::Stderr, text.as_bytes());
        let tail = log.end().tail.unwrap();
        let tail = std::str::from_utf8(&tail).unwrap();
        prop_assert!(text.ends_with(tail));
        prop_assert!(text.len() < 4 || capacity < 4 || tail.len() + 3 >= capacity.min(text.len()));
    }
}

#[test]
fn streams_and_entries_keep_their_order_in_the_tail() {
    let log = InstanceLog::new(None);
    log.begin(OWNER, 4096, 0);
    log.write(Stream::Stdout, b"one\n");
    log.write(Stream::Stderr, b"two\n");
    log.entry(Level::Error, "db", "three");
    log.write(Stream::Stdout, b"four\n");
    assert_eq!(&log.end().tail.unwrap()[..], b"one\ntwo\nERROR [db] three\nfour\n");
}

#[test]
fn lines_are_split_across_writes_and_carry_their_invocation() {
    let (lines, _) = lines(1000, |log| {
        log.write(Stream::Stdout, b"hel");
        log.write(Stream::Stderr, b"oops\n");
        log.write(Stream::Stdout, b"lo\nunfinished");
    });
    let texts: Vec<_> = lines.iter().map(|line| (line.stream, &*line.text)).collect();
    assert_eq!(
        texts,
        [(Stream::Stderr, "oops"), (Stream::Stdout, "hello"), (Stream::Stdout, "unfinished")]
    );
    assert!(lines.iter().all(|line| &*line.request_id == "r-1" && &*line.function == "s/f"));
}

#[test]
fn a_line_cannot_forge_another_or_drive_a_terminal() {
    let (lines, _) = lines(1000, |log| {
        log.write(Stream::Stdout, b"a\r\x1b[31mred\xe2\x80\xa8b \xff\n");
    });
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].text, "a\\r\\u{1b}[31mred\\u{2028}b \u{fffd}");
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let (lines, logged) = lines(1 << 20, |log| {
        for _ in 0..100_000 {
            log.write(Stream::Stdout, b"0123456789012345678901234567890123456789\n");
        }
    });
    assert!(lines.len() as u64 * 40 <= 1 << 20);
    assert_eq!(lines.len() as u64 + logged.dropped, 100_000);
    assert_eq!(logged.bytes, 4_100_000);
    assert_eq!(logged.tail.unwrap().len(), 4096);
}

#[test]
fn an_endless_line_is_cut() {
    let (lines, _) = lines(u64::MAX, |log| {
        for _ in 0..100 {
            log.write(Stream::Stderr, &[b'x'; 4096]);
        }
        log.write(Stream::Stderr, b"\nnext\n");
    });
    assert_eq!(lines[0].text.len(), LINE_BYTES_MAX);
    assert!(lines[0].cut);
    assert_eq!((&*lines[1].text, lines[1].cut), ("next", false));
}

#[test]
fn what_is_written_between_invocations_belongs_to_nobody() {
    let log = InstanceLog::new(None);
    log.begin(OWNER, 10, 0);
    log.end();
    log.write(Stream::Stdout, b"late");
    log.begin(OWNER, 10, 0);
    assert_eq!(log.end().bytes, 0);
}
