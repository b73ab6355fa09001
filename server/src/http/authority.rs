//! Which host a request is for, said once: afterwards each request has one `Host` header and a target that is a path, whatever its
//! version and form were. What says it twice and differently, or not at all, is refused: somebody before us may believe the other.

use http::header::{HOST, HeaderValue};
use http::uri::{Authority, Parts, PathAndQuery};
use http::{Method, Uri, Version};
use hyper::ext::Protocol;

use super::{Rejection, Request};

/// Settles which host a request is for. Over TLS that is the one that the connection was made for, if the client said which.
///
/// # Errors
/// [`Rejection::Malformed`] when the request does not say, or says two things; [`Rejection::Misdirected`] when the connection was made
/// for another.
pub(super) fn settle(request: &mut Request, server_name: Option<&str>) -> Result<(), Rejection> {
    settle_host(request)?;
    let Some(server_name) = server_name else { return Ok(()) };
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // Names have no colon; addresses are never asked for by name.
    let host = host.split(':').next().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.eq_ignore_ascii_case(server_name) { Ok(()) } else { Err(Rejection::Misdirected) }
}

fn settle_host(request: &mut Request) -> Result<(), Rejection> {
    // One that names a protocol has a path as others have (RFC 8441, section 4); what it is for is not decided here.
    if request.method() == Method::CONNECT && request.extensions().get::<Protocol>().is_none() {
        return refuse("CONNECT is not served");
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next().is_some());
    if more {
        return refuse("the header Host is there more than once");
    }
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return refuse("the header Host names no host");
    }
    match (request.uri().authority(), host) {
        (None, Some(_)) => return Ok(()),
        (None, None) if request.version() < Version::HTTP_11 => return Ok(()),
        (None, None) => return refuse("the header Host is missing"),
        (Some(authority), Some(host))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            return refuse("the header Host names another host than the target");
        }
        (Some(_), _) => {}
    }
    let Parts { authority, path_and_query, .. } = std::mem::take(request.uri_mut()).into_parts();
    let host = authority.as_ref().and_then(value);
    let Some(host) = host else { return refuse("the target names no host") };
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = Uri::from(path_and_query.unwrap_or(PathAndQuery::from_static("/")));
    Ok(())
}

fn refuse(why: &'static str) -> Result<(), Rejection> {
    Err(Rejection::Malformed { why })
}

fn value(authority: &Authority) -> Option<HeaderValue> {
    let host = authority.as_str();
    if is_host(host.as_bytes()) { HeaderValue::from_str(host).ok() } else { None }
}

/// Whether it can be a host with or without a port: no user, no path, nothing that begins another header.
fn is_host(host: &[u8]) -> bool {
    host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_~%:[]".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::RequestBody;

    fn settled(version: Version, target: &str, hosts: &[&str]) -> Result<(String, String), ()> {
        let mut request = http::Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let mut request = request.body(RequestBody::default()).unwrap();
        settle(&mut request, None).map_err(|_| ())?;
        let host = request.headers().get(HOST).map_or("", |host| host.to_str().unwrap());
        Ok((host.to_owned(), request.uri().to_string()))
    }

    #[test]
    fn each_form_says_its_host_once() {
        let is = |host: &str, target: &str| Ok((host.to_owned(), target.to_owned()));
        let (one, two, old) = (Version::HTTP_11, Version::HTTP_2, Version::HTTP_10);
        assert_eq!(settled(one, "/a?b", &["x:1"]), is("x:1", "/a?b"));
        assert_eq!(settled(one, "http://x:1/a?b", &["X:1"]), is("x:1", "/a?b"));
        assert_eq!(settled(one, "*", &["x"]), is("x", "*"));
        assert_eq!(settled(two, "https://x/a", &[]), is("x", "/a"));
        assert_eq!(settled(two, "https://x", &["x"]), is("x", "/"));
        assert_eq!(settled(two, "/a", &["x"]), is("x", "/a"));
        assert_eq!(settled(old, "/a", &[]), is("", "/a"));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (version, target, hosts) in [
            (one, "/", &[][..]),
            (two, "/", &[]),
            (one, "/", &["x", "x"]),
            (one, "/", &["x/y"]),
            (one, "/", &["u@x"]),
            (one, "/", &["x, y"]),
            (one, "http://x/", &["y"]),
            (one, "http://x/", &["x:80"]),
            (two, "https://x/", &["y"]),
            (two, "https://u@x/", &[]),
        ] {
            assert_eq!(settled(version, target, hosts), Err(()), "{target} {hosts:?}");
        }
    }

    #[test]
    fn over_tls_it_is_the_host_of_the_connection() {
        for (host, fits) in [
            ("x.example", true),
            ("X.Example.:9443", true),
            ("y.example", false),
            ("x.example.org", false),
            ("", false),
        ] {
            let request = http::Request::builder().uri("/").header(HOST, host);
            let mut request = request.body(RequestBody::default()).unwrap();
            let settled = settle(&mut request, Some("x.example"));
            assert_eq!(settled, if fits { Ok(()) } else { Err(Rejection::Misdirected) }, "{host}");
        }
    }
}
