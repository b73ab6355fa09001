//! Those who wait for room in the engine, in the order in which they came.
//!
//! What comes free is told to one of them, the first who was not told. It may be too little memory for that one and enough for another
//! behind it, so the word is passed on: always backwards in the queue, and only to one who would fit, so that it ends. Whoever is told
//! keeps its place; what comes free next is told to the first again.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::memory_meter::MemoryBudget;

/// The queue; bounded by the calls that the functions' own queues let in.
#[derive(Debug, Default)]
pub(crate) struct RoomQueue(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: BTreeMap<u64, Waiter>,
}

#[derive(Debug, Default)]
struct Waiter {
    /// Memory that there was not enough of when it looked last; 0 where it was a place.
    wanted_bytes: u64,
    is_told: bool,
    notify: Arc<Notify>,
}

impl Queue {
    /// Tells the first of those after `place`, or of all, who would fit and was not told.
    fn tell(&mut self, after: Option<u64>, room_bytes: u64) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut behind = self.waiting.range_mut((from, Bound::Unbounded));
        let fits = |waiter: &Waiter| !waiter.is_told && waiter.wanted_bytes <= room_bytes;
        if let Some((_, waiter)) = behind.find(|(_, waiter)| fits(waiter)) {
            waiter.is_told = true;
            waiter.notify.notify_one();
        }
    }
}

impl RoomQueue {
    /// Comes in, behind the others. `first` is run before anybody can leave, where nobody waited.
    pub(crate) fn enter<'a>(
        &'a self,
        budget: &'a MemoryBudget,
        first: impl FnOnce(),
    ) -> Waiting<'a> {
        let mut queue = self.0.lock();
        if queue.waiting.is_empty() {
            first();
        }
        let place = queue.next;
        queue.next += 1;
        let waiter = Waiter::default();
        let notify = waiter.notify.clone();
        queue.waiting.insert(place, waiter);
        Waiting { queue: &self.0, budget, place, notify, looks: false }
    }

    /// Says that something came free. It is the first who is told, whatever it wants: what rests may be dropped for it.
    pub(crate) fn tell_first(&self) {
        self.0.lock().tell(None, u64::MAX);
    }
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    queue: &'a Mutex<Queue>,
    budget: &'a MemoryBudget,
    place: u64,
    notify: Arc<Notify>,
    /// Was told, and has not yet said what it found.
    looks: bool,
}

impl Waiting<'_> {
    /// Ends when it is told; at once, if it was told since it was last waited for.
    pub(crate) async fn told(&mut self) {
        self.notify.notified().await;
        self.looks = true;
        if let Some(waiter) = self.queue.lock().waiting.get_mut(&self.place) {
            waiter.is_told = false;
        }
    }

    /// Says that what came free was too little memory, or that another had the place.
    pub(crate) fn found_none(&mut self, wanted_bytes: Option<u64>) {
        let looked = std::mem::take(&mut self.looks);
        let mut queue = self.queue.lock();
        if let Some(waiter) = queue.waiting.get_mut(&self.place) {
            waiter.wanted_bytes = wanted_bytes.unwrap_or(0);
        }
        // Where there is no place, there is none for anybody.
        if looked && wanted_bytes.is_some() {
            queue.tell(Some(self.place), self.budget.left());
        }
    }

    /// Says that it has what it wanted. Of memory there may be more.
    pub(crate) fn found(&mut self) {
        let mut queue = self.queue.lock();
        let is_memory = queue.waiting.get(&self.place).is_some_and(|own| own.wanted_bytes > 0);
        if std::mem::take(&mut self.looks) && is_memory {
            queue.tell(Some(self.place), self.budget.left());
        }
    }

    /// Goes; what it was told and did not look for is passed on. `last` is run before anybody can enter, where nobody is left.
    pub(crate) fn leave(&mut self, last: impl FnOnce()) {
        let mut queue = self.queue.lock();
        let was_told = queue.waiting.remove(&self.place).is_some_and(|own| own.is_told);
        if was_told || self.looks {
            queue.tell(Some(self.place), u64::MAX);
        }
        if queue.waiting.is_empty() {
            last();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use hearth_host_api::memory_fs::Space as _;

    use super::*;

    fn is_told(waiting: &mut Waiting<'_>) -> bool {
        waiting.told().now_or_never().is_some()
    }

    /// So many that wait for so much memory each, and there is so much of it.
    fn waiting<'a>(
        queue: &'a RoomQueue,
        budget: &'a MemoryBudget,
        wanted: &[Option<u64>],
    ) -> Vec<Waiting<'a>> {
        let enter = |&wanted: &Option<u64>| {
            let mut waiting = queue.enter(budget, || ());
            waiting.found_none(wanted);
            waiting
        };
        wanted.iter().map(enter).collect()
    }

    #[test]
    fn each_that_comes_free_is_told_to_another_in_their_order() {
        let (queue, budget) = (RoomQueue::default(), MemoryBudget::new(100));
        let mut all = waiting(&queue, &budget, &[None, None, None]);
        queue.tell_first();
        queue.tell_first();
        assert!(is_told(&mut all[0]) && is_told(&mut all[1]) && !is_told(&mut all[2]));
        all[0].found_none(None);
        assert!(!is_told(&mut all[2]), "where there is no place there is none for anybody");
        queue.tell_first();
        assert!(is_told(&mut all[0]), "it kept its turn");
    }

    #[test]
    fn what_is_too_little_for_one_is_told_to_one_behind_it_that_fits() {
        let (queue, budget) = (RoomQueue::default(), MemoryBudget::new(100));
        assert!(budget.take(40));
        let mut all = waiting(&queue, &budget, &[Some(80), Some(61), Some(60), Some(10)]);
        queue.tell_first();
        assert!(is_told(&mut all[0]));
        all[0].found_none(Some(80));
        assert!(!is_told(&mut all[1]) && is_told(&mut all[2]));
        assert!(budget.take(45));
        all[2].found();
        assert!(is_told(&mut all[3]), "there is more than that one took");
        all[3].found_none(Some(10));
        assert!(all.iter_mut().all(|one| !is_told(one)), "it ends at the last");
    }

    #[test]
    fn who_goes_without_looking_passes_on_what_it_was_told() {
        let (queue, budget) = (RoomQueue::default(), MemoryBudget::new(100));
        for has_heard in [false, true] {
            let mut all = waiting(&queue, &budget, &[None, None]);
            queue.tell_first();
            if has_heard {
                assert!(is_told(&mut all[0]));
            }
            all[0].leave(|| panic!("one is left"));
            assert!(is_told(&mut all[1]), "{has_heard}");
            all[1].found();
            let mut is_last = false;
            all[1].leave(|| is_last = true);
            assert!(is_last);
        }
    }
}
