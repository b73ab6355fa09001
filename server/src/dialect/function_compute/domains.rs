//! The operations on custom domains. A certificate's private key is neither kept nor shown: nothing here could use it.

use hearth_platform::{
    Domain, DomainChange, DomainProtocol, DomainRoute, DomainSettings, FunctionName, ServiceName,
};
use serde::Deserialize;
use serde_json::{Map, Value, json as object};

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::kept_fields::OF_DOMAIN;
use super::wire::Object;
use super::{json, list_request, no_content, tagged, wire};
use crate::http::Response;

/// The protocols as this dialect calls them.
const PROTOCOLS: [(&str, DomainProtocol); 4] = [
    ("HTTP", DomainProtocol::Http),
    ("HTTPS", DomainProtocol::Https),
    ("HTTP,HTTPS", DomainProtocol::Both),
    ("HTTPS,HTTP", DomainProtocol::Both),
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DomainBody {
    domain_name: Option<String>,
    protocol: Option<String>,
    route_config: Option<Object<RouteConfig>>,
    cert_config: Option<Object<CertConfig>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RouteConfig {
    routes: Option<Vec<Object<RouteBody>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RouteBody {
    path: String,
    service_name: String,
    function_name: String,
    qualifier: Option<String>,
    methods: Option<Vec<String>>,
    rewrite_config: Option<Map<String, Value>>,
}

/// What of a certificate is public.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CertConfig {
    cert_name: Option<String>,
    certificate: Option<String>,
}

impl DomainBody {
    fn protocol(&self) -> Result<Option<DomainProtocol>, WireError> {
        let Some(text) = self.protocol.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let known = PROTOCOLS.iter().find(|(name, _)| *name == text);
        known.map(|(_, protocol)| Some(*protocol)).ok_or_else(|| {
            WireError::invalid(
                "protocol is set to an invalid value (allowed: HTTP | HTTPS | HTTP,HTTPS)",
            )
        })
    }

    fn routes(&mut self) -> Result<Option<Vec<DomainRoute>>, WireError> {
        let Some(Object(config)) = self.route_config.take() else { return Ok(None) };
        let route = |Object(route): Object<RouteBody>| {
            Ok(DomainRoute {
                path: route.path,
                service: ServiceName::parse(&route.service_name)?,
                function: FunctionName::parse(&route.function_name)?,
                qualifier: route.qualifier.filter(|text| !text.is_empty()),
                methods: route.methods.unwrap_or_default(),
                rewrite: route.rewrite_config.map(Value::Object),
            })
        };
        let routes = config.routes.unwrap_or_default().into_iter().map(route);
        routes.collect::<Result<_, WireError>>().map(Some)
    }

    fn take_extra(&mut self) -> Result<Map<String, Value>, WireError> {
        let mut extra = OF_DOMAIN.of(std::mem::take(&mut self.rest))?;
        if let Some(Object(cert)) = self.cert_config.take() {
            let public = object!({"certName": cert.cert_name, "certificate": cert.certificate});
            extra.insert("certConfig".to_owned(), public);
        }
        Ok(extra)
    }
}

pub(super) async fn serve(verb: Verb, name: &str, asked: Asked<'_>) -> Result<Response, WireError> {
    let (platform, account) = (&asked.app.platform, &asked.app.settings.account);
    let shown = match verb {
        Verb::Create => {
            let mut body: DomainBody = wire::parse(asked.body)?;
            let settings = DomainSettings {
                protocol: body.protocol()?.unwrap_or_default(),
                routes: body.routes()?.unwrap_or_default(),
                extra: body.take_extra()?,
            };
            let name = body.domain_name.as_deref().unwrap_or_default();
            platform.create_domain(name, settings).await?
        }
        Verb::List => {
            let page = platform.list_domains(&list_request(asked.query)?)?;
            return Ok(json(&wire::page("customDomains", &page, |one| domain(one, account))));
        }
        Verb::Get => platform.get_domain(name)?,
        Verb::Update => {
            let mut body: DomainBody = wire::parse(asked.body)?;
            let change = DomainChange {
                protocol: body.protocol()?,
                routes: body.routes()?,
                extra: body.take_extra()?,
                expect: asked.expect,
            };
            platform.update_domain(name, change).await?
        }
        Verb::Delete => {
            platform.delete_domain(name, asked.expect).await?;
            return Ok(no_content());
        }
    };
    Ok(tagged(&domain(&shown, account), shown.revision))
}

fn route(route: &DomainRoute) -> Value {
    object!({
        "path": route.path,
        "serviceName": route.service.as_str(),
        "functionName": route.function.as_str(),
        "qualifier": route.qualifier,
        "methods": route.methods,
        "rewriteConfig": route.rewrite,
    })
}

fn domain(domain: &Domain, account: &str) -> Value {
    let settings = &domain.settings;
    let protocol = PROTOCOLS.iter().find(|(_, protocol)| *protocol == settings.protocol);
    let routes: Vec<Value> = settings.routes.iter().map(route).collect();
    let mut cert = object!({"certName": null, "certificate": null, "privateKey": null});
    wire::lay_over(&mut cert, settings.extra.get("certConfig"));
    let mut shown = object!({
        "domainName": domain.name,
        "protocol": protocol.map(|(name, _)| *name),
        "routeConfig": {"routes": routes},
        "accountId": account,
        "apiVersion": "2016-08-15",
        "createdTime": wire::time(domain.created_ms),
        "lastModifiedTime": wire::time(domain.modified_ms),
    });
    wire::extend(&mut shown, &settings.extra);
    wire::extend(&mut shown, &Map::from_iter([("certConfig".to_owned(), cert)]));
    shown
}
