//! `hearth:function/caller`: one function calls another of the same server.
//!
//! The import checks, in this order, the form of the target, the grant and the depth, and only then asks the [`FunctionCaller`]
//! that the embedder provides. It knows nothing of services or revisions beyond their names.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bindings::generated::hearth::function::caller as wit;
use crate::view::{HostCall, HostView};

/// The longest name of a service, function or alias, in bytes, as the official API has it.
pub const MAX_NAME_BYTES: usize = 128;
/// The longest version number, in digits: what fits 64 bits.
const MAX_VERSION_DIGITS: usize = 19;
/// The longest part of a refused text that an error repeats; the text is a guest's and may be megabytes.
const MAX_ECHO_BYTES: usize = 300;

/// Runs calls between functions. One object serves all functions of an engine.
pub trait FunctionCaller: Send + Sync {
    /// Invokes the target and waits for its answer, at most until the deadline of the call.
    fn call<'a>(
        &'a self,
        call: GuestCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send + 'a>>;
}

/// One function's call of another, granted and within the depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestCall {
    /// Whom to call; the caller's own service is filled in where it named none and has one.
    pub target: Target,
    /// The event for it.
    pub payload: Bytes,
    /// How deep the callee stands: one more than its caller.
    pub depth: u32,
    /// When the caller is ended, and so when nobody waits any more.
    pub deadline: Instant,
    /// The caller's request id.
    pub request_id: String,
    /// The caller's W3C `traceparent`.
    pub trace_parent: Option<String>,
}

/// Why a call brought no answer. Each variant is one of the WIT's `call-error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The grants do not name this callee.
    #[error("{0}")]
    Denied(String),
    /// There is no such service, function or qualifier.
    #[error("{0}")]
    NotFound(String),
    /// The server declined for now; calling again later may work.
    #[error("{0}")]
    Refused(String),
    /// The callee ran and ended in an error of its own; the text is its error document.
    #[error("the called function ended in an error: {0}")]
    FunctionError(String),
    /// Functions called one another too many levels deep.
    #[error("functions call one another more than {0} levels deep")]
    TooDeep(u32),
    /// The host failed; the details are in its log, not here.
    #[error("{0}")]
    Failed(String),
}

impl From<CallError> for wit::CallError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Denied(text) => Self::Denied(text),
            CallError::NotFound(text) => Self::NotFound(text),
            CallError::Refused(text) => Self::Refused(text),
            CallError::FunctionError(text) => Self::FunctionError(text),
            CallError::TooDeep(limit) => Self::TooDeep(limit),
            CallError::Failed(text) => Self::Failed(text),
        }
    }
}

/// Whom a guest wants to call: `service[.qualifier]/function`, or `function` alone for one of its own service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The service; `None` is the caller's own.
    pub service: Option<String>,
    /// The version, alias or `LATEST`; `None` is `LATEST`.
    pub qualifier: Option<String>,
    /// The function.
    pub function: String,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let refuse = || TargetError { text: echo(text) };
        let Some((owner, function)) = text.split_once('/') else {
            return Ok(Self { service: None, qualifier: None, function: name(text)? });
        };
        let function = name(function).map_err(|_| refuse())?;
        let (service, qualifier) = match owner.split_once('.') {
            None => (owner, None),
            Some((service, qualifier)) if is_qualifier(qualifier) => (service, Some(qualifier)),
            Some(_) => return Err(refuse()),
        };
        Ok(Self {
            service: Some(name(service).map_err(|_| refuse())?),
            qualifier: qualifier.map(str::to_owned),
            function,
        })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(service) = &self.service {
            f.write_str(service)?;
            if let Some(qualifier) = &self.qualifier {
                write!(f, ".{qualifier}")?;
            }
            f.write_str("/")?;
        }
        f.write_str(&self.function)
    }
}

/// A text that is no target or no callee pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` names no function; write `service/function`, `service.qualifier/function` or `function` (in a grant also `service/*`)"
)]
pub struct TargetError {
    /// The text, at most its first 300 bytes.
    pub text: String,
}

/// Whom a grant lets a function call: `service/function`, `service/*`, or `function` and `*` for its own service. It covers
/// every qualifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CalleePattern {
    service: Option<String>,
    /// `None` is every function of the service.
    function: Option<String>,
}

impl CalleePattern {
    /// The service whose functions it names; none for the caller's own.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Whether this pattern covers `target`. A target that leaves its service out is covered only by a pattern that does, and
    /// the other way round: this layer does not know the name of the caller's own service.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        self.service == target.service
            && self.function.as_ref().is_none_or(|function| *function == target.function)
    }
}

impl FromStr for CalleePattern {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let refuse = |_| TargetError { text: echo(text) };
        let (service, function) = match text.split_once('/') {
            None => (None, text),
            Some((service, function)) => (Some(name(service).map_err(refuse)?), function),
        };
        let function = match function {
            "*" => None,
            function => Some(name(function).map_err(refuse)?),
        };
        Ok(Self { service, function })
    }
}

impl TryFrom<String> for CalleePattern {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        text.parse()
    }
}

impl From<CalleePattern> for String {
    fn from(pattern: CalleePattern) -> Self {
        pattern.to_string()
    }
}

impl std::fmt::Display for CalleePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(service) = &self.service {
            write!(f, "{service}/")?;
        }
        f.write_str(self.function.as_deref().unwrap_or("*"))
    }
}

/// A name as the official API has it: `^[A-Za-z_][A-Za-z0-9_-]{0,127}$`.
fn name(text: &str) -> Result<String, TargetError> {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let good = text.len() <= MAX_NAME_BYTES
        && text.bytes().next().is_some_and(first)
        && text.bytes().all(rest);
    if good { Ok(text.to_owned()) } else { Err(TargetError { text: echo(text) }) }
}

fn is_qualifier(text: &str) -> bool {
    let version = !text.is_empty()
        && text.len() <= MAX_VERSION_DIGITS
        && text.bytes().all(|byte| byte.is_ascii_digit());
    version || name(text).is_ok()
}

fn echo(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_ECHO_BYTES)).unwrap_or_default().to_owned()
}

impl<T: HostView> wit::Host for HostCall<'_, T> {
    async fn call(
        &mut self,
        target: String,
        payload: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, wit::CallError>> {
        let (caller, call) = match admit(&*self.0, &target, payload) {
            Ok(admitted) => admitted,
            Err(error) => return Ok(Err(error.into())),
        };
        let answer = caller.call(call).await;
        Ok(answer.map(Vec::from).map_err(Into::into))
    }
}

/// Everything that is checked before anybody is called.
fn admit<T: HostView>(
    view: &T,
    target: &str,
    payload: Vec<u8>,
) -> Result<(std::sync::Arc<dyn FunctionCaller>, GuestCall), CallError> {
    let mut target: Target =
        target.parse().map_err(|error: TargetError| CallError::NotFound(error.to_string()))?;
    let grants = view.grants();
    if !grants.call.iter().any(|pattern| pattern.covers(&target)) {
        return Err(CallError::Denied(format!("no grant of this function covers `{target}`")));
    }
    let facts = view.invocation();
    if facts.depth >= grants.call_depth {
        return Err(CallError::TooDeep(grants.call_depth));
    }
    let caller = view
        .caller()
        .ok_or_else(|| CallError::Failed("this host cannot call other functions".to_owned()))?;
    // Only after the grant was asked: a pattern without a service covers a function of the caller's own.
    if target.service.is_none() && !facts.service.is_empty() {
        target.service = Some(facts.service.to_owned());
    }
    let call = GuestCall {
        target,
        payload: payload.into(),
        depth: facts.depth.saturating_add(1),
        deadline: facts.deadline,
        request_id: facts.request_id.to_owned(),
        trace_parent: facts.trace_parent.map(str::to_owned),
    };
    Ok((caller.clone(), call))
}

#[cfg(test)]
#[path = "caller_tests.rs"]
mod tests;
