//! The operations on functions and their code.

use bytes::Bytes;
use hearth_platform::{FunctionName, NewFunction};
use http::HeaderMap;
use serde_json::json as object;

use super::errors::WireError;
use super::route::ServiceRef;
use super::wire::{self, FunctionBody};
use super::{checksum, json, kept_fields, large, list_request, no_content, tagged};
use crate::app::App;
use crate::dialect::acting::Acting;
use crate::dialect::query::Query;
use crate::http::Response;

pub(super) async fn create(
    app: &Acting<'_>,
    service: &str,
    body: &Bytes,
    headers: &HeaderMap,
) -> Result<Response, WireError> {
    let isolation = app.settings.isolation;
    let read = large::read(body, move |body| {
        let body: FunctionBody = wire::parse(body)?;
        let name = FunctionName::parse(body.function_name.as_deref().unwrap_or_default())?;
        let fields = body.without_effect();
        let (settings, code) = body.into_new(isolation)?;
        Ok((name, fields, settings, code))
    });
    let (name, fields, settings, code) = read.await?;
    let new = NewFunction { name, settings, code, checksum: checksum(headers)? };
    let function =
        app.platform.create_function(service, new).await.map_err(WireError::of_deployment)?;
    let response = tagged(&wire::function(&function), function.revision);
    Ok(kept_fields::tell(response, &format!("{service}/{}", function.name), &fields.on(&function)))
}

pub(super) fn list(
    app: &App,
    service: &ServiceRef<'_>,
    query: Query<'_>,
) -> Result<Response, WireError> {
    let (request, qualifier) = (list_request(query)?, service.qualifier.as_deref());
    let page = app.platform.list_functions_at(&service.name, qualifier, &request)?;
    Ok(json(&wire::page("functions", &page, wire::function)))
}

pub(super) fn get(app: &App, service: &ServiceRef<'_>, name: &str) -> Result<Response, WireError> {
    let function = app.platform.get_function_at(service.target(name))?;
    Ok(tagged(&wire::function(&function), function.revision))
}

pub(super) async fn update(
    app: &Acting<'_>,
    service: &str,
    name: &str,
    body: &Bytes,
    headers: &HeaderMap,
    expect: Option<u64>,
) -> Result<Response, WireError> {
    let checksum = checksum(headers)?;
    let read = large::read(body, move |body| {
        let body: FunctionBody = wire::parse(body)?;
        Ok((body.without_effect(), body.into_change(checksum, expect)?))
    });
    let (fields, change) = read.await?;
    let function = app
        .platform
        .update_function(service, name, change)
        .await
        .map_err(WireError::of_deployment)?;
    let response = tagged(&wire::function(&function), function.revision);
    Ok(kept_fields::tell(response, &format!("{service}/{name}"), &fields.on(&function)))
}

pub(super) async fn delete(
    app: &Acting<'_>,
    service: &str,
    name: &str,
    expect: Option<u64>,
) -> Result<Response, WireError> {
    app.platform.delete_function(service, name, expect).await?;
    Ok(no_content())
}

/// Where the package can be fetched with a plain GET, for a while.
pub(super) fn code(
    app: &App,
    service: &ServiceRef<'_>,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, WireError> {
    let function = app.platform.get_function_at(service.target(name))?;
    let at = match &service.qualifier {
        None => service.name.to_string(),
        Some(qualifier) => format!("{}.{qualifier}", service.name),
    };
    let path = app.code_links.sign(&at, name, &function.code.package_digest);
    let url = format!("{}{path}", app.url(headers));
    Ok(json(&object!({ "url": url, "checksum": function.code.checksum.to_string() })))
}
