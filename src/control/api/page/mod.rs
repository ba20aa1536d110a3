//! The page: what a browser shows of the broker. Files of our own, without a build step; they ask for what the API answers to everybody.

use crate::http::Page;

const SCRIPT: &str = "text/javascript; charset=utf-8";

const fn script(name: &'static str, text: &'static str) -> Page {
    Page {
        name,
        kind: SCRIPT,
        text,
    }
}

/// All of it.
pub(super) static PAGES: &[Page] = &[
    Page {
        name: "index.html",
        kind: "text/html; charset=utf-8",
        text: include_str!("index.html"),
    },
    Page {
        name: "style.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("style.css"),
    },
    Page {
        name: "icon.svg",
        kind: "image/svg+xml",
        text: include_str!("icon.svg"),
    },
    script("app.js", include_str!("app.js")),
    script("charts.js", include_str!("charts.js")),
    script("data.js", include_str!("data.js")),
    script("mqtt.js", include_str!("mqtt.js")),
    script("panels.js", include_str!("panels.js")),
    script("topics.js", include_str!("topics.js")),
    script("trace.js", include_str!("trace.js")),
    script("words.js", include_str!("words.js")),
];

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 150_000;

    #[test]
    fn it_is_small_and_whole() {
        let bytes: usize = PAGES.iter().map(|page| page.text.len()).sum();
        assert!(bytes < BYTES_MAX, "{bytes}");
        for page in PAGES {
            // What one file names of the others is there.
            for part in page.text.split("from './").skip(1) {
                let name = part.split('\'').next().unwrap();
                assert!(PAGES.iter().any(|page| page.name == name), "{name}");
            }
        }
    }

    /// The policy of `http/page.rs` lets none of this run; without one it would be a hole.
    #[test]
    fn no_text_becomes_markup() {
        for page in PAGES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                " onclick=",
                " style=\"",
                "<script>",
                "//cdn",
            ] {
                assert!(!page.text.contains(word), "{}: {word}", page.name);
            }
            let mut addresses = page.text.split("http").skip(1);
            let is_own = |rest: &str| rest.starts_with("://www.w3.org/2000/svg");
            let is_foreign = |rest: &str| rest.starts_with("://") || rest.starts_with("s://");
            assert!(
                addresses.all(|rest| !is_foreign(rest) || is_own(rest)),
                "{}",
                page.name
            );
        }
    }
}
