//! How soon a response is on its way while its guest still writes: the time until the first byte of a stream that goes on for a millisecond,
//! beside that of a whole answer, through a real server over a kept connection, with instances reused and with one for each request.
//!
//! `cargo build --release -p hearth && cargo bench -p hearth-benches --bench first_byte`; of another program with `$HEARTH`. `-- --quick` only shows that
//! it works.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hearth_benches::peers::{Hearth, example};
use hearth_benches::{COLUMNS, Comparison, Options, median, show_head};

/// Longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// An event, a millisecond without one, and another.
const STREAM: &str = "/sse?events=2&ms=1";

/// How long nobody asks for anything before each request, of either side: a stream leaves the machine idle for as long, and a machine that was idle
/// takes longer to answer, whatever it is asked for.
const PAUSE: Duration = Duration::from_millis(1);

fn main() {
    let Some(options) = Options::from_arguments() else { return };
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let server = Hearth::start(scratch.path(), "first-byte", &[]).expect("a server");
    for isolation in ["reuse", "fresh"] {
        for guest in ["rust-http-stream", "rust-http"] {
            let name = format!("{isolation}/{guest}");
            let flags = ["--isolation", isolation, "--http"];
            server.deploy(&example(guest), &name, &flags).expect("an example is deployed");
        }
    }
    show_head(&options, COLUMNS);
    for (isolation, what) in [
        ("reuse", "first byte of a stream, a whole answer; reused"),
        ("fresh", "first byte of a stream, a whole answer; fresh"),
    ] {
        let stream = Caller::new(&server, &format!("{isolation}/rust-http-stream{STREAM}"));
        let whole = Caller::new(&server, &format!("{isolation}/rust-http/"));
        compare(what, (stream, whole), options.is_quick).show(&options);
    }
}

/// Alternates between both and takes medians.
fn compare(
    what: &'static str,
    (mut stream, mut whole): (Caller, Caller),
    is_quick: bool,
) -> Comparison {
    let (rounds, calls) = if is_quick { (3, 10) } else { (11, 300) };
    stream.median_micros(calls);
    whole.median_micros(calls);
    let round = |_| (stream.median_micros(calls), whole.median_micros(calls));
    let (ours, beside): (Vec<f64>, Vec<f64>) = (0..rounds).map(round).unzip();
    let mut ratios: Vec<f64> =
        ours.iter().zip(&beside).map(|(ours, beside)| ours / beside).collect();
    ratios.sort_by(f64::total_cmp);
    Comparison {
        what,
        target: None,
        ours: median(ours),
        beside: median(beside),
        spread: (ratios[0], ratios[ratios.len() - 1]),
        ratio: median(ratios),
    }
}

/// Somebody who asks for the same again and again.
struct Caller {
    socket: TcpStream,
    request: String,
    seen: Vec<u8>,
}

impl Caller {
    fn new(server: &Hearth, path: &str) -> Self {
        let address = server.url.trim_start_matches("http://");
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_nodelay(true).expect("it is open");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is open");
        let request = format!("GET /2016-08-15/proxy/{path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        Self { socket, request, seen: Vec::new() }
    }

    fn median_micros(&mut self, calls: u32) -> f64 {
        median((0..calls).map(|_| self.call().as_secs_f64() * 1e6).collect())
    }

    /// The time until the first byte; the answer is read to its end.
    fn call(&mut self) -> Duration {
        std::thread::sleep(PAUSE);
        let began = Instant::now();
        self.socket.write_all(self.request.as_bytes()).expect("it is open");
        self.seen.clear();
        let mut first = None;
        while !is_whole(&self.seen) {
            let mut piece = [0; 4096];
            let count = self.socket.read(&mut piece).expect("an answer in time");
            first.get_or_insert_with(|| began.elapsed());
            assert!(count > 0, "it broke off: {}", String::from_utf8_lossy(&self.seen));
            self.seen.extend_from_slice(&piece[..count]);
        }
        assert!(self.seen.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&self.seen));
        first.unwrap_or_default()
    }
}

/// Whether an answer has come to its end.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length.and_then(|length| length.parse().ok()) {
        Some(length) => body.len() >= length,
        None => body.ends_with("0\r\n\r\n"),
    }
}
