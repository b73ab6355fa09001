//! Deploying and removing through the own API: a binary in the body, settings in a header.

use bytes::Bytes;
use hearth_platform::{
    CodeUpload, Function, FunctionChange, FunctionName, FunctionSettings, NewFunction, ObjectName,
    PlatformError, RequestError, ServiceName, ServiceSettings, needed_for,
};
use serde_json::json;

use super::super::auth::Caller;
use super::super::function_compute::errors::WireError;
use super::super::function_compute::{json as answer, no_content};
use super::http_url;
use super::read::view;
use super::wire::{DeployReply, DeployRequest, SETTINGS_HEADER, read_object};
use crate::config::{Size, Span};
use crate::dialect::acting::Acting;
use crate::http::{Request, Response, read_body};

/// Creates a function or changes it, and its service with it if need be.
pub(super) async fn deploy(
    app: &Acting<'_>,
    service: &str,
    name: &str,
    request: Request,
    caller: &Caller,
) -> Result<Response, WireError> {
    let began = std::time::Instant::now();
    let (parts, body) = request.into_parts();
    let asked = match parts.headers.get(SETTINGS_HEADER) {
        None => DeployRequest::default(),
        Some(value) => read_object(value.as_bytes()).map_err(|error| {
            WireError::invalid(format!("{SETTINGS_HEADER} is not as expected: {error}"))
        })?,
    };
    for needed in asked.grants.iter().flat_map(needed_for) {
        caller.must(needed.role, needed.service)?;
    }
    let wanted = Wanted::from(&asked)?;
    let (service, name) = (ServiceName::parse(service)?, FunctionName::parse(name)?);
    let asks_for_several = asked.concurrency.is_some_and(|many| many > 1);
    let web = asked.http.as_deref().map(http_url::auth_type).transpose()?;
    let http = &app.settings.http;
    let (code, _held) =
        read_body(body, http.upload_size.0, http.body_timeout.0, &app.bodies).await?;
    let code = upload(asked.object.as_deref(), code)?;
    let (created, function) = match app.platform.get_function(service.as_str(), name.as_str()) {
        Ok(before) => (false, change(app, &before, asked, wanted, code).await?),
        Err(_) => {
            let code = code.ok_or_else(|| {
                WireError::invalid("the function does not exist and the body holds no code")
            })?;
            let is_new = ensure_service(app, &service).await?;
            let made = create(app, &service, name, asked, wanted, code).await;
            if is_new && made.is_err() {
                // Unless somebody else has put something into it meanwhile.
                drop(app.platform.delete_service(service.as_str(), None).await);
            }
            (true, made?)
        }
    };
    let url = match web {
        Some(auth) => Some(http_url::ensure(app, &function, auth, &parts.headers).await?),
        None => None,
    };
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let without_effect = match asks_for_several && !function.serves_several() {
        true => vec!["concurrency".to_owned()],
        false => Vec::new(),
    };
    let function = view(&function);
    Ok(answer(&json!(DeployReply { created, took_ms, function, without_effect, url })))
}

/// The code that is in the body or in an object, if there is any.
fn upload(object: Option<&str>, body: Bytes) -> Result<Option<CodeUpload>, WireError> {
    let Some(object) = object else {
        return Ok((!body.is_empty()).then_some(CodeUpload::Wasm(body)));
    };
    if !body.is_empty() {
        return Err(WireError::invalid(
            "there is code in the body, and an object is named as well",
        ));
    }
    let (bucket, key) = object
        .split_once('/')
        .ok_or_else(|| WireError::invalid("the object is not named as BUCKET/KEY"))?;
    Ok(Some(CodeUpload::Object(ObjectName::parse(bucket, key)?)))
}

/// What is asked for in the platform's units.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    memory_mb: Option<u32>,
    timeout_s: Option<u32>,
    initialize_s: Option<u32>,
    cpu_ms: Option<Option<u64>>,
}

impl Wanted {
    /// What the units cannot say is refused, not rounded.
    fn from(asked: &DeployRequest) -> Result<Self, WireError> {
        let seconds = |field: &str, span: Option<Span>| {
            span.map(|span| {
                u32::try_from(span.0.as_secs())
                    .ok()
                    .filter(|_| span.0.subsec_nanos() == 0)
                    .ok_or_else(|| {
                        WireError::invalid(format!(
                            "{field} of {span} is not a whole number of seconds"
                        ))
                    })
            })
            .transpose()
        };
        let mebibytes = |Size(bytes)| {
            u32::try_from(bytes >> 20).ok().filter(|_| bytes % (1 << 20) == 0).ok_or_else(|| {
                WireError::invalid(format!(
                    "memory of {} is not a whole number of MiB",
                    Size(bytes)
                ))
            })
        };
        let cpu = |Span(time): Span| {
            (!time.is_zero()).then(|| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        };
        Ok(Self {
            memory_mb: asked.memory.map(mebibytes).transpose()?,
            timeout_s: seconds("timeout", asked.timeout)?,
            initialize_s: seconds("initialize_timeout", asked.initialize_timeout)?,
            cpu_ms: asked.cpu_time.map(cpu),
        })
    }
}

/// Makes a service unless it is there; whether it was made.
async fn ensure_service(app: &Acting<'_>, name: &ServiceName) -> Result<bool, WireError> {
    if app.platform.get_service(name.as_str()).is_ok() {
        return Ok(false);
    }
    match app.platform.create_service(name.clone(), ServiceSettings::default()).await {
        Ok(_) => Ok(true),
        // Somebody else was quicker.
        Err(PlatformError::Request(RequestError::AlreadyExists { .. })) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn create(
    app: &Acting<'_>,
    service: &ServiceName,
    name: FunctionName,
    asked: DeployRequest,
    wanted: Wanted,
    code: CodeUpload,
) -> Result<Function, WireError> {
    let mut settings = FunctionSettings {
        isolation: asked.isolation.unwrap_or(app.settings.isolation),
        ..FunctionSettings::default()
    };
    asked.apply_pool(&mut settings.pool);
    settings.memory_mb = wanted.memory_mb.unwrap_or(settings.memory_mb);
    settings.timeout_s = wanted.timeout_s.unwrap_or(settings.timeout_s);
    settings.initialization_timeout_s =
        wanted.initialize_s.unwrap_or(settings.initialization_timeout_s);
    settings.cpu_ms = wanted.cpu_ms.flatten();
    settings.instance_concurrency = asked.concurrency.unwrap_or(settings.instance_concurrency);
    settings.description = asked.description.unwrap_or_default();
    settings.environment = asked.environment.unwrap_or_default();
    settings.grants = asked.grants.unwrap_or_default();
    let new = NewFunction { name, settings, code, checksum: None };
    app.platform.create_function(service.as_str(), new).await.map_err(WireError::of_deployment)
}

async fn change(
    app: &Acting<'_>,
    before: &Function,
    asked: DeployRequest,
    wanted: Wanted,
    code: Option<CodeUpload>,
) -> Result<Function, WireError> {
    let mut pool = before.settings.pool.clone();
    asked.apply_pool(&mut pool);
    let change = FunctionChange {
        description: asked.description,
        memory_mb: wanted.memory_mb,
        timeout_s: wanted.timeout_s,
        initialization_timeout_s: wanted.initialize_s,
        cpu_ms: wanted.cpu_ms,
        environment: asked.environment,
        pool: Some(pool),
        instance_concurrency: asked.concurrency,
        isolation: asked.isolation,
        grants: asked.grants,
        code,
        ..FunctionChange::default()
    };
    let (service, name) = (before.service.as_str(), before.name.as_str());
    app.platform.update_function(service, name, change).await.map_err(WireError::of_deployment)
}

/// Removes a function, and its service if it holds nothing else.
pub(super) async fn remove(
    app: &Acting<'_>,
    service: &str,
    name: &str,
) -> Result<Response, WireError> {
    http_url::remove(app, service, name).await?;
    app.platform.delete_function(service, name, None).await?;
    match app.platform.delete_service(service, None).await {
        // It holds more, or somebody else was quicker.
        Ok(()) | Err(PlatformError::Request(_)) => Ok(no_content()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_units_cannot_say_is_refused() {
        let ask = |text: &str| Wanted::from(&serde_json::from_str(text).unwrap());
        let wanted = ask(r#"{"memory":"192MiB","timeout":"2m","cpu_time":"50ms"}"#).unwrap();
        assert_eq!(
            (wanted.memory_mb, wanted.timeout_s, wanted.cpu_ms),
            (Some(192), Some(120), Some(Some(50)))
        );
        assert_eq!(ask(r#"{"cpu_time":"0"}"#).unwrap().cpu_ms, Some(None));
        assert!(ask(r#"{"timeout":"500ms"}"#).unwrap_err().message.contains("500ms"));
        assert!(ask(r#"{"memory":"100kB"}"#).is_err());
    }
}
