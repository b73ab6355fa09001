//! The operations on a service's bindings to private networks, which have no effect here.

use serde::Deserialize;
use serde_json::json as object;

use super::catalog_route::{Asked, Verb};
use super::errors::WireError;
use super::{json, kept_fields, no_content, wire};
use crate::http::Response;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BindingBody {
    vpc_id: Option<String>,
}

pub(super) async fn serve(
    verb: Verb,
    service: &str,
    network: &str,
    asked: Asked<'_>,
) -> Result<Response, WireError> {
    let platform = &asked.app.platform;
    match verb {
        Verb::Create => {
            let body: BindingBody = wire::parse(asked.body)?;
            let network = body.vpc_id.ok_or_else(|| wire::required("vpcId"))?;
            platform.bind_network(service, &network).await?;
            let response = json(&object!({ "vpcId": network }));
            Ok(kept_fields::tell(response, service, &["vpcId".to_owned()]))
        }
        Verb::Delete => {
            platform.unbind_network(service, network).await?;
            Ok(no_content())
        }
        Verb::List | Verb::Get | Verb::Update => {
            Ok(json(&object!({ "vpcIds": platform.bound_networks(service)? })))
        }
    }
}
