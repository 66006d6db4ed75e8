//! The reference of the command line, for the documents: the program's own words as Markdown.

use std::{fmt::Write, fs, path::PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::arguments::CommandLine;

/// The headings of flags that many commands have; the reference says them once.
const SHARED: [&str; 2] = ["Which switch", "The answer"];

/// The reference of the command line, for the documents.
fn reference() -> String {
    let mut root = CommandLine::command().disable_help_subcommand(true);
    root.build();
    let mut text = String::from(
        "# Command line\n\n<!-- Made from the program's own words: UPDATE_DOCS=1 cargo nextest run the_reference writes it. -->\n\n",
    );
    text += &paragraphs(&root);
    text += "Every command has `--help`, and a manual page: `man strowger-port-add`. Names and keys are those of the [configuration file](configuration.md).\n\n";
    let example = root.get_after_help().map(ToString::to_string).unwrap_or_default();
    if let Some((_, codes)) = example.split_once("\n\n") {
        text += &format!("{codes}\n\n");
    }
    for heading in SHARED {
        let leaf = leaf(&root).unwrap_or(&root);
        text += &format!(
            "## {heading}\n\n{}\n",
            flags(leaf, |arg| arg.get_help_heading() == Some(heading))
        );
    }
    for command in root.get_subcommands() {
        described(&mut text, command, 2);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// A command that asks a switch, and so has all shared flags.
fn leaf(root: &Command) -> Option<&Command> {
    root.get_subcommands().find(|command| command.get_name() == "status")
}

/// A command and those below it.
fn described(text: &mut String, command: &Command, level: usize) {
    if command.is_hide_set() {
        return;
    }
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    // Writing to a String cannot fail.
    let _always_ok = write!(text, "{} {name}\n\n{}", "#".repeat(level), paragraphs(command));
    if !command.has_subcommands() {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").trim();
        let _always_ok = write!(text, "```text\n{usage}\n```\n\n");
        let own = flags(command, |arg| {
            !arg.get_help_heading().is_some_and(|heading| SHARED.contains(&heading))
        });
        if !own.is_empty() {
            *text += &format!("{own}\n");
        }
        let shared: Vec<_> = SHARED
            .iter()
            .filter(|heading| {
                command.get_arguments().any(|arg| arg.get_help_heading() == Some(heading))
            })
            .map(|heading| format!("[{heading}](#{})", heading.to_lowercase().replace(' ', "-")))
            .collect();
        if !shared.is_empty() {
            *text += &format!("Also: {}.\n\n", shared.join(", "));
        }
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (example, rest) = help.split_once("\n\n").unwrap_or((&help, ""));
        let lines: Vec<_> = example.lines().skip(1).map(str::trim).collect();
        *text += &format!("```sh\n{}\n```\n\n", lines.join("\n"));
        if !rest.is_empty() {
            *text += &format!("{}\n\n", escaped(rest));
        }
    }
    for below in command.get_subcommands() {
        described(text, below, level + 1);
    }
}

/// What a command is for, at length.
fn paragraphs(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about());
    let text = about.map(ToString::to_string).unwrap_or_default();
    let paragraphs = escaped(&text);
    let sentence = |text: &str| match text.ends_with('.') {
        true => format!("{text}\n\n"),
        false => format!("{text}.\n\n"),
    };
    paragraphs.split("\n\n").map(sentence).collect()
}

/// A table of those arguments that are wanted; nothing if there are none.
fn flags(command: &Command, wanted: impl Fn(&Arg) -> bool) -> String {
    let rows: Vec<_> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version")
        .filter(|arg| wanted(arg))
        .map(|arg| format!("| {} | {} | {} |\n", shape(arg), default(arg), meaning(arg)))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("| argument | default | meaning |\n|---|---|---|\n{}", rows.concat())
}

/// How an argument is written.
fn shape(arg: &Arg) -> String {
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let names = arg.get_value_names().unwrap_or_default();
    let mut value = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if arg.get_num_args().is_some_and(|number| number.min_values() == 0) && takes {
        value = format!("[{value}]");
    }
    let shape = match (arg.get_long(), arg.get_short()) {
        (None, None) => {
            let many = if matches!(arg.get_action(), ArgAction::Append) { "…" } else { "" };
            return format!("`{}{many}`", cell(&value));
        }
        (Some(long), Some(short)) => format!("-{short}, --{long}"),
        (Some(long), None) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
    };
    if takes { format!("`{shape} {}`", cell(&value)) } else { format!("`{shape}`") }
}

fn default(arg: &Arg) -> String {
    if !matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
        return String::new();
    }
    let values: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    if !values.is_empty() {
        return format!("`{}`", cell(&values.join(" ")));
    }
    // What is no value of the flag is said in its help.
    let help = help(arg);
    let said = help.split_once("[default: ").map(|(_, rest)| rest.trim_end_matches(']'));
    cell(said.unwrap_or_default())
}

fn meaning(arg: &Arg) -> String {
    let help = help(arg);
    let help = help.split_once("[default: ").map_or(help.as_str(), |(before, _)| before.trim_end());
    let mut text = cell(&escaped(help));
    let values = arg.get_possible_values();
    if !values.is_empty() && !matches!(arg.get_action(), ArgAction::SetTrue) {
        let words: Vec<_> = values
            .iter()
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({})", value.get_name(), lower(&help.to_string())),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        let _always_ok = write!(text, ": {}", words.join(", "));
    }
    text
}

fn help(arg: &Arg) -> String {
    arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default()
}

/// Without the capital that begins a sentence, unless it is a word that is written so.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// On one line, in a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

/// Without what Markdown would take for a tag.
fn escaped(text: &str) -> String {
    text.replace('<', "\\<")
}

#[test]
fn the_reference_is_that_of_the_program() {
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/command-line.md"));
    let text = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/reference/command-line.md is not what the program says: run this test with UPDATE_DOCS=1"
    );
}
