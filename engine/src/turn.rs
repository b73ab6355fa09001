//! Whose turn it is among the guests that run longer than a tick on one thread.
//!
//! Tokio runs all tasks that are ready before it looks at sockets again. If each of many such guests had a tick each time, everybody else on
//! the thread would wait for all of them; here one has, the one that waited longest, and the others let it pass.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::yield_now;

thread_local! {
    /// Who waits here. An invocation that moves to another thread joins that one's when it waits the next time.
    static HERE: Arc<Mutex<Queue>> = Arc::default();
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<u64>,
    tickets: u64,
    /// Turns taken so far.
    taken: u64,
}

/// A place in the queue; it is free again when this is dropped, as it is with an invocation that ends while it waits.
#[derive(Debug)]
struct Place {
    queue: Arc<Mutex<Queue>>,
    ticket: u64,
    /// Turns that had been taken when this one was last asked.
    seen: u64,
    asked: usize,
}

/// Lets everybody else on this thread run, and those guests that wait already for longer than this one.
pub(crate) async fn wait() {
    let mut place = Place::take();
    loop {
        // Waking itself at once would put this task before its neighbours again; tokio's own yield waits for a look at the sockets.
        yield_now().await;
        if place.has_turn() {
            return;
        }
    }
}

impl Place {
    fn take() -> Self {
        let queue = HERE.with(Arc::clone);
        let (ticket, seen) = {
            let mut queue = queue.lock();
            let ticket = queue.tickets;
            queue.tickets = ticket.wrapping_add(1);
            queue.waiting.push_back(ticket);
            (ticket, queue.taken)
        };
        Self { queue, ticket, seen, asked: 0 }
    }

    /// Asked once between two looks at the sockets. If nobody took a turn since it was asked before, the first in the queue takes this one.
    fn has_turn(&mut self) -> bool {
        let mut queue = self.queue.lock();
        let is_taken = std::mem::replace(&mut self.seen, queue.taken) != queue.taken;
        self.asked = self.asked.saturating_add(1);
        // The first may be held by somebody who does not poll it; then it is passed by.
        let is_due =
            queue.waiting.front() == Some(&self.ticket) || self.asked > queue.waiting.len();
        let takes = is_due && !is_taken;
        if takes {
            queue.taken = queue.taken.wrapping_add(1);
        }
        takes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.queue.lock();
        if let Some(at) = queue.waiting.iter().position(|ticket| *ticket == self.ticket) {
            queue.waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use futures_util::FutureExt;

    use super::*;

    /// What ran: a number for a guest, none for somebody who waits for a socket.
    type Log = Rc<RefCell<Vec<Option<u32>>>>;

    fn story(guests: u32, turns: usize, more: impl AsyncFnOnce()) -> Vec<Option<u32>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let log = Log::default();
        local.block_on(&runtime, async {
            for guest in 0..guests {
                let log = log.clone();
                tokio::task::spawn_local(async move {
                    loop {
                        wait().await;
                        log.borrow_mut().push(Some(guest));
                    }
                });
            }
            more().await;
            for _ in 0..turns {
                yield_now().await;
                log.borrow_mut().push(None);
            }
        });
        log.take()
    }

    #[test]
    fn one_runs_at_a_time_and_each_in_turn() {
        let log = story(5, 200, async || {});
        let between = log.split(Option::is_none).map(<[_]>::len).max().unwrap();
        assert!(between <= 1, "{log:?}");
        let runs = (0..5).map(|guest| log.iter().filter(|ran| **ran == Some(guest)).count());
        let runs: Vec<_> = runs.collect();
        assert!(runs.iter().min().unwrap() + 1 >= *runs.iter().max().unwrap(), "{runs:?}");
        assert!(runs.iter().sum::<usize>() >= 150, "{runs:?}");
    }

    #[test]
    fn who_leaves_or_is_not_polled_holds_up_nobody() {
        let mut held = Box::pin(wait());
        let log = story(3, 100, async || {
            assert!((&mut held).now_or_never().is_none());
            let mut left = Box::pin(wait());
            assert!((&mut left).now_or_never().is_none());
        });
        assert!(log.iter().flatten().count() >= 30, "{log:?}");
        drop(held);
        assert!(HERE.with(|here| here.lock().waiting.is_empty()));
    }
}
