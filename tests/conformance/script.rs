//! The text format of the scripts, and its parser. `README.md` beside this file describes the format.

use std::path::{Path, PathBuf};

use crate::support::mqtt::{self, Version};

/// One case: what it shows, and its steps.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file's name without its ending.
    pub file: String,
    pub name: String,
    /// What it shows, as `3.1.1:MQTT-3.1.0-1`, `5:MQTT-3.1.0-1`, `3.1:3.1` (a section) or `conf:max_qos`.
    pub statements: Vec<String>,
    pub versions: Vec<Version>,
    /// Lines for the broker's configuration.
    pub config: Vec<String>,
    pub steps: Vec<Step>,
}

/// One line of a case.
#[derive(Clone, Debug)]
pub struct Step {
    pub line: usize,
    /// The versions that it is for; empty for all.
    only: Vec<Version>,
    pub action: Action,
}

/// What a line says.
#[derive(Clone, Debug)]
pub enum Action {
    /// `A > ...`: the client sends; `corked` (`>>`): together with what it sends next.
    Send {
        client: String,
        what: Content,
        corked: bool,
    },
    /// `A > close`: the client closes its connection without a DISCONNECT.
    Close { client: String },
    /// `A < ...`: the next packet of this client.
    Expect {
        client: String,
        what: Content,
        how: How,
    },
    /// `A < closed`: the server closes the connection, with nothing more in front.
    Closed { client: String },
    /// `A < nothing`: nothing arrives.
    Nothing { client: String },
    /// `A > stall`, `A > resume`: the client takes no bytes for a while.
    Stall { client: String, stalled: bool },
    /// `wait 1500ms`.
    Wait { ms: u64 },
}

/// How a packet is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// `<`: next.
    Next,
    /// `<*`: next in some order of the block of such lines of one client.
    AnyOrder,
    /// `<?`: next, if at all.
    Optional,
}

/// A packet, by its bytes or by its fields.
#[derive(Clone, Debug)]
pub enum Content {
    /// Each a complete packet that would do; `None` is a byte that may have any value.
    Bytes(Vec<Vec<Option<u8>>>),
    Fields(Fields),
}

/// A packet by name and fields.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    pub kind: u8,
    pub words: Vec<Vec<u8>>,
    pub absent: Vec<String>,
    pub pairs: Vec<(String, Vec<u8>)>,
}

impl Fields {
    /// The last value of a key.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.pairs
            .iter()
            .rev()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_slice())
    }

    /// Whether a word stands there by itself.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word.as_bytes())
    }
}

impl Case {
    /// The steps for one version.
    pub fn steps_for(&self, version: Version) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(move |s| s.only.is_empty() || s.only.contains(&version))
    }

    /// Whether it can be played over a socket: clients that stall are for the process only, where no kernel buffers.
    pub fn is_for_sockets(&self) -> bool {
        !self
            .steps
            .iter()
            .any(|s| matches!(s.action, Action::Stall { .. }))
    }

    /// Milliseconds that the case waits in all.
    pub fn waits_ms(&self) -> u64 {
        self.steps
            .iter()
            .map(|s| {
                if let Action::Wait { ms } = s.action {
                    ms
                } else {
                    0
                }
            })
            .sum()
    }
}

/// All cases of all scripts beside this file, in the order of their names.
pub fn load() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "script"));
    paths.sort();
    paths
        .iter()
        .flat_map(|path| parse(path, &std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn parse(path: &Path, text: &str) -> Vec<Case> {
    let file = path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut cases: Vec<Case> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        parse_line(&file, i + 1, line, &mut cases)
            .unwrap_or_else(|e| panic!("{}:{}: {e}", path.display(), i + 1));
    }
    for case in &cases {
        assert!(
            !case.statements.is_empty(),
            "{file}: case {:?} names no statement",
            case.name
        );
    }
    cases
}

fn parse_line(file: &str, number: usize, line: &str, cases: &mut Vec<Case>) -> Result<(), String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    if word == "case" {
        cases.push(Case {
            file: file.into(),
            name: rest.into(),
            statements: Vec::new(),
            versions: vec![Version::V31, Version::V311, Version::V5],
            config: Vec::new(),
            steps: Vec::new(),
        });
        return Ok(());
    }
    let case = cases.last_mut().ok_or("a line before the first case")?;
    match word {
        "states" => case.statements.extend(statements(rest)?),
        "versions" => case.versions = rest.split(' ').map(version).collect::<Result<_, _>>()?,
        "config" => case.config.push(rest.into()),
        // A line of a file beside the configuration: `support::configure` writes it.
        "acl" | "password" => case.config.push(format!("{word}: {rest}")),
        "v3:" | "v5:" | "v31:" | "v311:" => {
            let only = match word {
                "v3:" => vec![Version::V31, Version::V311],
                "v31:" => vec![Version::V31],
                "v311:" => vec![Version::V311],
                _ => vec![Version::V5],
            };
            parse_step(number, rest, only, case)?;
        }
        _ => parse_step(number, line, Vec::new(), case)?,
    }
    Ok(())
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or(format!("no version: {text}"))
}

/// `MQTT-3.1.0-1, MQTT-3.1.0-2 [3.1.1], 3.1 [3.1], max_qos [conf]`: one without a version is of MQTT 5.
fn statements(text: &str) -> Result<Vec<String>, String> {
    let mut list = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (id, of) = match part.split_once(" [") {
            Some((id, of)) => (id, of.trim_end_matches(']')),
            None => (part, "5"),
        };
        if of != "conf" {
            version(of)?;
        }
        list.push(format!("{of}:{id}"));
    }
    Ok(list)
}

fn parse_step(line: usize, text: &str, only: Vec<Version>, case: &mut Case) -> Result<(), String> {
    let mut push = |only: &[Version], action| {
        case.steps.push(Step {
            line,
            only: only.to_vec(),
            action,
        })
    };
    if let Some(time) = text.strip_prefix("wait ") {
        push(
            &only,
            Action::Wait {
                ms: milliseconds(time)?,
            },
        );
        return Ok(());
    }
    let mut parts = text.splitn(3, ' ');
    let client = parts.next().unwrap_or("").to_string();
    let (arrow, rest) = (
        parts.next().unwrap_or(""),
        parts.next().unwrap_or("").trim(),
    );
    if client.is_empty() || !client.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("not a client's name: {client:?}"));
    }
    let keyword = rest.split(' ').next().unwrap_or("");
    let expect = |what: &str, how| {
        Ok::<_, String>(Action::Expect {
            client: client.clone(),
            what: content(what)?,
            how,
        })
    };
    match (arrow, keyword) {
        (">", "close") => push(&only, Action::Close { client }),
        (">", "stall" | "resume") => {
            let stalled = keyword == "stall";
            push(&only, Action::Stall { client, stalled });
        }
        (">" | ">>", _) => push(
            &only,
            Action::Send {
                client,
                what: content(rest)?,
                corked: arrow == ">>",
            },
        ),
        ("<", "closed") => push(&only, Action::Closed { client }),
        ("<", "nothing") => push(&only, Action::Nothing { client }),
        // An error after CONNACK: DISCONNECT with the code in MQTT 5, then the end.
        ("<", "error") | ("<", "refused") => {
            let kind = if keyword == "error" {
                "DISCONNECT"
            } else {
                "CONNACK"
            };
            let code = rest.strip_prefix(keyword).unwrap().trim();
            if only.is_empty() || only.contains(&Version::V5) {
                push(
                    &[Version::V5],
                    expect(&format!("{kind} {code}"), How::Next)?,
                );
            }
            push(
                &only,
                Action::Closed {
                    client: client.clone(),
                },
            );
        }
        ("<", _) => push(&only, expect(rest, How::Next)?),
        ("<*", _) => push(&only, expect(rest, How::AnyOrder)?),
        ("<?", _) => push(&only, expect(rest, How::Optional)?),
        _ => return Err(format!("no such line: {text}")),
    }
    Ok(())
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or("a time needs a unit")?, 1000),
    };
    number
        .parse::<u64>()
        .map(|n| n * unit)
        .map_err(|e| format!("{text}: {e}"))
}

fn content(text: &str) -> Result<Content, String> {
    if let Some(bytes) = text.strip_prefix("bytes ") {
        let alternatives: Result<Vec<_>, String> =
            bytes.split(" or ").map(crate::bytes::parse).collect();
        return Ok(Content::Bytes(alternatives?));
    }
    let mut tokens = tokens(text)?.into_iter();
    let Some(Token::Word(name)) = tokens.next() else {
        return Err("no packet".into());
    };
    let name = String::from_utf8_lossy(&name).into_owned();
    let kind = mqtt::KINDS
        .iter()
        .position(|k| *k == name)
        .ok_or(format!("no packet: {name}"))? as u8;
    let mut fields = Fields {
        kind,
        ..Fields::default()
    };
    for token in tokens {
        match token {
            Token::Word(word) => match word.strip_prefix(b"!") {
                Some(name) => fields
                    .absent
                    .push(String::from_utf8_lossy(name).into_owned()),
                None => fields.words.push(word),
            },
            Token::Pair(key, value) => fields.pairs.push((key, value)),
        }
    }
    Ok(Content::Fields(fields))
}

enum Token {
    Word(Vec<u8>),
    Pair(String, Vec<u8>),
}

/// Splits at spaces outside quotes; `key=value` where the key is of lower case letters, digits and hyphens.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut list = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let key_len = rest
            .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
            .unwrap_or(0);
        let key =
            (key_len > 0 && rest[key_len..].starts_with('=')).then(|| rest[..key_len].to_string());
        if key.is_some() {
            rest = &rest[key_len + 1..];
        }
        let (value, after) = value(rest)?;
        list.push(match key {
            Some(key) => Token::Pair(key, value),
            None => Token::Word(value),
        });
        rest = after.trim_start();
    }
    Ok(list)
}

/// One value: a bare word, `"text"`, `hex:0001`, or `1000*x` (a value so many times).
fn value(text: &str) -> Result<(Vec<u8>, &str), String> {
    if let Some(inner) = text.strip_prefix('"') {
        return crate::bytes::quoted(inner, '"');
    }
    let end = text.find(' ').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if let Some(hex) = word.strip_prefix("hex:") {
        return Ok((crate::bytes::hex(hex)?, rest));
    }
    if let Some((count, unit)) = word.split_once('*')
        && let Ok(count) = count.parse::<usize>()
    {
        return Ok((unit.repeat(count).into_bytes(), rest));
    }
    Ok((word.as_bytes().to_vec(), rest))
}
