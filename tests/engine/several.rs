//! Several requests at once in one instance: they share it and nothing else. What each logs, its time and its end are its own.

use std::time::Duration;

use bytes::Bytes;
use hearth_engine::{
    Engine, Fault, Function, FunctionSpec, Grants, HttpRequest, Invocation, Limits, LogType,
    Outcome, PoolPolicy, Served,
};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::serving::{nobody, request};
use crate::world::{engine, eventually, load, spec, story, tail};

/// One instance that serves so many at once.
fn several(concurrency: u32) -> FunctionSpec {
    let pool = PoolPolicy { max_instances: 1, concurrency, queue: 0, ..PoolPolicy::default() };
    spec("rust-http-p3").pool(pool)
}

async fn function(engine: &Engine, concurrency: u32) -> Function {
    engine.load(several(concurrency)).await.unwrap()
}

/// What a request comes to, as text, with its outcome; its tail is asked for.
async fn ask(function: &Function, path: &str) -> (Option<String>, Outcome) {
    answer(function, request(path, "")).await
}

async fn answer(function: &Function, request: HttpRequest) -> (Option<String>, Outcome) {
    let invocation = Invocation::new(Bytes::new()).log(LogType::Tail);
    match function.serve(request, invocation, || nobody).await.unwrap() {
        Served::Answering { response, outcome } => {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (Some(String::from_utf8(body.to_vec()).unwrap()), *outcome.unwrap())
        }
        Served::Ended(outcome) => (None, *outcome),
    }
}

#[test]
fn requests_that_wait_share_an_instance() {
    story(async {
        let engine = engine();
        let function = function(&engine, 3).await;
        let paths = ["/wait?ms=100&id=a", "/wait?ms=100&id=b", "/wait?ms=100&id=c"];
        let answers = futures_util::future::join_all(paths.map(|path| ask(&function, path))).await;
        for ((answer, outcome), id) in answers.iter().zip(["a", "b", "c"]) {
            let answer = answer.as_deref().unwrap();
            assert!(answer.starts_with(&format!(r#"{{"id":"{id}""#)), "{answer}");
            assert!(answer.contains(r#""most":3"#), "{answer}");
            assert_eq!(outcome.report.instance, answers[0].1.report.instance);
        }
        // The next one has the instance for itself again.
        let (answer, outcome) = ask(&function, "/wait?ms=1&id=d").await;
        assert!(answer.unwrap().contains(r#""in_flight":1"#));
        assert_eq!(outcome.report.instance, answers[0].1.report.instance);
    });
}

#[test]
fn each_logs_to_its_own_caller() {
    story(async {
        let engine = engine();
        let function = function(&engine, 3).await;
        let paths = ["/wait?ms=50&id=a", "/wait?ms=20&id=b", "/wait?ms=80&id=c"];
        let answers = futures_util::future::join_all(paths.map(|path| ask(&function, path))).await;
        for ((_, outcome), id) in answers.iter().zip(["a", "b", "c"]) {
            let tail = tail(outcome);
            let lines: Vec<&str> = tail.lines().collect();
            assert_eq!(lines.len(), 2, "{tail}");
            assert!(lines[0].starts_with(&format!("{id} begins")), "{tail}");
            assert!(lines[1].starts_with(&format!("{id} ends")), "{tail}");
        }
    });
}

#[test]
fn more_than_it_may_is_refused() {
    story(async {
        let engine = engine();
        let function = function(&engine, 2).await;
        let two = ["/wait?ms=200&id=a", "/wait?ms=200&id=b"].map(|path| ask(&function, path));
        let late = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let invocation = Invocation::new(Bytes::new());
            function.serve(request("/", ""), invocation, || nobody).await.unwrap_err().to_string()
        };
        let (two, refused) = tokio::join!(futures_util::future::join_all(two), late);
        assert!(two.iter().all(|(answer, _)| answer.is_some()));
        assert!(refused.contains("rust-http-p3"), "{refused}");
    });
}

/// It was begun all the same, for nobody, and the instance was given up for what it then did.
#[test]
fn a_request_that_is_given_up_before_it_began_costs_nobody_the_instance() {
    story(async {
        let engine = engine();
        let function = function(&engine, 3).await;
        let (_, first) = ask(&function, "/").await;
        let (answer, outcome) = {
            let mut slow = std::pin::pin!(ask(&function, "/wait?ms=100&id=slow"));
            assert!(futures_util::poll!(slow.as_mut()).is_pending());
            // Sent to the instance, which has had no time to look: both are on one thread.
            let mut gone = Box::pin(ask(&function, "/wait?ms=100&id=gone"));
            assert!(futures_util::poll!(gone.as_mut()).is_pending());
            drop(gone);
            slow.await
        };
        assert!(answer.is_some(), "{:?}", outcome.result);
        let (_, last) = ask(&function, "/").await;
        assert_eq!(last.report.instance, outcome.report.instance);
        assert_eq!(last.report.instance, first.report.instance);
    });
}

#[test]
fn a_trap_ends_all_of_its_instance_and_says_whose_it_was() {
    story(async {
        let engine = engine();
        let function = function(&engine, 2).await;
        let (bad, other) = tokio::join!(
            ask(&function, "/wait?ms=30&id=bad&then=panic"),
            ask(&function, "/wait?ms=2000&id=other")
        );
        assert!(matches!(bad.1.result, Err(Fault::Trap { .. })), "{:?}", bad.1.result);
        let Err(Fault::InstanceLost { why }) = &other.1.result else {
            panic!("{:?}", other.1.result)
        };
        assert!(why.contains("trapped"), "{why}");
        assert!(tail(&bad.1).contains("bad ends badly"), "{}", tail(&bad.1));
        assert!(!tail(&other.1).contains("bad"), "{}", tail(&other.1));
        // And another instance serves on.
        let (answer, outcome) = ask(&function, "/").await;
        assert_eq!(answer.as_deref(), Some("hello from rust-http-p3\n"));
        assert_ne!(outcome.report.instance, bad.1.report.instance);
    });
}

#[test]
fn a_deadline_is_of_one_request_alone() {
    story(async {
        let engine = engine();
        let limits = Limits { timeout: Duration::from_millis(500), ..Limits::default() };
        let function = engine.load(several(2).limits(limits)).await.unwrap();
        let late = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            ask(&function, "/wait?ms=350&id=late").await
        };
        let (slow, late) = tokio::join!(ask(&function, "/wait?ms=9000&id=slow"), late);
        assert!(matches!(slow.1.result, Err(Fault::Timeout { .. })), "{:?}", slow.1.result);
        assert!(late.0.is_some(), "{:?}", late.1.result);
        assert_eq!(slow.1.report.instance, late.1.report.instance);
        // What the slow one does cannot be stopped alone, so the instance has gone.
        eventually("the instance goes", || function.stats().running == 0).await;
        let (_, next) = ask(&function, "/").await;
        assert_ne!(next.report.instance, slow.1.report.instance);
    });
}

#[test]
fn whoever_goes_away_harms_nobody() {
    story(async {
        let engine = engine();
        let function = function(&engine, 2).await;
        let gone = tokio::time::timeout(
            Duration::from_millis(50),
            ask(&function, "/wait?ms=9000&id=gone"),
        );
        let (gone, stays) = tokio::join!(gone, ask(&function, "/wait?ms=200&id=stays"));
        assert!(gone.is_err());
        assert!(stays.0.is_some(), "{:?}", stays.1.result);
        let count = |why: &str| {
            let retired = function.stats().retired;
            retired.iter().find(|(other, _)| *other == why).map_or(0, |(_, count)| *count)
        };
        eventually("the instance goes", || count("cancelled") == 1).await;
    });
}

#[test]
fn bodies_are_not_mixed_up() {
    story(async {
        let engine = engine();
        let function = function(&engine, 8).await;
        let bodies: Vec<String> = (0..8).map(|number| number.to_string().repeat(100_000)).collect();
        let asked = bodies.iter().map(|body| answer(&function, request("/echo", body)));
        let answers = futures_util::future::join_all(asked).await;
        for ((answer, outcome), body) in answers.iter().zip(&bodies) {
            assert!(answer.as_ref() == Some(body));
            assert_eq!(outcome.report.payload_bytes, 100_000);
            assert_eq!(outcome.report.answer_bytes, 100_000);
        }
    });
}

/// A server that answers each request, after a while, with how deep it says to stand.
async fn telling_depths() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let depth = head.lines().find_map(|line| line.strip_prefix("x-hearth-depth: "));
                tokio::time::sleep(Duration::from_millis(50)).await;
                let depth = depth.unwrap_or("none");
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{depth}",
                    depth.len()
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    format!("http://{address}/")
}

#[test]
fn what_each_asks_of_others_is_asked_for_itself() {
    story(async {
        let engine = engine();
        let url = telling_depths().await;
        let grants = json!({"outgoing_http": {"allow": [{"to": url.trim_end_matches('/'), "private": true}]}});
        let grants: Grants = serde_json::from_value(grants).unwrap();
        let function = engine.load(several(3).grants(grants)).await.unwrap();
        let asked = [0, 3, 6].map(|depth| {
            let (function, path) = (&function, format!("/fetch?id=of-{depth}&url={url}"));
            async move {
                let mut invocation = Invocation::new(Bytes::new()).log(LogType::Tail);
                invocation.depth = depth;
                let served =
                    function.serve(request(&path, ""), invocation, || nobody).await.unwrap();
                let Served::Answering { response, outcome } = served else { panic!("{served:?}") };
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, (depth + 1).to_string());
                let tail = tail(&outcome.unwrap());
                let own = format!("of-{depth} ");
                assert!(tail.lines().all(|line| line.starts_with(&own)), "{tail}");
                assert_eq!(tail.lines().count(), 2, "{tail}");
            }
        });
        futures_util::future::join_all(asked).await;
    });
}

#[test]
fn guests_that_cannot_serve_one_at_a_time() {
    story(async {
        let engine = engine();
        let pool = PoolPolicy { concurrency: 4, max_instances: 2, ..PoolPolicy::default() };
        let function = engine.load(spec("rust-http").pool(pool)).await.unwrap();
        let (answer, _) = ask(&function, "/").await;
        assert_eq!(answer.as_deref(), Some("hello from rust-http\n"));
        let events = load(&engine, "wat-echo").await;
        assert_eq!(events.stats().max_instances, 100);
    });
}
