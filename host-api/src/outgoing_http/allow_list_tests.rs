//! The patterns: what they cover, against a matcher written another way, and what they refuse to be.

use super::*;
use proptest::prelude::*;

fn covers(pattern: &str, uri: &str) -> bool {
    let pattern: DestinationPattern = pattern.parse().unwrap();
    Destination::of(&uri.parse().unwrap()).is_ok_and(|destination| pattern.covers(&destination))
}

#[test]
fn a_table_of_patterns() {
    let covered = [
        ("https://example.com", "https://example.com/any?path"),
        ("https://example.com", "https://EXAMPLE.com.:443/"),
        ("https://Example.COM.", "https://example.com/"),
        ("http://example.com:8080", "http://example.com:8080"),
        ("http://example.com:*", "http://example.com:1"),
        ("https://*.example.com", "https://a.example.com"),
        ("https://*.example.com", "https://a.b.example.com"),
        ("https://*", "https://anything.at.all"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://127.0.0.1:80", "http://2130706433/"),
        ("http://[::1]", "http://[0:0:0:0:0:0:0:1]/"),
    ];
    for (pattern, uri) in covered {
        assert!(covers(pattern, uri), "{pattern} should cover {uri}");
    }
    let not_covered = [
        ("https://example.com", "http://example.com"),
        ("https://example.com", "https://example.com:8443"),
        ("https://example.com", "https://a.example.com"),
        ("https://example.com", "https://example.com.evil.net"),
        ("https://example.com", "https://example.com@evil.net"),
        ("https://example.com", "https://evil.net/example.com"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://badexample.com"),
        ("https://*.example.com", "https://a.example.com.evil.net"),
        ("https://*.example.com:8443", "https://a.example.com"),
        ("http://*", "https://anything.at.all"),
        ("http://localhost", "http://127.0.0.1"),
        ("http://127.0.0.1", "http://[::ffff:127.0.0.1]"),
    ];
    for (pattern, uri) in not_covered {
        assert!(!covers(pattern, uri), "{pattern} should not cover {uri}");
    }
}

#[test]
fn what_is_no_pattern_is_refused_by_name() {
    let table = [
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com?x",
        "https://a@example.com",
        "https://example.com:0",
        "https://example.com:99999",
        "https://example.com:+1",
        "https://ex*mple.com",
        "https://a.*.com",
        "https://*.*.com",
        "https://*.",
        "https://**",
        "https://*.127.0.0.1",
        "https://*.[::1]",
        "https://a b.com",
        "https://a..b",
        "https://%61.com",
        "*://example.com",
    ];
    for pattern in table {
        let error = pattern.parse::<DestinationPattern>().unwrap_err();
        assert_eq!(error.pattern, pattern);
        assert!(error.to_string().contains(pattern), "{error}");
    }
}

/// The same rule in few words: compare labels from the right.
fn reference(pattern: (bool, &[&str], u16), target: (bool, &[&str], u16)) -> bool {
    let (mut left, mut right) = (pattern.1.to_vec(), target.1.to_vec());
    let wild = left.first() == Some(&"*");
    if wild {
        left.remove(0);
    }
    while let (Some(a), Some(b)) = (left.last(), right.last()) {
        if a != b {
            return false;
        }
        left.pop();
        right.pop();
    }
    pattern.0 == target.0
        && pattern.2 == target.2
        && left.is_empty()
        && if wild { !right.is_empty() } else { right.is_empty() }
}

fn labels() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "com", "x-a"]), 1..4)
}

proptest! {
    #[test]
    fn agrees_with_the_reference(
        host in labels(), target in labels(), wild: bool,
        schemes: (bool, bool), ports in (1u16..3, 1u16..3),
        upper: bool, dot: bool,
    ) {
        let mut host = host;
        if wild {
            host.insert(0, "*");
        }
        let scheme = |tls| if tls { "https" } else { "http" };
        let pattern = format!("{}://{}:{}", scheme(schemes.0), host.join("."), ports.0);
        let mut written = target.join(".");
        if upper {
            written = written.to_uppercase();
        }
        let uri = format!("{}://{written}{}:{}/p", scheme(schemes.1), if dot { "." } else { "" }, ports.1);
        let expected = reference((schemes.0, &host, ports.0), (schemes.1, &target, ports.1));
        prop_assert_eq!(covers(&pattern, &uri), expected, "{} {}", pattern, uri);
    }

    #[test]
    fn a_pattern_reads_back_as_itself(host in labels(), wild: bool, tls: bool, port in prop::option::of(1u16..)) {
        let port = port.map_or_else(|| ":*".to_owned(), |port| format!(":{port}"));
        let text = format!("http{}://{}{}{port}", if tls { "s" } else { "" }, if wild { "*." } else { "" }, host.join("."));
        let pattern: DestinationPattern = text.parse().unwrap();
        prop_assert_eq!(pattern.to_string().parse::<DestinationPattern>().unwrap(), pattern);
    }

    #[test]
    fn no_text_makes_it_panic(text: String) {
        let _ = text.parse::<DestinationPattern>();
        let _ = format!("http://{text}").parse::<DestinationPattern>();
        if let Ok(uri) = format!("http://{text}").parse() {
            let _ = Destination::of(&uri);
        }
    }
}
