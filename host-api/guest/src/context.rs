//! Conveniences on the generated [`Context`]: what a function's own tests need to make one.

use crate::Context;

/// The context of an invocation that says nothing about itself, for tests: empty names, no limit, no deadline, the first attempt.
impl Default for Context {
    fn default() -> Self {
        Self {
            request_id: String::new(),
            service: String::new(),
            function: String::new(),
            qualifier: String::new(),
            version: String::new(),
            memory_limit_bytes: u64::MAX,
            deadline_ms: u64::MAX,
            trigger_name: None,
            trigger_type: None,
            trace_parent: None,
            attempt: 1,
        }
    }
}
