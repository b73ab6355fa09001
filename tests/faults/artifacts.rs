//! Artifacts that are not what was written: each is found out before it is trusted, counted, and compiled again. And code files
//! that are damaged, which nothing can replace: the function says so, its neighbours go on.

use std::path::PathBuf;

use hearth_tests::{Server, eventually, guest};

/// The artifact of the only function, as a server left it that was killed.
fn only_artifact(server: &Server) -> PathBuf {
    let files = server.files("artifacts");
    let mut artifacts =
        files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "cwasm"));
    let artifact = artifacts.next().expect("an artifact was written");
    assert_eq!(artifacts.next(), None, "there is one function");
    artifact
}

/// A server with one function, its artifact changed behind its back: it must answer, and have compiled again.
fn survives(what: &str, server: &mut Server, change: impl FnOnce(&PathBuf, Vec<u8>)) {
    server.kill9();
    let artifact = only_artifact(server);
    let whole = std::fs::read(&artifact).unwrap();
    change(&artifact, whole.clone());
    server.restart();
    assert_eq!(server.invoke("wat-echo", what).text(), what);
    assert_eq!(server.metric("hearth_artifacts_rejected_total"), 1.0, "{what} is counted");
    assert_eq!(server.metric("hearth_compilations_total"), 1.0, "{what} is compiled again");
    assert_eq!(server.metric("hearth_artifact_hits_total"), 0.0, "{what} was trusted");
    let about = std::fs::symlink_metadata(&artifact).unwrap();
    assert!(about.is_file(), "{what}: a plain file stands there again");
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    let length = std::fs::read(only_artifact(&server)).unwrap().len();
    let spread = (0..16).map(|part| length * part / 16);
    let ends = [1, 8, 16, 31, 40, 63, length - 64, length - 2, length - 1];
    for at in spread.chain(ends) {
        survives(&format!("byte {at} of {length}"), &mut server, |path, mut bytes| {
            bytes[at] ^= 0x10;
            std::fs::write(path, bytes).unwrap();
        });
    }
}

#[test]
fn a_file_of_another_length_is_found() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    for length in [0, 1, 7, 64, 4096] {
        survives(&format!("{length} bytes"), &mut server, |path, bytes| {
            std::fs::write(path, &bytes[..length]).unwrap();
        });
    }
    survives("one byte less", &mut server, |path, bytes| {
        std::fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    });
    survives("one byte more", &mut server, |path, mut bytes| {
        bytes.push(0);
        std::fs::write(path, bytes).unwrap();
    });
    survives("a page more", &mut server, |path, mut bytes| {
        bytes.extend([0; 4096]);
        std::fs::write(path, bytes).unwrap();
    });
}

#[test]
fn what_another_wrote_is_never_run() {
    let mut foreign = Server::start();
    foreign.deploy("wat-echo");
    foreign.kill9();
    let theirs = only_artifact(&foreign);
    let mut server = Server::start();
    server.deploy("wat-echo");
    survives("a program", &mut server, |path, _| {
        std::fs::copy(std::env::current_exe().unwrap(), path).unwrap();
    });
    server.kill9();
    let ours = only_artifact(&server);
    // Same engine, same code, same settings: only the key that sealed it is another.
    assert_ne!(ours.file_name(), theirs.file_name(), "a seal belongs to one data directory");
    std::fs::copy(&theirs, ours.with_file_name(theirs.file_name().unwrap())).unwrap();
    std::fs::remove_file(&ours).unwrap();
    server.restart();
    assert_eq!(server.invoke("wat-echo", "x").text(), "x");
    assert_eq!(server.metric("hearth_artifact_hits_total"), 0.0, "it was trusted");
    assert_eq!(server.metric("hearth_artifacts_rejected_total"), 1.0);
    assert_eq!(server.metric("hearth_compilations_total"), 1.0);
}

#[test]
fn the_artifact_of_another_function_is_never_run_in_its_place() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    let first = only_artifact(&server);
    server.deploy("wat-log");
    server.kill9();
    let both = server.files("artifacts");
    let second =
        both.into_iter().find(|file| file.extension() == first.extension() && *file != first);
    let second = second.expect("the second function has an artifact");
    std::fs::copy(&second, &first).unwrap();
    server.restart();
    let answer = server.invoke("wat-echo", "mine");
    assert_eq!(answer.text(), "mine");
    assert!(!answer.tail().contains("event"), "the other function ran: {}", answer.tail());
    assert_eq!(server.metric("hearth_artifacts_rejected_total"), 1.0);
}

#[test]
fn a_link_or_a_folder_in_its_place_does_no_harm() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    std::fs::write(&victim, "not to be touched").unwrap();
    survives("a link", &mut server, |path, _| {
        std::fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink(&victim, path).unwrap();
    });
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "not to be touched");
    server.kill9();
    let artifact = only_artifact(&server);
    std::fs::remove_file(&artifact).unwrap();
    std::fs::create_dir(&artifact).unwrap();
    server.restart();
    assert_eq!(server.invoke("wat-echo", "a folder").text(), "a folder");
}

#[test]
fn all_artifacts_can_be_thrown_away() {
    let mut server = Server::start();
    for name in ["wat-echo", "rust-event"] {
        server.deploy(name);
    }
    server.kill9();
    std::fs::remove_dir_all(server.data_dir().join("artifacts")).unwrap();
    server.restart();
    assert_eq!(server.invoke("wat-echo", "hi").text(), "hi");
    assert_eq!(server.invoke("rust-event", r#"{"name":"x"}"#).json()["message"], "hello x");
    assert_eq!(server.metric("hearth_compilations_total"), 2.0);
}

#[test]
fn damaged_code_is_told_and_deploying_again_mends_it() {
    let mut server = Server::start();
    server.deploy("wat-echo");
    server.deploy("wat-log");
    server.kill9();
    let echo = guest("wat-echo");
    let mut damaged = 0;
    for file in server.all_files() {
        let mut bytes = std::fs::read(&file).unwrap();
        let holds_it = bytes.windows(echo.len()).any(|part| part == echo);
        if holds_it && !file.to_string_lossy().contains("artifacts") {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "the code lies on disk somewhere");
    std::fs::remove_dir_all(server.data_dir().join("artifacts")).unwrap();
    server.restart();
    let told = server.invoke("wat-echo", "x");
    assert!([500, 503].contains(&told.status), "{}: {}", told.status, told.text());
    told.is_error(told.status, &told.error_code());
    eventually("the operator is told", || server.log().contains("damaged"));
    assert_eq!(server.invoke("wat-log", "x").status, 200, "its neighbour goes on");
    let mended = server.replace("wat-echo", &echo);
    assert_eq!(mended.status, 200, "{}", mended.text());
    assert_eq!(server.invoke("wat-echo", "whole").text(), "whole");
    server.kill9();
    std::fs::remove_dir_all(server.data_dir().join("artifacts")).unwrap();
    server.restart();
    assert_eq!(server.invoke("wat-echo", "still whole").text(), "still whole");
}
