//! Every route of the server as its route tables have it, so that a test that covers all of them fails when one is added.

use std::collections::BTreeSet;

use crate::Server;
use crate::binary::root;

/// A method and a path, in which `{}` stands for a name.
pub type Route = (String, String);

/// The tables: file, function, where its paths begin.
const TABLES: [(&str, &str, &str); 4] = [
    ("function_compute/route.rs", "pub(super) fn route", "/2016-08-15"),
    ("function_compute/catalog_route.rs", "pub(super) fn route", "/2016-08-15"),
    ("function_compute/catalog_route.rs", "fn layer_route", "/2016-08-15"),
    ("hearth/mod.rs", "async fn answer", "/hearth/v1"),
];

/// The paths in all tables.
fn paths() -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (file, function, prefix) in TABLES {
        let file = root().join("server/src/dialect").join(file);
        let text = std::fs::read_to_string(&file).expect("a route table");
        let begin = text.find(function).expect("the function of the table");
        let table = text.get(begin..).and_then(|rest| rest.split("\n}\n").next());
        for pattern in table.unwrap_or_default().split("[\"").skip(1) {
            let pattern = pattern.split(']').next().unwrap_or_default();
            paths.extend(spelled(prefix, &format!("\"{pattern}")));
        }
    }
    assert!(paths.len() > 40, "the tables are read wrongly: {paths:?}");
    paths
}

/// The paths that a pattern of a table stands for: an element is a word, one of several, or a name.
fn spelled(prefix: &str, pattern: &str) -> Vec<String> {
    pattern.split(", ").fold(vec![prefix.to_owned()], |begun, element| {
        let words: Vec<_> = element
            .split(" | ")
            .map(|word| word.strip_prefix('"').and_then(|word| word.strip_suffix('"')))
            .map(|word| word.unwrap_or("{}"))
            .collect();
        let with = |begun: &String| words.iter().map(|word| format!("{begun}/{word}")).collect();
        begun.iter().flat_map::<Vec<_>, _>(with).collect()
    })
}

impl Server {
    /// All routes: the paths of the tables with the methods that this server knows there. Asks with names of nothing and without a body,
    /// so nothing comes of it where there is nothing; callers must not be checked.
    ///
    /// # Panics
    /// When a table is not where it was.
    #[must_use]
    pub fn routes(&self) -> BTreeSet<Route> {
        let mut routes = BTreeSet::new();
        for path in paths() {
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
                let reply = self.send(method, &path.replace("{}", "1"), &[], b"");
                let is_known = !reply.text().contains("PathNotSupported");
                if is_known {
                    routes.insert((method.to_owned(), path.clone()));
                }
            }
        }
        routes
    }
}
