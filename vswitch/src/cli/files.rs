//! Configuration files: read with errors that name the place, applied, checked, and written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use hyper::Method;
use serde_json::Value;

use super::{
    Failure,
    arguments::{ApplyFlags, Asking, ConfigVerb, Output},
    ask,
    request::{self, Request},
    screen, show,
    units::things,
};
use crate::{
    config::{Config, file},
    control::Changes,
};

/// The most bytes of a configuration file: twenty times what 10,000 ports take.
const MAX_FILE: u64 = 32 << 20;

/// A file that was read and found good.
#[derive(Debug)]
pub(super) struct Document {
    /// What the user calls it.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) config: Config,
}

/// Reads a file, or standard input for `-`, and holds it against itself.
///
/// # Errors
/// `FILE:LINE:COLUMN: key: what is wrong`, or why it cannot be read.
pub(super) fn read(path: &Path) -> Result<Document, String> {
    let (name, text) = if path == Path::new("-") {
        ("standard input".to_owned(), text(io::stdin().lock()))
    } else {
        (path.display().to_string(), File::open(path).and_then(text))
    };
    let text = text.map_err(|error| format!("cannot read {name}: {error}"))?;
    match file::read(&text) {
        Ok(config) => Ok(Document { name, text, config }),
        Err(error) => Err(placed(&name, &error)),
    }
}

/// The error as compilers write theirs.
fn placed(name: &str, error: &file::FileError) -> String {
    let file::FileError { line, column, key, message } = error;
    let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
    format!("{name}:{line}:{column}: {key}{message}")
}

fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(text)
}

/// `strowger apply`.
pub(super) fn apply(flags: &ApplyFlags) -> Result<(), Failure> {
    let document = read(&flags.file).map_err(Failure::Failed)?;
    let request = request::apply(document.text, flags.dry_run);
    ask::answer(&flags.asking, &request, |_, changes: Changes, look| {
        Ok(show::changes(&changes, look))
    })
}

/// `strowger config …`.
pub(super) fn config(verb: &ConfigVerb) -> Result<(), Failure> {
    match verb {
        ConfigVerb::Check { file } => {
            let Document { name, config, .. } = read(file).map_err(Failure::Failed)?;
            let text = format!(
                "{name} is good: {}, {}, {}\n",
                things(config.bridges.len(), "bridge", "bridges"),
                things(config.ports.len(), "port", "ports"),
                things(config.mirrors.len(), "mirror", "mirrors"),
            );
            Ok(screen::write(&text)?)
        }
        ConfigVerb::Show { write, asking } => {
            let text = running(asking)?;
            match write {
                None => Ok(screen::write(&text)?),
                Some(path) => write_whole(path, &text).map_err(|error| {
                    Failure::Failed(format!("cannot write {}: {error}", path.display()))
                }),
            }
        }
    }
}

/// The running configuration, as a file or as JSON.
fn running(asking: &Asking) -> Result<String, Failure> {
    let client = ask::client(&asking.which)?;
    let answer: Value =
        ask::exchange(&client, &Request { method: Method::GET, ..Request::get("/v1/config") })?;
    match asking.shown.output {
        Output::Json => Ok(ask::json(&answer)),
        Output::Text => Ok(file::write(&ask::read(answer)?)),
    }
}

/// Writes a file so that whoever reads it sees what was there or all that is new, and so that a full disk leaves what
/// was there. What is no file (a pipe, a terminal) is just written to.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    // A link stays a link, to a file that is new.
    let path = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let before = match fs::metadata(&path) {
        Ok(before) if !before.is_file() => {
            return OpenOptions::new().write(true).open(&path)?.write_all(text.as_bytes());
        }
        Ok(before) => Some(before),
        Err(_) => None,
    };
    let draft = draft(&path)?;
    let written = write_draft(&draft, text, before.as_ref()).and_then(|()| {
        fs::rename(&draft, &path)?;
        // The new name is there after a power cut too.
        File::open(
            path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")),
        )?
        .sync_all()
    });
    if written.is_err() {
        // What was wrong is said; the draft may be gone already.
        let _gone = fs::remove_file(&draft);
    }
    written
}

/// A name beside the file, so that it can be renamed to it.
fn draft(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a file"))?;
    let mut draft = std::ffi::OsString::from(".");
    draft.push(name);
    draft.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(draft))
}

fn write_draft(path: &Path, text: &str, before: Option<&fs::Metadata>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    if let Some(before) = before {
        file.set_permissions(before.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_is_wrong_with_a_file_has_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        let name = path.display();
        for (text, place, said) in [
            (
                "[bridges.br0]\n\n[ports.vm1]\nbridge = \"br0\"\nkind = \"tap\"\ntag = 5000\n",
                ":6:",
                "ports.vm1.tag: expected a VLAN",
            ),
            ("[bridges.br0]\nmac-limt = 5\n", ":2:", "did you mean 'mac-limit'?"),
            ("[ports.vm1]\nbridge = \"br0\"\nkind = \"tap\"\n", ":2:", "br0"),
            ("[bridges\n", ":1:", ""),
        ] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(error.starts_with(&format!("{name}{place}")), "{error}");
            assert!(error.contains(said), "{error}");
        }
        fs::write(&path, "[bridges.br0]\n").unwrap();
        assert_eq!(read(&path).unwrap().config.bridges.len(), 1);
        fs::write(&path, b"\xff").unwrap();
        assert!(read(&path).unwrap_err().contains("UTF-8"));
        let missing = directory.path().join("missing");
        assert!(read(&missing).unwrap_err().starts_with("cannot read "));
        // Longer than any.
        File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(read(&path).unwrap_err().contains("more than"));
    }

    #[test]
    fn a_file_is_written_whole_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        write_whole(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.path().join("link.toml");
        symlink("a.toml", &link).unwrap();
        write_whole(&link, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        fs::write(&path, "one").unwrap();
        // Somebody sits where the draft would be.
        fs::create_dir(draft(&path).unwrap()).unwrap();
        assert!(write_whole(&path, "two").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert!(write_whole(Path::new("/dev/full"), "two").is_err());
        assert!(write_whole(&directory.path().join("none/a.toml"), "two").is_err());
        write_whole(Path::new("/dev/null"), "two").unwrap();
    }
}
