//! The operations on how many instances a function may have and keeps ready, and on the instances there are.

use hearth_platform::{
    ListRequest, OnDemandConfig, ProvisionChange, ProvisionConfig, ProvisionFilter, Target,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::targets::{self, ACTIONS, POLICIES};
use super::{json, kept_fields, list_request, no_content, tagged, wire};
use crate::http::Response;

/// A field of a provision config that is kept without effect.
const CPU: &str = "alwaysAllocateCPU";

/// What the resource of an on-demand config begins with.
const SERVICES: &str = "services/";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OnDemandBody {
    maximum_instance_count: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProvisionBody {
    target: Option<u32>,
    scheduled_actions: Option<Vec<Map<String, Value>>>,
    target_tracking_policies: Option<Vec<Map<String, Value>>>,
    #[serde(rename = "alwaysAllocateCPU")]
    always_allocate_cpu: Option<bool>,
}

pub(super) async fn on_demand(
    verb: Verb,
    target: Target<'_>,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    let config = match verb {
        Verb::Update => {
            let body: OnDemandBody = wire::parse(asked.body)?;
            let maximum = body.maximum_instance_count;
            let maximum = maximum.ok_or_else(|| wire::required("maximumInstanceCount"))?;
            platform.put_on_demand_config(target, maximum, asked.expect).await?
        }
        Verb::Delete => {
            platform.delete_on_demand_config(target, asked.expect).await?;
            return Ok(no_content());
        }
        Verb::Get | Verb::List | Verb::Create => platform.get_on_demand_config(target)?,
    };
    Ok(tagged(&on_demand_config(&config), config.revision))
}

pub(super) fn on_demands(asked: Asked<'_>) -> Result<Response, WireError> {
    let request = list_request(asked.query)?;
    // Callers name resources; keys are the same without their first element and the word in the middle.
    let key =
        |text: &str| text.strip_prefix(SERVICES).unwrap_or(text).replacen("/functions/", "/", 1);
    let request = ListRequest {
        prefix: key(&request.prefix),
        start: key(&request.start),
        limit: request.limit,
    };
    let page = asked.app.platform.list_on_demand_configs(&request)?;
    Ok(json(&wire::page("configs", &page, on_demand_config)))
}

fn on_demand_config(config: &OnDemandConfig) -> Value {
    let (service, function) = (&config.service, &config.function);
    object!({
        "resource": format!("{SERVICES}{service}.{}/functions/{function}", config.qualifier),
        "maximumInstanceCount": config.maximum,
    })
}

pub(super) async fn provision(
    verb: Verb,
    target: Target<'_>,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    let mut told = Vec::new();
    let config = match verb {
        Verb::Update => {
            let body: ProvisionBody = wire::parse(asked.body)?;
            has_metrics(asked, target, &body)?;
            let (change, kept) = change(body, asked.expect)?;
            told = kept;
            platform.put_provision_config(target, change).await?
        }
        _ => platform.get_provision_config(target)?,
    };
    let response = tagged(&provision_config(&config, &asked.app.settings.account), config.revision);
    Ok(kept_fields::tell(response, &target.to_string(), &told))
}

/// That a service whose functions are to be tracked by metrics has them switched on.
fn has_metrics(
    asked: Asked<'_>,
    target: Target<'_>,
    body: &ProvisionBody,
) -> Result<(), WireError> {
    if body.target_tracking_policies.as_ref().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let service = asked.app.platform.get_service(target.service)?;
    let log = service.settings.extra.get("logConfig");
    if log.and_then(|log| log.get("enableInstanceMetrics")) == Some(&Value::Bool(true)) {
        return Ok(());
    }
    Err(WireError::new(
        StatusCode::BAD_REQUEST,
        "InstanceMetricsRequired",
        format!(
            "targetTrackingPolicies need logConfig.enableInstanceMetrics of service '{}'",
            target.service
        ),
    ))
}

/// The change that a request asks for, and what of it is kept without effect.
fn change(
    body: ProvisionBody,
    expect: Option<u64>,
) -> Result<(ProvisionChange, Vec<String>), WireError> {
    let actions = body.scheduled_actions.as_deref().map(targets::actions).transpose()?;
    let policies = body.target_tracking_policies.as_deref().map(targets::policies).transpose()?;
    let mut kept = Vec::new();
    if policies.as_ref().is_some_and(|(_, has_others)| *has_others) {
        kept.push(POLICIES.to_owned());
    }
    if body.always_allocate_cpu == Some(true) {
        kept.push(CPU.to_owned());
    }
    let objects =
        |list: Vec<Map<String, Value>>| Value::Array(list.into_iter().map(Value::Object).collect());
    // As they came: what is shown is what was said.
    let shown = [
        (ACTIONS, body.scheduled_actions.map(objects)),
        (POLICIES, body.target_tracking_policies.map(objects)),
        (CPU, body.always_allocate_cpu.map(Value::Bool)),
    ];
    let shown = shown.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let change = ProvisionChange {
        target: body.target.ok_or_else(|| wire::required("target"))?,
        actions,
        policies: policies.map(|(policies, _)| policies),
        extra: shown.collect(),
        expect,
    };
    Ok((change, kept))
}

pub(super) fn provisions(asked: Asked<'_>) -> Result<Response, WireError> {
    let text = |key| asked.query.get(key).map(String::from).filter(|text| !text.is_empty());
    let filter = ProvisionFilter { service: text("serviceName"), qualifier: text("qualifier") };
    let page = asked.app.platform.list_provision_configs(&list_request(asked.query)?, &filter)?;
    let account = &asked.app.settings.account;
    let shown = wire::page("provisionConfigs", &page, |config| provision_config(config, account));
    Ok(json(&shown))
}

fn provision_config(config: &ProvisionConfig, account: &str) -> Value {
    let (service, function) = (&config.service, &config.function);
    let mut shown = object!({
        "resource": format!("{account}#{service}#{}#{function}", config.qualifier),
        "target": config.target,
        "current": config.current,
        ACTIONS: [],
        POLICIES: [],
        CPU: false,
    });
    wire::extend(&mut shown, &config.extra);
    if let (Some(error), Some(shown)) = (&config.error, shown.as_object_mut()) {
        shown.insert("currentError".to_owned(), error.as_str().into());
    }
    shown
}

/// The instances of a function that exist now.
pub(super) fn instances(target: Target<'_>, asked: Asked<'_>) -> Result<Response, WireError> {
    /// Instances shown when the request does not say.
    const LIMIT: usize = 20;
    const LIMIT_MAX: usize = 1000;
    let limit: usize = asked.query.parse("limit").map_err(WireError::invalid)?.unwrap_or(LIMIT);
    if limit > LIMIT_MAX {
        return Err(WireError::invalid(format!(
            "limit is set to an invalid value: {limit} is not 0 to {LIMIT_MAX}"
        )));
    }
    let wanted = asked.query.all("instanceIds");
    let mut instances = Vec::new();
    for (version, id) in asked.app.platform.instances(target)? {
        let id = wire::instance_id(id);
        if instances.len() < limit && (wanted.is_empty() || wanted.contains(&id)) {
            instances.push(object!({"instanceId": id, "versionId": version}));
        }
    }
    Ok(json(&object!({ "instances": instances })))
}
