//! The engine's clock: one OS thread that advances the epochs and wakes what waits for a deadline.
//!
//! It stands outside every async runtime, because a spinning guest can pin the worker that owns a runtime's timers and with
//! them every timeout of the process. It ticks each millisecond while guests run, and parks soon after the last one ended.
//! Bounded by the number of invocations: each registers at most one deadline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::presence::Presence;

/// Distance of two epochs: the longest a guest runs before it yields or its deadline is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a running guest before the thread parks. Unparking costs the caller a system call, so it is worth ticking on
/// through short gaps.
const TICKS_BEFORE_PARKING: u32 = 100;

/// Handle to the clock; ends its thread when dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Guests running now, and whether the thread sleeps until someone notifies it.
    presence: Arc<Presence>,
    stopped: AtomicBool,
    /// Set once, when draining ran out of time: every guest ends at its next tick or wake.
    cancelled: AtomicBool,
    next_key: AtomicU64,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    engines: Vec<wasmtime::EngineWeak>,
    deadlines: BTreeMap<(Instant, u64), Waker>,
}

impl Ticker {
    /// Starts the thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            presence: Arc::default(),
            stopped: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            next_key: AtomicU64::new(0),
            queue: Mutex::new(Queue::default()),
            wake: Condvar::new(),
        });
        let on_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("hearth-ticker".to_owned())
            .spawn(move || on_thread.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Advances this engine's epoch from now on; once per tick, however often this is called.
    pub(crate) fn watch(&self, engine: &wasmtime::Engine) {
        let mut queue = self.shared.queue.lock();
        let is_watched = queue
            .engines
            .iter()
            .filter_map(wasmtime::EngineWeak::upgrade)
            .any(|watched| wasmtime::Engine::same(&watched, engine));
        if !is_watched {
            queue.engines.push(engine.weak());
        }
    }

    /// Says that a guest runs until the guard drops, so that epochs advance.
    pub(crate) fn running(&self) -> Running<'_> {
        if self.shared.presence.enter_other().clock_sleeps() {
            self.wake();
        }
        Running { shared: &self.shared }
    }

    /// Who runs. Invocations count themselves in and wake the clock if it sleeps; all others go through [`running`](Self::running).
    pub(crate) fn presence(&self) -> &Arc<Presence> {
        &self.shared.presence
    }

    /// Has the clock go on.
    pub(crate) fn wake(&self) {
        self.shared.notify();
    }

    /// Ends every running guest at its next chance. There is no way back.
    pub(crate) fn cancel_all(&self) {
        self.shared.cancelled.store(true, Ordering::SeqCst);
        let deadlines = std::mem::take(&mut self.shared.queue.lock().deadlines);
        for waker in deadlines.into_values() {
            waker.wake();
        }
    }

    /// Whether [`cancel_all`](Self::cancel_all) was called.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Ordering::Relaxed)
    }

    /// A deadline that can wake a task; nothing is registered until it is armed.
    pub(crate) fn alarm(&self, at: Instant) -> Alarm<'_> {
        Alarm { shared: &self.shared, at, armed: None }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.notify();
        if let Some(thread) = self.thread.take() {
            // The thread only panics if waking a task does; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// While this lives, epochs advance.
pub(crate) struct Running<'a> {
    shared: &'a Shared,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.presence.leave_other();
    }
}

/// One deadline of one task.
pub(crate) struct Alarm<'a> {
    shared: &'a Shared,
    at: Instant,
    armed: Option<(u64, Waker)>,
}

impl Alarm<'_> {
    /// Makes sure that `waker` is woken at the deadline.
    pub(crate) fn arm(&mut self, waker: &Waker) {
        if self.armed.as_ref().is_some_and(|(_, armed)| armed.will_wake(waker)) {
            return;
        }
        self.disarm();
        let key = self.shared.next_key.fetch_add(1, Ordering::Relaxed);
        let is_first = {
            let mut queue = self.shared.queue.lock();
            queue.deadlines.insert((self.at, key), waker.clone());
            queue.deadlines.first_key_value().is_some_and(|(first, _)| *first == (self.at, key))
        };
        self.armed = Some((key, waker.clone()));
        // Awake, the thread looks at the queue each tick; parked, it must learn of a new earliest deadline.
        if is_first && self.shared.presence.now().clock_sleeps() {
            self.shared.notify();
        }
    }

    fn disarm(&mut self) {
        if let Some((key, _)) = self.armed.take() {
            self.shared.queue.lock().deadlines.remove(&(self.at, key));
        }
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl Shared {
    fn notify(&self) {
        // Taking the lock closes the gap between the thread's last look and its wait.
        drop(self.queue.lock());
        self.wake.notify_one();
    }

    fn run(&self) {
        let mut quiet_ticks = 0;
        let mut due = Vec::new();
        while !self.stopped.load(Ordering::SeqCst) {
            if self.presence.now().is_empty() {
                quiet_ticks += 1;
            } else {
                quiet_ticks = 0;
            }
            if quiet_ticks > TICKS_BEFORE_PARKING {
                self.park();
                quiet_ticks = 0;
            } else {
                std::thread::sleep(self.until_next());
            }
            self.tick(&mut due);
        }
    }

    /// Sleeps until a guest runs or the earliest deadline comes.
    fn park(&self) {
        let mut queue = self.queue.lock();
        let present = self.presence.clock_falls_asleep();
        if present.is_empty() && !self.stopped.load(Ordering::SeqCst) {
            match queue.deadlines.first_key_value().map(|((at, _), _)| *at) {
                Some(at) => drop(self.wake.wait_until(&mut queue, at)),
                None => self.wake.wait(&mut queue),
            }
        }
        self.presence.clock_is_awake();
    }

    /// A tick, or less if a deadline comes sooner.
    fn until_next(&self) -> Duration {
        let first = self.queue.lock().deadlines.first_key_value().map(|((at, _), _)| *at);
        match first {
            Some(at) => at.saturating_duration_since(Instant::now()).min(TICK),
            None => TICK,
        }
    }

    fn tick(&self, due: &mut Vec<Waker>) {
        let now = Instant::now();
        let mut queue = self.queue.lock();
        queue.engines.retain(|engine| match engine.upgrade() {
            Some(engine) => {
                engine.increment_epoch();
                true
            }
            None => false,
        });
        while let Some(entry) = queue.deadlines.first_entry() {
            if entry.key().0 > now {
                break;
            }
            due.push(entry.remove());
        }
        drop(queue);
        // Woken outside the lock: a waker may run code that registers a deadline.
        due.drain(..).for_each(Waker::wake);
    }
}
