//! Pages that are in the program: served where no directory takes their place (`http_dir`).

use sha2::{Digest, Sha256};

/// A file of the program.
#[derive(Debug)]
pub(crate) struct Page {
    /// What it is asked for by, without a `/` in front.
    pub name: &'static str,
    /// `Content-Type`.
    pub kind: &'static str,
    pub text: &'static str,
}

/// What a page may do in a browser: run our scripts, draw with our styles, ask us, and open WebSockets, which are listeners of ours with
/// ports of their own. No text becomes markup or a script by accident, and no other page has it in a frame.
pub(super) const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'";

impl Page {
    /// What tells this text from others (`ETag`).
    pub(super) fn tag(&self) -> String {
        let hash = Sha256::digest(self.text.as_bytes());
        let hash: String = hash[..12]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("\"{hash}\"")
    }

    /// Whether who asks has it already, by his own word (`If-None-Match`).
    pub(super) fn is_known(&self, tags: &str) -> bool {
        let own = self.tag();
        let mut tags = tags.split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_that_of_the_text() {
        let page = |text| Page {
            name: "index.html",
            kind: "text/html",
            text,
        };
        let tag = page("a").tag();
        assert_eq!(tag, page("a").tag());
        assert_ne!(tag, page("b").tag());
        assert!(page("a").is_known(&tag));
        assert!(page("a").is_known(&format!("\"x\", W/{tag}")));
        assert!(page("a").is_known("*"));
        for other in ["", "\"x\"", tag.trim_matches('"')] {
            assert!(!page("a").is_known(other), "{other}");
        }
    }
}
