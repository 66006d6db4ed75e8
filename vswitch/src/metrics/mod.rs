//! The state of a switch for Prometheus, in its text format 0.0.4.
//!
//! * [`families`]: every metric, once: its name, its meaning, and where in a [`Status`] its values are. What is
//!   rendered and what `docs/reference/metrics.md` says both come from there.
//!
//! There is no registry: all values are counted elsewhere already, and rendered from one [`Status`] at the moment
//! that they are asked for. (A library with a registry would keep each value a second time, and a collector of it
//! would have to be written for every metric all the same.)
//!
//! Names by the [conventions](https://prometheus.io/docs/practices/naming/): base units, `_total` for what only
//! grows, a family for each thing that may be summed or averaged. A port that goes takes its series with it.

mod families;

use std::fmt::Write;

use crate::control::Status;
pub use families::FAMILIES;

/// The `Content-Type` of what [`render`] makes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the daemon lives.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One metric, with a value for each set of labels.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Writes its values.
    values: fn(&Status, &mut Values<'_>),
}

/// Where a family's values go.
#[derive(Debug)]
struct Values<'a> {
    out: &'a mut String,
    family: &'a Family,
}

impl Kind {
    /// The format's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Bytes that a port takes, about.
const BYTES_A_PORT: usize = 1024;

/// All metrics of this moment.
#[must_use]
pub fn render(status: &Status) -> String {
    let mut out = String::with_capacity((status.ports.len() + 16) * BYTES_A_PORT);
    for family in FAMILIES {
        let Family { name, kind, help, .. } = family;
        put(&mut out, format_args!("# HELP {name} "));
        escape(&mut out, help, false);
        put(&mut out, format_args!("\n# TYPE {name} {}\n", kind.word()));
        (family.values)(status, &mut Values { out: &mut out, family });
    }
    out
}

/// The reference of all metrics, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         <!-- Written from vswitch/src/metrics/families.rs: `UPDATE_DOCS=1 cargo nextest run -p strowger-vswitch \
         --test metrics` writes it anew. -->\n\n\
         What `GET /metrics` says, in the text format of Prometheus. rx is into the switch, tx out of it. A port that \
         is deleted takes its series with it. How to scrape it, and a dashboard: [operations](../operations.md#metrics).\n\n\
         | metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for Family { name, kind, help, labels, .. } in FAMILIES {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.word(), labels.join(", "));
        put(&mut out, format_args!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    out
}

impl Values<'_> {
    /// A whole number, with the values of the family's labels in their order.
    fn put<const N: usize>(&mut self, labels: [&str; N], value: u64) {
        self.begin(&labels);
        put(self.out, format_args!(" {value}\n"));
    }

    /// Seconds, from nanoseconds.
    fn put_seconds<const N: usize>(&mut self, labels: [&str; N], nanos: u64) {
        const SECOND: u64 = 1_000_000_000;
        self.begin(&labels);
        put(self.out, format_args!(" {}.{:09}\n", nanos / SECOND, nanos % SECOND));
    }

    fn begin(&mut self, values: &[&str]) {
        debug_assert_eq!(values.len(), self.family.labels.len(), "{}", self.family.name);
        self.out.push_str(self.family.name);
        for (number, (label, value)) in self.family.labels.iter().zip(values).enumerate() {
            self.out.push(if number == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            escape(self.out, value, true);
            self.out.push('"');
        }
        if !values.is_empty() {
            self.out.push('}');
        }
    }
}

/// Text in which a backslash, a line's end and, in a label, a quotation mark have a meaning of their own.
fn escape(out: &mut String, text: &str, label: bool) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if label => out.push_str("\\\""),
            letter => out.push(letter),
        }
    }
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _written = out.write_fmt(text);
}
