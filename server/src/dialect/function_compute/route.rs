//! From method and path to an operation: the route table of the dialect, on one page.
//!
//! Pure functions over text. A service may carry a qualifier behind its first dot; names themselves have no dots.

use std::borrow::Cow;

use hearth_platform::Target;
use http::Method;
use percent_encoding::percent_decode_str;

use super::catalog_route::{self, CatalogOperation};

/// Where the dialect lives.
pub const PREFIX: &str = "/2016-08-15";

/// Most elements of a path; the longest route has six.
const ELEMENTS_MAX: usize = 10;

/// A service, and which of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceRef<'a> {
    pub(super) name: Cow<'a, str>,
    /// None for the newest.
    pub(super) qualifier: Option<Cow<'a, str>>,
}

impl ServiceRef<'_> {
    /// A function of it.
    pub(super) fn target<'b>(&'b self, function: &'b str) -> Target<'b> {
        Target { service: &self.name, qualifier: self.qualifier.as_deref(), function }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operation<'a> {
    CreateService,
    ListServices,
    GetService(ServiceRef<'a>),
    UpdateService(ServiceRef<'a>),
    DeleteService(ServiceRef<'a>),
    CreateFunction(ServiceRef<'a>),
    ListFunctions(ServiceRef<'a>),
    GetFunction(ServiceRef<'a>, Cow<'a, str>),
    UpdateFunction(ServiceRef<'a>, Cow<'a, str>),
    DeleteFunction(ServiceRef<'a>, Cow<'a, str>),
    GetCode(ServiceRef<'a>, Cow<'a, str>),
    Invoke(ServiceRef<'a>, Cow<'a, str>),
    Catalog(CatalogOperation<'a>),
}

/// The operation of a request, or none if there is no such.
pub(super) fn route<'a>(method: &Method, path: &'a str) -> Option<Operation<'a>> {
    let rest = path.strip_prefix(PREFIX)?.strip_prefix('/')?;
    let mut elements = [""; ELEMENTS_MAX];
    let mut count = 0;
    for element in rest.split('/') {
        *elements.get_mut(count)? = element;
        count += 1;
    }
    Some(match (method.as_str(), elements.get(..count)?) {
        ("POST", ["services", s, "functions", f, "invocations"]) => {
            Operation::Invoke(service(s)?, decode(f)?)
        }
        ("POST", ["services"]) => Operation::CreateService,
        ("GET", ["services"]) => Operation::ListServices,
        ("GET", ["services", s]) => Operation::GetService(service(s)?),
        ("PUT", ["services", s]) => Operation::UpdateService(service(s)?),
        ("DELETE", ["services", s]) => Operation::DeleteService(service(s)?),
        ("POST", ["services", s, "functions"]) => Operation::CreateFunction(service(s)?),
        ("GET", ["services", s, "functions"]) => Operation::ListFunctions(service(s)?),
        ("GET", ["services", s, "functions", f]) => Operation::GetFunction(service(s)?, decode(f)?),
        ("PUT", ["services", s, "functions", f]) => {
            Operation::UpdateFunction(service(s)?, decode(f)?)
        }
        ("DELETE", ["services", s, "functions", f]) => {
            Operation::DeleteFunction(service(s)?, decode(f)?)
        }
        ("GET", ["services", s, "functions", f, "code"]) => {
            Operation::GetCode(service(s)?, decode(f)?)
        }
        (_, elements) => return catalog_route::route(method, elements).map(Operation::Catalog),
    })
}

/// An element of a path without its escapes; none if it is empty or no UTF-8. Escaped slashes stay part of the element.
pub(crate) fn decode(element: &str) -> Option<Cow<'_, str>> {
    if element.is_empty() {
        return None;
    }
    if !element.as_bytes().contains(&b'%') {
        return Some(Cow::Borrowed(element));
    }
    percent_decode_str(element).decode_utf8().ok()
}

/// A service as it stands in a path.
pub(super) fn service(element: &str) -> Option<ServiceRef<'_>> {
    Some(match decode(element)? {
        Cow::Borrowed(text) => match text.split_once('.') {
            None => ServiceRef { name: text.into(), qualifier: None },
            Some((name, qualifier)) => ServiceRef {
                name: name.into(),
                qualifier: (!qualifier.is_empty()).then(|| qualifier.into()),
            },
        },
        Cow::Owned(text) => match text.split_once('.') {
            None => ServiceRef { name: text.into(), qualifier: None },
            Some((name, qualifier)) => ServiceRef {
                name: name.to_owned().into(),
                qualifier: (!qualifier.is_empty()).then(|| qualifier.to_owned().into()),
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(path: &str) -> Option<Operation<'_>> {
        route(&Method::GET, path)
    }

    fn plain<'a>(name: &'a str, qualifier: Option<&'a str>) -> ServiceRef<'a> {
        ServiceRef { name: name.into(), qualifier: qualifier.map(Cow::from) }
    }

    #[test]
    fn paths_lead_to_operations() {
        assert_eq!(get("/2016-08-15/services"), Some(Operation::ListServices));
        assert_eq!(
            get("/2016-08-15/services/a.b.c"),
            Some(Operation::GetService(plain("a", Some("b.c"))))
        );
        assert_eq!(get("/2016-08-15/services/a."), Some(Operation::GetService(plain("a", None))));
        assert_eq!(
            get("/2016-08-15/services/%61%2e1"),
            Some(Operation::GetService(plain("a", Some("1"))))
        );
        assert_eq!(
            route(&Method::POST, "/2016-08-15/services/a.LATEST/functions/f%2Fg/invocations"),
            Some(Operation::Invoke(plain("a", Some("LATEST")), "f/g".into()))
        );
        for path in [
            "",
            "/",
            "/2016-08-15",
            "/2016-08-15services",
            "/2016-08-15/services/",
            "/2016-08-15/services/%ff",
            "/2016-08-15/services/a/functions/f/code/x",
            "/2016-08-15//services",
            "/2016-08-15/a/b/c/d/e/f/g/h/i/j/k",
        ] {
            assert_eq!(get(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "(/2016-08-15)?(/(services|functions|[%.a-z0-9/]{0,8})){0,7}") {
            let _ = route(&Method::GET, &path);
            let _ = route(&Method::POST, &path);
        }

        #[test]
        fn a_service_splits_at_its_first_dot(name in "[A-Za-z_][A-Za-z0-9_-]{0,20}", rest in "[A-Za-z0-9.]{1,9}") {
            let path = format!("{PREFIX}/services/{name}.{rest}");
            prop_assert_eq!(get(&path), Some(Operation::GetService(plain(&name, Some(&rest)))));
        }
    }
}
