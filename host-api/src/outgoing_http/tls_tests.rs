//! Handshakes with peers whose certificates are right, expired, not yet valid, of nobody known, or of somebody else.

use super::super::test_peers::{HELLO, Scripted, get, grant, run, soon, text};
use super::super::{Egress, OutgoingHttp};
use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// A server with a certificate of `params`, signed by `authority` or, without one, by itself. Each connection answers for as long as
/// it is asked.
async fn serve(params: CertificateParams, authority: Option<&Authority>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = [0; 4096];
                while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                    if stream.write_all(HELLO).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn local() -> OutgoingHttp {
    grant(&[("https://peer.example:*", true), ("https://127.0.0.1:*", true)])
}

/// An egress that believes `authority` and nobody else.
fn believing(authority: &Authority) -> Arc<Egress> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    Egress::trusting(local(), Scripted::new(&[&["127.0.0.1"]]), Trust::of_roots(roots))
}

async fn ask(egress: &Arc<Egress>, port: u16) -> Result<String, Error> {
    text(run(egress, get(&format!("https://peer.example:{port}/")), soon()).await).await
}

#[tokio::test]
async fn a_certificate_that_is_right_is_believed_and_its_connection_used_again() {
    let authority = authority();
    let port = serve(named("peer.example"), Some(&authority)).await;
    let egress = believing(&authority);
    for _ in 0..3 {
        assert_eq!(ask(&egress, port).await.unwrap(), "hello");
    }
    assert_eq!((egress.counts().sent, egress.counts().reused), (3, 2));
}

/// C13: each is told to the guest as what it is, and nothing of the request goes out.
#[tokio::test]
async fn certificates_that_are_not_right_are_told_as_such() {
    let known = authority();
    let mut expired = named("peer.example");
    (expired.not_before, expired.not_after) =
        (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let mut early = named("peer.example");
    (early.not_before, early.not_after) = (date_time_ymd(2090, 1, 1), date_time_ymd(2099, 1, 1));
    let stranger = authority();
    let peers = [
        ("expired", serve(expired, Some(&known)).await),
        ("not yet valid", serve(early, Some(&known)).await),
        ("of an unknown authority", serve(named("peer.example"), Some(&stranger)).await),
        ("signed by itself", serve(named("peer.example"), None).await),
        ("of another name", serve(named("other.example"), Some(&known)).await),
        ("of a name above", serve(named("example"), Some(&known)).await),
        ("of an address", serve(named("127.0.0.1"), Some(&known)).await),
    ];
    for (what, port) in peers {
        let egress = believing(&known);
        let found = ask(&egress, port).await;
        assert!(matches!(found, Err(Error::TlsCertificateError)), "{what}: {found:?}");
        let counts = egress.counts();
        assert_eq!((counts.failed, egress.way_shelf().len()), (1, 0), "{what}");
    }
    // What a client of the public internet believes is not what a test's authority signs.
    let port = serve(named("peer.example"), Some(&known)).await;
    let public = Egress::new(local(), Scripted::new(&[&["127.0.0.1"]]));
    assert!(matches!(ask(&public, port).await, Err(Error::TlsCertificateError)));
}

#[tokio::test]
async fn an_address_is_a_name_like_any_other() {
    let known = authority();
    let port = serve(named("127.0.0.1"), Some(&known)).await;
    let egress = believing(&known);
    let uri = format!("https://127.0.0.1:{port}/");
    assert_eq!(text(run(&egress, get(&uri), soon()).await).await.unwrap(), "hello");
}

/// A peer that takes the connection and never shakes hands ends at the time that connecting may take.
#[tokio::test]
async fn a_handshake_that_never_comes_ends_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let egress = believing(&authority());
    let deadline = std::time::Instant::now() + std::time::Duration::from_millis(150);
    let uri = format!("https://peer.example:{port}/");
    let found = run(&egress, get(&uri), deadline).await.map(|_| ());
    assert!(matches!(found, Err(Error::ConnectionTimeout)), "{found:?}");
    drop(listener);
}
