//! Asking a switch, and showing what it says.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Failure,
    arguments::{
        Asking, BridgeVerb, LogVerb, MacVerb, Making, MirrorVerb, Named, Output, PortVerb, Setting,
        Stations, Which,
    },
    request::{self, Body, Request},
    screen::{self, Look},
    show,
    units::things,
};
use crate::{
    control::{
        Changes, Client, ClientError, Drop, Station, Status,
        object::{BridgeItem, MirrorItem, PortItem},
    },
    switch::rundir::CONTROL_SOCKET,
};

/// The switch that is meant.
pub(super) fn client(which: &Which) -> Result<Client, Failure> {
    let Which { rundir, connect, ca, certificate, key } = which;
    let (Some(address), Some(ca), Some(certificate), Some(key)) = (connect, ca, certificate, key)
    else {
        return Ok(Client::unix(rundir.join(CONTROL_SOCKET)));
    };
    Client::tls(address, ca, certificate, key).map_err(|error| Failure::Failed(error.to_string()))
}

/// What is said of the switch that is meant.
pub(super) fn name(which: &Which) -> String {
    which.connect.clone().unwrap_or_else(|| which.rundir.display().to_string())
}

/// Asks, and gives the answer as it came.
pub(super) fn exchange(client: &Client, request: &Request) -> Result<Value, Failure> {
    let Request { method, path, body } = request;
    let answer = match body {
        Body::Json(body) => client.send(method.clone(), path, body),
        Body::Toml(text) => client.send_toml(method.clone(), path, text),
        Body::None if *method == hyper::Method::DELETE => client.delete(path),
        Body::None => client.get(path),
    };
    answer.map_err(|error| Failure::Failed(sentence(&error)))
}

/// The whole state of a switch.
pub(super) fn status(client: &Client) -> Result<Status, Failure> {
    client.get("/v1/status").map_err(|error| Failure::Failed(sentence(&error)))
}

/// An error with the key that it is about.
pub(super) fn sentence(error: &ClientError) -> String {
    let said = error.to_string();
    match error.key() {
        Some(key) if !key.is_empty() && !said.contains(key) => format!("{key}: {said}"),
        _ => said,
    }
}

/// Asks, and shows the answer: the JSON as it came, or a text.
pub(super) fn answer<T: DeserializeOwned>(
    asking: &Asking,
    request: &Request,
    text: impl FnOnce(&Client, T, &Look) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let client = client(&asking.which)?;
    let mut request = request.clone();
    if request.needs_bridge() {
        let bridges: Vec<BridgeItem> = read(exchange(&client, &Request::get("/v1/bridges"))?)?;
        let names: Vec<_> = bridges.into_iter().map(|bridge| bridge.name).collect();
        request = request.with_bridge(&names).map_err(Failure::Failed)?;
    }
    let answer = exchange(&client, &request)?;
    let text = match asking.shown.output {
        Output::Json => json(&answer),
        Output::Text => text(&client, read(answer)?, &Look::of_stdout(asking.shown.color))?,
    };
    Ok(screen::write(&text)?)
}

/// A document on lines of its own.
pub(super) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer)
        .map_err(|error| Failure::Failed(format!("the switch's answer is not understood: {error}")))
}

/// `strowger status`.
pub(super) fn show_status(asking: &Asking) -> Result<(), Failure> {
    answer(asking, &Request::get("/v1/status"), |_, status: Status, look| {
        Ok(show::status(&status, look))
    })
}

/// `strowger bridge …`.
pub(super) fn bridge(verb: &BridgeVerb) -> Result<(), Failure> {
    let request = request::bridge(verb).map_err(|error| Failure::usage(&error))?;
    match verb {
        BridgeVerb::Add { making, .. }
        | BridgeVerb::Set(Setting { making, .. })
        | BridgeVerb::Del(Named { making, .. }) => change(making, &request),
        BridgeVerb::List(asking) => answer(asking, &request, |_, items: Vec<BridgeItem>, look| {
            let bridges: Vec<_> = items.into_iter().filter_map(|item| item.status).collect();
            Ok(show::bridges(&bridges, look))
        }),
    }
}

/// `strowger port …`.
pub(super) fn port(verb: &PortVerb) -> Result<(), Failure> {
    let request = request::port(verb).map_err(|error| Failure::usage(&error))?;
    match verb {
        PortVerb::Add { making, .. }
        | PortVerb::Set(Setting { making, .. })
        | PortVerb::Del(Named { making, .. }) => change(making, &request),
        PortVerb::List(asking) => answer(asking, &request, |_, items: Vec<PortItem>, look| {
            let ports: Vec<_> = items.into_iter().filter_map(|item| item.status).collect();
            Ok(show::ports(&ports, look))
        }),
        PortVerb::Show { asking, .. } => {
            answer(asking, &request, |client, item: PortItem, look| {
                // Its queues and mirrors are told by all of the switch.
                Ok(show::port(&item, &status(client)?, look))
            })
        }
    }
}

/// `strowger mirror …`.
pub(super) fn mirror(verb: &MirrorVerb) -> Result<(), Failure> {
    let request = request::mirror(verb).map_err(|error| Failure::usage(&error))?;
    match verb {
        MirrorVerb::Add { making, .. }
        | MirrorVerb::Set(Setting { making, .. })
        | MirrorVerb::Del(Named { making, .. }) => change(making, &request),
        MirrorVerb::List(asking) => answer(asking, &request, |_, items: Vec<MirrorItem>, look| {
            Ok(show::mirrors(&items, look))
        }),
    }
}

/// `strowger mac …`.
pub(super) fn mac(verb: &MacVerb) -> Result<(), Failure> {
    let request = request::mac(verb);
    match verb {
        MacVerb::List(Stations { asking, .. }) => {
            answer(asking, &request, |_, stations: Vec<Station>, look| {
                Ok(show::stations(&stations, look))
            })
        }
        MacVerb::Flush(Stations { asking, .. }) => {
            answer(asking, &request, |_, flushed: crate::control::api::Flushed, _| {
                Ok(format!("forgot {}\n", things(flushed.stations, "station", "stations")))
            })
        }
    }
}

/// `strowger drops`.
pub(super) fn drops(flags: &super::arguments::DropsFlags) -> Result<(), Failure> {
    answer(&flags.asking, &request::drops(flags), |_, drops: Vec<Drop>, look| {
        Ok(show::drops(&drops, look))
    })
}

/// `strowger log level`.
pub(super) fn log(verb: &LogVerb) -> Result<(), Failure> {
    let LogVerb::Level { asking, .. } = verb;
    answer(asking, &request::log(verb), |_, level: crate::control::api::LogLevel, _| {
        Ok(format!("{}\n", level.level))
    })
}

/// Asks for a change, and says what it was.
fn change(making: &Making, request: &Request) -> Result<(), Failure> {
    answer(&making.asking, request, |_, changes: Changes, look| Ok(show::changes(&changes, look)))
}
