//! Circles of imports between the files of a folder: who names an item of whom, looked up to where it is defined.
//!
//! `use super::Type` is an import from the file that defines `Type`; a path in code is one too. A re-export (`pub use`) is
//! none, unless the file uses the name itself, and who takes a name through one imports from the file behind it. Code of tests
//! does not count.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// How many names may stand for one another until the one that is defined.
const RENAMES_MAX: usize = 16;

/// The files of the tree as modules.
pub struct Modules {
    /// By path from the crate's root.
    files: BTreeMap<Vec<String>, Module>,
}

struct Module {
    /// Relative to `src`.
    file: String,
    /// What `use` brings here, by the name that it has here.
    names: BTreeMap<String, Vec<String>>,
    /// What is imported, or named by a path, without re-exports.
    wants: BTreeSet<Vec<String>>,
}

/// One file names something of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    pub from: String,
    pub to: String,
    /// The path by which it does.
    pub path: String,
}

impl Modules {
    /// `is_test` says which files are nothing but tests.
    pub fn of(sources: &[Source], is_test: impl Fn(&Source) -> bool) -> Modules {
        let known: Vec<&Source> = sources.iter().filter(|source| !is_test(source)).collect();
        let paths: BTreeSet<Vec<String>> = known.iter().map(|s| module_path(&s.path)).collect();
        let module = |source: &&Source| {
            let own = module_path(&source.path);
            let module = Module::read(source, &own, &paths);
            (own, module)
        };
        Modules {
            files: known.iter().map(module).collect(),
        }
    }

    /// The imports from file to file within a folder.
    pub fn imports(&self, folder: &str) -> Vec<Import> {
        let top: Vec<String> = folder.split('/').map(String::from).collect();
        let is_inside = |path: &[String]| path.starts_with(&top);
        let mut found: Vec<Import> = Vec::new();
        for (own, module) in self.files.iter().filter(|(path, _)| is_inside(path)) {
            for want in &module.wants {
                let Some(to) = self.definer(want, RENAMES_MAX) else {
                    continue;
                };
                let is_known = |import: &Import| import.from == module.file && import.to == to.file;
                if to.file != module.file
                    && is_inside(&module_path(&to.file))
                    && !found.iter().any(is_known)
                {
                    found.push(Import {
                        from: module.file.clone(),
                        to: to.file.clone(),
                        path: written(want, own),
                    });
                }
            }
        }
        found
    }

    /// A shortest circle of imports through each file of a folder that is in one; each circle once.
    pub fn circles(&self, folder: &str) -> Vec<Vec<Import>> {
        let imports = self.imports(folder);
        let mut found: Vec<Vec<Import>> = Vec::new();
        let files: BTreeSet<&str> = imports.iter().map(|import| import.from.as_str()).collect();
        for file in files {
            let is_told = found.iter().flatten().any(|import| import.from == file);
            if !is_told {
                found.extend(circle_through(file, &imports));
            }
        }
        found
    }

    /// The file that defines what a path names; none where the path ends at a module, or outside the crate's files.
    fn definer(&self, path: &[String], renames: usize) -> Option<&Module> {
        let depth = (1..=path.len()).rev();
        let at = depth
            .into_iter()
            .find(|&n| self.files.contains_key(&path[..n]))?;
        let module = &self.files[&path[..at]];
        let name = path.get(at)?;
        match module.names.get(name) {
            Some(target) if renames > 0 => {
                let whole = [&target[..], &path[at + 1..]].concat();
                self.definer(&whole, renames - 1)
            }
            Some(_) => None,
            None => Some(module),
        }
    }
}

impl Module {
    fn read(source: &Source, own: &[String], all: &BTreeSet<Vec<String>>) -> Module {
        let code = source.code_without_tests();
        let (uses, rest) = split_uses(&code);
        let (mut names, mut wants) = (BTreeMap::new(), BTreeSet::new());
        for used in &uses {
            for (path, name) in members(&used.tree) {
                let Some(path) = absolute(&path, own, all) else {
                    continue;
                };
                if !used.is_reexport || is_named(&rest, &name) {
                    wants.insert(path.clone());
                }
                names.insert(name, path);
            }
        }
        for path in paths_in(&rest) {
            let is_rooted = ["crate", "super", "self"].contains(&path[0].as_str());
            let path = match names.get(&path[0]) {
                Some(target) if !is_rooted => Some([&target[..], &path[1..]].concat()),
                _ => absolute(&path, own, all),
            };
            wants.extend(path);
        }
        Module {
            file: source.path.clone(),
            names,
            wants,
        }
    }
}

/// `load/report/units.rs` as `load`, `report`, `units`.
fn module_path(file: &str) -> Vec<String> {
    let name = file.strip_suffix(".rs").unwrap_or(file);
    let name = name.strip_suffix("/mod").unwrap_or(name);
    match name {
        "lib" | "main" => Vec::new(),
        name => name.split('/').map(String::from).collect(),
    }
}

/// A path as one in a file of `own` would write it.
fn written(path: &[String], own: &[String]) -> String {
    let parent = &own[..own.len().saturating_sub(1)];
    match (path.strip_prefix(own), path.strip_prefix(parent)) {
        (Some(rest), _) => rest.join("::"),
        (None, Some(rest)) => format!("super::{}", rest.join("::")),
        (None, None) => format!("crate::{}", path.join("::")),
    }
}

/// A path from the crate's root; none where it leads out of the crate.
fn absolute(path: &[String], own: &[String], all: &BTreeSet<Vec<String>>) -> Option<Vec<String>> {
    let mut base = own.to_vec();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (base, rest) = (Vec::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop()?;
                rest = &rest[1..];
            }
        }
        // A module below this one, or another crate.
        child => {
            base.push(child.to_owned());
            let is_child = all.contains(&base);
            base.pop();
            return is_child.then(|| [&base[..], path].concat());
        }
    }
    Some([&base[..], rest].concat())
}

struct Use {
    is_reexport: bool,
    /// What stands between `use` and `;`.
    tree: String,
}

/// The `use` items of some code, and the code without them.
fn split_uses(code: &str) -> (Vec<Use>, String) {
    let (mut uses, mut rest) = (Vec::new(), String::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let item = line.trim();
        let private = item.strip_prefix("use ");
        let public = item
            .split_once(" use ")
            .filter(|(before, _)| before.starts_with("pub"));
        let Some(begun) = private.or(public.map(|(_, tree)| tree)) else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = begun.to_owned();
        while !tree.contains(';') {
            let Some(more) = lines.next() else { break };
            tree.push_str(more);
        }
        let tree = tree.split(';').next().unwrap_or_default();
        uses.push(Use {
            is_reexport: private.is_none(),
            tree: tree.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
    (uses, rest)
}

/// Whether code names a type, or calls a function, by its bare name.
fn is_named(code: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_type = name.starts_with(char::is_uppercase);
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let is_whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        let is_call = after.starts_with('(') && !before.ends_with('.') && !before.ends_with("fn ");
        is_whole && (is_type || is_call)
    })
}

/// The paths that a tree of `use` stands for, each with the name that it brings.
fn members(tree: &str) -> Vec<(Vec<String>, String)> {
    let Some(open) = tree.find('{') else {
        let (path, name) = match tree.split_once(" as ") {
            Some((path, name)) => (path, Some(name.trim().to_owned())),
            None => (tree, None),
        };
        let mut path: Vec<String> = path.trim().split("::").map(String::from).collect();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
        return vec![(path, name)];
    };
    let (before, group) = (
        &tree[..open],
        &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())],
    );
    let each = top_level(group).into_iter();
    each.flat_map(|part| members(&format!("{before}{}", part.trim())))
        .collect()
}

/// The parts between the commas that are in no braces.
fn top_level(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[from..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Every `a::b` in some code, from its first name on.
fn paths_in(code: &str) -> BTreeSet<Vec<String>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let words = |c: char| !is_part(c) && c != ':';
    let each = code.split(words).filter(|word| word.contains("::"));
    each.map(|word| word.trim_end_matches(':'))
        .filter(|word| !word.starts_with(':'))
        .map(|word| word.split("::").map(String::from).collect::<Vec<_>>())
        .filter(|path| {
            path.len() > 1
                && path
                    .iter()
                    .all(|part| !part.is_empty() && !part.contains(':'))
        })
        .collect()
}

/// A shortest way from a file back to itself.
fn circle_through(file: &str, imports: &[Import]) -> Option<Vec<Import>> {
    let mut ways: Vec<Vec<&Import>> = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in &ways {
            let end = way.last().map_or(file, |last| last.to.as_str());
            for import in imports.iter().filter(|import| import.from == end) {
                let way: Vec<&Import> = way.iter().copied().chain([import]).collect();
                if import.to == file {
                    return Some(way.into_iter().cloned().collect());
                }
                if seen.insert(import.to.as_str()) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles in `a/`, each as its files.
    fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let sources: Vec<Source> = files.iter().map(|(p, t)| Source::new(p, t)).collect();
        let found = Modules::of(&sources, |_| false).circles("a");
        let files = |circle: Vec<Import>| circle.into_iter().map(|import| import.from).collect();
        found.into_iter().map(files).collect()
    }

    #[test]
    fn circles_are_found_by_where_names_are_defined() {
        let none: Vec<Vec<String>> = Vec::new();
        let pair = [["a/b.rs".to_owned(), "a/mod.rs".to_owned()].to_vec()];
        let own = ("a/mod.rs", "mod b;\nuse b::B;\npub struct A(B);\n");
        // Up for a type that the file above defines.
        assert_eq!(circles(&[own, ("a/b.rs", "use super::A;\n")]), pair);
        assert_eq!(
            circles(&[own, ("a/b.rs", "fn f() { super::A::new() }\n")]),
            pair
        );
        assert_eq!(
            circles(&[own, ("a/b.rs", "use crate::a::{self, A};\n")]),
            pair
        );
        assert_eq!(
            circles(&[own, ("a/b.rs", "use crate::a;\nfn f() -> a::A {}\n")]),
            pair
        );
        assert_eq!(
            circles(&[
                own,
                ("a/b.rs", "#[cfg(test)]\nmod t {\n    use crate::a::A;\n}\n")
            ]),
            none
        );
        // By a path in code, down.
        let by_path = ("a/mod.rs", "mod b;\nfn f() { b::g() }\npub struct A;\n");
        assert_eq!(circles(&[by_path, ("a/b.rs", "use super::A;\n")]), pair);
    }

    #[test]
    fn a_reexport_is_none_and_is_looked_through() {
        let none: Vec<Vec<String>> = Vec::new();
        let reexports = ("a/mod.rs", "mod b;\nmod c;\npub use b::B;\npub struct A;\n");
        assert_eq!(circles(&[reexports, ("a/b.rs", "use super::A;\n")]), none);
        let b = ("a/b.rs", "use super::c::C;\npub struct B;\n");
        let c = ("a/c.rs", "use super::{\n    B,\n};\npub struct C;\n");
        let found = circles(&[reexports, b, c]);
        assert_eq!(found, [["a/b.rs".to_owned(), "a/c.rs".to_owned()]]);
        let used = ("a/mod.rs", "mod b;\npub use b::B;\npub struct A(B);\n");
        assert_eq!(circles(&[used, ("a/b.rs", "use super::A;\n")]).len(), 1);
        let called = ("a/mod.rs", "mod b;\npub use b::b;\npub fn a() { b() }\n");
        assert_eq!(circles(&[called, ("a/b.rs", "use super::a;\n")]).len(), 1);
        let method = (
            "a/mod.rs",
            "mod b;\npub use b::b;\npub fn a(c: C) { c.b() }\n",
        );
        assert_eq!(circles(&[method, ("a/b.rs", "use super::a;\n")]), none);
        let renamed = ("a/mod.rs", "mod b;\nmod c;\npub use b::B as D;\n");
        let c = ("a/c.rs", "use super::D;\npub struct C;\n");
        assert_eq!(circles(&[renamed, b, c]), found);
    }

    #[test]
    fn files_outside_and_modules_by_themselves_are_no_imports() {
        let none: Vec<Vec<String>> = Vec::new();
        let own = ("a/mod.rs", "mod b;\nuse crate::d;\nuse std::fs;\n");
        let b = ("a/b.rs", "use super::super::d::E;\nuse super::super::a;\n");
        let d = ("d.rs", "use crate::a::b::B;\npub struct E;\n");
        assert_eq!(circles(&[own, b, d]), none);
    }
}
