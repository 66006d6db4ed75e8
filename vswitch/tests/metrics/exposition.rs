//! A strict reader of Prometheus' text format 0.0.4, and of the conventions that `promtool check metrics` holds.

use std::collections::BTreeSet;

/// All that was exposed.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    pub(crate) families: Vec<Family>,
}

/// One metric.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

/// One value.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, wanted: &str) -> Option<&str> {
        let (_, value) = self.labels.iter().find(|(name, _)| name == wanted)?;
        Some(value)
    }
}

impl Exposition {
    #[track_caller]
    pub(crate) fn family(&self, name: &str) -> &Family {
        let mut found = self.families.iter().filter(|family| family.name == name);
        found.next().unwrap_or_else(|| panic!("there is no metric {name}"))
    }

    /// The value with exactly these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_it = |sample: &&Sample| {
            sample.labels.len() == labels.len()
                && labels.iter().all(|(label, value)| sample.label(label) == Some(value))
        };
        self.family(name).samples.iter().find(is_it).map(|sample| sample.value)
    }
}

/// Reads an exposition in which each family has its HELP, then its TYPE, then all its samples.
pub(crate) fn read(text: &str) -> Result<Exposition, String> {
    let mut read = Exposition::default();
    let mut seen = BTreeSet::new();
    let mut help: Option<(String, String)> = None;
    let Some(text) = text.strip_suffix('\n') else { return Err("the last line has no end".into()) };
    for line in text.split('\n') {
        let wrong = |why: &str| format!("{why}: {line:?}");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').ok_or_else(|| wrong("no help"))?;
            if !is_metric_name(name) || !seen.insert(name.to_owned()) {
                return Err(wrong("a bad name, or a family in two places"));
            }
            help = Some((name.to_owned(), unescape(text, false).ok_or_else(|| wrong("bad help"))?));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(|| wrong("no type"))?;
            let Some((_, help)) = help.take().filter(|(of, _)| of == name) else {
                return Err(wrong("a type without its help"));
            };
            if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
                return Err(wrong("no such type"));
            }
            let (name, kind) = (name.to_owned(), kind.to_owned());
            read.families.push(Family { name, help, kind, samples: Vec::new() });
        } else {
            let (name, sample) = self::sample(line).ok_or_else(|| wrong("not a sample"))?;
            let Some(family) = read.families.last_mut().filter(|family| family.name == name) else {
                return Err(wrong("a sample outside its family"));
            };
            let same = |other: &Sample| {
                let sorted = |sample: &Sample| {
                    let mut labels = sample.labels.clone();
                    labels.sort();
                    labels
                };
                sorted(other) == sorted(&sample)
            };
            // Samples of a family are many, and those of one port are beside each other.
            if family.samples.iter().rev().take(64).any(same) {
                return Err(wrong("a sample given twice"));
            }
            family.samples.push(sample);
        }
    }
    if help.is_some() {
        return Err("the last help has no type".into());
    }
    Ok(read)
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Option<(&str, Sample)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, behind) = rest.split_once("=\"")?;
            let end = closing_quote(behind)?;
            let value = unescape(&behind[..end], true)?;
            if !is_label_name(label) || labels.iter().any(|(other, _)| other == label) {
                return None;
            }
            labels.push((label.to_owned(), value));
            rest = &behind[end + 1..];
            match rest.as_bytes().first()? {
                b',' => rest = &rest[1..],
                b'}' => break,
                _ => return None,
            }
        }
        rest = &rest[1..];
    }
    let number = rest.strip_prefix(' ')?;
    let value: f64 = number.parse().ok()?;
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_metric_name(name) && plain).then_some((name, Sample { labels, value }))
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let closes = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes.then_some(at)
    })
}

fn unescape(text: &str, label: bool) -> Option<String> {
    let mut letters = text.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => match letters.next()? {
                '\\' => '\\',
                'n' => '\n',
                '"' if label => '"',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(plain)
}

fn is_metric_name(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':';
    name.bytes().next().is_some_and(first)
        && name.bytes().all(|byte| first(byte) || byte.is_ascii_digit())
}

fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.contains(':') && !name.starts_with("__")
}

/// What the conventions would have otherwise, as `promtool check metrics` says it.
pub(crate) fn lint(exposition: &Exposition) -> Vec<String> {
    let mut wrong = Vec::new();
    for Family { name, help, kind, samples } in &exposition.families {
        let mut say = |what: &str| wrong.push(format!("{name}: {what}"));
        if !help.ends_with('.') {
            say("its help is no sentence");
        }
        if !name.starts_with("strowger_") && !name.starts_with("process_") {
            say("its name does not say whose it is");
        }
        if name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b':') || name.contains("__")
        {
            say("its name is not in snake case");
        }
        if (kind == "counter") != name.ends_with("_total") {
            say("counters, and only they, end with _total");
        }
        if ["_count", "_sum", "_bucket"].iter().any(|ending| name.ends_with(ending)) {
            say("its name is that of a histogram's part");
        }
        let words: Vec<_> = name.split('_').collect();
        for word in ["counter", "gauge", "histogram", "summary"] {
            if words.contains(&word) {
                say("its type is in its name");
            }
        }
        for unit in [
            "milliseconds",
            "microseconds",
            "nanoseconds",
            "nanos",
            "millis",
            "ms",
            "us",
            "ns",
            "minutes",
            "hours",
            "days",
            "kilobytes",
            "megabytes",
            "kb",
            "mb",
            "bits",
            "percent",
            "sec",
            "secs",
            "pkts",
        ] {
            if words.contains(&unit) {
                say("it is not in a base unit");
            }
        }
        if name.ends_with("_info") && samples.iter().any(|sample| sample.value != 1.0) {
            say("an info is always 1");
        }
        let labels = samples.iter().flat_map(|sample| &sample.labels);
        for (label, _) in labels {
            if label == "le"
                || label == "quantile"
                || words.contains(&label.as_str()) && label == "job"
            {
                say("a label has a reserved name");
            }
        }
    }
    wrong
}

#[test]
fn the_reader_is_strict() {
    let good =
        "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 1\na_total{x=\"2\"} 2.5\n";
    assert_eq!(read(good).unwrap().value("a_total", &[("x", "2")]), Some(2.5));
    for bad in [
        "# HELP a_total A.\n# TYPE a_total counter\na_total 1",
        "# TYPE a_total counter\na_total 1\n",
        "a_total 1\n",
        "# HELP a A.\n# TYPE a speed\na 1\n",
        "# HELP a A.\n# TYPE a gauge\nb 1\n",
        "# HELP a A.\n# TYPE a gauge\na 1\n# HELP a A.\n# TYPE a gauge\na 2\n",
        "# HELP a A.\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n",
        "# HELP a A.\n# TYPE a gauge\na{x=\"1} 1\n",
        "# HELP a A.\n# TYPE a gauge\na{x=\"1\\q\"} 1\n",
        "# HELP a A.\n# TYPE a gauge\na{x=\"1\" y=\"2\"} 1\n",
        "# HELP a A.\n# TYPE a gauge\na{x=\"1\",x=\"2\"} 1\n",
        "# HELP a A.\n# TYPE a gauge\na{1=\"1\"} 1\n",
        "# HELP a A.\n# TYPE a gauge\na NaN\n",
        "# HELP a A.\n# TYPE a gauge\na one\n",
        "# HELP a A.\n# TYPE a gauge\n\na 1\n",
        "# HELP a A.\n",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let rude = "# HELP a_ms A\n# TYPE a_ms counter\na_ms 1\n";
    assert_eq!(lint(&read(rude).unwrap()).len(), 4);
}
