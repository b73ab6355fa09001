//! Targets and patterns, and what the import checks before anybody is called.

use super::*;
use crate::test_state::TestState;
use parking_lot::Mutex;
use proptest::prelude::*;
use std::sync::Arc;
use wit::Host as _;

#[derive(Default)]
struct Seen(Mutex<Vec<GuestCall>>);

impl FunctionCaller for Seen {
    fn call<'a>(
        &'a self,
        call: GuestCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send + 'a>> {
        let answer = match call.target.function.as_str() {
            "broken" => Err(CallError::FunctionError("{}".to_owned())),
            _ => Ok(call.payload.clone()),
        };
        self.0.lock().push(call);
        Box::pin(async move { answer })
    }
}

#[test]
fn targets_are_read_strictly() {
    let target: Target = "shop.prod/order".parse().unwrap();
    assert_eq!(target.service.as_deref(), Some("shop"));
    assert_eq!(target.qualifier.as_deref(), Some("prod"));
    assert_eq!(target.function, "order");
    let long = "n".repeat(MAX_NAME_BYTES);
    for good in ["order", "shop/order", "_s/_f-1", "s.1/f", "s.LATEST/f", "s.a-b/f", long.as_str()]
    {
        assert_eq!(good.parse::<Target>().unwrap().to_string(), good);
    }
    let longer = format!("{long}n");
    let bad = [
        "",
        "/",
        "/f",
        "s/",
        "a/b/c",
        "s./f",
        ".q/f",
        "s.q.r/f",
        "s.q/",
        "1s/f",
        "s/1f",
        "-s/f",
        "s/f ",
        " s/f",
        "s/f\0",
        "s/é",
        "s.é/f",
        "s/../f",
        "s/*",
        "*",
        "s.12345678901234567890/f",
        "s.1a/f",
        "f.q",
        longer.as_str(),
    ];
    for text in bad {
        assert!(text.parse::<Target>().is_err(), "{text:?}");
    }
    let huge = "é/".repeat(1_000_000).parse::<Target>().unwrap_err();
    assert!(huge.to_string().len() < 1000);
}

#[test]
fn patterns_cover_what_they_name() {
    let covers = |pattern: &str, target: &str| {
        pattern.parse::<CalleePattern>().unwrap().covers(&target.parse().unwrap())
    };
    assert!(covers("shop/order", "shop/order") && covers("shop/order", "shop.prod/order"));
    assert!(covers("shop/*", "shop/anything") && covers("order", "order") && covers("*", "order"));
    assert!(!covers("shop/order", "shop/orders") && !covers("shop/*", "shop2/order"));
    assert!(
        !covers("order", "shop/order") && !covers("*", "shop/order") && !covers("shop/*", "order")
    );
    for bad in ["", "*/f", "*/*", "s/f*", "s.q/f", "s/", "/f", "s/**"] {
        assert!(bad.parse::<CalleePattern>().is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_what_parses_reads_back(text in ".{0,40}") {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string(), text.clone());
        }
        if let Ok(pattern) = text.parse::<CalleePattern>() {
            prop_assert_eq!(pattern.to_string(), text);
        }
    }
}

async fn call(state: &mut TestState, target: &str) -> Result<Vec<u8>, wit::CallError> {
    HostCall(state).call(target.to_owned(), b"event".to_vec()).await.unwrap()
}

#[tokio::test]
async fn the_grant_comes_before_the_depth_and_both_before_the_call() {
    let seen = Arc::new(Seen::default());
    let mut state = TestState { caller: Some(seen.clone()), depth: 8, ..TestState::default() };
    assert!(matches!(call(&mut state, "no such").await, Err(wit::CallError::NotFound(_))));
    assert!(matches!(call(&mut state, "a/b").await, Err(wit::CallError::Denied(_))));
    state.grants.call = vec!["a/*".parse().unwrap()];
    assert!(matches!(call(&mut state, "a/b").await, Err(wit::CallError::TooDeep(8))));
    assert!(seen.0.lock().is_empty());
    state.depth = 7;
    assert_eq!(call(&mut state, "a.prod/b").await.unwrap(), b"event");
    let made = seen.0.lock().pop().unwrap();
    assert_eq!((made.depth, made.deadline), (8, state.deadline));
    assert_eq!(made.request_id, "request-1");
    assert_eq!(made.trace_parent.as_deref(), Some("00-trace"));
    assert_eq!(made.target.to_string(), "a.prod/b");
    assert!(matches!(call(&mut state, "a/broken").await, Err(wit::CallError::FunctionError(_))));
    state.caller = None;
    assert!(matches!(call(&mut state, "a/b").await, Err(wit::CallError::Failed(_))));
}

#[tokio::test]
async fn a_target_without_a_service_is_one_of_the_callers_own() {
    let seen = Arc::new(Seen::default());
    let mut state = TestState { caller: Some(seen.clone()), ..TestState::default() };
    state.grants.call = vec!["shop/*".parse().unwrap()];
    assert!(matches!(call(&mut state, "order").await, Err(wit::CallError::Denied(_))));
    state.grants.call = vec!["order".parse().unwrap()];
    call(&mut state, "order").await.unwrap();
    assert_eq!(seen.0.lock().pop().unwrap().target.to_string(), "shop/order");
}
