//! How async invocations of a function are run, per qualifier: records of retries, age and destinations.

use hearth_platform::{AsyncConfig, AsyncSettings, Destination, DestinationKind, Role, Target};
use http::Uri;
use serde::Deserialize;
use serde_json::{Map, Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::wire::Object;
use super::{arn, json, list_request, no_content, tagged, wire};
use crate::http::Response;

/// The longest name of a destination, in bytes.
const DESTINATION_BYTES_MAX: usize = 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    destination_config: Option<Object<DestinationsBody>>,
    max_async_event_age_in_seconds: Option<u64>,
    max_async_retry_attempts: Option<u32>,
    stateful_invocation: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DestinationsBody {
    on_success: Option<Object<DestinationBody>>,
    on_failure: Option<Object<DestinationBody>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DestinationBody {
    destination: Option<String>,
}

pub(super) async fn one(
    verb: Verb,
    target: Target<'_>,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    let config = match verb {
        Verb::Update => {
            let settings = settings(wire::parse(asked.body)?)?;
            for destination in [&settings.on_success, &settings.on_failure].into_iter().flatten() {
                // Whoever is told is called.
                if let DestinationKind::Function { service, .. } = &destination.kind {
                    asked.caller.must(Role::Invoke, Some(service))?;
                }
            }
            platform.put_async_config(target, settings).await?
        }
        Verb::Delete => {
            platform.delete_async_config(target).await?;
            return Ok(no_content());
        }
        Verb::Get | Verb::List | Verb::Create => platform.get_async_config(target)?,
    };
    Ok(tagged(&shown(&config), config.revision))
}

pub(super) fn list(target: Target<'_>, asked: Asked<'_>) -> Result<Response, WireError> {
    let request = list_request(asked.query)?;
    let platform = &asked.app.platform;
    let page = platform.list_async_configs(target.service, target.function, &request)?;
    let mut answer = wire::page("configs", &page, shown);
    // The official clients read it whether or not there is more.
    if let Some(answer) = answer.as_object_mut() {
        answer.entry("nextToken").or_insert_with(|| "".into());
    }
    Ok(json(&answer))
}

fn settings(body: Body) -> Result<AsyncSettings, WireError> {
    let Object(destinations) = body.destination_config.unwrap_or_default();
    Ok(AsyncSettings {
        retries: body.max_async_retry_attempts,
        age_s: body.max_async_event_age_in_seconds,
        on_success: destination(destinations.on_success)?,
        on_failure: destination(destinations.on_failure)?,
        stateful: body.stateful_invocation,
    })
}

/// Reads a destination; an empty name is none.
fn destination(body: Option<Object<DestinationBody>>) -> Result<Option<Destination>, WireError> {
    let name = body.and_then(|Object(body)| body.destination).unwrap_or_default();
    if name.is_empty() {
        return Ok(None);
    }
    let invalid = |why: &str| {
        let name: String = name.chars().take(128).collect();
        let name = name.escape_debug();
        WireError::invalid(format!("destination is set to an invalid value: '{name}' {why}"))
    };
    if name.len() > DESTINATION_BYTES_MAX {
        return Err(invalid("is longer than 1024 bytes"));
    }
    let kind = if let Some((service, qualifier, function)) = arn::parse_function(&name) {
        let (service, function) = (service.to_owned(), function.to_owned());
        DestinationKind::Function { service, qualifier: qualifier.map(str::to_owned), function }
    } else if name.starts_with("http://") || name.starts_with("https://") {
        let place = endpoint(&name).map_err(&invalid)?;
        DestinationKind::Endpoint { address: name.clone(), place }
    } else if name.starts_with("acs:") {
        return Err(invalid(
            "cannot be reached from here: there is no event bus, queue or topic; name a function or an HTTP address",
        ));
    } else {
        return Err(invalid("is neither the ARN of a function nor an HTTP address"));
    };
    Ok(Some(Destination { name, kind }))
}

/// The place of an HTTP address.
fn endpoint(address: &str) -> Result<String, &'static str> {
    if address.contains('#') {
        return Err("has a fragment");
    }
    let uri: Uri = address.parse().map_err(|_| "is not an address")?;
    let authority = uri.authority().ok_or("has no host")?;
    if authority.as_str().contains('@') {
        return Err("carries credentials, which would be shown to everybody who reads the config");
    }
    if authority.host().is_empty() {
        return Err("has no host");
    }
    Ok(authority.as_str().to_ascii_lowercase())
}

fn shown(config: &AsyncConfig) -> Value {
    let settings = &config.settings;
    let mut destinations = Map::new();
    for (name, destination) in
        [("onSuccess", &settings.on_success), ("onFailure", &settings.on_failure)]
    {
        let shown = destination.as_ref().map(|to| object!({ "destination": to.name }));
        destinations.insert(name.to_owned(), shown.unwrap_or(Value::Null));
    }
    object!({
        "service": config.service.as_str(),
        "function": config.function.as_str(),
        "qualifier": config.qualifier,
        "createdTime": wire::time(config.created_ms),
        "lastModifiedTime": wire::time(config.modified_ms),
        "destinationConfig": destinations,
        "maxAsyncEventAgeInSeconds": settings.age_s,
        "maxAsyncRetryAttempts": settings.retries,
        "statefulInvocation": settings.stateful.unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Result<Option<Destination>, String> {
        let body = Some(Object(DestinationBody { destination: Some(name.to_owned()) }));
        destination(body).map_err(|error| error.message)
    }

    #[test]
    fn destinations_are_read_or_refused_by_name() {
        let found = parsed("acs:fc:r:1:services/s.prod/functions/f").unwrap().unwrap();
        let (service, qualifier, function) = ("s".into(), Some("prod".into()), "f".into());
        assert_eq!(found.kind, DestinationKind::Function { service, qualifier, function });
        let found = parsed("https://Hooks.example:8443/a?b=c").unwrap().unwrap();
        let DestinationKind::Endpoint { place, .. } = found.kind else { panic!("an endpoint") };
        assert_eq!(place, "hooks.example:8443");
        assert_eq!(parsed(""), Ok(None));
        let long = format!("http://h/{}", "a".repeat(1024));
        for (name, why) in [
            ("acs:mns:r:1:/queues/q/messages", "no event bus"),
            ("acs:eventbridge:r:1:eventbus/b", "no event bus"),
            ("acs:fc:r:1:services/s", "no event bus"),
            ("http://user:secret@host/", "credentials"),
            ("http:///path", "is not an address"),
            ("http://host/#x", "fragment"),
            ("ftp://host/", "neither"),
            ("f", "neither"),
            (&long, "longer"),
        ] {
            let refused = parsed(name).unwrap_err();
            assert!(refused.contains(why), "{name}: {refused}");
        }
    }
}
