//! HTTP functions serve requests: heads before bodies end, bodies pass as they come, and who goes away ends the guest.

use bytes::Bytes;
use hearth_engine::{
    Fault, Function, HttpRequest, Invocation, InvokeError, LogType, Outcome, RequestBody,
    RequestBodyError, Served, StartKind,
};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::sync::mpsc;

use crate::world::{engine, eventually, load, story};

const BOTH: [&str; 2] = ["rust-http", "rust-http-p3"];

pub(crate) fn request(path: &str, body: &str) -> HttpRequest {
    let body = Full::new(Bytes::from(body.to_owned())).map_err(|never| match never {});
    http::Request::post(path).header("host", "example.test").body(RequestBody::new(body)).unwrap()
}

/// A request whose body is what is sent on the channel.
pub(crate) fn streaming(path: &str) -> (mpsc::Sender<Bytes>, HttpRequest) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<_, RequestBodyError>(http_body::Frame::data(piece)), receiver))
    });
    let body = RequestBody::new(StreamBody::new(frames));
    let request = http::Request::post(path).header("host", "example.test").body(body).unwrap();
    (sender, request)
}

/// Who is told of an end that nobody wants to know.
pub(crate) fn nobody(_: Result<&Outcome, &InvokeError>) {}

pub(crate) async fn serve(function: &Function, request: HttpRequest) -> Served {
    function.serve(request, Invocation::new(Bytes::new()), || nobody).await.unwrap()
}

/// A guest that is interrupted by the clock amid its response ends later than that is given out; on a busy machine many are.
#[test]
fn a_short_response_is_whole_at_once() {
    story(async {
        let engine = engine();
        for start in [StartKind::Fresh, StartKind::Warm] {
            let mut tries = 0;
            let (response, outcome) = loop {
                tries += 1;
                assert!(tries < 100, "the guest was never uninterrupted");
                let function = load(&engine, "rust-http").await;
                if start == StartKind::Warm {
                    let Served::Answering { response, .. } =
                        serve(&function, request("/", "")).await
                    else {
                        panic!("it did not answer")
                    };
                    response.into_body().collect().await.unwrap();
                    eventually("the guest ends", || function.stats().running == 0).await;
                }
                match serve(&function, request("/", "")).await {
                    // Another instance may have been made ahead, and is never warm.
                    Served::Answering { response, outcome: Some(outcome) }
                        if outcome.report.start == start =>
                    {
                        break (response, outcome);
                    }
                    Served::Answering { .. } => {}
                    Served::Ended(outcome) => panic!("it did not answer: {:?}", outcome.result),
                }
            };
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
            let whole = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(whole, "hello from rust-http\n");
            assert_eq!(outcome.report.answer_bytes, whole.len() as u64);
        }
    });
}

/// A task that finds all it waits for ready, as a connection whose client sends requests ahead, uses up what tokio lets it do at once;
/// then what is ready looks as if it were not.
#[test]
fn requests_of_one_task_without_a_pause_are_all_answered() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name).await;
            for round in 0..400 {
                let served = serve(&function, request("/", "")).await;
                let Served::Answering { response, .. } = served else {
                    panic!("{name}, round {round}: {served:?}")
                };
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert!(body.starts_with(b"hello"), "{name}, round {round}: {body:?}");
            }
        }
    });
}

#[test]
fn what_is_written_can_be_read_before_the_request_ends() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name).await;
            let (sender, request) = streaming("/echo");
            let Served::Answering { response, outcome } = serve(&function, request).await else {
                panic!("{name} did not answer")
            };
            assert!(outcome.is_none(), "{name}");
            let mut body = response.into_body();
            for piece in ["one", "two"] {
                sender.send(Bytes::from(piece)).await.unwrap();
                let frame = body.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), piece, "{name}");
            }
            drop(sender);
            assert!(body.frame().await.is_none(), "{name}");
            eventually("the guest ends", || function.stats().running == 0).await;
            let stats = function.stats();
            assert!(stats.retired.iter().all(|(_, count)| *count == 0), "{:?}", stats.retired);
        }
    });
}

#[test]
fn a_reader_that_goes_away_ends_the_guest() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name).await;
            let (_sender, request) = streaming("/echo");
            let served = serve(&function, request).await;
            assert_eq!(function.stats().running, 1, "{name}");
            drop(served);
            eventually("the guest ends", || function.stats().running == 0).await;
            // Another may rest by now, made ahead while this one was busy.
            let stats = function.stats();
            assert!(stats.retired.contains(&("cancelled", 1)), "{name}: {:?}", stats.retired);
        }
    });
}

#[test]
fn a_guest_that_serves_no_requests_says_so() {
    story(async {
        let engine = engine();
        let function = load(&engine, "wat-echo").await;
        let Served::Ended(outcome) = serve(&function, request("/", "")).await else {
            panic!("it answered")
        };
        assert!(matches!(outcome.result, Err(Fault::BadAbi { .. })), "{:?}", outcome.result);
    });
}

#[test]
fn with_its_tail_a_response_waits_for_the_end() {
    story(async {
        let engine = engine();
        for name in BOTH {
            let function = load(&engine, name).await;
            let invocation = Invocation::new(Bytes::new()).log(LogType::Tail);
            let served =
                function.serve(request("/echo", "abc"), invocation, || nobody).await.unwrap();
            let Served::Answering { response, outcome } = served else { panic!("{name} failed") };
            let outcome = outcome.unwrap();
            assert!(outcome.tail_log.is_some(), "{name}");
            assert_eq!(outcome.report.payload_bytes, 3, "{name}");
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abc", "{name}");
        }
    });
}
