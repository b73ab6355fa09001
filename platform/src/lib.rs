//! Services, functions and durable invocations over the hearth engine.
//!
//! An embedder opens a [`Platform`] on a data directory and an engine, and talks to it through these:
//!
//! | to | call |
//! |---|---|
//! | open | [`Platform::open`] with a [`PlatformConfig`]; [`LogStore::open`] and [`PlatformCaller::new`] before, because the engine takes both |
//! | keep services | [`Platform::create_service`], `get_service`, `update_service`, `delete_service`, `list_services` |
//! | keep functions | [`Platform::create_function`], `get_function`, `update_function`, `delete_function`, `list_functions`, `function_package` |
//! | publish | [`Platform::publish_version`], `list_versions`, `delete_version`; `get_service_at`, `get_function_at`, `list_functions_at` look at one |
//! | name versions | [`Platform::create_alias`], `get_alias`, `update_alias`, `delete_alias`, `list_aliases` |
//! | keep triggers | [`Platform::create_trigger`], `get_trigger`, `update_trigger`, `delete_trigger`, `list_triggers` |
//! | keep domains | [`Platform::create_domain`], `get_domain`, `update_domain`, `delete_domain`, `list_domains`, [`Platform::seal_certificate`] |
//! | say how async invocations are run | [`Platform::put_async_config`], `get_…`, `delete_…`, `list_async_configs` |
//! | look up and stop stateful invocations | [`Platform::stateful_invocation`], [`Platform::stateful_invocations`], [`Platform::stop_stateful`] |
//! | bound and keep instances | [`Platform::put_on_demand_config`], `get_…`, `delete_…`, `list_on_demand_configs`; [`Platform::put_provision_config`], `get_…`, `list_provision_configs`; [`Platform::run_upkeep`] keeps them ready |
//! | bind services | [`Platform::bind_network`], `unbind_network`, `bound_networks` |
//! | keep layers | [`Platform::publish_layer_version`], `get_layer_version`, `layer_archive`, `delete_layer_version`, `set_layer_public`, `list_layers`, `list_layer_versions` |
//! | tag services | [`Platform::tag_service`], `untag_service`, `service_tags`, `list_services_tagged` |
//! | invoke | [`Platform::invoke`] with a [`Target`] and an engine [`Invocation`](hearth_engine::Invocation) gives an [`Invoked`]; `prewarm` makes instances ahead |
//! | hold WebSockets | [`Platform::open_websocket`] gives a [`WebSocketConnection`], if the function takes it; a [`Way`] tells when it must be closed |
//! | invoke later | [`Platform::enqueue`] (on disk when it returns), `cancel`, `dead_letters`, `queue_depths`; [`Platform::run_queue`] works it down |
//! | look back | [`Platform::invocations`] (the journal); [`LogStore::query`] and [`LogStore::follow`] |
//! | tell callers apart | [`Platform::keys`], or [`Keys::of_directory`] without a platform |
//! | know who changed what | [`Platform::by`] says on whose behalf; [`Platform::audit`] reads the trail, [`Platform::verify_audit`] looks whether it is whole |
//! | keep a copy | [`backup`] of a directory while a server works with it, [`check`] whether one is whole |
//! | keep house | [`Platform::run_upkeep`] (bounds of journal, dead letters and code files), [`Platform::stats`], `check` |
//!
//! Errors are [`PlatformError`] and, where nothing but the request can be wrong, [`RequestError`]. Nothing here knows of HTTP.

mod alias;
mod artifact_share;
mod async_config;
mod audit;
mod backup;
mod binding;
mod caller;
mod catalog;
mod certificate;
mod checksum;
mod clock;
mod config;
mod deploy;
mod derived;
mod domain;
mod domain_route;
mod error;
mod function;
mod gate;
mod gateway_trigger;
mod http_trigger;
mod invoke;
mod journal;
mod key;
mod layer;
mod loaded;
mod logs;
mod mounted;
mod name;
mod objects;
pub mod package;
mod path_template;
mod platform;
mod priority;
pub mod queue;
mod resolve;
mod revision;
mod scaling;
mod schedule;
mod serve;
mod service;
pub mod storage;
mod tag;
#[cfg(test)]
mod tests;
mod trigger;
mod upkeep;
mod version;
mod way;
mod websocket;

pub use alias::{Alias, AliasChange, NewAlias};
pub use artifact_share::ArtifactShare;
pub use async_config::{AsyncConfig, AsyncSettings, EVENT_AGE_S_MAX};
pub use audit::{
    AuditConfig, AuditFilter, AuditHead, AuditPage, AuditRecord, AuditReport, Deed, Origin,
};
pub use backup::{BackupReport, CheckReport, backup, check};
pub use binding::BINDINGS_MAX;
pub use caller::PlatformCaller;
pub use certificate::{DomainCertificate, DomainIdentity, NewCertificate};
pub use checksum::crc64;
pub use clock::{Clock, SystemClock, to_ms};
pub use config::{PlatformConfig, Quotas};
pub use domain::{
    DOMAIN_ROUTES_MAX, Domain, DomainChange, DomainProtocol, DomainRoute, DomainSettings,
};
pub use domain_route::{NoRoute, Routed};
pub use error::{Kind, PlatformError, RequestError};
pub use function::{
    Code, CodeUpload, ENVIRONMENT_BYTES_MAX, Function, FunctionChange, FunctionSettings,
    INITIALIZATION_TIMEOUT_S_MAX, NewFunction, TIMEOUT_S_MAX,
};
pub use gate::{Gate, GateLimits, GateRefusal, Gated, Pass};
pub use gateway_trigger::{GatewayAuth, GatewayRoute, GatewayTrigger, NoGatewayRoute};
pub use http_trigger::{HttpAuth, HttpTrigger};
pub use invoke::Invoked;
pub use journal::{
    ErrorNote, Figures, InvocationFilter, InvocationRecord, InvocationType, JournalConfig, Status,
};
pub use key::{
    AccessKey, KeyError, Keys, Needed, NewKey, OpenKey, Role, SealError, Secret, needed_for,
};
pub use layer::{
    Archive, LAYER_VERSIONS_MAX, LAYERS_PER_FUNCTION_MAX, LayerContent, LayerRef, LayerVersion,
    NewLayerVersion,
};
pub use logs::{Followed, LogConfig, LogEntry, LogFollower, LogQuery, LogStore};
pub use mounted::LAYERS_PATH;
pub use name::{
    AliasName, FUNCTION_NAME_BYTES_MAX, FunctionName, InvocationId, LATEST, LayerName,
    NAME_BYTES_MAX, Qualifier, ServiceName, Target, TriggerName, ordered_id,
};
pub use objects::{Bucket, Endpoint, OBJECT_KEY_BYTES_MAX, ObjectConfig, ObjectError, ObjectName};
pub use package::{PackageError, PackageLimits};
pub use path_template::unescape;
pub use platform::{Platform, PlatformStats};
pub use priority::run_behind_callers;
pub use queue::{
    Accepted, DeadLetter, Deliver, DeliveryError, Destination, DestinationKind, EnqueueOptions,
    QueueConfig, Replay, StatefulFilter, StatefulInvocation, StatefulPage, StatefulStatus, Told,
};
pub use revision::{Resolved, Revision};
pub use scaling::{
    ON_DEMAND_MAX, OnDemandConfig, PROVISION_TARGET_MAX, ProvisionChange, ProvisionConfig,
    ProvisionFilter, SCHEDULED_ACTIONS_MAX, ScheduledAction, TRACKING_POLICIES_MAX, TrackingPolicy,
};
pub use service::{
    DESCRIPTION_CHARS_MAX, EXTRA_BYTES_MAX, ListRequest, NESTING_MAX, PAGE_MAX, Page, Service,
    ServiceChange, ServiceSettings,
};
pub use storage::StorageError;
pub use storage::code_store::CodeError;
pub use tag::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
pub use trigger::{
    NewTrigger, TRIGGER_CONFIG_BYTES_MAX, Trigger, TriggerChange, TriggerKind, TriggerSettings,
};
pub use version::{Direction, Version, VersionListRequest, VersionPage};
pub use way::Way;
pub use websocket::{WebSocketConnection, WebSocketMode, WebSocketSettings, WebSocketWish};
