//! The page that documents every key: made of the types' docs and the table of keys, so that it cannot be wrong.
//!
//! Only tests know this room: one holds `docs/reference/configuration.md` against it, and writes it when asked to.

use serde_json::Value;

use super::{
    ApiConfig, BridgeConfig, LogConfig, MAX_BRIDGES, MAX_MIRRORS, MAX_NAME, MAX_PORTS, MAX_WORKERS,
    MirrorConfig, PortConfig, SwitchConfig,
    keys::{Form, Key, Section},
};

/// The whole page.
fn page() -> String {
    let mut page = format!(
        "# Configuration reference\n\n\
         <!-- Written from the types in vswitch/src/config: `UPDATE_DOCS=1 cargo nextest run -p strowger-vswitch \
         reference` writes it anew. -->\n\n\
         Every key of a configuration. The words are the same in a file (`strowger run --config FILE`, `strowger\n\
         apply -f FILE`), in flags (`--port`, `strowger port set`), and in the API's JSON. A whole file to start from\n\
         is [example.toml](../example.toml).\n\n\
         A file is TOML. Tables and keys that are not there have their defaults; a key that is not on this page is an\n\
         error. Names of bridges, ports and mirrors have 1 to {MAX_NAME} letters, digits, dots, dashes or underscores,\n\
         not a dot first; one with a dot stands in quotes, as in `[ports.\"vm.1\"]`. A switch has at most {MAX_BRIDGES}\n\
         bridges, {MAX_PORTS} ports, {MAX_MIRRORS} mirrors and {MAX_WORKERS} workers. A flag writes a list with `+`\n\
         (`trunks=10+20-30`) and has no value with a comma in it.\n"
    );
    section::<SwitchConfig>(&mut page, "[switch]");
    section::<ApiConfig>(&mut page, "[api]");
    section::<LogConfig>(&mut page, "[log]");
    section::<BridgeConfig>(&mut page, "[bridges.NAME]");
    section::<PortConfig>(&mut page, "[ports.NAME]");
    section::<MirrorConfig>(&mut page, "[mirrors.NAME]");
    page.push_str(UNITS);
    page
}

const UNITS: &str = "
## Units

| what | written | values |
|---|---|---|
| rate | `\"100Mbit\"`, `\"2.5Gbit\"`, `\"10kpps\"` | bit, kbit, Mbit, Gbit and Tbit a second in powers of 1000, from 1kbit to 1Tbit; pps, kpps, Mpps and Gpps are frames a second, from 1pps to 1Gpps |
| amount | `\"64KiB\"`, `\"64p\"` | B, KiB and MiB in powers of 1024, from 1514B to 512MiB; p is frames, from 1p to 1000000p |
| VLANs | `10`, `\"20-30\"` | a number from 0 to 4094, or a range of them; 0 is that of untagged frames |

Bytes and bits of a frame are counted from its Ethernet header on, without checksum and preamble.
";

fn section<T: Section>(page: &mut String, title: &str) {
    // A schema of our own is JSON.
    let schema = serde_json::to_value(T::schema()).unwrap_or_default();
    page.push_str(&format!("\n## `{title}`\n\n{}\n\n", one_line(described(&schema))));
    page.push_str("| key | holds | default | meaning |\n|---|---|---|---|\n");
    for key in T::KEYS {
        let meaning = one_line(described(&schema["properties"][key.name]));
        assert!(!meaning.is_empty(), "{title} {} has no docs", key.name);
        page.push_str(&format!(
            "| `{}` | {} | {} | {meaning} |\n",
            key.name,
            holds(&key.form),
            default(key)
        ));
    }
}

fn holds(form: &Form) -> String {
    match form {
        Form::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            words.join(", ")
        }
        Form::List(each) => format!("list: each {}", holds(each)),
        Form::Rate => "a [rate](#units) such as `\"100Mbit\"` or `\"10kpps\"`".to_owned(),
        Form::Size => "an [amount](#units) such as `\"64KiB\"` or `\"64p\"`".to_owned(),
        Form::Vlans => "a [VLAN or a range](#units)".to_owned(),
        other => other.expected(),
    }
}

fn default(key: &Key) -> String {
    match (key.required, key.default) {
        (true, _) => "required".to_owned(),
        (false, Some(value)) => format!("`{value}`"),
        (false, None) if key.shown_default.is_empty() => "none".to_owned(),
        (false, None) => key.shown_default.to_owned(),
    }
}

/// The docs of a type or field in its schema: its own, or beside the type that it refers to.
fn described(schema: &Value) -> &str {
    if let Some(text) = schema["description"].as_str() {
        return text;
    }
    let one_of = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    one_of.iter().find_map(|one| one["description"].as_str()).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn the_reference_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert_eq!(written, page(), "UPDATE_DOCS=1 writes docs/reference/configuration.md anew");
}
