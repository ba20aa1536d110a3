//! One page of the manual: its file and its text.

/// One page of the manual.
pub(super) struct Page {
    /// The file, like `firehose-serve.1`.
    pub file: String,
    pub text: Vec<u8>,
}

impl Page {
    /// The folder among those of a manual.
    pub(super) fn folder(&self) -> &'static str {
        match self.file.ends_with(".5") {
            true => "man5",
            false => "man1",
        }
    }
}
