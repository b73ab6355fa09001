//! A layer: a zip of files that functions share, in versions that never change. Records here; how functions see the files is in
//! `mounted.rs`.
//!
//! All versions of a layer are one record. It stays when its last version is removed, so that no number is given twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::audit::{Change, Verb};
use crate::catalog::{Catalog, Record, Table};
use crate::checksum::crc64;
use crate::deploy::aside;
use crate::error::{Kind, PlatformError, RequestError};
use crate::name::LayerName;
use crate::objects::ObjectName;
use crate::package;
use crate::platform::{Inner, Platform};
use crate::service::{DESCRIPTION_CHARS_MAX, ListRequest, PAGE_MAX, Page, check_text};
use crate::storage::Collection;
use crate::storage::code_store::Pin;

/// Most versions that a layer has at once.
pub const LAYER_VERSIONS_MAX: usize = 100;
/// Most layers of a function.
pub const LAYERS_PER_FUNCTION_MAX: usize = 5;
/// Most runtimes that a version says it is for, and bytes of the name of one.
const RUNTIMES_MAX: usize = 32;
const RUNTIME_BYTES_MAX: usize = 64;

/// One version of a layer as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerVersion {
    /// The layer.
    pub layer: LayerName,
    /// Its number, from 1.
    pub version: u64,
    /// Whether it is meant for everybody; of the whole layer, and without effect here.
    pub is_public: bool,
    /// What was published.
    pub content: LayerContent,
}

/// What was published as a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerContent {
    /// Free text.
    pub description: String,
    /// The runtimes it is meant for, free text here.
    pub runtimes: Vec<String>,
    /// SHA-256 of the archive, in hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its CRC-64/XZ; shown as a decimal.
    pub checksum: u64,
    /// When it was published, in milliseconds since the Unix epoch.
    pub created_ms: u64,
}

/// Where the archive of a layer is.
#[derive(Debug, Clone)]
pub enum Archive {
    /// Here.
    Bytes(Bytes),
    /// In an object; it is read once, when the version is published.
    Object(ObjectName),
}

/// A version to publish.
#[derive(Debug, Clone)]
pub struct NewLayerVersion {
    /// Free text.
    pub description: String,
    /// The runtimes it is meant for.
    pub runtimes: Vec<String>,
    /// A zip archive of plain files.
    pub archive: Archive,
    /// CRC-64/XZ of the archive, if the caller computed it.
    pub checksum: Option<u64>,
}

/// A version of a layer that a function uses. The digest keeps it usable when that version is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRef {
    /// The layer.
    pub layer: LayerName,
    /// Its version.
    pub version: u64,
    /// SHA-256 of its archive; the platform's to fill in.
    #[serde(default)]
    pub digest: String,
}

/// All of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layer {
    name: LayerName,
    is_public: bool,
    /// The number given last.
    last: u64,
    versions: BTreeMap<u64, LayerContent>,
    #[serde(skip)]
    revision: u64,
}

impl Layer {
    fn version(&self, version: u64) -> Result<LayerVersion, RequestError> {
        let found = self.versions.get(&version).map(|content| self.shown(version, content));
        found.ok_or_else(|| no_version(self.name.as_str(), version))
    }

    fn shown(&self, version: u64, content: &LayerContent) -> LayerVersion {
        LayerVersion {
            layer: self.name.clone(),
            version,
            is_public: self.is_public,
            content: content.clone(),
        }
    }

    /// The digests of its archives.
    pub(crate) fn digests(&self) -> impl Iterator<Item = &String> {
        self.versions.values().map(|content| &content.digest)
    }
}

fn no_version(layer: &str, version: u64) -> RequestError {
    RequestError::NotFound { kind: Kind::LayerVersion, name: version_label(layer, version) }
}

fn version_label(layer: &str, version: u64) -> String {
    format!("{layer}/{version}")
}

impl Record for Layer {
    const COLLECTION: Collection = Collection("layer");
    const KIND: Kind = Kind::Layer;
    const PLURAL: &'static str = "layers";

    fn key(&self) -> String {
        self.name.as_str().to_owned()
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn stamp(&mut self, revision: u64) {
        self.revision = revision;
    }

    fn change(&self, before: Option<&Self>) -> Change {
        let last = before.map_or(0, |before| before.last);
        let gone = before.iter().flat_map(|before| before.versions.keys());
        let gone = gone.into_iter().find(|version| !self.versions.contains_key(version));
        let of_version = |verb, version| {
            Change::new(
                verb,
                Kind::LayerVersion.as_str(),
                version_label(self.name.as_str(), version),
            )
        };
        match gone {
            _ if self.last > last => of_version(Verb::Publish, self.last),
            Some(version) => of_version(Verb::Delete, *version),
            None => Change::new(Verb::Update, Kind::Layer.as_str(), self.name.as_str()),
        }
    }

    fn table(catalog: &Catalog, _: &str) -> Result<Arc<Table<Self>>, RequestError> {
        Ok(catalog.layers.clone())
    }
}

impl NewLayerVersion {
    fn check(&self) -> Result<(), RequestError> {
        check_text("description", &self.description, DESCRIPTION_CHARS_MAX)?;
        let is_short = |name: &String| name.len() <= RUNTIME_BYTES_MAX;
        if self.runtimes.len() > RUNTIMES_MAX || !self.runtimes.iter().all(is_short) {
            let why =
                format!("it is not at most {RUNTIMES_MAX} names of {RUNTIME_BYTES_MAX} bytes");
            return Err(RequestError::invalid("runtimes", why));
        }
        Ok(())
    }
}

impl Platform {
    /// Publishes the next version of a layer, and the layer with its first one. Durable on return.
    ///
    /// # Errors
    /// No name; bad description or archive; another checksum; too many layers or versions; storage.
    pub async fn publish_layer_version(
        &self,
        name: &str,
        new: NewLayerVersion,
    ) -> Result<LayerVersion, PlatformError> {
        let (inner, name) = (self.inner(), LayerName::parse(name)?);
        new.check()?;
        // The place of an object among those read at once is held until it is stored.
        let (archive, _slot) = match new.archive {
            Archive::Bytes(bytes) => (bytes, None),
            Archive::Object(object) => {
                let read = inner.objects.read(&object, None).await?;
                (read.bytes, Some(read.slot))
            }
        };
        let (limits, packed, expected) = (inner.package.clone(), archive.clone(), new.checksum);
        let check = move || {
            let found = crc64(&packed);
            match expected {
                Some(expected) if expected != found => {
                    Err(RequestError::Checksum { expected, found })
                }
                _ => package::check_files(&packed, &limits).map(|()| found),
            }
        };
        let checksum = aside("checking a layer", check).await??;
        // Held until the record names the file.
        let pin = inner.code.put(archive.clone()).await?;
        let content = LayerContent {
            description: new.description,
            runtimes: new.runtimes,
            digest: pin.digest().to_owned(),
            size_bytes: archive.len() as u64,
            checksum,
            created_ms: inner.clock.now_ms(),
        };
        let key = name.as_str().to_owned();
        let add = move |_: &Catalog, before: Option<&Layer>| {
            let mut layer = before.cloned().unwrap_or_else(|| Layer {
                name,
                is_public: false,
                last: 0,
                versions: BTreeMap::new(),
                revision: 0,
            });
            if layer.versions.len() >= LAYER_VERSIONS_MAX {
                let limit = LAYER_VERSIONS_MAX as u64;
                return Err(RequestError::Quota { what: "versions of a layer", limit });
            }
            layer.last += 1;
            layer.versions.insert(layer.last, content);
            Ok(layer)
        };
        let limit = inner.catalog.quotas().layers;
        let layer = self.writer().put_record("", &key, None, limit, add).await?;
        Ok(layer.version(layer.last)?)
    }

    /// A version of a layer.
    ///
    /// # Errors
    /// No such layer or version.
    pub fn get_layer_version(
        &self,
        name: &str,
        version: u64,
    ) -> Result<LayerVersion, RequestError> {
        self.inner().catalog.record::<Layer>("", name)?.version(version)
    }

    /// Its archive, to the byte.
    ///
    /// # Errors
    /// No such layer or version; the file is missing or damaged.
    pub async fn layer_archive(&self, name: &str, version: u64) -> Result<Bytes, PlatformError> {
        let found = self.get_layer_version(name, version)?;
        Ok(self.inner().code.get(&found.content.digest, &format!("layer {name}")).await?)
    }

    /// Removes a version of a layer; functions that use it keep it. Durable on return.
    ///
    /// # Errors
    /// No such layer or version; storage.
    pub async fn delete_layer_version(
        &self,
        name: &str,
        version: u64,
    ) -> Result<(), PlatformError> {
        let remove = move |_: &Catalog, before: &Layer| {
            let mut layer = before.clone();
            let removed = layer.versions.remove(&version);
            removed.ok_or_else(|| no_version(layer.name.as_str(), version))?;
            Ok(layer)
        };
        self.writer().change_record("", name, None, remove).await.map(drop)
    }

    /// Says whether a layer is meant for everybody; kept and given back. Durable on return.
    ///
    /// # Errors
    /// No such layer; storage.
    pub async fn set_layer_public(&self, name: &str, is_public: bool) -> Result<(), PlatformError> {
        let set = move |_: &Catalog, before: &Layer| Ok(Layer { is_public, ..before.clone() });
        self.writer().change_record("", name, None, set).await.map(drop)
    }

    /// Lists layers in order of name, each by its newest version; only those with that access, if one is named.
    ///
    /// # Errors
    /// A limit out of bounds.
    pub fn list_layers(
        &self,
        request: &ListRequest,
        is_public: Option<bool>,
    ) -> Result<Page<LayerVersion>, RequestError> {
        let newest = |layer: &Layer| {
            layer.versions.last_key_value().map(|(version, content)| layer.shown(*version, content))
        };
        let wanted = |layer: &Layer| {
            !layer.versions.is_empty() && is_public.is_none_or(|wanted| wanted == layer.is_public)
        };
        let page = self.inner().catalog.layers.page_where(request, wanted, newest)?;
        Ok(Page { items: page.items.into_iter().flatten().collect(), next: page.next })
    }

    /// Lists versions of a layer, newest first and from `start` downwards; and the number of the next one, if more follow.
    ///
    /// # Errors
    /// No such layer; a limit out of bounds.
    pub fn list_layer_versions(
        &self,
        name: &str,
        start: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<LayerVersion>, Option<u64>), RequestError> {
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(RequestError::invalid("limit", format!("{limit} is not 1 to {PAGE_MAX}")));
        }
        let layer = self.inner().catalog.record::<Layer>("", name)?;
        let mut rest = layer.versions.range(..=start.unwrap_or(u64::MAX)).rev();
        let page = rest.by_ref().take(limit);
        let page = page.map(|(version, content)| layer.shown(*version, content)).collect();
        Ok((page, rest.next().map(|(version, _)| *version)))
    }
}

impl Inner {
    /// Fills in the digests of layers that a function is to use, and keeps their archives until the pins are dropped.
    ///
    /// Layers that the function had `before` are taken as they are: the version may have been removed since.
    pub(crate) async fn resolve_layers(
        &self,
        layers: &mut [LayerRef],
        before: &[LayerRef],
    ) -> Result<Vec<Pin>, RequestError> {
        if layers.len() > LAYERS_PER_FUNCTION_MAX {
            let limit = LAYERS_PER_FUNCTION_MAX as u64;
            return Err(RequestError::Quota { what: "layers of a function", limit });
        }
        let mut pins = Vec::new();
        for layer in layers {
            let has_it =
                |held: &&LayerRef| held.layer == layer.layer && held.version == layer.version;
            if let Some(held) = before.iter().find(has_it) {
                pins.push(self.code.pin(held.digest.clone()).await);
                layer.digest.clone_from(&held.digest);
                continue;
            }
            let named = || -> Result<String, RequestError> {
                let found = self.catalog.record::<Layer>("", layer.layer.as_str())?;
                Ok(found.version(layer.version)?.content.digest)
            };
            pins.push(self.code.pin(named()?).await);
            // Asked again: between the question and the pin it may have been removed, and its file with it.
            layer.digest = named()?;
        }
        Ok(pins)
    }
}
