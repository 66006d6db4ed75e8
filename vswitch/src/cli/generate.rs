//! What is made from the words of the command line: completions and manual pages.

use std::{fs, io, path::Path};

use clap::{Command, CommandFactory};
use clap_complete::aot;
use clap_mangen::{Man, roff};

use super::{
    Failure,
    arguments::{CommandLine, Shell},
    screen,
};

/// `strowger completions`.
pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    Ok(screen::write(&completion(shell))?)
}

/// A shell's completions.
fn completion(shell: Shell) -> String {
    let mut command = CommandLine::command();
    let mut text = Vec::new();
    match shell {
        Shell::Bash => aot::generate(aot::Bash, &mut command, "strowger", &mut text),
        Shell::Zsh => aot::generate(aot::Zsh, &mut command, "strowger", &mut text),
        Shell::Fish => aot::generate(aot::Fish, &mut command, "strowger", &mut text),
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// `strowger man`.
pub(super) fn man(directory: &Path) -> Result<(), Failure> {
    pages(directory).map_err(|error| {
        let directory = directory.display();
        Failure::Failed(format!("cannot write the manual pages to {directory}: {error}"))
    })
}

/// Writes the manual pages.
fn pages(directory: &Path) -> io::Result<()> {
    let mut root = CommandLine::command().disable_help_subcommand(true);
    root.build();
    each(&root, &mut |command| {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        fs::write(directory.join(format!("{name}.1")), page(command)?)
    })
}

fn each(command: &Command, work: &mut dyn FnMut(&Command) -> io::Result<()>) -> io::Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    work(command)?;
    command.get_subcommands().try_for_each(|below| each(below, work))
}

/// A manual page, which ends with the command's example as it is to be typed.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .source(format!("Strowger {}", env!("CARGO_PKG_VERSION")))
        .manual("Strowger");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (example, rest) = help.split_once("\n\n").unwrap_or((&help, ""));
    let mut end = roff::Roff::new();
    end.control("SH", ["EXAMPLE"]).control("nf", []);
    for line in example.lines().skip(1) {
        end.text([roff::roman(line)]);
    }
    end.control("fi", []);
    if !rest.is_empty() {
        end.control("SH", ["NOTES"]).text([roff::roman(rest)]);
    }
    end.to_writer(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command as Process, Stdio};

    /// Runs a program on a file; `None` if there is no such program.
    fn run(program: &str, arguments: &[&str], file: &Path) -> Option<(bool, String)> {
        let output = Process::new(program).args(arguments).arg(file).stdin(Stdio::null()).output();
        let output = match output {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => panic!("{program}: {error}"),
        };
        Some((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    #[test]
    fn shells_accept_their_completions() {
        let directory = tempfile::tempdir().unwrap();
        for (shell, program) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")]
        {
            let file = directory.path().join(program);
            let text = completion(shell);
            assert!(text.contains("flush"), "{program}");
            fs::write(&file, text).unwrap();
            let (good, said) = run(program, &["-n"], &file)
                .unwrap_or_else(|| panic!("{program} is missing: scripts/setup.sh installs it"));
            assert!(good && said.is_empty(), "{program}: {said}");
        }
    }

    #[test]
    fn bash_completes_words_of_commands() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bash");
        fs::write(&file, completion(Shell::Bash)).unwrap();
        let script = r#"
            source "$0"
            COMP_WORDS=(strowger port s) COMP_CWORD=2 COMPREPLY=()
            _strowger strowger s port
            echo "${COMPREPLY[*]}"
        "#;
        let output = Process::new("bash").args(["-c", script]).arg(&file).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "set show\n", "{output:?}");
    }

    #[test]
    fn every_command_has_a_manual_page_without_faults() {
        let directory = tempfile::tempdir().unwrap();
        pages(directory.path()).unwrap();
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        for page in ["strowger.1", "strowger-run.1", "strowger-port-add.1", "strowger-top.1"] {
            assert!(names.iter().any(|name| name == page), "{names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("-man")), "{names:?}");
        for name in &names {
            let path = directory.path().join(name);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(".SH EXAMPLE\n"), "{name}");
            let (good, said) = run("groff", &["-man", "-ww", "-z", "-k", "-Tutf8"], &path)
                .expect("groff is missing: scripts/setup.sh installs it");
            assert!(good && said.is_empty(), "{name}: {said}");
        }
        assert!(pages(&directory.path().join("none")).is_err());
    }
}
