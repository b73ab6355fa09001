//! The operations on layers.

use hearth_platform::{LayerVersion, NewLayerVersion};
use serde::Deserialize;
use serde_json::{Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::code::CodeBody;
use super::errors::WireError;
use super::wire::Object;
use super::{arn, checksum, json, large, list_limit, list_request, no_content, wire};
use crate::http::Response;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LayerBody {
    description: Option<String>,
    compatible_runtime: Option<Vec<String>>,
    code: Option<Object<CodeBody>>,
}

fn shown(asked: Asked<'_>, layer: &LayerVersion) -> Value {
    let (app, name, content) = (asked.app, layer.layer.as_str(), &layer.content);
    let link = app.code_links.sign_layer(name, layer.version, &content.digest);
    let (newer, older) = arn::layer(&app.settings, name, layer.version);
    object!({
        "layerName": name,
        "version": layer.version,
        "description": content.description,
        "compatibleRuntime": content.runtimes,
        "code": {"repositoryType": "hearth", "location": format!("{}{link}", app.url(asked.headers))},
        // Clients of two generations disagree on the case.
        "codeSize": content.size_bytes,
        "codesize": content.size_bytes,
        "codeChecksum": content.checksum.to_string(),
        "createTime": wire::time(content.created_ms),
        "acl": u8::from(layer.is_public),
        "arn": older,
        "arnV2": newer,
    })
}

/// Layers, each by its newest version.
pub(super) fn list(asked: Asked<'_>) -> Result<Response, WireError> {
    let query = asked.query;
    // There are no official ones here.
    let official: bool = query.parse("official").map_err(WireError::invalid)?.unwrap_or(false);
    if official {
        return Ok(json(&object!({ "layers": [] })));
    }
    let public: Option<bool> = query.parse("public").map_err(WireError::invalid)?;
    let page = asked.app.platform.list_layers(&list_request(query)?, public)?;
    Ok(json(&wire::page("layers", &page, |layer| shown(asked, layer))))
}

/// Versions of one layer.
pub(super) async fn versions(
    verb: Verb,
    name: &str,
    version: &str,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    let found = match verb {
        Verb::Create => publish(name, asked).await?,
        Verb::List => {
            let start: Option<u64> =
                asked.query.parse("startVersion").map_err(WireError::invalid)?;
            let limit = list_limit(asked.query)?;
            let (layers, next) = platform.list_layer_versions(name, start, limit)?;
            let mut listed = object!({ "layers": layers.iter().map(|layer| shown(asked, layer)).collect::<Value>() });
            if let (Some(next), Some(listed)) = (next, listed.as_object_mut()) {
                listed.insert("nextVersion".to_owned(), next.into());
            }
            return Ok(json(&listed));
        }
        Verb::Get | Verb::Update => platform.get_layer_version(name, number(version)?)?,
        Verb::Delete => {
            platform.delete_layer_version(name, number(version)?).await?;
            return Ok(no_content());
        }
    };
    Ok(json(&shown(asked, &found)))
}

fn number(version: &str) -> Result<u64, WireError> {
    version.parse().map_err(|_| {
        let shown: String = version.chars().take(64).collect();
        WireError::invalid(format!(
            "version is set to an invalid value (actual: '{}')",
            shown.escape_debug()
        ))
    })
}

async fn publish(name: &str, asked: Asked<'_>) -> Result<LayerVersion, WireError> {
    let read = large::read(asked.body, |body| {
        let mut body: LayerBody = wire::parse(body)?;
        let code = body.code.take().map(|Object(code)| code.place()).transpose()?.flatten();
        Ok((body, code))
    });
    let (body, code) = read.await?;
    let new = NewLayerVersion {
        description: body.description.unwrap_or_default(),
        runtimes: body.compatible_runtime.unwrap_or_default(),
        archive: code.ok_or_else(|| wire::required("code"))?.into(),
        checksum: checksum(asked.headers)?,
    };
    Ok(asked.app.platform.publish_layer_version(name, new).await?)
}

/// One version by its resource name.
pub(super) fn by_arn(text: &str, asked: Asked<'_>) -> Result<Response, WireError> {
    let (name, version) = arn::parse_layer(text).ok_or_else(|| {
        WireError::invalid("the ARN is not acs:fc:REGION:ACCOUNT:layers/NAME/versions/VERSION")
    })?;
    Ok(json(&shown(asked, &asked.app.platform.get_layer_version(name, version)?)))
}

/// Who may use a layer; without effect.
pub(super) async fn set_acl(name: &str, asked: Asked<'_>) -> Result<Response, WireError> {
    let public: Option<bool> = asked.query.parse("public").map_err(WireError::invalid)?;
    let public = public.ok_or_else(|| wire::required("public"))?;
    asked.app.platform.set_layer_public(name, public).await?;
    Ok(json(&object!({})))
}
