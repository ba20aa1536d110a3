//! Who stored a retained message (`check_retain_source`): its user name and listener, by names, and its client id where
//! rules ask for it. Whoever is sent the message is sent it only if its author may write there by the rules of then.
//!
//! Nothing of this exists without the option. Who published before it was switched on is not known, and not asked about.

use std::sync::Arc;

use bytes::Bytes;

use crate::broker::Broker;
use crate::ids::{ConnId, SessionId};
use crate::mqtt::author::{Author, CameBy};
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{Connect, Publish, Topic};
use crate::session::Will;

impl Broker {
    /// Who publishes by a connection, if that is to be known.
    pub(in crate::broker) fn author_of(&mut self, conn: ConnId) -> Option<Arc<Author>> {
        if !self.clients.desk.settings.check_retain_source {
            return None;
        }
        if let Some(author) = self.clients.peers.particulars.author(conn) {
            return Some(author.clone());
        }
        let session = self.clients.peers.session_of(conn)?;
        let user = self.clients.peers.particulars.user_name(conn);
        let author = Author {
            client_id: self.id_for_rules(conn, session, user).map(Box::from),
            user: user.map(Box::from),
            came_by: CameBy::new(&self.clients.listener(conn).name),
        };
        let author = Arc::new(author);
        let particulars = &mut self.clients.peers.particulars;
        particulars.set_author(conn, author.clone());
        Some(author)
    }

    /// Bytes that a message of a connection takes when it is retained.
    pub(in crate::broker) fn retained_cost(
        &self,
        conn: ConnId,
        topic: &str,
        publish: &Publish<'_>,
    ) -> usize {
        let own = size_of::<Message>()
            + topic.len()
            + publish.payload.len()
            + publish.properties.forwardable_len();
        if !self.clients.desk.settings.check_retain_source {
            return own;
        }
        let user = self.clients.peers.particulars.user_name(conn);
        let session = self.clients.peers.session_of(conn);
        let id = session.and_then(|session| self.id_for_rules(conn, session, user));
        let names = user.map_or(0, str::len) + id.map_or(0, str::len);
        own + size_of::<Author>() + names
    }

    /// The client id of a session, if rules of its listener ask for it.
    fn id_for_rules(&self, conn: ConnId, session: SessionId, user: Option<&str>) -> Option<&str> {
        let listener = self.clients.peers.conns[conn.index()].listener();
        self.clients.sessions.id_for_rules(session, listener, user)
    }

    /// The will that CONNECT brings.
    pub(in crate::broker) fn will_of(
        &mut self,
        conn: ConnId,
        connect: &Connect<'_>,
        origin: u64,
    ) -> Option<Box<Will>> {
        let will = connect.will.as_ref()?;
        let mut properties = Vec::new();
        will.forward_into(&mut properties);
        let message = Message {
            // The checks of CONNECT have refused one that the mount point makes too long.
            topic: Topic::new(self.clients.listener(conn).mounted(will.topic))?,
            payload: Bytes::copy_from_slice(will.payload),
            properties: Bytes::from(properties),
            qos: will.qos,
            retain: will.retain,
            expires_at_ms: NEVER,
            origin,
            author: match will.retain {
                true => self.author_of(conn),
                false => None,
            },
            sent: Sent::default(),
            holders: Holders::default(),
        };
        Some(Box::new(Will {
            message: Arc::new(message),
            delay_s: will.delay_s,
            due_ms: u64::MAX,
            expiry_s: will.message_expiry,
        }))
    }
}
