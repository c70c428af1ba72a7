//! Webhooks over TLS, with authorities and client certificates made for the test.
#![allow(clippy::unwrap_used, reason = "a test ends there")]
#![cfg(feature = "webhook")]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube_events_core::{Batch, Event, SendError, Sink, contract::Sample, crd::sinks::TlsSettings};
use kube_events_sinks::{
    http::HttpOptions,
    webhook::{Webhook, WebhookOptions},
};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::AbortHandle};
use tokio_rustls::TlsAcceptor;

/// An authority, and the folder with what it signed.
struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A server that says OK to whoever gets through to it, and remembers their certificates.
struct Server {
    address: SocketAddr,
    peers: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
    task: AbortHandle,
}

// === impl Authority ===

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn sign(&self, name: &str, host: &str, usage: ExtendedKeyUsagePurpose) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.extended_key_usages.push(usage);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings { ca_file: Some(self.path("ca.pem")), ..TlsSettings::default() }
    }
}

// === impl Server ===

impl Server {
    /// A server for `host`; with `mutual`, only for clients that the authority signed.
    async fn start(authority: &Authority, host: &str, mutual: bool) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        authority.sign("server", host, ExtendedKeyUsagePurpose::ServerAuth);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peers = Arc::<Mutex<Vec<Option<Vec<u8>>>>>::default();
        let acceptor = TlsAcceptor::from(Arc::new(server_config(authority, mutual)));
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&peers))).abort_handle();
        Self { address, peers, task }
    }

    fn url(&self) -> String {
        format!("https://{}/events", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Peers = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, peers: Peers) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(stream) = acceptor.accept(stream).await else { continue };
        let peer = stream.get_ref().1.peer_certificates().map(|chain| chain[0].to_vec());
        let peers = Arc::clone(&peers);
        let service = service_fn(move |_| {
            peers.lock().unwrap().push(peer.clone());
            async { Ok::<_, std::convert::Infallible>(Response::new(String::from("ok"))) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async { drop(connection.await) });
    }
}

fn server_config(authority: &Authority, mutual: bool) -> ServerConfig {
    let builder = ServerConfig::builder();
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&authority.path("ca.pem"))).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(authority.path("server.key")).unwrap();
    builder.with_single_cert(vec![certificate(&authority.path("server.pem"))], key).unwrap()
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

fn webhook(server: &Server, tls: TlsSettings) -> Webhook {
    let http = HttpOptions { tls, ..HttpOptions::default() };
    Webhook::new(&server.url(), &WebhookOptions { http, ..WebhookOptions::default() }).unwrap()
}

async fn send(webhook: &Webhook) -> Result<(), SendError> {
    webhook.send(&Batch::new(vec![Event::sample(1)]).unwrap()).await
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_alone() {
    let authority = Authority::new();
    let server = Server::start(&authority, "127.0.0.1", false).await;
    send(&webhook(&server, authority.settings())).await.unwrap();
    let error = send(&webhook(&server, Authority::new().settings())).await.unwrap_err();
    assert!(error.is_retry(), "{error:?}");
    assert_eq!(server.peers.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_taken_unless_that_name_is_given() {
    let authority = Authority::new();
    let server = Server::start(&authority, "am.example", false).await;
    send(&webhook(&server, authority.settings())).await.unwrap_err();
    let named = |name: &str| TlsSettings { server_name: Some(name.into()), ..authority.settings() };
    send(&webhook(&server, named("am.example"))).await.unwrap();
    send(&webhook(&server, named("other.example"))).await.unwrap_err();
}

#[tokio::test]
async fn any_certificate_is_taken_where_that_is_asked_for() {
    let authority = Authority::new();
    let server = Server::start(&authority, "am.example", false).await;
    let tls = TlsSettings { insecure_skip_verify: true, ..TlsSettings::default() };
    send(&webhook(&server, tls)).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_read_again_when_it_changes() {
    let authority = Authority::new();
    let server = Server::start(&authority, "127.0.0.1", true).await;
    send(&webhook(&server, authority.settings())).await.unwrap_err();
    for server_name in [None, Some("127.0.0.1".to_owned())] {
        authority.sign("client", "me", ExtendedKeyUsagePurpose::ClientAuth);
        let tls = TlsSettings {
            cert_file: Some(authority.path("client.pem")),
            key_file: Some(authority.path("client.key")),
            server_name,
            ..authority.settings()
        };
        let webhook = webhook(&server, tls);
        let shown = |server: &Server| server.peers.lock().unwrap().last().unwrap().clone();
        let own = || Some(certificate(&authority.path("client.pem")).to_vec());
        send(&webhook).await.unwrap();
        assert_eq!(shown(&server), own());
        // A file whose time and length are the same as before is taken for the same.
        authority.sign("client", "me-again", ExtendedKeyUsagePurpose::ClientAuth);
        send(&webhook).await.unwrap();
        assert_eq!(shown(&server), own());
        fs::write(authority.path("client.pem"), "half of it").unwrap();
        send(&webhook).await.unwrap();
    }
}
