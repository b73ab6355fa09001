//! The Rust side of `wit/`: what an event component exports, typed, and the import traits that this crate implements.
//!
//! Export indices are found once per component ([`EventExports::find`]) and never looked up by name on a call. Only the
//! imports that can wait are asynchronous (`caller`); nothing here uses component-model concurrency, so the bindings work on an
//! engine that has it turned off. WASI itself is bound by `wasmtime-wasi`, not here.

use wasmtime::component::{Instance, InstancePre};
use wasmtime::{AsContextMut, Result};

#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::pedantic,
    clippy::restriction,
    clippy::nursery,
    reason = "written by a macro from wit/, where the documentation is"
)]
pub(crate) mod generated {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "
            package hearth:host;

            world host {
                import wasi:config/store@0.2.0-rc.1;
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
                import wasi:logging/logging@0.1.0-draft;
                import hearth:function/caller@0.1.0;
                import hearth:function/websocket-sender@0.1.0;
                export hearth:function/handler@0.1.0;
                export hearth:function/initializer@0.1.0;
                export hearth:function/pre-freeze@0.1.0;
                export hearth:function/pre-stop@0.1.0;
                export hearth:function/websocket@0.1.0;
            }
        ",
        world: "hearth:host/host",
        ownership: Borrowing { duplicate_if_necessary: true },
        imports: {
            "hearth:function/caller@0.1.0.call": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "wasi:keyvalue/store.bucket": crate::key_value::Bucket,
            "wasi:keyvalue/atomics.cas": crate::key_value::Cas,
        },
    });
}

/// The event handler's typed functions: `GuestIndices` and `Guest::call_handle`.
pub use generated::exports::hearth::function::handler;
/// The `initialize` hook's typed functions.
pub use generated::exports::hearth::function::initializer;
/// The `pre-freeze` hook's typed functions.
pub use generated::exports::hearth::function::pre_freeze;
/// The `pre-stop` hook's typed functions.
pub use generated::exports::hearth::function::pre_stop;
/// The WebSocket handler's typed functions: `GuestIndices` and `Guest::call_open`, `call_message`, `call_close`.
pub use generated::exports::hearth::function::websocket;
/// The facts of one invocation as a guest gets them; borrows, so building one copies nothing.
pub use generated::hearth::function::types::Context;
/// An error that a function reported by itself.
pub use generated::hearth::function::types::Error as FunctionError;

/// The instance export that makes a component an event function.
pub const HANDLER_EXPORT: &str = "hearth:function/handler@0.1.0";
/// The optional export whose `initialize` runs once in every instance.
pub const INITIALIZER_EXPORT: &str = "hearth:function/initializer@0.1.0";
/// The optional export whose `pre-freeze` runs before an instance rests.
pub const PRE_FREEZE_EXPORT: &str = "hearth:function/pre-freeze@0.1.0";
/// The optional export whose `pre-stop` runs before an instance is dropped in good order.
pub const PRE_STOP_EXPORT: &str = "hearth:function/pre-stop@0.1.0";

/// The export, beside a handler, that makes a component take WebSockets.
pub const WEBSOCKET_EXPORT: &str = "hearth:function/websocket@0.1.0";

/// Finds the WebSocket handler of a pre-instantiated component; `None` when it exports none.
///
/// # Errors
/// When an export of this name exists but has another type.
pub fn find_websocket<T>(pre: &InstancePre<T>) -> Result<Option<websocket::GuestIndices>> {
    let is_exported = pre.component().get_export_index(None, WEBSOCKET_EXPORT).is_some();
    is_exported.then(|| websocket::GuestIndices::new(pre)).transpose()
}

/// Where a component's event exports are; found once, then loaded into every instance without looking at a name.
pub struct EventExports {
    handler: handler::GuestIndices,
    initializer: Option<initializer::GuestIndices>,
    pre_freeze: Option<pre_freeze::GuestIndices>,
    pre_stop: Option<pre_stop::GuestIndices>,
}

impl EventExports {
    /// Finds the exports of a pre-instantiated component; `None` when it does not export `handler` and so is no event function.
    ///
    /// # Errors
    /// When an export of one of these names exists but has another type; the error names it.
    pub fn find<T>(pre: &InstancePre<T>) -> Result<Option<Self>> {
        let has = |name: &str| pre.component().get_export_index(None, name).is_some();
        if !has(HANDLER_EXPORT) {
            return Ok(None);
        }
        Ok(Some(Self {
            handler: handler::GuestIndices::new(pre)?,
            initializer: has(INITIALIZER_EXPORT)
                .then(|| initializer::GuestIndices::new(pre))
                .transpose()?,
            pre_freeze: has(PRE_FREEZE_EXPORT)
                .then(|| pre_freeze::GuestIndices::new(pre))
                .transpose()?,
            pre_stop: has(PRE_STOP_EXPORT).then(|| pre_stop::GuestIndices::new(pre)).transpose()?,
        }))
    }

    /// Whether the component has something to run before its first event.
    #[must_use]
    pub fn has_initializer(&self) -> bool {
        self.initializer.is_some()
    }

    /// The functions of one instance of that component.
    ///
    /// # Errors
    /// When `instance` is not an instance of the component these indices were found in.
    pub fn load(&self, mut store: impl AsContextMut, instance: &Instance) -> Result<EventGuest> {
        Ok(EventGuest {
            handler: self.handler.load(&mut store, instance)?,
            initializer: self
                .initializer
                .as_ref()
                .map(|found| found.load(&mut store, instance))
                .transpose()?,
            pre_freeze: self
                .pre_freeze
                .as_ref()
                .map(|found| found.load(&mut store, instance))
                .transpose()?,
            pre_stop: self
                .pre_stop
                .as_ref()
                .map(|found| found.load(&mut store, instance))
                .transpose()?,
        })
    }
}

impl std::fmt::Debug for EventExports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventExports")
            .field("initializer", &self.initializer.is_some())
            .field("pre_freeze", &self.pre_freeze.is_some())
            .field("pre_stop", &self.pre_stop.is_some())
            .finish_non_exhaustive()
    }
}

/// The functions of one instance of an event component.
pub struct EventGuest {
    /// Serves events: `handler.call_handle(&mut store, event, context).await`.
    pub handler: handler::Guest,
    /// Runs once before the first event, where the component exports it.
    pub initializer: Option<initializer::Guest>,
    /// Runs before the instance rests, where the component exports it.
    pub pre_freeze: Option<pre_freeze::Guest>,
    /// Runs before the instance is dropped in good order, where the component exports it.
    pub pre_stop: Option<pre_stop::Guest>,
}

impl std::fmt::Debug for EventGuest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventGuest").finish_non_exhaustive()
    }
}
