//! What a host on wasmtime can reach: hyper in front of kept instances of the `wasi:http` hello, those of a thread its own. No limits, no deadline, no
//! log, no names, no other function: what hearth takes beyond this is hearth's, the rest is hyper's, wasmtime's and the guest's. Prints its
//! address and serves until it is ended; `benches/all.sh` runs it.

#![allow(clippy::expect_used, reason = "a baseline that cannot start can only say so")]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use hearth_benches::bare_server::serve_on_every_core;
use hearth_benches::in_process::{BareHttp, KeptBareHttp};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

/// The server's, which is quicker at this than the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Instances of one thread that no request is in.
type Idle = Rc<RefCell<Vec<KeptBareHttp>>>;

fn main() {
    let bare = BareHttp::new(&hearth_benches::guest("rust-http"));
    // Instances stay on their thread, and so does what serves a connection.
    serve_on_every_core(async |listener| LocalSet::new().run_until(serve(listener, &bare)).await);
}

async fn serve(listener: TcpListener, bare: &BareHttp) {
    let idle = Idle::default();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (bare, idle) = (bare.clone(), idle.clone());
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| answer(request, &bare, &idle));
            let http = hyper::server::conn::http1::Builder::new();
            // Who leaves has been answered all that it asked.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    bare: &BareHttp,
    idle: &Idle,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let kept = idle.borrow_mut().pop();
    let mut kept = match kept {
        Some(kept) => kept,
        None => bare.start().await,
    };
    let response = kept.answer(request).await;
    idle.borrow_mut().push(kept);
    Ok(response.map(Full::new))
}
