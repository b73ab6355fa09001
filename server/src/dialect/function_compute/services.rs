//! The operations on services.

use hearth_platform::{Role, ServiceName};

use super::super::auth::Caller;
use super::errors::WireError;
use super::route::ServiceRef;
use super::wire::{self, ServiceBody};
use super::{json, kept_fields, list_request, no_content, tagged, tags};
use crate::app::App;
use crate::dialect::acting::Acting;
use crate::dialect::query::Query;
use crate::http::Response;

pub(super) async fn create(
    app: &Acting<'_>,
    body: &[u8],
    caller: &Caller,
) -> Result<Response, WireError> {
    let body: ServiceBody = wire::parse(body)?;
    let name = ServiceName::parse(body.service_name.as_deref().unwrap_or_default())?;
    caller.must(Role::Deploy, Some(name.as_str()))?;
    let fields = body.without_effect();
    let service = app.platform.create_service(name, body.into_settings()?).await?;
    let response = tagged(&wire::service(&service), service.revision);
    Ok(kept_fields::tell(response, service.name.as_str(), &fields))
}

pub(super) fn list(app: &App, query: Query<'_>) -> Result<Response, WireError> {
    let page = app.platform.list_services_tagged(&list_request(query)?, &tags::asked_for(query))?;
    Ok(json(&wire::page("services", &page, wire::service)))
}

pub(super) fn get(app: &App, service: &ServiceRef<'_>) -> Result<Response, WireError> {
    let service = app.platform.get_service_at(&service.name, service.qualifier.as_deref())?;
    Ok(tagged(&wire::service(&service), service.revision))
}

pub(super) async fn update(
    app: &Acting<'_>,
    name: &str,
    body: &[u8],
    expect: Option<u64>,
) -> Result<Response, WireError> {
    let body: ServiceBody = wire::parse(body)?;
    let fields = body.without_effect();
    let service = app.platform.update_service(name, body.into_change(expect)?).await?;
    let response = tagged(&wire::service(&service), service.revision);
    Ok(kept_fields::tell(response, name, &fields))
}

pub(super) async fn delete(
    app: &Acting<'_>,
    name: &str,
    expect: Option<u64>,
) -> Result<Response, WireError> {
    app.platform.delete_service(name, expect).await?;
    Ok(no_content())
}
