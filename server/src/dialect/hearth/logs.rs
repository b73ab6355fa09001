//! Log lines as NDJSON: what was logged, then with `follow` what is logged from now on.
//!
//! A client that reads slowly makes the follower lag, and is told how many lines it missed; nothing grows meanwhile.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use hearth_platform::{Followed, LogEntry, LogFollower, LogQuery};
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::json;
use tokio::sync::mpsc;

use super::super::function_compute::errors::WireError;
use super::super::query::Query;
use super::wire::LogLineView;
use crate::app::App;
use crate::http::{Body, Rejection, Response, ShutdownSignal};

/// Past lines when the request does not say, and at most.
const LINES: usize = 100;
const LINES_MAX: usize = 10_000;

/// Pieces that wait for the connection to take them.
const PIECES: usize = 16;

pub(super) async fn logs(app: &App, query: Query<'_>) -> Result<Response, WireError> {
    let function = query
        .get("function")
        .ok_or_else(|| WireError::invalid("function is required: SERVICE/FUNCTION"))?;
    let (service, name) = function
        .split_once('/')
        .ok_or_else(|| WireError::invalid("function is not SERVICE/FUNCTION"))?;
    app.platform.get_function(service, name)?;
    let limit: usize = query.parse("limit").map_err(WireError::invalid)?.unwrap_or(LINES);
    let request_id = query.get("request_id").map(String::from).filter(|id| !id.is_empty());
    let follow: bool = query.parse("follow").map_err(WireError::invalid)?.unwrap_or(false);
    // Subscribed before looking back, so that no line falls between.
    let follower = follow.then(|| app.logs.follow(Some(&function)));
    let asked = LogQuery {
        function: function.to_string(),
        since_ms: query.parse("since_ms").map_err(WireError::invalid)?,
        request_id: request_id.clone(),
        limit: limit.clamp(1, LINES_MAX),
    };
    let past = if limit == 0 { Vec::new() } else { look_back(app, asked).await? };
    let text: String = past.iter().map(|entry| line(entry)).collect();
    let body = match follower {
        None => Body::Full(text.into()),
        Some(follower) => {
            let (pieces, body) = mpsc::channel(PIECES);
            let following = Following { follower, request_id, past, pieces };
            tokio::spawn(following.run(text.into(), app.shutdown.clone()));
            Body::Pieces(body)
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

async fn look_back(app: &App, query: LogQuery) -> Result<Vec<Arc<LogEntry>>, WireError> {
    app.logs.query(query).await.map_err(|error| {
        tracing::error!(%error, "log files cannot be read");
        Rejection::Panicked.into()
    })
}

/// A line as JSON, with its newline.
fn line(entry: &LogEntry) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(entry.time_ms.min(253_402_300_799_000));
    let view = LogLineView {
        time: humantime::format_rfc3339_millis(time).to_string(),
        request_id: entry.request_id.to_string(),
        function: entry.function.to_string(),
        stream: entry.stream.to_string(),
        level: entry.level.to_string(),
        text: entry.text.clone(),
        cut: entry.cut,
    };
    let mut text = serde_json::to_string(&view).unwrap_or_default();
    text.push('\n');
    text
}

/// A client that follows.
struct Following {
    follower: LogFollower,
    request_id: Option<String>,
    /// What it has seen already and may come again.
    past: Vec<Arc<LogEntry>>,
    pieces: mpsc::Sender<Bytes>,
}

impl Following {
    /// Until the client goes, the server shuts down or the log ends.
    async fn run(mut self, first: Bytes, mut shutdown: ShutdownSignal) {
        if !first.is_empty() && self.pieces.send(first).await.is_err() {
            return;
        }
        loop {
            let followed = tokio::select! {
                () = self.pieces.closed() => return,
                () = shutdown.wait() => return,
                followed = self.follower.next() => followed,
            };
            let text = match followed {
                None => return,
                Some(Followed::Missed(count)) => {
                    let mut text = json!({"missed": count}).to_string();
                    text.push('\n');
                    text
                }
                Some(Followed::Line(entry)) => {
                    let other =
                        self.request_id.as_deref().is_some_and(|id| id != &*entry.request_id);
                    if other || self.has_seen(&entry) {
                        continue;
                    }
                    line(&entry)
                }
            };
            if self.pieces.send(text.into()).await.is_err() {
                return;
            }
        }
    }

    /// Whether the line was among the past ones: it came while they were looked up.
    fn has_seen(&mut self, entry: &LogEntry) -> bool {
        /// The look-up takes no longer than this.
        const OVERLAP_MS: u64 = 10_000;
        let newest = self.past.last().map_or(0, |past| past.time_ms);
        if entry.time_ms > newest.saturating_add(OVERLAP_MS) {
            self.past = Vec::new();
        }
        self.past.iter().any(|past| **past == *entry)
    }
}
