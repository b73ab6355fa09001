//! The body of a function error: what the guest said, or what ended it, as the JSON object that clients read.

use bytes::Bytes;
use hearth_engine::{Fault, Report};
use serde_json::{Value, json};

use super::etag::Megabytes;

/// The body.
pub(crate) fn body(fault: &Fault, report: &Report) -> Bytes {
    let mut body = json!({ "errorMessage": message(fault, report), "errorType": kind(fault) });
    let stack = stack(fault);
    if let Some(body) = body.as_object_mut()
        && !stack.is_empty()
    {
        body.insert("stackTrace".to_owned(), Value::from(stack));
    }
    serde_json::to_vec(&body).unwrap_or_default().into()
}

fn message(fault: &Fault, report: &Report) -> String {
    match fault {
        Fault::Returned { message, .. } => message.clone(),
        Fault::Exited { code } => format!(
            "Process exited unexpectedly before completing request (duration: {}ms, maxMemoryUsage: {}MB), exit code {code}",
            report.phases.run.as_millis(),
            Megabytes::of(report.memory_peak_bytes).as_str()
        ),
        Fault::Timeout { limit } => {
            format!(
                "Function timed out after {} seconds (maxMemoryUsage: {}MB)",
                limit.as_secs_f64(),
                Megabytes::of(report.memory_peak_bytes).as_str()
            )
        }
        Fault::InitializeTimeout { limit } => {
            format!("Function initialization timed out after {} seconds", limit.as_secs_f64())
        }
        other => format!("Function {other}; {}", other.hint()),
    }
}

/// The name that the guest gave, or that of the fault.
fn kind(fault: &Fault) -> &str {
    match fault {
        Fault::Returned { kind: Some(kind), .. } => kind,
        other => other.as_str(),
    }
}

fn stack(fault: &Fault) -> Vec<String> {
    if let Fault::Returned { stack, .. } = fault {
        return stack.clone();
    }
    let line = |frame: &hearth_engine::Frame| match frame.offset {
        Some(offset) => format!("at {} (wasm offset 0x{offset:x})", frame.function),
        None => format!("at {}", frame.function),
    };
    fault.backtrace().iter().map(line).collect()
}
