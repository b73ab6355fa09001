//! How a guest calls another function: the engine's port onto this platform. The callee takes the same line as any other invocation.
//!
//! Grants and depth were checked before; this refuses to know them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use bytes::Bytes;
use hearth_engine::{CallError, FunctionCaller, GuestCall, Invocation};

use crate::error::PlatformError;
use crate::name::Target;
use crate::platform::Inner;

/// Calls functions of the platform that it is bound to. Made before the engine, because the engine takes it; bound when the platform
/// opens, because the platform takes the engine.
#[derive(Debug, Default)]
pub struct PlatformCaller {
    platform: OnceLock<Weak<Inner>>,
}

impl PlatformCaller {
    /// One that is not bound yet: its calls fail until a platform is opened with it.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Binds it; the first platform stays.
    pub(crate) fn bind(&self, platform: &Arc<Inner>) {
        let _ = self.platform.set(Arc::downgrade(platform));
    }

    async fn call(&self, call: GuestCall) -> Result<Bytes, CallError> {
        let platform = self.platform.get().and_then(Weak::upgrade);
        let platform =
            platform.ok_or_else(|| CallError::Failed("the platform is not open".to_owned()))?;
        let Some(service) = &call.target.service else {
            return Err(CallError::NotFound(format!(
                "`{}` names no service; write `service/{}`",
                call.target, call.target.function
            )));
        };
        let target = Target {
            service,
            qualifier: call.target.qualifier.as_deref(),
            function: &call.target.function,
        };
        let revision =
            platform.resolve(target).map_err(|error| CallError::NotFound(error.to_string()))?;
        let mut invocation = Invocation::new(call.payload);
        invocation.depth = call.depth;
        invocation.deadline = Some(call.deadline);
        invocation.trace_parent = call.trace_parent.map(Arc::from);
        if let Some(qualifier) = &call.target.qualifier {
            invocation.qualifier = Some(Arc::from(qualifier.as_str()));
        }
        let left = call.deadline.saturating_duration_since(Instant::now());
        let invoked = tokio::time::timeout(left, platform.invoke(revision.into_arc(), invocation))
            .await
            .map_err(|_| CallError::Refused(format!("`{}` took too long", call.target)))?
            .map_err(|error| refused(&error, &call.request_id))?;
        invoked.outcome.result.map_err(|fault| CallError::FunctionError(fault.to_string()))
    }
}

/// What a guest is told of an error that is not its callee's own; details of failures stay in the server's log.
fn refused(error: &PlatformError, request_id: &str) -> CallError {
    match error {
        PlatformError::Request(error) => CallError::NotFound(error.to_string()),
        PlatformError::Refused(refusal) => CallError::Refused(refusal.to_string()),
        PlatformError::Load(error) if !error.is_retryable() => {
            CallError::NotFound(error.to_string())
        }
        error => {
            tracing::error!(request_id, %error, "a call between functions failed");
            CallError::Failed("the call failed in the host".to_owned())
        }
    }
}

impl FunctionCaller for PlatformCaller {
    fn call<'a>(
        &'a self,
        call: GuestCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send + 'a>> {
        Box::pin(self.call(call))
    }
}
