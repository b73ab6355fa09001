//! WebSockets without a wire: connections are opened, get messages and are closed on the line of every invocation.

use std::time::Duration;

use hearth_engine::{
    Fault, Function, Invocation, InvokeError, LineBounds, Message, Outcome, Outgoing, PoolPolicy,
    Refusal, WebSocket, WebSocketBounds, WebSocketOpened, WebSocketOpening,
};

use crate::world::{engine, eventually, load, spec, story, timeout};

const SHARED: WebSocketBounds = WebSocketBounds {
    line: LineBounds { message_bytes: 1 << 20, queue_bytes: 1 << 20, queue_messages: 64 },
    connections: 100,
    has_own_instance: false,
};
const OWN: WebSocketBounds = WebSocketBounds { has_own_instance: true, ..SHARED };

fn call() -> Invocation {
    Invocation::new("")
}

fn at(path: &str) -> WebSocketOpening {
    WebSocketOpening { path: path.to_owned(), ..WebSocketOpening::default() }
}

async fn open(function: &Function, bounds: WebSocketBounds) -> WebSocket {
    match function.open_websocket(at(""), bounds, call()).await.unwrap() {
        WebSocketOpened::Accepted(socket, ..) => socket,
        other => panic!("{other:?}"),
    }
}

async fn say(socket: &mut WebSocket, function: &Function, text: &str) -> Outcome {
    socket.message(function, Message::Text(text.to_owned()), call()).await.unwrap()
}

/// What a text is answered with.
async fn ask(socket: &mut WebSocket, function: &Function, text: &str) -> String {
    say(socket, function, text).await.result.unwrap();
    match socket.line().try_next() {
        Some(Outgoing::Message(Message::Text(text))) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_is_opened_served_and_closed() {
    story(async {
        let engine = engine();
        let function = load(&engine, "rust-websocket-echo").await;
        assert!(function.takes_websockets());
        assert!(!load(&engine, "rust-event").await.takes_websockets());
        let opening = WebSocketOpening {
            path: "/a".to_owned(),
            query: "greet".to_owned(),
            subprotocols: vec!["soap".to_owned(), "echo".to_owned()],
            client_address: "192.0.2.1".to_owned(),
            ..WebSocketOpening::default()
        };
        let opened = function.open_websocket(opening, SHARED, call()).await.unwrap();
        let WebSocketOpened::Accepted(mut socket, acceptance, _) = opened else {
            panic!("{opened:?}")
        };
        assert_eq!(acceptance.subprotocol.as_deref(), Some("echo"));
        assert_eq!(acceptance.headers, [("x-path".to_owned(), b"/a".to_vec())]);
        let greeting = Outgoing::Message(Message::Text("hello 192.0.2.1".to_owned()));
        assert_eq!(socket.line().try_next(), Some(greeting));
        assert_eq!(ask(&mut socket, &function, "hi").await, "hi");
        let id = socket.id();
        assert_eq!(ask(&mut socket, &function, "/id").await, id);
        assert_eq!(engine.stats().websockets, 1);
        let outcome = function.invoke(Invocation::new("null")).await.unwrap();
        assert_eq!(outcome.result.unwrap(), "1", "an event finds the connection");
        socket.close(&function, 1000, "bye".to_owned(), call()).await.unwrap().result.unwrap();
        assert_eq!(engine.stats().websockets, 0);
    });
}

#[test]
fn a_client_may_be_turned_away() {
    story(async {
        let engine = engine();
        let function = load(&engine, "rust-websocket-echo").await;
        let opened = function.open_websocket(at("/private"), SHARED, call()).await.unwrap();
        let WebSocketOpened::Rejected(rejection, outcome) = opened else { panic!("{opened:?}") };
        assert_eq!((rejection.status, &*rejection.message), (403, "this is private"));
        outcome.result.unwrap();
        assert_eq!(engine.stats().websockets, 0);
    });
}

#[test]
fn a_component_of_http_takes_websockets_as_well() {
    story(async {
        let engine = engine();
        let function = load(&engine, "rust-websocket-chat").await;
        assert_eq!(function.kind().as_str(), "http-p2");
        let (mut one, two) = (open(&function, SHARED).await, open(&function, SHARED).await);
        while one.line().try_next().is_some() {}
        while two.line().try_next().is_some() {}
        say(&mut one, &function, "all").await.result.unwrap();
        for socket in [&one, &two] {
            let told = Outgoing::Message(Message::Text("all".to_owned()));
            assert_eq!(socket.line().try_next(), Some(told));
        }
        let page = crate::serving::serve(&function, crate::serving::request("/", "")).await;
        assert!(matches!(page, hearth_engine::Served::Answering { .. }), "{page:?}");
    });
}

#[test]
fn so_does_one_with_an_async_handler() {
    story(async {
        let engine = engine();
        let function = load(&engine, "rust-websocket-p3").await;
        assert_eq!(function.kind().as_str(), "http-p3");
        for bounds in [SHARED, OWN] {
            let mut socket = open(&function, bounds).await;
            assert_eq!(ask(&mut socket, &function, "aloud").await, "ALOUD");
            assert_eq!(ask(&mut socket, &function, "again").await, "AGAIN");
            let page = crate::serving::serve(&function, crate::serving::request("/", "")).await;
            let hearth_engine::Served::Answering { response, .. } = page else {
                panic!("{page:?}")
            };
            let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
            assert_eq!(body.to_bytes(), "1 open\n");
            socket.close(&function, 1000, String::new(), call()).await.unwrap().result.unwrap();
        }
    });
}

#[test]
fn a_connection_with_an_instance_of_its_own_shares_it_with_nobody() {
    story(async {
        let engine = engine();
        let pool = PoolPolicy { max_instances: 2, queue: 0, ..PoolPolicy::default() };
        let function = engine.load(spec("rust-websocket-echo").pool(pool)).await.unwrap();
        // An instance that has served already is not what a connection begins with.
        let mut shared = open(&function, SHARED).await;
        assert_eq!(ask(&mut shared, &function, "/count").await, "1");
        drop(shared);
        let mut one = open(&function, OWN).await;
        let mut two = open(&function, OWN).await;
        for turn in 1..4 {
            for socket in [&mut one, &mut two] {
                assert_eq!(ask(socket, &function, "/count").await, turn.to_string());
            }
        }
        assert_eq!(function.stats().running, 2, "they count while they wait");
        let error = function.invoke(Invocation::new("null")).await.unwrap_err();
        assert!(matches!(error, InvokeError::Refused(Refusal::QueueFull { .. })), "{error}");
        two.close(&function, 1000, String::new(), call()).await.unwrap();
        assert_eq!(function.stats().running, 1);
        let outcome = function.invoke(Invocation::new("null")).await.unwrap();
        assert_eq!(outcome.result.unwrap(), "1");
        drop(one);
        assert_eq!(function.stats().running, 0);
    });
}

#[test]
fn a_fault_costs_a_connection_its_own_instance_and_nobody_else_anything() {
    story(async {
        let engine = engine();
        let limits = timeout(300);
        let function = engine.load(spec("bad/bad-websocket").limits(limits)).await.unwrap();
        let (mut bad, mut good) = (open(&function, OWN).await, open(&function, OWN).await);
        let outcome = say(&mut bad, &function, "spin").await;
        assert!(matches!(outcome.result, Err(Fault::Timeout { .. })), "{outcome:?}");
        assert!(bad.is_lost());
        let error =
            bad.message(&function, Message::Text("x".to_owned()), call()).await.unwrap_err();
        assert!(matches!(error, InvokeError::Failure { .. }), "{error}");
        assert_eq!(ask(&mut good, &function, "x").await, "x");
        drop((bad, good));
        assert_eq!(function.stats().running, 0);
        let mut shared = open(&function, SHARED).await;
        let outcome = say(&mut shared, &function, "trap").await;
        assert!(matches!(outcome.result, Err(Fault::Trap { .. })), "{outcome:?}");
        assert!(!shared.is_lost());
        assert_eq!(ask(&mut shared, &function, "x").await, "x");
    });
}

#[test]
fn what_a_guest_may_not_send_it_is_told() {
    story(async {
        let engine = engine();
        let function = load(&engine, "bad/bad-websocket").await;
        let mut socket = open(&function, SHARED).await;
        for (text, told) in [
            ("flood", "SendError::Full: after 64"),
            ("large", "TooLarge"),
            ("close", "BadClose"),
            ("other", "Gone"),
        ] {
            let outcome = say(&mut socket, &function, text).await;
            let Err(Fault::Returned { kind, message, .. }) = outcome.result else {
                panic!("{text}: {outcome:?}")
            };
            let said = format!("{}: {message}", kind.unwrap_or_default());
            assert!(said.contains(told), "{text}: {said}");
        }
        while socket.line().try_next().is_some() {}
        assert_eq!(ask(&mut socket, &function, "x").await, "x", "it goes on");
    });
}

#[test]
fn there_are_no_more_connections_than_may_be() {
    story(async {
        let engine = engine();
        let function = load(&engine, "rust-websocket-echo").await;
        let bounds = WebSocketBounds { connections: 1, ..SHARED };
        let first = open(&function, bounds).await;
        let error = function.open_websocket(at(""), bounds, call()).await.unwrap_err();
        let full = InvokeError::Refused(Refusal::WebSocketsFull {
            function: "rust-websocket-echo".to_owned(),
            limit: 1,
        });
        assert_eq!(error.to_string(), full.to_string());
        drop(first);
        open(&function, bounds).await;
    });
}

#[test]
fn a_message_that_is_given_up_ends_its_guest() {
    story(async {
        let engine = engine();
        let function = load(&engine, "rust-websocket-echo").await;
        let mut socket = open(&function, OWN).await;
        let sleep = Message::Text("/sleep 60000".to_owned());
        let message = socket.message(&function, sleep, call());
        tokio::time::timeout(Duration::from_millis(50), message).await.unwrap_err();
        assert!(socket.is_lost());
        // Where it ran behind, as on a machine that is busy, its thread sees at its next turn that nobody waits.
        eventually("the message's end", || engine.stats().invocations == 0).await;
        drop(socket);
        eventually("the end of the connection", || function.stats().running == 0).await;
    });
}
