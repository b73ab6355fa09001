//! An HTTP endpoint of the test's own on loopback: keeps what is posted to it and answers as it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What was posted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The path.
    pub path: String,
    /// The value of `x-fc-request-id`.
    pub request_id: String,
    /// The body.
    pub body: Value,
    /// When.
    pub at: Instant,
}

type Answer = dyn Fn(usize) -> (u16, Duration) + Send + Sync;

/// The endpoint; ends with this.
#[derive(Debug)]
pub struct Sink {
    address: std::net::SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
    ended: Arc<AtomicBool>,
}

impl Sink {
    /// One that answers the nth request, from 0, with a status after a while. A redirect leads back to where it came from; 429 asks for
    /// a wait of a second.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start(answer: impl Fn(usize) -> (u16, Duration) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let posted = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (kept, stop, answer): (_, _, Arc<Answer>) =
            (posted.clone(), ended.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (kept, answer) = (kept.clone(), answer.clone());
                // Who hangs up before it is answered is no failure of the test.
                std::thread::spawn(move || stream.ok().and_then(|s| take(s, &kept, &*answer)));
            }
        });
        Self { address, posted, ended }
    }

    /// Its address with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was posted so far.
    ///
    /// # Panics
    /// When a connection's thread panicked.
    #[must_use]
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("no thread panics with it").clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn take(stream: TcpStream, kept: &Mutex<Vec<Posted>>, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut path, mut length, mut request_id) = (String::new(), 0, String::new());
    for number in 0.. {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if number == 0 {
            line.split(' ').nth(1)?.clone_into(&mut path);
        }
        match line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)) {
            Some((name, value)) if name == "content-length" => length = value.parse().ok()?,
            Some((name, value)) if name == "x-fc-request-id" => value.clone_into(&mut request_id),
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let number = {
        let mut kept = kept.lock().ok()?;
        let body = serde_json::from_slice(&body).ok()?;
        kept.push(Posted { path: path.clone(), request_id, body, at: Instant::now() });
        kept.len() - 1
    };
    let (status, wait) = answer(number);
    std::thread::sleep(wait);
    let mut stream = stream;
    let header = match status {
        300..400 => format!("location: {path}\r\n"),
        429 => "retry-after: 1\r\n".to_owned(),
        _ => String::new(),
    };
    write!(stream, "HTTP/1.1 {status} x\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n")
        .ok()
}
