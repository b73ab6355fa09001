//! returned-error: an event function that reports an error of its own for every event, and whose hooks each log one line. The value
//! `initialize` in the environment variable `FAIL_IN` makes `initialize` report an error too.
//! Host must answer: the fault returned error, kind `OutOfStock`, with message and stack; the instance stays and is warm next time.
//! With `FAIL_IN=initialize`: kind `NoDatabase`, `handle` never runs and the instance is dropped.

use hearth_guest::{Context, Error, event_function, log};

event_function!(
    raw |event: &[u8], _: &Context| -> Result<Vec<u8>, Error> {
        let item = String::from_utf8_lossy(event);
        Err(Error::new("OutOfStock", format_args!("no more {item}")).at("shelf 3").at("order 17"))
    },
    initialize = |_: &Context| -> Result<(), Error> {
        log::info("initialize");
        match std::env::var("FAIL_IN").as_deref() {
            Ok("initialize") => Err(Error::new("NoDatabase", "the database is not there")),
            _ => Ok(()),
        }
    },
    pre_freeze = |_: &Context| log::info("pre-freeze"),
    pre_stop = |_: &Context| log::info("pre-stop"),
);
