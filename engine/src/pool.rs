//! The instances of one revision that wait for an invocation.
//!
//! Kept in one stack per thread (up to a bound): an invocation takes the instance that its own thread used last, whose memory is
//! in that core's cache, and looks at other threads' only when its own has none. How many may run at once is not decided here
//! but by admission.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::instance::{Instance, Retirement};

/// Most stacks per pool; more threads share.
const SHARDS_MAX: usize = 16;

/// One for each core. Asked for once: the system answers from files.
static SHARDS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).min(SHARDS_MAX));

/// Instances at rest.
#[derive(Debug)]
pub(crate) struct Pool {
    shards: Box<[Mutex<Vec<Instance>>]>,
    idle: AtomicU32,
    /// Set once the code is replaced: nothing comes back any more.
    is_closed: std::sync::atomic::AtomicBool,
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
            shards: (0..*SHARDS).map(|_| Mutex::default()).collect(),
            idle: AtomicU32::new(0),
            is_closed: false.into(),
            retired: Default::default(),
        }
    }

    /// One in whose account goes on what went of another.
    pub(crate) fn after(other: &Self) -> Self {
        let count = |count: &AtomicU64| AtomicU64::new(count.load(Ordering::Relaxed));
        Self { retired: other.retired.each_ref().map(count), ..Self::new() }
    }

    /// Takes the instance used last, from this thread's stack if it has one. With `prefers_used` one that never served is taken
    /// only where no thread has another.
    pub(crate) fn take(&self, prefers_used: bool) -> Option<Instance> {
        if self.idle.load(Ordering::Acquire) == 0 {
            return None;
        }
        let used = if prefers_used { self.pop(|one| one.uses > 0) } else { None };
        used.or_else(|| self.pop(|_| true))
    }

    /// Takes the first one that is on top of a stack and `is_wanted`; those that never served lie below the others.
    fn pop(&self, is_wanted: impl Fn(&mut Instance) -> bool) -> Option<Instance> {
        let own = thread_number();
        let count = self.shards.len();
        for step in 0..count {
            let shard = self.shards.get((own + step) % count)?;
            let taken = shard.lock().pop_if(&is_wanted);
            if let Some(instance) = taken {
                self.idle.fetch_sub(1, Ordering::Release);
                return Some(instance);
            }
        }
        None
    }

    /// Puts an instance to rest; gives it back if the pool is closed.
    pub(crate) fn put(&self, mut instance: Instance, now: Instant) -> Result<(), Box<Instance>> {
        instance.idle_since = now;
        self.insert(instance, Vec::push)
    }

    /// Puts an instance below all others of its sort, for the keeper: those that served last are taken first, and those that never
    /// did last.
    pub(crate) fn put_below(&self, instance: Instance) -> Result<(), Box<Instance>> {
        self.insert(instance, |shard, instance| {
            let unused = match instance.uses {
                0 => 0,
                _ => shard.partition_point(|other| other.uses == 0),
            };
            shard.insert(unused, instance);
        })
    }

    fn insert(
        &self,
        instance: Instance,
        place: impl FnOnce(&mut Vec<Instance>, Instance),
    ) -> Result<(), Box<Instance>> {
        let own = thread_number() % self.shards.len();
        let Some(shard) = self.shards.get(own) else { return Err(Box::new(instance)) };
        let mut shard = shard.lock();
        // Under the lock, so that closing either sees this instance or is seen here.
        if self.is_closed.load(Ordering::Acquire) {
            return Err(Box::new(instance));
        }
        place(&mut shard, instance);
        self.idle.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Instances at rest.
    pub(crate) fn idle(&self) -> u32 {
        self.idle.load(Ordering::Acquire)
    }

    /// Takes out instances that have rested longer than `idle_time`, oldest first, but leaves `keep`.
    pub(crate) fn take_expired(&self, idle_time: Duration, keep: u32) -> Vec<Instance> {
        let now = Instant::now();
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.lock();
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
            let mut shard = shard.lock();
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
            for instance in shard.lock().iter() {
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
            let mut shard = shard.lock();
            let rested = shard.iter().enumerate().min_by_key(|(_, instance)| instance.idle_since);
            if let Some(position) = rested.map(|(position, _)| position) {
                self.idle.fetch_sub(1, Ordering::Release);
                return Some(shard.remove(position));
            }
        }
        None
    }

    /// Takes out everything and keeps the pool empty from now on.
    pub(crate) fn close(&self) -> Vec<Instance> {
        self.is_closed.store(true, Ordering::Release);
        let mut taken = Vec::new();
        for shard in &self.shards {
            taken.append(&mut shard.lock());
        }
        self.idle.store(0, Ordering::Release);
        taken
    }

    /// Whether the pool was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
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

/// A small number of its own for each thread that invokes.
pub(crate) fn thread_number() -> usize {
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
