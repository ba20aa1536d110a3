//! What the documents promise: records that a reader can look at, links to headings, options that are all described. Links to files
//! are followed in `papers`.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that README has at most: it is read first, and by everybody.
const README_LINES_MAX: usize = 150;
/// Bytes that all records of measurements come to at most, and the compressed raw output of one.
const RECORDS_BYTES_MAX: u64 = 2_000_000;
const RAW_BYTES_MAX: u64 = 100_000;
/// Bytes from which on raw output has to be compressed.
const RAW_BYTES_PLAIN: u64 = 40_000;
/// Kinds of file that are raw output, by the end of their names.
const RAW: [&str; 5] = [".json", ".jsonl", ".log", ".dat", ".tar"];
/// Folders without documents of the project's.
const ELSEWHERE: [&str; 3] = [".git", "node_modules", "target"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder, those of other programs apart.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // `target` may be a link.
        if ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(root(), &mut found);
    found
}

fn has_end(path: &Path, ends: &[&str]) -> bool {
    let name = path.to_string_lossy();
    ends.iter().any(|end| name.ends_with(end))
}

/// The targets of `[text](target)`; code between backticks and indented lines are no links.
fn links(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with("    "));
    let mut found = Vec::new();
    for line in lines {
        for (at, _) in line.match_indices("](") {
            let is_code = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + 2..].split(')').next().unwrap();
            if !is_code {
                found.push(target);
            }
        }
    }
    found
}

/// The name by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(text: &str, wanted: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#')))
        .any(|name| name == wanted)
}

#[test]
fn links_to_headings_lead_to_one() {
    let mut broken = Vec::new();
    for path in all_files() {
        if !has_end(&path, &[".md"]) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text) {
            let Some((file, heading)) = link.split_once('#') else {
                continue;
            };
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            // Those that lead elsewhere are not looked at.
            if !link.contains("://")
                && !fs::read_to_string(&target).is_ok_and(|text| has_anchor(&text, heading))
            {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Code and scripts name records too, without a link.
#[test]
fn records_that_are_named_are_there() {
    let mut missing = Vec::new();
    for path in all_files() {
        if path.starts_with(root().join("perf")) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (at, _) in text.match_indices("perf/") {
            let name = &text[at + "perf/".len()..];
            let part = |c: char| c.is_ascii_alphanumeric() || c == '-';
            let name = name.split(|c| !part(c)).next().unwrap();
            // Others are `perf/DATE-NAME` and the like.
            if name.starts_with("20") && !root().join("perf").join(name).is_dir() {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn records_are_small_and_have_a_readme() {
    let (mut all, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(root().join("perf")).unwrap() {
        let record = entry.unwrap().path();
        let mut found = Vec::new();
        match record.is_dir() {
            true => files(&record, &mut found),
            false => found.push(record.clone()),
        }
        let bytes = |path: &PathBuf| fs::metadata(path).unwrap().len();
        all += found.iter().map(bytes).sum::<u64>();
        if record.is_dir() && !record.join("README.md").exists() {
            wrong.push(format!("{}: no README.md", record.display()));
        }
        let packed = found.iter().filter(|path| has_end(path, &[".xz", ".gz"]));
        let raw = packed.map(bytes).sum::<u64>();
        if raw > RAW_BYTES_MAX {
            let text = format!("{raw} bytes of raw output, at most {RAW_BYTES_MAX}");
            wrong.push(format!("{}: {text}", record.display()));
        }
        for path in &found {
            if has_end(path, &RAW) && bytes(path) > RAW_BYTES_PLAIN {
                wrong.push(format!("{}: to be compressed with xz", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        all <= RECORDS_BYTES_MAX,
        "perf/ has {all} bytes, at most {RECORDS_BYTES_MAX}"
    );
}

#[test]
fn readme_is_short() {
    let lines = fs::read_to_string(root().join("README.md"))
        .unwrap()
        .lines()
        .count();
    assert!(
        lines <= README_LINES_MAX,
        "{lines} lines, at most {README_LINES_MAX}"
    );
}

/// Mosquitto's options are in its manual; the broker's own stand nowhere else.
#[test]
fn every_option_of_our_own_is_described() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let options = read("src/config/options.rs");
    let theirs = read("src/config/tests/mosquitto-2.1.options");
    let described = read("docs/operating.md") + &read("docs/from-mosquitto.md");
    let theirs: Vec<&str> = theirs
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let table = options.split_once("pub(super) static OPTIONS").unwrap().1;
    let table = table.split_once("\n];").unwrap().0;
    let names = ["global(\"", "listener(\"", "security(\"", "own(\""];
    let mut checked = 0;
    for line in table.lines() {
        let Some(rest) = names.iter().find_map(|n| line.trim().strip_prefix(n)) else {
            continue;
        };
        let name = rest.split('"').next().unwrap();
        // Older names of Mosquitto's own are not in the manual of 2.1.
        if theirs.contains(&name) || name == "maximum_qos" {
            continue;
        }
        checked += 1;
        assert!(described.contains(&format!("`{name}")), "{name}");
    }
    assert!(checked >= 15, "only {checked} found: has the table moved?");
}

#[test]
fn anchors_are_those_of_the_headings() {
    assert_eq!(anchor(" `$SYS`"), "sys");
    assert_eq!(
        anchor("Users, passwords and rights"),
        "users-passwords-and-rights"
    );
    assert_eq!(
        links("a [b](c.md) `[x](y)`\n    [d](e)\n![f](g#h)"),
        ["c.md", "g#h"]
    );
}
