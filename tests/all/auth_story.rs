//! A route called by everybody who may not, then by the least key that may: what `auth_matrix` is written with.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use hearth_tests::{Key, Reply, Route, Server, Start, guarded};
use serde_json::Value;

use self::Needs::{Found, InBody, Named, Unrestricted};

pub(super) const FC: &str = "/2016-08-15";
pub(super) const OURS: &str = "/hearth/v1";
pub(super) const ROLES: [&str; 3] = ["invoke", "deploy", "admin"];

/// What a route needs: a role, and for what.
#[derive(Debug, Clone, Copy)]
pub(super) enum Needs {
    /// For the service in the path or the query.
    Named(&'static str),
    /// For the service in the body.
    InBody(&'static str),
    /// For the service of what is found.
    Found(&'static str),
    /// For all services.
    Unrestricted(&'static str),
}

impl Needs {
    pub(super) fn role(self) -> &'static str {
        match self {
            Named(role) | InBody(role) | Found(role) | Unrestricted(role) => role,
        }
    }
}

pub(super) fn rank(role: &str) -> usize {
    ROLES.iter().position(|other| *other == role).unwrap()
}

/// A signature that is refused: what is wrong with it, its headers, and how.
type Refused = (String, Vec<(&'static str, String)>, u16, &'static str);

pub(super) struct Story {
    pub(super) server: Server,
    pub(super) admin: Key,
    /// By role and prefix of services.
    keys: Vec<(&'static str, &'static str, Key)>,
    revoked: Key,
    expired: Key,
    pub(super) seen: BTreeSet<Route>,
    _home: tempfile::TempDir,
}

impl Story {
    pub(super) fn new() -> Self {
        let (server, admin, home) = guarded(Start::default().with("--queue-retries", "0"));
        let expired = admin.make(&server, &["--life", "1s"]);
        let until = SystemTime::now() + Duration::from_millis(1100);
        let mut keys = Vec::new();
        for role in ROLES {
            for prefix in ["", "bank", "shop-"] {
                let made = admin.make(&server, &["--role", role, "--services", prefix]);
                keys.push((role, prefix, made));
            }
        }
        let revoked = admin.make(&server, &[]);
        assert_eq!(admin.refusal(&server, &["key", "revoke", &revoked.id]), "");
        std::thread::sleep(until.duration_since(SystemTime::now()).unwrap_or_default());
        let seen = BTreeSet::new();
        Self { server, admin, keys, revoked, expired, seen, _home: home }
    }

    pub(super) fn key(&self, role: &str, prefix: &str) -> &Key {
        let wanted = |key: &&(&str, &str, Key)| key.0 == role && key.1 == prefix;
        &self.keys.iter().find(wanted).unwrap().2
    }

    pub(super) fn send(&self, key: &Key, method: &str, path: &str, body: &[u8]) -> Reply {
        let headers = key.sign(method, path, &[], SystemTime::now());
        self.with(&headers, method, path, body)
    }

    pub(super) fn with(
        &self,
        headers: &[(&str, String)],
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Reply {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        self.server.send(method, path, &headers, body)
    }

    /// What there is to see of what happened: the end of the audit trail and what was invoked.
    pub(super) fn state(&self) -> (Value, usize) {
        let get = |path: &str| self.admin.send(&self.server, "GET", path, "").json();
        let last = get("/hearth/v1/audit?limit=1")["records"][0]["number"].clone();
        let invoked = get("/hearth/v1/invocations")["invocations"].as_array().unwrap().len();
        (last, invoked)
    }

    /// Whoever is not believed, whatever the route.
    pub(super) fn not_believed(&self, method: &str, path: &str) -> Vec<Refused> {
        let admin = &self.admin;
        let (now, span) = (SystemTime::now(), Duration::from_secs(16 * 60));
        let signed = |key: &Key| key.sign(method, path, &[], now);
        let with = |id: &str, secret: &str, token: Option<&str>| {
            let (id, secret) = (id.to_owned(), secret.to_owned());
            signed(&Key { id, secret, token: token.map(str::to_owned) })
        };
        let account = admin.sign(method, path, &[("x-fc-account-id", "9999")], now);
        let other = if method == "GET" { "POST" } else { "GET" };
        let (skewed, mismatch) = ("RequestTimeTooSkewed", "SignatureNotMatch");
        let refused = [
            ("no signature", vec![], 400, "MissingRequiredHeader"),
            ("wrong secret", with(&admin.id, "wrong", None), 403, mismatch),
            ("unknown id", with("HKnobody", &admin.secret, None), 403, "InvalidAccessKeyID"),
            (
                "a token of nobody",
                with(&admin.id, &admin.secret, Some("x")),
                403,
                "InvalidSecurityToken",
            ),
            ("old", admin.sign(method, path, &[], now - span), 403, skewed),
            ("of the future", admin.sign(method, path, &[], now + span), 403, skewed),
            (
                "of another path",
                admin.sign(method, "/2016-08-15/services", &[], now),
                403,
                mismatch,
            ),
            ("of another method", admin.sign(other, path, &[], now), 403, mismatch),
            ("another account", account, 403, "CrossAccountAccessDenied"),
            ("revoked", signed(&self.revoked), 403, "InvalidAccessKeyID"),
            ("expired", signed(&self.expired), 403, "InvalidAccessKeyID"),
        ];
        let is_itself = |what: &str| what == "of another path" && path == "/2016-08-15/services";
        let refused = refused.into_iter().filter(|(what, ..)| !is_itself(what));
        refused
            .map(|(what, headers, status, code)| (what.to_owned(), headers, status, code))
            .collect()
    }

    /// Keys that may not, and the paths that they try.
    pub(super) fn not_allowed(&self, needs: Needs, path: &str) -> Vec<(String, &Key, String)> {
        let mut tries = Vec::new();
        for (role, prefix, key) in &self.keys {
            let is_weaker = rank(role) < rank(needs.role());
            let is_elsewhere = match needs {
                Named(_) | InBody(_) | Found(_) => *prefix == "shop-",
                Unrestricted(_) => !prefix.is_empty(),
            };
            if !is_weaker && !is_elsewhere {
                continue;
            }
            let who = format!("{role} of `{prefix}`");
            tries.push((who.clone(), key, path.to_owned()));
            // However the service is spelled, and whichever of its versions is meant.
            for other in ["bank.prod", "bank.1", "bank.LATEST", "%62ank", "bank%2Eprod"] {
                let spelled = path.replace("/services/bank/", &format!("/services/{other}/"));
                if spelled != path {
                    tries.push((who.clone(), key, spelled));
                }
            }
            // Nor does it help to name a service of one's own as well.
            if matches!(needs, Found(_)) {
                tries.push((who, key, format!("{path}?function=shop-a/echo")));
            }
        }
        tries
    }

    /// One route: refused to all who may not have it, then served to the least key that may. In `path` names are in braces.
    pub(super) fn route(&mut self, method: &str, path: &str, needs: Needs, body: &[u8]) -> Reply {
        let (path, query) = path.split_once('?').map_or((path, ""), |(path, query)| (path, query));
        self.note(method, path);
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let path = format!("{}{query}", path.replace(['{', '}'], ""));
        let before = self.state();
        for (what, headers, status, code) in self.not_believed(method, &path) {
            let refused = self.with(&headers, method, &path, body);
            let found = (refused.status, refused.error_code());
            assert_eq!(found, (status, code.to_owned()), "{what}: {method} {path}");
            refused.is_error(status, code);
        }
        for (who, key, path) in self.not_allowed(needs, &path) {
            let refused = self.send(key, method, &path, body);
            let found = (refused.status, refused.text());
            assert!(
                found.0 == 403 && found.1.contains("AccessDenied"),
                "{who}: {method} {path}: {found:?}"
            );
        }
        assert_eq!(self.state(), before, "{method} {path} by those who may not");
        let prefix = if matches!(needs, Unrestricted(_)) { "" } else { "bank" };
        let key = self.key(needs.role(), prefix);
        let served = self.send(key, method, &path, body);
        assert!(served.status < 300, "{method} {path}: {} {}", served.status, served.text());
        if method != "GET" && !path.ends_with("/invocations") {
            let last = self.admin.send(&self.server, "GET", "/hearth/v1/audit?limit=1", "").json();
            let last = &last["records"][0];
            assert_ne!(last["number"], before.0, "{method} {path} is in the audit trail");
            let told = (last["who"].as_str(), last["request_id"].as_str());
            assert_eq!(told, (Some(&*key.id), served.header("x-fc-request-id")), "{method} {path}");
        }
        served
    }

    /// A route of the dialect whose body is JSON.
    pub(super) fn fc(&mut self, method: &str, path: &str, needs: Needs, body: Value) -> Reply {
        let body = text_of(body);
        self.route(method, &format!("{FC}{path}"), needs, body.as_bytes())
    }

    pub(super) fn ours(&mut self, method: &str, path: &str, needs: Needs, body: Value) -> Reply {
        let body = text_of(body);
        self.route(method, &format!("{OURS}{path}"), needs, body.as_bytes())
    }

    /// A link: whoever has it, has what it is a link to, and no other link is one.
    pub(super) fn link(&mut self, path: &str, url: &str) {
        self.note("GET", path);
        let at = url.find("/hearth/v1").unwrap();
        let link = &url[at..];
        let (bare, query) = link.split_once('?').unwrap();
        for refused in [
            bare.to_owned(),
            format!("{bare}?{}", &query[..query.len() - 1]),
            format!("{bare}?{}", query.replace("expires=", "expires=9")),
            format!("{}?{query}", bare.replace("bank", "shop-a").replace("words", "other")),
        ] {
            self.server.send("GET", &refused, &[], b"").is_error(403, "AccessDenied");
        }
        assert_eq!(self.server.send("GET", link, &[], b"").status, 200, "{link}");
    }

    pub(super) fn note(&mut self, method: &str, path: &str) {
        let mut pattern = String::new();
        let mut depth = false;
        for character in path.chars() {
            match character {
                '{' => depth = true,
                '}' => {
                    depth = false;
                    pattern.push_str("{}");
                }
                _ if depth => {}
                other => pattern.push(other),
            }
        }
        self.seen.insert((method.to_owned(), pattern));
    }
}

/// A body of JSON; none is none.
pub(super) fn text_of(body: Value) -> String {
    match body {
        Value::Null => String::new(),
        body => body.to_string(),
    }
}
