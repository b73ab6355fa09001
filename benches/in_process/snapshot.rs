//! A guest whose initializer builds a table of 16 MiB: fresh instances that begin with it, beside those of an empty guest of its kind, and
//! beside those that build it themselves.

use crate::Case;
use hearth_engine::{Isolation, LogType};

use crate::in_process::cases::{JSON_EVENT, Lab};

impl Lab {
    /// From a snapshot, to a fresh event component that has nothing to initialise.
    pub(crate) fn snapshot_beside_empty(&self, what: &'static str) -> Case {
        let ours = self.load("rust-table", Isolation::Snapshot);
        let empty = self.load("rust-event", Isolation::Fresh);
        Case {
            what,
            target: Some(2.0),
            ours: self.invoking(ours, "7", LogType::None),
            beside: self.invoking(empty, JSON_EVENT, LogType::None),
        }
    }

    /// From a snapshot, to instances that run the initializer.
    pub(crate) fn snapshot_beside_initialising(&self, what: &'static str) -> Case {
        let ours = self.load("rust-table", Isolation::Snapshot);
        let initialising = self.load("rust-table", Isolation::Fresh);
        Case {
            what,
            target: None,
            ours: self.invoking(ours, "7", LogType::None),
            beside: self.invoking(initialising, "7", LogType::None),
        }
    }
}
