//! The operations on aliases.

use std::collections::BTreeMap;

use hearth_platform::{Alias, AliasChange, AliasName, NewAlias};
use serde::Deserialize;
use serde_json::{Map, Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::kept_fields::OF_ALIAS;
use super::{json, list_request, no_content, tagged, versions, wire};
use crate::http::Response;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AliasBody {
    alias_name: Option<String>,
    version_id: Option<String>,
    description: Option<String>,
    additional_version_weight: Option<BTreeMap<String, f64>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl AliasBody {
    fn take_extra(&mut self) -> Result<Map<String, Value>, WireError> {
        OF_ALIAS.of(std::mem::take(&mut self.rest))
    }

    /// Versions that are no numbers do not exist.
    fn weights(&self, service: &str) -> Result<Option<BTreeMap<u64, f64>>, WireError> {
        let Some(weights) = &self.additional_version_weight else { return Ok(None) };
        let number = |(id, share): (&String, &f64)| Ok((versions::number(service, id)?, *share));
        weights.iter().map(number).collect::<Result<_, WireError>>().map(Some)
    }

    fn version(&self, service: &str) -> Result<Option<u64>, WireError> {
        self.version_id.as_deref().map(|id| versions::number(service, id)).transpose()
    }
}

pub(super) async fn serve(
    verb: Verb,
    service: &str,
    name: &str,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    let shown = match verb {
        Verb::Create => create(service, asked).await?,
        Verb::List => {
            let page = platform.list_aliases(service, &list_request(asked.query)?)?;
            return Ok(json(&wire::page("aliases", &page, alias)));
        }
        Verb::Get => platform.get_alias(service, name)?,
        Verb::Update => {
            let mut body: AliasBody = wire::parse(asked.body)?;
            let change = AliasChange {
                version: body.version(service)?,
                weights: body.weights(service)?,
                extra: body.take_extra()?,
                description: body.description,
                expect: asked.expect,
            };
            platform.update_alias(service, name, change).await?
        }
        Verb::Delete => {
            platform.delete_alias(service, name, asked.expect).await?;
            return Ok(no_content());
        }
    };
    Ok(tagged(&alias(&shown), shown.revision))
}

async fn create(service: &str, asked: Asked<'_>) -> Result<Alias, WireError> {
    let mut body: AliasBody = wire::parse(asked.body)?;
    let name = AliasName::parse(body.alias_name.as_deref().unwrap_or_default())?;
    let version = body.version(service)?;
    let new = NewAlias {
        name,
        version: version.ok_or_else(|| wire::required("versionId"))?,
        weights: body.weights(service)?.unwrap_or_default(),
        extra: body.take_extra()?,
        description: body.description.unwrap_or_default(),
    };
    Ok(asked.app.platform.create_alias(service, new).await?)
}

fn alias(alias: &Alias) -> Value {
    let weights: Map<String, Value> = alias
        .weights
        .iter()
        .map(|(version, share)| (version.to_string(), (*share).into()))
        .collect();
    let mut shown = object!({
        "aliasName": alias.name.as_str(),
        "versionId": alias.version.to_string(),
        "description": alias.description,
        "additionalVersionWeight": weights,
        "createdTime": wire::time(alias.created_ms),
        "lastModifiedTime": wire::time(alias.modified_ms),
    });
    wire::extend(&mut shown, &alias.extra);
    shown
}
