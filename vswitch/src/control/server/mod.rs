//! The answering side: sockets, connections and their bounds. What is answered is [`api`](super::api)'s.
//!
//! One thread waits for all clients; it never asks the switch itself, since that may wait for a change to be made:
//! [`MAX_CALLS`](limits::MAX_CALLS) other threads do. None of them is a worker's.
//!
//! A client is bounded in bytes and in time at each step, and clients in number: see [`limits`] and [`places`].

mod connection;
pub mod limits;
mod places;
mod socket;
mod stall;
mod tls;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use axum::Router;
use rustls::ServerConfig;
use thiserror::Error;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use tracing::{info, warn};

use super::{Control, api};
use crate::config::ApiConfig;
use connection::{Door, Listener};
use limits::{ENDING_TIME, Limits, MAX_CALLS};
pub(super) use places::{Busy, Place};
use socket::LocalSocket;
pub use tls::TlsError;
pub(super) use tls::{authorities, certificates, private_key, provider};

/// Why the server could not be started. Nothing of it is left then.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The control socket.
    #[error("cannot listen on the control socket {path}: {error}", path = path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// There is no such group.
    #[error(
        "api.socket-group: there is no group '{0}' in /etc/group; make it, or give the number of one that is kept elsewhere"
    )]
    NoGroup(String),
    /// The control socket cannot be given to its group.
    #[error(
        "api.socket-group: cannot give the control socket to group {group}: {error}; the switch's own user must be a member of it, or root"
    )]
    Group {
        /// The group's number.
        group: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// A file that TLS needs is not said.
    #[error(
        "api.listen needs api.{0}: the API speaks by TCP only with TLS and client certificates, with the files that certificate, key and client-ca name"
    )]
    Incomplete(&'static str),
    /// A file of TLS is not there or wrong.
    #[error("api.{key}: {error}")]
    Tls {
        /// The key that names the file.
        key: &'static str,
        /// What is wrong.
        error: TlsError,
    },
    /// The TCP address.
    #[error("api.listen: cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The system refused a thread or a descriptor.
    #[error("cannot start the API's thread: {0}")]
    Start(io::Error),
}

/// An API that is being served. Dropping it ends it: no new client is answered, answers under way are finished
/// within [`ENDING_TIME`], the socket is removed.
#[derive(Debug)]
pub struct Server {
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    _socket: LocalSocket,
}

impl Server {
    /// Makes the socket, at a path where nobody listens, and answers for `control`.
    ///
    /// # Errors
    /// What of the sockets, certificates or threads is not to be had.
    pub fn start(
        path: &Path,
        config: &ApiConfig,
        control: Arc<dyn Control>,
    ) -> Result<Self, ServerError> {
        Self::start_with(path, config, control, Limits::default())
    }

    /// The same with other bounds.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_with(
        path: &Path,
        config: &ApiConfig,
        control: Arc<dyn Control>,
        limits: Limits,
    ) -> Result<Self, ServerError> {
        let group = config.socket_group.as_deref().map(socket::group).transpose()?;
        let remote = remote(config)?;
        let address = match &remote {
            Some((listener, _)) => Some(listener.local_addr().map_err(ServerError::Start)?),
            None => None,
        };
        let socket = LocalSocket::listen(path, config.socket_mode.bits(), group)?;
        let local = socket.listener().map_err(ServerError::Start)?;
        let (stop, stopped) = watch::channel(false);
        let router = api::router(control, limits, stopped.clone());
        let runtime = runtime().map_err(ServerError::Start)?;
        let doors = doors(&runtime, local, remote).map_err(ServerError::Start)?;
        let thread = std::thread::Builder::new()
            .name("api".into())
            .spawn(move || serve(runtime, doors, router, limits, stopped))
            .map_err(ServerError::Start)?;
        if let Some(address) = address {
            info!("the API listens on {address}");
        }
        Ok(Self { address, stop, thread: Some(thread), _socket: socket })
    }

    /// Where it listens by TCP.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!("the API's thread panicked");
        }
    }
}

/// What is listened to by TCP, if anything.
fn remote(config: &ApiConfig) -> Result<Option<(TcpListener, ServerConfig)>, ServerError> {
    let Some(address) = config.listen else { return Ok(None) };
    let given = |key, path: &Option<PathBuf>| path.clone().ok_or(ServerError::Incomplete(key));
    let certificate = given("certificate", &config.certificate)?;
    let key = given("key", &config.key)?;
    let client_ca = given("client-ca", &config.client_ca)?;
    let tls = tls::server_config(&certificate, &key, &client_ca)
        .map_err(|(key, error)| ServerError::Tls { key, error })?;
    Ok(Some((socket::listen_tcp(address)?, tls)))
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(MAX_CALLS)
        .thread_name("api-call")
        .build()
}

fn doors(
    runtime: &Runtime,
    local: UnixListener,
    remote: Option<(TcpListener, ServerConfig)>,
) -> io::Result<Vec<Door>> {
    let _within = runtime.enter();
    let mut doors = vec![Door::new(Listener::Local(tokio::net::UnixListener::from_std(local)?))];
    if let Some((listener, tls)) = remote {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        doors.push(Door::new(Listener::Remote(listener, Arc::new(tls).into())));
    }
    Ok(doors)
}

/// The API's thread.
fn serve(
    runtime: Runtime,
    doors: Vec<Door>,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    runtime.block_on(async move {
        let doors: Vec<_> = doors
            .into_iter()
            .map(|door| tokio::spawn(door.attend(router.clone(), limits, stopped.clone())))
            .collect();
        // It fails when the sender is gone, which is the end as well.
        let _ended = stopped.wait_for(|stopped| *stopped).await;
        for door in doors {
            if let Err(error) = door.await {
                warn!("a part of the API ended badly: {error}");
            }
        }
    });
    // A change under way is finished, or is still being made when the switch waits for it.
    runtime.shutdown_timeout(ENDING_TIME);
}
