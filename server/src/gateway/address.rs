//! Whom a request is addressed to: its host, and the parts of a proxy path. Pure functions.

use std::borrow::Cow;

use http::Uri;
use http::header::HOST;

use super::Destination;
use super::client::Client;
use crate::dialect::auth::Address;
use crate::dialect::function_compute::{PREFIX, decode};
use crate::http::Request;

/// Whether a path is for functions with HTTP triggers.
pub(crate) fn is_proxy_path(path: &str) -> bool {
    let rest = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("/proxy"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Where functions with triggers of an API gateway's kind answer.
const APIG_PREFIX: &str = "/apig/";

/// Whether a path is for such functions.
pub(crate) fn is_apig_path(path: &str) -> bool {
    path.starts_with(APIG_PREFIX)
}

/// The host of a request without its port. The request's own line goes before the header, as HTTP has it.
pub(super) fn host(request: &Request) -> Option<&str> {
    if let Some(host) = request.uri().host() {
        return Some(host);
    }
    let host = request.headers().get(HOST)?.to_str().ok()?;
    Some(match host.rsplit_once(':') {
        // The colons of an IPv6 address are inside brackets.
        Some((host, port)) if !port.contains(']') => host,
        _ => host,
    })
}

/// What a proxy path leads to: `/2016-08-15/proxy/{service}[.{qualifier}]/{function}[/{path}]`. Escapes are undone in names and left in
/// the rest, which the function sees as it was sent.
pub(super) fn proxy_destination(uri: &Uri, client: Client) -> Option<Destination<'_>> {
    destination(uri, client, uri.path().strip_prefix(PREFIX)?.strip_prefix("/proxy/")?)
}

/// The same of `/apig/{service}[.{qualifier}]/{function}[/{path}]`.
pub(super) fn apig_destination(uri: &Uri, client: Client) -> Option<Destination<'_>> {
    destination(uri, client, uri.path().strip_prefix(APIG_PREFIX)?)
}

/// What stands before and after the first of an ASCII character. `split_once` gets a search ready that costs more than to look through names.
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

/// What the end of a path leads to.
fn destination<'a>(uri: &'a Uri, client: Client, rest: &'a str) -> Option<Destination<'a>> {
    let path = uri.path();
    let (service, rest) = cut(rest, b'/')?;
    let (function, rest) = match cut(rest, b'/') {
        Some((function, _)) => (function, rest.get(function.len()..)?),
        None => (rest, ""),
    };
    let base = path.get(..path.len() - rest.len())?;
    let (service, qualifier) = split_service(decode(service)?);
    // The query follows the path, as it came.
    let seen = uri.path_and_query()?.as_str().get(path.len() - rest.len()..)?;
    let path = match rest {
        "" => Cow::Owned(format!("/{seen}")),
        _ => Cow::Borrowed(seen),
    };
    Some(Destination {
        service,
        qualifier,
        function: decode(function)?,
        path,
        base_path: match uri.path().get(..=base.len()) {
            // As nearly every path: a slash follows.
            Some(base) => Cow::Borrowed(base),
            None => Cow::Owned(format!("{base}/")),
        },
        address: Address::Server,
        gate: None,
        domain: None,
        client,
    })
}

/// A service and its qualifier, at the first dot.
fn split_service(element: Cow<'_, str>) -> (Cow<'_, str>, Option<Cow<'_, str>>) {
    let split = |text: &str| cut(text, b'.').map(|(service, _)| service.len());
    let Some(end) = split(&element) else { return (element, None) };
    match element {
        Cow::Borrowed(text) => {
            let (service, rest) = text.split_at(end);
            (service.into(), qualifier(rest).map(Cow::Borrowed))
        }
        Cow::Owned(text) => {
            let (service, rest) = text.split_at(end);
            (service.to_owned().into(), qualifier(rest).map(|text| text.to_owned().into()))
        }
    }
}

fn qualifier(dotted: &str) -> Option<&str> {
    dotted.strip_prefix('.').filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::TrustedProxies;

    fn nobody() -> Client {
        let peer = (std::net::IpAddr::from([127, 0, 0, 1]), false);
        Client::of(peer, &http::HeaderMap::new(), &TrustedProxies::default())
    }

    #[test]
    fn proxy_paths() {
        let parts = |uri: &str| {
            let uri: Uri = uri.parse().unwrap();
            let found = proxy_destination(&uri, nobody())?;
            let qualifier = found.qualifier.map(Cow::into_owned).unwrap_or_default();
            Some([
                found.service.into(),
                qualifier,
                found.function.into(),
                found.path.into(),
                found.base_path.into(),
            ])
        };
        let of = |uri| parts(uri).map(|parts: [String; 5]| parts.join(" "));
        for (uri, expected) in [
            ("/2016-08-15/proxy/s/f", "s  f / /2016-08-15/proxy/s/f/"),
            ("/2016-08-15/proxy/s/f/", "s  f / /2016-08-15/proxy/s/f/"),
            ("/2016-08-15/proxy/s/f?a=1", "s  f /?a=1 /2016-08-15/proxy/s/f/"),
            ("/2016-08-15/proxy/s.1/f/a/b?x", "s 1 f /a/b?x /2016-08-15/proxy/s.1/f/"),
            ("/2016-08-15/proxy/s./f//a", "s  f //a /2016-08-15/proxy/s./f/"),
            (
                "/2016-08-15/proxy/s.a.b/f/%2e%2e/%2F",
                "s a.b f /%2e%2e/%2F /2016-08-15/proxy/s.a.b/f/",
            ),
            ("/2016-08-15/proxy/%73%2e1/%66/x", "s 1 f /x /2016-08-15/proxy/%73%2e1/%66/"),
        ] {
            assert_eq!(of(uri).as_deref(), Some(expected), "{uri}");
        }
        for uri in [
            "/2016-08-15/proxy",
            "/2016-08-15/proxy/",
            "/2016-08-15/proxy/s",
            "/2016-08-15/proxy/s/",
            "/2016-08-15/proxy//f",
            "/2016-08-15/proxy/s//x",
            "/2016-08-15/proxy/%ff/f",
        ] {
            assert_eq!(of(uri), None, "{uri}");
            assert!(is_proxy_path(uri), "{uri}");
        }
        assert!(!is_proxy_path("/2016-08-15/proxyx/s/f"));
        assert!(!is_proxy_path("/2016-08-15/services"));
    }

    proptest! {
        #[test]
        fn no_path_panics(rest in "[%./a-z0-9?&=]{0,40}") {
            if let Ok(uri) = format!("/2016-08-15/proxy/{rest}").parse::<Uri>()
                && let Some(found) = proxy_destination(&uri, nobody())
            {
                prop_assert!(found.path.starts_with('/'));
                prop_assert!(!found.service.is_empty() || rest.starts_with('.') || rest.starts_with("%2e"));
            }
        }
    }
}
