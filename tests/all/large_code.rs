//! A server whose own code was moved to large pages serves as any other.

use hearth_tests::{Server, Start};

const PAGES: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

/// Whether the system gives large pages to those who ask.
fn are_there_large_pages() -> bool {
    std::fs::read_to_string(PAGES).is_ok_and(|modes| !modes.contains("[never]"))
}

/// How much of what the server executes lies on large pages, in KiB.
fn large_code_kib(server: &Server) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{}/smaps", server.pid())).unwrap();
    let mut is_code = false;
    let mut kib = 0;
    for line in maps.lines() {
        if let Some(size) = line.strip_prefix("AnonHugePages:") {
            kib += if is_code { size.trim().trim_end_matches(" kB").parse().unwrap() } else { 0 };
        } else if line.split(' ').nth(1).is_some_and(|access| access.ends_with('p')) {
            is_code = line.contains(" r-xp ");
        }
    }
    kib
}

#[test]
fn a_server_on_large_pages_serves_as_any_other() {
    let server = Start::default().with("--large-code-pages", "true").start();
    assert_eq!(large_code_kib(&server) > 0, are_there_large_pages());
    for function in ["wat-echo", "rust-event", "rust-command"] {
        server.deploy(function);
    }
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
    assert_eq!(server.invoke("rust-event", r#"{"name": "you"}"#).status, 200);
    assert_eq!(server.invoke("rust-command", "x").status, 200);
    // What unwinds reads the tables of what was moved.
    server.deploy("bad/trap");
    let trapped = server.invoke("trap", "x");
    assert!(trapped.text().contains("unreachable"), "{}", trapped.text());
    assert_eq!(server.invoke("wat-echo", "alive").text(), "alive");
}

#[test]
fn code_stays_where_it_is_unless_it_was_asked_for() {
    assert_eq!(large_code_kib(&Server::start()), 0);
}
