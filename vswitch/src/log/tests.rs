use super::*;
use serde_json::Value;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Somebody who reads the log, or has stopped to.
#[derive(Clone, Default)]
struct Reader(Arc<(Mutex<Read>, Condvar)>);

#[derive(Default)]
struct Read {
    text: String,
    stopped: bool,
    /// Somebody waits for it.
    waited_for: bool,
}

impl Reader {
    fn read(&self) -> MutexGuard<'_, Read> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, stopped: bool) {
        self.read().stopped = stopped;
        self.0.1.notify_all();
    }

    fn text(&self) -> String {
        self.read().text.clone()
    }

    fn wait_until_the_log_is_stuck(&self) {
        let read = self.0.1.wait_while(self.read(), |read| !read.waited_for);
        assert!(read.is_ok());
    }
}

impl Write for Reader {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut read = self.read();
        read.waited_for = true;
        self.0.1.notify_all();
        let mut read = self.0.1.wait_while(read, |read| read.stopped).unwrap();
        read.waited_for = false;
        read.text.push_str(std::str::from_utf8(line).unwrap());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log of this thread, read by that reader.
fn log(level: &str, look: Look) -> (Handle, Reader, dispatcher::DefaultGuard) {
    let (log, handle, queue) = build(level, look).unwrap();
    let log = Dispatch::new(log);
    let reader = Reader::default();
    let out = reader.clone();
    let (own, lines) = (log.clone(), handle.lines.clone());
    thread::spawn(move || write_lines(&own, &queue, &lines, out));
    (handle, reader, dispatcher::set_default(&log))
}

fn written(handle: &Handle, reader: &Reader) -> Vec<String> {
    handle.lines.flush(Duration::from_secs(60));
    reader.text().lines().map(str::to_owned).collect()
}

#[test]
fn a_line_has_time_level_module_text_and_fields() {
    let (handle, reader, _log) = log("info", Look::default());
    tracing::info!(port = "vm1", pairs = 2, "a front end is connected");
    tracing::debug!("not this");
    let lines = written(&handle, &reader);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (time, rest) = lines[0].split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    assert_eq!(
        rest.trim_start(),
        r#"INFO strowger_vswitch::log::tests: a front end is connected port="vm1" pairs=2"#
    );
}

#[test]
fn on_request_lines_are_json() {
    let (handle, reader, _log) = log("info", Look { format: Format::Json, ..Look::default() });
    tracing::warn!(port = "vm\"1\n", suppressed = 3, "a \"quoted\"\nline");
    let lines = written(&handle, &reader);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["target"], "strowger_vswitch::log::tests");
    assert_eq!(line["message"], "a \"quoted\"\nline");
    assert_eq!(line["port"], "vm\"1\n");
    assert_eq!(line["suppressed"], 3);
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn the_journal_reads_the_level_and_has_its_own_time() {
    let (handle, reader, _log) = log("debug", Look { journal: true, ..Look::default() });
    tracing::error!("one");
    tracing::warn!("two");
    tracing::info!("three");
    tracing::debug!("four");
    let starts: Vec<_> =
        written(&handle, &reader).iter().map(|line| line[..9].trim().to_owned()).collect();
    assert_eq!(starts, ["<3>ERROR", "<4> WARN", "<6> INFO", "<7>DEBUG"]);
}

#[test]
fn colours_are_for_terminals() {
    for (look, colours) in [
        (Look { colours: true, ..Look::default() }, true),
        (Look::default(), false),
        (Look { colours: true, format: Format::Json, ..Look::default() }, false),
        (Look { colours: true, journal: true, ..Look::default() }, false),
    ] {
        let (handle, reader, _log) = log("info", look);
        tracing::warn!(port = "vm1", "a line");
        assert_eq!(written(&handle, &reader)[0].contains('\u{1b}'), colours, "{look:?}");
    }
}

#[test]
fn the_level_changes_while_the_switch_runs() {
    let (handle, reader, _log) = log("warn", Look::default());
    let say = || {
        tracing::info!("quiet");
        tracing::warn!("loud");
    };
    say();
    assert_eq!(written(&handle, &reader).len(), 1);
    assert_eq!(
        handle.set_level(" info, strowger_vhost=debug ").unwrap(),
        "info,strowger_vhost=debug"
    );
    assert_eq!(handle.level(), "info,strowger_vhost=debug");
    say();
    assert_eq!(written(&handle, &reader).len(), 3);
    let error = handle.set_level("info,strowger_vhost=loud").unwrap_err();
    assert!(error.to_string().contains("'loud'"), "{error}");
    assert_eq!(handle.clone().level(), "info,strowger_vhost=debug", "nothing has changed");
    handle.set_level("off").unwrap();
    say();
    assert_eq!(written(&handle, &reader).len(), 3);
}

/// One place in the program.
fn complain(port: &str) {
    tracing::warn!(port, "refused a request");
}

#[test]
fn a_guest_that_fails_a_thousand_times_writes_few_lines_and_hides_nobodys() {
    let (handle, reader, log) = log("info", Look::default());
    for _ in 0..1000 {
        complain("hostile");
    }
    complain("vm1");
    tracing::warn!(port = "hostile", "another place");
    let lines = written(&handle, &reader);
    let about = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    let before = about("refused a request port=\"hostile\"");
    assert!((1..100).contains(&before), "{before}");
    assert_eq!((about("port=\"vm1\""), about("another place")), (1, 1));

    // What the log's thread does when the window is over.
    let much_later = Instant::now() + Duration::from_secs(3600);
    let due = handle.lines.limiter().take_due(much_later);
    assert_eq!(due.len(), 1, "{due:?}");
    tell_suppressed(&due[0]);
    let lines = written(&handle, &reader);
    let left_out = 1000 - before;
    let expected = format!(
        "WARN strowger::log: suppressed {left_out} more like this: refused a request port=\"hostile\" suppressed={left_out}"
    );
    assert!(lines.last().unwrap().ends_with(&expected), "{lines:?}");
    drop(log);
}

#[test]
fn what_was_asked_for_is_not_limited() {
    let (handle, reader, _log) = log("debug", Look::default());
    for _ in 0..500 {
        tracing::debug!("a step");
    }
    assert_eq!(written(&handle, &reader).len(), 500);
}

#[test]
fn nobody_waits_for_a_reader_who_has_stopped_and_every_lost_line_is_counted() {
    let (handle, reader, _log) = log("debug", Look::default());
    reader.stop(true);
    const LINES: u64 = 5000;
    tracing::debug!("line");
    reader.wait_until_the_log_is_stuck();
    for _ in 1..LINES {
        tracing::debug!("line");
    }
    let lost = handle.lost();
    assert!(lost > 0 && lost < LINES);
    // The end of the program waits a moment for such a reader, and no longer.
    handle.lines.flush(Duration::from_millis(1));
    reader.stop(false);
    let lines = written(&handle, &reader);
    let lines = if lines.iter().any(|line| line.contains("were lost")) {
        lines
    } else {
        written(&handle, &reader)
    };
    let read = lines.iter().filter(|line| line.ends_with("tests: line")).count() as u64;
    assert_eq!(read + lost, LINES);
    let told = format!("lines of this log were lost: whoever reads it is too slow lines={lost}");
    assert_eq!(lines.iter().filter(|line| line.ends_with(&told)).count(), 1, "{lines:?}");
}

#[test]
fn wrong_directives_start_no_log() {
    let error = build("loud", Look::default()).err().unwrap();
    assert!(error.to_string().contains("'loud' is no log level"), "{error}");
}
