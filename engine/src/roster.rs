//! Which instances of a revision there are, at rest or at work. An instance is on it from when it is made until it is dropped, so what
//! is shown has no gap, whoever holds it at the moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

/// The ids of the instances that exist; bounded by how many may.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<BTreeSet<u64>>);

impl Roster {
    /// Enters an instance.
    pub(crate) fn enter(self: &Arc<Self>, id: u64) -> Entered {
        self.0.lock().insert(id);
        Entered { id, roster: self.clone() }
    }

    /// Who is there, oldest first.
    pub(crate) fn ids(&self) -> Vec<u64> {
        self.0.lock().iter().copied().collect()
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
        self.roster.0.lock().remove(&self.id);
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
