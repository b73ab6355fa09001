//! What the imports of a component need of the store's data, and the one call that links them all.
//!
//! The engine implements [`HostView`] on its store data. Nothing here owns anything: each import call borrows what it needs
//! for as long as it runs, so the same instance can serve one invocation after another with other facts behind the same view.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::WasiView;

use crate::bindings::generated::{hearth, wasi};
use crate::caller::FunctionCaller;
use crate::config::Settings;
use crate::grant::Grants;
use crate::key_value::KeyValue;
use crate::logging::GuestLog;
use crate::websocket::Connections;

/// The facts of the invocation that an import call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvocationFacts<'a> {
    /// The invocation's request id.
    pub request_id: &'a str,
    /// The service of the function that is served; empty where it has none.
    pub service: &'a str,
    /// Its W3C `traceparent`, if it has one.
    pub trace_parent: Option<&'a str>,
    /// When it is ended from outside.
    pub deadline: Instant,
    /// How many functions called one another to get here; 0 from outside.
    pub depth: u32,
}

/// What this crate's component imports need of the store's data.
pub trait HostView: Send {
    /// Where the logging import writes.
    fn log(&mut self) -> &mut dyn GuestLog;

    /// The function's settings.
    fn settings(&self) -> &Settings;

    /// What the function was granted.
    fn grants(&self) -> &Grants;

    /// The key-value store and the service whose keys this function sees; `None` where the engine has no store. The grant is
    /// checked by the import, not here.
    fn key_value(&self) -> Option<(&dyn KeyValue, &str)>;

    /// What calls other functions; `None` where the engine stands alone. The grant is checked by the import, not here.
    fn caller(&self) -> Option<&Arc<dyn FunctionCaller>>;

    /// The open WebSockets of the function.
    fn websockets(&self) -> &Connections;

    /// The facts of the invocation being served.
    fn invocation(&self) -> InvocationFacts<'_>;
}

/// The store's data during one import call; the import traits are implemented on it.
#[derive(Debug)]
pub struct HostCall<'a, T>(pub(crate) &'a mut T);

/// Tells wasmtime's bindings that an import call borrows the store's data as a [`HostCall`].
#[derive(Debug)]
struct Borrows<T>(PhantomData<T>);

impl<T: 'static> HasData for Borrows<T> {
    type Data<'a> = HostCall<'a, T>;
}

fn borrow<T>(state: &mut T) -> HostCall<'_, T> {
    HostCall(state)
}

/// Links every import of ours: `wasi:logging`, `wasi:config`, `wasi:keyvalue`, `hearth:function/caller` and
/// `hearth:function/websocket-sender`.
///
/// All are linked whether or not a function was granted them: a denied one answers its own typed error, so that a component
/// that imports more than it uses still loads. WASI and `wasi:http` are linked by the embedder.
///
/// # Errors
/// When one of them is already defined in `linker`.
pub fn add_component_imports<T>(linker: &mut Linker<T>) -> wasmtime::Result<()>
where
    T: HostView + WasiView + 'static,
{
    wasi::logging::logging::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    wasi::config::store::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    wasi::keyvalue::store::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    wasi::keyvalue::atomics::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    hearth::function::caller::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    hearth::function::websocket_sender::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    hearth::function::websocket_types::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    hearth::function::types::add_to_linker::<T, Borrows<T>>(linker, borrow)?;
    Ok(())
}

/// Interfaces of types only: there is nothing to do, but components import them by name.
impl<T: 'static> hearth::function::websocket_types::Host for HostCall<'_, T> {}
impl<T: 'static> hearth::function::types::Host for HostCall<'_, T> {}
