//! Resource names of the dialect: `acs:fc:{region}:{account}:services/{service}[.{qualifier}][/functions/{function}]`, whole or only the
//! part behind the last colon; and those of layers.

use hearth_platform::crc64;

use crate::config::Settings;

/// The name of a service.
pub(super) fn service(settings: &Settings, name: &str) -> String {
    format!("acs:fc:{}:{}:services/{name}", settings.region, settings.account)
}

/// The name of a function at a qualifier.
pub(super) fn function(
    region: &str,
    account: &str,
    (service, qualifier, function): (&str, &str, &str),
) -> String {
    format!("acs:fc:{region}:{account}:services/{service}.{qualifier}/functions/{function}")
}

/// What stands behind the region and the account, if they are there.
fn resource(arn: &str) -> Option<&str> {
    if !arn.starts_with("acs:") {
        return Some(arn);
    }
    let mut parts = arn.splitn(5, ':');
    let is_ours = parts.next() == Some("acs") && parts.next() == Some("fc");
    parts.nth(2).filter(|_| is_ours)
}

/// The service, the qualifier and the function that a resource name is of, if it is of a function.
pub(super) fn parse_function(arn: &str) -> Option<(&str, Option<&str>, &str)> {
    let (service, function) =
        resource(arn)?.strip_prefix("services/")?.split_once("/functions/")?;
    let (service, qualifier) = match service.split_once('.') {
        Some((service, qualifier)) => (service, Some(qualifier)),
        None => (service, None),
    };
    let named = |text: &str| !text.is_empty() && !text.contains(['/', ':', '.']);
    let fits = named(service) && named(function) && qualifier.is_none_or(named);
    fits.then_some((service, qualifier, function))
}

/// The service that a resource name is of, if it is of a service and of nothing within.
pub(super) fn parse_service(arn: &str) -> Option<&str> {
    let resource = resource(arn)?;
    let name = resource.strip_prefix("services/")?;
    (!name.is_empty() && !name.contains(['/', ':', '.'])).then_some(name)
}

/// The two names of a version of a layer: the one in use now, and the older form.
pub(super) fn layer(settings: &Settings, name: &str, version: u64) -> (String, String) {
    let (region, account) = (&settings.region, &settings.account);
    let newer = format!("acs:fc:{region}:{account}:layers/{name}/versions/{version}");
    (newer, format!("{:016x}#{name}#{version}", crc64(account.as_bytes())))
}

/// The layer and the version that a resource name of either form is of. Regions and accounts are not compared: there is one of each.
pub(super) fn parse_layer(arn: &str) -> Option<(&str, u64)> {
    let (name, version) = if let Some(rest) = arn.strip_prefix("acs:fc:") {
        let resource = rest.splitn(3, ':').nth(2)?.strip_prefix("layers/")?;
        resource.split_once("/versions/")?
    } else {
        let (hash, rest) = arn.split_once('#')?;
        rest.split_once('#').filter(|_| !hash.is_empty())?
    };
    let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    let version = version.parse().ok().filter(|_| is_number)?;
    (!name.is_empty() && !name.contains(['/', '#', ':'])).then_some((name, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_with_their_qualifiers() {
        let found = |arn| parse_function(arn);
        assert_eq!(found("acs:fc:r:1:services/s/functions/f"), Some(("s", None, "f")));
        assert_eq!(found("services/s.1/functions/f"), Some(("s", Some("1"), "f")));
        for arn in [
            "services/s",
            "services/s/functions/",
            "services/s./functions/f",
            "services/s/functions/f/triggers/t",
            "acs:mns:r:1:services/s/functions/f",
        ] {
            assert_eq!(found(arn), None, "{arn}");
        }
    }

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

    #[test]
    fn layers_are_found_in_both_forms() {
        let (newer, older) = layer(&Settings::default(), "a", 7);
        assert_eq!((parse_layer(&newer), parse_layer(&older)), (Some(("a", 7)), Some(("a", 7))));
        for arn in [
            "",
            "no-arn",
            "#a#1",
            "h#a",
            "h##1",
            "h#a#",
            "h#a#x",
            "h#a#+1",
            "h#a#99999999999999999999",
            "acs:fc:r:1:layers/a",
            "acs:fc:r:1:layers/a/versions/",
            "acs:fc:r:1:layers/a/b/versions/1",
            "acs:fc:r:layers/a/versions/1",
            "acs:oss:r:1:layers/a/versions/1",
        ] {
            assert_eq!(parse_layer(arn), None, "{arn}");
        }
    }
}
