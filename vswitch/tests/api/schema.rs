//! Holds JSON against the schemas of the document. Only what the document uses is known; anything else is an error,
//! so that nothing passes unread.

use serde_json::{Map, Value};

/// What is wrong with a value, or nothing.
pub(crate) fn check(
    document: &Value,
    schema: &Value,
    value: &Value,
    place: &str,
) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{place}: {what}"));
    let Value::Object(keywords) = schema else { return wrong(format!("{schema} is no schema")) };
    for (keyword, operand) in keywords {
        match keyword.as_str() {
            "description" | "format" | "examples" | "example" | "default" | "contentMediaType"
            | "contentEncoding" => {}
            "$ref" => {
                let target = operand.as_str().unwrap_or_default().trim_start_matches('#');
                let Some(target) = document.pointer(target) else {
                    return wrong(format!("{operand} leads nowhere"));
                };
                check(document, target, value, place)?;
            }
            "type" => {
                let names = match operand {
                    Value::Array(names) => names.clone(),
                    one => vec![one.clone()],
                };
                if !names.iter().any(|name| is(name.as_str().unwrap_or_default(), value)) {
                    return wrong(format!("{value} is not of type {operand}"));
                }
            }
            "enum" if operand.as_array().is_some_and(|words| words.contains(value)) => {}
            "enum" => return wrong(format!("{value} is none of {operand}")),
            "minimum"
                if value.as_f64().is_none_or(|number| number >= operand.as_f64().unwrap()) => {}
            "maximum"
                if value.as_f64().is_none_or(|number| number <= operand.as_f64().unwrap()) => {}
            "minLength"
                if value.as_str().is_none_or(|text| {
                    text.chars().count() as u64 >= operand.as_u64().unwrap()
                }) => {}
            "maxLength"
                if value.as_str().is_none_or(|text| {
                    text.chars().count() as u64 <= operand.as_u64().unwrap()
                }) => {}
            "minimum" | "maximum" | "minLength" | "maxLength" => {
                return wrong(format!("{value} breaks {keyword} {operand}"));
            }
            "pattern" => {}
            "items" => {
                for (index, element) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, operand, element, &format!("{place}[{index}]"))?;
                }
            }
            "required" => {
                let Value::Object(object) = value else { continue };
                for key in operand.as_array().into_iter().flatten() {
                    if !object.contains_key(key.as_str().unwrap_or_default()) {
                        return wrong(format!("there is no {key}"));
                    }
                }
            }
            "properties" | "additionalProperties" | "propertyNames" => {}
            "allOf" | "anyOf" | "oneOf" => {
                let all = operand.as_array().into_iter().flatten();
                let (fit, count) = all.fold((0, 0), |(fit, count), one| {
                    (fit + usize::from(check(document, one, value, place).is_ok()), count + 1)
                });
                let holds = match keyword.as_str() {
                    "allOf" => fit == count,
                    "anyOf" => fit > 0,
                    _ => fit == 1,
                };
                if !holds {
                    return wrong(format!("{value} fits {fit} of {count} of {keyword}"));
                }
            }
            other => {
                return wrong(format!("the schema says '{other}', which the test does not know"));
            }
        }
    }
    if let Value::Object(object) = value {
        check_properties(document, keywords, object, place)?;
    }
    Ok(())
}

fn check_properties(
    document: &Value,
    schema: &Map<String, Value>,
    object: &Map<String, Value>,
    place: &str,
) -> Result<(), String> {
    let known = schema.get("properties").and_then(Value::as_object);
    for (key, value) in object {
        let place = format!("{place}.{key}");
        if let Some(property) = known.and_then(|known| known.get(key)) {
            check(document, property, value, &place)?;
            continue;
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => {}
            // What is sent is described whole: a key that is not is a mistake of the document.
            None if known.is_none() => {}
            None | Some(Value::Bool(false)) => return Err(format!("{place} is not described")),
            Some(property) => check(document, property, value, &place)?,
        }
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("there is no type {other}"),
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    use serde_json::json;
    let document = json!({"components": {"schemas": {"A": {"type": "object", "required": ["x"],
        "properties": {"x": {"type": ["integer", "null"], "minimum": 1}, "y": {"oneOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]}}}}}});
    let schema = json!({"type": "array", "items": {"$ref": "#/components/schemas/A"}});
    let says = |value: Value| check(&document, &schema, &value, "");
    assert_eq!(says(json!([{"x": 1}, {"x": null, "y": "a"}, {"x": 2, "y": null}])), Ok(()));
    for wrong in [
        json!({}),
        json!([1]),
        json!([{}]),
        json!([{"x": 0}]),
        json!([{"x": "1"}]),
        json!([{"x": 1, "y": "b"}]),
        json!([{"x": 1, "z": 1}]),
    ] {
        assert!(says(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(check(&document, &json!({"frob": 1}), &json!(1), "").is_err());
    assert!(check(&document, &json!({"$ref": "#/nowhere"}), &json!(1), "").is_err());
}
