//! Where the instance of one WebSocket waits between two messages, when the connection has an instance of its own.
//!
//! It holds the permit that the instance was admitted with, so such an instance counts against its function's bound for as long
//! as its connection is open, busy or not. It is in no pool: nobody else is served by it, and it goes with the seat.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::admission::Permit;
use crate::engine::EngineInner;
use crate::instance::{Instance, Retirement};
use crate::revision::Revision;

/// One connection's place.
pub(crate) struct Seat {
    engine: Arc<EngineInner>,
    revision: Arc<Revision>,
    place: Mutex<Place>,
}

#[derive(Default)]
struct Place {
    instance: Option<Instance>,
    holds_permit: bool,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seat").field("function", &self.revision.shared.name).finish_non_exhaustive()
    }
}

impl Seat {
    pub(crate) fn new(engine: Arc<EngineInner>, revision: Arc<Revision>) -> Self {
        Self { engine, revision, place: Mutex::default() }
    }

    /// The engine and the code that its instance is of.
    pub(crate) fn origin(&self) -> (&Arc<EngineInner>, &Arc<Revision>) {
        (&self.engine, &self.revision)
    }

    /// Whether it has been admitted before.
    pub(crate) fn holds_permit(&self) -> bool {
        self.place.lock().holds_permit
    }

    /// Whether its instance waits here.
    pub(crate) fn is_occupied(&self) -> bool {
        self.place.lock().instance.is_some()
    }

    pub(crate) fn take(&self) -> Option<Instance> {
        self.place.lock().instance.take()
    }

    /// Keeps an instance, and the right to it, for the next message.
    pub(crate) fn keep(&self, instance: Instance, permit: Option<Permit<'_>>) {
        let mut place = self.place.lock();
        if let Some(permit) = permit {
            permit.keep();
            place.holds_permit = true;
        }
        place.instance = Some(instance);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let place = std::mem::take(self.place.get_mut());
        if let Some(instance) = place.instance {
            self.engine.keeper.let_go(instance);
            self.revision.pool.count(Retirement::SingleUse);
        }
        if place.holds_permit {
            self.revision.door.leave();
        }
    }
}
