//! The operations on custom domains. A certificate's private key is kept sealed and never shown.

use hearth_platform::{
    Domain, DomainCertificate, DomainChange, DomainProtocol, DomainRoute, DomainSettings,
    FunctionName, NewCertificate, Platform, Secret, ServiceName,
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

/// The newest version of TLS, and all that a domain may name as its oldest. What is older than 1.2 is spoken with nobody.
const TLS13: &str = "TLSv1.3";
const TLS_VERSIONS: [&str; 4] = ["TLSv1.0", "TLSv1.1", "TLSv1.2", TLS13];

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
    /// Limits, as triggers have them.
    hearth: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CertConfig {
    cert_name: Option<String>,
    certificate: Option<String>,
    private_key: Option<PrivateKey>,
}

/// A key that nothing prints.
#[derive(Debug)]
struct PrivateKey(Secret);

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(String::deserialize(from)?)))
    }
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
                limits: route.hearth,
            })
        };
        let routes = config.routes.unwrap_or_default().into_iter().map(route);
        routes.collect::<Result<_, WireError>>().map(Some)
    }

    /// The certificate, checked and sealed.
    fn certificate(
        &mut self,
        platform: &Platform,
        name: &str,
    ) -> Result<Option<DomainCertificate>, WireError> {
        let Some(Object(cert)) = self.cert_config.take() else { return Ok(None) };
        let new = NewCertificate {
            name: cert.cert_name.unwrap_or_default(),
            chain: cert.certificate.unwrap_or_default(),
            private_key: cert.private_key.map(|PrivateKey(key)| key),
        };
        Ok(Some(platform.seal_certificate(name, new)?))
    }

    /// Whether TLS 1.2 is too old, if that is said.
    fn tls13_only(&self) -> Result<Option<bool>, WireError> {
        let Some(config) = self.rest.get("tlsConfig").filter(|config| !config.is_null()) else {
            return Ok(None);
        };
        match config.get("minVersion") {
            None | Some(Value::Null) => Ok(Some(false)),
            Some(Value::String(version)) if TLS_VERSIONS.contains(&version.as_str()) => {
                Ok(Some(version == TLS13))
            }
            Some(_) => Err(WireError::invalid(
                "tlsConfig.minVersion is set to an invalid value (allowed: TLSv1.0 | TLSv1.1 | TLSv1.2 | TLSv1.3)",
            )),
        }
    }
}

pub(super) async fn serve(verb: Verb, name: &str, asked: Asked<'_>) -> Result<Response, WireError> {
    let (platform, account) = (&asked.app.platform, &asked.app.settings.account);
    let shown = match verb {
        Verb::Create => {
            let mut body: DomainBody = wire::parse(asked.body)?;
            let name = body.domain_name.take().unwrap_or_default();
            let settings = DomainSettings {
                protocol: body.protocol()?.unwrap_or_default(),
                routes: body.routes()?.unwrap_or_default(),
                certificate: body.certificate(platform, &name)?,
                tls13_only: body.tls13_only()?.unwrap_or_default(),
                extra: OF_DOMAIN.of(body.rest)?,
            };
            platform.create_domain(&name, settings).await?
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
                certificate: body.certificate(platform, name)?,
                tls13_only: body.tls13_only()?,
                extra: OF_DOMAIN.of(body.rest)?,
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
    let mut shown = object!({
        "path": route.path,
        "serviceName": route.service.as_str(),
        "functionName": route.function.as_str(),
        "qualifier": route.qualifier,
        "methods": route.methods,
        "rewriteConfig": route.rewrite,
    });
    // Ours, so only who set it sees it.
    let limits = route.limits.clone().map(|limits| ("hearth".to_owned(), limits));
    wire::extend(&mut shown, &limits.into_iter().collect());
    shown
}

fn domain(domain: &Domain, account: &str) -> Value {
    let settings = &domain.settings;
    let protocol = PROTOCOLS.iter().find(|(_, protocol)| *protocol == settings.protocol);
    let routes: Vec<Value> = settings.routes.iter().map(route).collect();
    let mut cert = object!({"certName": null, "certificate": null, "privateKey": null});
    // An earlier release kept what is public of it among the fields without effect.
    wire::lay_over(&mut cert, settings.extra.get("certConfig"));
    if let Some(kept) = &settings.certificate {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let public = object!({"certName": text(&kept.name), "certificate": text(&kept.chain)});
        wire::lay_over(&mut cert, Some(&public));
    }
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
