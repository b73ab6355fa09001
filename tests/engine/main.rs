//! The engine as an embedder uses it, with real guests: what each kind answers, what each bad guest ends as, what pools do.
//!
//! One binary; a module per behaviour. No HTTP, no database.

mod compiling;
mod faults;
mod grants;
mod kinds;
mod limits;
mod loading;
mod pools;
mod world;
