//! What an HTTP trigger lets through: who may call, with which methods, how often and how many at once. Read from its configuration
//! once for each change. Knows no request.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::error::{Kind, RequestError};
use crate::gate::{Gate, GateLimits, Gated};
use crate::name::{LATEST, Target};
use crate::platform::Platform;
use crate::trigger::{Trigger, TriggerKind};
use crate::websocket::{WEBSOCKET_KEY, WebSocketSettings};

/// The methods of requests that an HTTP trigger may take.
const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];

/// Who may call by an HTTP trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpAuth {
    /// Anybody.
    Anonymous,
    /// Who signs with an access key that may invoke.
    Function,
    /// Who shows a token of an issuer: kept by earlier programs, and served to nobody.
    Token,
}

/// An HTTP trigger's configuration, read.
#[derive(Debug)]
pub struct HttpTrigger {
    /// Who may call.
    pub auth: HttpAuth,
    /// Whether its own address is closed, so that only custom domains lead to it.
    pub is_url_closed: bool,
    /// How often and how many at once.
    pub gate: Gate,
    /// What it says of WebSockets.
    pub websocket: WebSocketSettings,
    /// Which of [`METHODS`], a bit each.
    methods: u8,
}

/// A field, unless it is absent or null.
fn set_field<'a>(config: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    config.get(name).filter(|value| !value.is_null())
}

impl HttpTrigger {
    /// Reads a configuration.
    pub(crate) fn read(config: &Map<String, Value>) -> Result<Self, String> {
        let auth = match set_field(config, "authType").map(Value::as_str) {
            None | Some(Some("function")) => HttpAuth::Function,
            Some(Some("anonymous")) => HttpAuth::Anonymous,
            Some(Some("jwt")) => HttpAuth::Token,
            Some(_) => return Err("`authType` is none of anonymous, function".to_owned()),
        };
        let bad = || format!("`methods` is not a list of some of {}", METHODS.join(", "));
        let listed = config.get("methods").and_then(Value::as_array).filter(|all| !all.is_empty());
        let mut methods = 0;
        for method in listed.ok_or_else(bad)? {
            let at = METHODS.iter().position(|known| method.as_str() == Some(known));
            methods |= 1 << at.ok_or_else(bad)?;
        }
        let is_url_closed = match set_field(config, "disableURLInternet") {
            None => false,
            Some(Value::Bool(closed)) => *closed,
            Some(_) => return Err("`disableURLInternet` is not true or false".to_owned()),
        };
        let limits = GateLimits::read(config.get("hearth"), &[WEBSOCKET_KEY])?;
        let websocket = WebSocketSettings::of(config)?;
        Ok(Self {
            auth,
            is_url_closed,
            gate: Gate::new(Gated::Trigger, limits),
            websocket,
            methods,
        })
    }

    /// Whether a configuration may be set: what can be read, and is served.
    pub(crate) fn check(config: &Map<String, Value>) -> Result<(), String> {
        match Self::read(config)?.auth {
            HttpAuth::Token => Err("`authType` jwt is not served here: choose `function`, or \
                                    `anonymous` and let the function look at its callers' tokens"
                .to_owned()),
            HttpAuth::Anonymous | HttpAuth::Function => Ok(()),
        }
    }

    /// Whether it takes requests with a method.
    pub fn takes(&self, method: &str) -> bool {
        let at = METHODS.iter().position(|known| *known == method);
        at.is_some_and(|at| self.methods & (1 << at) != 0)
    }
}

impl Platform {
    /// Looks at what the HTTP trigger of a function at a qualifier lets through. Another reference to it would be one that all cores write to.
    ///
    /// # Errors
    /// No such service; no HTTP trigger there, or one whose configuration cannot be read.
    pub fn with_http_trigger<R>(
        &self,
        target: Target<'_>,
        look: impl FnOnce(&Arc<HttpTrigger>) -> R,
    ) -> Result<R, RequestError> {
        let Target { service, function, .. } = target;
        let qualifier = target.qualifier.filter(|text| !text.is_empty()).unwrap_or(LATEST);
        let wanted = |trigger: &Trigger| {
            trigger.kind == TriggerKind::Http && trigger.qualifier() == qualifier
        };
        let read = |found: Option<&Trigger>| match found {
            Some(trigger) => match trigger.http() {
                Ok(trigger) => Ok(look(trigger)),
                Err(why) => Err(RequestError::invalid("trigger_config", why)),
            },
            None => Err(RequestError::NotFound {
                kind: Kind::HttpTrigger,
                name: format!("{service}.{qualifier}/{function}"),
            }),
        };
        let catalog = &self.inner().catalog;
        catalog
            .with_service(service, |entry| entry.triggers.with_first_of(function, wanted, read))?
    }

    /// The same, to be kept.
    ///
    /// # Errors
    /// As [`with_http_trigger`](Self::with_http_trigger).
    pub fn http_trigger(&self, target: Target<'_>) -> Result<Arc<HttpTrigger>, RequestError> {
        self.with_http_trigger(target, Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Result<HttpTrigger, String> {
        HttpTrigger::read(config.as_object().unwrap())
    }

    #[test]
    fn configurations_are_read() {
        let open = read(&json!({"authType": "anonymous", "methods": ["GET", "OPTIONS"]})).unwrap();
        assert_eq!((open.auth, open.is_url_closed), (HttpAuth::Anonymous, false));
        for (method, taken) in [("GET", true), ("OPTIONS", true), ("POST", false), ("get", false)] {
            assert_eq!(open.takes(method), taken, "{method}");
        }
        assert!(!open.takes("CONNECT") && !open.takes("TRACE"));
        let signed = read(&json!({"methods": ["POST"], "disableURLInternet": true})).unwrap();
        assert_eq!((signed.auth, signed.is_url_closed), (HttpAuth::Function, true));
        for bad in [
            json!({"methods": ["GET"], "authType": "trust"}),
            json!({"methods": ["GET"], "authType": 7}),
            json!({"methods": ["GET"], "disableURLInternet": "yes"}),
            json!({"methods": ["GET"], "hearth": {"speed": 1}}),
            json!({"methods": ["GET"], "hearth": []}),
            json!({"methods": ["get"]}),
            json!({"methods": []}),
            json!({}),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_are_not_taken_on() {
        let config = json!({"methods": ["GET"], "authType": "jwt"});
        let why = HttpTrigger::check(config.as_object().unwrap()).unwrap_err();
        assert!(why.contains("jwt"), "{why}");
        assert_eq!(read(&config).unwrap().auth, HttpAuth::Token);
    }
}
