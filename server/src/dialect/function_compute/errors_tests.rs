//! The table of errors: `errors.md` holds what the code answers, row by row, so that a change of it is seen.

use std::fmt::Write;
use std::time::Duration;

use super::*;

fn function() -> String {
    "shop/order".to_owned()
}

fn bucket() -> String {
    "releases".to_owned()
}

fn object() -> String {
    "releases/order.zip".to_owned()
}

/// One example of each error that a caller can be told, by the name of its variant.
fn examples() -> Vec<(&'static str, WireError)> {
    let named = |kind, name: &str| (kind, name.to_owned());
    let missing = |(kind, name)| WireError::from(RequestError::NotFound { kind, name });
    let taken = |(kind, name)| WireError::from(RequestError::AlreadyExists { kind, name });
    vec![
        ("NotFound, service", missing(named(Kind::Service, "shop"))),
        ("NotFound, function", missing(named(Kind::Function, "shop/order"))),
        ("NotFound, version", missing(named(Kind::Version, "shop.7"))),
        ("NotFound, alias", missing(named(Kind::Alias, "shop.prod"))),
        ("NotFound, invocation", missing(named(Kind::Invocation, "i-1"))),
        ("AlreadyExists, service", taken(named(Kind::Service, "shop"))),
        ("AlreadyExists, function", taken(named(Kind::Function, "shop/order"))),
        ("NotFound, trigger", missing(named(Kind::Trigger, "shop/order/nightly"))),
        ("AlreadyExists, trigger", taken(named(Kind::Trigger, "shop/order/nightly"))),
        ("NotFound, HTTP trigger", missing(named(Kind::HttpTrigger, "shop.LATEST/order"))),
        (
            "NotFound, API gateway trigger",
            missing(named(Kind::GatewayTrigger, "shop.LATEST/order")),
        ),
        ("NotFound, domain", missing(named(Kind::Domain, "shop.example"))),
        ("AlreadyExists, domain", taken(named(Kind::Domain, "shop.example"))),
        ("NotFound, layer", missing(named(Kind::Layer, "words"))),
        ("NotFound, layer version", missing(named(Kind::LayerVersion, "words/7"))),
        ("NotFound, binding", missing(named(Kind::Binding, "shop/vpc-1"))),
        ("NotFound, on-demand config", missing(named(Kind::OnDemandConfig, "shop.prod/order"))),
        ("NotFound, async config", missing(named(Kind::AsyncConfig, "shop.prod/order"))),
        ("NotEmpty, service", held(Kind::Service, "shop", "2 functions")),
        ("NotEmpty, function", held(Kind::Function, "shop/order", "1 trigger")),
        ("AlreadyExists, alias", taken(named(Kind::Alias, "shop.prod"))),
        ("Unchanged", RequestError::Unchanged { service: "shop".to_owned(), version: 7 }.into()),
        (
            "Overtaken",
            RequestError::Overtaken { kind: Kind::Function, name: "shop/order".to_owned() }.into(),
        ),
        (
            "Conflict",
            RequestError::Conflict { kind: Kind::Service, name: "shop".to_owned() }.into(),
        ),
        (
            "Invalid",
            RequestError::Invalid {
                field: "memory_mb",
                why: "must be a multiple of 64".to_owned(),
            }
            .into(),
        ),
    ]
}

/// The same of calls that were declined.
fn examples_of_refusals() -> Vec<(&'static str, WireError)> {
    vec![
        (
            "Refusal::QueueFull",
            Refusal::QueueFull { function: function(), limit: 10, waiting: 50 }.into(),
        ),
        ("Refusal::WaitedTooLong", waited()),
        ("Refusal::EngineBusy", Refusal::EngineBusy { limit: 10_000 }.into()),
        (
            "Refusal::InstancesFull",
            Refusal::InstancesFull { limit: 2048, waited: Duration::from_secs(1) }.into(),
        ),
        (
            "Refusal::PayloadTooLarge",
            Refusal::PayloadTooLarge { limit_bytes: 10, size_bytes: 11 }.into(),
        ),
        (
            "Refusal::WebSocketsFull",
            Refusal::WebSocketsFull { function: function(), limit: 10 }.into(),
        ),
        ("Refusal::Draining", Refusal::Draining.into()),
        ("BodyError::TooLarge", BodyError::TooLarge { limit_bytes: 10 }.into()),
        ("Rejection::HeaderTooLarge", Rejection::HeaderTooLarge.into()),
        ("Rejection::Malformed", Rejection::Malformed { why: "the header Host is missing" }.into()),
        ("Rejection::Misdirected", Rejection::Misdirected.into()),
        ("Rejection::Panicked", Rejection::Panicked.into()),
        ("no route", WireError::no_route(&Method::GET, "/nowhere")),
    ]
}

/// The same of code that cannot be loaded.
fn examples_of_loading() -> Vec<(&'static str, WireError)> {
    vec![
        ("LoadError::TooLarge", too_large_code()),
        ("LoadError::NotWasm", not_wasm()),
        (
            "LoadError::CompilerBusy",
            LoadError::CompilerBusy { function: function(), waiting: 32 }.into(),
        ),
        (
            "LoadError::NoSnapshot",
            LoadError::NoSnapshot {
                function: function(),
                why: "it exports no initializer".to_owned(),
            }
            .into(),
        ),
        (
            "LoadError::Initializer",
            LoadError::Initializer {
                function: function(),
                fault: Box::new(hearth_engine::Fault::InitializeTimeout {
                    limit: Duration::from_secs(3),
                }),
                log: "secret".to_owned(),
            }
            .into(),
        ),
        (
            "LoadError::Busy",
            LoadError::Busy { function: function(), refusal: Refusal::EngineBusy { limit: 10 } }
                .into(),
        ),
        (
            "LoadError::Failure",
            LoadError::Failure { function: function(), why: "secret".to_owned() }.into(),
        ),
    ]
}

/// The same of objects that are named as code.
fn examples_of_objects() -> Vec<(&'static str, WireError)> {
    vec![
        ("ObjectError::NoBucket", ObjectError::NoBucket { bucket: bucket() }.into()),
        ("ObjectError::NoObject", ObjectError::NoObject { object: object() }.into()),
        ("ObjectError::NotPlain", ObjectError::NotPlain { object: object() }.into()),
        (
            "ObjectError::NotGranted",
            ObjectError::NotGranted { bucket: bucket(), service: Some("shop".to_owned()) }.into(),
        ),
        (
            "ObjectError::Denied",
            ObjectError::Denied { bucket: bucket(), why: "secret".to_owned() }.into(),
        ),
        (
            "ObjectError::TooLarge",
            ObjectError::TooLarge { object: object(), size_bytes: 11, limit_bytes: 10 }.into(),
        ),
        (
            "ObjectError::TooSlow",
            ObjectError::TooSlow { bucket: bucket(), limit: Duration::from_secs(30) }.into(),
        ),
        ("ObjectError::Busy", ObjectError::Busy { limit: 4 }.into()),
        (
            "ObjectError::Unavailable",
            ObjectError::Unavailable { bucket: bucket(), why: "secret".to_owned() }.into(),
        ),
    ]
}

fn held(kind: Kind, name: &str, holds: &str) -> WireError {
    RequestError::NotEmpty { kind, name: name.to_owned(), holds: holds.to_owned() }.into()
}

fn too_large_code() -> WireError {
    LoadError::TooLarge { function: function(), size_bytes: 11, limit_bytes: 10 }.into()
}

fn not_wasm() -> WireError {
    LoadError::NotWasm { function: function(), found: "a zip archive".to_owned() }.into()
}

fn waited() -> WireError {
    let waited = Duration::from_secs(1);
    Refusal::WaitedTooLong { function: function(), limit: 10, waited }.into()
}

#[test]
fn the_table_is_what_the_code_answers() {
    let mut table = "# Errors of the Function Compute dialect\n\nKept equal to the code by a test; run it with \
        `UPDATE_EXPECTED=1` to write it anew.\n\n| error | status | code | message |\n|---|---|---|---|\n"
        .to_owned();
    for (name, error) in examples()
        .into_iter()
        .chain(examples_of_refusals())
        .chain(examples_of_loading())
        .chain(examples_of_objects())
    {
        let (status, code) = (error.status.as_u16(), error.code);
        writeln!(table, "| {name} | {status} | {code} | {} |", error.message).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dialect/function_compute/errors.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(kept, table, "errors.md is out of date");
}

#[test]
fn failures_of_our_own_tell_nothing_of_the_inside() {
    let told =
        WireError::from(LoadError::Failure { function: function(), why: "secret".to_owned() });
    assert!(!told.message.contains("secret"));
    assert_eq!(told.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn a_read_is_not_told_500_because_a_client_would_repeat_it() {
    let response = WireError::from(Rejection::Panicked).into_response(&Method::GET);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let response = WireError::from(Rejection::Panicked).into_response(&Method::POST);
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
