//! secret-panic: an event function that panics with the value of the environment variable `API_TOKEN` in the message.
//! Host must answer: the fault trap. The message is in the tail log, which its owner asked for, and nowhere else: not in the error that a
//! caller gets, not in the server's own log, not in metrics.

use hearth_guest::{Context, Error, event_function};

event_function!(raw |_: &[u8], _: &Context| -> Result<Vec<u8>, Error> {
    let token = std::env::var("API_TOKEN").unwrap_or_else(|_| "unset".to_owned());
    panic!("could not sign in with token {token}");
});
