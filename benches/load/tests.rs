//! The schedule and the accounting, against servers on loopback that stall, refuse and hang up.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::load::{Pace, Plan, Report, Schedule, Target, TargetError, ask, run};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A server that answers each request with what `answer` makes of its number; none hangs up.
fn server(answer: impl Fn(usize) -> Option<&'static [u8]> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.expect("a connection"), answer.clone());
            std::thread::spawn(move || serve(&mut stream, &answer));
        }
    });
    address
}

fn serve(stream: &mut TcpStream, answer: &impl Fn(usize) -> Option<&'static [u8]>) {
    let mut request = [0; 4096];
    for number in 0.. {
        // Requests are small, and the next comes after the answer.
        if stream.read(&mut request).unwrap_or(0) == 0 {
            return;
        }
        match answer(number) {
            Some(bytes) => stream.write_all(bytes).unwrap_or_default(),
            None => return,
        }
    }
}

fn plan(address: SocketAddr, pace: Pace, millis: u64) -> Plan {
    let target = Target::get(&format!("http://{address}/")).expect("a target");
    Plan::new(target, pace, Duration::from_millis(millis)).connections(1)
}

fn load(plan: &Plan) -> Report {
    run(plan).expect("it connects")
}

#[test]
fn a_schedule_is_even_and_adds_up_no_error() {
    let schedule = Schedule::new(3.0, Duration::from_secs(10));
    assert_eq!(schedule.count(), 30);
    assert_eq!(schedule.intended(0), Some(Duration::ZERO));
    assert_eq!(schedule.intended(27), Some(Duration::from_secs(9)));
    assert_eq!(schedule.intended(30), None);
    let long = Schedule::new(100_000.0, Duration::from_secs(3600));
    assert_eq!(long.intended(359_999_000), Some(Duration::from_millis(3_599_990)));
    assert_eq!(Schedule::new(10.0, Duration::ZERO).intended(0), None);
}

#[test]
fn a_stall_is_in_the_percentiles_of_a_constant_rate_and_not_in_those_of_a_closed_loop() {
    const STALL: Duration = Duration::from_secs(1);
    let stalling = || {
        server(|number| {
            if number == 150 {
                std::thread::sleep(STALL);
            }
            Some(HELLO)
        })
    };
    let constant = load(&plan(stalling(), Pace::Constant(500.0), 2000));
    // All that was due in that second waited: half of the requests, a half second on average.
    assert_eq!((constant.intended, constant.answered), (1000, 1000));
    assert!(constant.summary().p90 > 700_000.0, "{:?}", constant.summary());
    assert!(constant.summary().p99 > 900_000.0, "{:?}", constant.summary());
    // Measured from when it was sent, one request of a thousand was slow, and so says a closed loop.
    assert!(constant.service.value_at_percentile(99.0) < 500_000_000);
    let closed = load(&plan(stalling(), Pace::Closed, 2000));
    assert!(closed.answered > 1000, "{closed:?}");
    assert!(closed.summary().p99 < 500_000.0, "{:?}", closed.summary());
    assert!(closed.summary().max > 900_000.0, "{:?}", closed.summary());
}

#[test]
fn what_a_server_cannot_take_is_told_and_counts() {
    // At most some 100 a second, where 1,000 are wanted.
    let slow = server(|_| {
        std::thread::sleep(Duration::from_millis(10));
        Some(HELLO)
    });
    let mut plan = plan(slow, Pace::Constant(1000.0), 500);
    plan.timeout = Duration::from_millis(300);
    let begun = Instant::now();
    let report = load(&plan);
    assert!(begun.elapsed() < Duration::from_secs(5), "it gives up");
    assert_eq!(report.intended, 500, "also those that were never sent");
    assert!(report.unanswered > 300, "{report:?}");
    assert_eq!(report.latency.len(), report.intended, "{report:?}");
    assert!(report.summary().p50 > 300_000.0, "{:?}", report.summary());
    assert!(report.doubts().iter().any(|doubt| doubt.contains("does not keep up")));
}

#[test]
fn what_is_refused_or_hung_up_on_is_an_error_and_no_latency() {
    const BUSY: &[u8] = b"HTTP/1.1 429 Busy\r\ncontent-length: 0\r\n\r\n";
    let busy = server(|number| Some(if number % 2 == 0 { BUSY } else { HELLO }));
    let report = load(&plan(busy, Pace::Constant(200.0), 500));
    assert_eq!((report.refused, report.answered, report.latency.len()), (50, 50, 50));
    let rude = server(|number| (number < 9).then_some(HELLO));
    let report = load(&plan(rude, Pace::Constant(200.0), 500));
    assert_eq!((report.broken, report.answered), (10, 90), "each tenth request of a connection");
    assert_eq!(report.summary().errors, 10);
}

#[test]
fn who_closes_after_each_answer_is_asked_over_a_new_connection() {
    const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
    let closing = server(|number| (number == 0).then_some(LAST));
    let report = load(&plan(closing, Pace::Constant(200.0), 500));
    assert_eq!((report.answered, report.summary().errors), (100, 0), "{report:?}");
}

#[test]
fn warming_up_does_not_count() {
    let plan = plan(server(|_| Some(HELLO)), Pace::Constant(200.0), 500);
    let report = load(&plan.warm_up(Duration::from_millis(250)));
    assert_eq!((report.intended, report.answered), (100, 100), "{report:?}");
}

#[test]
fn a_distribution_ends_at_the_slowest() {
    let report = load(&plan(server(|_| Some(HELLO)), Pace::Constant(200.0), 500));
    let text = report.distribution();
    assert!(text.contains("inf\n"), "{text}");
    assert!(text.contains("Total count    =          100"), "{text}");
}

#[test]
fn a_target_is_a_url_of_http() {
    let target = Target::new("http://127.0.0.1:80/a?b", "POST", &["x: y".into()], b"body")
        .expect("a target");
    let request =
        "POST /a?b HTTP/1.1\r\nhost: 127.0.0.1:80\r\nx: y\r\ncontent-length: 4\r\n\r\nbody";
    assert_eq!(String::from_utf8_lossy(&target.request), request);
    assert!(matches!(Target::get("https://127.0.0.1/"), Err(TargetError::Url(_))));
    let with =
        |method, header: &str| Target::new("http://127.0.0.1/", method, &[header.to_owned()], b"");
    assert!(matches!(with("HEAD", "x: y"), Err(TargetError::Method(_))));
    assert!(matches!(with("GET", "x: y\r\nz: 1"), Err(TargetError::Header(_))));
}

#[test]
fn one_request_is_sent_as_it_was_patched_and_its_answer_is_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/code", listener.local_addr().expect("its address"));
    let serves = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"....0002") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("the request");
            request.push(byte[0]);
        }
        // In pieces: what came so far is not an answer.
        for piece in [HELLO.split_at(20).0, HELLO.split_at(20).1] {
            stream.write_all(piece).expect("it listens");
            std::thread::sleep(Duration::from_millis(5));
        }
        String::from_utf8(request).expect("text")
    });
    let mut target = Target::new(&url, "PUT", &[], b"....0001").expect("a target");
    target.end_with(b"2");
    let (status, answer) = ask(&target, Duration::from_secs(10)).expect("an answer");
    assert_eq!((status, answer.as_slice()), (200, HELLO));
    let request = serves.join().expect("it ends");
    assert!(request.starts_with("PUT /code HTTP/1.1\r\n"), "{request}");
    let before = target.clone();
    target.end_with(&[b'x'; 10_000]);
    assert_eq!(target.request, before.request);
}

#[test]
fn one_request_ends_where_nothing_or_something_else_comes() {
    let kind = |answer: Option<&'static [u8]>| {
        let target =
            Target::get(&format!("http://{}/", server(move |_| answer))).expect("a target");
        ask(&target, Duration::from_millis(200)).expect_err("no answer").kind()
    };
    assert_eq!(kind(None), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(kind(Some(b"not HTTP\r\n\r\n")), std::io::ErrorKind::InvalidData);
    let waits = kind(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"));
    assert!(
        matches!(waits, std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock),
        "{waits:?}"
    );
}
