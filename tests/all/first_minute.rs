//! The README's first screen, typed as it stands there: its commands are read out of it and run.

use hearth_tests::{Server, readme};

/// The arguments of the README's commands that begin with this one, as a shell would split them.
fn typed(command: &str) -> Vec<String> {
    let readme = readme();
    let beginning = format!("cargo run --release -p hearth -- {command}");
    let line = readme
        .lines()
        .find(|line| line.starts_with(&beginning))
        .unwrap_or_else(|| panic!("the README does not type `{beginning}`"));
    let arguments = line.split_once(" -- ").unwrap().1;
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for character in arguments.chars() {
        match character {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

#[test]
fn what_the_readme_types_is_answered_as_it_says() {
    assert_eq!(typed("serve"), ["serve"], "no more than that");
    let server = Server::start();
    let words = typed("deploy");
    let deployed = server.cli_in_repository(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    let words = typed("invoke");
    let invoked = server.cli_in_repository(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(invoked.status.success(), "{}", String::from_utf8_lossy(&invoked.stderr));
    let answer = String::from_utf8_lossy(&invoked.stdout).into_owned();
    assert!(
        readme().contains(&format!("    {}\n", answer.trim())),
        "the README says another: {answer}"
    );
    let tail = String::from_utf8_lossy(&invoked.stderr).into_owned();
    let shown: Vec<&str> = tail.lines().collect();
    let [start, log, print, end, "", figures] = shown.as_slice() else { panic!("{tail}") };
    assert!(start.starts_with("FC Invoke Start RequestId: "));
    assert_eq!(*log, "INFO greeting you from hello");
    assert!(print.ends_with(" is attempt 1"));
    assert!(end.starts_with("FC Invoke End RequestId: "));
    assert!(figures.starts_with("Duration: ") && figures.contains("Memory Size: 128 MB"));
    assert!(readme().contains(&format!("    {log}\n")), "the README shows another log");
}

#[test]
fn the_greeting_says_where_everything_is_and_what_to_type() {
    let server = Server::start();
    let greeting = server.log();
    for part in [
        format!("functions   http://{}", server.address()),
        "/readyz, /metrics".to_owned(),
        server.data_dir().display().to_string(),
        "next: hearth deploy FILE.wasm --name demo/hello".to_owned(),
    ] {
        assert!(greeting.contains(&part), "{part} is missing: {greeting}");
    }
}

#[test]
fn an_address_for_http_is_one_flag() {
    let server = Server::start();
    let words =
        ["deploy", "guest-examples/rust-http/rust-http.wasm", "--name", "demo/web", "--http"];
    assert!(
        readme().contains(&format!("    hearth {}\n", words.join(" "))),
        "the README types another"
    );
    for _ in 0..2 {
        let deployed = server.cli_in_repository(&words);
        assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
        let told: serde_json::Value = serde_json::from_slice(&deployed.stdout).unwrap();
        let path = "/2016-08-15/proxy/demo/web/";
        assert_eq!(told["url"], format!("http://{}{path}", server.address()));
        let hello = server.send("GET", path, &[], b"");
        assert_eq!((hello.status, hello.text()), (200, "hello from rust-http\n".to_owned()));
    }
    let removed = server.cli(&["rm", "demo/web"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    server.send("GET", "/2016-08-15/proxy/demo/web/", &[], b"").is_error(404, "ServiceNotFound");
    let odd = server.cli_in_repository(&[&words[..4], &["--http=everybody"]].concat());
    assert_eq!(odd.status.code(), Some(2));
}
