//! A costly initializer: builds a table of 16 MiB before the first event, which then is one look-up. Shows what isolation `snapshot`
//! is for: there the table is built once, when the function is deployed, and every fresh instance begins with it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use hearth_guest::{Context, Error, event_function, log};
use serde::Serialize;

/// Numbers in the table, of four bytes each.
const LENGTH: usize = 4 << 20;

static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
static SERVED: AtomicU32 = AtomicU32::new(0);

#[derive(Serialize)]
struct Found {
    value: u32,
    /// How many events this instance has served, this one included.
    served: u32,
    /// What the variable `TABLE_NAME` was when the table was built.
    name: String,
}

static NAME: OnceLock<String> = OnceLock::new();

/// Steps of a xorshift generator from a fixed seed: cheap, and not to be guessed by an optimiser.
fn build() -> Vec<u32> {
    let mut state = 0x9e37_79b9_u32;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    (0..LENGTH).map(step).collect()
}

event_function!(
    |index: usize, _: &Context| -> Result<Found, Error> {
        let table =
            TABLE.get().ok_or_else(|| Error::new("NoTable", "the initializer has not run"))?;
        let value = *table
            .get(index)
            .ok_or_else(|| Error::new("NoSuchIndex", format!("the table has {LENGTH} numbers")))?;
        let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Found { value, served, name: NAME.get().cloned().unwrap_or_default() })
    },
    initialize = |context: &Context| -> Result<(), Error> {
        log::info(format_args!("building the table of {}", context.function));
        let _ = NAME.set(std::env::var("TABLE_NAME").unwrap_or_default());
        let _ = TABLE.set(build());
        Ok(())
    },
);
