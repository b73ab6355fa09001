//! A trigger: a source of events and the function that it calls. Kept here as a record; what a source does is its own affair.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Record, Table};
use crate::derived::Derived;
use crate::error::{Kind, PlatformError, RequestError};
use crate::gateway_trigger::GatewayTrigger;
use crate::http_trigger::HttpTrigger;
use crate::name::{FunctionName, LATEST, ServiceName, Target, TriggerName};
use crate::platform::Platform;
use crate::schedule::Schedule;
use crate::service::{DESCRIPTION_CHARS_MAX, ListRequest, Page, check_nesting, check_text, set};
use crate::storage::Collection;

/// The most bytes of a trigger's configuration, as JSON.
pub const TRIGGER_CONFIG_BYTES_MAX: usize = 64 * 1024;

/// What kind of source a trigger has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// The clock.
    Timer,
    /// Requests over HTTP.
    Http,
    /// Requests over HTTP that become events, as an API gateway makes them.
    Gateway,
    /// Changes in an object store.
    ObjectStore,
    /// Lines of a log store.
    Log,
    /// Messages of a topic.
    Topic,
    /// Events of a content delivery network.
    Cdn,
    /// Changes of a wide-column table.
    Table,
    /// Changes of a relational database.
    Database,
    /// Events of an event bus.
    EventBus,
}

/// A trigger as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its service.
    pub service: ServiceName,
    /// Its function.
    pub function: FunctionName,
    /// Its name.
    pub name: TriggerName,
    /// Its id: a UUID that a trigger of the same name made later does not share.
    pub id: String,
    /// What kind of source it has; never changes.
    pub kind: TriggerKind,
    /// What the owner sets.
    #[serde(flatten)]
    pub settings: TriggerSettings,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was last changed.
    pub modified_ms: u64,
    /// Grows with every change over the whole platform; what entity tags are made of.
    #[serde(skip)]
    pub revision: u64,
    /// What the configuration of an HTTP trigger says, read.
    #[serde(skip)]
    pub(crate) read: Derived<Result<Arc<HttpTrigger>, String>>,
    /// The same of a trigger of an API gateway's kind.
    #[serde(skip)]
    pub(crate) read_gateway: Derived<Result<Arc<GatewayTrigger>, String>>,
}

/// What the owner of a trigger sets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggerSettings {
    /// The configuration of its source, as it came.
    pub config: Map<String, Value>,
    /// Where its events come from, free text here; requests come from nowhere in particular.
    pub source: Option<String>,
    /// A role, free text here.
    pub role: String,
    /// The version or alias that it calls; none is `LATEST`.
    pub qualifier: Option<String>,
    /// Free text.
    pub description: String,
}

/// A trigger to create.
#[derive(Debug, Clone)]
pub struct NewTrigger {
    /// Its name.
    pub name: TriggerName,
    /// What kind of source it has.
    pub kind: TriggerKind,
    /// Its settings.
    pub settings: TriggerSettings,
}

/// A change of a trigger: fields that are none stay as they are.
#[derive(Debug, Clone, Default)]
pub struct TriggerChange {
    /// Replaces the configuration.
    pub config: Option<Map<String, Value>>,
    /// Replaces the role.
    pub role: Option<String>,
    /// Replaces the qualifier.
    pub qualifier: Option<String>,
    /// Replaces the description.
    pub description: Option<String>,
    /// The revision that the caller has seen.
    pub expect: Option<u64>,
}

/// Holds a configuration to what its kind of source documents, as far as it has an effect here.
fn check_config(kind: TriggerKind, config: &Map<String, Value>) -> Result<(), RequestError> {
    let checked = match kind {
        TriggerKind::Timer => check_timer(config),
        TriggerKind::Http => HttpTrigger::check(config),
        TriggerKind::Gateway => GatewayTrigger::check(config),
        _ => Ok(()),
    };
    checked.map_err(|why| RequestError::invalid("trigger_config", why))
}

/// A field, unless it is absent or null.
fn set_field<'a>(config: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    config.get(name).filter(|value| !value.is_null())
}

fn check_timer(config: &Map<String, Value>) -> Result<(), String> {
    let schedule = config.get("cronExpression").and_then(Value::as_str);
    let schedule = schedule.ok_or("`cronExpression` is not a text")?;
    Schedule::parse(schedule).map_err(|why| format!("`cronExpression` cannot be read: {why}"))?;
    if !set_field(config, "enable").is_none_or(Value::is_boolean) {
        return Err("`enable` is not true or false".to_owned());
    }
    if !set_field(config, "payload").is_none_or(Value::is_string) {
        return Err("`payload` is not a text".to_owned());
    }
    Ok(())
}

fn key(function: &str, name: &str) -> String {
    format!("{function}/{name}")
}

impl Trigger {
    pub(crate) fn qualifier(&self) -> &str {
        self.settings.qualifier.as_deref().unwrap_or(LATEST)
    }

    /// What an HTTP trigger lets through; its limits count over all who ask.
    pub(crate) fn http(&self) -> Result<&Arc<HttpTrigger>, &String> {
        let read = || HttpTrigger::read(&self.settings.config).map(Arc::new);
        self.read.get(read).as_ref().as_ref()
    }

    /// The same of one of an API gateway's kind.
    pub(crate) fn gateway(&self) -> Result<Arc<GatewayTrigger>, String> {
        let read = || GatewayTrigger::read(&self.settings.config).map(Arc::new);
        self.read_gateway.get(read).as_ref().clone()
    }

    /// Whether another one of an API gateway's kind would take the same requests.
    fn is_in_the_way_of(&self, other: &Self) -> bool {
        self.kind == TriggerKind::Gateway
            && other.kind == TriggerKind::Gateway
            && self
                .gateway()
                .is_ok_and(|one| other.gateway().is_ok_and(|other| one.is_in_the_way_of(&other)))
    }

    fn check(&self, catalog: &Catalog) -> Result<(), RequestError> {
        let settings = &self.settings;
        check_text("description", &settings.description, DESCRIPTION_CHARS_MAX)?;
        check_text("role", &settings.role, 2048)?;
        check_text("source", settings.source.as_deref().unwrap_or_default(), 2048)?;
        check_nesting("trigger_config", &settings.config)?;
        let size = serde_json::to_vec(&settings.config).map_or(usize::MAX, |text| text.len());
        if size > TRIGGER_CONFIG_BYTES_MAX {
            let why = format!("it has {size} bytes; the limit is {TRIGGER_CONFIG_BYTES_MAX}");
            return Err(RequestError::invalid("trigger_config", why));
        }
        // Whatever it calls, it belongs to the function as it stands.
        catalog.revision(self.service.as_str(), self.function.as_str())?;
        let entry = catalog.service(self.service.as_str())?;
        entry.function_at(Target {
            service: self.service.as_str(),
            qualifier: settings.qualifier.as_deref(),
            function: self.function.as_str(),
        })?;
        let (triggers, group) = (entry.triggers.all(), key(self.function.as_str(), ""));
        let held = triggers.range(group.clone()..).take_while(|(key, _)| key.starts_with(&group));
        let others: Vec<_> =
            held.map(|(_, other)| other).filter(|other| other.name != self.name).collect();
        let limit = catalog.quotas().triggers_per_function;
        if others.len() as u64 >= limit {
            return Err(RequestError::Quota { what: "triggers of a function", limit });
        }
        let taken = others
            .iter()
            .find(|other| other.qualifier() == self.qualifier() && self.is_in_the_way_of(other));
        if let Some(other) = taken {
            let why = format!("trigger `{}` has this path and method already", other.name);
            return Err(RequestError::invalid("trigger_config", why));
        }
        // Requests and events are answered differently, so one version of a function serves the one or the other.
        let is_http = |trigger: &Trigger| trigger.kind == TriggerKind::Http;
        let clash = others.iter().find(|other| {
            other.qualifier() == self.qualifier() && (is_http(other) || is_http(self))
        });
        clash.map_or(Ok(()), |other| {
            let why = format!(
                "trigger `{}` at `{}` is in the way: an HTTP trigger is the only one there",
                other.name,
                other.qualifier()
            );
            Err(RequestError::invalid("trigger_type", why))
        })
    }
}

impl Record for Trigger {
    const COLLECTION: Collection = Collection("trigger");
    const KIND: Kind = Kind::Trigger;
    const PLURAL: &'static str = "triggers of a service";

    fn service(&self) -> &str {
        self.service.as_str()
    }

    fn key(&self) -> String {
        key(self.function.as_str(), self.name.as_str())
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn stamp(&mut self, revision: u64) {
        self.revision = revision;
    }

    fn table(catalog: &Catalog, service: &str) -> Result<Arc<Table<Self>>, RequestError> {
        Ok(catalog.service(service)?.triggers.clone())
    }
}

impl Platform {
    /// Creates a trigger of a function. Durable on return.
    ///
    /// # Errors
    /// No such service, function, version or alias; taken name; settings out of bounds; an HTTP trigger beside another one; quota;
    /// storage.
    pub async fn create_trigger(
        &self,
        service: &str,
        function: &str,
        new: NewTrigger,
    ) -> Result<Trigger, PlatformError> {
        let inner = self.inner();
        let now = inner.clock.now_ms();
        let revision = inner.catalog.revision(service, function)?;
        let mut settings = new.settings;
        check_config(new.kind, &settings.config)?;
        settings.qualifier = settings.qualifier.filter(|text| !text.is_empty());
        if matches!(new.kind, TriggerKind::Http | TriggerKind::Gateway) {
            settings.source = None;
        }
        let trigger = Trigger {
            service: revision.function().service.clone(),
            function: revision.function().name.clone(),
            name: new.name,
            id: uuid::Uuid::new_v4().to_string(),
            kind: new.kind,
            settings,
            created_ms: now,
            modified_ms: now,
            revision: 0,
            read: Derived::default(),
            read_gateway: Derived::default(),
        };
        let check = |catalog: &Catalog, trigger: &Trigger| trigger.check(catalog);
        self.writer().add_record(trigger, u64::MAX, check).await
    }

    /// A trigger.
    ///
    /// # Errors
    /// No such service, function or trigger.
    pub fn get_trigger(
        &self,
        service: &str,
        function: &str,
        name: &str,
    ) -> Result<Trigger, RequestError> {
        let catalog = &self.inner().catalog;
        catalog.revision(service, function)?;
        Ok(catalog.record::<Trigger>(service, &key(function, name))?.as_ref().clone())
    }

    /// Changes a trigger. Durable on return.
    ///
    /// # Errors
    /// No such service, function, trigger, version or alias; settings out of bounds; another revision than expected; storage.
    pub async fn update_trigger(
        &self,
        service: &str,
        function: &str,
        name: &str,
        change: TriggerChange,
    ) -> Result<Trigger, PlatformError> {
        let (inner, now) = (self.inner(), self.inner().clock.now_ms());
        inner.catalog.revision(service, function)?;
        let expect = change.expect;
        let apply = move |catalog: &Catalog, before: &Trigger| {
            let mut trigger = before.clone();
            let settings = &mut trigger.settings;
            // What an earlier program took may stay as it is.
            if let Some(config) = &change.config {
                check_config(before.kind, config)?;
            }
            set(&mut settings.config, change.config.as_ref());
            set(&mut settings.role, change.role.as_ref());
            set(&mut settings.description, change.description.as_ref());
            if let Some(qualifier) = change.qualifier {
                settings.qualifier = Some(qualifier).filter(|text| !text.is_empty());
            }
            trigger.modified_ms = now;
            trigger.check(catalog)?;
            Ok(trigger)
        };
        self.writer().change_record(service, &key(function, name), expect, apply).await
    }

    /// Deletes a trigger. Durable on return.
    ///
    /// # Errors
    /// No such service, function or trigger; another revision than expected; storage.
    pub async fn delete_trigger(
        &self,
        service: &str,
        function: &str,
        name: &str,
        expect: Option<u64>,
    ) -> Result<(), PlatformError> {
        let catalog = &self.inner().catalog;
        catalog.revision(service, function)?;
        self.writer().remove_record::<Trigger>(service, &key(function, name), expect).await
    }

    /// Lists triggers of a function in order of name.
    ///
    /// # Errors
    /// No such service or function; a limit out of bounds.
    pub fn list_triggers(
        &self,
        service: &str,
        function: &str,
        request: &ListRequest,
    ) -> Result<Page<Trigger>, RequestError> {
        let catalog = &self.inner().catalog;
        catalog.revision(service, function)?;
        catalog.service(service)?.triggers.page_of(function, request, Clone::clone)
    }
}
