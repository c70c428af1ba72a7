//! A certificate authority of the test's own, and the process's crypto provider.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::net::Ipv4Addr;

/// Makes `ring` the provider of every TLS connection of this process; harmless when repeated.
pub fn install_crypto() {
    // An error means that a provider is already there.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// What a TLS server on one address needs, and what its clients need, all PEM.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) ca: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Identity {
    pub(crate) fn for_address(address: Ipv4Addr) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "kube-events e2e");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let names = [address.to_string(), "localhost".to_owned()];
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(names)?.signed_by(&key, &ca)?;
        Ok(Self { ca: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// A private key that signs service account tokens, and the public one that checks them, PEM.
pub(crate) fn signing_keys() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}
