//! How many instances a function may have and how many it keeps ready, per qualifier: at most so many on demand, at least so many
//! provisioned. Both speak of `LATEST` or of an alias, never of a version.

mod on_demand;
mod provision;
mod reach;
mod scheduled;
mod tracking;
mod wanted;

pub(crate) use on_demand::Running;
pub use on_demand::{ON_DEMAND_MAX, OnDemandConfig};
pub use provision::{PROVISION_TARGET_MAX, ProvisionChange, ProvisionConfig, ProvisionFilter};
pub(crate) use reach::Provisions;
pub use scheduled::{SCHEDULED_ACTIONS_MAX, ScheduledAction};
pub use tracking::{TRACKING_POLICIES_MAX, TrackingPolicy};

use crate::catalog::Catalog;
use crate::error::RequestError;
use crate::name::{LATEST, Qualifier, Target};

/// What a scaling config is of, as one text: its key in the catalog.
pub(crate) fn key(service: &str, qualifier: &str, function: &str) -> String {
    format!("{service}.{qualifier}/{function}")
}

/// The same of a target.
pub(crate) fn key_of(target: Target<'_>) -> String {
    let qualifier = target.qualifier.filter(|text| !text.is_empty()).unwrap_or(LATEST);
    key(target.service, qualifier, target.function)
}

/// That a target can have a scaling config: it exists, and its qualifier is no version.
fn check(catalog: &Catalog, target: Target<'_>) -> Result<(), RequestError> {
    if let Qualifier::Version(version) = Qualifier::parse(target.qualifier)? {
        let why = format!("{version} is a version; name an alias or LATEST");
        return Err(RequestError::invalid("qualifier", why));
    }
    catalog.service(target.service)?.function_at(target).map(drop)
}
