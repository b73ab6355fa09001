//! Servers that share what they compile: the second never compiles what the first did, trusts nothing that is not sealed, and goes on
//! without the place where that is down, slow or full of something else.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hearth_tests::{Server, Start, eventually, guest_path};

/// A file that only its owner reads.
fn secret(path: PathBuf, content: &str) -> PathBuf {
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    path
}

/// What the servers of a test share.
struct Shared(tempfile::TempDir);

impl Shared {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("shared")
    }

    fn key(&self, name: &str) -> PathBuf {
        secret(self.0.path().join(name), &name.repeat(32))
    }

    fn start(&self) -> Start {
        Start::default()
            .with("--shared-artifacts-dir", self.dir().to_str().unwrap())
            .with("--shared-artifacts-key-file", self.key("key").to_str().unwrap())
    }

    fn files(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.dir()).unwrap().map(|file| file.unwrap().path()).collect()
    }
}

/// Compiled, loaded from another server, rejected, failed.
fn counts(server: &Server) -> [f64; 4] {
    [
        "hearth_compilations_total",
        "hearth_shared_artifact_hits_total",
        "hearth_artifacts_rejected_total",
        "hearth_shared_artifact_failures_total",
    ]
    .map(|name| server.metric(name))
}

fn stored(server: &Server) -> f64 {
    server.metric("hearth_shared_artifacts_stored_total")
}

#[test]
fn the_second_server_never_compiles_what_the_first_did() {
    let shared = Shared::new();
    let first = shared.start().start();
    let names = ["wat-echo", "rust-event", "rust-http-p3"];
    for name in names {
        first.deploy(name);
    }
    eventually("what was handed in", || stored(&first) == 3.0);
    assert_eq!(counts(&first), [3.0, 0.0, 0.0, 0.0]);
    let mut second = shared.start().start();
    for name in names {
        second.deploy(name);
    }
    assert_eq!(second.invoke("wat-echo", "hi").text(), "hi");
    assert_eq!(counts(&second), [0.0, 3.0, 0.0, 0.0]);
    assert_eq!(stored(&second), 0.0, "what came from there need not go back");
    // From then on it has them itself.
    for file in shared.files() {
        std::fs::remove_file(file).unwrap();
    }
    second.restart();
    assert_eq!(second.invoke("wat-echo", "again").text(), "again");
    assert_eq!(counts(&second), [0.0; 4]);
}

#[test]
fn the_full_tier_is_shared_and_the_fast_one_is_not() {
    let shared = Shared::new();
    let start = || shared.start().with("--engine-compile-fast-from", "0").start();
    let first = start();
    first.deploy("wat-echo");
    eventually("the full tier", || stored(&first) == 1.0);
    assert_eq!(shared.files().len(), 1);
    let second = start();
    second.deploy("wat-echo");
    assert_eq!(second.invoke("wat-echo", "hi").text(), "hi");
    assert_eq!(counts(&second), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn what_a_snapshot_holds_is_not_shared() {
    let shared = Shared::new();
    let server = shared.start().start();
    let path = guest_path("rust-table");
    let words = ["deploy", path.to_str().unwrap(), "--name", "s/table", "--isolation", "snapshot"];
    let told = server.cli(&words);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(server.metric("hearth_compilations_total") >= 1.0);
    server.deploy("wat-echo");
    eventually("what was handed in", || stored(&server) == 1.0);
    assert_eq!(shared.files().len(), 1);
}

#[test]
fn what_does_not_fit_its_seal_is_compiled_here() {
    let shared = Shared::new();
    let first = shared.start().start();
    first.deploy("wat-echo");
    eventually("what was handed in", || stored(&first) == 1.0);
    let [file] = shared.files().try_into().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let own: Vec<u8> =
        first.files("artifacts").iter().map(|path| std::fs::read(path).unwrap()).next().unwrap();
    let damages: [(&str, Vec<u8>); 7] = [
        ("a bit of the seal", flipped(5)),
        ("the first bit of the code", flipped(32)),
        ("the last bit of the code", flipped(whole.len() - 1)),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("less than a seal", whole[..7].to_vec()),
        ("nothing", Vec::new()),
        ("code without a seal", own),
    ];
    for (what, bytes) in damages {
        std::fs::write(&file, bytes).unwrap();
        let second = shared.start().start();
        second.deploy("wat-echo");
        assert_eq!(second.invoke("wat-echo", what).text(), what);
        assert_eq!(counts(&second), [1.0, 0.0, 1.0, 0.0], "{what}");
        // It puts a good one there instead.
        eventually("the repair", || stored(&second) == 1.0);
    }
    assert!(std::fs::read(&file).unwrap().len() > 32);
    let other = Start::default()
        .with("--shared-artifacts-dir", shared.dir().to_str().unwrap())
        .with("--shared-artifacts-key-file", shared.key("another").to_str().unwrap())
        .start();
    other.deploy("wat-echo");
    assert_eq!(counts(&other), [1.0, 0.0, 1.0, 0.0], "it was sealed with another key");
}

#[test]
fn a_place_without_a_key_is_refused() {
    let shared = Shared::new();
    let start = Start::default().with("--shared-artifacts-dir", shared.dir().to_str().unwrap());
    let told = start.fail();
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!told.status.success() && said.contains("shared_artifacts.key_file"), "{said}");
}

#[test]
fn a_place_that_cannot_be_written_costs_nothing_but_compiling() {
    let shared = Shared::new();
    let server = shared.start().start();
    std::fs::remove_dir(shared.dir()).unwrap();
    std::fs::write(shared.dir(), b"no directory").unwrap();
    for name in ["wat-echo", "c-echo"] {
        server.deploy(name);
        assert_eq!(server.invoke(name, "hi").text(), "hi");
    }
    let [compiled, hits, rejected, failed] = counts(&server);
    assert_eq!([compiled, hits, rejected], [2.0, 0.0, 0.0]);
    assert!(failed >= 1.0, "it is told of");
}

/// A bucket that keeps what it is given and checks that it is signed for; without one, a place where nobody answers.
#[derive(Clone, Default)]
struct Bucket(Arc<Mutex<HashMap<String, Vec<u8>>>>);

impl Bucket {
    fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bucket = self.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let bucket = bucket.clone();
                std::thread::spawn(move || bucket.answer(client));
            }
        });
        url
    }

    fn answer(&self, client: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(client.try_clone().ok()?);
        let (mut first, mut length, mut is_signed) = (String::new(), 0, false);
        reader.read_line(&mut first).ok()?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            is_signed |= line.starts_with("authorization: aws4-hmac-sha256");
            if line.is_empty() {
                break;
            }
        }
        is_signed |= first.contains("X-Amz-Signature=");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (method, rest) = first.split_once(' ')?;
        let path = rest.split([' ', '?']).next()?.to_owned();
        let mut held = self.0.lock().ok()?;
        let (status, body) = match (method, held.get(&path)) {
            _ if !is_signed => ("403 Forbidden", Vec::new()),
            ("PUT", _) => {
                held.insert(path, body);
                ("200 OK", Vec::new())
            }
            (_, Some(bytes)) => ("200 OK", bytes.clone()),
            (_, None) => ("404 Not Found", b"<Code>NoSuchKey</Code>".to_vec()),
        };
        let mut client = client;
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\netag: \"1\"\r\nlast-modified: Sat, 21 Nov 2026 00:00:00 GMT\r\nconnection: close\r\n\r\n",
            body.len()
        );
        client.write_all(head.as_bytes()).ok()?;
        client.write_all(&body).ok()
    }
}

fn with_bucket(shared: &Shared, url: &str) -> Start {
    let secret = secret(shared.0.path().join("secret"), "s3cr3t");
    let settings = format!(
        "[shared_artifacts]\nkey_file = {:?}\ntimeout = \"1s\"\n[shared_artifacts.bucket]\nname = \"code\"\nurl = {url:?}\n\
         access_key = \"AKID\"\nsecret_file = {secret:?}\n",
        shared.key("key")
    );
    let file: &Path = &shared.0.path().join("hearth.toml");
    std::fs::write(file, settings).unwrap();
    Start::default().with("--config", file.to_str().unwrap())
}

#[test]
fn a_bucket_is_shared_like_a_directory() {
    let (shared, bucket) = (Shared::new(), Bucket::default());
    let url = bucket.listen();
    let first = with_bucket(&shared, &url).start();
    first.deploy("wat-echo");
    eventually("what was handed in", || stored(&first) == 1.0);
    let keys: Vec<String> = bucket.0.lock().unwrap().keys().cloned().collect();
    assert!(keys.len() == 1 && keys[0].starts_with("/code/hearth-artifacts/"), "{keys:?}");
    let second = with_bucket(&shared, &url).start();
    second.deploy("wat-echo");
    assert_eq!(second.invoke("wat-echo", "hi").text(), "hi");
    assert_eq!(counts(&second), [0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_store_that_is_down_or_slow_is_waited_for_once_and_not_long() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = format!("http://{}", silent.local_addr().unwrap());
    for url in ["http://127.0.0.1:1", &slow] {
        let shared = Shared::new();
        let server = with_bucket(&shared, url).start();
        let began = Instant::now();
        for name in ["wat-echo", "c-echo", "wat-log"] {
            server.deploy(name);
        }
        assert_eq!(server.invoke("wat-echo", url).text(), url);
        // A bound against waiting without end, not a figure: a second and compiling.
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!(counts(&server), [3.0, 0.0, 0.0, 1.0], "{url}: it is asked once");
    }
}
