//! The rules of the house, checked on the source tree: headers, sizes, layers, `unsafe`, panics, and what the sans-io
//! half may not touch. Every breach is named at once, with its file and line. What documents promise is in `papers` and `records`.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/exceptions.rs"]
mod exceptions;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/records.rs"]
mod records;
#[path = "tidy/sizes.rs"]
mod sizes;
#[path = "tidy/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use circles::Modules;
use source::Source;

/// Lines from which on a file is named as long, and from which on it is too long.
const LINES_AIM: usize = 400;
const LINES_MAX: usize = 600;

/// The highest layer that is sans-io; those below it in `src/lib.rs` are too.
const SANS_IO_TOP: &str = "broker";

/// Above it: a folder that is sans-io but for the part that has the thread.
const SANS_IO_ABOVE: (&str, &str) = ("storage/", "storage/thread/");

/// Folders that may hold `unsafe`, and why.
const UNSAFE_FOLDERS: [(&str, &str); 8] = [
    (
        "http",
        "glommio takes over a listening socket by its number only",
    ),
    (
        "load",
        "a worker's submissions name memory that lives until their completion",
    ),
    (
        "mesh",
        "the slots of a ring belong to one of two threads at a time",
    ),
    (
        "outbound",
        "ranges of segments are read by the kernel while the shard appends behind them",
    ),
    (
        "prefetch",
        "the only instruction of its kind, which a function that is safe wraps",
    ),
    (
        "shard",
        "submissions name memory that lives until their completion",
    ),
    (
        "storage",
        "submissions name memory that lives until their completion",
    ),
    (
        "uring",
        "rings, buffers and descriptors are shared with the kernel",
    ),
];

/// Folders between whose files imports go in no circle.
const WITHOUT_CIRCLES: &[&str] = &[
    "broker",
    "access",
    "budget",
    "cli",
    "config",
    "control",
    "http",
    "journal",
    "load",
    "mesh",
    "mosquitto_db",
    "mqtt",
    "outbound",
    "routing",
    "server",
    "session",
    "shard",
    "sim",
    "storage",
    "transport",
    "uring",
];

/// Where what comes from outside is handled, an event in each file: `impl` blocks there are apart from the others of their type.
const DOORS: [&str; 1] = ["broker/doors/"];

/// Lines above an `unsafe` in which its `SAFETY:` may start.
const SAFETY_LINES_MAX: usize = 12;

/// What decides must be a function of its input: no clock, thread, lock, chance, file or socket.
const NOT_SANS_IO: [&str; 14] = [
    "std::time",
    "std::thread",
    "std::sync::Mutex",
    "std::sync::RwLock",
    "std::sync::Condvar",
    "std::sync::mpsc",
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "std::env",
    "std::process",
    "rand::",
    "RandomState",
    "libc::",
];

/// Maps whose order and cost depend on chance.
const DEFAULT_HASHED: [&str; 2] = ["HashMap", "HashSet"];

/// What ends the process where an error could be returned.
const PANICS: [&str; 5] = [
    ".unwrap()",
    ".expect(",
    "panic!(",
    "todo!(",
    "unimplemented!(",
];

fn main_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The layers, lowest first: the order of the modules in `src/lib.rs`.
fn layers(lib: &str) -> Vec<String> {
    let lines = lib.lines().filter_map(|line| {
        let private = line.strip_prefix("mod ").filter(|rest| *rest != "sim;");
        line.strip_prefix("pub mod ").or(private)
    });
    lines
        .filter_map(|rest| rest.strip_suffix(';'))
        .map(String::from)
        .collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// All files, and the modules that are nothing but tests.
fn tree() -> (Vec<Source>, Vec<String>) {
    let folder = main_folder();
    let mut files = Vec::new();
    rust_files(&folder, &mut files);
    let read = |path: &PathBuf| Source::read(&folder, path);
    let sources: Vec<Source> = files.iter().map(read).collect();
    let test_only = source::test_modules(&sources);
    (sources, test_only)
}

/// Whether a file is tests beside code. A folder that is nothing but tests, `sim`, is a folder like others.
fn is_beside(source: &Source, test_only: &[String]) -> bool {
    let mut beside = test_only.iter().filter(|module| module.contains('/'));
    beside.any(|module| source.is_in(module))
}

/// Between the files of a folder imports go in no circle; who breaks one sees the way around it.
#[test]
fn imports_go_in_no_circle() {
    let (sources, test_only) = tree();
    let is_test = |source: &Source| is_beside(source, &test_only);
    let modules = Modules::of(&sources, is_test);
    let mut told = Vec::new();
    for folder in WITHOUT_CIRCLES {
        assert!(
            !modules.imports(folder).is_empty(),
            "{folder}: nothing is imported there; does it exist?"
        );
        for circle in modules.circles(folder) {
            let steps = circle.iter();
            let steps = steps.map(|i| format!("  src/{} imports {} ({})", i.from, i.to, i.path));
            told.push(format!(
                "{folder}:\n{}",
                steps.collect::<Vec<_>>().join("\n")
            ));
        }
    }
    assert!(
        told.is_empty(),
        "{} circles of imports in\n{}",
        told.len(),
        told.join("\n")
    );
}

/// Functions, structs and the code of a type are not large, but for those whose reasons are listed.
#[test]
fn nothing_is_too_large() {
    let (sources, test_only) = tree();
    let sources: Vec<&Source> = sources
        .iter()
        .filter(|source| !is_beside(source, &test_only))
        .collect();
    let told = sizes::faults(&sources, &DOORS, exceptions::ALL);
    assert!(
        told.is_empty(),
        "{} faults:\n{}",
        told.len(),
        told.join("\n")
    );
}

#[test]
fn the_tree_is_tidy() {
    let folder = main_folder();
    let layers = layers(&fs::read_to_string(folder.join("lib.rs")).unwrap());
    assert!(
        layers.iter().any(|layer| layer == SANS_IO_TOP),
        "{layers:?}"
    );
    let (sources, test_only) = tree();

    let mut breaches = Vec::new();
    for source in &sources {
        let tests = test_only.iter().any(|module| source.is_in(module));
        breaches.extend(check(source, &layers, tests));
        if source.lines().len() > LINES_AIM {
            println!(
                "long: {} has {} lines, aim at {LINES_AIM}",
                source.path,
                source.lines().len()
            );
        }
    }
    assert!(
        breaches.is_empty(),
        "{} breaches:\n{}",
        breaches.len(),
        breaches.join("\n")
    );
}

/// Every breach in one file; `tests` where the whole file is tests.
fn check(source: &Source, layers: &[String], tests: bool) -> Vec<String> {
    let mut breaches = Vec::new();
    let layer = layers.iter().position(|layer| *layer == source.layer());
    let sans_io_top = layers.iter().position(|layer| layer == SANS_IO_TOP);
    let (above, but) = SANS_IO_ABOVE;
    let is_sans_io = (layer <= sans_io_top && layer.is_some())
        || (source.path.starts_with(above) && !source.path.starts_with(but));
    let mut breach = |line: usize, text: String| {
        breaches.push(format!("src/{}:{}: {text}", source.path, line + 1));
    };

    if !source.text.starts_with("//! ") {
        breach(0, "starts without a module header `//!`".into());
    }
    if source.lines().len() > LINES_MAX {
        breach(
            LINES_MAX,
            format!("has {} lines, at most {LINES_MAX}", source.lines().len()),
        );
    }
    for (number, code) in source.code.lines().enumerate() {
        if has_word(code, "unsafe") {
            if !UNSAFE_FOLDERS
                .iter()
                .any(|(folder, _)| *folder == source.layer())
            {
                breach(
                    number,
                    "`unsafe` outside the folders that may hold it".into(),
                );
            }
            if !source.says_above(number, SAFETY_LINES_MAX, &["SAFETY:", "# Safety"]) {
                breach(number, "`unsafe` without a `SAFETY:` above it".into());
            }
        }
        if tests || source.is_test_line(number) {
            continue;
        }
        for panic in PANICS.iter().filter(|panic| code.contains(**panic)) {
            if !source.says_above(number, 1, &["proved:"]) {
                breach(
                    number,
                    format!("`{panic}` without `// proved: ...` on it or above it"),
                );
            }
        }
        if is_sans_io {
            for word in NOT_SANS_IO.iter().filter(|word| names(code, word)) {
                breach(number, format!("`{word}` in the sans-io half"));
            }
        }
    }
    if tests {
        return breaches;
    }
    for (number, path) in source.uses() {
        let above = layers.iter().position(|layer| *layer == path);
        if let (Some(layer), Some(above)) = (layer, above)
            && above > layer
        {
            breach(
                number,
                format!("{} imports {path}, which is above it", source.layer()),
            );
        }
    }
    if is_sans_io {
        for (number, name) in source.std_collections() {
            if DEFAULT_HASHED.contains(&name.as_str()) {
                breach(
                    number,
                    format!("`std::collections::{name}` has a seed of its own"),
                );
            }
        }
    }
    breaches
}

/// Whether a word stands in a line by itself, not as part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(part) && !after.starts_with(part)
    })
}

/// Each rule catches what it is for, and nothing else.
#[test]
fn each_rule_bites() {
    let layers =
        layers("pub mod ids;\npub mod outbound;\npub mod broker;\npub mod uring;\npub mod cli;\n");
    let breaches = |path: &str, text: &str| check(&Source::new(path, text), &layers, false);
    let bites = |path: &str, text: &str, expected: &str| {
        let found = breaches(path, &format!("//! A header.\n{text}"));
        assert!(
            found.len() == 1 && found[0].contains(expected),
            "{text}: {found:?}"
        );
    };
    let passes = |path: &str, text: &str| {
        assert_eq!(
            breaches(path, &format!("//! A header.\n{text}")),
            Vec::<String>::new()
        );
    };

    assert!(breaches("ids.rs", "fn f() {}\n")[0].contains("module header"));
    bites("ids.rs", &"\n".repeat(600), "has 601 lines");
    bites(
        "broker/mod.rs",
        "fn f() { unsafe { g() } } // SAFETY: none.",
        "outside the folders",
    );
    bites(
        "uring/mod.rs",
        "fn f() { unsafe { g() } }",
        "without a `SAFETY:`",
    );
    bites("broker/mod.rs", "fn f() { g().unwrap() }", ".unwrap()");
    bites("cli/mod.rs", "fn f() { panic!(\"no\") }", "panic!(");
    bites("ids.rs", "use crate::broker::Broker;", "ids imports broker");
    bites(
        "outbound/queue.rs",
        "use crate::{ids::A, uring::{B, cli}};",
        "outbound imports uring",
    );
    bites(
        "broker/a.rs",
        "fn f() { crate::cli::run() }",
        "broker imports cli",
    );
    bites("broker/a.rs", "use std::time::Instant;", "std::time");
    bites("storage/writer.rs", "use std::fs::File;", "std::fs");
    bites(
        "broker/a.rs",
        "use std::collections::{BTreeMap, HashMap};",
        "HashMap",
    );
    bites(
        "broker/a.rs",
        "type A = std::collections::HashSet<u8>;",
        "HashSet",
    );

    passes(
        "uring/mod.rs",
        "// SAFETY: it is ours.\nfn f() { unsafe { g() } }",
    );
    passes(
        "broker/mod.rs",
        "// proved: g is never empty.\nfn f() { g().unwrap() }",
    );
    passes(
        "broker/mod.rs",
        "// unsafe .unwrap() std::time crate::cli\nfn f() { g(\"panic!(\") }",
    );
    passes(
        "broker/mod.rs",
        "#[cfg(test)]\nmod tests {\n    fn f() { g().unwrap() }\n}",
    );
    passes(
        "cli/mod.rs",
        "use crate::broker::Broker;\nuse std::collections::HashMap;",
    );
    passes("storage/thread/mod.rs", "use std::fs::File;");
    passes(
        "uring/mod.rs",
        "use std::time::Instant;\nuse crate::{ids::A, broker};",
    );
    passes(
        "ids.rs",
        "use std::collections::BTreeMap;\nlet unsafely = '\"'; let a: &'static str;",
    );
}

/// Without libtest nobody runs a `#[test]`, and without the house's harness nobody ignores what cannot be tested.
#[test]
fn tests_that_may_be_skipped_have_the_harness_for_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut files = Vec::new();
    rust_files(&root.join("tests"), &mut files);
    files.retain(|path| path.parent() == Some(&root.join("tests")) && !path.ends_with("tidy.rs"));
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let entry = format!("path = \"tests/{name}.rs\"\nharness = false");
        let (own, file) = (manifest.contains(&entry), path.display());
        if own {
            assert!(
                !text.contains("#[test]"),
                "{file}: `cases!` lists its tests"
            );
        }
        let skips = ["skipped(", "cannot(", "needed("].map(|word| format!(" {word}"));
        let skips = skips.iter().any(|word| text.contains(word)) || text.contains("::needed(");
        assert!(own || !skips, "{file}: skips tests without the harness");
    }
}

/// Whether code has this path, and not as the end of another name.
fn names(code: &str, path: &str) -> bool {
    let is_apart = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(path).any(|(at, _)| is_apart(at))
}
