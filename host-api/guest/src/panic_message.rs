//! Where a panic's message goes. With WASI, std writes it to stderr. On `wasm32-unknown-unknown` there is no stderr, so it
//! becomes a log entry at level critical; without this it would be lost. Set once per instance, at its first call.

/// Sends the messages of panics to the log, where nothing else would show them.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub fn to_log() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| crate::log::critical(panic))));
}

/// Nothing to do: std writes the message to stderr.
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub fn to_log() {}
