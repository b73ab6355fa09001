//! Every error of the platform and the engine as this dialect says it: status, code, message. One table, `errors.md`, which a
//! test keeps equal to the code.
//!
//! Messages of failures of our own say nothing about the inside; that goes to the log, with the request id.

use hearth_engine::{LoadError, Refusal};
use hearth_platform::{CodeError, Kind, ObjectError, PlatformError, RequestError};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde::Serialize;

use crate::http::{Body, BodyError, Rejection, Response};

/// An error as it goes to the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    /// The status.
    pub status: StatusCode,
    /// The code, which clients branch on.
    pub code: &'static str,
    /// The message, which people read.
    pub message: String,
}

/// Its body.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorBody<'a> {
    error_code: &'a str,
    error_message: &'a str,
}

const STORAGE_DECLINED: &str = "storage cannot take this now; the operator has been told why";

/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 1000;

const INTERNAL: &str = "an internal error has occurred. Please retry.";

impl WireError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // What the caller sent may be in it, at any length.
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        Self { status, code, message }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
    }

    fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", INTERNAL)
    }

    fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    fn exhausted(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "ResourceExhausted", message)
    }

    fn too_large(limit_bytes: u64) -> Self {
        let message = format!("payload size exceeds maximum allowed size ({limit_bytes} bytes)");
        Self::new(StatusCode::BAD_REQUEST, "EntityTooLarge", message)
    }

    /// A path that leads nowhere, or not with this method.
    pub(crate) fn no_route(method: &Method, path: &str) -> Self {
        let path = path.get(..path.floor_char_boundary(256)).unwrap_or_default();
        let message = format!("'{method}' against '{path}' is not supported");
        Self::new(StatusCode::BAD_REQUEST, "PathNotSupported", message)
    }

    /// The response. A client that repeats reads and writes after a 500 for half a minute on its own is told 503, which it
    /// hands on.
    pub(crate) fn into_response(self, method: &Method) -> Response {
        let error = if self.status == StatusCode::INTERNAL_SERVER_ERROR && method != Method::POST {
            Self::unavailable(self.message)
        } else {
            self
        };
        let body = ErrorBody { error_code: error.code, error_message: &error.message };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::Full(body.into()));
        *response.status_mut() = error.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl From<PlatformError> for WireError {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::Request(error) => error.into(),
            PlatformError::Load(error) => error.into(),
            PlatformError::Refused(refusal) => refusal.into(),
            PlatformError::Storage(error) if error.is_retryable() => {
                tracing::error!(%error, hint = error.hint(), "storage declined");
                Self::unavailable(STORAGE_DECLINED)
            }
            PlatformError::Code(CodeError::Io { .. }) => {
                tracing::error!(%error, hint = error.hint(), "code files cannot be kept; is the disk full?");
                Self::unavailable(STORAGE_DECLINED)
            }
            PlatformError::Object(error) => error.into(),
            PlatformError::Storage(_) | PlatformError::Code(_) | PlatformError::Failure { .. } => {
                tracing::error!(%error, hint = error.hint(), "a request failed");
                Self::internal()
            }
        }
    }
}

impl From<RequestError> for WireError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::NotFound { kind, name } => {
                let (code, message) = not_found(kind, &name);
                Self::new(StatusCode::NOT_FOUND, code, message)
            }
            RequestError::AlreadyExists { kind, name } => {
                let (code, message) = already_exists(kind, &name);
                Self::new(StatusCode::CONFLICT, code, message)
            }
            RequestError::Invalid { field, why } => {
                Self::invalid(format!("{} is set to an invalid value: {why}", wire_name(field)))
            }
            RequestError::Conflict { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "PreconditionFailed",
                "the resource being modified has been changed",
            ),
            RequestError::Overtaken { .. } => {
                Self::new(StatusCode::CONFLICT, "ConcurrentUpdateError", error.to_string())
            }
            RequestError::NotEmpty { kind: Kind::Function, name, .. } => Self::new(
                StatusCode::CONFLICT,
                "FunctionNotEmpty",
                format!("function '{}' has active triggers", parts(&name).1),
            ),
            RequestError::NotEmpty { kind, name, holds } => Self::new(
                StatusCode::CONFLICT,
                "ServiceNotEmpty",
                format!("{kind} '{name}' is not empty: it holds {holds}"),
            ),
            RequestError::Unchanged { .. } => {
                Self::new(StatusCode::CONFLICT, "VersionPublishError", error.to_string())
            }
            RequestError::TooLarge { limit_bytes, .. } => Self::too_large(limit_bytes),
            RequestError::Quota { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "LimitExceededError", error.to_string())
            }
            RequestError::Throttled { .. } => Self::exhausted(error.to_string()),
            RequestError::Package(_) => {
                Self::invalid(format!("code is set to an invalid value: {error}; {}", error.hint()))
            }
            RequestError::Checksum { .. } => Self::invalid(error.to_string()),
        }
    }
}

impl From<ObjectError> for WireError {
    fn from(error: ObjectError) -> Self {
        let message = format!("{error}; {}", error.hint());
        match error {
            ObjectError::NoBucket { .. } => {
                Self::invalid(format!("code.ossBucketName is set to an invalid value: {message}"))
            }
            ObjectError::NoObject { .. } | ObjectError::NotPlain { .. } => {
                Self::invalid(format!("code.ossObjectName is set to an invalid value: {message}"))
            }
            ObjectError::NotGranted { .. } => {
                Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
            }
            // Nothing that the caller can mend: the operator is told what was said.
            ObjectError::Denied { .. } => {
                tracing::error!(%error, detail = error.detail().escape_debug().to_string(), "an object store denies access");
                Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
            }
            ObjectError::TooLarge { limit_bytes, .. } => Self::too_large(limit_bytes),
            ObjectError::Busy { .. } => Self::exhausted(message),
            ObjectError::TooSlow { .. } | ObjectError::Unavailable { .. } => {
                tracing::warn!(%error, detail = error.detail().escape_debug().to_string(), "an object could not be read");
                Self::unavailable(message)
            }
            ObjectError::Misconfigured { .. } => {
                tracing::error!(%error, "an object could not be read");
                Self::internal()
            }
        }
    }
}

impl WireError {
    /// An error told to whoever deploys, who may see what the function's initializer logged; a caller of the function may not.
    pub(crate) fn of_deployment(error: PlatformError) -> Self {
        let log = match &error {
            PlatformError::Load(LoadError::Initializer { log, .. }) => log.trim_end().to_owned(),
            _ => String::new(),
        };
        let mut told = Self::from(error);
        if !log.is_empty() {
            told.message = format!("{}; it logged:\n{log}", told.message);
        }
        told
    }
}

impl From<LoadError> for WireError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::TooLarge { limit_bytes, .. } => Self::too_large(limit_bytes),
            LoadError::CompilerBusy { .. } | LoadError::Busy { .. } => {
                Self::exhausted(format!("{error}; {}", error.hint()))
            }
            LoadError::ArtifactStore { .. } => {
                tracing::error!(%error, hint = error.hint(), "artifacts cannot be kept; is the disk full?");
                Self::unavailable(STORAGE_DECLINED)
            }
            // The enum may grow; what is not retryable is the upload's fault by its own account.
            _ if error.is_retryable() => {
                tracing::error!(%error, hint = error.hint(), "a function could not be loaded");
                Self::internal()
            }
            _ => Self::invalid(format!("{error}; {}", error.hint())),
        }
    }
}

impl From<Refusal> for WireError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PayloadTooLarge { limit_bytes, .. } => Self::too_large(limit_bytes),
            Refusal::Draining => Self::unavailable("the server is shutting down"),
            // The enum may grow; every other refusal is one of load.
            _ => Self::exhausted(refusal.to_string()),
        }
    }
}

impl From<BodyError> for WireError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { limit_bytes } => Self::too_large(limit_bytes),
            BodyError::NoMemory { .. } => Self::exhausted(error.to_string()),
            BodyError::TooSlow { .. } | BodyError::Broken { .. } => {
                Self::invalid(error.to_string())
            }
        }
    }
}

impl From<Rejection> for WireError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::HeaderTooLarge => Self::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "InvalidArgument",
                "the header of the request is over its limit",
            ),
            Rejection::Malformed { why } => Self::invalid(why),
            Rejection::Misdirected => Self::new(
                StatusCode::MISDIRECTED_REQUEST,
                "InvalidArgument",
                "the connection was made for another host than the request is for",
            ),
            Rejection::Panicked => Self::internal(),
        }
    }
}

/// `service/function` in its parts.
fn parts(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or(("", name))
}

/// `service.qualifier` in its parts.
fn qualified(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or((name, ""))
}

fn not_found(kind: Kind, name: &str) -> (&'static str, String) {
    match kind {
        Kind::Service => ("ServiceNotFound", format!("service '{name}' does not exist")),
        Kind::Function => {
            let (service, function) = parts(name);
            (
                "FunctionNotFound",
                format!("function '{function}' does not exist in service '{service}'"),
            )
        }
        Kind::Version => {
            let (service, version) = qualified(name);
            (
                "VersionNotFound",
                format!("version '{version}' of service '{service}' does not exist"),
            )
        }
        Kind::Alias => {
            let (service, alias) = qualified(name);
            ("AliasNotFound", format!("alias '{alias}' of service '{service}' does not exist"))
        }
        Kind::Trigger => {
            let trigger = name.rsplit('/').next().unwrap_or_default();
            ("TriggerNotFound", format!("trigger '{trigger}' does not exist"))
        }
        Kind::HttpTrigger | Kind::GatewayTrigger => {
            ("TriggerNotFound", format!("function '{name}' has no {kind}"))
        }
        Kind::OnDemandConfig => {
            ("OnDemandConfigNotFound", format!("on-demand config of '{name}' does not exist"))
        }
        Kind::ProvisionConfig => {
            ("ProvisionConfigNotFound", format!("provision config of '{name}' does not exist"))
        }
        Kind::Binding => {
            let network = name.rsplit('/').next().unwrap_or_default();
            ("BindingNotFound", format!("binding to '{network}' does not exist"))
        }
        Kind::AsyncConfig => {
            ("AsyncConfigNotExists", format!("async invoke config of '{name}' does not exist"))
        }
        Kind::Layer => ("LayerNotFound", format!("layer '{name}' does not exist")),
        Kind::LayerVersion => {
            let (layer, version) = name.split_once('/').unwrap_or((name, ""));
            (
                "LayerVersionNotFound",
                format!("version '{version}' of layer '{layer}' does not exist"),
            )
        }
        Kind::Domain => ("DomainNameNotFound", format!("domain name '{name}' does not exist")),
        Kind::Invocation => {
            ("StatefulAsyncInvocationNotFound", format!("invocation '{name}' does not exist"))
        }
    }
}

fn already_exists(kind: Kind, name: &str) -> (&'static str, String) {
    match kind {
        Kind::Service => ("ServiceAlreadyExists", format!("service '{name}' already exists")),
        Kind::Function => {
            let (service, function) = parts(name);
            (
                "FunctionAlreadyExists",
                format!("function '{function}' already exists in service '{service}'"),
            )
        }
        Kind::Alias | Kind::Version => {
            let (service, alias) = qualified(name);
            ("AliasAlreadyExists", format!("alias '{alias}' already exists in service '{service}'"))
        }
        Kind::Trigger | Kind::HttpTrigger | Kind::GatewayTrigger => {
            let trigger = name.rsplit('/').next().unwrap_or_default();
            ("TriggerAlreadyExists", format!("trigger '{trigger}' already exists"))
        }
        Kind::OnDemandConfig
        | Kind::ProvisionConfig
        | Kind::Binding
        | Kind::AsyncConfig
        | Kind::Layer
        | Kind::LayerVersion => {
            ("ConcurrentUpdateError", format!("config of '{name}' already exists"))
        }
        Kind::Domain => ("DomainNameAlreadyExists", format!("domain name '{name}' already exists")),
        Kind::Invocation => {
            ("StatefulAsyncInvocationAlreadyExists", format!("invocation '{name}' already exists"))
        }
    }
}

/// The dialect's name of a platform's field.
fn wire_name(field: &'static str) -> &'static str {
    match field {
        "service_name" => "serviceName",
        "alias_name" => "aliasName",
        "trigger_name" => "triggerName",
        "trigger_type" => "triggerType",
        "trigger_config" => "triggerConfig",
        "domain_name" => "domainName",
        "routes" => "routeConfig.routes",
        "network" => "vpcId",
        "layer_name" => "layerName",
        "object_bucket" => "code.ossBucketName",
        "object_key" => "code.ossObjectName",
        "runtimes" => "compatibleRuntime",
        "maximum" => "maximumInstanceCount",
        "scheduled_actions" => "scheduledActions",
        "tracking_policies" => "targetTrackingPolicies",
        "invocation_id" => "statefulAsyncInvocationId",
        "retries" => "maxAsyncRetryAttempts",
        "age" => "maxAsyncEventAgeInSeconds",
        "destination" => "destinationConfig.destination",
        "weights" => "additionalVersionWeight",
        "function_name" => "functionName",
        "memory_mb" => "memorySize",
        "timeout_s" => "timeout",
        "initialization_timeout_s" => "initializationTimeout",
        "environment" => "environmentVariables",
        "instance_concurrency" => "instanceConcurrency",
        "instance_type" => "instanceType",
        other => other,
    }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
