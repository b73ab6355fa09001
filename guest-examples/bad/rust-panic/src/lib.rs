//! rust-panic: an event function that panics with a message of its own, which std writes to stderr before it traps.
//! Host must answer: the fault trap; the tail log ends with `no shelf is called` and the event's text; the instance is dropped.

use hearth_guest::{Context, Error, event_function};

event_function!(raw |event: &[u8], _: &Context| -> Result<Vec<u8>, Error> {
    panic!("no shelf is called {:?}", String::from_utf8_lossy(event));
});
