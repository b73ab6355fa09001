//! Write a hearth event function in five lines of Rust.
//!
//! An event function is a component that turns one event into one answer. This crate supplies everything around that: the exports
//! the host looks for, JSON in and out, errors with a kind, the log, calls to other functions and WebSockets. It holds no state
//! of its own and imports only what the function uses.
//!
//! ```
//! use hearth_guest::{Context, Error, event_function};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     item: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Receipt {
//!     message: String,
//! }
//!
//! event_function!(|order: Order, context: &Context| -> Result<Receipt, Error> {
//!     Ok(Receipt { message: format!("one {} for {}", order.item, context.request_id) })
//! });
//! # fn main() {}
//! ```
//!
//! In `Cargo.toml`, `crate-type = ["cdylib"]` and the dependencies `hearth-guest` and `serde`; `guest-examples/rust-event` is a
//! complete one with its build. [`event_function!`] has the other forms: a named function, raw bytes, lifecycle hooks.
//!
//! # What it is not
//!
//! No async runtime, no HTTP: a function that wants the whole request exports `wasi:http` and needs nothing of this crate.
//! WASI itself (environment, clocks, stdout) comes from std when the function is built for `wasm32-wasip1` or `wasm32-wasip2`. Built
//! for `wasm32-unknown-unknown` it has none of that, imports nothing but the log, and is half the size.
//!
//! # On the host
//!
//! The crate compiles natively, so that a function's own tests run with `cargo test`. There [`log`] writes to stderr and
//! [`call`] answers [`CallError::Failed`].

#![cfg_attr(test, allow(clippy::expect_used, reason = "a failed expectation is a failed test"))]

mod calling;
mod context;
mod error;
mod event_function;
mod panic_message;
mod serve;

pub mod log;
pub mod websocket;

#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod export {
    //! What the expansion of the macros calls; not part of the API.
    pub use crate::panic_message::to_log as prepare;
    pub use crate::serve::{hook, initialize, json, raw};
}

pub use bindings::hearth::function::{caller::CallError, types::Context};
pub use calling::{call, call_json};
pub use error::Error;
