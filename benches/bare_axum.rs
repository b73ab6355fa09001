//! The ceiling for a served function: a bare axum hello. Prints its address and serves until it is ended; `benches/http.sh` and
//! `benches/all.sh` run it.

#![allow(clippy::expect_used, reason = "a baseline that cannot start can only say so")]

use axum::Router;
use axum::routing::get;
use hearth_benches::bare_server::serve_on_every_core;

fn main() {
    serve_on_every_core(async |listener| {
        let router = Router::new().route("/", get(hello).post(hello));
        axum::serve(listener, router).await.expect("it serves");
    });
}

async fn hello() -> &'static str {
    "hello"
}
