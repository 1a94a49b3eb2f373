//! What a value looks like in JSON, after the documentation.

use serde_json::{Value as Json, json};
use tcpinfo::fields::Value;

pub(crate) fn of(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Unsigned(value) => json!(value),
        Value::Duration(value) => json!(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX)),
        Value::Options(value) => value.iter().map(|option| json!(option.to_string())).collect(),
        named => json!(named.to_string()),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> Json {
    json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
