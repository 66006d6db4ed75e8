//! The documents of the API: what is checked in is what is served, and the page for people is made from it.

use std::{fmt::Write, fs, path::PathBuf};

use serde_json::Value;
use strowger_vswitch::control::api;

fn document() -> Value {
    serde_json::from_str(&api::document_text()).unwrap()
}

/// Holds a file of the documents against what it should be, or writes it with `UPDATE_DOCS=1`.
fn compare(name: &str, real: &str) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference")).join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, real).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == real,
        "docs/reference/{name} is not as it should be; UPDATE_DOCS=1 writes it anew"
    );
}

#[test]
fn the_document_is_checked_in() {
    compare("openapi.json", &api::document_text());
}

#[test]
fn the_page_for_people_is_made_from_the_document() {
    compare("api.md", &page(&document()));
}

#[test]
fn every_operation_and_every_key_is_described() {
    let document = document();
    let mut bare = Vec::new();
    for (path, item) in object(&document["paths"]) {
        for (method, operation) in object(item) {
            for key in ["summary", "operationId", "tags"] {
                if operation[key].is_null() {
                    bare.push(format!("{method} {path} has no {key}"));
                }
            }
        }
    }
    for (name, schema) in object(&document["components"]["schemas"]) {
        if schema["description"].is_null() {
            bare.push(format!("{name} is not described"));
        }
        for (key, property) in properties(schema) {
            if !is_described(property) {
                bare.push(format!("{name}.{key} is not described"));
            }
        }
    }
    assert_eq!(bare, [""; 0]);
    assert_eq!(document["openapi"], "3.1.0");
}

/// Whether it says what it is, itself or, where it may also be null, in its first form.
fn is_described(property: &Value) -> bool {
    let forms = property.get("anyOf").or_else(|| property.get("oneOf"));
    !property["description"].is_null() || forms.is_some_and(|forms| is_described(&forms[0]))
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object(&schema["properties"])
}

/// The page: operations by tag, then the types.
fn page(document: &Value) -> String {
    let mut page = String::from("# API reference\n\n");
    page += "Generated from `docs/reference/openapi.json`, which the switch serves at `/openapi.json`.\n\n";
    page += text(&document["info"]["description"]);
    page += "\n\n    curl --unix-socket /run/strowger/control.sock http://localhost/v1/status\n";
    for tag in document["tags"].as_array().unwrap() {
        let name = text(&tag["name"]);
        writeln!(page, "\n## {}\n\n{}", capital(name), text(&tag["description"])).unwrap();
        for (path, item) in object(&document["paths"]) {
            for (method, operation) in object(item) {
                if operation["tags"][0] == *name {
                    describe(&mut page, method, path, operation);
                }
            }
        }
    }
    page += "\n## Types\n";
    for (name, schema) in object(&document["components"]["schemas"]) {
        writeln!(page, "\n### {name}\n\n{}", text(&schema["description"])).unwrap();
        if let Some(words) = schema["oneOf"]
            .as_array()
            .filter(|words| words.iter().all(|word| word["enum"].is_array()))
        {
            page.push('\n');
            for word in words {
                let meaning = word["description"].as_str().unwrap_or_default();
                writeln!(page, "- `{}`: {meaning}", text(&word["enum"][0])).unwrap();
            }
        } else if !schema["enum"].is_null() {
            writeln!(page, "\nOne of {}.", kind(schema)).unwrap();
        } else if properties(schema).next().is_some() {
            page += "\n| key | holds | meaning |\n|---|---|---|\n";
            let required: Vec<_> =
                schema["required"].as_array().into_iter().flatten().map(text).collect();
            for (key, property) in properties(schema) {
                let must = if required.contains(&key.as_str()) { "" } else { ", optional" };
                writeln!(page, "| `{key}` | {}{must} | {} |", kind(property), meaning(property))
                    .unwrap();
            }
        } else {
            writeln!(page, "\n{}.", capital(&kind(schema))).unwrap();
        }
    }
    page
}

fn describe(page: &mut String, method: &str, path: &str, operation: &Value) {
    let method = method.to_uppercase();
    writeln!(page, "\n### {method} {path}\n\n{}.", text(&operation["summary"])).unwrap();
    if let Some(more) = operation["description"].as_str() {
        writeln!(page, "{more}").unwrap();
    }
    let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
    if !parameters.is_empty() {
        page.push('\n');
    }
    for parameter in parameters {
        let place = text(&parameter["in"]);
        let (name, holds) = (text(&parameter["name"]), kind(&parameter["schema"]));
        writeln!(page, "- `{name}` ({place}, {holds}): {}", text(&parameter["description"]))
            .unwrap();
    }
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        let about = text(&operation["requestBody"]["description"]);
        let kinds: Vec<_> = content
            .iter()
            .map(|(kind_, body)| format!("{} as `{kind_}`", kind(&body["schema"])))
            .collect();
        writeln!(page, "\nBody: {}. {about}", kinds.join(" or ")).unwrap();
    }
    page.push('\n');
    let mut refusals = Vec::new();
    for (status, response) in object(&operation["responses"]) {
        if !status.starts_with('2') {
            refusals.push(status.clone());
            continue;
        }
        let kinds: Vec<_> = object(&response["content"])
            .map(|(kind_, body)| format!("{} as `{kind_}`", kind(&body["schema"])))
            .collect();
        writeln!(
            page,
            "- **{status}** {} {}.",
            text(&response["description"]),
            capital(&kinds.join(" or "))
        )
        .unwrap();
    }
    if !refusals.is_empty() {
        writeln!(page, "- {}: [Problem](#problem).", refusals.join(", ")).unwrap();
    }
}

/// What a schema allows, in few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", text(word))).collect::<Vec<_>>().join(", ");
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(all) = schema[key].as_array() {
            return all.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    let one = |name: &str| match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("{} by name", kind(&schema["additionalProperties"]))
        }
        "null" => "null".to_owned(),
        "string" => "text".to_owned(),
        "integer" => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (Some(low), Some(high)) => format!("number, {low} to {high}"),
            _ => "number".to_owned(),
        },
        "boolean" => "`true` or `false`".to_owned(),
        other => other.to_owned(),
    };
    match &schema["type"] {
        Value::String(name) => one(name),
        Value::Array(names) => {
            // That a key may be absent is said elsewhere.
            names
                .iter()
                .filter(|name| *name != "null")
                .map(|name| one(text(name)))
                .collect::<Vec<_>>()
                .join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

fn meaning(property: &Value) -> String {
    let own = property["description"].as_str();
    let said = own.or_else(|| property["anyOf"][0]["description"].as_str()).unwrap_or_default();
    said.replace('\n', " ").replace('|', "\\|")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}
