//! Which instances of a revision there are, at rest or at work. An instance is on it from when it is made until it is dropped, so what
//! is shown has no gap, whoever holds it at the moment. Whoever waits for room is told when one is taken off.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::presence::Presence;

/// The ids of the instances that exist; bounded by how many may.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    ids: Mutex<BTreeSet<u64>>,
    presence: Arc<Presence>,
}

impl Roster {
    pub(crate) fn new(presence: &Arc<Presence>) -> Arc<Self> {
        Arc::new(Self { ids: Mutex::default(), presence: presence.clone() })
    }

    /// Enters an instance.
    pub(crate) fn enter(self: &Arc<Self>, id: u64) -> Entered {
        self.ids.lock().insert(id);
        Entered { id, roster: self.clone() }
    }

    /// Who is there, oldest first.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.ids.lock().iter().copied().collect()
    }
}

/// That an instance is on its roster; it is taken off when this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    id: u64,
    roster: Arc<Roster>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.roster.ids.lock().remove(&self.id);
        self.roster.presence.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_dropped_is_off() {
        let roster = Arc::new(Roster::default());
        let (first, second) = (roster.enter(7), roster.enter(3));
        assert_eq!(roster.ids(), [3, 7]);
        drop(first);
        assert_eq!(roster.ids(), [3]);
        drop(second);
        assert!(roster.ids().is_empty());
    }
}
