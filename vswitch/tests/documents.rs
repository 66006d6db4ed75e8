//! What the documents say of the code is so: links lead somewhere, tables are those of the code.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what the tests are helped by fails as they do"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use strowger_packet::DropReason;

fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap()
}

/// All files with that ending in the repository, sorted; not what was built.
fn files(ending: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                if !name.starts_with('.') && name != "target" {
                    walk(&entry.path(), ending, found);
                }
            } else if name.ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), ending, &mut found);
    found.sort();
    assert!(!found.is_empty(), "there are files that end with {ending}");
    found
}

/// The text without its fenced blocks.
fn prose(text: &str) -> String {
    let outside = text.split("\n```").step_by(2);
    outside.collect::<Vec<_>>().join("\n")
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// How a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

/// The cells of all table lines below a heading, without title and rule.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"))
        .1;
    section
        .lines()
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for document in files(".md") {
        let text = prose(&fs::read_to_string(&document).unwrap());
        for part in text.split("](").skip(1) {
            let link = part.split(')').next().unwrap_or_default();
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                document.clone()
            } else {
                document.with_file_name("").join(path)
            };
            let leads = target.exists()
                && (fragment.is_empty()
                    || fs::read_to_string(&target).is_ok_and(|text| {
                        text.lines().any(|line| {
                            line.starts_with('#') && anchor(line.trim_matches('#')) == fragment
                        })
                    }));
            if !leads {
                wrong.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn named_files_exist() {
    let root = root();
    let mut wrong = Vec::new();
    for document in files(".md") {
        let text = prose(&fs::read_to_string(&document).unwrap());
        for name in quoted(&text) {
            let is_source = [".rs", ".sh", ".toml"].iter().any(|ending| name.ends_with(ending));
            if !is_source
                || !name.contains('/')
                || name.starts_with('/')
                || name.starts_with("target/")
            {
                continue;
            }
            if !root.join(name).exists() && !document.with_file_name("").join(name).exists() {
                wrong.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "files that do not exist:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_of_drop_reasons_is_that_of_the_code() {
    let document = root().join("docs/operations.md");
    let text = fs::read_to_string(&document).unwrap();
    let rows = DropReason::ALL.iter().map(|reason| {
        let (name, port) = (reason.name(), reason.counted_on());
        format!("| `{name}` | {} | {} | {port} |\n", reason.explanation(), reason.remedy())
    });
    let head = "| reason | meaning | what to do | counted on |\n|---|---|---|---|\n";
    let real = head.to_owned() + &rows.collect::<String>();
    let (before, rest) = text.split_once("\n### Drops\n").expect("the section is there");
    let start = rest.find("\n|").expect("the table is there") + 1;
    let end = start + rest[start..].find("\n\n").expect("the table ends") + 1;
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let (intro, behind) = (&rest[..start], &rest[end..]);
        fs::write(document, format!("{before}\n### Drops\n{intro}{real}{behind}")).unwrap();
    } else {
        assert_eq!(&rest[start..end], real, "UPDATE_DOCS=1 writes it anew");
    }
}

#[test]
fn the_flags_are_those_of_the_program() {
    let text = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let first_word =
        |cell: &str| cell.trim_matches('`').split(' ').next().unwrap_or_default().to_owned();
    let listed: BTreeSet<_> =
        table(&text, "## Starting").iter().map(|row| first_word(&row[0])).collect();
    let help =
        Command::new(env!("CARGO_BIN_EXE_strowger")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let real: BTreeSet<_> = help
        .lines()
        .filter_map(|line| {
            Some(line.trim_start().split_once("--")?)
                .filter(|(before, _)| before.len() <= 4)?
                .1
                .split(' ')
                .next()
        })
        .map(|flag| format!("--{flag}"))
        .filter(|flag| flag != "--help")
        .collect();
    assert_eq!(listed, real);
}

#[test]
fn the_bounds_of_the_threat_model_are_those_of_the_code() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let rows = table(&text, "## Bounds");
    assert!(!rows.is_empty());
    for row in rows {
        let [name, value, file] = [0, 1, 2].map(|cell| row[cell].trim_matches('`').to_owned());
        let source = fs::read_to_string(root().join(&file))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let declared =
            source.lines().filter_map(|line| line.split_once(&format!("const {name}: ")));
        let values: Vec<_> = declared
            .filter_map(|(_, rest)| {
                Some(rest.split_once(" = ")?.1.trim_end_matches(';').to_owned())
            })
            .collect();
        assert!(values.contains(&value), "{name} in {file} is {values:?}, not {value}");
    }
}

#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let section = text.split_once("\n## Tests of it\n").expect("the section is there").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let sources: Vec<_> =
        files(".rs").iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for name in quoted(section) {
        let name = name.rsplit("::").next().unwrap_or_default();
        if name.contains('_')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            let function = format!("fn {name}(");
            assert!(
                sources.iter().any(|source| source.contains(&function)),
                "there is no test {name}"
            );
        }
    }
}
