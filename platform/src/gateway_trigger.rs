//! What a trigger of an API gateway's kind lets through: a path with parameters, a method, who may call, how long, how often. Its requests
//! become events of a function. Read from its configuration once for each change. Knows no request.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::catalog::ServiceEntry;
use crate::error::{Kind, RequestError};
use crate::gate::{Gate, GateLimits, Gated};
use crate::name::{LATEST, Target};
use crate::path_template::PathTemplate;
use crate::platform::Platform;
use crate::trigger::{Trigger, TriggerKind};
use crate::websocket::WEBSOCKET_KEY;

/// The methods of requests that such a trigger may take.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];
/// The longest time that a configuration may give a request, in milliseconds.
const TIMEOUT_MS_MAX: u64 = 600_000;
/// The longest name of a stage, in characters.
const STAGE_CHARS_MAX: usize = 64;
/// The stage where the configuration names none.
const STAGE: &str = "RELEASE";

/// Who may call by such a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayAuth {
    /// Anybody.
    None,
    /// Who signs with an access key that may invoke.
    Signed,
}

/// The configuration, read.
#[derive(Debug)]
pub struct GatewayTrigger {
    /// Who may call.
    pub auth: GatewayAuth,
    /// Whether only requests that came encrypted are taken.
    pub is_https_only: bool,
    /// What functions are told as the stage.
    pub stage: String,
    /// How long a caller waits at most; none is the function's own timeout.
    pub timeout: Option<Duration>,
    /// Whether the caller gets its answer at once and the function runs later.
    pub is_async: bool,
    /// How often and how many at once.
    pub gate: Gate,
    path: PathTemplate,
    /// None takes all.
    method: Option<&'static str>,
}

/// A field, unless it is absent or null.
fn set_field<'a>(config: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    config.get(name).filter(|value| !value.is_null())
}

/// A text that may be absent.
fn text<'a>(config: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    let read = |value: &'a Value| value.as_str().ok_or_else(|| format!("`{name}` is not a text"));
    set_field(config, name).map(read).transpose()
}

/// One of several texts, in any case; the first where it is absent.
fn one_of<T: Copy>(
    config: &Map<String, Value>,
    name: &str,
    known: &[(&str, T)],
    absent: T,
) -> Result<T, String> {
    let Some(given) = text(config, name)? else { return Ok(absent) };
    let found = known.iter().find(|(text, _)| text.eq_ignore_ascii_case(given));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(text, _)| *text).collect();
        format!("`{name}` is none of {}", names.join(", "))
    })
}

impl GatewayTrigger {
    /// Reads a configuration.
    pub(crate) fn read(config: &Map<String, Value>) -> Result<Self, String> {
        let is_prefix = one_of(config, "match_mode", &[("NORMAL", false), ("SWA", true)], false)?;
        let path = text(config, "path")?.ok_or("`path` is missing")?;
        let path = PathTemplate::parse(path, is_prefix).map_err(|why| format!("`path` {why}"))?;
        let mut methods = METHODS.map(|method| (method, Some(method))).to_vec();
        methods.push(("ANY", None));
        let method = one_of(config, "req_method", &methods, None)?;
        // An application's key and secret belong to the gateway that issued them; there is none here to ask.
        let auth =
            [("NONE", Some(GatewayAuth::None)), ("IAM", Some(GatewayAuth::Signed)), ("APP", None)];
        let auth = one_of(config, "auth", &auth, Some(GatewayAuth::None))?;
        let auth = auth.ok_or(
            "`auth` APP is not served here: choose `IAM`, which takes requests signed with an access key of this server, or `NONE`",
        )?;
        let is_https_only = one_of(config, "protocol", &[("HTTP", false), ("HTTPS", true)], false)?;
        let stage = text(config, "env_name")?.filter(|text| !text.is_empty()).unwrap_or(STAGE);
        if stage.chars().count() > STAGE_CHARS_MAX {
            return Err(format!("`env_name` has more than {STAGE_CHARS_MAX} characters"));
        }
        let empty = Map::new();
        let function = match set_field(config, "func_info") {
            None => &empty,
            Some(Value::Object(function)) => function,
            Some(_) => return Err("`func_info` is not an object".to_owned()),
        };
        let timeout = match set_field(function, "timeout") {
            None => None,
            Some(value) => {
                let number = value.as_u64().filter(|number| (1..=TIMEOUT_MS_MAX).contains(number));
                Some(number.map(Duration::from_millis).ok_or_else(|| {
                    format!(
                        "`func_info.timeout` is not a whole number of ms from 1 to {TIMEOUT_MS_MAX}"
                    )
                })?)
            }
        };
        let kinds = [("sync", false), ("async", true)];
        let is_async = one_of(function, "invocation_type", &kinds, false)
            .map_err(|why| format!("`func_info`: {why}"))?;
        let limits = GateLimits::read(config.get("hearth"), &[WEBSOCKET_KEY])?;
        let (stage, gate) = (stage.to_owned(), Gate::new(Gated::Trigger, limits));
        Ok(Self { auth, is_https_only, stage, timeout, is_async, gate, path, method })
    }

    /// Whether a configuration may be set.
    pub(crate) fn check(config: &Map<String, Value>) -> Result<(), String> {
        Self::read(config).map(drop)
    }

    /// Whether there are requests that both would take and neither more than the other.
    pub(crate) fn is_in_the_way_of(&self, other: &Self) -> bool {
        self.path.is_like(&other.path) && self.method == other.method
    }

    /// How much rather it is this one than another that takes the same request.
    fn rather(&self, other: &Self) -> std::cmp::Ordering {
        self.path.narrower(&other.path).then(self.method.is_some().cmp(&other.method.is_some()))
    }
}

/// A request's way to a function.
#[derive(Debug)]
pub struct GatewayRoute {
    /// The trigger's name.
    pub name: String,
    /// The trigger's id.
    pub id: String,
    /// What it lets through.
    pub trigger: Arc<GatewayTrigger>,
    /// The parameters of the path.
    pub parameters: Vec<(String, String)>,
}

/// Why a request has no way to a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGatewayRoute {
    /// The function has no such trigger at the qualifier.
    #[error(transparent)]
    NoTrigger(#[from] RequestError),
    /// None of them is for the path.
    #[error("no API gateway trigger of the function is for this path")]
    Path,
    /// Those for the path take other methods.
    #[error("the API gateway triggers for this path do not take this method")]
    Method,
}

impl Platform {
    /// Whether a function has triggers of this kind at a qualifier.
    pub fn has_gateway_trigger(&self, target: Target<'_>) -> bool {
        let has = |entry: &ServiceEntry| {
            entry.triggers.with_first_of(target.function, wanted(target), |found| found.is_some())
        };
        self.inner().catalog.with_service(target.service, has).unwrap_or(false)
    }

    /// The way of a request to a function: the narrowest of its triggers at the qualifier that are for path and method.
    ///
    /// # Errors
    /// [`NoGatewayRoute`] says what there is none of.
    pub fn gateway_route(
        &self,
        target: Target<'_>,
        method: &str,
        path: &str,
    ) -> Result<GatewayRoute, NoGatewayRoute> {
        let entry = self.inner().catalog.service(target.service)?;
        let found = entry.triggers.all_of(target.function, wanted(target));
        if found.is_empty() {
            let qualifier = target.qualifier.filter(|text| !text.is_empty()).unwrap_or(LATEST);
            let Target { service, function, .. } = target;
            let name = format!("{service}.{qualifier}/{function}");
            return Err(RequestError::NotFound { kind: Kind::GatewayTrigger, name }.into());
        }
        let mut is_for_path = false;
        let mut best: Option<GatewayRoute> = None;
        for row in found {
            // A configuration that cannot be read was an earlier program's, and leads nowhere.
            let Ok(trigger) = row.gateway() else { continue };
            let Some(parameters) = trigger.path.matches(path) else { continue };
            is_for_path = true;
            if trigger.method.is_some_and(|taken| taken != method) || !METHODS.contains(&method) {
                continue;
            }
            if best.as_ref().is_some_and(|best| trigger.rather(&best.trigger).is_le()) {
                continue;
            }
            let owned = |(name, value): (&str, String)| (name.to_owned(), value);
            let parameters = parameters.into_iter().map(owned).collect();
            let (name, id) = (row.name.to_string(), row.id.clone());
            best = Some(GatewayRoute { name, id, trigger: trigger.clone(), parameters });
        }
        best.ok_or(if is_for_path { NoGatewayRoute::Method } else { NoGatewayRoute::Path })
    }
}

fn wanted(target: Target<'_>) -> impl Fn(&Trigger) -> bool {
    let qualifier = target.qualifier.filter(|text| !text.is_empty()).unwrap_or(LATEST);
    move |trigger| trigger.kind == TriggerKind::Gateway && trigger.qualifier() == qualifier
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Result<GatewayTrigger, String> {
        GatewayTrigger::read(config.as_object().unwrap())
    }

    #[test]
    fn a_configuration_as_it_is_documented_is_read() {
        let whole = read(&json!({
            "group_id": "3f96e175d5e44d4bae7ef6d264e63b23", "env_id": "DEFAULT_ENVIRONMENT_RELEASE_ID",
            "env_name": "test", "auth": "IAM", "protocol": "HTTPS", "name": "api", "path": "/test/{proxy+}",
            "match_mode": "SWA", "req_method": "GET", "backend_type": "FUNCTION", "type": 1, "sl_domain": "x",
            "func_info": {"timeout": 5000, "function_urn": "urn", "invocation_type": "sync", "version": "latest"},
        }))
        .unwrap();
        assert_eq!((whole.auth, whole.is_https_only), (GatewayAuth::Signed, true));
        assert_eq!((whole.stage.as_str(), whole.timeout), ("test", Some(Duration::from_secs(5))));
        assert_eq!((whole.method, whole.is_async), (Some("GET"), false));
        let least = read(&json!({"path": "/"})).unwrap();
        assert_eq!((least.auth, least.is_https_only), (GatewayAuth::None, false));
        assert_eq!((least.stage.as_str(), least.timeout, least.method), ("RELEASE", None, None));
    }

    #[test]
    fn what_cannot_be_held_to_is_refused() {
        for (field, bad) in [
            ("path", json!(null)),
            ("path", json!("users")),
            ("path", json!(7)),
            ("req_method", json!("BREW")),
            ("req_method", json!(["GET"])),
            ("match_mode", json!("EXACT")),
            ("auth", json!("APP")),
            ("auth", json!("CUSTOM")),
            ("protocol", json!("FTP")),
            ("env_name", json!("x".repeat(65))),
            ("func_info", json!("x")),
            ("func_info", json!({"timeout": 0})),
            ("func_info", json!({"timeout": "5000"})),
            ("func_info", json!({"timeout": 600_001})),
            ("func_info", json!({"invocation_type": "later"})),
            ("hearth", json!({"speed": 1})),
            ("hearth", json!([])),
        ] {
            let mut config = json!({"path": "/a"});
            config[field] = bad;
            let why = read(&config).map(drop).unwrap_err();
            assert!(why.contains(&format!("`{field}")), "{why}");
        }
        assert!(read(&json!({"path": "/", "auth": "APP"})).unwrap_err().contains("IAM"));
    }

    #[test]
    fn two_for_the_same_are_in_the_way() {
        let of =
            |path: &str, method: &str| read(&json!({"path": path, "req_method": method})).unwrap();
        assert!(of("/a/{x}", "GET").is_in_the_way_of(&of("/a/{y}", "GET")));
        assert!(!of("/a/{x}", "GET").is_in_the_way_of(&of("/a/{x}", "POST")));
        assert!(!of("/a/{x}", "GET").is_in_the_way_of(&of("/a/{x}", "ANY")));
        assert!(of("/a", "GET").rather(&of("/a", "ANY")).is_gt());
        assert!(of("/a/b", "ANY").rather(&of("/a/{x}", "GET")).is_gt());
    }
}
