//! JSON with one spelling: keys sorted, no spaces.

use serde_json::Value;

/// The value as text, keys sorted at every level whatever map serde_json was built with.
pub(crate) fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            names
                .into_iter()
                .map(|name| (name.clone(), sorted(&fields[name])))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value = json!({"b": [{"z": 1, "a": 2.5}], "a": null});

        assert_eq!(canonical(&value), r#"{"a":null,"b":[{"a":2.5,"z":1}]}"#);
    }
}
