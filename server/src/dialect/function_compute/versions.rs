//! The operations on versions.

use hearth_platform::{Direction, Qualifier, Version, VersionListRequest};
use serde::Deserialize;
use serde_json::{Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::{json, list_limit, no_content, tagged, wire};
use crate::http::Response;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VersionBody {
    description: Option<String>,
}

pub(super) async fn serve(
    verb: Verb,
    service: &str,
    id: &str,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    match verb {
        Verb::Create => {
            let body: VersionBody = wire::parse_or_default(asked.body)?;
            let description = body.description.unwrap_or_default();
            let made = platform.publish_version(service, description, asked.expect).await?;
            Ok(tagged(&version(&made), made.revision))
        }
        Verb::Delete => {
            platform.delete_version(service, number(service, id)?, asked.expect).await?;
            Ok(no_content())
        }
        Verb::List | Verb::Get | Verb::Update => list(service, asked),
    }
}

fn list(service: &str, asked: Asked<'_>) -> Result<Response, WireError> {
    let text = |key| asked.query.get(key).filter(|text| !text.is_empty());
    let start = text("nextToken").or_else(|| text("startKey"));
    let start = start
        .map(|text| {
            text.parse().map_err(|_| {
                WireError::invalid("startKey is set to an invalid value: it is no version number")
            })
        })
        .transpose()?;
    let (direction, shown) = match text("direction").as_deref() {
        None => (Direction::Backward, "BACKWARD"),
        Some(word) if word.eq_ignore_ascii_case("BACKWARD") => (Direction::Backward, "BACKWARD"),
        Some(word) if word.eq_ignore_ascii_case("FORWARD") => (Direction::Forward, "FORWARD"),
        Some(_) => {
            return Err(WireError::invalid(
                "direction is set to an invalid value (allowed: BACKWARD | FORWARD)",
            ));
        }
    };
    let request = VersionListRequest { start, direction, limit: list_limit(asked.query)? };
    let page = asked.app.platform.list_versions(service, request)?;
    let versions: Vec<Value> = page.items.iter().map(version).collect();
    let mut shown = object!({ "versions": versions, "direction": shown });
    if let (Some(next), Some(shown)) = (page.next, shown.as_object_mut()) {
        shown.insert("nextToken".to_owned(), next.to_string().into());
    }
    Ok(json(&shown))
}

/// The number of a version that must exist.
pub(super) fn number(service: &str, id: &str) -> Result<u64, WireError> {
    match Qualifier::parse(Some(id)) {
        Ok(Qualifier::Version(number)) => Ok(number),
        _ => Err(hearth_platform::RequestError::NotFound {
            kind: hearth_platform::Kind::Version,
            name: format!("{service}.{}", id.chars().take(32).collect::<String>().escape_debug()),
        }
        .into()),
    }
}

fn version(version: &Version) -> Value {
    object!({
        "versionId": version.id.to_string(),
        "description": version.description,
        "createdTime": wire::time(version.created_ms),
        "lastModifiedTime": wire::time(version.created_ms),
    })
}
