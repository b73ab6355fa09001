//! Resource names of the dialect: `acs:fc:{region}:{account}:services/{service}[.{qualifier}][/functions/{function}]`, whole or only the
//! part behind the last colon.

use crate::config::Settings;

/// The name of a service.
pub(super) fn service(settings: &Settings, name: &str) -> String {
    format!("acs:fc:{}:{}:services/{name}", settings.region, settings.account)
}

/// The service that a resource name is of, if it is of a service and of nothing within.
pub(super) fn parse_service(arn: &str) -> Option<&str> {
    let resource = if arn.starts_with("acs:") {
        let mut parts = arn.splitn(5, ':');
        let is_ours = parts.next() == Some("acs") && parts.next() == Some("fc");
        parts.nth(2).filter(|_| is_ours)?
    } else {
        arn
    };
    let name = resource.strip_prefix("services/")?;
    (!name.is_empty() && !name.contains(['/', ':', '.'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_found_in_both_forms() {
        assert_eq!(parse_service(&service(&Settings::default(), "a")), Some("a"));
        assert_eq!(parse_service("acs:fc:cn-x:12:services/a-b"), Some("a-b"));
        assert_eq!(parse_service("services/a"), Some("a"));
        for arn in [
            "",
            "a",
            "services/",
            "services/a/functions/f",
            "services/a.1",
            "acs:fc:services/a",
            "acs:oss:r:1:services/a",
            "acs:fc:r:1:x:services/a",
            "/services/a",
        ] {
            assert_eq!(parse_service(arn), None, "{arn}");
        }
    }
}
