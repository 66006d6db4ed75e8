//! Where in a configuration something is: `ports.vm1.tag`, as a TOML file would write it.

use serde_json::Value;

/// What is shown of a key that is none of ours, in characters.
const SHOWN: usize = 64;

/// Joins keys to a path. Those that a TOML file would quote are quoted.
#[must_use]
pub fn join(parts: &[&str]) -> String {
    let mut path = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        push(&mut path, part);
    }
    path
}

/// The path of a key below a path that is one already.
pub(super) fn below(path: &str, key: &str) -> String {
    let mut path = path.to_owned();
    push(&mut path, key);
    path
}

/// The path of an element of a list.
pub(super) fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// The kind and the name of the object that a path leads to or into: `ports` and `vm1` of `ports.vm1.tag`.
pub(super) fn object(path: &str) -> Option<(&str, String)> {
    let (kind, rest) = path.split_once('.')?;
    // A name that stands in quotes has nothing escaped in it, or is none of ours.
    let name = match rest.strip_prefix(['"', '\'']) {
        Some(quoted) => quoted.split(['"', '\'']).next()?,
        None => rest.split('.').next()?,
    };
    Some((kind, name.to_owned()))
}

fn push(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    if is_bare(key) && key.len() <= SHOWN {
        path.push_str(key);
        return;
    }
    let short: String = key.chars().take(SHOWN).collect();
    let rest = if short.len() < key.len() { "…" } else { "" };
    // As a basic string of TOML, which has the escapes of JSON, on one line.
    let quoted = Value::from(short + rest).to_string();
    path.push_str(&quoted.replace('\u{7f}', "\\u007f"));
}

/// Whether TOML takes a key without quotes.
pub(super) fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_as_toml_writes_it_and_leads_to_its_object() {
        let path = join(&["ports", "vm1", "tag"]);
        assert_eq!(path, "ports.vm1.tag");
        assert_eq!(object(&path), Some(("ports", "vm1".to_owned())));
        let quoted = below(&join(&["ports", "vm.1"]), "tag");
        assert_eq!(quoted, "ports.\"vm.1\".tag");
        assert_eq!(object(&quoted), Some(("ports", "vm.1".to_owned())));
        assert_eq!(object("ports.vm1"), Some(("ports", "vm1".to_owned())));
        assert_eq!(object("ports"), None);
        assert_eq!(below("ports", "a\"\n\u{7f}"), "ports.\"a\\\"\\n\\u007f\"");
        assert_eq!(below("ports", &"x".repeat(1000)).len(), "ports.\"…\"".len() + SHOWN);
        assert_eq!(element("mirrors.m.ports", 3), "mirrors.m.ports[3]");
    }
}
