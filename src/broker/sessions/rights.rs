//! What the clients of this shard may do, where there is an ACL file; without one, none of this exists.
//!
//! Sessions that the same rules hold for form a *group*: those with one ACL file and one user name (or none). A group
//! needs one decision per message, kept in it while the message is routed, and one per topic, remembered beyond. Only
//! where a pattern with `%c` could match the topic is there a decision per session.
//!
//! Invariants: a session that may be restricted has `HOT_GUARDED` and is counted by exactly one group; the numbers of
//! groups are never given twice, so that what is remembered of one can never be taken for another's.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::access::{self, Acl, Answer, Client, Decisions, Judgement};
use crate::broker::settings::Settings;
use crate::ids::NONE;
use crate::ids::SessionId;
use crate::mqtt::author::Author;

/// Whether there are rules for a session from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub is_guarded: bool,
    /// They are others than those that held so far, so that what was offered to it by those may not be its to read.
    pub has_changed: bool,
}

impl Joined {
    /// There are none.
    pub(crate) const FREE: Joined = Joined {
        is_guarded: false,
        has_changed: false,
    };
}

/// What all sessions of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    acl: u16,
    user: Option<Box<str>>,
    with_patterns: bool,
}

struct Group {
    key: Key,
    /// Its sessions.
    sessions: u32,
    number: u64,
    /// The message that `judgement` is about.
    stamp: u64,
    judgement: Judgement,
}

/// See the module.
pub(crate) struct Rights {
    /// The last one is nobody's, and denies everything.
    acls: Vec<Arc<Acl>>,
    /// Of each: whether there are rules that depend on the client id.
    by_id: Vec<bool>,
    /// By listener.
    of_listener: Vec<Option<u16>>,
    groups: Vec<Group>,
    free_groups: Vec<u32>,
    index: HashMap<Key, u32, FixedState>,
    /// By session; `NONE` for those without rules.
    group_of: Vec<u32>,
    decisions: Decisions,
    numbers: u64,
    stamps: u64,
}

impl Rights {
    /// `None` if no listener has an ACL file. Rules that are equal to some of `old` are these, whatever file they are from.
    pub(crate) fn new(settings: &Settings, seed: u64, old: Option<&Rights>) -> Option<Box<Rights>> {
        let old = old.map_or(&[][..], |old| &old.acls);
        let mut acls: Vec<Arc<Acl>> = Vec::new();
        let mut of_listener = Vec::new();
        for listener in &settings.listeners {
            let index = listener.acl.as_ref().map(|acl| {
                let acl = old.iter().find(|old| old == &acl).unwrap_or(acl);
                let known = acls.iter().position(|other| Arc::ptr_eq(other, acl));
                known.unwrap_or_else(|| {
                    acls.push(acl.clone());
                    acls.len() - 1
                }) as u16
            });
            of_listener.push(index);
        }
        (!acls.is_empty()).then(|| {
            acls.push(Arc::default());
            Box::new(Rights {
                by_id: acls.iter().map(|acl| acl.has_client_id()).collect(),
                acls,
                of_listener,
                groups: Vec::new(),
                free_groups: Vec::new(),
                index: HashMap::with_hasher(FixedState::with_seed(seed)),
                group_of: Vec::new(),
                decisions: Decisions::new(seed),
                numbers: 0,
                stamps: 0,
            })
        })
    }

    /// The rules of this listener and user name hold for a session from here on; without a listener it may do nothing.
    pub(crate) fn join(
        &mut self,
        session: SessionId,
        listener: Option<u16>,
        user: Option<&str>,
        client_id: &str,
    ) -> Joined {
        let acl = match listener {
            Some(listener) => self.of_listener.get(usize::from(listener)).copied(),
            None => Some(Some((self.acls.len() - 1) as u16)),
        };
        let Some(Some(acl)) = acl else {
            self.leave(session);
            return Joined::FREE;
        };
        let key = Key {
            acl,
            user: user.map(Box::from),
            with_patterns: self.acls[usize::from(acl)].suits_patterns(user, client_id),
        };
        let joined = Joined {
            is_guarded: true,
            has_changed: self.key(session) != Some(&key),
        };
        if !joined.has_changed {
            return joined;
        }
        self.leave(session);
        let group = match self.index.get(&key) {
            Some(&group) => group,
            None => self.new_group(key),
        };
        self.groups[group as usize].sessions += 1;
        if self.group_of.len() <= session.index() {
            self.group_of.resize(session.index() + 1, NONE);
        }
        self.group_of[session.index()] = group;
        joined
    }

    /// Whether the same rules hold for a session as before, of those with which a reload found it.
    pub(crate) fn agrees(&self, old: Option<&Rights>, session: SessionId) -> bool {
        let rules = |rights: &Rights| {
            let key = rights.key(session)?;
            let acl = Arc::as_ptr(&rights.acls[usize::from(key.acl)]);
            Some((acl, key.user.clone(), key.with_patterns))
        };
        rules(self) == old.and_then(rules)
    }

    /// Whether the client id has to be known beside user name and listener, to say later what a client may do: there is a
    /// rule with it, or it is one that patterns are not for.
    pub(crate) fn asks_for_id(&self, listener: u16, user: Option<&str>, client_id: &str) -> bool {
        let Some(Some(acl)) = self.of_listener.get(usize::from(listener)).copied() else {
            return false;
        };
        let index = usize::from(acl);
        let acl = &self.acls[index];
        let is_odd = acl.suits_patterns(user, "") && !acl.suits_patterns(user, client_id);
        self.by_id[index] || is_odd
    }

    /// Whether somebody may write to a topic, known by names. Rules with a client id grant nothing where it is not known.
    pub(crate) fn may_have_written(
        &self,
        author: &Author,
        listener: Option<u16>,
        topic: &str,
    ) -> bool {
        let of = |listener: u16| self.of_listener.get(usize::from(listener)).copied();
        let acl = match listener.and_then(of) {
            None => return false,
            Some(None) => return true,
            Some(Some(acl)) => &self.acls[usize::from(acl)],
        };
        let (user, id) = (author.user.as_deref(), author.client_id.as_deref());
        let client = Client {
            user,
            id,
            with_patterns: acl.suits_patterns(user, id.unwrap_or_default()),
        };
        acl.judge(client, topic).answer(access::Access::Write) == Answer::Yes
    }

    fn key(&self, session: SessionId) -> Option<&Key> {
        let group = *self.group_of.get(session.index())?;
        Some(&self.groups.get(group as usize)?.key)
    }

    fn new_group(&mut self, key: Key) -> u32 {
        self.numbers += 1;
        let group = Group {
            key: key.clone(),
            sessions: 0,
            number: self.numbers,
            stamp: 0,
            judgement: Judgement::DENIED,
        };
        let index = match self.free_groups.pop() {
            Some(index) => {
                self.groups[index as usize] = group;
                index
            }
            None => {
                self.groups.push(group);
                (self.groups.len() - 1) as u32
            }
        };
        self.index.insert(key, index);
        index
    }

    /// A session ends.
    pub(crate) fn leave(&mut self, session: SessionId) {
        let Some(of) = self.group_of.get_mut(session.index()) else {
            return;
        };
        let index = std::mem::replace(of, NONE);
        let Some(group) = self.groups.get_mut(index as usize) else {
            return;
        };
        group.sessions -= 1;
        if group.sessions == 0 {
            self.index.remove(&group.key);
            self.free_groups.push(index);
        }
    }

    /// A mark for a message, so that its groups are asked once.
    pub(crate) fn next_stamp(&mut self) -> u64 {
        self.stamps += 1;
        self.stamps
    }

    /// Whether a session may do this. `stamp` is the message's. `identity` is asked for the session's serial and
    /// client id where the decision depends on them.
    #[inline]
    pub(crate) fn may<'a>(
        &mut self,
        session: SessionId,
        access: access::Access,
        topic: &str,
        stamp: u64,
        identity: impl FnOnce() -> Option<(u64, &'a str)>,
    ) -> bool {
        let Some(group) = self
            .group_of
            .get(session.index())
            .and_then(|&group| self.groups.get_mut(group as usize))
        else {
            return true;
        };
        let acl = &self.acls[usize::from(group.key.acl)];
        let client = Client {
            user: group.key.user.as_deref(),
            id: None,
            with_patterns: group.key.with_patterns,
        };
        if group.stamp != stamp {
            let judge = || acl.judge(client, topic);
            group.judgement = self.decisions.get_or((group.number, 0), topic, judge);
            group.stamp = stamp;
        }
        match group.judgement.answer(access) {
            Answer::Yes => true,
            Answer::No => false,
            Answer::ByClientId => {
                let Some((serial, id)) = identity() else {
                    return false;
                };
                let client = Client {
                    id: Some(id),
                    ..client
                };
                let judge = || acl.judge(client, topic);
                let whose = (group.number, serial);
                self.decisions.get_or(whose, topic, judge).answer(access) == Answer::Yes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::ListenerSettings;

    fn rights(texts: &[Option<&str>]) -> Option<Box<Rights>> {
        let acl = |text: &str| Arc::new(Acl::parse(text.as_bytes()).unwrap().0);
        let listeners = texts.iter().map(|text| ListenerSettings {
            acl: text.map(acl),
            ..ListenerSettings::default()
        });
        let settings = Settings {
            listeners: listeners.collect(),
            ..Settings::default()
        };
        Rights::new(&settings, 1, None)
    }

    fn may(rights: &mut Rights, session: u32, access: access::Access, topic: &str) -> bool {
        let stamp = rights.next_stamp();
        let id = format!("c{session}");
        let identity = || Some((u64::from(session) + 100, id.as_str()));
        rights.may(SessionId(session), access, topic, stamp, identity)
    }

    #[test]
    fn without_a_file_there_is_nothing() {
        assert!(rights(&[None, None]).is_none());
    }

    #[test]
    fn sessions_of_one_user_name_are_one_group() {
        let mut rights = rights(&[Some("topic read #\n"), None]).unwrap();
        for session in 0..100 {
            let joined = rights.join(SessionId(session), Some(0), None, "c");
            assert!(joined.is_guarded && joined.has_changed);
        }
        assert!(!rights.join(SessionId(7), Some(0), None, "c").has_changed);
        assert!(
            rights
                .join(SessionId(100), Some(0), Some("u"), "c")
                .is_guarded
        );
        assert!(
            !rights
                .join(SessionId(101), Some(1), Some("u"), "c")
                .is_guarded
        );
        assert_eq!((rights.groups.len(), rights.index.len()), (2, 2));
        assert!(may(&mut rights, 7, access::Access::Read, "t"));
        assert!(!may(&mut rights, 7, access::Access::Write, "t"));
        assert!(!may(&mut rights, 100, access::Access::Read, "t"));
        assert!(may(&mut rights, 101, access::Access::Write, "t"));
        for session in 0..102 {
            rights.leave(SessionId(session));
            rights.leave(SessionId(session));
        }
        assert_eq!((rights.free_groups.len(), rights.index.len()), (2, 0));
    }

    #[test]
    fn a_group_that_takes_the_place_of_another_inherits_nothing() {
        let mut rights = rights(&[Some("user u\ntopic read t\nuser v\n")]).unwrap();
        rights.join(SessionId(0), Some(0), Some("u"), "c");
        assert!(may(&mut rights, 0, access::Access::Read, "t"));
        rights.leave(SessionId(0));
        rights.join(SessionId(1), Some(0), Some("v"), "c");
        assert_eq!(rights.groups.len(), 1);
        assert!(!may(&mut rights, 1, access::Access::Read, "t"));
        // The same session comes back under another name.
        rights.join(SessionId(1), Some(0), Some("u"), "c");
        assert!(may(&mut rights, 1, access::Access::Read, "t"));
        rights.join(SessionId(1), Some(0), Some("v"), "c");
        assert!(!may(&mut rights, 1, access::Access::Read, "t"));
    }

    #[test]
    fn with_a_client_id_in_a_pattern_each_session_is_asked_for_itself() {
        let mut rights = rights(&[Some("pattern read of/%c\ntopic read all\n")]).unwrap();
        rights.join(SessionId(1), Some(0), None, "c1");
        rights.join(SessionId(2), Some(0), None, "c2");
        rights.join(SessionId(3), Some(0), None, "#");
        assert_eq!(rights.index.len(), 2, "patterns are not for the third");
        for (session, topic, expected) in [
            (1, "of/c1", true),
            (2, "of/c1", false),
            (2, "of/c2", true),
            (3, "of/c3", false),
            (1, "all", true),
            (3, "all", true),
        ] {
            let found = may(&mut rights, session, access::Access::Read, topic);
            assert_eq!(found, expected, "{session} {topic}");
        }
    }
}
