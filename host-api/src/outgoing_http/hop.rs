//! Headers that end at the next hop.

/// Whether a header, its name in lower case, speaks of one connection and not of the request, so that it is never passed on: RFC 9110,
/// section 7.6.1, and what is treated like those it names. Compared by text: an array of `HeaderName`s is made and taken apart each time
/// it is looked at, and every header of every request is.
///
/// ```
/// use hearth_host_api::outgoing_http::is_of_one_hop;
///
/// assert!(is_of_one_hop("transfer-encoding") && !is_of_one_hop("content-length"));
/// ```
#[must_use]
pub fn is_of_one_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}
