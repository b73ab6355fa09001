//! The operations on how many instances a function may have and keeps ready, and on the instances there are.

use hearth_platform::{
    ListRequest, OnDemandConfig, ProvisionChange, ProvisionConfig, ProvisionFilter, Target,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::{json, kept_fields, list_request, no_content, tagged, wire};
use crate::http::Response;

/// Fields of a provision config that are kept and given back.
const PROVISION_KEPT: [&str; 3] =
    ["scheduledActions", "targetTrackingPolicies", "alwaysAllocateCPU"];

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
            let objects = |list: Vec<Map<String, Value>>| {
                Value::Array(list.into_iter().map(Value::Object).collect())
            };
            told = told_of(&body);
            has_metrics(asked, target, &body)?;
            let values = [
                body.scheduled_actions.map(objects),
                body.target_tracking_policies.map(objects),
                body.always_allocate_cpu.map(Value::Bool),
            ];
            let extra = PROVISION_KEPT.into_iter().map(str::to_owned).zip(values);
            let change = ProvisionChange {
                target: body.target.ok_or_else(|| wire::required("target"))?,
                extra: extra.filter_map(|(name, value)| Some((name, value?))).collect(),
                expect: asked.expect,
            };
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

/// What a request asks for that is kept without effect.
fn told_of(body: &ProvisionBody) -> Vec<String> {
    let [actions, policies, cpu] = PROVISION_KEPT;
    let some = |list: &Option<Vec<_>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let asked = [
        (actions, some(&body.scheduled_actions)),
        (policies, some(&body.target_tracking_policies)),
        (cpu, body.always_allocate_cpu == Some(true)),
    ];
    asked.iter().filter(|(_, is_asked)| *is_asked).map(|(name, _)| (*name).to_owned()).collect()
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
        "scheduledActions": [],
        "targetTrackingPolicies": [],
        "alwaysAllocateCPU": false,
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
