//! `strowger top`: a page that shows ports, workers and drops as they change.
//!
//! * [`state`]: what is shown and what keys do to it: pure.
//! * [`draw`]: the state as widgets: pure.
//!
//! Here is the rest: the terminal, which is given back on every way out, and a thread that asks the switch, so that a
//! switch that does not answer leaves the page alive.

mod draw;
mod state;

use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyEventKind},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::rates::Sample;
use crate::control::Status;
use state::{Flow, Top};

/// How long the page waits for a key before it looks whether there is something new, or a signal.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the thread that asks says.
type Answers = Receiver<Result<Sample, String>>;

/// Shows the page until the user has seen enough. `name` says which switch it is.
pub(super) fn top(
    name: String,
    interval: Duration,
    ask: impl Fn() -> Result<Status, String> + Send + 'static,
) -> Result<(), String> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(
            "top needs a terminal; `strowger stats --watch` writes lines for programs".to_owned()
        );
    }
    let mut state = Top::new(name, interval);
    // The first answer before the page: without a switch there is none to show.
    state.sample(Ok(Sample { status: ask()?, at: Instant::now() }));
    let failed = |error: io::Error| format!("cannot show the page: {error}");
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
        signal_hook::flag::register(signal, ended.clone()).map_err(failed)?;
    }
    let (stop, answers) = start(interval, ask);
    let result = in_terminal(|terminal| watch(terminal, &mut state, &answers, &ended));
    // The thread may be waiting for a switch that does not answer: the end of the process is its end too.
    drop(stop);
    result.map_err(failed)
}

/// Asks again and again, until the page is gone.
fn start(
    interval: Duration,
    ask: impl Fn() -> Result<Status, String> + Send + 'static,
) -> (Sender<()>, Answers) {
    let (stop, stopped) = channel();
    let (tell, answers) = channel();
    std::thread::spawn(move || {
        while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let answer = ask().map(|status| Sample { status, at: Instant::now() });
            if tell.send(answer).is_err() {
                return;
            }
        }
    });
    (stop, answers)
}

/// Does something with a terminal that is the page's own, and gives it back: at the end, on an error, and by a hook
/// when something panics.
fn in_terminal<T>(work: impl FnOnce(&mut DefaultTerminal) -> io::Result<T>) -> io::Result<T> {
    let mut terminal = match ratatui::try_init() {
        Ok(terminal) => terminal,
        Err(error) => {
            ratatui::restore();
            return Err(error);
        }
    };
    let result = work(&mut terminal);
    // Shows the cursor.
    drop(terminal);
    ratatui::restore();
    result
}

fn watch(
    terminal: &mut DefaultTerminal,
    state: &mut Top,
    answers: &Answers,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut changed = true;
    while !ended.load(Ordering::Relaxed) {
        for answer in answers.try_iter() {
            state.sample(answer);
            changed = true;
        }
        if std::mem::take(&mut changed) {
            terminal.draw(|frame| draw::draw(state, frame))?;
        }
        if !event::poll(PATIENCE)? {
            continue;
        }
        changed = true;
        match event::read()? {
            Event::Key(key)
                if key.kind != KeyEventKind::Release && state.key(key) == Flow::Quit =>
            {
                break;
            }
            // Everything is drawn anew, for the size that the terminal has now.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set for the process that panics.
    const PANICS: &str = "STROWGER_TEST_TOP_PANICS";

    /// In a terminal of its own, by `script`; then `stty` says what is left of that terminal.
    #[test]
    fn a_panic_gives_the_terminal_back() {
        if std::env::var_os(PANICS).is_some() {
            let result = in_terminal(|terminal| -> io::Result<()> {
                terminal.draw(|frame| frame.render_widget("page", frame.area()))?;
                panic!("as the test wants it");
            });
            unreachable!("{result:?}");
        }
        let test = std::env::current_exe().unwrap();
        let name = "cli::top::tests::a_panic_gives_the_terminal_back";
        let line =
            format!("stty cols 80 rows 24; {} --exact {name} --nocapture; stty -a", test.display());
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env(PANICS, "1")
            .env("TERM", "xterm")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let (page, after) = text.split_once("\x1b[?1049l").expect("it leaves the other screen");
        assert!(page.contains("page") && page.contains("\x1b[?25l"), "{text}");
        assert!(after.contains("as the test wants it") && after.contains("\x1b[?25h"), "{text}");
        let modes: Vec<_> = after.split_whitespace().collect();
        for mode in ["icanon", "echo", "isig", "opost"] {
            assert!(modes.contains(&mode), "{mode}: {text}");
        }
    }
}
