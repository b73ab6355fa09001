//! Log lines with a level, through `wasi:logging`. They reach the invocation's tail log in order with what the function writes to
//! stdout and stderr; unlike those they carry their level. Each call is one entry; nothing is buffered in the guest.
//!
//! ```
//! use hearth_guest::log;
//!
//! log::info("ready");
//! log::warn(format_args!("{} of {} left", 3, 10));
//! ```

use std::fmt::Display;

use crate::bindings::wasi::logging::logging::Level;

/// Single steps and values.
pub fn trace(message: impl Display) {
    write(Level::Trace, &message.to_string());
}

/// What helps someone who debugs.
pub fn debug(message: impl Display) {
    write(Level::Debug, &message.to_string());
}

/// What someone who watches wants to know.
pub fn info(message: impl Display) {
    write(Level::Info, &message.to_string());
}

/// Something may go wrong.
pub fn warn(message: impl Display) {
    write(Level::Warn, &message.to_string());
}

/// Something went wrong.
pub fn error(message: impl Display) {
    write(Level::Error, &message.to_string());
}

/// Something went wrong that the function cannot survive.
pub fn critical(message: impl Display) {
    write(Level::Critical, &message.to_string());
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::bindings::wasi::logging::logging::log(level, "", message);
}

#[cfg(not(target_family = "wasm"))]
#[allow(clippy::print_stderr, reason = "a function's own tests run without a host to log to")]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
