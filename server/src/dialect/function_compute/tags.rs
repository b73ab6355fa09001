//! The operations on tags of services.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json as object;

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::{arn, json, wire};
use crate::dialect::query::Query;
use crate::http::Response;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TagBody {
    resource_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    tag_keys: Option<Vec<String>>,
    all: Option<bool>,
}

fn service(arn: Option<&str>) -> Result<&str, WireError> {
    let arn = arn.filter(|text| !text.is_empty()).ok_or_else(|| wire::required("resourceArn"))?;
    arn::parse_service(arn).ok_or_else(|| {
        WireError::invalid("resourceArn is set to an invalid value: only services have tags")
    })
}

pub(super) async fn serve(verb: Verb, asked: Asked<'_>) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    if matches!(verb, Verb::List | Verb::Get) {
        let arn = asked.query.get("resourceArn");
        let service = service(arn.as_deref())?;
        let tags = platform.service_tags(service)?;
        return Ok(json(
            &object!({ "resourceArn": arn::service(&asked.app.settings, service), "tags": tags }),
        ));
    }
    let body: TagBody = wire::parse(asked.body)?;
    let service = service(body.resource_arn.as_deref())?;
    if verb == Verb::Delete {
        let keys = body.tag_keys.filter(|keys| !keys.is_empty());
        if keys.is_none() && body.all != Some(true) {
            return Err(wire::required("tagKeys"));
        }
        platform.untag_service(service, keys).await?;
    } else {
        let tags =
            body.tags.filter(|tags| !tags.is_empty()).ok_or_else(|| wire::required("tags"))?;
        platform.tag_service(service, tags).await?;
    }
    // Clients read an object here, whatever it holds.
    Ok(json(&object!({})))
}

/// The tags that a list of services asks for: `tag_{key}={value}`.
pub(super) fn asked_for(query: Query<'_>) -> Vec<(String, String)> {
    query.with_prefix("tag_")
}
