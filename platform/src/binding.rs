//! A binding: a private network that a service says it belongs to. Kept as a record; there are no such networks here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Record, Table};
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::ServiceName;
use crate::platform::Platform;
use crate::storage::Collection;

/// Most networks that a service is bound to.
pub const BINDINGS_MAX: usize = 20;

/// A service's binding to one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Binding {
    service: ServiceName,
    network: String,
    #[serde(skip)]
    revision: u64,
}

impl Record for Binding {
    const COLLECTION: Collection = Collection("binding");
    const KIND: Kind = Kind::Binding;
    const PLURAL: &'static str = "bindings of a service";

    fn service(&self) -> &str {
        self.service.as_str()
    }

    fn key(&self) -> String {
        self.network.clone()
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn stamp(&mut self, revision: u64) {
        self.revision = revision;
    }

    fn table(catalog: &Catalog, service: &str) -> Result<Arc<Table<Self>>, RequestError> {
        Ok(catalog.service(service)?.bindings.clone())
    }
}

impl Platform {
    /// Binds a service to a network: 1 to 128 letters, digits, `-` and `_`. Doing it again changes nothing. Durable on return.
    ///
    /// # Errors
    /// No such service; no name of a network; too many; storage.
    pub async fn bind_network(&self, service: &str, network: &str) -> Result<(), PlatformError> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=128).contains(&network.len()) || !network.bytes().all(is_part) {
            let why = "it is not 1 to 128 letters, digits, `-` and `_`";
            return Err(RequestError::invalid("network", why).into());
        }
        let catalog = &self.inner().catalog;
        let binding = Binding {
            service: catalog.service(service)?.record().name.clone(),
            network: network.to_owned(),
            revision: 0,
        };
        let make = move |_: &Catalog, _: Option<&Binding>| Ok(binding);
        self.writer().put_record(service, network, None, BINDINGS_MAX as u64, make).await?;
        Ok(())
    }

    /// Unbinds a service from a network. Durable on return.
    ///
    /// # Errors
    /// No such service or binding; storage.
    pub async fn unbind_network(&self, service: &str, network: &str) -> Result<(), PlatformError> {
        self.writer().remove_record::<Binding>(service, network, None).await
    }

    /// The networks that a service is bound to, in order of name.
    ///
    /// # Errors
    /// No such service.
    pub fn bound_networks(&self, service: &str) -> Result<Vec<String>, RequestError> {
        Ok(self.inner().catalog.service(service)?.bindings.all().keys().cloned().collect())
    }
}
