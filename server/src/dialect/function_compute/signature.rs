//! The `FC` signature: HMAC-SHA256 over a text made of the request, as the official clients make it.
//!
//! The text covers method, content type, content MD5, date, every `x-fc-*` header and the path; for addresses of HTTP triggers also
//! the query. It does not cover the body, nor the query elsewhere: whoever can change a request on its way can change those, so
//! keys belong behind TLS. Times are checked, one request may be repeated within them.
//!
//! Source: the string to sign of Function Compute 2.0 and its official Python, JavaScript and Go clients, with their test vectors.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap};
use http::{HeaderName, Method, Uri};
use percent_encoding::percent_decode_str;
use sha2::Sha256;

/// How far apart the clocks of client and server may be.
pub const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// Beginning of the addresses whose query is signed as well.
const PROXY: &str = "/2016-08-15/proxy/";

/// Longest id in a header that is looked up.
const ID_BYTES_MAX: usize = 128;

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
const FC_DATE: HeaderName = HeaderName::from_static("x-fc-date");

/// Why a request is not believed to be from whom it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is not there.
    #[error("required HTTP header {name} was not specified")]
    MissingHeader {
        /// Which.
        name: &'static str,
    },
    /// The authorization does not have its form.
    #[error("the Authorization header does not have the form: FC id:signature")]
    Malformed,
    /// The date cannot be read.
    #[error("the date of the request is not one of HTTP, such as `Mon, 02 Jan 2023 15:04:05 GMT`")]
    BadDate,
    /// The date is too far from the server's clock, or the time of a link is over.
    #[error("the difference between the request time and the server's time is too large")]
    Skewed,
}

/// Who says to have signed, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The id of the access key.
    pub id: Cow<'a, str>,
    /// The signature, as text.
    signature: Cow<'a, str>,
    /// The token of a temporary key.
    pub token: Option<Cow<'a, str>>,
    /// What stands for the date.
    date: Cow<'a, str>,
    /// Whether all of it is in the query, as links have it.
    is_link: bool,
    /// Whether the query is signed: at addresses of HTTP triggers.
    signs_query: bool,
}

/// A request as far as it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its address.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

impl<'a> Signed<'a> {
    /// What the request claims, if its time is right.
    ///
    /// # Errors
    /// [`SignatureError`]: something is missing, malformed or from another time.
    pub fn claim(self, now: SystemTime) -> Result<Claim<'a>, SignatureError> {
        self.claim_of(now, self.uri.path().starts_with(PROXY))
    }

    /// The same of a request that is for an HTTP trigger whatever its path, at a custom domain.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn claim_at_domain(self, now: SystemTime) -> Result<Claim<'a>, SignatureError> {
        self.claim_of(now, true)
    }

    fn claim_of(self, now: SystemTime, signs_query: bool) -> Result<Claim<'a>, SignatureError> {
        if signs_query && let Some(claim) = self.link_claim() {
            return in_time(claim, now);
        }
        let text = |name| self.headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let missing = |name| SignatureError::MissingHeader { name };
        let authorization = text(AUTHORIZATION).ok_or_else(|| missing("Authorization"))?;
        let date = text(FC_DATE).or_else(|| text(DATE)).ok_or_else(|| missing("Date"))?;
        let (id, signature) = authorization
            .strip_prefix("FC ")
            .and_then(|rest| rest.split_once(':'))
            .filter(|(id, signature)| !id.is_empty() && !signature.is_empty())
            .filter(|(id, _)| id.len() <= ID_BYTES_MAX)
            .ok_or(SignatureError::Malformed)?;
        let token = self.headers.get("x-fc-security-token").map(|token| token.to_str());
        let claim = Claim {
            id: id.into(),
            signature: signature.into(),
            token: token.map(|token| token.unwrap_or_default().into()),
            date: date.into(),
            is_link: false,
            signs_query,
        };
        in_time(claim, now)
    }

    /// The claim of a link that was signed ahead: all of it is in the query, and only where queries are signed.
    fn link_claim(self) -> Option<Claim<'a>> {
        let query = self.uri.query()?;
        let value = |name: &str| {
            let item = query.split('&').find_map(|item| item.strip_prefix(name)?.strip_prefix('='));
            item.map(decoded)
        };
        Some(Claim {
            id: value("x-fc-access-key-id")?,
            signature: value("x-fc-signature")?,
            token: value("x-fc-security-token"),
            date: value("x-fc-expires")?,
            is_link: true,
            signs_query: true,
        })
    }

    /// Whether one of the secrets makes that signature. Takes the same time wherever the two differ.
    pub fn is_made_with(self, claim: &Claim<'_>, secret: &str) -> bool {
        let Ok(signature) = STANDARD.decode(claim.signature.as_bytes()) else { return false };
        let path = self.uri.path();
        let plain = decoded(path);
        // Clients sign the path as they were given it or as they send it.
        let texts: &[&str] = if plain == path { &[path] } else { &[&*plain, path] };
        texts.iter().any(|path| {
            let text = self.text(claim, path);
            keyed(secret, text.as_bytes()).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
        })
    }

    /// The text that is signed.
    fn text(self, claim: &Claim<'_>, path: &str) -> String {
        let header = |name: HeaderName| {
            self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let mut text = String::with_capacity(512);
        let lines = [self.method.as_str(), header(CONTENT_MD5), header(CONTENT_TYPE), &claim.date];
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        let mut ours: Vec<(&str, &str)> = self
            .headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("x-fc-"))
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
            .collect();
        ours.sort_unstable();
        for (name, value) in ours {
            text.extend([name, ":", value, "\n"]);
        }
        text.push_str(path);
        if claim.signs_query {
            text.push('\n');
            text.push_str(&items(self.uri.query().unwrap_or_default(), claim.is_link));
        }
        text
    }
}

/// The items of a query as they are signed: decoded, sorted, a line each.
fn items(query: &str, is_link: bool) -> String {
    // A plus is a blank in queries, and only there.
    let plain = |text: &str| decoded(&text.replace('+', " ")).into_owned();
    let mut items: Vec<String> = query
        .split('&')
        .filter(|item| !item.is_empty())
        .map(|item| match item.split_once('=') {
            Some((name, value)) => format!("{}={}", plain(name), plain(value)),
            None => plain(item),
        })
        .filter(|item| !(is_link && item.starts_with("x-fc-signature=")))
        .collect();
    items.sort_unstable();
    items.join("\n")
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

fn keyed(secret: &str, text: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(text);
    Some(mac)
}

fn in_time(claim: Claim<'_>, now: SystemTime) -> Result<Claim<'_>, SignatureError> {
    if claim.is_link {
        let expires: u64 = claim.date.parse().map_err(|_| SignatureError::BadDate)?;
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(expires));
        let is_over = expires.is_none_or(|expires| expires < now);
        return if is_over { Err(SignatureError::Skewed) } else { Ok(claim) };
    }
    let date = httpdate::parse_http_date(&claim.date).map_err(|_| SignatureError::BadDate)?;
    let apart = date.duration_since(now).unwrap_or_else(|error| error.duration());
    if apart > SKEW_MAX { Err(SignatureError::Skewed) } else { Ok(claim) }
}

/// The authorization of a request that carries its date and is signed with this key.
pub fn authorization(request: Signed<'_>, id: &str, secret: &str) -> String {
    let date = request.headers.get(DATE).and_then(|date| date.to_str().ok()).unwrap_or_default();
    let claim = Claim {
        id: id.into(),
        signature: "".into(),
        token: None,
        date: date.into(),
        is_link: false,
        signs_query: request.uri.path().starts_with(PROXY),
    };
    let text = request.text(&claim, &decoded(request.uri.path()));
    let mac = keyed(secret, text.as_bytes()).map(|mac| mac.finalize().into_bytes());
    format!("FC {id}:{}", STANDARD.encode(mac.unwrap_or_default()))
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
