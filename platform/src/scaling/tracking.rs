//! Targets by use: while a policy holds, as many instances are kept ready as make the busiest moment of the last minute use the wanted
//! part of them, within the policy's bounds. More at once, fewer only after a minute, so that a pause does not cost what was warm.
//!
//! Busy instances are counted at each look, four times a second; a moment between two looks is not seen.

use serde::{Deserialize, Serialize};

use super::PROVISION_TARGET_MAX;
use super::scheduled::{check_names, check_period};
use crate::error::RequestError;

/// Most policies of one config.
pub const TRACKING_POLICIES_MAX: usize = 100;
/// What one of [`BUCKETS`] stands for.
const BUCKET_MS: u64 = 10_000;
/// The running one and those of the minute before it.
const BUCKETS: usize = 7;
/// How long it is looked before fewer are kept ready.
const PATIENCE_MS: u64 = 60_000;

/// How many are kept ready follows how many are busy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackingPolicy {
    /// Its name, of which there is one in a config.
    pub name: String,
    /// Holds from this moment on, in milliseconds since the Unix epoch; none is from ever.
    pub start_ms: Option<u64>,
    /// Holds up to this moment; none is for ever.
    pub end_ms: Option<u64>,
    /// The part of those kept ready that is to be busy: above 0, at most 1.
    pub utilization: f64,
    /// At least so many are kept ready.
    pub min: u32,
    /// At most so many, up to [`PROVISION_TARGET_MAX`].
    pub max: u32,
}

impl TrackingPolicy {
    fn holds(&self, now_ms: u64) -> bool {
        (self.start_ms.unwrap_or(0)..=self.end_ms.unwrap_or(u64::MAX)).contains(&now_ms)
    }

    /// How many make `busy` that part of them.
    fn wanted(&self, busy: u32) -> u32 {
        let wanted = (f64::from(busy) / self.utilization).ceil();
        let most = f64::from(self.max);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and a u32 after this"
        )]
        let wanted = wanted.clamp(0.0, most) as u32;
        wanted.clamp(self.min, self.max)
    }
}

/// The busiest moments of the last minute.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Busy {
    /// When it was looked first.
    since_ms: Option<u64>,
    bucket: u64,
    highest: [u32; BUCKETS],
}

impl Busy {
    /// Takes note of how many are busy now.
    pub(super) fn note(&mut self, busy: u32, now_ms: u64) {
        self.since_ms.get_or_insert(now_ms);
        let bucket = now_ms / BUCKET_MS;
        let passed = bucket.saturating_sub(self.bucket).min(BUCKETS as u64);
        for _ in 0..passed {
            self.highest.rotate_right(1);
            if let Some(first) = self.highest.first_mut() {
                *first = 0;
            }
        }
        self.bucket = self.bucket.max(bucket);
        if let Some(first) = self.highest.first_mut() {
            *first = busy.max(*first);
        }
    }

    fn peak(&self) -> u32 {
        self.highest.iter().copied().max().unwrap_or(0)
    }

    fn is_young(&self, now_ms: u64) -> bool {
        self.since_ms.is_none_or(|since| now_ms.saturating_sub(since) < PATIENCE_MS)
    }
}

/// The target by the policies that hold now, the largest of them; none if none holds. Until a minute was looked, at least `otherwise`
/// within the bounds of the policy.
pub(super) fn target_of(
    policies: &[TrackingPolicy],
    busy: &Busy,
    otherwise: u32,
    now_ms: u64,
) -> Option<u32> {
    let wanted = policies.iter().filter(|policy| policy.holds(now_ms)).map(|policy| {
        let wanted = policy.wanted(busy.peak());
        let begun = otherwise.clamp(policy.min, policy.max);
        if busy.is_young(now_ms) { wanted.max(begun) } else { wanted }
    });
    wanted.max()
}

/// Refuses a list of policies that cannot be held to.
pub(super) fn check_policies(policies: &[TrackingPolicy]) -> Result<(), RequestError> {
    const FIELD: &str = "tracking_policies";
    if policies.len() > TRACKING_POLICIES_MAX {
        let limit = TRACKING_POLICIES_MAX as u64;
        return Err(RequestError::Quota { what: "tracking policies of a config", limit });
    }
    check_names(FIELD, policies.iter().map(|policy| policy.name.as_str()))?;
    for policy in policies {
        let name = policy.name.escape_debug();
        if !(policy.utilization > 0.0 && policy.utilization <= 1.0) {
            let why = format!("the part of `{name}` to be busy is not above 0 and at most 1");
            return Err(RequestError::invalid(FIELD, why));
        }
        if policy.min > policy.max || policy.max > PROVISION_TARGET_MAX {
            let why = format!(
                "{} to {} of `{name}` is no range of 0 to {PROVISION_TARGET_MAX}",
                policy.min, policy.max
            );
            return Err(RequestError::invalid(FIELD, why));
        }
        check_period(FIELD, &policy.name, policy.start_ms, policy.end_ms)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(utilization: f64, min: u32, max: u32) -> TrackingPolicy {
        TrackingPolicy { name: "p".to_owned(), start_ms: None, end_ms: None, utilization, min, max }
    }

    #[test]
    fn so_many_that_the_wanted_part_is_busy() {
        for (busy, wanted) in [(0, 2), (1, 2), (2, 4), (3, 5), (30, 50), (31, 50), (u32::MAX, 50)] {
            assert_eq!(policy(0.6, 2, 50).wanted(busy), wanted, "{busy}");
        }
        assert_eq!(policy(1.0, 0, 10).wanted(3), 3);
        assert_eq!(policy(f64::MIN_POSITIVE, 0, 10).wanted(1), 10);
        assert_eq!(policy(f64::MIN_POSITIVE, 0, 10).wanted(0), 0);
    }

    #[test]
    fn more_at_once_and_fewer_after_a_minute() {
        let (policies, mut busy) = ([policy(0.5, 1, 20)], Busy::default());
        let mut at = |seconds: u64, count: u32| {
            busy.note(count, seconds * 1000);
            target_of(&policies, &busy, 3, seconds * 1000).unwrap()
        };
        assert_eq!(at(0, 0), 3, "what was set holds at first");
        assert_eq!(at(1, 4), 8, "more at once");
        assert_eq!(at(59, 0), 8);
        assert_eq!(at(61, 1), 8, "it was busy within the last minute");
        assert_eq!(at(71, 0), 2, "and now less so");
        assert_eq!(at(140, 0), 1, "not below its least");
        assert_eq!(at(10_000, 9), 18, "whatever was not looked at");
    }

    #[test]
    fn the_largest_of_those_that_hold() {
        let later = TrackingPolicy { start_ms: Some(100), end_ms: Some(200), ..policy(0.5, 9, 9) };
        let policies = [policy(0.5, 1, 5), later];
        let at = |now_ms| target_of(&policies, &Busy::default(), 0, now_ms);
        assert_eq!((at(99), at(100), at(200), at(201)), (Some(1), Some(9), Some(9), Some(1)));
        assert_eq!(target_of(&policies[1..], &Busy::default(), 7, 1), None);
    }

    #[test]
    fn what_cannot_be_held_to_is_refused() {
        check_policies(&[policy(1.0, 0, PROVISION_TARGET_MAX)]).unwrap();
        for (utilization, min, max) in [
            (0.0, 0, 1),
            (-0.1, 0, 1),
            (1.01, 0, 1),
            (f64::NAN, 0, 1),
            (0.5, 2, 1),
            (0.5, 0, 10_001),
        ] {
            let bad = [policy(utilization, min, max)];
            assert!(check_policies(&bad).is_err(), "{utilization} {min} {max}");
        }
        assert!(check_policies(&[policy(0.5, 0, 1), policy(0.6, 0, 1)]).is_err(), "one name");
        let ended = TrackingPolicy { start_ms: Some(2), end_ms: Some(1), ..policy(0.5, 0, 1) };
        assert!(check_policies(&[ended]).is_err());
    }
}
