//! The operations on triggers.

use hearth_platform::{
    NewTrigger, Trigger, TriggerChange, TriggerKind, TriggerName, TriggerSettings,
};
use serde::Deserialize;
use serde_json::{Map, Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::{json, list_request, no_content, tagged, wire};
use crate::http::Response;

/// The types as this dialect calls them.
const KINDS: [(&str, TriggerKind); 10] = [
    ("timer", TriggerKind::Timer),
    ("http", TriggerKind::Http),
    ("apig", TriggerKind::Gateway),
    ("oss", TriggerKind::ObjectStore),
    ("log", TriggerKind::Log),
    ("mns_topic", TriggerKind::Topic),
    ("cdn_events", TriggerKind::Cdn),
    ("tablestore", TriggerKind::Table),
    ("rds", TriggerKind::Database),
    ("eventbridge", TriggerKind::EventBus),
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TriggerBody {
    trigger_name: Option<String>,
    trigger_type: Option<String>,
    trigger_config: Option<Map<String, Value>>,
    source_arn: Option<String>,
    invocation_role: Option<String>,
    qualifier: Option<String>,
    description: Option<String>,
}

fn kind(text: &str) -> Result<TriggerKind, WireError> {
    let known = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    known.map(|(_, kind)| *kind).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        let allowed = KINDS.map(|(name, _)| name).join(" | ");
        WireError::invalid(format!(
            "triggerType is set to an invalid value (allowed: {allowed}, actual: '{}')",
            shown.escape_debug()
        ))
    })
}

pub(super) async fn serve(
    verb: Verb,
    service: &str,
    function: &str,
    name: &str,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    let shown = match verb {
        Verb::Create => create(service, function, asked).await?,
        Verb::List => {
            let page = platform.list_triggers(service, function, &list_request(asked.query)?)?;
            return Ok(json(&wire::page("triggers", &page, trigger)));
        }
        Verb::Get => platform.get_trigger(service, function, name)?,
        Verb::Update => {
            let body: TriggerBody = wire::parse(asked.body)?;
            let change = TriggerChange {
                config: body.trigger_config,
                role: body.invocation_role,
                qualifier: body.qualifier,
                description: body.description,
                expect: asked.expect,
            };
            platform.update_trigger(service, function, name, change).await?
        }
        Verb::Delete => {
            platform.delete_trigger(service, function, name, asked.expect).await?;
            return Ok(no_content());
        }
    };
    Ok(tagged(&trigger(&shown), shown.revision))
}

async fn create(service: &str, function: &str, asked: Asked<'_>) -> Result<Trigger, WireError> {
    let body: TriggerBody = wire::parse(asked.body)?;
    let new = NewTrigger {
        name: TriggerName::parse(body.trigger_name.as_deref().unwrap_or_default())?,
        kind: kind(body.trigger_type.as_deref().ok_or_else(|| wire::required("triggerType"))?)?,
        settings: TriggerSettings {
            config: body.trigger_config.ok_or_else(|| wire::required("triggerConfig"))?,
            source: body.source_arn,
            role: body.invocation_role.unwrap_or_default(),
            qualifier: body.qualifier,
            description: body.description.unwrap_or_default(),
        },
    };
    Ok(asked.app.platform.create_trigger(service, function, new).await?)
}

fn trigger(trigger: &Trigger) -> Value {
    let settings = &trigger.settings;
    let kind = KINDS.iter().find(|(_, kind)| *kind == trigger.kind).map(|(name, _)| *name);
    object!({
        "triggerName": trigger.name.as_str(),
        "triggerId": trigger.id,
        "triggerType": kind,
        "triggerConfig": settings.config,
        "sourceArn": settings.source,
        "invocationRole": settings.role,
        "qualifier": settings.qualifier,
        "description": settings.description,
        "createdTime": wire::time(trigger.created_ms),
        "lastModifiedTime": wire::time(trigger.modified_ms),
    })
}
