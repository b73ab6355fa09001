//! The instances of one revision that wait for an invocation.
//!
//! Kept in one stack per thread (up to a bound): an invocation takes the instance that its own thread used last, whose memory is
//! in that core's cache, and looks at other threads' only when its own has none. How many may run at once is not decided here
//! but by admission.
//!
//! What a thread used last is *parked* beside its stack, together with the right to run: an invocation that finds it there pays one
//! atomic exchange, and one when it parks it again. Whoever else wants it, or the right, settles the pool first.
//!
//! Why nothing that is parked is overlooked, though no lock is held. Whoever parks (1) exchanges the slot, (2) says [`SOME`], (3) looks whether
//! the pool is closed and (4) whether anybody waits. Whoever settles (a) says [`SETTLING`], (b) empties the slots, (c) says [`NONE`] unless
//! [`SOME`] was said meanwhile.
//! - Is (1) before (b), (b) finds it. Is it after, then (2) is after (a), for both exchange the same word, and says [`SOME`] anew.
//! - Who waits counts itself and then settles. Does it find [`NONE`], then before (2), and (4) sees its count. Does it settle and miss (1), then
//!   (1) is after its (b), and (4) sees its count. Else it has the right.
//! - Closing says so and then empties the slots: does it miss (1), then (3) sees it, and whoever parks takes back what it parked or
//!   finds that another did.
//!
//! Between (1) and (2) nobody else can have the instance or the right. That is as before (1), for the invocation has not ended yet.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::atomic::AtomicCell;
use parking_lot::Mutex;

use crate::StartKind;
use crate::admission::FunctionDoor;
use crate::instance::{Instance, Retirement};
use crate::starts::{Counts, Starts};

/// Most stacks per pool; more threads share.
const SHARDS_MAX: usize = 16;

/// One for each core, and as many more as make a power of two of them. Asked for once: the system answers from files.
static SHARDS: LazyLock<usize> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(SHARDS_MAX).next_power_of_two()
});

/// Nothing is parked.
const NONE: u8 = 0;
/// Something may be.
const SOME: u8 = 1;
/// Somebody puts it on the stacks.
const SETTLING: u8 = 2;

/// What one thread left, on cache lines that no other thread writes to. What each call writes is on the first.
#[derive(Default)]
#[repr(C, align(64))]
struct Shard {
    /// What it used last, with the right to run. Exchanged as one word, so it needs no lock.
    parked: AtomicCell<Option<Instance>>,
    starts: Starts,
    stack: Mutex<Vec<Instance>>,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("stack", &self.stack).finish_non_exhaustive()
    }
}

/// Instances at rest.
#[derive(Debug)]
pub(crate) struct Pool {
    shards: Box<[Shard]>,
    /// Those on a stack.
    idle: AtomicU32,
    /// Whether any may be parked: [`NONE`], [`SOME`] or [`SETTLING`]. Whoever parks says so afterwards, and whoever settles says so before
    /// and looks again if somebody said so meanwhile: none is overlooked.
    parked: AtomicU8,
    /// Held while settling, so that nothing on its way to a stack is missed by whoever wants it.
    settling: Mutex<()>,
    /// Set once the code is replaced: nothing comes back any more.
    is_closed: AtomicBool,
    retired: [AtomicU64; Retirement::ALL.len()],
}

/// Instances at rest, taken together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resting {
    pub(crate) count: u64,
    /// Linear memory and tables that they hold.
    pub(crate) bytes: u64,
    /// Since when the one rests that has rested longest.
    pub(crate) oldest: Instant,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..*SHARDS).map(|_| Shard::default()).collect(),
            idle: AtomicU32::new(0),
            parked: AtomicU8::new(NONE),
            settling: Mutex::default(),
            is_closed: false.into(),
            retired: Default::default(),
        }
    }

    /// One in whose account goes on what went of another.
    pub(crate) fn after(other: &Self) -> Self {
        let count = |count: &AtomicU64| AtomicU64::new(count.load(Ordering::Relaxed));
        let pool = Self { retired: other.retired.each_ref().map(count), ..Self::new() };
        if let Some(first) = pool.shards.first() {
            first.starts.add(&other.starts());
        }
        pool
    }

    /// Counts how an invocation started, on a line of memory of this thread: one for all would go from core to core with every call.
    pub(crate) fn count_start(&self, start: StartKind) {
        if let Some(own) = self.own() {
            own.starts.count(start);
        }
    }

    /// How invocations started so far.
    pub(crate) fn starts(&self) -> Counts {
        let mut all = Counts::default();
        for shard in &self.shards {
            shard.starts.add_to(&mut all);
        }
        all
    }

    fn own(&self) -> Option<&Shard> {
        // Their number is a power of two: a call asks three times, and divisions would add up.
        self.shards.get(thread_number() & self.shards.len().wrapping_sub(1))
    }

    /// Takes what this thread parked. The right to run comes with it: [`FunctionDoor::resume`].
    pub(crate) fn take_parked(&self) -> Option<Instance> {
        self.own()?.parked.take()
    }

    /// Parks an instance that served, with the right to run of whoever it served; that right is given back here if it does not stay.
    /// Gives back the instance if the pool is closed.
    pub(crate) fn park(
        &self,
        mut instance: Instance,
        now: Instant,
        door: &FunctionDoor,
    ) -> Result<(), Instance> {
        instance.idle_since = now;
        let Some(own) = self.own() else {
            door.leave();
            return Err(instance);
        };
        if let Some(before) = own.parked.swap(Some(instance)) {
            drop(self.unpark(own, before, door));
        }
        if self.parked.load(Ordering::SeqCst) != SOME {
            self.parked.swap(SOME, Ordering::SeqCst);
        }
        if self.is_closed() {
            let Some(instance) = own.parked.take() else { return Ok(()) };
            door.leave();
            return Err(instance);
        }
        // Either this sees who waits, or who waits sees what is parked.
        if door.waiting() > 0 {
            self.settle(door);
        }
        Ok(())
    }

    /// Puts all that is parked on the stacks and gives back the rights that it had.
    pub(crate) fn settle(&self, door: &FunctionDoor) {
        if self.parked.load(Ordering::SeqCst) == NONE {
            return;
        }
        let mut left = Vec::new();
        let settling = self.settling.lock();
        let turn = |from, to| {
            self.parked.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        };
        if turn(SOME, SETTLING) {
            for shard in &self.shards {
                let Some(instance) = shard.parked.take() else { continue };
                left.extend(self.unpark(shard, instance, door).err());
            }
            turn(SETTLING, NONE);
        }
        drop(settling);
        // Taken apart where nobody waits for it.
        drop(left);
    }

    /// Puts one on the stack beside, where its thread finds it first; gives it back if the pool is closed.
    fn unpark(
        &self,
        shard: &Shard,
        instance: Instance,
        door: &FunctionDoor,
    ) -> Result<(), Instance> {
        let unparked = self.insert(shard, instance, Vec::push);
        if unparked.is_err() {
            self.count(Retirement::Replaced);
        }
        door.leave();
        unparked
    }

    /// Takes the instance used last, from this thread's stack if it has one. With `prefers_used` one that never served is taken
    /// only where no thread has another; then what other threads parked is taken as well, but only if none lies here.
    pub(crate) fn take(&self, prefers_used: bool, door: &FunctionDoor) -> Option<Instance> {
        let is_used = |one: &mut Instance| one.uses > 0;
        if prefers_used {
            if self.idle() > 0
                && let Some(own) = self.own()
                && let Some(instance) = self.pop_from(own, is_used)
            {
                return Some(instance);
            }
            self.settle(door);
        }
        if self.idle() == 0 {
            return None;
        }
        let used = if prefers_used { self.pop(is_used) } else { None };
        used.or_else(|| self.pop(|_| true))
    }

    /// Takes the first one that is on top of a stack and `is_wanted`; those that never served lie below the others.
    fn pop(&self, is_wanted: impl Fn(&mut Instance) -> bool) -> Option<Instance> {
        let own = thread_number();
        let count = self.shards.len();
        (0..count).find_map(|step| {
            let shard = self.shards.get((own + step) % count)?;
            self.pop_from(shard, &is_wanted)
        })
    }

    fn pop_from(
        &self,
        shard: &Shard,
        is_wanted: impl Fn(&mut Instance) -> bool,
    ) -> Option<Instance> {
        let taken = shard.stack.lock().pop_if(is_wanted)?;
        self.idle.fetch_sub(1, Ordering::Release);
        Some(taken)
    }

    /// Puts an instance to rest; gives it back if the pool is closed.
    pub(crate) fn put(&self, mut instance: Instance, now: Instant) -> Result<(), Instance> {
        instance.idle_since = now;
        self.insert_here(instance, Vec::push)
    }

    /// Puts an instance below all others of its sort, for the keeper: those that served last are taken first, and those that never
    /// did last.
    pub(crate) fn put_below(&self, instance: Instance) -> Result<(), Instance> {
        self.insert_here(instance, |shard, instance| {
            let unused = match instance.uses {
                0 => 0,
                _ => shard.partition_point(|other| other.uses == 0),
            };
            shard.insert(unused, instance);
        })
    }

    fn insert_here(
        &self,
        instance: Instance,
        place: impl FnOnce(&mut Vec<Instance>, Instance),
    ) -> Result<(), Instance> {
        match self.own() {
            Some(own) => self.insert(own, instance, place),
            None => Err(instance),
        }
    }

    fn insert(
        &self,
        shard: &Shard,
        instance: Instance,
        place: impl FnOnce(&mut Vec<Instance>, Instance),
    ) -> Result<(), Instance> {
        let mut stack = shard.stack.lock();
        // Under the lock, so that closing either sees this instance or is seen here.
        if self.is_closed() {
            return Err(instance);
        }
        place(&mut stack, instance);
        self.idle.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Instances at rest on a stack.
    pub(crate) fn idle(&self) -> u32 {
        self.idle.load(Ordering::Acquire)
    }

    /// Takes out instances that have rested longer than `idle_time`, oldest first, but leaves `keep`.
    pub(crate) fn take_expired(&self, idle_time: Duration, keep: u32) -> Vec<Instance> {
        let now = Instant::now();
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.stack.lock();
            let mut spare = self.idle().saturating_sub(keep);
            let is_expired = |instance: &mut Instance| {
                let rested = now.saturating_duration_since(instance.idle_since);
                let goes = spare > 0 && rested >= idle_time;
                spare -= u32::from(goes);
                goes
            };
            let before = taken.len();
            taken.extend(shard.extract_if(.., is_expired));
            let count = u32::try_from(taken.len() - before).unwrap_or(u32::MAX);
            self.idle.fetch_sub(count, Ordering::Release);
        }
        taken
    }

    /// Takes out one instance that `is_wanted`, leaving all others where invocations find them.
    pub(crate) fn take_one(&self, is_wanted: impl Fn(&Instance) -> bool) -> Option<Instance> {
        for shard in &self.shards {
            let mut shard = shard.stack.lock();
            if let Some(position) = shard.iter().position(&is_wanted) {
                self.idle.fetch_sub(1, Ordering::Release);
                return Some(shard.remove(position));
            }
        }
        None
    }

    /// What rests here; none if nothing does.
    pub(crate) fn resting(&self) -> Option<Resting> {
        if self.idle.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut all: Option<Resting> = None;
        for shard in &self.shards {
            for instance in shard.stack.lock().iter() {
                let all =
                    all.get_or_insert(Resting { count: 0, bytes: 0, oldest: instance.idle_since });
                all.count += 1;
                all.bytes += instance.ledger().meter.held();
                all.oldest = all.oldest.min(instance.idle_since);
            }
        }
        all
    }

    /// Takes out the instance that has rested longest, to make room for another function's.
    pub(crate) fn take_oldest(&self) -> Option<Instance> {
        for shard in &self.shards {
            let mut shard = shard.stack.lock();
            let rested = shard.iter().enumerate().min_by_key(|(_, instance)| instance.idle_since);
            if let Some(position) = rested.map(|(position, _)| position) {
                self.idle.fetch_sub(1, Ordering::Release);
                return Some(shard.remove(position));
            }
        }
        None
    }

    /// Takes out everything and keeps the pool empty from now on.
    pub(crate) fn close(&self, door: &FunctionDoor) -> Vec<Instance> {
        self.is_closed.store(true, Ordering::SeqCst);
        let mut taken = Vec::new();
        for shard in &self.shards {
            if let Some(instance) = shard.parked.take() {
                taken.push(instance);
                door.leave();
            }
            taken.append(&mut shard.stack.lock());
        }
        self.idle.store(0, Ordering::Release);
        taken
    }

    /// Whether the pool was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// Counts an instance that went.
    pub(crate) fn count(&self, why: Retirement) {
        if let Some(counter) = self.retired.get(why as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many went, by reason.
    pub(crate) fn retired(&self) -> Vec<(&'static str, u64)> {
        let count = |why: &Retirement| {
            self.retired.get(*why as usize).map_or(0, |count| count.load(Ordering::Relaxed))
        };
        Retirement::ALL.iter().map(|why| (why.as_str(), count(why))).collect()
    }
}

/// A small number of its own for each thread that invokes, from 0 in the order in which they first ask; for whoever keeps apart what
/// several threads write. Threads that invoke nothing should not ask: instances are parked by it, and each would take a place.
pub fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        own.get().unwrap_or_else(|| {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            own.set(Some(number));
            number
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_thread_counts_is_in_the_sum_and_goes_on_in_the_next() {
        let pool = Pool::new();
        assert!(pool.shards.len().is_power_of_two());
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    pool.count_start(StartKind::Warm);
                    pool.count_start(StartKind::Fresh);
                });
            }
        });
        let counted = pool.shards.iter().filter(|shard| {
            let mut own = Counts::default();
            shard.starts.add_to(&mut own);
            own.iter().sum::<u64>() > 0
        });
        assert_eq!(counted.count(), pool.shards.len(), "threads take turns");
        let next = Pool::after(&pool);
        next.count_start(StartKind::Warm);
        let all = next.starts();
        assert_eq!((all[StartKind::Warm as usize], all[StartKind::Fresh as usize]), (41, 40));
        assert_eq!(all.iter().sum::<u64>(), 81);
    }

    #[test]
    fn what_is_parked_is_exchanged_without_a_lock() {
        assert!(AtomicCell::<Option<Instance>>::is_lock_free());
    }
}
