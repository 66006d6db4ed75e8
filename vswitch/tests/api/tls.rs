//! By TCP: TLS, and a client certificate of the right authority, or nothing.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use crate::{
    authority::Authority,
    fake::{DEADLINE, Fake, eventually, some},
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use strowger_vswitch::{
    config::ApiConfig,
    control::{Changes, Client, ClientError, Server, Status, server::limits::Limits},
};

#[test]
fn who_shows_a_certificate_of_the_authority_is_answered() {
    let authority = Authority::new();
    let (scene, address) = authority.scene();
    let client = authority.client(address, &authority.file("ca.pem"));
    assert_eq!(client.get::<Status>("/v1/status").unwrap().pid, 42);
    let done: Changes = client
        .send("POST".parse().unwrap(), "/v1/bridges", &serde_json::json!({"name": "far"}))
        .unwrap();
    assert_eq!(done.changes.len(), 1);
    let by_name = format!("localhost:{}", address.port());
    let client = Client::tls(
        &by_name,
        &authority.file("ca.pem"),
        &authority.file("client.pem"),
        &authority.file("client.key"),
    )
    .unwrap();
    assert_eq!(client.get::<Status>("/v1/status").unwrap().pid, 42);
    let mut stream = client.stream("/v1/capture?port=vm1").unwrap();
    let (_, sink) = scene.fake.sinks().pop().unwrap();
    sink.send("bytes").unwrap();
    drop(sink);
    let mut read = String::new();
    stream.read_to_string(&mut read).unwrap();
    assert_eq!(read, "bytes");
}

#[test]
fn nobody_else_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (scene, address) = authority.scene();
    // Of another authority.
    let error =
        other.client(address, &authority.file("ca.pem")).get::<Status>("/v1/status").unwrap_err();
    assert!(matches!(error, ClientError::Distrust { .. }), "{error:?}");
    assert!(error.to_string().contains("api.client-ca"), "{error}");
    // A server's certificate is none of a client's.
    let error = Client::tls(
        &address.to_string(),
        &authority.file("ca.pem"),
        &authority.file("server.pem"),
        &authority.file("server.key"),
    )
    .unwrap()
    .get::<Status>("/v1/status")
    .unwrap_err();
    assert!(matches!(error, ClientError::Distrust { .. }), "{error:?}");
    // Without any.
    let answer = ask_without_certificate(&authority, address);
    assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    // Without TLS.
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // It ends, in order or not.
    let _ended = socket.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
    // A server that we do not know is not asked.
    let error =
        authority.client(address, &other.file("ca.pem")).get::<Status>("/v1/status").unwrap_err();
    assert!(error.to_string().contains("--ca"), "{error}");
    scene.assert_answers();
}

fn ask_without_certificate(authority: &Authority, address: SocketAddr) -> Vec<u8> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection =
        ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let mut answer = Vec::new();
    // Any of it may fail: that is what is wanted.
    let _cut = stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let _cut = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn those_who_never_finish_their_handshake_keep_nobody_out() {
    let authority = Authority::new();
    let (scene, address) = authority.limited(Limits {
        connections: 4,
        handshake_time: std::time::Duration::from_millis(100),
        ..Limits::default()
    });
    let mut silent: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
    scene.assert_answers();
    let client = authority.client(address, &authority.file("ca.pem"));
    // They may push one another out, and him with them once; he is not kept out.
    eventually("a client is answered", || client.get::<Status>("/v1/status").ok());
    for socket in &mut silent {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut byte = [0];
        assert!(!matches!(socket.read(&mut byte), Ok(1)));
    }
}

#[test]
fn a_server_without_all_its_files_does_not_start_and_says_why() {
    let (authority, other) = (Authority::new(), Authority::new());
    let empty = authority.file("empty.pem");
    fs::write(&empty, "").unwrap();
    let full = authority.api();
    let cases = [
        (ApiConfig { certificate: None, ..full.clone() }, "api.certificate"),
        (ApiConfig { key: None, ..full.clone() }, "api.key"),
        (ApiConfig { client_ca: None, ..full.clone() }, "api.client-ca"),
        (
            ApiConfig { certificate: Some("/nowhere.pem".into()), ..full.clone() },
            "cannot read the certificate /nowhere.pem",
        ),
        (
            ApiConfig { key: Some(authority.file("server.pem")), ..full.clone() },
            "there is no key in",
        ),
        (
            ApiConfig { client_ca: Some(empty), ..full.clone() },
            "api.client-ca: there is no authority in",
        ),
        (ApiConfig { key: Some(other.file("server.key")), ..full.clone() }, "do not go together"),
        (
            ApiConfig { listen: Some("192.0.2.1:1".parse().unwrap()), ..full },
            "cannot listen on 192.0.2.1:1",
        ),
    ];
    for (api, words) in cases {
        let dir = tempfile::tempdir().unwrap();
        let fake = Arc::new(Fake::new(some()));
        let error = Server::start(&dir.path().join("s"), &api, fake).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{error}");
    }
}

#[test]
fn a_client_says_what_is_wrong_with_its_own_arguments() {
    let authority = Authority::new();
    let (ca, certificate, key) =
        (authority.file("ca.pem"), authority.file("client.pem"), authority.file("client.key"));
    let tls = |address: &str, ca: &Path, certificate: &Path, key: &Path| {
        Client::tls(address, ca, certificate, key).unwrap_err().to_string()
    };
    assert!(tls("host", &ca, &certificate, &key).contains("HOST:PORT"));
    assert!(tls("host:x", &ca, &certificate, &key).contains("HOST:PORT"));
    assert!(tls("a b:1", &ca, &certificate, &key).contains("no name of a host"));
    assert!(
        tls("h:1", Path::new("/nowhere"), &certificate, &key).contains("cannot read the authority")
    );
    assert!(tls("h:1", &ca, &key, &key).contains("there is no certificate"));
    assert!(
        tls("h:1", &ca, &certificate, &authority.file("server.key")).contains("do not go together")
    );
    let nobody = Client::tls("127.0.0.1:1", &ca, &certificate, &key).unwrap();
    let error = nobody.get::<Status>("/v1/status").unwrap_err().to_string();
    assert!(error.contains("no switch listens at 127.0.0.1:1"), "{error}");
}
