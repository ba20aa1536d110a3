//! What connections have to send: appended to, taken to be sent, given back.

use crate::limits;

use super::protocol::{Connection, Protocol};

impl Protocol {
    /// The output of a connection, to be appended to, with memory behind it.
    #[inline]
    pub(super) fn output(&mut self, index: u32) -> &mut Connection {
        let connection = &mut self.connections[index as usize];
        if connection.out.capacity() == 0
            && let Some(spare) = self.outbox.spare.pop()
        {
            connection.out = spare;
        }
        if !connection.dirty {
            connection.dirty = true;
            self.outbox.dirty.push(index);
        }
        connection
    }

    /// What there is to be sent, to be given back as `recycle`; and the connection is no longer in the list.
    pub(super) fn take_output(&mut self, index: u32) -> Vec<u8> {
        let connection = &mut self.connections[index as usize];
        connection.dirty = false;
        std::mem::take(&mut connection.out)
    }

    /// A connection stays in the list no longer, and its output where it is.
    pub(super) fn not_dirty(&mut self, index: u32) {
        self.connections[index as usize].dirty = false;
    }

    /// Puts a connection with output back in the list.
    pub(super) fn mark_dirty(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        if !connection.dirty && !connection.out.is_empty() {
            connection.dirty = true;
            self.outbox.dirty.push(index);
        }
    }

    /// Puts a connection in the list whose output is not MQTT's.
    pub(super) fn wake(&mut self, index: u32) {
        let connection = &mut self.connections[index as usize];
        if !connection.dirty {
            connection.dirty = true;
            self.outbox.dirty.push(index);
        }
    }

    /// Takes a buffer back that is not in use any more.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if self.outbox.spare.len() < limits::LOAD_BUFFERS_KEPT
            && (1..=limits::LOAD_BUFFER_KEPT_BYTES).contains(&capacity)
        {
            buffer.clear();
            self.outbox.spare.push(buffer);
        }
    }
}
