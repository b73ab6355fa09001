//! Runs a future until it is done, its deadline passes or everything is cancelled, and counts the CPU time of its polls.
//!
//! The deadline stands outside the guest: epochs do nothing while a guest waits in a host call. A future that is ready at its
//! first poll, as most invocations are, registers nothing with the clock.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use crate::cpu_meter::CpuMeter;
use crate::fault::Interrupted;
use crate::ticker::Ticker;

/// Awaits `work`, from `begun` on and at most until `deadline`. When it ends early the caller drops `work`.
///
/// Pinned by the caller: the futures of guests are large, and moving one costs more than polling a small one.
pub(crate) async fn until<F: Future>(
    ticker: &Ticker,
    (begun, deadline): (Instant, Instant),
    cpu: &mut CpuMeter,
    mut work: Pin<&mut F>,
) -> Result<F::Output, Interrupted> {
    let mut alarm = ticker.alarm(deadline);
    // A clock read is a tenth of a warm call, and the caller has just made one.
    let mut begun = Some(begun);
    poll_fn(|context| {
        let polled = {
            let _measured = cpu.enter(begun.take().unwrap_or_else(Instant::now));
            work.as_mut().poll(context)
        };
        if let Poll::Ready(output) = polled {
            return Poll::Ready(Ok(output));
        }
        alarm.arm(context.waker());
        // After arming, so that a cancellation between the two still wakes this task.
        if ticker.is_cancelled() {
            return Poll::Ready(Err(Interrupted::Cancelled));
        }
        if Instant::now() >= deadline {
            return Poll::Ready(Err(Interrupted::Deadline));
        }
        Poll::Pending
    })
    .await
}

/// Waits until `at`, on the engine's own clock; being cancelled does not shorten it.
pub(crate) async fn sleep_until(ticker: &Ticker, at: Instant) {
    let mut alarm = ticker.alarm(at);
    poll_fn(|context| {
        if Instant::now() >= at {
            return Poll::Ready(());
        }
        alarm.arm(context.waker());
        Poll::Pending
    })
    .await;
}
