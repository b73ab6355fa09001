//! Looking: functions, figures and code.

use bytes::Bytes;
use hearth_platform::{Function, ListRequest, PAGE_MAX, Platform, Target};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::json;

use super::super::function_compute::errors::WireError;
use super::super::function_compute::{json as answer, time};
use super::super::query::Query;
use super::wire::{FunctionView, FunctionsReply};
use crate::app::App;
use crate::config::{Size, Span};
use crate::http::{Body, Response};

/// Functions in one list. More are told of, not shown.
const FUNCTIONS_MAX: usize = 10_000;

/// A function as the API shows it.
pub(super) fn view(function: &Function) -> FunctionView {
    let settings = &function.settings;
    FunctionView {
        service: function.service.to_string(),
        function: function.name.to_string(),
        description: settings.description.clone(),
        code_sha256: function.code.digest.clone(),
        code_bytes: function.code.wasm_bytes,
        memory: Size(u64::from(settings.memory_mb) << 20),
        timeout: Span::seconds(settings.timeout_s.into()),
        cpu_time: settings.cpu_ms.map(|ms| Span(std::time::Duration::from_millis(ms))),
        isolation: settings.isolation,
        min_ready: settings.pool.min_ready,
        max_instances: settings.pool.max_instances,
        concurrency: settings.instance_concurrency,
        environment: settings.environment.clone(),
        grants: settings.grants.clone(),
        modified: time(function.modified_ms),
    }
}

/// Visits functions in the order of service and name until `visit` says stop.
fn each(platform: &Platform, mut visit: impl FnMut(&Function) -> bool) {
    let mut services = ListRequest { limit: PAGE_MAX, ..ListRequest::default() };
    // Whatever is deleted meanwhile is left out; nothing here is a reason to fail.
    while let Ok(page) = platform.list_services(&services) {
        for service in &page.items {
            let mut functions = ListRequest { limit: PAGE_MAX, ..ListRequest::default() };
            while let Ok(page) = platform.list_functions(service.name.as_str(), &functions) {
                if !page.items.iter().all(&mut visit) {
                    return;
                }
                let Some(next) = page.next else { break };
                functions.start = next;
            }
        }
        let Some(next) = page.next else { return };
        services.start = next;
    }
}

pub(super) fn list(app: &App) -> Result<Response, WireError> {
    let mut functions = Vec::new();
    each(&app.platform, |function| {
        functions.push(view(function));
        functions.len() < FUNCTIONS_MAX
    });
    let more = functions.len() == FUNCTIONS_MAX;
    Ok(answer(&json!(FunctionsReply { functions, more })))
}

pub(super) fn show(app: &App, service: &str, function: &str) -> Result<Response, WireError> {
    Ok(answer(&json!(view(&app.platform.get_function(service, function)?))))
}

/// Figures of the engine, the platform, and one function if it is named.
pub(super) fn stats(app: &App, query: Query<'_>) -> Result<Response, WireError> {
    let platform = app.platform.stats();
    let mut stats = json!({
        "engine": app.platform.engine().stats(),
        "platform": {
            "services": platform.services,
            "functions": platform.functions,
            "loaded_functions": platform.loaded_functions,
            "queue_running": platform.queue_running,
            "queue_depth": platform.queue_depth,
            "enqueued": platform.enqueued,
            "settled": platform.settled,
            "retried": platform.retried,
        },
    });
    if let Some(name) = query.get("function") {
        let (service, function) = name
            .split_once('/')
            .ok_or_else(|| WireError::invalid("function is not SERVICE/FUNCTION"))?;
        let function = app.platform.function_stats(Target::latest(service, function))?;
        if let Some(stats) = stats.as_object_mut() {
            stats.insert("function".to_owned(), json!(function));
        }
    }
    Ok(answer(&stats))
}

/// The package that a link was signed for.
pub(super) async fn code(
    app: &App,
    service: &str,
    function: &str,
    query: Query<'_>,
) -> Result<Response, WireError> {
    let digest = app.code_links.check(service, function, query).map_err(|_| bad_link())?;
    let (name, qualifier) = match service.split_once('.') {
        None => (service, None),
        Some((name, qualifier)) => (name, Some(qualifier)),
    };
    let target = Target { service: name, qualifier, function };
    let current = app.platform.get_function_at(target)?;
    if current.code.package_digest != digest {
        return Err(refused("the code was replaced after this link was made; ask for it again"));
    }
    let package = app.platform.function_package(target).await?;
    Ok(file(package))
}

/// The archive of a layer that a link was signed for; versions never change.
pub(super) async fn layer(
    app: &App,
    layer: &str,
    version: u64,
    query: Query<'_>,
) -> Result<Response, WireError> {
    app.code_links.check_layer(layer, version, query).map_err(|_| bad_link())?;
    Ok(file(app.platform.layer_archive(layer, version).await?))
}

fn refused(why: &str) -> WireError {
    WireError::new(StatusCode::FORBIDDEN, "AccessDenied", why)
}

fn bad_link() -> WireError {
    refused("this link is not valid or its time is over; ask for the code again")
}

fn file(package: Bytes) -> Response {
    let content_type =
        if package.starts_with(b"\0asm") { "application/wasm" } else { "application/zip" };
    let mut response = Response::new(Body::Full(package));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
