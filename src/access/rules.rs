//! The rules of one ACL file, and what they say of a client and a topic.
//!
//! As in Mosquitto 2.0: the rules of the client's user name (or of the anonymous section, for a client without one)
//! come first: one of them that denies wins, then one that grants. Where none of them matches, the patterns are asked
//! in the same way. What nobody grants is denied.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::tree::{Names, Tree};

/// What a client wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be sent a message.
    Read,
    /// To publish one.
    Write,
}

/// The bits of rules.
pub(super) const READ: u8 = 1;
pub(super) const WRITE: u8 = 2;
pub(super) const DENY: u8 = 4;

impl Access {
    fn bit(self) -> u8 {
        match self {
            Access::Read => READ,
            Access::Write => WRITE,
        }
    }
}

/// Whether a client may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    No,
    /// That depends on its client id.
    ByClientId,
}

/// What the rules say of a topic: an answer for each access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    granted: u8,
    depends: u8,
}

impl Judgement {
    /// Nothing is allowed.
    pub const DENIED: Judgement = Judgement {
        granted: 0,
        depends: 0,
    };

    /// The answer for one access.
    #[inline]
    pub fn answer(self, access: Access) -> Answer {
        if self.granted & access.bit() != 0 {
            Answer::Yes
        } else if self.depends & access.bit() != 0 {
            Answer::ByClientId
        } else {
            Answer::No
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// The user name; `None` for an anonymous client.
    pub user: Option<&'a str>,
    /// The client id; `None` asks for all clients of this user name at once.
    pub id: Option<&'a str>,
    /// Whether patterns are for it: see [`Acl::suits_patterns`].
    pub with_patterns: bool,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acl {
    users: HashMap<Box<str>, Tree, FixedState>,
    anonymous: Tree,
    patterns: Option<Tree>,
}

impl Acl {
    /// The rules of a user name, or of the anonymous section.
    pub(super) fn section(&mut self, user: Option<&str>) -> &mut Tree {
        match user {
            Some(user) => self.users.entry_ref(user).or_default(),
            None => &mut self.anonymous,
        }
    }

    pub(super) fn patterns(&mut self) -> &mut Tree {
        self.patterns.get_or_insert_default()
    }

    /// Whether patterns may grant something to a client with this id. A wildcard in it, or in its user name, would
    /// stand for the places of others, and a `/` for places below those of others.
    pub fn suits_patterns(&self, user: Option<&str>, client_id: &str) -> bool {
        let is_dangerous = |name: &str| name.contains(['+', '#', '/']);
        self.patterns.is_some() && !user.is_some_and(is_dangerous) && !is_dangerous(client_id)
    }

    /// Whether there are rules that depend on the client id.
    pub fn has_client_id(&self) -> bool {
        self.patterns.as_ref().is_some_and(Tree::has_client_id)
    }

    /// What a client may do with a topic.
    pub fn judge(&self, client: Client<'_>, topic: &str) -> Judgement {
        let names = Names {
            user: client.user,
            client_id: client.id,
        };
        let section = match client.user {
            Some(user) => self.users.get(user),
            None => Some(&self.anonymous),
        };
        let own = section.map_or(0, |rules| rules.matching(topic, names).bits);
        if own & DENY != 0 {
            return Judgement::DENIED;
        }
        let open = (READ | WRITE) & !own;
        let patterns = self.patterns.as_ref().filter(|_| client.with_patterns);
        let Some(patterns) = patterns.filter(|_| open != 0) else {
            return Judgement {
                granted: own,
                depends: 0,
            };
        };
        let found = patterns.matching(topic, names);
        let denied = found.bits & DENY != 0;
        Judgement {
            granted: match denied || found.depends {
                true => own,
                false => own | found.bits & open,
            },
            // A rule that denies wins whatever the others say.
            depends: if found.depends && !denied { open } else { 0 },
        }
    }
}
