//! A terminal that a program runs in, played by the test: what it writes is kept, keys and sizes are the test's.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Termios, Winsize, tcgetattr, tcsetwinsize},
};

use crate::fake::eventually;

/// A program in a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    master: File,
    /// Kept, so that what the program left of the terminal can be looked at.
    slave: OwnedFd,
    before: Termios,
    written: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts a program in a terminal of that size, which is its controlling one.
    pub(crate) fn start(program: &Command, columns: u16, lines: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcsetwinsize(&master, size(columns, lines)).unwrap();
        let before = tcgetattr(&slave).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("COLUMNS");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop(command);
        let written = Arc::new(Mutex::new(Vec::new()));
        let master = File::from(master);
        let mut from = master.try_clone().unwrap();
        let to = written.clone();
        let reader = std::thread::spawn(move || {
            let mut part = [0; 4096];
            // An error is how a terminal ends that nobody has open any more.
            while let Ok(read @ 1..) = from.read(&mut part) {
                to.lock().unwrap().extend_from_slice(&part[..read]);
            }
        });
        Self { child, master, slave, before, written, reader: Some(reader) }
    }

    /// All that was written so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// Waits until something was written.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        eventually(&format!("{text:?} on the terminal"), || {
            self.text().contains(text).then_some(())
        });
    }

    /// What the terminal shows, line by line.
    pub(crate) fn screen(&self) -> Vec<String> {
        shown(&self.text())
    }

    /// Waits until the terminal shows something, on one line.
    #[track_caller]
    pub(crate) fn wait_until_shown(&self, text: &str) {
        eventually(&format!("{text:?} on the screen"), || {
            self.screen().iter().any(|line| line.contains(text)).then_some(())
        });
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        tcsetwinsize(self.master.as_fd(), size(columns, lines)).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end of the program; what it said, and whether it left the terminal as it was.
    pub(crate) fn end(mut self) -> (ExitStatus, String, bool) {
        let status = eventually("the program's end", || self.child.try_wait().unwrap());
        let after = tcgetattr(&self.slave).unwrap();
        let same = format!("{after:?}") == format!("{:?}", self.before);
        drop(self.slave);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let text = String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned();
        (status, text, same)
    }
}

/// What a terminal shows that was sent a text: the sequences that move and clear, and characters that are one cell wide.
fn shown(text: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = Vec::new();
    let (mut line, mut column) = (0, 0);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => {
                let mut sequence: String = chars.by_ref().take(1).collect();
                if sequence == "[" {
                    for c in chars.by_ref() {
                        sequence.push(c);
                        if c.is_ascii_alphabetic() {
                            break;
                        }
                    }
                }
                if let Some(place) = sequence.strip_suffix('H') {
                    let mut numbers =
                        place[1..].split(';').map(|number| number.parse().unwrap_or(1));
                    line = numbers.next().unwrap_or(1) - 1;
                    column = numbers.next().unwrap_or(1) - 1;
                } else if sequence.ends_with('J') {
                    lines.clear();
                }
            }
            '\r' => column = 0,
            '\n' => line += 1,
            c => {
                if lines.len() <= line {
                    lines.resize(line + 1, Vec::new());
                }
                if lines[line].len() <= column {
                    lines[line].resize(column + 1, ' ');
                }
                lines[line][column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect()).collect()
}

fn size(columns: u16, lines: u16) -> Winsize {
    Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
