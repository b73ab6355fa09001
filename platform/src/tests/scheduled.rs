//! Instances kept ready by the clock and by use, over a real engine and a clock that the test sets.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::storage::memory::MemoryStorage;

/// 2026-11-21T00:00:00Z, a Saturday.
const MIDNIGHT: u64 = 1_795_219_200_000;
const HOUR: u64 = 3_600_000;

/// Says what it was set to.
#[derive(Debug)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct Story {
    platform: Platform,
    clock: Arc<Hands>,
    storage: Arc<MemoryStorage>,
    dir: tempfile::TempDir,
}

const AT: Target<'static> = Target { service: "s", qualifier: None, function: "f" };

impl Story {
    async fn begin() -> Self {
        let clock = Arc::new(Hands(AtomicU64::new(MIDNIGHT)));
        let (storage, dir) = (Arc::new(MemoryStorage::new()), tempfile::tempdir().unwrap());
        let config = PlatformConfig::new(dir.path(), engine());
        let platform = Platform::open_with(config, storage.clone(), clock.clone()).await.unwrap();
        service(&platform, "s").await;
        platform.create_function("s", new_function("f", answering("one"))).await.unwrap();
        Self { platform, clock, storage, dir }
    }

    async fn reopen(&mut self) {
        let config = PlatformConfig::new(self.dir.path(), engine());
        let opened = Platform::open_with(config, self.storage.clone(), self.clock.clone()).await;
        self.platform = opened.unwrap();
    }

    fn set_clock(&self, ms: u64) {
        self.clock.0.store(ms, Ordering::SeqCst);
    }

    async fn put(&self, change: ProvisionChange) -> Result<ProvisionConfig, PlatformError> {
        self.platform.put_provision_config(AT, change).await
    }

    fn target(&self) -> u32 {
        self.platform.get_provision_config(AT).unwrap().target
    }

    /// Looks until there are as many instances as are wanted at this moment, which is told.
    async fn reached(&self) -> u32 {
        for _ in 0..1000 {
            self.platform.inner().reach_provisions().await;
            let config = self.platform.get_provision_config(AT).unwrap();
            let there = self.platform.instances(AT).unwrap().len();
            if config.current == config.target && there == config.target as usize {
                return config.target;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.platform.get_provision_config(AT));
    }

    fn listed(&self) -> usize {
        let all = self.platform.list_provision_configs(&list(9), &ProvisionFilter::default());
        all.unwrap().items.len()
    }
}

fn action(name: &str, expression: &str, target: u32) -> ScheduledAction {
    ScheduledAction {
        name: name.to_owned(),
        start_ms: None,
        end_ms: Some(MIDNIGHT + 48 * HOUR),
        target,
        expression: expression.to_owned(),
    }
}

fn by_day() -> ProvisionChange {
    let actions = vec![
        action("morning", "cron(0 0 8 * * *)", 4),
        action("evening", "cron(0 0 20 * * *)", 1),
        action("launch", "at(2026-11-21T12:00:00Z)", 6),
    ];
    ProvisionChange { target: 2, actions: Some(actions), ..ProvisionChange::default() }
}

#[tokio::test]
async fn targets_follow_the_clock_and_are_reached() {
    let mut story = Story::begin().await;
    assert_eq!(story.put(by_day()).await.unwrap().target, 2);
    assert_eq!(story.reached().await, 2);
    story.set_clock(MIDNIGHT + 8 * HOUR - 1);
    assert_eq!(story.target(), 2);
    story.set_clock(MIDNIGHT + 8 * HOUR);
    assert_eq!(story.target(), 4, "told at once");
    assert_eq!(story.reached().await, 4);
    story.set_clock(MIDNIGHT + 13 * HOUR);
    assert_eq!(story.reached().await, 6);
    // Whoever was not there when it fired finds the same.
    story.set_clock(MIDNIGHT + 21 * HOUR);
    story.reopen().await;
    assert_eq!(story.reached().await, 1);
    story.set_clock(MIDNIGHT + 32 * HOUR);
    assert_eq!(story.reached().await, 4, "the next morning");
    story.set_clock(MIDNIGHT + 24 * 365 * HOUR);
    assert_eq!(story.reached().await, 1, "they ended with the second evening");
}

#[tokio::test]
async fn what_is_set_holds_until_the_next_one_fires() {
    let story = Story::begin().await;
    story.put(by_day()).await.unwrap();
    story.set_clock(MIDNIGHT + 9 * HOUR);
    assert_eq!(story.target(), 4);
    let kept = ProvisionChange { target: 3, ..ProvisionChange::default() };
    let set = story.put(kept).await.unwrap();
    assert_eq!((set.target, set.actions.len()), (3, 3), "what is not said stays");
    story.set_clock(MIDNIGHT + 12 * HOUR);
    assert_eq!(story.target(), 6);
    let cleared = ProvisionChange { target: 0, actions: Some(Vec::new()), ..by_day() };
    assert_eq!(story.put(cleared).await.unwrap().target, 0);
    story.set_clock(MIDNIGHT + 20 * HOUR);
    assert_eq!((story.target(), story.listed()), (0, 0));
}

#[tokio::test]
async fn a_target_of_none_is_listed_while_it_can_rise() {
    let story = Story::begin().await;
    let later = ProvisionChange {
        actions: Some(vec![action("night", "cron(0 0 22 * * *)", 0)]),
        ..ProvisionChange::default()
    };
    story.put(later).await.unwrap();
    assert_eq!((story.target(), story.listed()), (0, 1));
    story.set_clock(MIDNIGHT + 49 * HOUR);
    assert_eq!((story.target(), story.listed()), (0, 0));
}

#[tokio::test]
async fn bad_actions_and_policies_change_nothing() {
    let story = Story::begin().await;
    story.put(by_day()).await.unwrap();
    let bad = ProvisionChange {
        target: 9,
        actions: Some(vec![action("a", "cron(0 0 25 * * *)", 1)]),
        ..ProvisionChange::default()
    };
    let error = story.put(bad).await.unwrap_err();
    assert!(is(&error, |e| matches!(e, RequestError::Invalid { field: "scheduled_actions", .. })));
    let bad = ProvisionChange { target: 9, policies: Some(vec![policy(0.0)]), ..by_day() };
    let error = story.put(bad).await.unwrap_err();
    assert!(is(&error, |e| matches!(e, RequestError::Invalid { field: "tracking_policies", .. })));
    assert_eq!(story.target(), 2);
}

fn policy(utilization: f64) -> TrackingPolicy {
    TrackingPolicy {
        name: "p".to_owned(),
        start_ms: None,
        end_ms: Some(MIDNIGHT + HOUR),
        utilization,
        min: 1,
        max: 5,
    }
}

#[tokio::test]
async fn a_policy_holds_the_target_within_its_bounds_while_it_holds() {
    let story = Story::begin().await;
    let tracked =
        ProvisionChange { target: 9, policies: Some(vec![policy(0.5)]), ..Default::default() };
    assert_eq!(story.put(tracked).await.unwrap().target, 5, "at most");
    assert_eq!(story.reached().await, 5);
    story.set_clock(MIDNIGHT + 61_000);
    assert_eq!(story.reached().await, 1, "nobody called for a minute");
    story.set_clock(MIDNIGHT + HOUR + 1);
    assert_eq!(story.reached().await, 9, "it is over");
}
