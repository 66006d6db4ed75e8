//! Connections to a switch.

use std::{
    error::Error,
    fmt, fs,
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use super::ClientError;
use crate::control::server::{TlsError, authorities, certificates, private_key, provider};

/// How long a connection, and then the handshake of TLS, may take.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// Between two tries, when there is no place to wait in at the socket.
const KNOCK_AGAIN: Duration = Duration::from_millis(10);

/// Which switch.
#[derive(Clone)]
pub(super) enum Target {
    /// By its control socket.
    Unix(PathBuf),
    /// By TLS.
    Tls {
        /// `HOST:PORT`.
        address: String,
        /// Whom its certificate must name.
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
    },
}

pub(super) type Connection = SendRequest<Full<Bytes>>;

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tls { address, .. } => f.write_str(address),
        }
    }
}

impl Target {
    pub(super) fn tls(
        address: &str,
        ca: &Path,
        certificate: &Path,
        key: &Path,
    ) -> Result<Self, ClientError> {
        let wrong = |error: TlsError| ClientError::Argument(error.to_string());
        let host = match address.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            _ => {
                let sentence = format!("'{address}' is no HOST:PORT, such as switch1:6650");
                return Err(ClientError::Argument(sentence));
            }
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|error| {
            ClientError::Argument(format!("'{host}' is no name of a host: {error}"))
        })?;
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::Argument(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(authorities(ca, "authority").map_err(wrong)?)
            .with_client_auth_cert(
                certificates(certificate, "certificate").map_err(wrong)?,
                private_key(key).map_err(wrong)?,
            )
            .map_err(|error| {
                let (certificate, key) = (certificate.display(), key.display());
                ClientError::Argument(format!(
                    "the certificate {certificate} and the key {key} do not go together: {error}"
                ))
            })?;
        Ok(Self::Tls { address: address.to_owned(), name, config: Arc::new(config) })
    }

    /// What a request's `host` says.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Tls { address, .. } => address,
        }
    }

    pub(super) async fn connect(&self) -> Result<Connection, ClientError> {
        match self {
            Self::Unix(path) => {
                let socket = knock(path).await;
                self.talk(socket.map_err(|error| refused(path, error))?).await
            }
            Self::Tls { address, name, config } => {
                let nobody = |error| ClientError::NobodyThere { place: address.clone(), error };
                let late = || io::Error::from(ErrorKind::TimedOut);
                let socket = match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
                    Ok(socket) => socket.map_err(nobody)?,
                    Err(_) => return Err(nobody(late())),
                };
                let tls = TlsConnector::from(Arc::clone(config)).connect(name.clone(), socket);
                let socket = match timeout(CONNECT_TIME, tls).await {
                    Ok(socket) => socket.map_err(|error| self.distrust(&error))?,
                    Err(_) => return Err(nobody(late())),
                };
                self.talk(socket).await
            }
        }
    }

    async fn talk(
        &self,
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Connection, ClientError> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(socket)).await.map_err(|error| self.lost(&error))?;
        tokio::spawn(async move {
            // Whoever waits for an answer is told the same.
            let _told = connection.await;
        });
        Ok(sender)
    }

    /// What a connection's end before its answer means.
    pub(super) fn lost(&self, error: &hyper::Error) -> ClientError {
        let mut cause: &dyn Error = error;
        loop {
            // With TLS 1.3 the other side's opinion of our certificate comes after the handshake.
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                let place = self.to_string();
                return ClientError::Distrust { place, error: opinion(error) };
            }
            if let Some(error) = cause.downcast_ref::<io::Error>()
                && let Some(inner) =
                    error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>())
            {
                let place = self.to_string();
                return ClientError::Distrust { place, error: opinion(inner) };
            }
            match cause.source() {
                Some(next) => cause = next,
                None => break,
            }
        }
        ClientError::Lost { place: self.to_string(), error: cause.to_string() }
    }

    fn distrust(&self, error: &io::Error) -> ClientError {
        let inner = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let said = inner.map_or_else(|| error.to_string(), opinion);
        ClientError::Distrust { place: self.to_string(), error: said }
    }
}

/// Connects, if need be as soon as fewer others want to.
async fn knock(path: &Path) -> io::Result<UnixStream> {
    let until = Instant::now() + CONNECT_TIME;
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                tokio::time::sleep(KNOCK_AGAIN).await;
            }
            either => return either,
        }
    }
}

/// Who objects to what, and what to do.
fn opinion(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => format!(
            "its certificate is not accepted ({reason}): --ca has to name the authority that signed it, and the certificate the host as it is written in --connect"
        ),
        rustls::Error::AlertReceived(alert) => format!(
            "it does not accept our certificate ({alert:?}): --certificate has to be signed by the authority that its api.client-ca names"
        ),
        error => error.to_string(),
    }
}

/// Why a control socket does not answer.
fn refused(path: &Path, error: io::Error) -> ClientError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory => {
            ClientError::NoSwitch { path: path.to_owned() }
        }
        ErrorKind::PermissionDenied => {
            let who = match fs::metadata(path) {
                Ok(socket) => {
                    let mode = socket.permissions().mode() & 0o777;
                    let (user, group) = (socket.uid(), socket.gid());
                    if mode & 0o020 == 0 {
                        format!("its owner (user {user}) and root alone")
                    } else {
                        format!("its owner (user {user}), members of group {group}, and root")
                    }
                }
                Err(_) => "those who may enter its directory".to_owned(),
            };
            ClientError::Denied { path: path.to_owned(), who }
        }
        ErrorKind::WouldBlock => {
            let error = io::Error::new(error.kind(), "too many others want to, try again later");
            ClientError::NotConnected { place: path.display().to_string(), error }
        }
        _ => ClientError::NotConnected { place: path.display().to_string(), error },
    }
}
