//! What only some connections have: a user name, a word for who is turned away, an author that messages are known by. All of
//! it in one table, so that it is forgotten at once.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::ids::ConnId;
use crate::mqtt::ReasonCode;
use crate::mqtt::author::Author;

/// A user name, and what vouches for it.
struct User {
    name: Box<str>,
    by_certificate: bool,
}

/// What one connection has of it.
#[derive(Default)]
struct Particular {
    user: Option<User>,
    /// It has come too fast: what it is told when it says CONNECT.
    turned_away: Option<ReasonCode>,
    /// Who it is to those that are sent what it stored (`check_retain_source`).
    author: Option<Arc<Author>>,
}

impl Particular {
    /// Bytes beside the table.
    fn heap(&self) -> usize {
        let user = self.user.as_ref().map_or(0, |user| user.name.len());
        user + self.author.as_ref().map_or(0, |author| author.cost())
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Particulars {
    by_conn: HashMap<u32, Particular, FixedState>,
    heap: usize,
    /// Connections that are turned away.
    turned_away: usize,
}

impl Particulars {
    fn change<R>(&mut self, conn: ConnId, change: impl FnOnce(&mut Particular) -> R) -> R {
        let particular = self.by_conn.entry(conn.0).or_default();
        self.heap -= particular.heap();
        let result = change(particular);
        self.heap += particular.heap();
        result
    }

    fn user(&self, conn: ConnId) -> Option<&User> {
        self.by_conn.get(&conn.0)?.user.as_ref()
    }

    /// The certificate of a connection gives it a user name.
    pub(crate) fn certify(&mut self, conn: ConnId, name: Option<Box<str>>) {
        if let Some(name) = name {
            let by_certificate = true;
            self.change(conn, |particular| {
                particular.user = Some(User {
                    name,
                    by_certificate,
                });
            });
        }
    }

    /// A client is let in under this name.
    pub(crate) fn let_in(&mut self, conn: ConnId, name: Option<&str>) {
        let Some(name) = name else {
            return;
        };
        self.change(conn, |particular| {
            if particular.user.is_none() {
                particular.user = Some(User {
                    name: name.into(),
                    by_certificate: false,
                });
            }
        });
    }

    /// The user name of a connection's certificate.
    pub(crate) fn certified(&self, conn: ConnId) -> Option<&str> {
        let user = self.user(conn)?;
        user.by_certificate.then_some(&*user.name)
    }

    /// The user name of a connection, wherever it comes from.
    pub(crate) fn user_name(&self, conn: ConnId) -> Option<&str> {
        self.user(conn).map(|user| &*user.name)
    }

    /// A connection that has just been accepted is to be refused for this reason when its CONNECT comes.
    pub(crate) fn turn_away(&mut self, conn: ConnId, reason: ReasonCode) {
        let before = self.change(conn, |particular| particular.turned_away.replace(reason));
        self.turned_away += usize::from(before.is_none());
    }

    /// How many are to be told that they are turned away.
    pub(crate) fn turned_away(&self) -> usize {
        self.turned_away
    }

    /// What a connection that says CONNECT now is told.
    #[inline]
    pub(crate) fn take_turned_away(&mut self, conn: ConnId) -> Option<ReasonCode> {
        if self.turned_away == 0 {
            return None;
        }
        let reason = self.by_conn.get_mut(&conn.0)?.turned_away.take()?;
        self.turned_away -= 1;
        Some(reason)
    }

    /// Who a connection is to those that are sent what it stored, if that was asked before.
    pub(crate) fn author(&self, conn: ConnId) -> Option<&Arc<Author>> {
        self.by_conn.get(&conn.0)?.author.as_ref()
    }

    /// Who a connection is to those that are sent what it stored.
    pub(crate) fn set_author(&mut self, conn: ConnId, author: Arc<Author>) {
        self.change(conn, |particular| particular.author = Some(author));
    }

    /// Rules have changed: what has to be known of an author may have, too.
    pub(crate) fn forget_authors(&mut self) {
        for particular in self.by_conn.values_mut() {
            if let Some(author) = particular.author.take() {
                self.heap -= author.cost();
            }
        }
    }

    /// A connection is no more.
    #[inline]
    pub(crate) fn forget(&mut self, conn: ConnId) {
        if self.by_conn.is_empty() {
            return;
        }
        if let Some(particular) = self.by_conn.remove(&conn.0) {
            self.heap -= particular.heap();
            self.turned_away -= usize::from(particular.turned_away.is_some());
        }
    }

    /// Whether anything is known of a connection.
    #[cfg(test)]
    pub(crate) fn knows(&self, conn: ConnId) -> bool {
        self.by_conn.contains_key(&conn.0)
    }

    /// Bytes of memory beside itself.
    pub(crate) fn memory(&self) -> usize {
        self.by_conn.allocation_size() + self.heap
    }

    /// Gives memory back after many have gone.
    pub(crate) fn trim(&mut self) {
        self.by_conn.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_connection_goes_at_once_and_nothing_of_another() {
        let mut all = Particulars::default();
        let (one, other) = (ConnId(1), ConnId(2));
        all.certify(other, Some("other".into()));
        all.certify(one, Some("one".into()));
        all.let_in(one, Some("another name"));
        all.turn_away(one, ReasonCode::CONNECTION_RATE_EXCEEDED);
        all.turn_away(one, ReasonCode::CONNECTION_RATE_EXCEEDED);
        assert_eq!(
            (all.user_name(one), all.certified(one)),
            (Some("one"), Some("one"))
        );
        assert_eq!((all.turned_away(), all.heap), (1, 8));
        all.forget(one);
        assert!(!all.knows(one) && all.knows(other));
        assert_eq!((all.turned_away(), all.heap), (0, 5));
    }

    #[test]
    fn who_was_told_that_it_is_turned_away_is_not_told_again() {
        let mut all = Particulars::default();
        let reason = ReasonCode::CONNECTION_RATE_EXCEEDED;
        assert_eq!(all.take_turned_away(ConnId(1)), None);
        all.turn_away(ConnId(1), reason);
        assert_eq!(all.take_turned_away(ConnId(2)), None);
        assert_eq!(all.take_turned_away(ConnId(1)), Some(reason));
        assert_eq!(
            (all.take_turned_away(ConnId(1)), all.turned_away()),
            (None, 0)
        );
        all.forget(ConnId(1));
        assert_eq!(all.turned_away(), 0);
    }

    #[test]
    fn a_name_that_is_given_proves_nothing() {
        let mut all = Particulars::default();
        all.let_in(ConnId(1), Some("user"));
        all.let_in(ConnId(2), None);
        assert_eq!(
            (all.user_name(ConnId(1)), all.certified(ConnId(1))),
            (Some("user"), None)
        );
        assert!(!all.knows(ConnId(2)));
    }
}
