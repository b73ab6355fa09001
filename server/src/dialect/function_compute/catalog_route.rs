//! The rest of the route table: what surrounds services and functions. Path to noun here, noun to answer in the noun's own file.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::json as object;

use super::errors::WireError;
use super::route::{ServiceRef, decode, service};
use super::{
    aliases, async_config, bindings, domains, json, layers, scaling, stateful, tags, triggers,
    versions, writable,
};
use crate::dialect::acting::Acting;
use crate::dialect::auth::Caller;
use crate::dialect::query::Query;
use crate::http::Response;

type Name<'a> = Cow<'a, str>;

/// What may be done with most things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    List,
    Get,
    Update,
    Delete,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CatalogOperation<'a> {
    Versions(Verb, ServiceRef<'a>, Name<'a>),
    Aliases(Verb, ServiceRef<'a>, Name<'a>),
    Triggers(Verb, ServiceRef<'a>, Name<'a>, Name<'a>),
    Bindings(Verb, ServiceRef<'a>, Name<'a>),
    Domains(Verb, Name<'a>),
    Layers,
    LayerVersions(Verb, Name<'a>, Name<'a>),
    LayerAcl(Name<'a>),
    LayerArn(Name<'a>),
    Tags(Verb),
    OnDemand(Verb, ServiceRef<'a>, Name<'a>),
    OnDemands,
    Provision(Verb, ServiceRef<'a>, Name<'a>),
    Provisions,
    AsyncConfig(Verb, ServiceRef<'a>, Name<'a>),
    AsyncConfigs(ServiceRef<'a>, Name<'a>),
    Stateful(Verb, ServiceRef<'a>, Name<'a>, Name<'a>),
    StatefulFunctions,
    Instances(ServiceRef<'a>, Name<'a>),
    ReservedCapacities,
    AccountSettings,
}

/// A request whose body was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) app: &'a Acting<'a>,
    pub(super) query: Query<'a>,
    pub(super) body: &'a Bytes,
    /// The revision that the caller expects.
    pub(super) expect: Option<u64>,
    pub(super) headers: &'a HeaderMap,
    /// Who asks.
    pub(super) caller: &'a Caller,
}

/// The operation of a request, or none if there is no such.
pub(super) fn route<'a>(method: &Method, elements: &[&'a str]) -> Option<CatalogOperation<'a>> {
    use CatalogOperation as To;
    let (on_all, on_one) = (|| verb_on_all(method), || verb_on_one(method));
    Some(match elements {
        ["services", s, "versions"] => To::Versions(on_all()?, service(s)?, "".into()),
        ["services", s, "versions", v] if *method == Method::DELETE => {
            To::Versions(Verb::Delete, service(s)?, decode(v)?)
        }
        ["services", s, "aliases"] => To::Aliases(on_all()?, service(s)?, "".into()),
        ["services", s, "aliases", a] => To::Aliases(on_one()?, service(s)?, decode(a)?),
        ["services", s, "functions", f, "triggers"] => {
            To::Triggers(on_all()?, service(s)?, decode(f)?, "".into())
        }
        ["services", s, "functions", f, "triggers", t] => {
            To::Triggers(on_one()?, service(s)?, decode(f)?, decode(t)?)
        }
        ["services", s, "functions", f, "on-demand-config"] => {
            To::OnDemand(on_one()?, service(s)?, decode(f)?)
        }
        ["services", s, "functions", f, "provision-config"] if *method != Method::DELETE => {
            To::Provision(on_one()?, service(s)?, decode(f)?)
        }
        ["services", s, "functions", f, "async-invoke-config"] => {
            To::AsyncConfig(on_one()?, service(s)?, decode(f)?)
        }
        ["services", s, "functions", f, "async-invoke-configs"] if *method == Method::GET => {
            To::AsyncConfigs(service(s)?, decode(f)?)
        }
        ["services", s, "functions", f, "stateful-async-invocations"] if *method == Method::GET => {
            To::Stateful(Verb::List, service(s)?, decode(f)?, "".into())
        }
        ["services", s, "functions", f, "stateful-async-invocations", id]
            if *method != Method::DELETE =>
        {
            To::Stateful(on_one()?, service(s)?, decode(f)?, decode(id)?)
        }
        ["stateful-async-invocation-functions"] if *method == Method::GET => To::StatefulFunctions,
        ["services", s, "functions", f, "instances"] if *method == Method::GET => {
            To::Instances(service(s)?, decode(f)?)
        }
        ["on-demand-configs"] if *method == Method::GET => To::OnDemands,
        ["provision-configs"] if *method == Method::GET => To::Provisions,
        ["reservedCapacities"] if *method == Method::GET => To::ReservedCapacities,
        ["account-settings"] if *method == Method::GET => To::AccountSettings,
        // One official client leaves the plural out.
        ["services", s, "bindings" | "binding"] => To::Bindings(on_all()?, service(s)?, "".into()),
        ["services", s, "bindings" | "binding", n] if *method == Method::DELETE => {
            To::Bindings(Verb::Delete, service(s)?, decode(n)?)
        }
        ["custom-domains"] => To::Domains(on_all()?, "".into()),
        ["custom-domains", d] => To::Domains(on_one()?, decode(d)?),
        ["tag"] if *method == Method::DELETE => To::Tags(Verb::Delete),
        ["tag"] => To::Tags(on_all()?),
        elements => return layer_route(method, elements),
    })
}

/// The same for layers.
fn layer_route<'a>(method: &Method, elements: &[&'a str]) -> Option<CatalogOperation<'a>> {
    use CatalogOperation as To;
    Some(match elements {
        ["layers"] if *method == Method::GET => To::Layers,
        ["layers", n, "versions"] => To::LayerVersions(verb_on_all(method)?, decode(n)?, "".into()),
        ["layers", n, "versions", v] if *method != Method::PUT => {
            To::LayerVersions(verb_on_one(method)?, decode(n)?, decode(v)?)
        }
        ["layers", n, "acl"] if *method == Method::PUT => To::LayerAcl(decode(n)?),
        // With its slashes escaped, or not.
        ["layerarn", rest @ ..] if *method == Method::GET => {
            To::LayerArn(decode(&rest.join("/"))?.into_owned().into())
        }
        _ => return None,
    })
}

/// What is done with all of something.
fn verb_on_all(method: &Method) -> Option<Verb> {
    match method.as_str() {
        "POST" => Some(Verb::Create),
        "GET" => Some(Verb::List),
        _ => None,
    }
}

/// What is done with one of something.
fn verb_on_one(method: &Method) -> Option<Verb> {
    match method.as_str() {
        "GET" => Some(Verb::Get),
        "PUT" => Some(Verb::Update),
        "DELETE" => Some(Verb::Delete),
        _ => None,
    }
}

/// Answers it.
pub(super) async fn serve(
    operation: CatalogOperation<'_>,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    use CatalogOperation as To;
    match operation {
        To::Versions(verb, service, id) => {
            versions::serve(verb, writable(&service)?, &id, asked).await
        }
        To::Aliases(verb, service, name) => {
            aliases::serve(verb, writable(&service)?, &name, asked).await
        }
        To::Triggers(verb, service, function, name) => {
            triggers::serve(verb, writable(&service)?, &function, &name, asked).await
        }
        To::Bindings(verb, service, network) => {
            bindings::serve(verb, writable(&service)?, &network, asked).await
        }
        To::Domains(verb, name) => domains::serve(verb, &name, asked).await,
        To::Layers => layers::list(asked),
        To::LayerVersions(verb, name, version) => {
            layers::versions(verb, &name, &version, asked).await
        }
        To::LayerArn(arn) => layers::by_arn(&arn, asked),
        To::LayerAcl(name) => layers::set_acl(&name, asked).await,
        To::Tags(verb) => tags::serve(verb, asked).await,
        To::OnDemand(verb, service, function) => {
            scaling::on_demand(verb, service.target(&function), asked).await
        }
        To::OnDemands => scaling::on_demands(asked),
        To::Provision(verb, service, function) => {
            scaling::provision(verb, service.target(&function), asked).await
        }
        To::Provisions => scaling::provisions(asked),
        To::AsyncConfig(verb, service, function) => {
            async_config::one(verb, service.target(&function), asked).await
        }
        To::AsyncConfigs(service, function) => async_config::list(service.target(&function), asked),
        To::Stateful(verb, service, function, id) => {
            stateful::serve(verb, service.target(&function), &id, asked).await
        }
        To::StatefulFunctions => stateful::functions(asked).await,
        To::Instances(service, function) => scaling::instances(service.target(&function), asked),
        To::ReservedCapacities => Ok(json(&object!({ "reservedCapacities": [] }))),
        To::AccountSettings => {
            let zone = format!("{}-a", asked.app.settings.region);
            Ok(json(&object!({ "availableAZs": [zone], "defaultRole": "" })))
        }
    }
}
