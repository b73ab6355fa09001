//! Who calls, and whether they may: in front of every dialect, before a body is read.
//!
//! Requests carry the signature of the Function Compute clients; our own command line signs in the same way. What a request needs is
//! told from its method and path alone.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use hearth_platform::{OpenKey, Origin, Role, ServiceName, to_ms};
use http::{Method, StatusCode};

use super::function_compute::errors::WireError;
use super::function_compute::signature::{Claim, SignatureError, Signed};
use super::function_compute::{self, decode};
use super::hearth;
use super::query::Query;
use crate::app::App;
use crate::http::Request;

/// Whoever sent a request: a key, or anybody where nobody asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Option<Arc<OpenKey>>);

impl Caller {
    /// Whether it may do what needs that role with that service; for what the path does not tell.
    ///
    /// # Errors
    /// [`WireError`] says that it may not.
    pub(super) fn must(&self, role: Role, service: Option<&str>) -> Result<(), WireError> {
        match &self.0 {
            Some(key) if !key.key.may(role, service) => Err(denied(&key.key.id, role, service)),
            _ => Ok(()),
        }
    }

    /// The same with the function of a label, `service/function`; another label takes a key for all services.
    ///
    /// # Errors
    /// [`WireError`] says that it may not.
    pub(super) fn must_with(&self, role: Role, label: &str) -> Result<(), WireError> {
        let service = label.split_once('/').map(|(service, _)| service);
        self.must(role, service.filter(|service| ServiceName::parse(service).is_ok()))
    }
}

/// Finds out who calls and whether they may.
///
/// # Errors
/// Who is not believed, or may not.
pub(crate) fn admit(app: &App, request: &Request) -> Result<Caller, WireError> {
    if !app.checks_callers() {
        return Ok(Caller(None));
    }
    let path = request.uri().path();
    let is_link = |rest: &str| rest.starts_with("/code/") || rest.starts_with("/layers/");
    if path.strip_prefix(hearth::PREFIX).is_some_and(is_link) {
        // Such a link is signed by itself, and made for programs that sign nothing.
        return Ok(Caller(None));
    }
    let caller = authenticate(app, request, Address::Server)?;
    let (role, service) = needed(request);
    match service {
        // Whoever reads on asks again, with the service.
        Service::ToldLater => caller.must(role, Some(caller.prefix()))?,
        Service::Named(service) => caller.must(role, Some(&service))?,
        Service::None => caller.must(role, None)?,
    }
    Ok(caller)
}

/// Which address a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    /// The server's own.
    Server,
    /// A custom domain's: every path of it is an HTTP trigger's.
    Domain,
}

/// Finds out who calls a function through its HTTP trigger, and whether they may.
///
/// # Errors
/// Who is not believed, or may not.
pub(crate) fn admit_call(
    app: &App,
    request: &Request,
    address: Address,
    service: &str,
) -> Result<(), WireError> {
    if !app.checks_callers() {
        return Ok(());
    }
    authenticate(app, request, address)?.must(Role::Invoke, Some(service))
}

/// Who signed a request.
fn authenticate(app: &App, request: &Request, address: Address) -> Result<Caller, WireError> {
    let signed =
        Signed { method: request.method(), uri: request.uri(), headers: request.headers() };
    let now = SystemTime::now();
    let claim = match address {
        Address::Server => signed.claim(now)?,
        Address::Domain => signed.claim_at_domain(now)?,
    };
    let key = app.platform.keys().find(&claim.id).ok_or_else(|| unknown(&claim.id))?;
    let secrets = || key.secrets(to_ms(now));
    if secrets().next().is_none() {
        return Err(unknown(&claim.id));
    }
    if !secrets().any(|secret| signed.is_made_with(&claim, secret.reveal())) {
        return Err(WireError::new(
            StatusCode::FORBIDDEN,
            "SignatureNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your access key and signing \
             method",
        ));
    }
    check_rest(&key, &claim, request)?;
    Ok(Caller(Some(key)))
}

impl Caller {
    /// What the audit trail calls it.
    pub(super) fn origin(&self) -> Origin {
        self.0.as_ref().map_or_else(Origin::local, |key| Origin::of_key(&key.key))
    }

    fn prefix(&self) -> &str {
        self.0.as_ref().map_or("", |key| &key.key.services)
    }
}

/// What is said beside the signature and covered by it.
fn check_rest(key: &OpenKey, claim: &Claim<'_>, request: &Request) -> Result<(), WireError> {
    if key.token.as_ref().map(hearth_platform::Secret::reveal) != claim.token.as_deref() {
        let message = "the security token does not belong to this access key";
        return Err(WireError::new(StatusCode::FORBIDDEN, "InvalidSecurityToken", message));
    }
    match request.headers().get("x-fc-account-id") {
        Some(account) if account.as_bytes() != key.key.account.as_bytes() => {
            let message = "the access key belongs to another account";
            Err(WireError::new(StatusCode::FORBIDDEN, "CrossAccountAccessDenied", message))
        }
        _ => Ok(()),
    }
}

/// Which service a request is about.
enum Service<'a> {
    Named(Cow<'a, str>),
    /// Only the body tells it, or what is found under an id.
    ToldLater,
    None,
}

/// The role that a request needs, and the service that it is about.
fn needed(request: &Request) -> (Role, Service<'_>) {
    let (method, path) = (request.method(), request.uri().path());
    if let Some(rest) = path.strip_prefix(function_compute::PREFIX) {
        return needed_of_clients(method, rest);
    }
    if let Some(rest) = path.strip_prefix(hearth::PREFIX) {
        return needed_of_ours(rest, Query::of(request.uri()));
    }
    (Role::Admin, Service::None)
}

fn needed_of_clients<'a>(method: &Method, rest: &'a str) -> (Role, Service<'a>) {
    let mut elements = rest.split('/').skip(1);
    let kind = elements.next();
    let service = elements.next().and_then(service);
    match (kind, service) {
        (Some("services"), Some(service)) => {
            // After it come the word `functions` and the function's name.
            let calls =
                matches!(elements.nth(2), Some("invocations" | "stateful-async-invocations"));
            (if calls { Role::Invoke } else { Role::Deploy }, Service::Named(service))
        }
        (Some("services"), None) if method == Method::POST => (Role::Deploy, Service::ToldLater),
        _ => (Role::Deploy, Service::None),
    }
}

fn needed_of_ours<'a>(rest: &'a str, query: Query<'a>) -> (Role, Service<'a>) {
    let mut elements = rest.split('/').skip(1);
    let named = |service: Option<Cow<'a, str>>| service.map_or(Service::None, Service::Named);
    match elements.next() {
        Some("functions") => (Role::Deploy, named(elements.next().and_then(service))),
        // The id alone says what is meant, whatever function the query names.
        Some("invocations" | "dead") if elements.next().is_some() => {
            (Role::Deploy, Service::ToldLater)
        }
        Some("logs" | "stats" | "invocations" | "dead") => {
            let function = query.get("function");
            let service = function.and_then(|name| {
                name.split_once('/').map(|(service, _)| Cow::Owned(service.to_owned()))
            });
            (Role::Deploy, named(service))
        }
        _ => (Role::Admin, Service::None),
    }
}

/// The service in an element of a path, without its qualifier.
fn service(element: &str) -> Option<Cow<'_, str>> {
    let element = decode(element)?;
    let end = element.find('.').unwrap_or(element.len());
    Some(match element {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..end).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    })
}

fn unknown(id: &str) -> WireError {
    let message = format!("invalid access key ID '{id}'");
    WireError::new(StatusCode::FORBIDDEN, "InvalidAccessKeyID", message)
}

fn denied(id: &str, role: Role, service: Option<&str>) -> WireError {
    let role = role.as_str();
    let message = match service {
        Some(service) => format!(
            "access key '{id}' may not do this with service '{service}'; it takes one with role {role} for that service"
        ),
        None => format!(
            "access key '{id}' may not do this; it takes one with role {role} for all services"
        ),
    };
    WireError::new(StatusCode::FORBIDDEN, "AccessDenied", message)
}

impl From<SignatureError> for WireError {
    fn from(error: SignatureError) -> Self {
        let (status, code) = match error {
            SignatureError::MissingHeader { .. } => {
                (StatusCode::BAD_REQUEST, "MissingRequiredHeader")
            }
            SignatureError::Malformed => (StatusCode::FORBIDDEN, "AccessDenied"),
            SignatureError::BadDate | SignatureError::Skewed => {
                (StatusCode::FORBIDDEN, "RequestTimeTooSkewed")
            }
        };
        Self::new(status, code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &Method, path: &str) -> (Role, String) {
        let name = |service| match service {
            Service::Named(service) => service.into_owned(),
            Service::ToldLater => "later".to_owned(),
            Service::None => "none".to_owned(),
        };
        let (role, service) = match path.strip_prefix(hearth::PREFIX) {
            Some(rest) => {
                let uri: http::Uri = path.parse().unwrap();
                let rest = rest.split('?').next().unwrap();
                let (role, service) = needed_of_ours(rest, Query::of(&uri));
                return (role, name(service));
            }
            None => needed_of_clients(method, path.strip_prefix(function_compute::PREFIX).unwrap()),
        };
        (role, name(service))
    }

    #[test]
    fn a_path_tells_what_it_needs() {
        let (get, post) = (Method::GET, Method::POST);
        for (method, path, role, service) in [
            (&post, "/2016-08-15/services/a.1/functions/f/invocations", Role::Invoke, "a"),
            (
                &get,
                "/2016-08-15/services/a/functions/f/stateful-async-invocations/x",
                Role::Invoke,
                "a",
            ),
            (&get, "/2016-08-15/services/%61%2e1/functions/f", Role::Deploy, "a"),
            (&post, "/2016-08-15/services/invocations/functions", Role::Deploy, "invocations"),
            (&post, "/2016-08-15/services", Role::Deploy, "later"),
            (&get, "/2016-08-15/services", Role::Deploy, "none"),
            (&get, "/2016-08-15/custom-domains", Role::Deploy, "none"),
            (&get, "/hearth/v1/functions/a/f", Role::Deploy, "a"),
            (&get, "/hearth/v1/functions", Role::Deploy, "none"),
            (&get, "/hearth/v1/logs?function=a/f", Role::Deploy, "a"),
            (&get, "/hearth/v1/logs", Role::Deploy, "none"),
            (&get, "/hearth/v1/dead?function=a/f", Role::Deploy, "a"),
            (&get, "/hearth/v1/dead/x?function=a/f", Role::Deploy, "later"),
            (&get, "/hearth/v1/invocations/x?function=a/f", Role::Deploy, "later"),
            (&get, "/hearth/v1/keys", Role::Admin, "none"),
            (&get, "/hearth/v1/keys/a", Role::Admin, "none"),
            (&get, "/hearth/v1/audit", Role::Admin, "none"),
            (&get, "/hearth/v1/audit/verify?function=a/f", Role::Admin, "none"),
        ] {
            assert_eq!(told(method, path), (role, service.to_owned()), "{path}");
        }
    }
}
