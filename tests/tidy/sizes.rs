//! How large functions, structs and the `impl` blocks of a type are, in code that is not tests: what is larger than it should be
//! is on a list of exceptions, with its present size and the reason. An exception may shrink, and not grow.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// Lines of a function, from its `fn` to its end.
const FUNCTION_LINES_MAX: usize = 60;
/// Parameters of a function, `self` apart.
const PARAMETERS_MAX: usize = 5;
/// Fields of a struct.
const FIELDS_MAX: usize = 20;
/// Files with `impl` blocks of one type.
const IMPL_FILES_MAX: usize = 3;

/// What a size is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Lines,
    Parameters,
    Fields,
    Files,
}

impl Kind {
    fn bound(self) -> usize {
        match self {
            Kind::Lines => FUNCTION_LINES_MAX,
            Kind::Parameters => PARAMETERS_MAX,
            Kind::Fields => FIELDS_MAX,
            Kind::Files => IMPL_FILES_MAX,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Lines => "lines",
            Kind::Parameters => "parameters",
            Kind::Fields => "fields",
            Kind::Files => "files with `impl` blocks",
        }
    }
}

/// Something that is larger than it should be: its kind, where it is (`file::name`, of a type `room::name`), its size, and why.
pub type Exception = (Kind, &'static str, usize, &'static str);

/// Compares what there is with the exceptions, and says what does not hold. Nobody keeps an exception that is not needed.
pub fn faults(sources: &[&Source], apart: &[&str], exceptions: &[Exception]) -> Vec<String> {
    let mut found = sizes(sources, apart);
    found.retain(|(kind, _), size| *size > kind.bound());
    let mut told = Vec::new();
    for (&(kind, ref place), &size) in &found {
        let known = exceptions
            .iter()
            .find(|(k, p, ..)| *k == kind && p == place);
        let (name, max) = (kind.name(), kind.bound());
        match known {
            None => told.push(format!("{place} has {size} {name}, at most {max}")),
            Some((.., known, _)) if *known < size => {
                told.push(format!("{place} has {size} {name}, and had {known}"));
            }
            Some((.., known, _)) if *known > size => {
                told.push(format!(
                    "{place} has {size} {name}: lower its exception of {known}"
                ));
            }
            Some(_) => {}
        }
    }
    let is_found = |kind: Kind, place: &str| found.contains_key(&(kind, place.to_owned()));
    for (kind, place, ..) in exceptions.iter().filter(|(k, p, ..)| !is_found(*k, p)) {
        told.push(format!(
            "{place} is no exception any more ({}): take it off the list",
            kind.name()
        ));
    }
    told
}

/// All sizes; `impl` blocks in files under one of `apart` do not count.
fn sizes(sources: &[&Source], apart: &[&str]) -> BTreeMap<(Kind, String), usize> {
    let mut found = BTreeMap::new();
    let mut files: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for source in sources {
        let code = source.code_without_tests();
        let mut note = |kind, name: &str, size: usize| {
            let place = format!("{}::{name}", source.path);
            let most = found.entry((kind, place)).or_insert(0);
            *most = size.max(*most);
        };
        for function in functions(&code) {
            note(Kind::Lines, function.name, function.lines);
            note(Kind::Parameters, function.name, function.parameters);
        }
        for (name, fields) in structs(&code) {
            note(Kind::Fields, name, fields);
        }
        if !apart.iter().any(|folder| source.path.starts_with(folder)) {
            for name in impls(&code) {
                let place = format!("{}::{name}", source.layer());
                files.entry(place).or_default().insert(&source.path);
            }
        }
    }
    let files = files.into_iter();
    found.extend(files.map(|(place, files)| ((Kind::Files, place), files.len())));
    found
}

struct Function<'a> {
    name: &'a str,
    parameters: usize,
    lines: usize,
}

fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a word stands by itself, behind it.
fn behind<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).filter_map(move |(at, _)| {
        let (before, after) = (&code[..at], &code[at + word.len()..]);
        let is_whole = !before.ends_with(is_part) && !before.ends_with(['\'', '$']);
        (is_whole && !after.starts_with(is_part)).then_some(at + word.len())
    })
}

/// The identifier at the beginning, behind blanks.
fn identifier(code: &str) -> &str {
    let code = code.trim_start();
    &code[..code.find(|c| !is_part(c)).unwrap_or(code.len())]
}

/// The functions that have bodies.
fn functions(code: &str) -> Vec<Function<'_>> {
    let each = behind(code, "fn").filter_map(|at| {
        let rest = &code[at..];
        let name = identifier(rest);
        if name.is_empty() {
            return None; // the type of a function
        }
        let open = skip_to(rest, 0, &['('])?;
        let close = matching(rest, open)?;
        let parameters = members(&rest[open + 1..close]);
        let parameters = parameters.iter().filter(|one| !is_self(one)).count();
        let body = skip_to(rest, close + 1, &['{', ';'])?;
        let end = matching(rest, body).filter(|_| rest[body..].starts_with('{'))?;
        let lines = rest[..end].matches('\n').count() + 1;
        Some(Function {
            name,
            parameters,
            lines,
        })
    });
    each.collect()
}

fn is_self(parameter: &str) -> bool {
    let name = parameter.split(':').next().unwrap_or_default();
    name.split(|c| !is_part(c)).any(|word| word == "self")
}

/// The structs with named fields, and how many each has.
fn structs(code: &str) -> Vec<(&str, usize)> {
    let each = behind(code, "struct").filter_map(|at| {
        let rest = &code[at..];
        let name = identifier(rest);
        let body = skip_to(rest, 0, &['{', ';', '('])?;
        let end = matching(rest, body).filter(|_| rest[body..].starts_with('{'))?;
        let is_named = !name.is_empty();
        is_named.then(|| (name, members(&rest[body + 1..end]).len()))
    });
    each.collect()
}

/// The types that have `impl` blocks of their own, not of traits.
fn impls(code: &str) -> Vec<&str> {
    let lines = code.lines().filter(|line| line.starts_with("impl"));
    let each = lines.filter_map(|line| {
        let rest = &line["impl".len()..];
        let rest = match rest.starts_with('<') {
            true => &rest[matching(rest, 0)? + 1..],
            false => rest,
        };
        let is_of_trait = rest.contains(" for ") && !rest.contains("for<");
        let path = rest.trim_start().split(['<', ' ']).next()?;
        let name = path.rsplit("::").next()?;
        (!is_of_trait && !name.is_empty()).then_some(name)
    });
    each.collect()
}

/// The first of these characters from `from` on that stands in no brackets.
fn skip_to(code: &str, from: usize, wanted: &[char]) -> Option<usize> {
    let mut at = from;
    loop {
        let c = code[at..].chars().next()?;
        if wanted.contains(&c) {
            return Some(at);
        }
        match c {
            '<' | '(' | '[' | '{' => at = matching(code, at)? + 1,
            // An arrow is no bracket.
            '-' if code[at..].starts_with("->") => at += 2,
            _ => at += c.len_utf8(),
        }
    }
}

/// The bracket that closes the one at this place.
fn matching(code: &str, open: usize) -> Option<usize> {
    let is_angle = code[open..].starts_with('<');
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in code[open..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '<' if is_angle => depth += 1,
            '>' if is_angle && !['-', '='].contains(&before) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + at);
        }
        before = c;
    }
    None
}

/// The parts between the commas that are in no brackets.
fn members(code: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from, mut before) = (Vec::new(), 0, 0, ' ');
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if !['-', '='].contains(&before) => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&code[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(&code[from..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[(&str, &str)], exceptions: &[Exception]) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(p, t)| Source::new(p, t)).collect();
        let sources: Vec<&Source> = sources.iter().collect();
        faults(&sources, &["a/doors/"], exceptions)
    }

    #[test]
    fn functions_are_measured() {
        let long = |lines: usize| format!("fn f() {{{}}}\n", "\n".repeat(lines - 1));
        assert_eq!(told(&[("a.rs", &long(60))], &[]), [""; 0]);
        let file = ("a.rs", &*long(61));
        assert_eq!(told(&[file], &[]), ["a.rs::f has 61 lines, at most 60"]);
        let at = |lines| [(Kind::Lines, "a.rs::f", lines, "why")];
        assert_eq!(told(&[file], &at(61)), [""; 0]);
        assert_eq!(told(&[file], &at(70)).len(), 1, "it has shrunk");
        assert_eq!(
            told(&[("a.rs", &long(62))], &at(61)).len(),
            1,
            "it has grown"
        );
        assert_eq!(told(&[("a.rs", &long(9))], &at(61)).len(), 1, "it is gone");
    }

    #[test]
    fn parameters_are_counted() {
        let of = |code: &str| {
            functions(code)
                .iter()
                .map(|f| f.parameters)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("fn f(&mut self, a: A, b: [u8; 2]) -> [u8; 4] {}"), [2]);
        assert_eq!(
            of("fn f<T: Fn(A, B) -> C>(a: &T, b: (A, B), c: M<A, B>) where T: X<A> {}"),
            [3]
        );
        assert_eq!(
            of("fn f(self: Box<Self>, g: impl Fn(A, B) -> C,) {}\nfn g();"),
            [1]
        );
        assert_eq!(of("fn f(which: fn(&A) -> bool) { let g: fn() = h; }"), [1]);
        let many = "fn f(a: A, b: A, c: A, d: A, e: A, f: A) {}";
        assert_eq!(
            told(&[("a.rs", many)], &[]),
            ["a.rs::f has 6 parameters, at most 5"]
        );
        let test = format!("#[cfg(test)]\nmod tests {{\n{many}\n}}");
        assert_eq!(told(&[("a.rs", &test)], &[]), [""; 0]);
    }

    #[test]
    fn fields_are_counted() {
        assert_eq!(
            structs("struct A<T> where T: B { a: A<B, C>, b: [u8; 3] }\nstruct D;"),
            [("A", 2)]
        );
        assert_eq!(structs("pub struct A(B, C);\nstruct E {}"), [("E", 0)]);
    }

    #[test]
    fn files_with_impl_blocks_of_a_type_are_counted() {
        assert_eq!(
            impls("impl A {}\nimpl<B: C<D>> E<B> {}\nimpl F for G {}\n"),
            ["A", "E"]
        );
        let files = ["a/b.rs", "a/c.rs", "a/d.rs", "a/e.rs"].map(|path| (path, "impl A {}\n"));
        assert_eq!(told(&files[..3], &[]), [""; 0]);
        assert_eq!(
            told(&files, &[]),
            ["a::A has 4 files with `impl` blocks, at most 3"]
        );
        let apart = [
            files[0],
            files[1],
            files[2],
            ("a/doors/f.rs", "impl A {}\n"),
        ];
        assert_eq!(told(&apart, &[]), [""; 0]);
        let other = [files[0], files[1], files[2], ("g/f.rs", "impl A {}\n")];
        assert_eq!(told(&other, &[]), [""; 0], "another room's type");
    }
}
