//! Rates: of the second after the question, or again and again.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Failure,
    arguments::{Asking, Output, StatsFlags},
    ask,
    rates::{Between, Sample},
    request::Request,
    screen::{self, Look},
    show,
};
use crate::control::Status;

/// The time between two samples if the user does not say.
const SECOND: Duration = Duration::from_secs(1);

/// What is looked at.
trait View {
    /// What can be said at once for programs: a path of the API.
    fn path(&self) -> &'static str;
    /// The part of its answer.
    fn part(&self, answer: Value) -> Value;
    /// Whether it is there.
    fn check(&self, status: &Status) -> Result<(), Failure>;
    /// A page for people.
    fn page(&self, before: &Sample, now: &Sample, look: &Look) -> String;
    /// Lines for programs, with a heading if there is no `first` sample yet.
    fn lines(&self, before: &Sample, now: &Sample, first: Option<Instant>) -> String;
    /// An object for programs.
    fn object(&self, before: &Sample, now: &Sample) -> Value;
}

/// Ports.
struct Ports<'a>(&'a [String]);

/// Workers.
struct Workers;

/// `strowger stats`.
pub(super) fn stats(flags: &StatsFlags) -> Result<(), Failure> {
    watch(&Ports(&flags.ports), &flags.asking, flags.watch)
}

/// `strowger worker list`.
pub(super) fn workers(asking: &Asking, every: Option<Duration>) -> Result<(), Failure> {
    watch(&Workers, asking, every)
}

fn watch(view: &impl View, asking: &Asking, every: Option<Duration>) -> Result<(), Failure> {
    let client = ask::client(&asking.which)?;
    let in_json = asking.shown.output == Output::Json;
    let sample = || Ok::<_, Failure>(Sample { status: ask::status(&client)?, at: Instant::now() });
    let mut before = sample()?;
    view.check(&before.status)?;
    if in_json && every.is_none() {
        let answer = ask::exchange(&client, &Request::get(view.path()))?;
        return Ok(screen::write(&ask::json(&view.part(answer)))?);
    }
    let mut first = None;
    loop {
        thread::sleep(every.unwrap_or(SECOND));
        let now = sample()?;
        // The terminal's size may have changed.
        let look = Look::of_stdout(asking.shown.color);
        let text = if in_json {
            format!("{}\n", view.object(&before, &now))
        } else if every.is_none() {
            view.page(&before, &now, &look)
        } else if look.width.is_none() {
            view.lines(&before, &now, first)
        } else {
            redrawn(&view.page(&before, &now, &look), &look)
        };
        screen::write(&text)?;
        if every.is_none() {
            return Ok(());
        }
        first = first.or(Some(before.at));
        before = now;
    }
}

/// A page in place of the one before, cut to what the terminal shows.
fn redrawn(page: &str, look: &Look) -> String {
    let room = usize::from(look.height.unwrap_or(u16::MAX)).saturating_sub(1).max(2);
    let lines: Vec<_> = page.lines().collect();
    let mut text = "\x1b[H\x1b[J".to_owned();
    if lines.len() <= room {
        return text + page;
    }
    for line in lines.iter().take(room - 1) {
        text += line;
        text.push('\n');
    }
    let left = lines.len() - (room - 1);
    text + &format!("({left} lines more: name what you want, or see `strowger top`)\n")
}

impl View for Ports<'_> {
    fn path(&self) -> &'static str {
        "/v1/status"
    }

    fn part(&self, mut answer: Value) -> Value {
        let mut ports = answer.get_mut("ports").map(Value::take).unwrap_or_default();
        if let Value::Array(ports) = &mut ports {
            let name = |port: &Value| Some(port.get("name")?.as_str()?.to_owned());
            ports.retain(|port| {
                self.0.is_empty() || name(port).is_some_and(|name| self.0.contains(&name))
            });
        }
        ports
    }

    fn check(&self, status: &Status) -> Result<(), Failure> {
        let there = |name: &String| status.ports.iter().any(|port| port.name == *name);
        match self.0.iter().find(|name| !there(name)) {
            None => Ok(()),
            Some(name) => Err(Failure::Failed(format!(
                "there is no port {name}; `strowger port list` shows those that there are"
            ))),
        }
    }

    fn page(&self, before: &Sample, now: &Sample, look: &Look) -> String {
        show::stats(before, now, self.0, look)
    }

    fn lines(&self, before: &Sample, now: &Sample, first: Option<Instant>) -> String {
        show::rate_lines(before, now, self.0, first)
    }

    fn object(&self, before: &Sample, now: &Sample) -> Value {
        let between = Between::new(before, now);
        let ports: Vec<_> = show::chosen(&now.status.ports, self.0)
            .map(|port| json!({"name": port.name, "rates": between.port(port)}))
            .collect();
        json!({"seconds": between.seconds(), "ports": ports})
    }
}

impl View for Workers {
    fn path(&self) -> &'static str {
        "/v1/workers"
    }

    fn part(&self, answer: Value) -> Value {
        answer
    }

    fn check(&self, _: &Status) -> Result<(), Failure> {
        Ok(())
    }

    fn page(&self, before: &Sample, now: &Sample, look: &Look) -> String {
        show::workers(before, now, look)
    }

    fn lines(&self, before: &Sample, now: &Sample, first: Option<Instant>) -> String {
        show::worker_lines(before, now, first)
    }

    fn object(&self, before: &Sample, now: &Sample) -> Value {
        let between = Between::new(before, now);
        let workers: Vec<_> = now
            .status
            .workers
            .iter()
            .map(|worker| json!({"core": worker.core, "rates": between.worker(worker)}))
            .collect();
        json!({"seconds": between.seconds(), "workers": workers})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Port, Worker};

    fn samples() -> (Sample, Sample) {
        let at = Instant::now();
        let status = |frames| Status {
            ports: ["vm1", "vm2"]
                .map(|name| Port { name: name.into(), rx_frames: frames, ..Port::default() })
                .to_vec(),
            workers: vec![Worker {
                core: 3,
                frames,
                alive_nanos: frames * 1000,
                busy_nanos: frames * 500,
                ..Worker::default()
            }],
            ..Status::default()
        };
        let later = at + Duration::from_secs(2);
        (Sample { at, status: status(100) }, Sample { at: later, status: status(300) })
    }

    #[test]
    fn programs_get_rates_as_objects() {
        let (before, now) = samples();
        let only = ["vm2".to_owned()];
        let object = Ports(&only).object(&before, &now);
        assert_eq!(object["seconds"], 2.0);
        assert_eq!(object["ports"].as_array().unwrap().len(), 1);
        assert_eq!(object["ports"][0]["name"], "vm2");
        assert_eq!(object["ports"][0]["rates"]["rx_frames_per_second"], 100.0);
        let object = Workers.object(&before, &now);
        assert_eq!(object["workers"][0]["core"], 3);
        assert_eq!(object["workers"][0]["rates"]["load"], 0.5);
        assert_eq!(object["workers"][0]["rates"]["nanos_a_frame"], 500.0);
        assert_eq!(object["workers"][0]["rates"]["batch"], Value::Null);
    }

    #[test]
    fn programs_get_the_ports_of_the_status() {
        let answer = json!({"pid": 7, "ports": [{"name": "vm1", "x": 1}, {"name": "vm2"}]});
        assert_eq!(
            Ports(&["vm1".to_owned()]).part(answer.clone()),
            json!([{"name": "vm1", "x": 1}])
        );
        assert_eq!(Ports(&[]).part(answer).as_array().unwrap().len(), 2);
        let (_, now) = samples();
        assert!(Ports(&["vm2".to_owned()]).check(&now.status).is_ok());
        let error = Ports(&["vm3".to_owned()]).check(&now.status).unwrap_err();
        assert!(matches!(error, Failure::Failed(said) if said.starts_with("there is no port vm3")));
    }

    #[test]
    fn a_page_that_is_too_long_is_cut_and_says_so() {
        let look = Look { height: Some(5), ..Look::plain() };
        let page = "1\n2\n3\n4\n5\n6\n";
        let text = redrawn(page, &look);
        assert!(text.starts_with("\x1b[H\x1b[J1\n2\n3\n(3 lines more: "), "{text}");
        assert_eq!(text.lines().count(), 4);
        assert_eq!(redrawn("1\n2\n", &look), "\x1b[H\x1b[J1\n2\n");
    }
}
