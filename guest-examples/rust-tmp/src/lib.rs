//! An event function that does the file operations of its event; what it leaves in /tmp is there for as long as its instance lives.

use hearth_guest::{Context, Error, event_function};

mod script;

event_function!(raw |event: &[u8], _: &Context| -> Result<Vec<u8>, Error> {
    Ok(script::run(&String::from_utf8_lossy(event)).into_bytes())
});
