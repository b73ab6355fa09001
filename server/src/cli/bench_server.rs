//! Measures a function on a server: connections that each call it one after another.
//!
//! All connections share one thread, so that on a small machine the caller takes as little from the server as it can.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::bench::Figure;
use super::client::{Signer, escape};
use super::run::runtime;
use super::{FunctionName, UsageError};
use crate::terminal::{Progress, Terminal};

/// How hard to call.
pub(super) struct Load {
    pub(super) connections: u32,
    pub(super) duration: Duration,
    pub(super) event: Vec<u8>,
}

/// Where to call.
struct Target {
    address: String,
    path: String,
    event: Bytes,
    /// What every call carries; a signature is good for a quarter of an hour.
    headers: http::HeaderMap,
    until: Instant,
}

/// Measures the latency of each call as its caller sees it.
pub(super) fn measure(
    (server, signer): (&str, Option<&Signer>),
    name: &FunctionName,
    load: Load,
    terminal: &Terminal,
) -> anyhow::Result<Figure> {
    let address = server
        .strip_prefix("http://")
        .ok_or_else(|| UsageError("bench speaks plain http:// only".to_owned()))?;
    let address = address.trim_end_matches('/');
    let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
    let path = format!(
        "/2016-08-15/services/{}/functions/{}/invocations",
        escape(&name.service),
        escape(&name.function)
    );
    let steps = u64::try_from(load.duration.as_millis()).unwrap_or(u64::MAX);
    let progress =
        Progress::bar(terminal, &format!("{name}, {} connections", load.connections), steps);
    let tasks = tokio::task::LocalSet::new();
    let began = Instant::now();
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::HOST, address.parse()?);
    if let Some(signer) = signer {
        signer.sign(&http::Method::POST, &path.parse()?, &mut headers)?;
    }
    let (event, until) = (load.event.into(), began + load.duration);
    let target = Rc::new(Target { address, path, event, headers, until });
    let figure = tasks.block_on(&runtime()?, async {
        let callers: Vec<_> =
            (0..load.connections).map(|_| tokio::task::spawn_local(call(target.clone()))).collect();
        while began.elapsed() < load.duration
            && !callers.iter().all(tokio::task::JoinHandle::is_finished)
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
            progress.at(u64::try_from(began.elapsed().as_millis()).unwrap_or(steps));
        }
        let mut whole = Figure::new("server")?;
        let (mut errors, mut refused) = (0, 0);
        for caller in callers {
            let counted = caller.await??;
            whole.latencies.add(&counted.latencies);
            errors += counted.errors;
            refused += counted.refused;
        }
        let seconds = began.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "shown rounded")]
        let rate = (whole.latencies.count() as f64 / seconds).round();
        whole.extra.insert("connections".to_owned(), load.connections.into());
        whole.extra.insert("calls_per_second".to_owned(), rate.into());
        whole.extra.insert("errors".to_owned(), errors.into());
        whole.extra.insert("refused".to_owned(), refused.into());
        anyhow::Ok(whole)
    })?;
    Ok(figure)
}

/// What one connection counted.
struct Counted {
    latencies: crate::terminal::Histogram,
    errors: u64,
    refused: u64,
}

async fn call(target: Rc<Target>) -> anyhow::Result<Counted> {
    let mut counted =
        Counted { latencies: crate::terminal::Histogram::new()?, errors: 0, refused: 0 };
    let stream = tokio::net::TcpStream::connect(&target.address).await.with_context(|| {
        format!("no server at {}; start one with `hearth serve`", target.address)
    })?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    while Instant::now() < target.until {
        let mut request =
            http::Request::post(&target.path).body(Full::new(target.event.clone()))?;
        request.headers_mut().clone_from(&target.headers);
        let start = Instant::now();
        let response =
            sender.send_request(request).await.context("the server closed the connection")?;
        let status = response.status();
        let failed = response.headers().contains_key("x-fc-error-type");
        let body = response.into_body().collect().await?.to_bytes();
        counted.latencies.record(start.elapsed());
        match status.as_u16() {
            429 | 503 => counted.refused += 1,
            200..=299 => counted.errors += u64::from(failed),
            _ => bail!("the server answers {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
    Ok(counted)
}
