//! Where a custom domain sends a request: its route table, compiled once for each change of the domain.
//!
//! The exact path wins, then the longest beginning. A route may rewrite path and query by rules that are looked at in order: equal,
//! wildcard, regular expression; the first that fits ends it. Expressions run in time linear to the path, and their size is bounded.
//! A route with limits has a gate, which counts anew after a change of the domain.

use std::collections::HashMap;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::Value;

use crate::domain::{Domain, DomainRoute};
use crate::gate::{Gate, GateLimits, Gated};

/// Most rules of one domain.
pub(crate) const RULES_MAX: usize = 100;
/// Longest pattern or replacement, in bytes.
const RULE_BYTES_MAX: usize = 1024;
/// Memory of one compiled pattern, and of what it remembers while it runs.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// The longest path and query that rules make, in bytes.
const REWRITTEN_BYTES_MAX: usize = 8 << 10;

/// A rule as it is written.
#[derive(Debug, Clone, Deserialize)]
struct RuleText {
    #[serde(rename = "match")]
    pattern: String,
    replacement: String,
}

/// The rules of a route as they are written; what else there is has no effect.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RulesText {
    equal_rules: Option<Vec<RuleText>>,
    wildcard_rules: Option<Vec<RuleText>>,
    regex_rules: Option<Vec<RuleText>>,
}

/// The rules of a route.
#[derive(Debug, Default)]
pub(crate) struct Rewrite {
    equal: Vec<(String, String)>,
    /// Wildcards are expressions too.
    patterns: Vec<(Regex, String)>,
}

impl Rewrite {
    /// Reads the rules of a route.
    ///
    /// # Errors
    /// They have another form, are too long, or hold no expression.
    pub(crate) fn read(config: Option<&Value>) -> Result<Self, String> {
        let Some(config) = config.filter(|config| !config.is_null()) else {
            return Ok(Self::default());
        };
        if !config.is_object() {
            return Err("its `rewriteConfig` is not an object".to_owned());
        }
        let text = RulesText::deserialize(config)
            .map_err(|why| format!("its `rewriteConfig` cannot be read: {why}"))?;
        let mut rewrite = Self::default();
        for rule in text.equal_rules.into_iter().flatten() {
            let rule = rule.checked()?;
            rewrite.equal.push((rule.pattern, rule.replacement));
        }
        for rule in text.wildcard_rules.into_iter().flatten() {
            let rule = rule.checked()?;
            rewrite.patterns.push((expression(&of_wildcard(&rule.pattern))?, rule.replacement));
        }
        for rule in text.regex_rules.into_iter().flatten() {
            let rule = rule.checked()?;
            rewrite.patterns.push((expression(&rule.pattern)?, rule.replacement));
        }
        Ok(rewrite)
    }

    /// How many rules there are.
    pub(crate) fn len(&self) -> usize {
        self.equal.len() + self.patterns.len()
    }

    /// What becomes of a path and its query; none if no rule fits.
    fn apply(&self, path: &str, query: Option<&str>) -> Option<String> {
        let with_query = |path: &str| match query {
            // A replacement that brings a query of its own goes before what came.
            Some(query) => {
                let joint = if path.contains('?') { '&' } else { '?' };
                format!("{path}{joint}{query}")
            }
            None => path.to_owned(),
        };
        if let Some((_, to)) = self.equal.iter().find(|(from, _)| from == path) {
            return Some(with_query(to));
        }
        if self.patterns.is_empty() {
            return None;
        }
        let whole = with_query(path);
        self.patterns.iter().find_map(|(pattern, to)| {
            let captures = pattern.captures(&whole)?;
            let mut rewritten = String::new();
            captures.expand(&braced(to), &mut rewritten);
            let end = captures.get(0).map_or(0, |all| all.end());
            // A query that the pattern says nothing of stays.
            Some(if end <= path.len() { with_query(&rewritten) } else { rewritten })
        })
    }
}

impl RuleText {
    fn checked(self) -> Result<Self, String> {
        let Self { pattern, replacement } = &self;
        if pattern.is_empty() || pattern.len() > RULE_BYTES_MAX {
            return Err(format!("the `match` of a rule is not of 1 to {RULE_BYTES_MAX} bytes"));
        }
        let is_plain = replacement.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !replacement.starts_with('/') || replacement.len() > RULE_BYTES_MAX || !is_plain {
            return Err(format!(
                "the `replacement` of a rule is not a path: `/` and at most {RULE_BYTES_MAX} printable characters without `#`"
            ));
        }
        Ok(self)
    }
}

/// `$1a` is the first capture and an `a`, not a capture of the name `1a`.
fn braced(replacement: &str) -> String {
    let mut out = String::with_capacity(replacement.len() + 8);
    let mut rest = replacement;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = after.split_at(digits);
        match number {
            // Anything but a number is text here.
            "" => out.push_str("$$"),
            number => out.extend(["${", number, "}"]),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// A wildcard pattern as an expression: `*` is any text, a leading `^` the beginning, everything else itself.
fn of_wildcard(pattern: &str) -> String {
    let (anchor, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => ("^", rest),
        None => ("", pattern),
    };
    let pieces: Vec<String> = pattern.split('*').map(regex::escape).collect();
    format!("{anchor}{}", pieces.join("(.*)"))
}

fn expression(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .nest_limit(32)
        .build()
        .map_err(|why| {
            let why: String = why.to_string().chars().take(300).collect();
            format!("a `match` is no expression that can be used: {why}")
        })
}

/// A domain's route table, compiled.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    /// By path, the index of the route.
    exact: HashMap<String, usize>,
    /// Beginnings, the longest first.
    prefixes: Vec<(String, usize)>,
    /// Of each route.
    rewrites: Vec<Rewrite>,
    /// Of each route, where it has limits.
    gates: Vec<Option<Gate>>,
}

impl RouteTable {
    /// Compiles routes that were checked. Rules that an earlier program took and that cannot be used are left out; limits were never
    /// taken unread.
    pub(crate) fn new(domain: &Domain) -> Self {
        let mut table = Self::default();
        for (index, route) in domain.settings.routes.iter().enumerate() {
            match route.path.strip_suffix('*') {
                Some(prefix) => table.prefixes.push((prefix.to_owned(), index)),
                None => drop(table.exact.insert(route.path.clone(), index)),
            }
            let rewrite = Rewrite::read(route.rewrite.as_ref()).unwrap_or_else(|why| {
                tracing::warn!(domain = domain.name, route = route.path, why, "rules are left out");
                Rewrite::default()
            });
            table.rewrites.push(rewrite);
            let limits = GateLimits::read(route.limits.as_ref(), &[]).unwrap_or_default();
            let is_limited = limits.rate.is_some() || limits.in_flight.is_some();
            table.gates.push(is_limited.then(|| Gate::new(Gated::Route, limits)));
        }
        table.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        table
    }

    /// The index of the route for a path.
    fn find(&self, path: &str) -> Option<usize> {
        let exact = self.exact.get(path).copied();
        exact.or_else(|| {
            let mut prefixes = self.prefixes.iter();
            prefixes.find(|(prefix, _)| path.starts_with(&**prefix)).map(|(_, index)| *index)
        })
    }
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub struct Routed<'a> {
    /// The route.
    pub route: &'a DomainRoute,
    /// How often and how many at once, if it has limits.
    pub gate: Option<&'a Gate>,
    /// Path and query as its rules make them; none leaves them as they came.
    pub rewritten: Option<String>,
}

/// Why a request goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    /// No route has such a path.
    Path,
    /// The route does not take the method.
    Method,
    /// What its rules make of the path is too long.
    TooLong,
}

impl Domain {
    /// Where a request goes: the route of its very path, else that of the longest beginning.
    ///
    /// # Errors
    /// [`NoRoute`] says why it goes nowhere.
    pub fn route(
        &self,
        method: &str,
        path: &str,
        query: Option<&str>,
    ) -> Result<Routed<'_>, NoRoute> {
        let table = self.table.get(|| RouteTable::new(self));
        let index = table.find(path).ok_or(NoRoute::Path)?;
        let route = self.settings.routes.get(index).ok_or(NoRoute::Path)?;
        if !route.methods.is_empty() && !route.methods.iter().any(|listed| listed == method) {
            return Err(NoRoute::Method);
        }
        let rewritten = table.rewrites.get(index).and_then(|rules| rules.apply(path, query));
        if rewritten.as_ref().is_some_and(|text| text.len() > REWRITTEN_BYTES_MAX) {
            return Err(NoRoute::TooLong);
        }
        let gate = table.gates.get(index).and_then(Option::as_ref);
        Ok(Routed { route, gate, rewritten })
    }
}

#[cfg(test)]
#[path = "domain_route_tests.rs"]
mod tests;
