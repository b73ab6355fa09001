//! Where a body ends, as far as the parser lets it be said in more than one way. The rest it refuses itself: lengths that differ or are no
//! numbers, codings under which no end is known, both for HTTP/1.0. What it would let pass, a length beside a coding or twice the same
//! length, is found before it, on the wire: see [`frame_guard`](super::frame_guard).

use http::Version;
use http::header::TRANSFER_ENCODING;

use super::{Rejection, Request};

/// Checks how the body of a request is framed.
///
/// # Errors
/// [`Rejection::Malformed`] when it is chunked more than once, or coded in a way that nobody here decodes.
pub(super) fn check(request: &Request) -> Result<(), Rejection> {
    if request.version() >= Version::HTTP_2 {
        return Ok(());
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Rejection::Malformed { why: "the only transfer coding is chunked, once" }),
    }
}
