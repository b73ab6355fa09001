//! Guests whose initializer is costly: fresh instances that begin where it ended, beside those of an empty guest of the same toolchain, and
//! beside those that initialise themselves. In Rust a table of 16 MiB, in JavaScript and Python a catalogue of 50,000 objects.

use std::time::Duration;

use hearth_engine::{Engine, EngineConfig, FunctionSpec, Isolation, Limits, LogType};

use crate::in_process::cases::{JSON_EVENT, Lab};
use crate::{Case, Side, guest, is_built};

/// What the catalogue is asked for.
const ITEM: &str = r#""item-49999""#;

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

    fn interpreter(&self, name: &str, isolation: Isolation, event: &'static str) -> Side {
        let engine = self.interpreters.get_or_init(|| {
            let config = EngineConfig { fast_tier_bytes: u64::MAX, ..EngineConfig::default() };
            Engine::builder().config(config).build().expect("an engine")
        });
        let (initialize_timeout, memory_bytes) = (Duration::from_secs(60), 512 << 20);
        let limits = Limits { initialize_timeout, memory_bytes, ..Limits::default() };
        let spec = FunctionSpec::new(name, guest(name)).isolation(isolation).limits(limits);
        let function = self.load_spec(engine, spec);
        self.invoking(function, event, LogType::None)
    }
}

/// A comparison of guests that are not kept in the repository.
#[derive(Debug, Clone, Copy)]
pub struct Interpreted {
    /// What is done, and beside what.
    pub what: &'static str,
    target: Option<f64>,
    ours: (&'static str, Isolation, &'static str),
    beside: (&'static str, Isolation, &'static str),
}

/// All of them.
pub const INTERPRETED: &[Interpreted] = &[
    Interpreted {
        what: "snapshot of a JavaScript catalogue, fresh empty one",
        target: Some(2.0),
        ours: ("js-table", Isolation::Snapshot, ITEM),
        beside: ("js-hello", Isolation::Fresh, JSON_EVENT),
    },
    Interpreted {
        what: "snapshot of a JavaScript catalogue, fresh that builds",
        target: None,
        ours: ("js-table", Isolation::Snapshot, ITEM),
        beside: ("js-table", Isolation::Fresh, ITEM),
    },
    Interpreted {
        what: "snapshot of a Python catalogue, fresh empty one",
        target: Some(2.0),
        ours: ("python-table", Isolation::Snapshot, ITEM),
        beside: ("python-hello", Isolation::Fresh, JSON_EVENT),
    },
    Interpreted {
        what: "snapshot of a Python catalogue, fresh that builds",
        target: None,
        ours: ("python-table", Isolation::Snapshot, ITEM),
        beside: ("python-table", Isolation::Fresh, ITEM),
    },
    Interpreted {
        what: "fresh empty JavaScript, fresh empty Rust",
        target: None,
        ours: ("js-hello", Isolation::Fresh, JSON_EVENT),
        beside: ("rust-event", Isolation::Fresh, JSON_EVENT),
    },
    Interpreted {
        what: "fresh empty Python, fresh empty Rust",
        target: None,
        ours: ("python-hello", Isolation::Fresh, JSON_EVENT),
        beside: ("rust-event", Isolation::Fresh, JSON_EVENT),
    },
];

impl Interpreted {
    /// Ready to run, or the name of a guest that was not built.
    ///
    /// # Errors
    /// That name.
    pub fn make(&self, lab: &Lab) -> Result<Case, &'static str> {
        let Self { what, target, ours, beside } = *self;
        if let Some((missing, ..)) = [ours, beside].into_iter().find(|(name, ..)| !is_built(name)) {
            return Err(missing);
        }
        let side = |(name, isolation, event)| lab.interpreter(name, isolation, event);
        Ok(Case { what, target, ours: side(ours), beside: side(beside) })
    }
}
