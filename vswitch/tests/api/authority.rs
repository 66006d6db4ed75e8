//! Certificates for tests, and a switch that is served by TLS.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use strowger_vswitch::{
    config::ApiConfig,
    control::{Client, server::limits::Limits},
};
use tempfile::TempDir;

use crate::fake::{Scene, some};

/// An authority and those whom it vouches for.
pub(crate) struct Authority {
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        for (name, usage) in [
            ("server", ExtendedKeyUsagePurpose::ServerAuth),
            ("client", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let mut params =
                CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            fs::write(dir.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn api(&self) -> ApiConfig {
        ApiConfig {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            certificate: Some(self.file("server.pem")),
            key: Some(self.file("server.key")),
            client_ca: Some(self.file("ca.pem")),
            ..ApiConfig::default()
        }
    }

    pub(crate) fn scene(&self) -> (Scene, SocketAddr) {
        self.limited(Limits::default())
    }

    pub(crate) fn limited(&self, limits: Limits) -> (Scene, SocketAddr) {
        let scene = Scene::with(some(), &self.api(), limits);
        let address = scene.server.as_ref().unwrap().address().unwrap();
        (scene, address)
    }

    pub(crate) fn client(&self, address: SocketAddr, ca: &Path) -> Client {
        Client::tls(&address.to_string(), ca, &self.file("client.pem"), &self.file("client.key"))
            .unwrap()
    }
}
