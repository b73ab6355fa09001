//! An event function: greets by name, writes one line to the log and one to stdout. Keeps a count for as long as its instance lives.

use std::sync::atomic::{AtomicU32, Ordering};

use hearth_guest::{Context, Error, event_function, log};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Visitor {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    message: String,
    /// How many events this instance has served, this one included: 1 says that it was cold.
    served: u32,
}

static SERVED: AtomicU32 = AtomicU32::new(0);

event_function!(|visitor: Visitor, context: &Context| -> Result<Greeting, Error> {
    if visitor.name.is_empty() {
        return Err(Error::new("NoName", "a visitor needs a name"));
    }
    log::info(format_args!("greeting {} from {}", visitor.name, context.function));
    println!("request {} is attempt {}", context.request_id, context.attempt);
    let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(Greeting { message: format!("hello {}", visitor.name), served })
});
