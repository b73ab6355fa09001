//! Faults: processes killed at any moment, disks that lie or are full, files that were changed. Afterwards all that was
//! promised must hold without anybody's help.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test tells that it failed by panicking"
)]

mod artifacts;
mod audit;
mod backup;
mod bad_starts;
mod destinations;
mod disk;
mod kill;
#[cfg(target_os = "linux")]
mod memory;
mod published;
mod stop_queue;
mod store_file;
mod tiers;
mod upgrade;
mod witness;
