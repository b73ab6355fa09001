//! What a kept connection saves an outgoing request of a function: the same exchange with a peer on loopback that keeps its
//! connections and with one that closes them, in alternating rounds. Without TLS, where it would save a handshake more.
//!
//! `cargo bench -p hearth-benches --bench outgoing`; `-- --quick` only shows that it works.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hearth_host_api::outgoing_http::{
    AllowedDestination, Egress, EgressHooks, OutgoingHttp, SystemResolver,
};
use http::Request;
use http_body_util::{BodyExt, Empty};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wasmtime_wasi_http::WasiHttpHooks;

const KEPT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CLOSED: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello";

/// A peer on its own thread that answers with `answer`, and closes after it or not.
fn peer(answer: &'static [u8], keeps: bool) -> SocketAddr {
    let (told, hears) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(async move {
                    let mut head = [0; 1024];
                    while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                        if stream.write_all(answer).await.is_err() || !keeps {
                            return;
                        }
                    }
                });
            }
        });
    });
    hears.recv().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The mean time of `count` requests, one after another.
async fn round(egress: &Arc<Egress>, peer: SocketAddr, count: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut hooks = EgressHooks::new(egress.clone(), deadline);
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get(format!("http://{peer}/")).body(body).unwrap();
        let sent = hooks.send_request(request, None, Box::new(async { Ok(()) }));
        let (response, io) = Box::into_pin(sent).await.unwrap();
        let io = tokio::spawn(Box::into_pin(io));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello");
        io.await.unwrap().unwrap();
    }
    start.elapsed() / count
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let (rounds, count) = if quick { (3, 10) } else { (15, 400) };
    let (keeping, closing) = (peer(KEPT, true), peer(CLOSED, false));
    let to = "http://127.0.0.1:*".parse().unwrap();
    let allow = vec![AllowedDestination { to, private: true }];
    let grant = OutgoingHttp { allow, ..OutgoingHttp::default() };
    let egress = Egress::new(grant, Arc::new(SystemResolver));
    let (mut kept, mut new) = (Vec::new(), Vec::new());
    runtime().block_on(async {
        for _ in 0..rounds {
            new.push(round(&egress, closing, count).await);
            kept.push(round(&egress, keeping, count).await);
        }
    });
    let (kept, new) = (median(&mut kept), median(&mut new));
    println!("outgoing request, new connection each: {new:.1} us");
    println!("outgoing request, kept connection:     {kept:.1} us");
    println!("a new connection costs {:.2} times a kept one", new / kept);
    println!("{:?}", egress.counts());
}
