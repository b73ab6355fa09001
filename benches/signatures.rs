//! What checking a signature costs a request: from its header to the verdict, right and wrong. At most 10 us.
//!
//! `cargo bench -p hearth-benches --bench signatures`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench tells that it failed by panicking"
)]

use std::time::{Duration, SystemTime};

use criterion::Criterion;
use hearth::dialect::function_compute::signature::{Signed, authorization};
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap};
use http::{Method, Uri};

const SECRET: &str = "0123456789012345678901234567890123456789";

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let uri: Uri =
        "/2016-08-15/services/shop.LATEST/functions/order/invocations".parse().expect("a path");
    let now = SystemTime::now();
    let mut headers = HeaderMap::new();
    headers.insert(DATE, httpdate::fmt_http_date(now).parse().expect("a date"));
    headers.insert(CONTENT_TYPE, "application/octet-stream".parse().expect("a type"));
    for (name, value) in
        [("x-fc-account-id", "123456"), ("x-fc-invocation-type", "Sync"), ("x-fc-log-type", "Tail")]
    {
        headers.insert(name, value.parse().expect("a value"));
    }
    let method = Method::POST;
    let unsigned = Signed { method: &method, uri: &uri, headers: &headers };
    let made = authorization(unsigned, "HK01234567890123456789", SECRET);
    headers.insert(AUTHORIZATION, made.parse().expect("a header"));
    let signed = Signed { method: &method, uri: &uri, headers: &headers };
    for (what, secret, fits) in [("right", SECRET, true), ("wrong", "another", false)] {
        criterion.bench_function(&format!("signature/{what}"), |bencher| {
            bencher.iter(|| {
                let claim = signed.claim(now).expect("in time");
                assert_eq!(signed.is_made_with(&claim, secret), fits);
            });
        });
    }
    criterion.final_summary();
}
