//! What a hearth guest may import and what it must export, and the host's side of both.
//!
//! This crate knows WebAssembly, WASI and the contracts with guests. It knows nothing of pools, services, HTTP servers or
//! storage: an engine implements its view traits on its store data and links its imports; a platform carries its [`Grants`].
//!
//! # What a guest must export
//!
//! | guest | exports | found by |
//! |---|---|---|
//! | event component | `hearth:function/handler`, and any of `initializer`, `pre-freeze`, `pre-stop` | [`EventExports::find`](bindings::EventExports::find) |
//! | core module | `memory`, `alloc`, `handle`, and maybe `initialize`, `free` | the names in [`core_abi`] |
//! | beside an event or HTTP handler | `hearth:function/websocket` | [`find_websocket`](bindings::find_websocket) |
//! | HTTP component, WASI command | what WASI says | `wasmtime-wasi`, `wasmtime-wasi-http` |
//!
//! # What a guest may import
//!
//! | import | module here | granted by |
//! |---|---|---|
//! | `wasi:logging/logging` | [`logging`] | always |
//! | stdout, stderr | [`log_stream`], and [`capture`] where stdout is the answer | always |
//! | `wasi:config/store` | [`config`] | always: a function's own settings |
//! | `wasi:keyvalue/store`, `/atomics` | [`key_value`] | [`Grants::key_value`] |
//! | `hearth:function/caller` | [`caller`] | [`Grants::call`] |
//! | `hearth:function/websocket-sender` | [`websocket`] | always: a function's own connections |
//! | `wasi:http/outgoing-handler` | [`outgoing_http`] | [`Grants::outgoing_http`] |
//! | `wasi:filesystem` | linked by the embedder | [`Grants::directories`] |
//! | `wasi_snapshot_preview1` | [`preview1`] | always, files as above |
//! | files with a `/tmp` | [`tmp`], over [`memory_fs`] | [`Grants::tmp`] |
//! | `hearth.*`, `env.*` of core modules | [`core_imports`] | always |
//!
//! Imports are linked whether or not they are granted; one that is denied answers its own typed error. The WIT is in `wit/`,
//! the core-module ABI in `docs/core-abi.md`.
//!
//! # Words
//!
//! A *grant* is a permission of one function, denied by default. A *quota* bounds what a service may store. A *view* is what
//! imports need of the store's data: [`HostView`] for components, [`CoreView`] for core modules. The *egress* is the gate
//! that a function's outgoing requests pass.

pub mod bindings;
pub mod caller;
pub mod capture;
pub mod config;
pub mod core_abi;
pub mod core_imports;
pub mod grant;
pub mod key_value;
pub mod log_stream;
pub mod logging;
pub mod memory_fs;
pub mod outgoing_http;
pub mod preview1;
pub mod tmp;
pub mod view;
pub mod websocket;

pub use bindings::{Context, EventExports, EventGuest, FunctionError};
pub use caller::{CallError, FunctionCaller, GuestCall, Target};
pub use capture::{BoundedCapture, EventInput};
pub use config::Settings;
pub use core_abi::{AbiViolation, Span};
pub use core_imports::{CoreView, GuestAbort};
pub use grant::{Access, DirectoryGrant, GrantError, Grants, TmpGrant};
pub use key_value::{KeyValue, MemoryKeyValue};
pub use log_stream::{LogStream, LogWriter, Stream};
pub use logging::{GuestLog, Level};
pub use outgoing_http::{Egress, EgressHooks, OutgoingHttp, Resolve, SystemResolver};
pub use view::{HostView, InvocationFacts, add_component_imports};

#[cfg(test)]
mod test_state;
#[cfg(test)]
mod wit_tests;
