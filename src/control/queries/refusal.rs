//! Why a request is not answered with what it asks for.

use crate::escape::one_line;

/// See the module.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The status of HTTP.
    pub status: u16,
    /// Words for people: one line, and its end.
    pub text: String,
}

impl Refusal {
    fn new(status: u16, text: &str) -> Refusal {
        Refusal {
            status,
            text: format!("{}\n", one_line(text)),
        }
    }

    /// What is asked cannot be read.
    pub(crate) fn asked_wrongly(text: String) -> Refusal {
        Refusal::new(400, &text)
    }

    /// Nobody has been told to go on there.
    pub(crate) fn no_place() -> Refusal {
        Refusal::new(400, "\"after\" is what \"next\" was in the last answer.")
    }

    /// What others have asked for fills the account.
    pub(crate) fn no_memory() -> Refusal {
        let text = "The memory for answers is used up by those that others have not taken yet.";
        Refusal::new(503, text)
    }

    /// There is no such thing.
    pub(crate) fn nothing(text: &str) -> Refusal {
        Refusal::new(404, text)
    }

    /// Who asks may not.
    pub(crate) fn forbidden(text: &str) -> Refusal {
        Refusal::new(403, text)
    }

    /// A shard has not answered in time.
    pub(crate) fn no_answer() -> Refusal {
        let text = "The shard has not answered in time. What was to be done may still be done.";
        Refusal::new(503, text)
    }
}
