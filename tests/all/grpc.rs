//! gRPC from a client of that protocol to a function behind an HTTP trigger, over HTTP/2 in clear text.

use std::time::Duration;

use futures_util::StreamExt;
use hearth_tests::{Greeter, Message, Server, Start, eventually, guarded};
use serde_json::json;
use tokio::sync::mpsc;
use tonic::{Code, Request};

use crate::http_trigger::{open, trigger};

const PROXY: &str = "http://server.test/2016-08-15/proxy/s/rust-grpc";

fn story<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(story)
}

/// A server with the service, whose calls may take so long.
fn serving(timeout_s: u32) -> Server {
    let server = Server::start();
    server.deploy_with("rust-grpc", json!({"timeout": timeout_s}));
    let config = json!({"authType": "anonymous", "methods": ["POST"]});
    let made = trigger(&server, "rust-grpc", &config);
    assert_eq!(made.status, 200, "{}", made.text());
    server
}

fn hello(name: &str) -> Request<Message> {
    Request::new(Message::text(name))
}

#[test]
fn a_call_has_an_answer_and_metadata_before_and_behind_it() {
    let server = serving(10);
    story(async {
        let mut greeter = Greeter::connect(server.address(), PROXY).await;
        let mut request = hello("world");
        request.metadata_mut().insert("x-name", "ann".parse().unwrap());
        let answer = greeter.unary("SayHello", request).await.unwrap();
        assert_eq!(answer.metadata().get("x-greets").unwrap(), "ann", "from the head");
        assert_eq!(answer.metadata().get("x-greeted").unwrap(), "yes", "from the trailers");
        assert!(answer.metadata().contains_key("x-fc-request-id"));
        assert_eq!(answer.into_inner().text, "Hello, world!");
    });
}

#[test]
fn messages_stream_in_each_direction_and_in_both() {
    let server = serving(30);
    story(async {
        let mut greeter = Greeter::connect(server.address(), PROXY).await;
        let request = Request::new(Message::numbers(1000, 0));
        let mut numbers = greeter.server_streaming("CountTo", request).await.unwrap();
        for value in 1..=1000 {
            assert_eq!(numbers.message().await.unwrap().unwrap().numbers[0], value);
        }
        assert_eq!(numbers.message().await.unwrap(), None);

        let numbers = futures_util::stream::iter((1..=1000).map(|it| Message::numbers(it, 0)));
        let total = greeter.client_streaming("Sum", numbers).await.unwrap();
        assert_eq!(total.numbers, [500_500, 1000]);

        // Each line is answered before the next is said.
        let (say, said) = mpsc::channel::<Message>(1);
        let said = futures_util::stream::unfold(said, |mut said| async {
            said.recv().await.map(|message| (message, said))
        });
        let mut answers = greeter.streaming("Chat", said).await.unwrap();
        for name in ["ann", "bob", "cleo"] {
            say.send(Message::text(name)).await.unwrap();
            let answer = answers.message().await.unwrap().unwrap();
            assert_eq!(answer.text, format!("Hello, {name}!"));
        }
        drop(say);
        assert_eq!(answers.message().await.unwrap(), None);
    });
}

#[test]
fn a_status_comes_as_the_guest_said_it() {
    let server = serving(10);
    story(async {
        let mut greeter = Greeter::connect(server.address(), PROXY).await;
        let nobody = greeter.unary("SayHello", hello("")).await.unwrap_err();
        assert_eq!(nobody.code(), Code::InvalidArgument);
        assert_eq!(nobody.message(), "a name is missing – 100% of it");
        let unknown = greeter.unary("SayGoodbye", hello("x")).await.unwrap_err();
        assert_eq!(
            (unknown.code(), unknown.message()),
            (Code::Unimplemented, "there is no such method")
        );
        // After some answers as well as instead of one.
        let names = ["ann", ""].map(Message::text);
        let mut answers =
            greeter.streaming("Chat", futures_util::stream::iter(names)).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().text, "Hello, ann!");
        assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
    });
}

/// Until then they were told by statuses of HTTP, of which a client makes what it can.
#[test]
fn what_the_gateway_refuses_is_told_in_grpc_s_words() {
    let (guard, admin, _home) = guarded(Start::default());
    let server = serving(1);
    server.deploy_with("bad/trap", json!({}));
    let path = "/services/s/functions/rust-grpc/triggers/web";
    let limited =
        json!({"authType": "anonymous", "methods": ["POST"], "hearth": {"rate": 1, "burst": 1}});
    let signed = json!({"authType": "function", "methods": ["POST"]});
    let all = json!({"authType": "anonymous", "methods": ["POST"]});
    assert_eq!(trigger(&server, "trap", &all).status, 200);
    let service = json!({"serviceName": "s"}).to_string();
    assert_eq!(admin.send(&guard, "POST", "/2016-08-15/services", &service).status, 200);
    story(async {
        let called = async |server: &Server, function: &str, request: Request<Message>| {
            let origin = PROXY.replace("rust-grpc", function);
            let mut greeter = Greeter::connect(server.address(), &origin).await;
            let method = if request.get_ref().text.is_empty() { "CountTo" } else { "SayHello" };
            greeter.unary(method, request).await.unwrap_err()
        };
        let lost = called(&server, "none", hello("x")).await;
        assert_eq!(lost.code(), Code::Unimplemented, "{lost:?}");
        assert_eq!(lost.message(), "function 'none' does not exist in service 's'");
        assert!(lost.metadata().contains_key("x-fc-request-id"), "{lost:?}");
        // It has no handler of HTTP.
        let failed = called(&server, "trap", hello("x")).await;
        assert_eq!(failed.code(), Code::Unavailable, "{failed:?}");
        assert!(failed.message().contains("no handler"), "{failed:?}");
        let unknown = called(&guard, "rust-grpc", hello("x")).await;
        assert_eq!(unknown.code(), Code::Unauthenticated, "{unknown:?}");
        assert_eq!(server.call("PUT", path, &json!({"triggerConfig": signed})).status, 200);
        assert_eq!(server.call("PUT", path, &json!({"triggerConfig": limited})).status, 200);
        let mut greeter = Greeter::connect(server.address(), PROXY).await;
        let mut refused = None;
        for _ in 0..20 {
            refused = refused.or(greeter.unary("SayHello", hello("x")).await.err());
        }
        let refused = refused.expect("20 at once are too many");
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        assert_eq!(refused.metadata().get("retry-after").unwrap(), "1");
    });
}

#[test]
fn a_timeout_before_there_is_an_answer_is_a_deadline() {
    let server = Server::start();
    server.deploy_with("bad/http-rude-p3", json!({"timeout": 1}));
    let all = json!({"authType": "anonymous", "methods": ["POST"]});
    assert_eq!(trigger(&server, "http-rude-p3", &all).status, 200);
    let to = json!({"regexRules": [{"match": "^.*$", "replacement": "/stall-before"}]});
    let route = json!({"path": "/*", "serviceName": "s", "functionName": "http-rude-p3", "rewriteConfig": to});
    let domain = json!({"domainName": "grpc.example", "protocol": "HTTP", "routeConfig": {"routes": [route]}});
    assert_eq!(server.call("POST", "/custom-domains", &domain).status, 200);
    story(async {
        let mut greeter = Greeter::connect(server.address(), "http://grpc.example").await;
        let late = greeter.unary("SayHello", hello("x")).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
    });
}

#[test]
fn a_deadline_of_the_client_ends_the_call() {
    let server = serving(60);
    story(async {
        let mut greeter = Greeter::connect(server.address(), PROXY).await;
        let mut request = Request::new(Message::numbers(1000, 30_000));
        request.set_timeout(Duration::from_millis(500));
        let mut numbers = greeter.server_streaming("CountTo", request).await.unwrap();
        assert_eq!(numbers.message().await.unwrap().unwrap().numbers[0], 1);
        let late = numbers.message().await.unwrap_err();
        // Both sides watch it, and either may be first.
        assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late:?}");
    });
    eventually("the guest ends", || server.metric("hearth_running_invocations") == 0.0);
}

#[test]
fn a_timeout_of_the_function_breaks_the_call_off() {
    let server = serving(1);
    story(async {
        let mut greeter = Greeter::connect(server.address(), PROXY).await;
        let request = Request::new(Message::numbers(1000, 30_000));
        let mut numbers = greeter.server_streaming("CountTo", request).await.unwrap();
        assert_eq!(numbers.message().await.unwrap().unwrap().numbers[0], 1);
        let broken = numbers.message().await.unwrap_err();
        assert_ne!(broken.code(), Code::Ok, "{broken:?}");
        // The connection is whole.
        let answer = greeter.unary("SayHello", hello("x")).await.unwrap();
        assert_eq!(answer.into_inner().text, "Hello, x!");
    });
}

#[test]
fn large_messages_pass_and_too_large_ones_are_told() {
    let server = serving(30);
    story(async {
        let mut greeter = Greeter::connect(server.address(), PROXY).await;
        let name = "n".repeat(3 << 20);
        let answer = greeter.unary("SayHello", hello(&name)).await.unwrap().into_inner();
        assert_eq!(answer.text.len(), "Hello, !".len() + name.len());
        let larger = greeter.unary("SayHello", hello(&"n".repeat(5 << 20))).await.unwrap_err();
        assert_eq!(larger.code(), Code::ResourceExhausted, "{larger:?}");
        // An answer many times what is asked.
        let request = Request::new(Message { text: "n".repeat(1000), numbers: [0, 20_000] });
        let answer = greeter.unary("SayHello", request).await.unwrap().into_inner();
        assert_eq!(answer.text.len(), 20_000 * 1008);
    });
}

#[test]
fn a_call_that_is_given_up_ends_the_guest() {
    let server = serving(60);
    story(async {
        let mut greeter = Greeter::connect(server.address(), PROXY).await;
        for pause_ms in [0, 30_000] {
            let request = Request::new(Message::numbers(u64::MAX, pause_ms));
            let mut numbers = greeter.server_streaming("CountTo", request).await.unwrap();
            assert_eq!(numbers.message().await.unwrap().unwrap().numbers[0], 1);
            drop(numbers);
            // The connection goes on meanwhile: only this call was given up.
            let answer = greeter.unary("SayHello", hello("x")).await.unwrap();
            assert_eq!(answer.into_inner().text, "Hello, x!");
            eventually("the guest ends", || server.metric("hearth_running_invocations") == 0.0);
        }
    });
}

#[test]
fn many_calls_share_a_connection() {
    let server = serving(30);
    story(async {
        let greeter = Greeter::connect(server.address(), PROXY).await;
        let calls = (0..50).map(|number: u64| {
            let mut greeter = greeter.clone();
            async move {
                let request = Request::new(Message::numbers(5, number % 10));
                let numbers = greeter.server_streaming("CountTo", request).await.unwrap();
                numbers.map(|it| it.unwrap().numbers[0]).collect::<Vec<_>>().await
            }
        });
        for counted in futures_util::future::join_all(calls).await {
            assert_eq!(counted, [1, 2, 3, 4, 5]);
        }
    });
}

#[test]
fn a_custom_domain_is_a_service_like_any_other() {
    let server = Server::start();
    open(&server, "rust-grpc");
    let route = json!({"path": "/hearth.example.Greeter/*", "serviceName": "s", "functionName": "rust-grpc"});
    let domain = json!({"domainName": "grpc.example", "protocol": "HTTP", "routeConfig": {"routes": [route]}});
    let made = server.call("POST", "/custom-domains", &domain);
    assert_eq!(made.status, 200, "{}", made.text());
    story(async {
        let mut greeter = Greeter::connect(server.address(), "http://grpc.example").await;
        let answer = greeter.unary("SayHello", hello("domain")).await.unwrap();
        assert_eq!(answer.into_inner().text, "Hello, domain!");
    });
}
