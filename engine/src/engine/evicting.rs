//! Whose instance goes when there is room for no more: the least useful of a few that are looked at.
//!
//! Useful is what is called often for the memory it holds: calls of the function lately, over the bytes that its idle instances hold
//! together, so the tenth idle instance of a busy function is worth less than the only one of a quiet one that is called as often as a
//! tenth of that. Worked out when room is wanted and never on the way of a call, from counters that are there anyway.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::EngineInner;
use crate::Eviction;
use crate::instance::Retirement;
use crate::pool::Resting;
use crate::revision::Revision;

/// Functions with idle instances that are looked at each time: the least of so many is near the least of all.
const LOOKED_AT: usize = 16;

/// Calls count half when they were so long ago.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// What an instance takes beside its memory.
const OVERHEAD_BYTES: u64 = 64 << 10;

/// How often a function was called lately, as of the last look.
#[derive(Debug)]
pub(crate) struct Demand(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    since: Instant,
    at: Instant,
    calls: u64,
    /// Calls, each halved for every half-life that passed since.
    weighted: f64,
}

impl Demand {
    /// From now on, after `calls` that do not count.
    pub(crate) fn since(calls: u64) -> Self {
        let now = Instant::now();
        Self(Mutex::new(Seen { since: now, at: now, calls, weighted: 0.0 }))
    }

    /// Calls a second lately, given all that there were up to now.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn rate(&self, calls: u64, now: Instant) -> f64 {
        let mut seen = self.0.lock();
        let passed = now.saturating_duration_since(seen.at).as_secs_f64();
        let kept = (-passed / HALF_LIFE.as_secs_f64()).exp2();
        seen.weighted = seen.weighted * kept + calls.saturating_sub(seen.calls) as f64;
        (seen.at, seen.calls) = (now, calls);
        // Over its life, as far as that counts; a function of this moment is not infinitely useful.
        let life = now.saturating_duration_since(seen.since).as_secs_f64();
        seen.weighted / life.clamp(1.0, HALF_LIFE.as_secs_f64())
    }
}

impl EngineInner {
    /// Drops one idle instance, of the least useful function among some; false if there is none.
    pub(crate) fn evict_one(&self) -> bool {
        let now = Instant::now();
        let revisions = self.revisions.read();
        let count = revisions.len();
        let start = self.eviction_cursor.load(Ordering::Relaxed);
        let (mut least, mut looked_at, mut passed) = (None, 0, 0);
        while passed < count && looked_at < LOOKED_AT {
            let revision = revisions.get((start + passed) % count).and_then(Weak::upgrade);
            passed += 1;
            let Some(revision) = revision else { continue };
            revision.pool.settle(&revision.door);
            let Some(resting) = revision.pool.resting() else { continue };
            looked_at += 1;
            let worth = worth(self.config.eviction, &revision, &resting, now);
            if least.as_ref().is_none_or(|(least, _)| worth < *least) {
                least = Some((worth, revision));
            }
        }
        // Others are looked at the next time.
        self.eviction_cursor.store(start.wrapping_add(passed), Ordering::Relaxed);
        drop(revisions);
        let Some((_, revision)) = least else { return false };
        let Some(instance) = revision.pool.take_oldest() else {
            // It was taken meanwhile; whoever took it is served, and room is still wanted.
            return true;
        };
        drop(instance);
        revision.pool.count(Retirement::Evicted);
        true
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn worth(policy: Eviction, revision: &Revision, resting: &Resting, now: Instant) -> f64 {
    match policy {
        Eviction::LeastUseful => {
            let calls = revision.starts().iter().sum();
            let bytes = resting.bytes + resting.count * OVERHEAD_BYTES;
            revision.demand.rate(calls, now) / bytes as f64
        }
        Eviction::LeastRecent => -now.saturating_duration_since(resting.oldest).as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_is_of_lately() {
        let demand = Demand::since(0);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let busy = demand.rate(600, at(60));
        assert!((9.0..=10.5).contains(&busy), "{busy}");
        let after_a_quiet_minute = demand.rate(600, at(120));
        assert!((4.5..=5.5).contains(&after_a_quiet_minute), "{after_a_quiet_minute}");
        assert!(demand.rate(600, at(1200)) < 0.01);
        assert!(demand.rate(1200, at(1200)) > 9.0, "what comes back counts at once");
    }

    #[test]
    fn what_began_this_moment_is_not_infinitely_useful() {
        let demand = Demand::since(0);
        assert!(demand.rate(1, Instant::now()) <= 1.0);
    }
}
