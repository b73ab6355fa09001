//! The engine as an embedder uses it, with real guests: what each kind answers, what each bad guest ends as, what pools do.
//!
//! One binary; a module per behaviour. No HTTP, no database.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test tells that it failed by panicking"
)]

mod background;
mod compiling;
mod faults;
mod grants;
mod interpreters;
mod kinds;
mod limits;
mod loading;
mod pools;
mod room;
mod rude;
mod serving;
mod several;
mod snapshots;
mod streaming;
mod tiers;
mod tmp;
mod websocket;
mod world;
