//! The server that is scheduled in three ways: HTTP/1.1 by hyper, the engine, and nothing between them. It runs in a process of its own, so
//! that the generator's memory is not its memory, and ends with the bench's end of its standard input.

use std::convert::Infallible;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hearth_benches::guest;
use hearth_engine::{
    Engine, EngineConfig, Function, FunctionSpec, Invocation, InvokeError, Outcome,
    RequestBodyError, Served,
};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

/// Requests, or connections, that may wait for one thread.
const WAITING_MAX: usize = 1024;

/// How long the function computes that is no quick one.
const COMPUTES: Duration = Duration::from_millis(20);

/// Who runs what on which thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One runtime on all cores that steals work: sockets and guests on whichever thread is free.
    Shared,
    /// Sockets on such a runtime, guests on a thread for each core beside it; each request goes over by a channel, and its answer back.
    Workers,
    /// A thread for each core with a runtime, connections and warm instances of its own.
    PerCore,
}

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What is served.
struct Site {
    echo: Function,
    http: Function,
    computes: Function,
}

impl Site {
    fn new(runtime: &Runtime, background_threads: Option<u32>) -> Self {
        let mut config = EngineConfig { instances: 256, ..EngineConfig::default() };
        config.background_threads = background_threads.unwrap_or(config.background_threads);
        let engine = Engine::builder().config(config).build().expect("an engine");
        let load = |name: &str, code: Vec<u8>| {
            runtime.block_on(engine.load(FunctionSpec::new(name, code))).expect("it loads")
        };
        let turns = turns(|turns| {
            let function = load("computes", computing(turns));
            let timed = || {
                let begun = Instant::now();
                let outcome = runtime.block_on(function.invoke(Invocation::new("")));
                assert!(outcome.expect("no refusal").result.is_ok());
                begun.elapsed()
            };
            (0..3).map(|_| timed()).min().expect("three of them")
        });
        Self {
            echo: load("echo", guest("wat-echo")),
            http: load("http", guest("rust-http")),
            computes: load("computes", computing(turns)),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let event = match request.uri().path() {
            "/echo" => &self.echo,
            "/computes" => &self.computes,
            _ => return self.serve(request).await,
        };
        let body = request.into_body().collect().await.expect("a whole body").to_bytes();
        let outcome = event.invoke(Invocation::new(body)).await.expect("no refusal");
        let answer = outcome.result.expect("no fault");
        Response::new(Full::new(answer).map_err(|never| match never {}).boxed_unsync())
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let broken = |why: hyper::Error| RequestBodyError::Broken { why: why.to_string() };
        let request = request.map(|body| body.map_err(broken).boxed_unsync());
        let invocation = Invocation::new(Bytes::new());
        match self.http.serve(request, invocation, || nobody).await.expect("no refusal") {
            Served::Answering { response, .. } => {
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            }
            Served::Ended(outcome) => panic!("{:?}", outcome.result),
        }
    }
}

/// Who is told of an end that nobody wants to know.
fn nobody(_: Result<&Outcome, &InvokeError>) {}

/// A guest whose handler goes round a loop so many times.
fn computing(turns: u64) -> Vec<u8> {
    let text = format!(
        r#"(module (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (i32.const 16))
            (func (export "handle") (param i32 i32) (result i64) (local $left i64) (local $state i64)
                (local.set $left (i64.const {turns}))
                (loop $again
                    (local.set $state (i64.add (i64.mul (local.get $state) (i64.const 6364136223846793005)) (local.get $left)))
                    (local.set $left (i64.sub (local.get $left) (i64.const 1)))
                    (br_if $again (i64.ne (local.get $left) (i64.const 0))))
                (i64.store (i32.const 16) (local.get $state))
                (i64.const 0x1000000008)))"#
    );
    wat::parse_str(text).expect("it is WebAssembly")
}

/// How many times that takes as long as it shall, from how long some take.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "far below 2^52"
)]
fn turns(mut time: impl FnMut(u64) -> Duration) -> u64 {
    let some = 2_000_000;
    let taken = time(some).as_secs_f64();
    (some as f64 * COMPUTES.as_secs_f64() / taken).max(1.0) as u64
}

/// Serves that way until standard input ends; the address is told first.
pub(crate) fn serve(way: Way, background_threads: Option<u32>) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shared = Builder::new_multi_thread().worker_threads(cores).enable_all().build();
    let shared = shared.expect("a runtime on all cores");
    let site = Arc::new(Site::new(&shared, background_threads));
    let listener = shared.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound"));
    match way {
        Way::Shared => drop(shared.spawn(accept(listener, move |stream| {
            tokio::spawn(connection(stream, Handler::Here(site.clone())));
        }))),
        Way::Workers => {
            let workers = Arc::new(Workers::new(cores, &site));
            drop(shared.spawn(accept(listener, move |stream| {
                tokio::spawn(connection(stream, Handler::Over(workers.clone())));
            })));
        }
        Way::PerCore => {
            let doors: Vec<_> = (0..cores).map(|_| core(site.clone())).collect();
            // Connections last for a whole run, so that who accepts them and hands them round has nothing to do meanwhile.
            let mut turn = 0;
            drop(shared.spawn(accept(listener, move |stream| {
                turn += 1;
                let stream = stream.into_std().expect("a socket");
                doors[turn % doors.len()].try_send(stream).expect("room for a connection");
            })));
        }
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    shared.shutdown_background();
}

async fn accept(listener: TcpListener, mut take: impl FnMut(TcpStream)) {
    loop {
        let (stream, _) = listener.accept().await.expect("it accepts");
        stream.set_nodelay(true).expect("a socket of TCP");
        take(stream);
    }
}

/// A thread of its own for guests and connections alike.
fn core(site: Arc<Site>) -> mpsc::Sender<std::net::TcpStream> {
    let (door, mut arrivals) = mpsc::channel(WAITING_MAX);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    std::thread::spawn(move || {
        runtime.block_on(async move {
            while let Some(stream) = arrivals.recv().await {
                let stream = TcpStream::from_std(stream).expect("a socket");
                tokio::spawn(connection(stream, Handler::Here(site.clone())));
            }
        });
    });
    door
}

/// Where the guest runs that a connection asks for.
#[derive(Clone)]
enum Handler {
    Here(Arc<Site>),
    Over(Arc<Workers>),
}

async fn connection(stream: TcpStream, handler: Handler) {
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move {
            Ok::<_, Infallible>(match handler {
                Handler::Here(site) => site.answer(request).await,
                Handler::Over(workers) => workers.answer(request).await,
            })
        }
    });
    // Whoever closes a connection has ended its run.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

type Job = (Request<Incoming>, oneshot::Sender<Response<Body>>);

/// Threads for guests alone.
struct Workers(Vec<Worker>);

struct Worker {
    jobs: mpsc::Sender<Job>,
    /// Requests that it has and has not answered.
    busy: AtomicUsize,
}

impl Workers {
    fn new(count: usize, site: &Arc<Site>) -> Self {
        Self((0..count).map(|_| Worker::new(site.clone())).collect())
    }

    /// The one with the least to do.
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let least = self.0.iter().min_by_key(|worker| worker.busy.load(Ordering::Relaxed));
        let worker = least.expect("a worker for each core");
        let _busy = Busy::new(&worker.busy);
        let (answer, answered) = oneshot::channel();
        worker.jobs.send((request, answer)).await.expect("workers do not end");
        answered.await.expect("workers answer")
    }
}

/// One request of a worker, for as long as somebody waits for it.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    fn new(site: Arc<Site>) -> Self {
        let (jobs, mut taken) = mpsc::channel::<Job>(WAITING_MAX);
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        std::thread::spawn(move || {
            runtime.block_on(async move {
                while let Some((request, answer)) = taken.recv().await {
                    let site = site.clone();
                    tokio::spawn(async move {
                        // The connection may be gone.
                        let _ = answer.send(site.answer(request).await);
                    });
                }
            });
        });
        Self { jobs, busy: AtomicUsize::default() }
    }
}
