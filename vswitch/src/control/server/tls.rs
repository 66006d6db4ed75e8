//! TLS for those who come over the network: they must show a certificate of the given authority.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::WebPkiClientVerifier,
};
use thiserror::Error;

/// What is wrong with a file of certificates or keys, or with them together.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct TlsError(String);

/// The one implementation of cryptography in this program.
pub(in super::super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A server's side: who it is, and whose certificates it accepts. An error comes with the key of the configuration
/// that it is about.
pub(super) fn server_config(
    certificate: &Path,
    key: &Path,
    client_ca: &Path,
) -> Result<ServerConfig, (&'static str, TlsError)> {
    let of = |name| move |error| (name, error);
    let chain = certificates(certificate, "certificate").map_err(of("certificate"))?;
    let private = private_key(key).map_err(of("key"))?;
    let roots = Arc::new(authorities(client_ca, "authority").map_err(of("client-ca"))?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let verifier = verifier.build().map_err(|error| {
        let ca = client_ca.display();
        ("client-ca", TlsError(format!("no client can be held against {ca}: {error}")))
    })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| ("listen", TlsError(format!("TLS cannot be set up: {error}"))))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, private)
        .map_err(|error| {
            let (certificate, key) = (certificate.display(), key.display());
            let both = format!(
                "the certificate {certificate} and the key {key} do not go together: {error}"
            );
            ("key", TlsError(both))
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// All certificates of a PEM file, at least one.
pub(in super::super) fn certificates(
    path: &Path,
    what: &str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |error| TlsError(unreadable(path, what, &error));
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(wrong)?
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    if found.is_empty() {
        return Err(wrong(pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// The private key of a PEM file.
pub(in super::super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError(unreadable(path, "key", &error)))
}

/// Those whose signature under a certificate is believed.
pub(in super::super) fn authorities(path: &Path, what: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, what)? {
        roots.add(certificate).map_err(|error| {
            TlsError(format!("{} is no {what} of certificates: {error}", path.display()))
        })?;
    }
    Ok(roots)
}

fn unreadable(path: &Path, what: &str, error: &pem::Error) -> String {
    let path = path.display();
    match error {
        pem::Error::Io(error) => format!("cannot read the {what} {path}: {error}"),
        pem::Error::NoItemsFound => {
            let wanted = if what == "key" { "PRIVATE KEY" } else { "CERTIFICATE" };
            format!(
                "there is no {what} in {path}: a PEM file with '-----BEGIN {wanted}-----' is expected"
            )
        }
        error => format!("the {what} {path} is no PEM file: {error}"),
    }
}
