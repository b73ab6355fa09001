//! What was made for Spin: deployed as it is, in either isolation, routed by Spin's own router, logging where it logs there.

use hearth_tests::{Server, eventually, guest_path};

use crate::http_trigger::ask;

#[test]
fn a_function_on_the_sdk_of_spin_is_served_as_it_is() {
    let server = Server::start();
    for isolation in ["reuse", "fresh"] {
        for guest in ["rust-spin", "rust-spin-p3"] {
            let (path, function) = (guest_path(guest), format!("{guest}-{isolation}"));
            let name = format!("s/{function}");
            let file = path.to_str().unwrap();
            let deploy = ["deploy", file, "--name", &name, "--isolation", isolation, "--http"];
            let made = server.cli(&deploy);
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            for _ in 0..3 {
                let hello = ask(&server, "GET", &format!("{name}/"), &[], b"");
                assert_eq!((hello.status, hello.text()), (200, format!("hello from {guest}\n")));
            }
            eventually("its lines are in the log", || {
                let said = server.cli(&["logs", &name]);
                String::from_utf8_lossy(&said.stdout).matches("GET /").count() == 3
            });
        }
        let named = ask(&server, "GET", &format!("s/rust-spin-{isolation}/greet/ann"), &[], b"");
        assert_eq!((named.status, named.text().as_str()), (200, "hello ann\n"));
    }
}

#[test]
fn what_needs_an_interface_of_spin_itself_is_refused_by_its_name() {
    let server = Server::start();
    let code = r#"(component
        (import "fermyon:spin/variables@2.0.0" (instance
            (export "get" (func (param "name" string) (result string)))))
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func $run (canon lift (core func $i "run")))
        (instance $handler (export "handle" (func $run)))
        (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("needs-spin.wasm");
    std::fs::write(&path, wat::parse_str(code).unwrap()).unwrap();
    let refused = server.cli(&["deploy", path.to_str().unwrap(), "--name", "s/f", "--http"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("fermyon:spin/variables@2.0.0"), "{said}");
}
