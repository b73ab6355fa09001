//! One HTTP request on the line of every invocation, with a response that may outlast the call.
//!
//! Most responses are whole when the guest is first left, and nothing more is needed. For the others the rest of the invocation
//! becomes a task on the caller's runtime: left with the response's body, it would stand still whenever the reader does, past its
//! deadline, and hold its instance.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::answer::{AnswerBody, AnswerWriter};
use crate::function::FunctionInner;
use crate::invoke::invoke;
use crate::request_body::HttpRequest;
use crate::work::{Exchange, Work};
use crate::{Invocation, InvokeError, LogType, Outcome, RequestId};

/// What came of a request.
#[derive(Debug)]
pub enum Served {
    /// The guest answers.
    Answering {
        /// Its response. The error of the body is what the guest did wrong after it had begun.
        response: http::Response<AnswerBody>,
        /// What came of the invocation, if it has ended already, and well; if not, whoever was made for that is told.
        outcome: Option<Box<Outcome>>,
    },
    /// It ended without a response, or badly before anything of the response was given out.
    Ended(Box<Outcome>),
}

type Running = Pin<Box<dyn Future<Output = Result<Outcome, InvokeError>> + Send>>;

/// No `async fn`, whose future would have room for the request and the invocation beside that of the future which runs it.
pub(crate) fn serve<E>(
    function: &Arc<FunctionInner>,
    request: Box<HttpRequest>,
    invocation: Invocation,
    later: impl FnOnce() -> E + Send,
) -> impl Future<Output = Result<Served, InvokeError>> + Send
where
    E: FnOnce(Result<&Outcome, &InvokeError>) + Send + 'static,
{
    let revision = function.current();
    let answer = AnswerWriter::new(revision.shared.limits.answer_buffer_bytes);
    let holds_back = invocation.log == LogType::Tail;
    let work = Work::Http(Exchange { request, answer: answer.clone() });
    let request_id = invocation.request_id.clone();
    // One reference that other cores count in as well, not one to the engine and one to the code.
    let owned = function.clone();
    let running: Running =
        Box::pin(async move { invoke(owned.engine(), revision, invocation, work).await });
    watch((function, request_id), running, (answer, holds_back), later)
}

/// Runs an invocation to its end, or until its response has begun; the rest is a task then.
async fn watch<E>(
    (function, request_id): (&FunctionInner, RequestId),
    mut running: Running,
    (answer, holds_back): (AnswerWriter, bool),
    later: impl FnOnce() -> E + Send,
) -> Result<Served, InvokeError>
where
    E: FnOnce(Result<&Outcome, &InvokeError>) + Send + 'static,
{
    let first = poll_fn(|context| {
        if let Poll::Ready(result) = running.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        // Before looking, so that what comes between the two wakes this task.
        answer.watch(context.waker());
        if answer.has_head() && (!holds_back || answer.is_full()) {
            return Poll::Ready(None);
        }
        Poll::Pending
    });
    if let Some(result) = first.await {
        let outcome = Box::new(result?);
        return Ok(match answer.response(None) {
            Some(response) if outcome.result.is_ok() => {
                Served::Answering { response, outcome: Some(outcome) }
            }
            _ => Served::Ended(outcome),
        });
    }
    let failure = |why: String| InvokeError::Failure {
        function: function.current().shared.name.to_string(),
        request_id: request_id.to_string(),
        why,
    };
    let runtime = tokio::runtime::Handle::try_current().map_err(|why| failure(why.to_string()))?;
    let rest = runtime.spawn(rest(running, answer.clone(), later()));
    let response = answer.response(Some(rest.abort_handle()));
    let response = response.ok_or_else(|| failure("its response vanished".to_owned()))?;
    Ok(Served::Answering { response, outcome: None })
}

/// The rest of an invocation whose response is being read.
async fn rest(
    running: Running,
    answer: AnswerWriter,
    ended: impl FnOnce(Result<&Outcome, &InvokeError>),
) {
    let result = running.await;
    answer.end(match &result {
        Ok(outcome) => outcome.result.as_ref().map(|_| ()).map_err(|fault| fault.clone().into()),
        Err(error) => Err(error.clone().into()),
    });
    ended(result.as_ref());
}
