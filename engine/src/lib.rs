//! An embeddable engine for WebAssembly functions: it compiles a function once, keeps instances warm, enforces limits and
//! returns the answer with the tail of the log and an account of what was used.
//!
//! It is no HTTP server and has no database; it knows nothing of services, triggers or status codes. Those are built on it.
//!
//! # The nouns
//!
//! - [`Engine`]: what functions share, made by [`EngineBuilder`]: compiled code, budgets, the clock.
//! - [`FunctionSpec`]: what you ask for: code, [`Limits`], [`PoolPolicy`], [`Isolation`], grants.
//! - [`Function`]: the loaded thing you [`invoke`](Function::invoke), as often and from as many tasks as you like.
//! - [`Invocation`] goes in, [`Outcome`] comes out: an answer or a [`Fault`], the tail log, a [`Report`].
//! - [`Refusal`]: the engine declined before the guest ran, because of load. [`LoadError`]: the code is not acceptable.
//!
//! # An example
//!
//! ```
//! use hearth_engine::{Engine, FunctionSpec, Invocation, LogType};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let code = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-examples/wat-log/wat-log.wasm"))?;
//! let engine = Engine::builder().build()?;
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # let function = runtime.block_on(engine.load(FunctionSpec::new("log", code)))?;
//! # let _ = &runtime;
//! let outcome = function.invoke_blocking(Invocation::new("hi").log(LogType::Tail))?;
//! assert_eq!(outcome.result?, "hi");
//! assert!(outcome.tail_log.is_some_and(|tail| !tail.is_empty()));
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! A guest can end its own invocation and nothing else: traps, loops, floods and leaks cost it its instance. Every queue and
//! buffer has a bound, every wait a deadline. Dropping an invocation's future ends its guest. What is *not* promised: a wall
//! against a sandbox escape in wasmtime itself; run strangers' code in a process of its own.

mod admission;
mod answer;
mod artifact;
mod background;
mod bounded;
mod code;
mod compile;
mod concurrent;
mod config;
mod course;
mod cpu_meter;
mod engine;
mod error;
mod fault;
mod function;
mod function_spec;
mod guest;
mod instance;
mod invocation;
mod invoke;
mod keeper;
mod limits;
mod log_batch;
mod log_drain;
mod log_lines;
mod memory_meter;
mod off_thread;
mod outcome;
pub mod pieces;
mod pool;
mod presence;
mod priority;
mod report;
mod request_body;
mod request_id;
mod revision;
mod room_queue;
mod roster;
mod seat;
mod serde_duration;
mod serve;
mod starts;
mod state;
mod stats;
mod tail_log;
mod ticker;
mod turn;
mod wasmtime_config;
mod websocket;
mod work;

pub use answer::{AnswerBody, AnswerError};
pub use artifact::{SharedArtifactError, SharedArtifactKey, SharedArtifacts};
pub use compile::compile_child;
pub use config::{Allocator, Compiler, CompilerChild, EngineConfig, Eviction};
pub use engine::{Engine, EngineBuilder};
pub use error::{BuildError, InvokeError, LoadError, Refusal};
pub use function::Function;
pub use function_spec::{FunctionSpec, Identity, Isolation};
pub use guest::GuestKind;
pub use hearth_host_api::caller::{CallError, CalleePattern, FunctionCaller, GuestCall};
pub use hearth_host_api::key_value::KeyValue;
pub use hearth_host_api::outgoing_http::{
    DEPTH_HEADER, EgressCounts, FetchBounds, FetchError, HTTP_DEPTH_MAX, PostError, SystemResolver,
    depth_of, fetch, is_of_one_hop, post,
};
pub use hearth_host_api::websocket::{CLOSE_REASON_BYTES_MAX, Line, LineBounds, Message, Outgoing};
pub use hearth_host_api::{Access, DirectoryGrant, Grants};
pub use invocation::{Invocation, LogType, TriggerFacts};
pub use limits::{Limits, MIB, PoolPolicy};
pub use log_lines::{LINE_BYTES_MAX, Level, LogLine, LogSink, Stream};
pub use outcome::{Fault, Frame, Outcome};
pub use pool::thread_number;
pub use priority::{compute_behind, run_behind};
pub use report::{LoadReport, LoadSource, Phases, Report, StartKind, Tier};
pub use request_body::{HttpRequest, RequestBody, RequestBodyError};
pub use request_id::RequestId;
pub use serve::Served;
pub use stats::{EngineStats, FunctionStats};
pub use websocket::{
    WebSocket, WebSocketAcceptance, WebSocketBounds, WebSocketOpened, WebSocketOpening,
    WebSocketRejection,
};
