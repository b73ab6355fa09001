//! HTTP functions that break the rules of `wasi:http`: each ends as its own fault, alone, and the function goes on.

use std::time::Duration;

use bytes::Bytes;
use hearth_engine::{Fault, Function, HttpRequest, Invocation, Limits, Served};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use crate::serving::{request, serve, streaming};
use crate::world::{engine, eventually, load, spec, story, timeout};

const P2: &str = "bad/http-rude";
const P3: &str = "bad/http-rude-p3";

/// What a client sees of a request, and how the invocation ended.
struct Seen {
    /// The body, as far as it came; none without a response.
    body: Option<Bytes>,
    /// Whether all of it came.
    is_whole: bool,
    end: Result<(), Fault>,
}

async fn see(function: &Function, request: HttpRequest) -> Seen {
    let (send, told) = oneshot::channel();
    let later = || {
        move |ended: Result<&hearth_engine::Outcome, &_>| {
            let _ = send.send(ended.unwrap().result.clone().map(drop));
        }
    };
    let served = function.serve(request, Invocation::new(Bytes::new()), later).await.unwrap();
    let at_once = match &served {
        Served::Answering { outcome, .. } => outcome.as_ref(),
        Served::Ended(outcome) => Some(outcome),
    };
    let at_once = at_once.map(|outcome| outcome.result.clone().map(drop));
    let (mut body, mut is_whole) = (None, false);
    if let Served::Answering { response, .. } = served {
        let (mut from, mut came) = (response.into_body(), Vec::new());
        is_whole = loop {
            match from.frame().await {
                Some(Ok(frame)) => came.extend(frame.into_data().unwrap_or_default()),
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        body = Some(came.into());
    }
    // Each end is told once: with the response or after it.
    let end = match at_once {
        Some(end) => {
            assert!(told.await.is_err(), "the end came with the response and was told again");
            end
        }
        None => told.await.unwrap(),
    };
    Seen { body, is_whole, end }
}

/// Whether a fault ends the instance.
fn retires(fault: &Fault) -> bool {
    !matches!(fault, Fault::Returned { .. })
}

#[test]
fn each_broken_rule_ends_as_its_own_fault_and_the_function_goes_on() {
    type Ends = fn(&Fault) -> bool;
    let unset: Ends = |fault| matches!(fault, Fault::BadAbi { why } if why.contains("without setting a response"));
    let trap: Ends = |fault| matches!(fault, Fault::Trap { .. });
    let time: Ends = |fault| matches!(fault, Fault::Timeout { .. });
    let returned: Ends =
        |fault| matches!(fault, Fault::Returned { message, .. } if message.contains("by intent"));
    let broken: Ends = |fault| matches!(fault, Fault::Returned { message, .. } if message.contains("its body broke off"));
    let rows: &[(&str, &str, Ends)] = &[
        (P2, "/none", unset),
        (P2, "/kept-outparam", unset),
        (P2, "/twice", trap),
        (P2, "/error", returned),
        (P2, "/trap-before", trap),
        (P2, "/trap", trap),
        (P2, "/forever", time),
        (P2, "/stall", time),
        (P2, "/spin", time),
        (P2, "/unfinished", broken),
        (P2, "/kept-body", time),
        (P2, "/long", broken),
        (P2, "/short", broken),
        (P2, "/huge-header", trap),
        (P2, "/many-headers", trap),
        (P2, "/trap-after", trap),
        (P3, "/none", trap),
        (P3, "/stall-before", time),
        (P3, "/error", returned),
        (P3, "/trap-before", trap),
        (P3, "/trap", trap),
        (P3, "/forever", time),
        (P3, "/stall", time),
        (P3, "/spin", time),
        (P3, "/unfinished", broken),
        (P3, "/kept-body", time),
        (P3, "/long", broken),
        (P3, "/short", broken),
    ];
    story(async {
        let engine = engine();
        for (guest, path, ends) in rows {
            let function = engine.load(spec(guest).limits(timeout(300))).await.unwrap();
            let seen = see(&function, request(path, "abc")).await;
            let fault = seen.end.unwrap_err();
            assert!(ends(&fault), "{guest} {path}: {fault:?}");
            assert!(!seen.is_whole, "{guest} {path}: the client saw a whole response");
            let retired = function.stats().retired;
            let expected = ("fault", u64::from(retires(&fault)));
            assert!(retired.contains(&expected), "{guest} {path}: {retired:?}");
            let well = see(&function, request("/", "")).await;
            assert_eq!(
                (well.body.as_deref(), well.end),
                (Some(&b"well"[..]), Ok(())),
                "{guest} {path}"
            );
        }
    });
}

/// It used to be left in the instance, to go on in whatever request came next.
#[test]
fn what_a_guest_does_after_its_response_is_part_of_its_invocation() {
    story(async {
        let engine = engine();
        for (path, is_trap) in [("/trap-after", true), ("/spin-after", false)] {
            let function = engine.load(spec(P3).limits(timeout(300))).await.unwrap();
            let seen = see(&function, request(path, "")).await;
            assert_eq!(
                (seen.body.as_deref(), seen.is_whole),
                (Some(&b"whole"[..]), true),
                "{path}"
            );
            let fault = seen.end.unwrap_err();
            assert_eq!(matches!(fault, Fault::Trap { .. }), is_trap, "{path}: {fault:?}");
            let retired = function.stats().retired;
            assert!(retired.contains(&("fault", 1)), "{path}: {retired:?}");
            assert_eq!(see(&function, request("/", "")).await.end, Ok(()), "{path}");
        }
    });
}

#[test]
fn a_guest_that_spins_after_its_response_has_until_its_deadline() {
    story(async {
        let engine = engine();
        let function = engine.load(spec(P2).limits(timeout(300))).await.unwrap();
        let seen = see(&function, request("/spin-after", "")).await;
        assert_eq!((seen.body.as_deref(), seen.is_whole), (Some(&b"whole"[..]), true));
        assert!(matches!(seen.end, Err(Fault::Timeout { .. })), "{:?}", seen.end);
    });
}

#[test]
fn headers_that_no_response_may_have_are_refused_to_the_guest() {
    story(async {
        let engine = engine();
        let function = load(&engine, P2).await;
        let Served::Answering { response, .. } = serve(&function, request("/headers", "")).await
        else {
            panic!("it did not answer")
        };
        let mut names: Vec<_> =
            response.headers().keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        // These two are for whoever speaks to the client to take away.
        assert_eq!(names, ["te", "trailer"]);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "te,trailer");
    });
}

#[test]
fn the_body_of_a_request_is_taken_back_from_a_guest_that_keeps_it() {
    story(async {
        let engine = engine();
        let limits = Limits { timeout: Duration::from_secs(5), ..Limits::default() };
        let function = engine.load(spec(P2).limits(limits)).await.unwrap();
        let (sender, request_of_another) = streaming("/hoard");
        let kept = see(&function, request_of_another).await;
        assert_eq!((kept.body.as_deref(), kept.end), (Some(&b"kept"[..]), Ok(())));
        eventually("the caller's body is let go", || sender.is_closed()).await;
        let read = see(&function, request("/hoarded", "")).await;
        assert_eq!((read.body.as_deref(), read.end), (Some(&b"taken back"[..]), Ok(())));
    });
}
