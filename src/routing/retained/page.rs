//! What a filter finds among the retained messages, a page at a time.
//!
//! A cursor is a number of a slot: slots before it have been looked at. Two ways lead to a page. A *walk* down the
//! tree finds every topic that matches, and hands over those with the lowest slots from the cursor on; each page
//! walks again. A *scan* goes through the slots from the cursor on. A walk is given up for a scan when scanning all
//! slots costs less than the walks that would still be needed; so a filter costs no more than a small multiple of
//! the cheaper way, whatever it matches.
//!
//! Slots make the cursor exact in spite of changes between pages: a message stays in its slot as long as it is stored,
//! and what was stored since the question was asked is left out by its store's number: the one who asked has got it as
//! it was published. So a message that stays where it is comes exactly once, and one that is replaced never comes late.

use std::sync::Arc;

use smallvec::SmallVec;

use super::super::symbols::Symbol;
use super::super::tree::{NONE, ROOT, levels};
use super::Retained;
use crate::mqtt::message::Message;
use crate::mqtt::topic;

/// How much a page is, and may cost.
#[derive(Clone, Copy, Debug)]
pub struct PageBounds {
    /// Messages in a page.
    pub messages: usize,
    /// Nodes that a walk may visit.
    pub nodes: usize,
    /// Slots that a scan may look at.
    pub slots: usize,
}

/// Where the look-up of a filter goes on; the default is its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Those before have been looked at.
    slot: u32,
    /// Whether walking has been given up.
    scans: bool,
    /// By shard: the number of its last store, when the question was asked, that is to be found; later ones are left
    /// out. Nothing is left out of shards that are not in it.
    known: Box<[u64]>,
}

impl Cursor {
    /// A place that was told outside: the slot to go on from, and whether walking has been given up. It leaves out nothing.
    pub fn at(slot: u32, scans: bool) -> Cursor {
        Cursor {
            slot,
            scans,
            known: Box::default(),
        }
    }

    /// The place, to be told outside.
    pub fn place(&self) -> (u32, bool) {
        (self.slot, self.scans)
    }

    /// The same place, leaving out stores that come after these; unless that was said before.
    pub fn knowing(self, known: Box<[u64]>) -> Cursor {
        match self.known.is_empty() {
            true => Cursor { known, ..self },
            false => self,
        }
    }

    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        self.known.len() * size_of::<u64>()
    }

    /// The same place, for whoever is to be given what is stored there by then.
    pub fn renewed(&self) -> Cursor {
        Cursor {
            known: Box::default(),
            ..*self
        }
    }
}

/// What was found.
pub struct Page {
    /// The messages.
    pub messages: Vec<Arc<Message>>,
    /// Where to go on; `None` if that was all. There may be more although nothing was found.
    pub next: Option<Cursor>,
    /// Nodes and slots that were looked at.
    pub visited: usize,
}

/// What is asked for.
struct Question<'a> {
    filter: &'a str,
    from: Cursor,
    now_ms: u64,
    bounds: &'a PageBounds,
}

/// One level of a filter.
#[derive(Clone, Copy)]
enum Step {
    Name(Symbol),
    Any,
    Rest,
}

/// A node that a walk has still to visit.
#[derive(Clone, Copy)]
struct Ahead {
    node: u32,
    /// The level of the filter that its children are compared with.
    depth: u32,
    /// Whether the siblings behind it are to be visited as well.
    with_siblings: bool,
}

impl Retained {
    /// The next messages whose topics match a filter and that have not expired (MQTT-3.3.2-5). A filter that starts with
    /// a wildcard does not match topics that start with `$` (MQTT-4.7.2-1). What fits into one page comes in tree order,
    /// else in the order of slots.
    pub fn page(&self, filter: &str, from: Cursor, now_ms: u64, bounds: &PageBounds) -> Page {
        let mut visited = 0;
        let mut question = Question {
            filter,
            from,
            now_ms,
            bounds,
        };
        if !question.from.scans {
            if let Some(mut found) = self.walk(&question, &mut visited) {
                let next = first_by_slot(&mut found, bounds.messages);
                let taken = found.iter().filter_map(|&slot| self.message(slot));
                return Page {
                    messages: taken.cloned().collect(),
                    next: next.map(|slot| Cursor {
                        slot,
                        ..question.from
                    }),
                    visited,
                };
            }
            question.from.scans = true;
        }
        self.scan(question, visited)
    }

    /// Finds the slots from the cursor on whose messages match, in tree order. `None` if it was given up.
    fn walk(&self, question: &Question<'_>, visited: &mut usize) -> Option<Vec<u32>> {
        let (from, bounds) = (&question.from, question.bounds);
        let mut found = Vec::new();
        let Some(steps) = self.steps(question.filter) else {
            return Some(found);
        };
        let slots = self.tree.slots() as usize;
        let mut ahead: SmallVec<[Ahead; 32]> = SmallVec::new();
        ahead.push(Ahead {
            node: ROOT,
            depth: 0,
            with_siblings: false,
        });
        while let Some(at) = ahead.pop() {
            let pages = 1 + found.len() / bounds.messages;
            if *visited >= bounds.nodes || *visited * pages > slots {
                return None;
            }
            *visited += 1;
            if at.with_siblings {
                self.push_sibling(at, &mut ahead);
                if self.tree.parent(at.node) == ROOT
                    && self.tree.level(at.node).first() == Some(&b'$')
                {
                    continue;
                }
            }
            let step = steps.get(at.depth as usize);
            if matches!(step, None | Some(Step::Rest))
                && at.node >= from.slot
                && self.is_wanted(at.node, from, question.now_ms).is_some()
            {
                found.push(at.node);
            }
            self.push_children(at, step, &mut ahead);
        }
        Some(found)
    }

    /// Looks through the slots from the cursor on.
    fn scan(&self, question: Question<'_>, mut visited: usize) -> Page {
        let Question {
            filter,
            from,
            now_ms,
            bounds,
        } = question;
        let mut messages = Vec::new();
        let end = self.kept.len() as u32;
        let last = from.slot.saturating_add(bounds.slots as u32).min(end);
        let mut slot = from.slot;
        while slot < last && messages.len() < bounds.messages {
            if let Some(message) = self.is_wanted(slot, &from, now_ms)
                && topic::matches(filter, &message.topic)
            {
                messages.push(message.clone());
            }
            slot += 1;
        }
        visited += slot.saturating_sub(from.slot) as usize;
        Page {
            messages,
            next: (slot < end).then_some(Cursor { slot, ..from }),
            visited,
        }
    }

    /// The levels of a filter; `None` if one of them is the name of no level here.
    fn steps(&self, filter: &str) -> Option<SmallVec<[Step; 16]>> {
        let step = |level: &[u8]| match level {
            b"+" => Some(Step::Any),
            b"#" => Some(Step::Rest),
            _ => self.tree.symbol(level).map(Step::Name),
        };
        levels(filter.as_bytes()).map(step).collect()
    }

    /// The message of a slot, if it has not expired and is no later than the question.
    #[inline]
    fn is_wanted(&self, slot: u32, from: &Cursor, now_ms: u64) -> Option<&Arc<Message>> {
        let kept = self.kept.get(slot as usize)?;
        let message = kept.message.as_ref()?;
        (kept.store.is_in(&from.known) && message.expires_at_ms > now_ms).then_some(message)
    }

    /// What is below a node and matches the next level of the filter: one name, or the first of all children.
    fn push_children(&self, at: Ahead, step: Option<&Step>, ahead: &mut SmallVec<[Ahead; 32]>) {
        let (child, depth, with_siblings) = match step {
            None => return,
            Some(&Step::Name(symbol)) => {
                let child = self.tree.child(at.node, symbol).unwrap_or(NONE);
                (child, at.depth + 1, false)
            }
            Some(Step::Any) => (self.first_child(at.node), at.depth + 1, true),
            Some(Step::Rest) => (self.first_child(at.node), at.depth, true),
        };
        if child != NONE {
            ahead.push(Ahead {
                node: child,
                depth,
                with_siblings,
            });
        }
    }

    fn push_sibling(&self, at: Ahead, ahead: &mut SmallVec<[Ahead; 32]>) {
        let next = self.tree.node(at.node).value.next;
        if next != self.first_child(self.tree.parent(at.node)) {
            ahead.push(Ahead { node: next, ..at });
        }
    }

    #[inline]
    fn first_child(&self, node: u32) -> u32 {
        self.tree.node(node).value.first_child
    }
}

/// Leaves the lowest slots where there are more than a page; returns the one to go on from.
fn first_by_slot(found: &mut Vec<u32>, most: usize) -> Option<u32> {
    if found.len() <= most {
        return None;
    }
    found.select_nth_unstable(most);
    found.truncate(most);
    found.sort_unstable();
    found.last().map(|last| last + 1)
}
