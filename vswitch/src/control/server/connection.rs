//! Clients, from the moment that they knock until they have gone.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::{
    limits::{ENDING_TIME, Limits, MAX_HEAD},
    places::{Place, Places},
    stall::Patient,
};

/// How long to wait when no connection can be accepted: out of descriptors, most likely.
const REST: Duration = Duration::from_secs(1);

/// Where clients come in.
#[derive(Debug)]
pub(super) struct Door {
    listener: Listener,
}

/// A socket of either kind.
pub(super) enum Listener {
    /// Whoever may connect may ask.
    Local(UnixListener),
    /// Who shows a certificate may ask.
    Remote(TcpListener, TlsAcceptor),
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local(_) => "Local",
            Self::Remote(..) => "Remote",
        })
    }
}

impl Door {
    pub(super) fn new(listener: Listener) -> Self {
        Self { listener }
    }

    /// Lets clients in until the server stops, and then waits for those within. Each door has its own places, so
    /// that whoever knocks from afar takes none from those who are here.
    pub(super) async fn attend(
        self,
        router: Router,
        limits: Limits,
        mut stopped: watch::Receiver<bool>,
    ) {
        let places = Places::new(limits.connections);
        let mut within = JoinSet::new();
        let until = stopped.clone();
        unless_stopped(&mut stopped, async {
            loop {
                let Some(client) = self.accept().await else { continue };
                let Some(place) = places.take().await else { return };
                let client = client.serve(place, router.clone(), limits, until.clone());
                within.spawn(client);
                while within.try_join_next().is_some() {}
            }
        })
        .await;
        drop(self);
        // Those who are not done by then are cut off.
        if timeout(ENDING_TIME, async { while within.join_next().await.is_some() {} })
            .await
            .is_err()
        {
            debug!("{} clients of the API are cut off", within.len());
        }
    }

    /// The next client; `None` if there is none after all.
    async fn accept(&self) -> Option<Client> {
        let accepted = match &self.listener {
            Listener::Local(listener) => {
                listener.accept().await.map(|(socket, _)| Client::Local(socket))
            }
            Listener::Remote(listener, tls) => listener
                .accept()
                .await
                .map(|(socket, from)| Client::Remote(socket, from, tls.clone())),
        };
        match accepted {
            Ok(client) => Some(client),
            Err(error) if is_of_the_client(&error) => None,
            Err(error) => {
                warn!("cannot accept a client of the API: {error}");
                tokio::time::sleep(REST).await;
                None
            }
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

enum Client {
    Local(tokio::net::UnixStream),
    Remote(tokio::net::TcpStream, std::net::SocketAddr, TlsAcceptor),
}

impl Client {
    /// Serves a client until it leaves, is pushed out, breaks a bound, or the server stops.
    async fn serve(
        self,
        place: Place,
        router: Router,
        limits: Limits,
        stopped: watch::Receiver<bool>,
    ) {
        let mut pushed_out = pin!(place.pushed_out());
        let served = async {
            match self {
                Self::Local(socket) => converse(socket, &place, router, limits, stopped).await,
                Self::Remote(socket, from, tls) => {
                    let handshake = tls.accept(Patient::new(socket, limits.stall_time));
                    match timeout(limits.handshake_time, handshake).await {
                        Ok(Ok(socket)) => converse(socket, &place, router, limits, stopped).await,
                        Ok(Err(error)) => debug!("{from} was not let in: {error}"),
                        Err(_) => debug!("{from} took too long for its handshake"),
                    }
                }
            }
        };
        let mut served = pin!(served);
        poll_fn(|context| {
            if pushed_out.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            served.as_mut().poll(context)
        })
        .await;
    }
}

/// Answers requests, one after the other.
async fn converse(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    place: &Place,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(place.clone());
        router.clone().oneshot(request)
    });
    let socket = TokioIo::new(Patient::new(socket, limits.stall_time));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(MAX_HEAD)
        .serve_connection(socket, service);
    let mut connection = pin!(connection);
    let mut stop = pin!(stopped.wait_for(|stopped| *stopped));
    let mut is_stopping = false;
    let ended = poll_fn(|context| {
        if !is_stopping && stop.as_mut().poll(context).is_ready() {
            is_stopping = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    if let Err(error) = ended.await {
        debug!("a client of the API was cut off: {error}");
    }
}

/// Does something until the server stops.
async fn unless_stopped(stopped: &mut watch::Receiver<bool>, work: impl Future<Output = ()>) {
    let mut stop = pin!(stopped.wait_for(|stopped| *stopped));
    let mut work = pin!(work);
    poll_fn(|context| {
        if stop.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        work.as_mut().poll(context)
    })
    .await;
}
