//! What a guest may reach: nothing by default, exactly what was granted otherwise.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hearth_engine::{
    CallError, Engine, EngineConfig, Fault, Function, FunctionCaller, Grants, GuestCall, Invocation,
};

use crate::world::{engine, invoke, spec, story};

/// Calls the one function it knows, as a platform would.
#[derive(Default)]
struct OneFunction(OnceLock<Function>);

impl FunctionCaller for OneFunction {
    fn call<'a>(
        &'a self,
        call: GuestCall,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send + 'a>> {
        Box::pin(async move {
            let function = self.0.get().ok_or_else(|| CallError::NotFound("nobody".to_owned()))?;
            let mut invocation = Invocation::new(call.payload);
            invocation.depth = call.depth;
            invocation.deadline = Some(call.deadline);
            let outcome = function
                .invoke(invocation)
                .await
                .map_err(|error| CallError::Refused(error.to_string()))?;
            outcome.result.map_err(|fault| CallError::FunctionError(fault.to_string()))
        })
    }
}

fn engine_with_caller() -> (Engine, Arc<OneFunction>) {
    let caller = Arc::new(OneFunction::default());
    let config = EngineConfig { instances: 64, ..EngineConfig::default() };
    let engine = Engine::builder().config(config).caller(caller.clone()).build().unwrap();
    (engine, caller)
}

fn may_call(pattern: &str) -> Grants {
    let mut grants = Grants::default();
    grants.call.push(pattern.parse().unwrap());
    grants
}

const CALL: &str = r#"{"target":"demo/callee","payload":"ping"}"#;

#[test]
fn a_function_calls_another_only_if_granted() {
    story(async {
        let (engine, caller) = engine_with_caller();
        let callee = engine.load(spec("wat-echo")).await.unwrap();
        caller.0.set(callee).unwrap();
        let denied = engine.load(spec("rust-caller")).await.unwrap();
        let outcome = invoke(&denied, CALL).await;
        let Err(Fault::Returned { message, .. }) = outcome.result else {
            panic!("{:?}", outcome.result)
        };
        assert!(message.contains("demo/callee"), "{message}");
        let granted = spec("rust-caller").grants(may_call("demo/*"));
        let granted = engine.load(granted).await.unwrap();
        let answer = invoke(&granted, CALL).await.result.unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("ping"), "{answer:?}");
    });
}

#[test]
fn a_function_that_calls_itself_ends_at_a_depth() {
    story(async {
        let (engine, caller) = engine_with_caller();
        let spec = spec("rust-caller").grants(may_call("demo/callee"));
        let function = engine.load(spec).await.unwrap();
        caller.0.set(function.clone()).unwrap();
        let mut event = CALL.to_owned();
        for _ in 0..12 {
            let payload = serde_json::to_string(&event).unwrap();
            event = format!(r#"{{"target":"demo/callee","payload":{payload}}}"#);
        }
        let outcome = invoke(&function, &event).await;
        let told = outcome.result.unwrap_err().to_string();
        assert!(told.ends_with("8 levels of calls"), "{told}");
        assert_eq!(function.stats().running, 0);
    });
}

#[test]
fn a_granted_directory_that_is_not_there_is_named() {
    story(async {
        let mut grants = Grants::default();
        let directory = serde_json::json!({"host_path": "/nowhere/at/all", "guest_path": "/data"});
        grants.directories.push(serde_json::from_value(directory).unwrap());
        let function = engine().load(spec("rust-command").grants(grants)).await.unwrap();
        let outcome = invoke(&function, "x").await;
        let told = outcome.result.unwrap_err().to_string();
        assert!(told.contains("/nowhere/at/all"), "{told}");
    });
}
