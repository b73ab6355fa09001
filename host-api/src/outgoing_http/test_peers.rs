//! What the tests of this folder send requests through and to: a resolver that answers what a test says, and peers on loopback.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::{AllowedDestination, Egress, EgressHooks, OutgoingHttp, Resolve, Resolved};

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
pub(super) type Sent = Result<(Response<WasiBody>, Io), Error>;

/// Answers one list after another, and the last for ever; counts how often it was asked.
#[derive(Default)]
pub(super) struct Scripted {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl Scripted {
    pub(super) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |list: &&[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let answers = Mutex::new(answers.iter().map(parse).collect());
        Arc::new(Self { answers, asked: Mutex::default() })
    }
}

impl Resolve for Scripted {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolved<'a> {
        self.asked.lock().push(host.to_owned());
        let mut answers = self.answers.lock();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| std::io::Error::other("no such host")) })
    }
}

pub(super) fn grant(patterns: &[(&str, bool)]) -> OutgoingHttp {
    let allow = patterns
        .iter()
        .map(|(to, private)| AllowedDestination { to: to.parse().unwrap(), private: *private })
        .collect();
    OutgoingHttp { allow, ..OutgoingHttp::default() }
}

pub(super) fn get(uri: &str) -> Request<WasiBody> {
    let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
    Request::get(uri).header("host", "what-the-guest-wrote").body(body).unwrap()
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

pub(super) async fn run(
    egress: &Arc<Egress>,
    request: Request<WasiBody>,
    deadline: Instant,
) -> Sent {
    let mut hooks = EgressHooks::new(egress.clone(), deadline);
    let options = Some(RequestOptions::default());
    Box::into_pin(hooks.send_request(request, options, Box::new(async { Ok(()) }))).await
}

pub(super) async fn refused(egress: &Arc<Egress>, uri: &str) -> Error {
    run(egress, get(uri), soon()).await.map(|_| ()).unwrap_err()
}

/// Reads the whole response while its connection is driven.
pub(super) async fn text(sent: Sent) -> Result<String, Error> {
    let (response, io) = sent?;
    let io = tokio::spawn(Box::into_pin(io));
    let body = response.into_body().collect().await?.to_bytes();
    io.await.unwrap()?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// A server that answers every connection with `answer` and then, if asked to, stays silent. Gives what it read back.
pub(super) async fn serve(
    answer: &'static [u8],
    hold: bool,
) -> (u16, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let _ = sender.send(String::from_utf8_lossy(&head[..read]).into_owned()).await;
                let _ = stream.write_all(answer).await;
                if hold {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (port, receiver)
}

pub(super) const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
