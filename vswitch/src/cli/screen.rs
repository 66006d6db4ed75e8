//! What answers are written to: a terminal with a width and colours, or a pipe, which may end before the answer does.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use ratatui::crossterm::style::{Color, Stylize};

use super::table::Tone;

/// When answers are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Colour {
    /// On a terminal, unless the environment variable NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How an answer is to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// The terminal's columns; none if there is no terminal.
    pub(super) width: Option<u16>,
    /// And its lines.
    pub(super) height: Option<u16>,
    /// Whether there are colours.
    pub(super) colour: bool,
}

impl Look {
    /// No terminal.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self::default()
    }

    /// What standard output is, and what the user wants.
    pub(super) fn of_stdout(colour: Colour) -> Self {
        let terminal = io::stdout().is_terminal();
        // A terminal that does not tell its size is as wide as the first ones.
        let size = terminal.then(|| ratatui::crossterm::terminal::size().unwrap_or((80, 24)));
        let no_colour = std::env::var_os("NO_COLOR");
        Self {
            width: size.map(|(columns, _)| columns.max(1)),
            height: size.map(|(_, lines)| lines.max(1)),
            colour: coloured(colour, terminal, no_colour.as_deref()),
        }
    }

    /// The text in its colour, if there are colours.
    pub(super) fn paint(&self, text: &str, tone: Tone) -> String {
        let colour = match tone {
            _ if !self.colour => return text.to_owned(),
            Tone::Plain => return text.to_owned(),
            Tone::Good => Color::Green,
            Tone::Odd => Color::Yellow,
            Tone::Bad => Color::Red,
            Tone::Weak => Color::DarkGrey,
        };
        ratatui::crossterm::style::force_color_output(true);
        text.with(colour).to_string()
    }
}

/// Whether there are colours: what `--color` says, and otherwise <https://no-color.org>.
fn coloured(wanted: Colour, terminal: bool, no_colour: Option<&std::ffi::OsStr>) -> bool {
    match wanted {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => terminal && no_colour.is_none_or(std::ffi::OsStr::is_empty),
    }
}

/// Why writing ended.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Whoever read has what it wanted, as in `strowger status | head -1`.
    NotWanted,
    /// It did not work.
    Failed(io::Error),
}

/// Writes a text to standard output.
pub(super) fn write(text: &str) -> Result<(), Unwritten> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Unwritten::NotWanted),
        Err(error) => Err(Unwritten::Failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn colours_are_for_terminals_unless_one_says_otherwise() {
        for (wanted, terminal, no_colour, answer) in [
            (Colour::Auto, true, None, true),
            (Colour::Auto, false, None, false),
            (Colour::Auto, true, Some("1"), false),
            (Colour::Auto, true, Some(""), true),
            (Colour::Always, false, Some("1"), true),
            (Colour::Never, true, None, false),
        ] {
            assert_eq!(
                coloured(wanted, terminal, no_colour.map(OsStr::new)),
                answer,
                "{wanted:?} {terminal} {no_colour:?}"
            );
        }
    }

    #[test]
    fn a_text_is_painted_where_there_are_colours() {
        let look = Look { colour: true, ..Look::plain() };
        assert_eq!(look.paint("x", Tone::Plain), "x");
        let red = look.paint("x", Tone::Bad);
        assert!(red.starts_with('\x1b') && red.contains('x'), "{red:?}");
        assert_eq!(Look::plain().paint("x", Tone::Bad), "x");
    }
}
