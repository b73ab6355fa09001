//! What each answer of a store becomes, told by a store that answers what it is told to.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LIMIT: u64 = 100;

/// A store on loopback that gives each request the same answer.
struct Store {
    url: String,
    asked: Arc<AtomicUsize>,
    heads: tokio::sync::mpsc::Receiver<String>,
}

async fn store(answer: &'static str) -> Store {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let (tell, heads) = tokio::sync::mpsc::channel(8);
    let counted = asked.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 8192];
            let length = stream.read(&mut head).await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = tell.try_send(String::from_utf8_lossy(&head[..length]).into_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
            // Held open: whoever wants more waits.
            tokio::spawn(async move { stream.read(&mut head).await });
        }
    });
    Store { url, asked, heads }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: url.to_owned(),
        bucket: "theirs".to_owned(),
        region: "r-1".to_owned(),
        key: Some(("AKID".to_owned(), Secret::new("secret".to_owned()))),
        bucket_in_host: false,
    }
}

async fn read(url: &str) -> Result<Bytes, ObjectError> {
    let remote = Remote::new("ours", endpoint(url), Duration::from_millis(700), LIMIT)?;
    remote.read(&ObjectName::parse("ours", "a b/ä.zip").unwrap(), LIMIT).await
}

macro_rules! answer {
    ($status:literal, $body:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\nlast-modified: Sat, 21 Nov 2026 04:00:00 GMT\r\netag: \"1\"\r\n",
            "connection: close\r\n",
            $body
        )
    };
}

#[tokio::test]
async fn an_object_is_asked_for_signed_and_read_whole() {
    let mut store = store(answer!("200 OK", "content-length: 5\r\n\r\nhello")).await;
    assert_eq!(read(&store.url).await.unwrap(), "hello");
    let head = store.heads.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /theirs/a%20b/%c3%a4.zip http/1.1\r\n"), "{head}");
    let signed = "authorization: aws4-hmac-sha256 credential=akid/";
    assert!(head.contains(signed) && head.contains("/r-1/s3/aws4_request"), "{head}");
    assert!(!head.contains("secret"), "{head}");
}

#[tokio::test]
async fn without_a_key_nothing_is_signed() {
    let mut store = store(answer!("200 OK", "content-length: 5\r\n\r\nhello")).await;
    let open = Endpoint { key: None, ..endpoint(&store.url) };
    let remote = Remote::new("ours", open, Duration::from_secs(1), LIMIT).unwrap();
    remote.read(&ObjectName::parse("ours", "k").unwrap(), LIMIT).await.unwrap();
    assert!(!store.heads.recv().await.unwrap().to_ascii_lowercase().contains("authorization"));
}

#[tokio::test]
async fn what_a_store_answers_becomes_an_error_of_its_own() {
    let said = answer!(
        "404 Not Found",
        "content-length: 38\r\n\r\n<Error><Code>NoSuchBucket</Code></Error>"
    );
    let told = read(&store(said).await.url).await.unwrap_err();
    assert_eq!(told, ObjectError::NoBucket { bucket: "ours".to_owned() });
    let said = answer!("404 Not Found", "content-length: 0\r\n\r\n");
    let told = read(&store(said).await.url).await.unwrap_err();
    assert_eq!(told, ObjectError::NoObject { object: "ours/a b/ä.zip".to_owned() });
    for said in [
        answer!("403 Forbidden", "content-length: 0\r\n\r\n"),
        answer!("401 Unauthorized", "content-length: 0\r\n\r\n"),
    ] {
        let told = read(&store(said).await.url).await.unwrap_err();
        assert!(matches!(told, ObjectError::Denied { .. }), "{told:?}");
    }
    let said = answer!("302 Found", "location: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
    let told = read(&store(said).await.url).await.unwrap_err();
    assert!(
        matches!(told, ObjectError::Unavailable { .. }),
        "redirects are not followed: {told:?}"
    );
}

#[tokio::test]
async fn a_store_that_fails_is_asked_again_and_then_unavailable() {
    let store = store(answer!("503 Slow Down", "content-length: 0\r\n\r\n")).await;
    let told = read(&store.url).await.unwrap_err();
    assert!(matches!(told, ObjectError::Unavailable { .. }), "{told:?}");
    assert_eq!(store.asked.load(Ordering::SeqCst), 3);
    let told = read("http://127.0.0.1:1").await.unwrap_err();
    assert!(matches!(told, ObjectError::Unavailable { .. }), "{told:?}");
}

#[tokio::test]
async fn what_is_too_large_or_too_slow_is_asked_for_once() {
    let large = store(answer!("200 OK", "content-length: 101\r\n\r\n")).await;
    let told = read(&large.url).await.unwrap_err();
    let too_large = ObjectError::TooLarge {
        object: "ours/a b/ä.zip".to_owned(),
        size_bytes: 101,
        limit_bytes: LIMIT,
    };
    assert_eq!((told, large.asked.load(Ordering::SeqCst)), (too_large, 1));
    for slow in ["", answer!("200 OK", "content-length: 5\r\n\r\nhel")] {
        let slow = store(slow).await;
        let told = read(&slow.url).await.unwrap_err();
        assert!(matches!(told, ObjectError::TooSlow { .. }), "{told:?}");
        assert_eq!(slow.asked.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn addresses_are_checked_before_anybody_is_asked() {
    let in_host = |url: &str| address(&Endpoint { bucket_in_host: true, ..endpoint(url) });
    assert_eq!(in_host("https://oss.example/").unwrap(), "https://theirs.oss.example");
    assert_eq!(address(&endpoint("http://h:1")).unwrap(), "http://h:1");
    for url in ["", "h", "s3://h", "https://", "https://u@h", "https://h/b", "https://h?x"] {
        assert!(address(&endpoint(url)).is_err(), "{url}");
    }
    let odd = Endpoint { bucket: "../x".to_owned(), ..endpoint("http://h") };
    let told = Remote::new("ours", odd, Duration::from_secs(1), LIMIT).unwrap_err();
    assert!(matches!(told, ObjectError::Misconfigured { .. }), "{told:?}");
}
