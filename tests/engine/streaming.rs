//! Bodies that stream: heads before them, trailers behind them, and no more of them in memory than is bounded, in both directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use hearth_engine::{
    Engine, Function, HttpRequest, Isolation, Limits, RequestBody, RequestBodyError, Served,
};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::serving::{request, serve, streaming};
use crate::world::{engine, engine_and_lines, eventually, spec, story};

const BOTH: [&str; 2] = ["rust-http-stream", "rust-http-stream-p3"];

/// Long enough for whatever a busy machine does with it.
const LONG: Duration = Duration::from_secs(300);

const MIB: usize = 1 << 20;

async fn load(engine: &Engine, name: &str, timeout: Duration) -> Function {
    engine.load(spec(name).limits(Limits { timeout, ..Limits::default() })).await.unwrap()
}

fn answering(served: Served) -> http::Response<hearth_engine::AnswerBody> {
    match served {
        Served::Answering { response, .. } => response,
        Served::Ended(outcome) => panic!("it ended with {:?}", outcome.result),
    }
}

async fn ask(
    function: &Function,
    request: HttpRequest,
) -> http::Response<hearth_engine::AnswerBody> {
    answering(serve(function, request).await)
}

/// A request with these frames as its body.
fn framed(
    path: &str,
    frames: impl Iterator<Item = Result<Frame<Bytes>, RequestBodyError>> + Send + 'static,
) -> HttpRequest {
    let body = RequestBody::new(StreamBody::new(futures_util::stream::iter(frames)));
    http::Request::post(path).header("host", "example.test").body(body).unwrap()
}

/// What `/big` writes, from some place on.
fn pattern(from: usize, bytes: &[u8]) -> bool {
    let letters = (b'a'..b'a' + 23).cycle().skip(from % 23);
    bytes.iter().copied().zip(letters).all(|(byte, letter)| byte == letter)
}

#[test]
fn events_come_one_by_one_while_the_guest_goes_on() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name, LONG).await;
            let response = ask(&function, request("/sse?events=3&ms=200", "")).await;
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            let mut body = response.into_body();
            for number in 1..=3 {
                let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
                let expected = format!("id: {number}\ndata: tick {number}\n\n");
                assert_eq!(event, expected, "{name}: one event, and the next is not there yet");
                if number < 3 {
                    assert_eq!(function.stats().running, 1, "{name}");
                }
            }
            assert!(body.frame().await.is_none(), "{name}");
            eventually("the guest ends", || function.stats().running == 0).await;
        }
    });
}

#[test]
fn while_nothing_is_read_the_guest_writes_to_the_bound_and_waits_for_its_deadline() {
    story(async {
        for name in BOTH {
            let (engine, lines) = engine_and_lines();
            let function = load(&engine, name, Duration::from_millis(500)).await;
            let path = format!("/big?bytes={}&log=1", 1_u64 << 40);
            let mut body = ask(&function, request(&path, "")).await.into_body();
            eventually("the deadline", || function.stats().running == 0).await;
            assert!(function.stats().retired.contains(&("fault", 1)), "{name}");
            let mut written = Vec::new();
            eventually("its log", || {
                let lines = lines.0.lock().unwrap();
                written =
                    lines.iter().map(|line| line.text.trim().replace("written ", "")).collect();
                !written.is_empty()
            })
            .await;
            let written: usize = written.last().unwrap().parse().unwrap();
            // What was written is not lost.
            let mut read = 0;
            let broken = loop {
                match body.frame().await.unwrap() {
                    Ok(frame) => {
                        let piece = frame.into_data().unwrap();
                        assert!(pattern(read, &piece), "{name}: at {read}");
                        read += piece.len();
                    }
                    Err(error) => break error,
                }
            };
            let bound = 256 << 10;
            assert!((bound..bound + MIB).contains(&written), "{name}: {written} were written");
            assert!((bound..bound + MIB).contains(&read), "{name}: {read} came");
            assert!(broken.to_string().contains("500"), "{name}: {broken}");
        }
    });
}

#[test]
fn a_large_answer_comes_whole() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name, LONG).await;
            let size = 64 * MIB;
            let mut body =
                ask(&function, request(&format!("/big?bytes={size}"), "")).await.into_body();
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(pattern(read, &piece), "{name}: at {read}");
                // The bound, and the frame that went over it.
                assert!(http_body::Body::size_hint(&body).lower() < 2 * MIB as u64, "{name}");
                read += piece.len();
            }
            assert_eq!(read, size, "{name}");
        }
    });
}

#[test]
fn trailers_come_behind_the_body() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name, LONG).await;
            let whole =
                ask(&function, request("/trailers", "")).await.into_body().collect().await.unwrap();
            let trailers = whole.trailers().unwrap();
            assert_eq!(
                (&trailers["x-length"], &trailers["x-last"]),
                (&"6".parse().unwrap(), &"yes".parse().unwrap())
            );
            assert_eq!(whole.to_bytes(), "hello\n", "{name}");

            let sent = http::HeaderMap::from_iter([(
                http::HeaderName::from_static("x-sum"),
                "17".parse().unwrap(),
            )]);
            let frames = [Ok(Frame::data(Bytes::from("body"))), Ok(Frame::trailers(sent.clone()))];
            let echoed = ask(&function, framed("/echo", frames.into_iter())).await;
            let echoed = echoed.into_body().collect().await.unwrap();
            assert_eq!(echoed.trailers(), Some(&sent), "{name}");
            assert_eq!(echoed.to_bytes(), "body", "{name}");
        }
    });
}

#[test]
fn a_request_is_read_no_faster_than_the_guest_reads() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name, LONG).await;
            // After its first piece it takes an age.
            let (sender, request) = streaming("/count?piece=65536&ms=600000");
            let serving = tokio::spawn({
                let function = function.clone();
                async move { serve(&function, request).await }
            });
            let mut taken = 0;
            let piece = Bytes::from(vec![0; 64 << 10]);
            while let Ok(sent) =
                tokio::time::timeout(Duration::from_millis(300), sender.send(piece.clone())).await
            {
                sent.unwrap();
                taken += 1;
                assert!(taken < 8, "{name}: {taken} pieces wait for the guest");
            }
            // Nobody waits for it any more.
            serving.abort();
            eventually("the guest ends", || function.stats().running == 0).await;
            assert!(function.stats().retired.contains(&("cancelled", 1)), "{name}");
            eventually("the caller's body is let go", || sender.is_closed()).await;
        }
    });
}

#[test]
fn whoever_goes_away_amid_the_body_ends_the_guest_and_its_instance() {
    story(async {
        let engine = engine();
        for name in BOTH {
            for path in ["/sse?events=1000000&ms=1", "/big?bytes=1000000000000"] {
                let function = load(&engine, name, LONG).await;
                let mut body = ask(&function, request(path, "")).await.into_body();
                for _ in 0..3 {
                    body.frame().await.unwrap().unwrap();
                }
                assert_eq!(function.stats().running, 1, "{name} {path}");
                drop(body);
                eventually("the guest ends", || function.stats().running == 0).await;
                assert!(function.stats().retired.contains(&("cancelled", 1)), "{name} {path}");
                assert_eq!(ask(&function, request("/", "")).await.status(), 200, "{name} {path}");
            }
        }
    });
}

#[test]
fn an_instance_is_reused_after_a_clean_end_unless_each_is_to_be_fresh() {
    story(async {
        let engine = engine();
        for name in BOTH {
            for (isolation, retired) in [(Isolation::Reuse, 0), (Isolation::Fresh, 5)] {
                let function = engine.load(spec(name).isolation(isolation)).await.unwrap();
                for _ in 0..5 {
                    let body = ask(&function, request("/echo", "abc")).await.into_body();
                    assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
                    eventually("the guest ends", || function.stats().running == 0).await;
                }
                let stats = function.stats();
                assert!(
                    stats.retired.contains(&("single_use", retired)),
                    "{name}: {:?}",
                    stats.retired
                );
                let others: u64 = stats.retired.iter().map(|(_, count)| count).sum();
                assert_eq!(others, retired, "{name}: {:?}", stats.retired);
            }
        }
    });
}

/// Bytes that count how many of them are held.
struct Held(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Relaxed);
    }
}

#[test]
fn an_upload_of_a_gibibyte_passes_through_a_mebibyte() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name, LONG).await;
            let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (size, piece) = (1024 * MIB, 64 << 10);
            let frames = (0..size / piece).map({
                let (held, most) = (held.clone(), most.clone());
                move |_| {
                    most.fetch_max(held.fetch_add(piece, Relaxed) + piece, Relaxed);
                    let bytes = Held(vec![b'z'; piece], held.clone());
                    Ok(Frame::data(Bytes::from_owner(bytes)))
                }
            });
            let counted = ask(&function, framed("/count", frames)).await.into_body();
            let counted = counted.collect().await.unwrap().to_bytes();
            let counted: serde_json::Value = serde_json::from_slice(&counted).unwrap();
            assert_eq!(
                (&counted["bytes"], &counted["whole"]),
                (&size.into(), &true.into()),
                "{name}"
            );
            let most = most.load(Relaxed);
            assert!(most <= MIB, "{name}: {most} bytes were held at once");
            eventually("all is let go", || held.load(Relaxed) == 0).await;
        }
    });
}

#[test]
fn a_request_that_breaks_off_is_told_from_one_that_ends() {
    let errors = [
        RequestBodyError::Broken { why: "the client left".to_owned() },
        RequestBodyError::TooLarge { limit_bytes: 3 },
        RequestBodyError::TooSlow,
    ];
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name, LONG).await;
            for error in &errors {
                let frames = [Ok(Frame::data(Bytes::from("abc"))), Err(error.clone())];
                let response = ask(&function, framed("/count", frames.into_iter())).await;
                assert_eq!(response.status(), 400, "{name}: {error}");
                let told = response.into_body().collect().await.unwrap().to_bytes();
                let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
                assert_eq!(told["whole"], false, "{name}: {error}");
            }
        }
    });
}

#[test]
fn a_status_is_passed_on_if_it_is_one() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name, LONG).await;
            for status in [200, 204, 304, 404, 599] {
                let path = format!("/status/{status}");
                assert_eq!(ask(&function, request(&path, "")).await.status(), status, "{name}");
            }
            for status in ["99", "1000", "0"] {
                let path = format!("/status/{status}");
                assert_eq!(
                    ask(&function, request(&path, "")).await.status(),
                    400,
                    "{name} {status}"
                );
            }
        }
    });
}
