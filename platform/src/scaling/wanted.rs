//! How many instances a config wants ready at this moment: what was set, or what an action set since, or what a policy makes of it.
//!
//! Nothing here outlives the process: all but the count of busy instances follows from config and time. Bounded by the configs there are.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::ProvisionConfig;
use super::scheduled::{self, Timed};
use super::tracking::{self, Busy};
use crate::catalog::Record;

/// What was found out so far, by the key of the config.
#[derive(Debug, Default)]
pub(super) struct Wanted(Mutex<HashMap<String, Held>>);

/// Of one config.
#[derive(Debug)]
struct Held {
    /// The config's; another one is another config.
    revision: u64,
    actions: Vec<Timed>,
    /// The target by the clock, and the moment for which it was found: later looks search from there on only.
    target: u32,
    as_of_ms: u64,
    busy: Busy,
}

impl Held {
    fn new(config: &ProvisionConfig) -> Self {
        Self {
            revision: config.revision,
            actions: scheduled::timed(&config.actions),
            target: config.target,
            as_of_ms: config.set_ms,
            busy: Busy::default(),
        }
    }
}

impl Wanted {
    /// The target that holds now.
    pub(super) fn target(&self, config: &ProvisionConfig, now_ms: u64) -> u32 {
        if config.actions.is_empty() && config.policies.is_empty() {
            return config.target;
        }
        self.with(config, |held| {
            if let Some(target) = scheduled::target_of(&held.actions, held.as_of_ms, now_ms) {
                held.target = target;
            }
            held.as_of_ms = held.as_of_ms.max(now_ms);
            let tracked = tracking::target_of(&config.policies, &held.busy, held.target, now_ms);
            tracked.unwrap_or(held.target)
        })
    }

    /// Takes note of how many instances of a config are busy now.
    pub(super) fn note_busy(&self, config: &ProvisionConfig, busy: u32, now_ms: u64) {
        self.with(config, |held| held.busy.note(busy, now_ms));
    }

    /// Forgets all configs but those.
    pub(super) fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.0.lock().retain(|key, _| is_there(key));
    }

    fn with<T>(&self, config: &ProvisionConfig, look: impl FnOnce(&mut Held) -> T) -> T {
        let mut all = self.0.lock();
        let held = all.entry(config.key()).or_insert_with(|| Held::new(config));
        // A reader may still hold the config from before a change: it must not undo what is known of the newer one.
        if held.revision < config.revision {
            *held = Held { busy: held.busy, ..Held::new(config) };
        }
        look(held)
    }
}
