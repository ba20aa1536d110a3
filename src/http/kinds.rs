//! Types of what is answered (`Content-Type`).

use std::path::Path;

/// What people read.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// What programs read.
pub(super) const JSON: &str = "application/json";

/// Types by the ends of names; what is not here is bytes.
const KINDS: [(&str, &str); 18] = [
    ("css", "text/css; charset=utf-8"),
    ("gif", "image/gif"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", JSON),
    ("map", JSON),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", TEXT),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
];

/// The type of a file.
pub(super) fn of(name: &Path) -> &'static str {
    let end = name.extension().and_then(|end| end.to_str());
    let end = end.unwrap_or_default().to_ascii_lowercase();
    let found = KINDS.iter().find(|(known, _)| *known == end);
    found.map_or("application/octet-stream", |(_, kind)| kind)
}
