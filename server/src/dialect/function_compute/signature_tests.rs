//! The official clients' own vectors, and requests that only look signed.

use super::*;

const ID: &str = "LTAItestAccessKeyId01";
const SECRET: &str = "testAccessKeySecret0123456789ab";
const DATE_TEXT: &str = "Mon, 02 Jan 2023 15:04:05 GMT";

struct Case {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

fn case(method: Method, uri: &str, headers: &[(&'static str, &str)]) -> Case {
    let mut map = HeaderMap::new();
    map.insert(DATE, DATE_TEXT.parse().unwrap());
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    Case { method, uri: uri.parse().unwrap(), headers: map }
}

impl Case {
    fn signed(&self) -> Signed<'_> {
        Signed { method: &self.method, uri: &self.uri, headers: &self.headers }
    }

    /// Whether the signature is right for this secret, at the time it says.
    fn fits(&mut self, signature: &str, secret: &str) -> bool {
        let authorization = format!("FC {ID}:{signature}");
        self.headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        let signed = self.signed();
        let claim = signed.claim(httpdate::parse_http_date(DATE_TEXT).unwrap()).unwrap();
        assert_eq!(claim.id, ID);
        signed.is_made_with(&claim, secret)
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");
const ACCOUNT: (&str, &str) = ("x-fc-account-id", "123456");
const INVOKE: &str = "/2016-08-15/services/svc.LATEST/functions/hello/invocations";

fn vectors() -> Vec<(&'static str, Case)> {
    let hello = "/2016-08-15/proxy/svc/hello/";
    vec![
        (
            "jLS88ULYUUGRn5laVJi0TotFeB7NfbjZCn7fuwgfKCM=",
            case(
                Method::POST,
                INVOKE,
                &[
                    JSON,
                    ("x-fc-invocation-type", "Sync"),
                    ("x-fc-log-type", "Tail"),
                    ("x-fc-security-token", "sts-token-1"),
                ],
            ),
        ),
        (
            "qS+eGH4F7LDkwEUXRJeq2XqHdDIL6iJCiFDc9/tNKXY=",
            case(
                Method::PUT,
                "/2016-08-15/services/svc",
                &[JSON, ("content-md5", "99914b932bd37a50b983c5e7c90ae93b")],
            ),
        ),
        (
            "eGOHyWlEBPdN3lCjVVJoDSDz33HvpLR/rKj3lbZJoRo=",
            case(
                Method::POST,
                "/2016-08-15/proxy/svc/hello/action%20with%20space?empty&k=1&k=2&key%20with%20space=value+with+space",
                &[JSON],
            ),
        ),
        ("Vgem8r5qCAPvE7YaOd1y24jt7BOiywrzR8jBMCdFUX8=", case(Method::GET, hello, &[JSON])),
        (
            "+xFSxR55EU6ib95xUGG9uI71Gxap+n4gQUxuHM/FUnU=",
            case(
                Method::POST,
                INVOKE,
                &[
                    ("content-type", "application/octet-stream"),
                    ("content-md5", "N2Q3OTMwMzdhMDc2MDE4NjU3NGIwMjgyZjJmNDM1ZTc="),
                    ACCOUNT,
                    ("x-fc-log-type", "Tail"),
                ],
            ),
        ),
        (
            "YVMDqCpqWMoVaaay4zOsZDPc849Qaj4GCuDIbiQE9Tg=",
            case(Method::GET, "/2016-08-15/services", &[ACCOUNT]),
        ),
        ("3bWv/RTDNysVfana5Ow96YE9hzIF/acVRol1jKrJvy4=", case(Method::GET, hello, &[ACCOUNT])),
    ]
}

#[test]
fn the_clients_vectors_fit() {
    for (signature, mut case) in vectors() {
        assert!(case.fits(signature, SECRET), "{}", case.uri);
        assert!(!case.fits(signature, "another secret"), "{}", case.uri);
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        assert!(!case.fits(&format!("{first}{}", &signature[1..]), SECRET), "{}", case.uri);
    }
}

#[test]
fn what_is_signed_cannot_be_changed() {
    for (signature, mut case) in vectors() {
        case.headers.insert("x-fc-more", "x".parse().unwrap());
        assert!(!case.fits(signature, SECRET));
        case.headers.remove("x-fc-more");
        case.method = Method::DELETE;
        assert!(!case.fits(signature, SECRET));
    }
}

#[test]
fn a_link_is_for_its_time() {
    // The Go client's vector: the same items, with the time of the end in the date's place.
    let query = "x=xyz&x=456&a=123%2045&x-fc-expires=1583221068&x-fc-access-key-id=akID&x-fc-security-token=stsToken";
    let signature = "QFdNhz0Dl%2BonUM%2FMvpX940WFH3H8OHayZHbby1c01aI%3D";
    let uri = format!(
        "/2016-08-15/proxy/service.LATEST/func/abc%20123?{query}&x-fc-signature={signature}"
    );
    let headers = [
        ("content-type", "text/json"),
        ("content-md5", "ef5b43a0fe1d5b401b62c3ba33a7a3d6"),
        ("x-fc-trace-id", "trace-id"),
    ];
    let case = case(Method::GET, &uri, &headers);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_583_221_068);
    let claim = case.signed().claim(end).unwrap();
    assert_eq!((&*claim.id, claim.token.as_deref()), ("akID", Some("stsToken")));
    let secret = "S9MWOBG0AOWHSO9HPASP216QOPHT5YR4NLH3A";
    assert!(case.signed().is_made_with(&claim, secret));
    assert!(!case.signed().is_made_with(&claim, "another"));
    let late = case.signed().claim(end + Duration::from_secs(1));
    assert_eq!(late, Err(SignatureError::Skewed));
}

#[test]
fn at_a_custom_domain_the_query_is_signed_under_any_path() {
    let uri = "/shop?b=2&a=1&x-fc-expires=1672671845&x-fc-access-key-id=akID";
    let text =
        "GET\n\n\n1672671845\n/shop\na=1\nb=2\nx-fc-access-key-id=akID\nx-fc-expires=1672671845";
    let mac = keyed(SECRET, text.as_bytes()).unwrap().finalize().into_bytes();
    let signature =
        STANDARD.encode(mac).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let now = httpdate::parse_http_date(DATE_TEXT).unwrap();
    let fits = |uri: &str| {
        let case = case(Method::GET, &format!("{uri}&x-fc-signature={signature}"), &[]);
        let claim = case.signed().claim_at_domain(now).unwrap();
        // Elsewhere nothing in a query is a signature.
        assert!(case.signed().claim(now).is_err());
        case.signed().is_made_with(&claim, SECRET)
    };
    assert!(fits(uri));
    assert!(!fits(&uri.replace("a=1", "a=2")));
    assert!(!fits(&uri.replace("/shop", "/shopping")));
}

#[test]
fn our_own_signature_is_believed() {
    for path in ["/hearth/v1/functions/a%2Fb/%C3%A4", INVOKE] {
        let mut case = case(Method::PUT, path, &[("x-fc-log-type", "Tail"), JSON]);
        let made = authorization(case.signed(), ID, SECRET);
        let signature = made.rsplit(':').next().unwrap().to_owned();
        assert!(case.fits(&signature, SECRET), "{path}");
    }
}

#[test]
fn a_request_must_say_who_and_when() {
    let now = httpdate::parse_http_date(DATE_TEXT).unwrap();
    let claim = |headers: &[(&'static str, &str)]| {
        let mut case = case(Method::GET, "/2016-08-15/services", headers);
        if headers.iter().any(|(name, value)| *name == "date" && *value == "none") {
            case.headers.remove(DATE);
        }
        case.signed().claim(now).map(|claim| claim.id.into_owned())
    };
    let good = ("authorization", "FC id:c2ln");
    assert_eq!(claim(&[good]).as_deref(), Ok("id"));
    assert_eq!(claim(&[]), Err(SignatureError::MissingHeader { name: "Authorization" }));
    assert_eq!(
        claim(&[good, ("date", "none")]),
        Err(SignatureError::MissingHeader { name: "Date" })
    );
    let long = format!("FC {}:c2ln", "x".repeat(129));
    for malformed in ["", "FC", "FC ", "FC :", "FC id", "FC id:", "FC :c2ln", "fc id:c2ln", &long] {
        let claimed = claim(&[("authorization", malformed)]);
        assert_eq!(claimed, Err(SignatureError::Malformed), "{malformed}");
    }
    for date in ["", "yesterday", "0", "2023-01-02T15:04:05Z"] {
        assert_eq!(claim(&[good, ("date", date)]), Err(SignatureError::BadDate), "{date}");
    }
    for (date, is_near) in [
        ("Mon, 02 Jan 2023 15:19:05 GMT", true),
        ("Mon, 02 Jan 2023 14:49:05 GMT", true),
        ("Mon, 02 Jan 2023 15:19:06 GMT", false),
        ("Mon, 02 Jan 2023 14:49:04 GMT", false),
        ("Thu, 01 Jan 1970 00:00:00 GMT", false),
    ] {
        assert_eq!(claim(&[good, ("date", date)]).is_ok(), is_near, "{date}");
        assert_eq!(claim(&[good, ("x-fc-date", date)]).is_ok(), is_near, "x-fc-date {date}");
    }
}
