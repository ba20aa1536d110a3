//! The rules for what is written beside the code: decisions have one form and stand in their index, links to files lead
//! somewhere, and no source cites a decision that there is not.

use std::fs;
use std::path::{Path, PathBuf};

/// Where decisions are, from the root.
const DECISIONS: &str = "docs/decisions";

/// Lines of a decision: a page.
const DECISION_LINES_MAX: usize = 40;

/// The parts of a decision, in their order.
const HEADINGS: [&str; 4] = [
    "Context",
    "Decision",
    "What it costs",
    "When to think again",
];

/// Documents at the root whose links are followed, where they are there.
const ROOT_DOCUMENTS: [&str; 4] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "src/ARCHITECTURE.md",
];

/// Folders in which decisions are cited.
const CITING_FOLDERS: [&str; 8] = [
    "src", "bench", "tests", "fuzz", "docs", "perf", "tuning", ".ci",
];

/// Folders that hold nothing of ours.
const FOREIGN_FOLDERS: [&str; 4] = ["target", "node_modules", "__pycache__", "corpus"];

/// Where paths that papers name begin, from the root: those of the load tester are named from its own folder.
const PATHS_BEGIN: [&str; 3] = ["src", "", "src/load"];

/// How a decision is cited, before its number.
const CITATION: &str = "decisions/";

/// How the text was cited that decisions were in before they had pages.
const OLD_CITATIONS: [&str; 2] = ["design decision", "design, chapter"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder but those of others, sorted. None where there is no such folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if !path.is_dir() {
            files.push(path);
        } else if !FOREIGN_FOLDERS.iter().any(|foreign| name == *foreign) {
            files.extend(files_below(&path));
        }
    }
    files.sort();
    files
}

fn relative(path: &Path) -> String {
    let below = path.strip_prefix(root()).unwrap_or(path);
    below.display().to_string()
}

/// A number of four digits at the beginning of a text, with no digit behind it.
fn number_at(text: &str) -> Option<&str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits == 4).then(|| &text[..4])
}

/// The decisions, by the name of their file and what is in them.
fn decisions() -> Vec<(String, String)> {
    let pages = files_below(&root().join(DECISIONS)).into_iter();
    pages
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_string();
            let text = fs::read_to_string(&path).ok()?;
            (name != "README.md").then_some((name, text))
        })
        .collect()
}

/// What is wrong with a decision by itself.
fn faults_of_decision(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let number = number_at(name).unwrap_or("NNNN");
    if !name.starts_with(&format!("{number}-")) || !name.ends_with(".md") {
        faults.push("is not called NNNN-title.md".to_string());
    }
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    if title_of(text).is_none_or(str::is_empty) || !title.starts_with(&format!("# {number}: ")) {
        faults.push(format!("does not begin with `# {number}: title`"));
    }
    let status = lines.find_map(|line| line.strip_prefix("Status: "));
    let is_known = |status: &str| {
        let by = status.strip_prefix("superseded by [");
        status.starts_with("stands") || by.is_some_and(|by| number_at(by).is_some())
    };
    if !status.is_some_and(is_known) {
        faults.push("has no `Status: stands` or `Status: superseded by [NNNN](...)`".to_string());
    }
    let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
    if !headings.eq(HEADINGS) {
        faults.push(format!("has other headings than {HEADINGS:?}"));
    }
    let count = text.lines().count();
    if count > DECISION_LINES_MAX {
        faults.push(format!("has {count} lines, at most {DECISION_LINES_MAX}"));
    }
    faults
}

fn title_of(decision: &str) -> Option<&str> {
    decision
        .lines()
        .next()?
        .split_once(": ")
        .map(|parts| parts.1)
}

/// What is wrong with the index of these decisions.
fn faults_of_index(index: &str, decisions: &[(String, String)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, text) in decisions {
        let link = format!("]({name})");
        match index.lines().find(|line| line.contains(&link)) {
            None => faults.push(format!("does not name {name}")),
            Some(row) if !title_of(text).is_some_and(|title| row.contains(title)) => {
                faults.push(format!("has another title than {name}"));
            }
            Some(row) if row.contains("| superseded") != text.contains("\nStatus: superseded") => {
                faults.push(format!("has another status than {name}"));
            }
            Some(_) => {}
        }
    }
    faults
}

/// The lines of a document that are text, with their numbers: what stands in code is blank.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut is_fenced = false;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        let is_code = is_fence || is_fenced || line.starts_with("    ") || line.starts_with('\t');
        if !is_code {
            // Every second part stands between backquotes.
            let parts = line.split('`').step_by(2);
            lines.push((number + 1, parts.collect::<Vec<_>>().join(" ")));
        }
    }
    lines
}

/// Where the links of a document lead, with their lines: `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices("](") {
            let target = line[at + 2..].split([')', ' ']).next();
            links.extend(target.map(|target| (number, target.to_string())));
        }
        let defined = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("]: "));
        links.extend(defined.map(|(_, target)| (number, target.trim().to_string())));
    }
    links.retain(|(_, target)| {
        let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
        !is_elsewhere && !target.starts_with('#')
    });
    links
}

/// Numbers of decisions in brackets that the document does not say where they lead.
fn undefined(text: &str) -> Vec<(usize, String)> {
    let mut missing = Vec::new();
    for (number, line) in prose(text) {
        for (at, _) in line.match_indices('[') {
            let rest = &line[at + 1..];
            let Some(cited) = number_at(rest).filter(|_| rest[4..].starts_with(']')) else {
                continue;
            };
            let is_link = rest[5..].starts_with(['(', ':']);
            if !is_link && !text.contains(&format!("\n[{cited}]: ")) {
                missing.push((number, cited.to_string()));
            }
        }
    }
    missing
}

/// The files and folders that a text names between backquotes, with their lines: `a/b.rs`, `a/`.
fn named_paths(text: &str) -> Vec<(usize, String)> {
    let is_path = |word: &&str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-./".contains(c);
        (word.ends_with(".rs") || word.ends_with('/')) && word.chars().all(is_plain)
    };
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.starts_with("    "));
    lines
        .flat_map(|(number, line)| {
            let words = line.split('`').skip(1).step_by(2).filter(is_path);
            words.map(move |word| (number + 1, word.to_string()))
        })
        .collect()
}

/// The numbers of decisions that a text cites, with their lines.
fn citations(text: &str) -> Vec<(usize, String)> {
    let mut cited = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices(CITATION) {
            let number_of = number_at(&line[at + CITATION.len()..]);
            cited.extend(number_of.map(|decision| (number + 1, decision.to_string())));
        }
    }
    cited
}

fn assert_none(faults: &[String]) {
    let count = faults.len();
    assert!(count == 0, "{count} faults:\n{}", faults.join("\n"));
}

#[test]
fn decisions_have_one_form_and_stand_in_their_index() {
    let decisions = decisions();
    assert!(!decisions.is_empty(), "no decisions in {DECISIONS}");
    let mut faults = Vec::new();
    for (name, text) in &decisions {
        let of_it = faults_of_decision(name, text).into_iter();
        faults.extend(of_it.map(|fault| format!("{DECISIONS}/{name} {fault}")));
    }
    for pair in decisions.windows(2) {
        if number_at(&pair[0].0) == number_at(&pair[1].0) {
            faults.push(format!("{} and {} have one number", pair[0].0, pair[1].0));
        }
    }
    let index = fs::read_to_string(root().join(DECISIONS).join("README.md")).unwrap_or_default();
    let of_index = faults_of_index(&index, &decisions).into_iter();
    faults.extend(of_index.map(|fault| format!("{DECISIONS}/README.md {fault}")));
    assert_none(&faults);
}

#[test]
fn links_to_files_lead_somewhere() {
    let is_document = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let is_record = |path: &PathBuf| path.ends_with("README.md");
    let mut documents: Vec<PathBuf> = ROOT_DOCUMENTS
        .iter()
        .map(|name| root().join(name))
        .collect();
    documents.retain(|path| path.is_file());
    documents.extend(
        files_below(&root().join("docs"))
            .into_iter()
            .filter(is_document),
    );
    documents.extend(
        files_below(&root().join("perf"))
            .into_iter()
            .filter(is_record),
    );
    let mut faults = Vec::new();
    for path in documents {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let folder = path.parent().unwrap_or(&path);
        for (line, target) in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if !folder.join(file).exists() {
                faults.push(format!("{}:{line}: no {target}", relative(&path)));
            }
        }
        for (line, decision) in undefined(&text) {
            faults.push(format!(
                "{}:{line}: [{decision}] leads nowhere",
                relative(&path)
            ));
        }
    }
    assert_none(&faults);
}

/// A decision that names a file which is gone was not read when the code moved.
#[test]
fn named_files_exist() {
    let architecture = root().join("src/ARCHITECTURE.md");
    let mut faults = Vec::new();
    for path in files_below(&root().join(DECISIONS))
        .into_iter()
        .chain([architecture])
    {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for (line, name) in named_paths(&text) {
            let mut places = PATHS_BEGIN
                .iter()
                .map(|begin| root().join(begin).join(&name));
            if !places.any(|place| place.exists()) {
                faults.push(format!("{}:{line}: there is no {name}", relative(&path)));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn cited_decisions_exist() {
    let decisions = decisions();
    let exists = |number: &str| decisions.iter().any(|(name, _)| name.starts_with(number));
    let mut files: Vec<PathBuf> = ROOT_DOCUMENTS
        .iter()
        .map(|name| root().join(name))
        .collect();
    files.extend(["Cargo.toml", "Dockerfile"].map(|name| root().join(name)));
    for folder in CITING_FOLDERS {
        files.extend(files_below(&root().join(folder)));
    }
    // Records hold raw output of megabytes; the rules themselves name what they look for.
    let is_looked_at = |path: &PathBuf| {
        let name = relative(path);
        (!name.starts_with("perf/") || name.ends_with(".md")) && !name.starts_with("tests/tidy")
    };
    let mut faults = Vec::new();
    for path in files.into_iter().filter(is_looked_at) {
        // What is no text cites nothing.
        let text = fs::read_to_string(&path).unwrap_or_default();
        for (line, number) in citations(&text) {
            if !exists(&number) {
                faults.push(format!("{}:{line}: no decision {number}", relative(&path)));
            }
        }
        for (line, code) in text.lines().enumerate() {
            let old = OLD_CITATIONS.iter().find(|old| code.contains(**old));
            faults.extend(old.map(|old| {
                let (file, line) = (relative(&path), line + 1);
                format!("{file}:{line}: `{old}`: cite {DECISIONS}/NNNN")
            }));
        }
    }
    assert_none(&faults);
}

/// Each rule catches what it is for, and nothing else.
#[test]
fn each_rule_for_papers_bites() {
    let good = "# 0101: A title\n\nStatus: stands.\n\n## Context\n\nC.\n\n## Decision\n\nD.\n\n## What it costs\n\nW.\n\n\
                ## When to think again\n\nN.\n";
    let bites = |name: &str, text: &str, expected: &str| {
        let faults = faults_of_decision(name, text);
        assert!(
            faults.len() == 1 && faults[0].contains(expected),
            "{faults:?}"
        );
    };
    assert!(faults_of_decision("0101-a.md", good).is_empty());
    let superseded = good.replace("stands.", "superseded by [0102](0102-b.md).");
    assert!(faults_of_decision("0101-a.md", &superseded).is_empty());
    bites("0101.md", good, "NNNN-title.md");
    bites("0102-a.md", good, "does not begin with `# 0102: title`");
    bites("0101-a.md", &good.replace("stands", "done"), "Status");
    bites(
        "0101-a.md",
        &good.replace("stands.", "superseded."),
        "Status",
    );
    bites(
        "0101-a.md",
        &good.replace("## Context", "## Why"),
        "headings",
    );
    bites("0101-a.md", &format!("{good}{}", "\n".repeat(40)), "lines");

    let pages = [("0101-a.md".to_string(), good.to_string())];
    let row = "| [0101](0101-a.md) | A title | stands |\n";
    assert!(faults_of_index(row, &pages).is_empty());
    assert!(faults_of_index("", &pages)[0].contains("does not name"));
    assert!(faults_of_index(&row.replace("A title", "B"), &pages)[0].contains("title"));
    assert!(
        faults_of_index(&row.replace("stands", "superseded by 0102"), &pages)[0].contains("status")
    );

    let targets = |text: &str| {
        links(text)
            .into_iter()
            .map(|(_, target)| target)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        targets("a [b](c.md) d [e](../f#g \"h\")\n[i]: j"),
        ["c.md", "../f#g", "j"]
    );
    assert_eq!(
        targets("[a](https://b) [c](#d) `[e](f)`\n    [g](h)\n```\n[i](j)\n```\n"),
        [""; 0]
    );
    assert_eq!(
        undefined("a [0101] b [0102](c) [01011] [0103]\n[0103]: d"),
        [(1, "0101".to_string())]
    );
    let names = named_paths("`a/b.rs` `c.rs` `d/` `E::f` `g/<h>.rs` i/j.rs\n    `k/l.rs`");
    let names: Vec<_> = names.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["a/b.rs", "c.rs", "d/"]);
    let text = "docs/decisions/0101, decisions/0102-a.md\ndecisions/NNNN decisions/01011";
    assert_eq!(
        citations(text),
        [(1, "0101".to_string()), (1, "0102".to_string())]
    );
}
