//! The route of captures.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
};
use hyper::body::Frame;

use super::{
    Stopping,
    answer::{Answer, Failure, PCAPNG, Problem, with_type},
    call::Call,
    responses::Reading,
};
use crate::control::{CaptureRequest, CaptureStream, server::Busy};

/// The keys that this room reads; what else the query says is the capture's to judge.
const OWN: [&str; 3] = ["port", "filter", "snaplen"];

/// Capture frames
///
/// The answer is a pcapng file that goes on until the client leaves, a limit is reached or the switch ends. What the
/// client reads too slowly is lost, and counted in the file's interface statistics, which come every second and at the
/// end.
#[utoipa::path(get, path = "/v1/capture", tag = "capture", operation_id = "capture",
    params(
        ("port" = Vec<String>, Query, description = "A port, again for each; or `all` that there are now."),
        ("filter" = Option<String>, Query, description = "Only frames that match, in the words of pcap-filter(7)."),
        ("snaplen" = Option<u32>, Query, description = "The most bytes of a frame."),
        ("direction" = Option<String>, Query, description = "`rx` is into the switch, `tx` out of it; else `both`."),
        ("drops-only" = Option<bool>, Query, description = "Only frames that the switch drops. Each has the reason as its comment."),
        ("count" = Option<u64>, Query, description = "Ends after so many frames."),
        ("duration" = Option<u64>, Query, description = "Ends after so many seconds.")),
    responses((status = 200, description = "The capture.", body = [u8], content_type = "application/x-pcapng"),
        (status = 409, description = "As many captures run as may.", body = Problem), Reading))]
pub(super) async fn capture(call: Call) -> Answer {
    let request = request(&call)?;
    let busy = call.busy();
    let stream = call.alone(move |control| Ok(control.capture(request)?)).await?;
    let stopping = Some(call.api.stopping());
    let stream = Streamed { stream, stopping, _busy: busy };
    Ok(with_type(StatusCode::OK, PCAPNG, Body::new(stream)))
}

fn request(call: &Call) -> Result<CaptureRequest, Failure> {
    let keys: Vec<_> = call.query().iter().map(|(key, _)| key.as_str()).collect();
    let words = call.words(&keys)?;
    let ports: Vec<_> = words.all("port").map(ToOwned::to_owned).collect();
    if ports.is_empty() {
        return Err(Failure::bad("the query says no port: port=NAME, again for each").key("port"));
    }
    let snaplen = words.one("snaplen")?.map(|text| {
        text.parse().map_err(|_| {
            let text = text.escape_debug();
            Failure::bad(format!("'{text}' is no number of bytes")).key("snaplen")
        })
    });
    let options: Vec<_> =
        call.query().iter().filter(|(key, _)| !OWN.contains(&key.as_str())).cloned().collect();
    for (key, _) in &options {
        words.one(key)?;
    }
    Ok(CaptureRequest {
        ports,
        filter: words.one("filter")?.map(ToOwned::to_owned),
        snaplen: snaplen.transpose()?,
        options,
    })
}

/// A capture on its way to a client. Dropping it ends the capture.
struct Streamed {
    stream: CaptureStream,
    stopping: Option<Stopping>,
    _busy: Option<Busy>,
}

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let stopping = self.stopping.as_mut();
        if stopping.is_some_and(|stopping| stopping.as_mut().poll(context).is_ready()) {
            // What was handed over before is still sent.
            self.stopping = None;
            self.stream.close();
        }
        self.stream.poll_next(context).map(|piece| Some(Ok(Frame::data(piece?))))
    }
}
