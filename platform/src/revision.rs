//! A revision: code and configuration of a function at one moment, immutable, and the engine's function once it is loaded.
//!
//! Changing a function makes another revision; whoever runs on this one keeps it until done.

use std::any::Any;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};
use hearth_engine::LoadError;
use tokio::sync::Mutex;

use crate::function::Function;
use crate::name::LATEST;

/// Code and configuration at one moment.
#[derive(Debug)]
pub struct Revision {
    function: Arc<Function>,
    label: Arc<str>,
    /// The published version; none for what was deployed last.
    version: Option<Arc<str>>,
    pub(crate) loaded: ArcSwapOption<hearth_engine::Function>,
    /// Held by the one who loads, so that the others wait for it instead of doing the same.
    pub(crate) loading: Mutex<()>,
    /// Why it can never be loaded, once that is known: a thousand requests must not compile broken code a thousand times.
    pub(crate) broken: OnceLock<LoadError>,
    /// Why instances cannot be kept ready, if they cannot.
    pub(crate) provision_error: ArcSwapOption<String>,
    /// Instances to keep ready beyond what the function's own settings say.
    ready: AtomicU32,
    used_ms: AtomicU64,
    beside: OnceLock<Beside>,
}

/// What somebody else keeps with a revision.
struct Beside(Box<dyn Any + Send + Sync>);

impl std::fmt::Debug for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Beside")
    }
}

/// A revision that was found, looked at without another reference to it unless it is replaced meanwhile: all cores would write to where those are
/// counted.
#[derive(Debug)]
pub struct Resolved(Guard<Arc<Revision>>);

impl Resolved {
    /// A reference that may be kept.
    pub fn into_arc(self) -> Arc<Revision> {
        Guard::into_inner(self.0)
    }
}

impl Deref for Resolved {
    type Target = Arc<Revision>;

    fn deref(&self) -> &Arc<Revision> {
        &self.0
    }
}

impl From<Guard<Arc<Revision>>> for Resolved {
    fn from(revision: Guard<Arc<Revision>>) -> Self {
        Self(revision)
    }
}

impl From<Arc<Revision>> for Resolved {
    fn from(revision: Arc<Revision>) -> Self {
        Self(Guard::from_inner(revision))
    }
}

impl Revision {
    /// What was deployed last.
    pub(crate) fn new(function: Function) -> Self {
        Self::of(Arc::new(function), None)
    }

    /// A function as a version keeps it.
    pub(crate) fn published(function: Arc<Function>, version: u64) -> Self {
        Self::of(function, Some(version.to_string().into()))
    }

    fn of(function: Arc<Function>, version: Option<Arc<str>>) -> Self {
        let label = format!("{}/{}", function.service, function.name).into();
        Self {
            function,
            label,
            version,
            loaded: ArcSwapOption::empty(),
            loading: Mutex::new(()),
            broken: OnceLock::new(),
            provision_error: ArcSwapOption::empty(),
            ready: AtomicU32::new(0),
            used_ms: AtomicU64::new(0),
            beside: OnceLock::new(),
        }
    }

    /// What whoever serves revisions keeps with this one, made when it is first asked for: found without a look-up by name at each call. There
    /// is one place, so one kind of thing; none if something of another kind is there.
    pub fn beside<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.beside.get_or_init(|| Beside(Box::new(make()))).0.downcast_ref()
    }

    /// The function as it stood.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// The same, to be shared.
    pub(crate) fn function_arc(&self) -> &Arc<Function> {
        &self.function
    }

    /// `service/function`.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// The published version, or `LATEST`.
    pub fn version(&self) -> &str {
        self.version.as_deref().unwrap_or(LATEST)
    }

    /// Instances to keep ready, whatever its own settings say.
    pub(crate) fn ready(&self) -> u32 {
        self.ready.load(Ordering::Acquire)
    }

    /// Sets that for whoever loads it next; returns what it was.
    pub(crate) fn keep_ready(&self, count: u32) -> u32 {
        self.ready.swap(count, Ordering::AcqRel)
    }

    pub(crate) fn touch(&self, now_ms: u64) {
        // What is beside it in memory is read by every call on every core: written only where it changes.
        if self.used_ms.load(Ordering::Relaxed) != now_ms {
            self.used_ms.store(now_ms, Ordering::Relaxed);
        }
    }

    pub(crate) fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }
}
