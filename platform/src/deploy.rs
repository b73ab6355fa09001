//! Deploying functions: code is stored first, then loaded by the engine as the check that it runs here, then the record is committed.
//! So a record never points to nothing, and what was accepted can be called.
//!
//! Invocations that run while a function is replaced or deleted keep the revision they began with.

use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::as_expected;
use crate::checksum::crc64;
use crate::error::{Kind, PlatformError, RequestError};
use crate::function::{Code, CodeUpload, Function, FunctionChange, NewFunction};
use crate::name::{LATEST, Target};
use crate::objects::Slot;
use crate::package::{self, Form};
use crate::platform::{Inner, Platform};
use crate::service::{ListRequest, Page};
use crate::storage::code_store::Pin;

/// Code that is in the code store, and what keeps it there until a record names it.
struct Stored {
    code: Code,
    wasm: Bytes,
    _pins: (Pin, Pin),
    /// The place of an object among those read at once.
    _slot: Option<Slot>,
}

impl Platform {
    /// Creates a function. On return it is durable, and loaded.
    ///
    /// # Errors
    /// No such service, taken name, bad settings or code, quota; the engine cannot load it; storage.
    pub async fn create_function(
        &self,
        service: &str,
        mut new: NewFunction,
    ) -> Result<Function, PlatformError> {
        let inner = self.inner();
        new.settings.check()?;
        inner.catalog.may_create(service, &new.name)?;
        let _layers = inner.resolve_layers(&mut new.settings.layers, &[]).await?;
        let stored = inner.store_code(service, new.code, new.checksum).await?;
        let now = inner.clock.now_ms();
        let mut function = Function {
            service: inner.catalog.service(service)?.record().name.clone(),
            name: new.name,
            id: uuid::Uuid::new_v4().to_string(),
            settings: new.settings,
            code: stored.code.clone(),
            created_ms: now,
            modified_ms: now,
            revision: 0,
        };
        let spec = inner.spec(&function, LATEST, 0, stored.wasm.clone()).await?;
        let loaded = inner.engine.load(spec).await?;
        function.code.guest = Some(loaded.kind());
        let revision = self.writer().create_function(function).await?;
        inner.keep(&revision, loaded);
        Ok(revision.function().clone())
    }

    /// A function.
    ///
    /// # Errors
    /// No such service or function.
    pub fn get_function(&self, service: &str, name: &str) -> Result<Function, RequestError> {
        self.get_function_at(Target::latest(service, name))
    }

    /// A function as it stands at a version; an alias stands for its main version.
    ///
    /// # Errors
    /// No such service, version, alias or function.
    pub fn get_function_at(&self, target: Target<'_>) -> Result<Function, RequestError> {
        Ok(self.inner().catalog.service(target.service)?.function_at(target)?.as_ref().clone())
    }

    /// Changes a function. On return the change is durable and serves whoever calls next.
    ///
    /// # Errors
    /// No such service or function, bad settings or code, another revision than expected; the engine cannot load it; storage.
    pub async fn update_function(
        &self,
        service: &str,
        name: &str,
        change: FunctionChange,
    ) -> Result<Function, PlatformError> {
        let inner = self.inner();
        let before = inner.catalog.revision(service, name)?;
        as_expected(Kind::Function, before.label(), change.expect, before.function().revision)?;
        let mut function = before.function().clone();
        function.settings = function.settings.changed(&change)?;
        let held = &before.function().settings.layers;
        let _layers = inner.resolve_layers(&mut function.settings.layers, held).await?;
        function.modified_ms = inner.clock.now_ms();
        let (wasm, _held) = match change.code {
            Some(upload) => {
                let stored = inner.store_code(service, upload, change.checksum).await?;
                function.code = stored.code;
                (stored.wasm, Some((stored._pins, stored._slot)))
            }
            None => (inner.code.get(&function.code.digest, before.label()).await?, None),
        };
        let spec = inner.spec(&function, LATEST, before.ready(), wasm).await?;
        let loaded = inner.engine.load(spec).await?;
        function.code.guest = Some(loaded.kind());
        let revision = self.writer().update_function(before, function, change.expect).await?;
        inner.keep(&revision, loaded);
        Ok(revision.function().clone())
    }

    /// Deletes a function. Durable on return; its running invocations go on, its queued ones will fail.
    ///
    /// # Errors
    /// No such service or function, another revision than expected; storage.
    pub async fn delete_function(
        &self,
        service: &str,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        self.writer().delete_function(service, name, expect).await
    }

    /// Lists functions of a service in order of name.
    ///
    /// # Errors
    /// No such service; a limit out of bounds.
    pub fn list_functions(
        &self,
        service: &str,
        request: &ListRequest,
    ) -> Result<Page<Function>, RequestError> {
        self.list_functions_at(service, None, request)
    }

    /// Lists functions as they stand at a version, in order of name; an alias stands for its main version.
    ///
    /// # Errors
    /// No such service, version or alias; a limit out of bounds.
    pub fn list_functions_at(
        &self,
        service: &str,
        qualifier: Option<&str>,
        request: &ListRequest,
    ) -> Result<Page<Function>, RequestError> {
        self.inner().catalog.service(service)?.functions_at(qualifier, request)
    }

    /// What was uploaded for a function, to the byte.
    ///
    /// # Errors
    /// No such service, version, alias or function; the file is missing or damaged.
    pub async fn function_package(&self, target: Target<'_>) -> Result<Bytes, PlatformError> {
        let function = self.inner().catalog.service(target.service)?.function_at(target)?;
        Ok(self.inner().code.get(&function.code.package_digest, &target.to_string()).await?)
    }
}

impl Inner {
    async fn store_code(
        self: &Arc<Self>,
        service: &str,
        upload: CodeUpload,
        checksum: Option<u64>,
    ) -> Result<Stored, PlatformError> {
        let (package, form, slot) = match upload {
            CodeUpload::Zip(bytes) => (bytes, Form::Zip, None),
            CodeUpload::Wasm(bytes) => (bytes, Form::Wasm, None),
            CodeUpload::Object(object) => {
                let read = self.objects.read(&object, Some(service)).await?;
                let form = Form::of(&read.bytes);
                (read.bytes, form, Some(read.slot))
            }
        };
        let (limits, packed) = (self.package.clone(), package.clone());
        let unpack = move || {
            let found = crc64(&packed);
            match checksum {
                Some(expected) if expected != found => {
                    Err(RequestError::Checksum { expected, found })
                }
                _ => Ok((found, package::open(&packed, form, &limits)?)),
            }
        };
        let (checksum, wasm) = aside("unpacking code", unpack).await??;
        let package_pin = self.code.put(package.clone()).await?;
        let wasm_pin = self.code.put(wasm.clone()).await?;
        let code = Code {
            digest: wasm_pin.digest().to_owned(),
            wasm_bytes: wasm.len() as u64,
            package_digest: package_pin.digest().to_owned(),
            package_bytes: package.len() as u64,
            checksum,
            guest: None,
        };
        Ok(Stored { code, wasm, _pins: (package_pin, wasm_pin), _slot: slot })
    }
}

/// Does what takes as long as inflating a hundred megabytes, a second, away from the threads that serve invocations.
///
/// # Errors
/// It panicked.
pub(crate) async fn aside<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PlatformError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| PlatformError::Failure { what, why: error.to_string() })
}
