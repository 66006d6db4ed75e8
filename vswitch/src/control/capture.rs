//! What the API and a capture hand each other: a request, and a bounded stream of bytes with an end.

use axum::body::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;

/// What is to be captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureRequest {
    /// The names of the ports; at least one.
    pub ports: Vec<String>,
    /// Which frames; all if there is none.
    pub filter: Option<String>,
    /// The most bytes of a frame; all if there is none.
    pub snaplen: Option<u32>,
    /// Anything else that the query says, `key` and `value` in order: the capture room's own words.
    pub options: Vec<(String, String)>,
}

/// The bytes of a running capture. Dropping it ends the capture: its [`CaptureSink`] learns it with its next send.
#[derive(Debug)]
pub struct CaptureStream(mpsc::Receiver<Bytes>);

/// The capture's end of a [`CaptureStream`]. Dropping it ends the stream in order.
#[derive(Debug)]
pub struct CaptureSink(mpsc::Sender<Bytes>);

/// Why bytes were not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SinkError {
    /// As many pieces wait as may: the client reads too slowly. These are lost.
    #[error("the client reads too slowly")]
    Full,
    /// Nobody reads any more.
    #[error("the client is gone")]
    Closed,
}

/// Both ends of a stream in which at most `pieces` pieces wait.
#[must_use]
pub fn capture_stream(pieces: usize) -> (CaptureSink, CaptureStream) {
    let (sender, receiver) = mpsc::channel(pieces.max(1));
    (CaptureSink(sender), CaptureStream(receiver))
}

impl CaptureSink {
    /// Hands over a piece without waiting.
    ///
    /// # Errors
    /// If there is no room or nobody reads any more; the bytes are lost then.
    pub fn try_send(&self, bytes: impl Into<Bytes>) -> Result<(), SinkError> {
        self.0.try_send(bytes.into()).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SinkError::Full,
            mpsc::error::TrySendError::Closed(_) => SinkError::Closed,
        })
    }

    /// Hands over a piece, waiting for room. Not for a thread of a worker, nor for one of the API's.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub fn send(&self, bytes: impl Into<Bytes>) -> Result<(), SinkError> {
        self.0.blocking_send(bytes.into()).map_err(|_| SinkError::Closed)
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

impl CaptureStream {
    /// Takes nothing more: what was sent before still comes, and then the end.
    pub fn close(&mut self) {
        self.0.close();
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }

    /// The next piece as soon as `context`'s task may have it.
    pub fn poll_next(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Bytes>> {
        self.0.poll_recv(context)
    }

    /// The next piece, waited for by a thread that is none of a runtime's; `None` at the end.
    pub fn blocking_next(&mut self) -> Option<Bytes> {
        self.0.blocking_recv()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_then_the_end() {
        let (sink, mut stream) = capture_stream(2);
        assert_eq!(sink.try_send("a"), Ok(()));
        assert_eq!(sink.send("b"), Ok(()));
        assert_eq!(sink.try_send("c"), Err(SinkError::Full));
        drop(sink);
        assert_eq!(stream.blocking_next().as_deref(), Some(&b"a"[..]));
        assert_eq!(stream.blocking_next().as_deref(), Some(&b"b"[..]));
        assert_eq!(stream.blocking_next(), None);
    }

    #[test]
    fn a_closed_stream_still_has_what_was_sent() {
        let (sink, mut stream) = capture_stream(2);
        assert_eq!(sink.send("a"), Ok(()));
        stream.close();
        assert_eq!(sink.try_send("b"), Err(SinkError::Closed));
        assert_eq!(stream.blocking_next().as_deref(), Some(&b"a"[..]));
        assert_eq!(stream.blocking_next(), None);
    }

    #[test]
    fn a_sink_learns_that_nobody_reads() {
        let (sink, stream) = capture_stream(1);
        assert!(!sink.is_closed());
        drop(stream);
        assert!(sink.is_closed());
        assert_eq!(sink.try_send("a"), Err(SinkError::Closed));
        assert_eq!(sink.send("a"), Err(SinkError::Closed));
    }
}
