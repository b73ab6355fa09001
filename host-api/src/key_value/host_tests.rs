//! The imports of `wasi:keyvalue` as a guest calls them.

use super::*;
use crate::test_state::TestState;
use atomics::{Host as _, HostCas as _};
use store::{Host as _, HostBucket as _};

fn granted() -> TestState {
    let mut state = TestState::default();
    state.grants.key_value = Some(Quota::default());
    state
}

fn open(state: &mut TestState, name: &str) -> Resource<Bucket> {
    HostCall(state).open(name.to_owned()).unwrap().unwrap()
}

fn again<T: 'static>(handle: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(handle.rep())
}

fn own<T: 'static>(handle: &Resource<T>) -> Resource<T> {
    Resource::new_own(handle.rep())
}

#[test]
fn a_store_that_is_not_granted_cannot_be_opened() {
    let mut state = TestState::default();
    let found = HostCall(&mut state).open(String::new()).unwrap();
    assert!(matches!(found, Err(store::Error::AccessDenied)));
    assert!(state.table.is_empty());
}

#[test]
fn a_grant_that_is_taken_away_ends_open_buckets() {
    let mut state = granted();
    let bucket = open(&mut state, "");
    state.grants.key_value = None;
    let found = HostCall(&mut state).get(again(&bucket), "k".to_owned()).unwrap();
    assert!(matches!(found, Err(store::Error::AccessDenied)));
}

#[test]
fn the_default_bucket_has_two_names_and_others_are_apart() {
    let mut state = granted();
    let (unnamed, named, other) =
        (open(&mut state, ""), open(&mut state, "default"), open(&mut state, "other"));
    let mut call = HostCall(&mut state);
    call.set(again(&unnamed), "k".to_owned(), b"v".to_vec()).unwrap().unwrap();
    assert_eq!(call.get(again(&named), "k".to_owned()).unwrap().unwrap().unwrap(), b"v");
    assert!(!call.exists(again(&other), "k".to_owned()).unwrap().unwrap());
    assert_eq!(call.list_keys(again(&named), None).unwrap().unwrap().keys, ["k"]);
    call.delete(again(&named), "k".to_owned()).unwrap().unwrap();
    assert!(call.get(again(&unnamed), "k".to_owned()).unwrap().unwrap().is_none());
    let long = call.open("b".repeat(MAX_BUCKET_BYTES + 1)).unwrap();
    assert!(matches!(long, Err(store::Error::NoSuchStore)));
    store::HostBucket::drop(&mut call, own(&other)).unwrap();
    assert!(call.get(again(&other), "k".to_owned()).is_err(), "a dropped handle is a trap");
}

#[test]
fn a_full_service_says_so() {
    let mut state = granted();
    state.grants.key_value = Some(Quota { keys: 1, ..Quota::default() });
    let bucket = open(&mut state, "");
    let mut call = HostCall(&mut state);
    call.set(again(&bucket), "a".to_owned(), Vec::new()).unwrap().unwrap();
    let found = call.increment(again(&bucket), "b".to_owned(), 1).unwrap();
    let Err(store::Error::Other(text)) = found else { panic!("{found:?}") };
    assert!(text.contains("1 keys"), "{text}");
}

#[test]
fn a_swap_is_against_what_the_guest_last_saw() {
    let mut state = granted();
    let bucket = open(&mut state, "");
    let mut call = HostCall(&mut state);
    let cas = call.new(again(&bucket), "k".to_owned()).unwrap().unwrap();
    assert_eq!(call.increment(again(&bucket), "k".to_owned(), 5).unwrap().unwrap(), 5);
    let found = call.swap(cas, b"9".to_vec()).unwrap();
    let Err(atomics::CasError::CasFailed(cas)) = found else { panic!("{found:?}") };
    call.increment(again(&bucket), "k".to_owned(), 1).unwrap().unwrap();
    assert_eq!(call.current(again(&cas)).unwrap().unwrap().unwrap(), b"6");
    call.swap(cas, b"9".to_vec()).unwrap().unwrap();
    assert_eq!(call.get(again(&bucket), "k".to_owned()).unwrap().unwrap().unwrap(), b"9");
}

#[test]
fn handles_are_bounded_by_the_table() {
    let mut state = granted();
    state.table.set_max_capacity(4);
    let mut call = HostCall(&mut state);
    let opened = (0..100).take_while(|_| call.open(String::new()).is_ok()).count();
    assert_eq!(opened, 4);
}
