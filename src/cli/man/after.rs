//! What stands below the options in `--help`, as sections of a manual page.
//!
//! A paragraph is text; one whose first line ends in a colon, with indented lines below it, is a section with a list.

use clap_mangen::roff::{Roff, bold, roman};

/// Puts the text behind a page.
pub(super) fn sections(roff: &mut Roff, text: &str) {
    let (lists, paragraphs): (Vec<&str>, Vec<&str>) =
        text.split("\n\n").partition(|paragraph| is_list(paragraph));
    if !paragraphs.is_empty() {
        roff.control("SH", ["NOTES"]);
    }
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        // Lines end where the help of a terminal does; a page is filled anew.
        roff.text([roman(joined(paragraph))]);
    }
    for list in lists {
        section(roff, list);
    }
}

fn is_list(paragraph: &str) -> bool {
    let mut lines = paragraph.lines();
    lines.next().is_some_and(|line| line.ends_with(':')) && lines.all(|line| line.starts_with("  "))
}

/// `Title:`, and below it lines `  KEY  text`, of which those that are indented more go on.
fn section(roff: &mut Roff, list: &str) {
    let mut lines = list.lines();
    let title = lines.next().unwrap_or_default().trim_end_matches(':');
    let title = match title {
        "Exit codes" => "EXIT STATUS".to_owned(),
        other => other.to_uppercase(),
    };
    roff.control("SH", [&*title]);
    for line in lines {
        let is_next = !line.starts_with("   ");
        match line.trim().split_once("  ") {
            Some((key, text)) if is_next => {
                roff.control("TP", []);
                roff.text([bold(key)]);
                roff.text([roman(text.trim())]);
            }
            _ => {
                roff.text([roman(line.trim())]);
            }
        }
    }
}

fn joined(paragraph: &str) -> String {
    let lines: Vec<&str> = paragraph.lines().map(str::trim).collect();
    lines.join(" ")
}
