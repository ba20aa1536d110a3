//! Rules by their topic filters: one walk along a topic finds all that match, however many there are.
//!
//! Invariants: node 0 is the root and nobody's child, so that 0 stands for no child; every other node has one parent,
//! so that a walk visits none twice, and its cost is bounded by the rules that share a beginning with the topic.

use std::fmt::Debug;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// A part of a level: text, or what stands for a name of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// `%u`
    User,
    /// `%c`
    ClientId,
}

/// A level of a pattern that has `%c` or `%u` in it.
type Template = Vec<Piece>;

#[derive(Clone, Debug, PartialEq)]
struct Node {
    children: HashMap<Box<str>, u32, FixedState>,
    /// Behind `+`; 0 for none.
    any: u32,
    templates: Vec<(Template, u32)>,
    /// What the filters that end here say.
    here: u8,
    /// What the filters that end with `#` behind this node say.
    below: u8,
}

/// Whose names stand in for `%u` and `%c`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names<'a> {
    /// Without one, patterns with `%u` match nothing.
    pub user: Option<&'a str>,
    /// `None`: any client; then whether the answer depends on it is part of the answer.
    pub client_id: Option<&'a str>,
}

/// What the rules that match a topic say, together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Matched {
    /// The bits of all of them.
    pub bits: u8,
    /// There was a `%c` on the way, and no client id.
    pub depends: bool,
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree {
            nodes: vec![Node::new()],
        }
    }
}

impl Node {
    fn new() -> Node {
        Node {
            children: HashMap::with_hasher(FixedState::with_seed(0)),
            any: 0,
            templates: Vec::new(),
            here: 0,
            below: 0,
        }
    }
}

impl Tree {
    /// Adds a rule. In a `pattern`, `%c` and `%u` stand for names.
    pub(super) fn add(&mut self, filter: &str, is_pattern: bool, bits: u8) {
        let mut at = 0;
        for level in filter.split('/') {
            at = match level {
                "#" => {
                    self.nodes[at].below |= bits;
                    return;
                }
                "+" => match self.nodes[at].any {
                    0 => {
                        let new = self.grow();
                        self.nodes[at].any = new;
                        new as usize
                    }
                    any => any as usize,
                },
                level => match template(level).filter(|_| is_pattern) {
                    Some(template) => self.by_template(at, template),
                    None => self.by_text(at, level),
                },
            };
        }
        self.nodes[at].here |= bits;
    }

    fn grow(&mut self) -> u32 {
        self.nodes.push(Node::new());
        (self.nodes.len() - 1) as u32
    }

    fn by_text(&mut self, at: usize, level: &str) -> usize {
        if let Some(&child) = self.nodes[at].children.get(level) {
            return child as usize;
        }
        let new = self.grow();
        self.nodes[at].children.insert(level.into(), new);
        new as usize
    }

    fn by_template(&mut self, at: usize, template: Template) -> usize {
        let mut known = self.nodes[at].templates.iter();
        if let Some((_, child)) = known.find(|(other, _)| *other == template) {
            return *child as usize;
        }
        let new = self.grow();
        self.nodes[at].templates.push((template, new));
        new as usize
    }

    /// Whether a client id stands in one of the patterns.
    pub(super) fn has_client_id(&self) -> bool {
        let mut templates = self.nodes.iter().flat_map(|node| &node.templates);
        templates.any(|(template, _)| template.contains(&Piece::ClientId))
    }

    /// What the rules that match a topic name say. A topic that starts with `$` is not matched by a filter that starts
    /// with a wildcard (MQTT-4.7.2-1).
    pub(super) fn matching(&self, topic: &str, names: Names<'_>) -> Matched {
        let mut found = Matched::default();
        let skips_wildcards = topic.starts_with('$');
        // What is left of the topic; `None` behind its last level.
        let mut open: SmallVec<[(u32, Option<&str>); 16]> = SmallVec::new();
        open.push((0, Some(topic)));
        while let Some((index, rest)) = open.pop() {
            let node = &self.nodes[index as usize];
            let wildcards = index != 0 || !skips_wildcards;
            if wildcards {
                found.bits |= node.below;
            }
            let Some(rest) = rest else {
                found.bits |= node.here;
                continue;
            };
            let (level, after) = match rest.split_once('/') {
                Some((level, after)) => (level, Some(after)),
                None => (rest, None),
            };
            if !node.children.is_empty()
                && let Some(&child) = node.children.get(level)
            {
                open.push((child, after));
            }
            if node.any != 0 && wildcards {
                open.push((node.any, after));
            }
            for (template, child) in &node.templates {
                match strip(template, rest, names) {
                    Stripped::Rest(after) => open.push((*child, after)),
                    Stripped::Depends => found.depends = true,
                    Stripped::Nothing => {}
                }
            }
        }
        found
    }
}

/// What is left of a topic behind a template.
enum Stripped<'a> {
    Rest(Option<&'a str>),
    Nothing,
    /// The client id would have to be known.
    Depends,
}

/// Takes a template off the front of a topic. Names hold no `/` (see `Acl::suits_patterns`).
fn strip<'a>(template: &Template, topic: &'a str, names: Names<'_>) -> Stripped<'a> {
    let mut rest = topic;
    for piece in template {
        let name = match piece {
            Piece::Text(text) => Some(&**text),
            Piece::User => names.user,
            Piece::ClientId if names.client_id.is_none() => return Stripped::Depends,
            Piece::ClientId => names.client_id,
        };
        let Some(after) = name.and_then(|name| rest.strip_prefix(name)) else {
            return Stripped::Nothing;
        };
        rest = after;
    }
    match rest.strip_prefix('/') {
        Some(after) => Stripped::Rest(Some(after)),
        None if rest.is_empty() => Stripped::Rest(None),
        None => Stripped::Nothing,
    }
}

/// Takes a level apart; `None` where nothing in it stands for a name.
fn template(level: &str) -> Option<Template> {
    let mut pieces = Vec::new();
    let (mut text, mut rest) = (String::new(), level);
    while let Some(at) = rest.find('%') {
        let piece = match rest.as_bytes().get(at + 1) {
            Some(b'u') => Some(Piece::User),
            Some(b'c') => Some(Piece::ClientId),
            _ => None,
        };
        let taken = at + if piece.is_some() { 2 } else { 1 };
        text.push_str(&rest[..if piece.is_some() { at } else { taken }]);
        rest = &rest[taken..];
        if let Some(piece) = piece {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text).into()));
            }
            pieces.push(piece);
        }
    }
    if pieces.is_empty() {
        return None;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
    Some(pieces)
}
