//! Prints while it initialises, and so keeps a handle of its standard output: what a snapshot of its state cannot carry over.

use hearth_guest::{Context, Error, event_function};

event_function!(
    raw |event: &[u8], _: &Context| -> Result<Vec<u8>, Error> { Ok(event.to_vec()) },
    initialize = |_: &Context| -> Result<(), Error> {
        println!("initialising");
        Ok(())
    },
);
