//! Answers, held against their description.

use serde_json::Value;

/// Whether a value is as a schema of OpenAPI 3.1 has it, as far as the descriptions here go.
pub fn conforms(all: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let place = reference.strip_prefix('#').unwrap();
        let schema = all.pointer(place).ok_or(format!("no {reference}"))?;
        return conforms(all, schema, value);
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let faults: Vec<String> = either
            .iter()
            .filter_map(|schema| conforms(all, schema, value).err())
            .collect();
        let fits = either.len() - faults.len();
        return match fits {
            1 => Ok(()),
            _ => Err(format!("{fits} of several fit: {faults:?}")),
        };
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wanted = &schema["type"];
    let is_kind = wanted == kind
        || wanted
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|wanted| wanted == kind));
    if !is_kind {
        return Err(format!("{value} is no {wanted}"));
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return Err(format!("{value} is none of {values:?}"));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_i64(), value.as_i64())
        && number < least
    {
        return Err(format!("{number} is below {least}"));
    }
    for item in value.as_array().into_iter().flatten() {
        conforms(all, &schema["items"], item)?;
    }
    let Some(fields) = value.as_object() else {
        return Ok(());
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        if !fields.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, value) in fields {
        let described = &schema["properties"][name];
        let schema = match described.is_object() {
            true => described,
            false => &schema["additionalProperties"],
        };
        match schema {
            Value::Object(_) => {
                conforms(all, schema, value).map_err(|fault| format!("{name}: {fault}"))?
            }
            _ => return Err(format!("{name} is not described")),
        }
    }
    Ok(())
}
