//! The gate: exact rates whatever the times, places in order, and nothing left behind by who went away.

use std::pin::pin;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn limits(config: &Value) -> Result<GateLimits, String> {
    GateLimits::read(Some(config), &[])
}

fn gate(config: &Value) -> Gate {
    Gate::new(Gated::Trigger, limits(config).unwrap())
}

#[test]
fn limits_are_read_and_what_is_wrong_is_named() {
    let read = limits(&json!({"rate": 5, "maxInFlight": 2, "queue": 3, "queueWaitMs": 7})).unwrap();
    assert_eq!((read.rate, read.in_flight, read.queue), (Some((5, 5)), Some(2), 3));
    assert_eq!(read.queue_wait, Duration::from_millis(7));
    assert_eq!(limits(&json!({})).unwrap().rate, None);
    assert_eq!(limits(&json!({"rate": null})).unwrap().rate, None);
    for (config, names) in [
        (json!({"rates": 5}), "`rates`"),
        (json!({"rate": 0}), "`rate`"),
        (json!({"rate": "5"}), "`rate`"),
        (json!({"rate": 1.5}), "`rate`"),
        (json!({"rate": -1}), "`rate`"),
        (json!({"rate": 1e9}), "`rate`"),
        (json!({"burst": 5}), "`burst`"),
        (json!({"queue": 5}), "`queue`"),
        (json!({"maxInFlight": 0}), "`maxInFlight`"),
        (json!({"maxInFlight": 1, "queueWaitMs": 60_001}), "`queueWaitMs`"),
    ] {
        let why = limits(&config).unwrap_err();
        assert!(why.contains(names), "{config}: {why}");
    }
}

#[test]
fn a_burst_is_let_through_and_then_the_rate() {
    let gate = gate(&json!({"rate": 10, "burst": 3}));
    for _ in 0..3 {
        gate.take_token(0).unwrap();
    }
    let refused = gate.take_token(0).unwrap_err();
    assert_eq!(refused.retry_after(), Duration::from_millis(100));
    gate.take_token(99_999_999).unwrap_err();
    gate.take_token(100_000_000).unwrap();
    gate.take_token(100_000_000).unwrap_err();
    // After a long rest there is one burst, not more.
    let admitted = (0..10).filter(|_| gate.take_token(60 * NANOS).is_ok()).count();
    assert_eq!(admitted, 3);
}

proptest! {
    #[test]
    fn never_more_than_rate_and_burst(rate in 1u32..2000, burst in 1u32..50, steps in prop::collection::vec(0u64..50_000_000, 1..300)) {
        let gate = gate(&json!({"rate": rate, "burst": burst}));
        let (mut now, mut admitted) = (0u64, 0u64);
        for step in steps {
            now += step;
            admitted += u64::from(gate.take_token(now).is_ok());
            // One more for the rounding of the time between two.
            let allowed = u128::from(burst) + u128::from(now) * u128::from(rate) / u128::from(NANOS) + 1;
            prop_assert!(u128::from(admitted) <= allowed);
        }
    }
}

#[tokio::test]
async fn places_go_to_those_who_wait_in_their_order() {
    let gate = gate(&json!({"maxInFlight": 1, "queue": 2, "queueWaitMs": 60_000}));
    let held = gate.enter().await.unwrap();
    let mut first = pin!(gate.enter());
    let mut second = pin!(gate.enter());
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    assert_eq!(
        gate.enter().await.unwrap_err(),
        GateRefusal::Full { of: Gated::Trigger, in_flight: 1, queue: 2 }
    );
    drop(held);
    assert!(second.as_mut().now_or_never().is_none(), "the first comes first");
    let held = first.await.unwrap();
    drop(held);
    let held = second.await.unwrap();
    // Who goes away leaves no place taken and nobody waiting.
    assert!(Box::pin(gate.enter()).now_or_never().is_none());
    assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
    drop(held);
    gate.enter().await.unwrap();
}

#[tokio::test]
async fn who_waits_too_long_is_told() {
    let gate = gate(&json!({"maxInFlight": 1, "queue": 2, "queueWaitMs": 1}));
    let _held = gate.enter().await.unwrap();
    let refused = gate.enter().await.unwrap_err();
    assert!(matches!(refused, GateRefusal::WaitedTooLong { .. }), "{refused}");
    assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn past_two_gates_a_place_of_each_is_held_and_none_is_left_behind() {
    let trigger = gate(&json!({"maxInFlight": 1}));
    let two = json!({"maxInFlight": 2});
    let route = Gate::new(Gated::Route, limits(&two).unwrap());
    let held = trigger.enter_after(&route).await.unwrap();
    // The trigger is full, which costs the route nothing, however often it is tried.
    for _ in 0..5 {
        let refused = trigger.enter_after(&route).await.unwrap_err();
        assert_eq!(refused, GateRefusal::Full { of: Gated::Trigger, in_flight: 1, queue: 0 });
    }
    let last = route.enter().await.unwrap();
    let refused = trigger.enter_after(&route).await.unwrap_err();
    assert_eq!(refused, GateRefusal::Full { of: Gated::Route, in_flight: 2, queue: 0 });
    drop((held, last));
    let _held = trigger.enter_after(&route).await.unwrap();
    route.enter().await.unwrap();
}
