//! Pieces of work in process, each beside bare wasmtime doing the same: starts, calls, snapshots, lines of log. One thread; ours with deadline
//! and limits on.

pub(crate) mod bare;
mod bare_component;
mod cases;
mod snapshot;

pub use bare_component::{Http as BareHttp, KeptHttp as KeptBareHttp};
pub use cases::{ALL, Lab, Make};
pub use snapshot::{INTERPRETED, Interpreted};
