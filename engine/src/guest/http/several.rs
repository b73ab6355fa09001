//! Serves several requests at once with one instance of a 0.3 component, each in a task of its own inside the guest.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::{Either, join, select};
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use wasmtime::component::{Accessor, GuestTaskId};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p3::Request;
use wasmtime_wasi_http::p3::bindings::Service;

use super::p3::{HttpP3, name_authority};
use super::{ask_for, failed};
use crate::Fault;
use crate::concurrent::{Ended, Entrant, Host};
use crate::fault::CallFailure;
use crate::state::{ComponentState, HasLedger, on_crossing};

/// Which invocation each task of the guest is.
type Numbers = Mutex<Vec<(GuestTaskId, u32)>>;

impl HttpP3 {
    /// Serves whoever comes in until nothing is left to do and `host` says that this is the end.
    ///
    /// # Errors
    /// The guest trapped or was ended by a limit, with all that it did; and the number of the invocation that did it, if known.
    pub(crate) async fn serve_several(
        &mut self,
        entrants: &mut mpsc::Receiver<Entrant>,
        host: &impl Host,
        limit: u64,
    ) -> Result<(), (Option<u32>, CallFailure)> {
        self.store.set_epoch_deadline(1);
        self.store.call_hook(on_crossing);
        self.store.data_mut().keep_tasks(true);
        let service = &self.service;
        let numbers = Numbers::default();
        let ended = self
            .store
            .run_concurrent(async |accessor| {
                let mut open = FuturesUnordered::new();
                let mut is_abandoned = false;
                poll_fn(|context| {
                    loop {
                        match open.poll_next_unpin(context) {
                            Poll::Ready(Some(Ok(End::Ended))) => continue,
                            Poll::Ready(Some(Ok(End::Abandoned))) => {
                                is_abandoned = true;
                                host.abandoned();
                                continue;
                            }
                            Poll::Ready(Some(Err(failure))) => return Poll::Ready(Err(failure)),
                            Poll::Ready(None) | Poll::Pending => {}
                        }
                        if is_ready(accessor, service, context)
                            && let Poll::Ready(Some(entrant)) = entrants.poll_recv(context)
                        {
                            // Begun for nobody, it would cost the others their instance.
                            if entrant.ended.is_closed() {
                                continue;
                            }
                            host.entered(entrant.own.deadline);
                            open.push(one(accessor, service, entrant, limit, &numbers));
                            continue;
                        }
                        // What nobody waits for is not waited for here either.
                        let is_done = open.is_empty()
                            && (is_abandoned
                                || accessor.poll_no_interesting_tasks(context).is_ready())
                            && host.may_leave();
                        return if is_done { Poll::Ready(Ok(())) } else { Poll::Pending };
                    }
                })
                .await
            })
            .await;
        let culprit = self.store.data().running_task();
        let number_of = |task: Option<GuestTaskId>| {
            let numbers = numbers.lock();
            numbers.iter().find(|(other, _)| Some(*other) == task).map(|(_, number)| *number)
        };
        match ended {
            Ok(Ok(())) => {
                self.store.data_mut().keep_tasks(false);
                Ok(())
            }
            Ok(Err((task, failure))) => {
                Err((number_of(culprit).or_else(|| number_of(task)), failure))
            }
            Err(error) => Err((number_of(culprit), error.into())),
        }
    }
}

/// Whether the guest takes another call now.
fn is_ready(
    accessor: &Accessor<ComponentState>,
    service: &Service,
    context: &mut Context<'_>,
) -> bool {
    let handle = *service.wasi_http_handler().func_handle().func();
    accessor.poll_ready_for_concurrent_call(handle, context).is_ready()
}

/// What tells how a request's body was taken; it moves only while this is polled.
type Sent = Pin<Box<dyn Future<Output = Result<(), wasmtime_wasi_http::Error>> + Send>>;

/// How one of several went.
enum End {
    Ended,
    /// Nobody waits for it any more, or it broke a rule: what it still does cannot be stopped alone.
    Abandoned,
}

async fn one(
    accessor: &Accessor<ComponentState>,
    service: &Service,
    entrant: Entrant,
    limit: u64,
    numbers: &Numbers,
) -> Result<End, (Option<GuestTaskId>, CallFailure)> {
    let Entrant { number, work, own, mut ended, slot } = entrant;
    let handle = service.wasi_http_handler().func_handle();
    let begun = accessor.with(|mut store| -> Result<_, CallFailure> {
        let shared = &store.data_mut().ledger().shared;
        let (mut request, taker, loan) = ask_for(shared, Some(&own.invocation), work, limit)?;
        name_authority(&mut request);
        let (request, sent) = Request::from_http(store.data_mut().http().hooks, request);
        let sent: Sent = Box::pin(sent);
        let request = store.data_mut().http().table.push(request).map_err(wasmtime::Error::from)?;
        let call = handle.start_call_concurrent(&mut store, (request,))?;
        let task = call.task();
        store.data_mut().admit_task(task, own);
        Ok((call, sent, taker, loan, task))
    });
    let (call, sent, taker, _loan, task) = begun.map_err(|failure| (None, failure))?;
    numbers.lock().push((task, number));
    let served = {
        let serve = async {
            let response = match handle.finish_call_concurrent(accessor, call).await?.0 {
                Ok(response) => response,
                Err(code) => return Err(CallFailure::Fault(failed(None, &format!("{code:?}")))),
            };
            let response = accessor.with(|mut store| {
                let response = store.data_mut().http().table.delete(response)?;
                response.into_http(store, async { Ok(()) })
            })?;
            taker.take(response).await
        };
        let serve = pin!(join(serve, sent));
        let left = pin!(poll_fn(|context| ended.poll_closed(context)));
        match select(left, serve).await {
            Either::Left(((), _)) => None,
            Either::Right(((served, _), _)) => Some(served),
        }
    };
    let (cpu_time, memory_peak_bytes) = accessor.with(|mut store| {
        let state = store.data_mut();
        (state.dismiss_task(task), state.ledger().meter.peak())
    });
    let result = match served {
        None => return Ok(End::Abandoned),
        Some(Ok(answer)) => Ok(answer),
        Some(Err(CallFailure::Fault(fault))) => Err(fault),
        Some(Err(failure)) => return Err((Some(task), failure)),
    };
    numbers.lock().retain(|(other, _)| *other != task);
    drop(slot);
    let is_well = result.as_ref().err().is_none_or(Fault::is_handled);
    // Whoever has just stopped waiting has all that there was.
    let _ = ended.send(Ended { result, cpu_time, memory_peak_bytes });
    Ok(if is_well { End::Ended } else { End::Abandoned })
}
