//! The rules of the house, as tests.
//!
//! They read the tree and build nothing, so they answer in under a second. Each failure says where, which rule, and what to do.
//! Exceptions stand beside their rule with a reason, and one that is no longer needed fails too, so that lists only shrink.
#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test may panic, and says why")]

mod guests;
mod manifest;
mod papers;
mod places;
mod reach;
mod rooms;
mod shape;
mod source;
mod stubs;
mod tree;
mod words;

/// Fails with everything that was found, so that one run shows all there is to mend.
#[track_caller]
fn settle(rule: &str, found: &[String]) {
    let list = found.join("\n  ");
    assert!(found.is_empty(), "{rule}: {} found\n  {list}\n", found.len());
}
