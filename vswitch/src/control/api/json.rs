//! JSON that must say one thing: a key twice is refused, and what is wrong is named by line and column.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::answer::Failure;

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice::<Unambiguous>(bytes).map(|read| read.0).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        let said = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
        Failure::bad(format!(
            "line {line}, column {column}: the body is no JSON that is understood: {said}"
        ))
    })
}

/// A value in which no object has a key twice.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("'{}' is given twice", key.escape_debug())));
            }
            let Unambiguous(value) = map.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(value)) = seq.next_element()? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().problem.error
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        for (text, place, error) in [
            ("{", "line 1, column 1:", "EOF while parsing an object"),
            ("{}\n x", "line 2, column 2:", "trailing characters"),
            ("", "line 1, column 0:", "EOF"),
            ("{\"a\":{\"b\":1},\n\"a\":{}}", "line 2, column 3:", "'a' is given twice"),
            ("[{\"a\":[1,{\"b\":1,\"b\":2}]}]", "line 1, column 19:", "'b' is given twice"),
            (&"[".repeat(1000), "line 1, column 128:", "recursion limit"),
        ] {
            let found = said(text);
            assert!(found.starts_with(place) && found.contains(error), "{text}: {found}");
        }
        assert!(read(b"\xff").is_err());
    }

    proptest::proptest! {
        #![proptest_config(crate::properties::config())]

        #[test]
        fn what_is_no_object_is_read_as_serde_reads_it(text in "[\\[\\],0-9.e\"a\\\\ntruefalsl -]{0,40}") {
            let ours = read(text.as_bytes()).ok();
            let theirs = serde_json::from_str::<Value>(&text).ok();
            proptest::prop_assert_eq!(ours, theirs);
        }
    }
}
