//! Servers under another name than that of their address.

use std::{path::Path, sync::Arc};

use kube_events_core::crd::sinks::TlsSettings;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use super::connector::{TlsError, read};

/// Checks a server's certificate as usual, but for a given name.
#[derive(Debug)]
struct Named {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

/// The settings of connections to a server whose certificate is for `name`.
pub(super) fn config(
    settings: &TlsSettings,
    ca: &Path,
    name: &str,
) -> Result<ClientConfig, TlsError> {
    let at = |field, reason: &dyn ToString| TlsError { field, reason: reason.to_string() };
    let name = ServerName::try_from(name.to_owned()).map_err(|error| at("serverName", &error))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates("caFile", ca)? {
        roots.add(certificate).map_err(|error| at("caFile", &error))?;
    }
    let inner = WebPkiServerVerifier::builder(Arc::new(roots))
        .build()
        .map_err(|error| at("caFile", &error))?;
    let config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Named { inner, name }));
    match (&settings.cert_file, &settings.key_file) {
        (Some(certificate), Some(key)) => {
            let key = PrivateKeyDer::from_pem_slice(&read("keyFile", key)?)
                .map_err(|error| at("keyFile", &error))?;
            config
                .with_client_auth_cert(certificates("certFile", certificate)?, key)
                .map_err(|error| at("keyFile", &error))
        }
        _ => Ok(config.with_no_client_auth()),
    }
}

fn certificates(
    field: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(field, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    certificates.map_err(|error| TlsError { field, reason: error.to_string() })
}

// === impl Named ===

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
