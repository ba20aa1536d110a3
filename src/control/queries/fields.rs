//! What stands behind the `?` of a request: fields as they are meant. A field that nobody knows is an error, so that no typing error
//! shows other rows than were asked for.

use super::refusal::Refusal;
use crate::http::{Fault, decoded};
use crate::limits;

/// The fields of a request.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Takes a query apart. `known` are the names that there may be.
    ///
    /// # Errors
    /// 400: another field, one that comes twice, or one that is no text.
    pub(crate) fn of(query: &str, known: &[&str]) -> Result<Fields, Refusal> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for field in query.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let wrong = |fault: Fault| Refusal::asked_wrongly(fault.to_string());
            let name = decoded(name).map_err(wrong)?;
            let value = decoded(value).map_err(wrong)?;
            if !known.contains(&name.as_str()) {
                return Err(Refusal::asked_wrongly(format!(
                    "There is no field \"{}\" here, but: {}.",
                    name.escape_debug(),
                    known.join(", ")
                )));
            }
            if fields.iter().any(|(other, _)| *other == name) {
                return Err(Refusal::asked_wrongly(format!("\"{name}\" comes twice.")));
            }
            fields.push((name, value));
        }
        Ok(Fields(fields))
    }

    /// The value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        fields.find_map(|(other, value)| (other == name).then_some(value.as_str()))
    }

    /// How many rows are wanted.
    ///
    /// # Errors
    /// 400: it is no number from 1 to `limits::ANSWER_ROWS_MAX`.
    pub(crate) fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.get("limit") else {
            return Ok(limits::ANSWER_ROWS);
        };
        let most = limits::ANSWER_ROWS_MAX;
        let number = text
            .parse()
            .ok()
            .filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| {
            Refusal::asked_wrongly(format!("\"limit\" is a number from 1 to {most}."))
        })
    }

    /// Whether something is wanted that is not done otherwise.
    ///
    /// # Errors
    /// 400: it is neither `true` nor `false`.
    pub(crate) fn is_set(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Refusal::asked_wrongly(format!(
                "\"{name}\" is true or false."
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_are_meant() {
        let known = ["topic", "limit", "end"];
        let fields = Fields::of("topic=a%2F%23&limit=7&end=true", &known)
            .ok()
            .unwrap();
        assert_eq!(fields.get("topic"), Some("a/#"));
        assert_eq!(fields.limit().ok(), Some(7));
        assert_eq!(fields.is_set("end").ok(), Some(Some(true)));
        let fields = Fields::of("topic=+/b", &known).ok().unwrap();
        assert_eq!(fields.get("topic"), Some("+/b"));
        assert_eq!(fields.limit().ok(), Some(limits::ANSWER_ROWS));
        for wrong in [
            "tpoic=a",
            "topic=a&topic=b",
            "topic=%FF",
            "topic=%",
            "topic=a%00",
            "=1",
        ] {
            let refusal = Fields::of(wrong, &known).err().unwrap();
            assert_eq!(refusal.status, 400, "{wrong}");
        }
        for wrong in ["limit=0", "limit=1001", "limit=x", "limit="] {
            let fields = Fields::of(wrong, &known).ok().unwrap();
            assert_eq!(
                fields.limit().err().map(|refusal| refusal.status),
                Some(400)
            );
        }
    }
}
