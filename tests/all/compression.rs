//! Compression of what HTTP functions answer, as a client sees it: negotiated, as it is written, and nothing coded twice.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use hearth_tests::{Reply, Server, Start};

use crate::http_trigger::open;

const GUEST: &str = "rust-http-stream";

fn serving(start: Start) -> Server {
    let server = start.start();
    open(&server, GUEST);
    server
}

/// A request to the function. The client here decodes nothing.
fn ask(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    server.send(method, &format!("/2016-08-15/proxy/s/{GUEST}{path}"), headers, body)
}

fn decoded(reply: &Reply) -> Vec<u8> {
    let mut plain = Vec::new();
    match reply.header("content-encoding") {
        Some("gzip") => MultiGzDecoder::new(&*reply.body).read_to_end(&mut plain).unwrap(),
        Some("br") => {
            brotli::Decompressor::new(&*reply.body, 4096).read_to_end(&mut plain).unwrap()
        }
        other => panic!("{other:?} was not asked for: {:?}", reply.headers),
    };
    plain
}

const TEXT: (&str, &str) = ("content-type", "text/plain");

#[test]
fn a_client_gets_the_coding_that_it_likes_best() {
    let server = serving(Start::default());
    let text = b"All work and no play makes Jack a dull boy.\n".repeat(2000);
    for (accepted, coding) in [("gzip", "gzip"), ("gzip, br", "br"), ("br;q=0.1, gzip", "gzip")] {
        let asked = [TEXT, ("accept-encoding", accepted), ("x-answer-etag", "\"1\"")];
        let reply = ask(&server, "POST", "/echo", &asked, &text);
        let seen = (reply.status, reply.header("content-encoding"));
        assert_eq!(seen, (200, Some(coding)), "{}", reply.text());
        assert_eq!(reply.header("vary"), Some("accept-encoding"));
        assert_eq!(reply.header("etag"), Some("W/\"1\""), "other bytes of the same");
        assert_eq!(reply.header("content-length"), None);
        assert!(reply.body.len() < text.len() / 5, "{accepted}: {}", reply.body.len());
        assert_eq!(decoded(&reply), text, "{accepted}");
    }
    // Who takes none of ours, zstd among them, gets it as it is, and caches are told.
    for accepted in ["identity", "zstd", "gzip;q=0"] {
        let asked = [TEXT, ("accept-encoding", accepted), ("x-answer-etag", "\"1\"")];
        let reply = ask(&server, "POST", "/echo", &asked, &text);
        assert_eq!((reply.header("content-encoding"), reply.header("etag")), (None, Some("\"1\"")));
        assert_eq!((reply.header("vary"), &reply.body), (Some("accept-encoding"), &text));
    }
    // The head is that of a GET, without the body.
    let asked = [("x-answer-content-type", "text/plain"), ("accept-encoding", "br")];
    for method in ["GET", "HEAD"] {
        let reply = ask(&server, method, "/big?bytes=50000", &asked, b"");
        assert_eq!((reply.status, reply.header("content-encoding")), (200, Some("br")), "{method}");
        assert_eq!(reply.header("vary"), Some("accept-encoding"), "{method}");
        assert_eq!(reply.body.is_empty(), method == "HEAD", "{method}");
    }
}

#[test]
fn what_is_coded_already_small_or_not_to_be_changed_is_left_alone() {
    let server = serving(Start::default());
    let text = b"All work and no play makes Jack a dull boy.\n".repeat(2000);
    let takes = ("accept-encoding", "gzip, br");
    for (kind, said) in [
        ("text/plain", ("x-answer-content-encoding", "zstd")),
        ("text/plain", ("x-answer-cache-control", "public, no-transform")),
        ("text/plain", ("x-answer-content-range", "bytes 0-87999/99999")),
        ("image/png", ("x-answer-x", "y")),
    ] {
        let asked = [("content-type", kind), takes, said];
        let reply = ask(&server, "POST", "/echo", &asked, &text);
        let (name, value) = said;
        assert_eq!(reply.header(name.trim_start_matches("x-answer-")), Some(value));
        let coding = (name == "x-answer-content-encoding").then_some("zstd");
        assert_eq!(reply.header("content-encoding"), coding, "{said:?}");
        assert_eq!(reply.body, text, "{said:?}");
    }
    let small =
        ask(&server, "POST", "/echo", &[TEXT, takes, ("x-answer-content-length", "5")], b"small");
    assert_eq!((small.header("content-encoding"), &*small.body), (None, &b"small"[..]));
    let off = serving(Start::default().with("--http-compression", "false"));
    let reply = ask(&off, "POST", "/echo", &[TEXT, takes], &text);
    assert_eq!((reply.header("content-encoding"), reply.header("vary")), (None, None));
    assert_eq!(reply.body, text);
}

/// Each event is there before the next is made: the stream goes on for longer than anybody here waits.
#[test]
fn events_are_not_held_back() {
    let server = serving(Start::default());
    let path = format!("/2016-08-15/proxy/s/{GUEST}/sse?events=1000&ms=300");
    for coding in ["gzip", "br"] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept-encoding: {coding}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = BufReader::new(stream);
        let mut line = String::new();
        let mut is_coded = false;
        while line != "\r\n" {
            line.clear();
            assert!(answer.read_line(&mut line).unwrap() > 0);
            is_coded |= line == format!("content-encoding: {coding}\r\n");
        }
        assert!(is_coded, "{coding}");
        let chunks = Chunks { answer, left: 0 };
        let mut events: BufReader<Box<dyn Read>> = BufReader::new(match coding {
            "gzip" => Box::new(MultiGzDecoder::new(chunks)),
            _ => Box::new(brotli::Decompressor::new(chunks, 64)),
        });
        // They come one at a time, so three are no burst of an encoder that was full.
        for number in 1..=3 {
            let expected = format!("tick {number}");
            line.clear();
            while !line.contains(&expected) {
                assert!(events.read_line(&mut line).unwrap() > 0, "{coding}: {line}");
            }
        }
    }
}

/// A body in chunks, without them.
struct Chunks {
    answer: BufReader<TcpStream>,
    left: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            let mut size = String::new();
            self.answer.read_line(&mut size)?;
            self.left = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
        }
        let most = buffer.len().min(self.left);
        let count = self.answer.read(&mut buffer[..most])?;
        self.left -= count;
        if self.left == 0 {
            self.answer.read_exact(&mut [0; 2])?;
        }
        Ok(count)
    }
}
