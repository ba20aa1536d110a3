//! QoS 2 from the client: the identifiers whose PUBREL has not come yet (MQTT 5, 4.3.3, method B: the message is
//! passed on when PUBLISH comes, and the identifier is kept so that it is not passed on twice).

/// The set of those identifiers, sorted: clients count upwards, so a new one is nearly always the last.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    ids: Vec<u16>,
}

impl Inbound {
    /// Notes an identifier; false if it was there already (MQTT-4.3.3-10).
    pub(crate) fn insert(&mut self, id: u16) -> bool {
        if self.ids.last().is_none_or(|&last| last < id) {
            self.ids.push(id);
            return true;
        }
        match self.ids.binary_search(&id) {
            Ok(_) => false,
            Err(index) => {
                self.ids.insert(index, id);
                true
            }
        }
    }

    /// Whether the identifier is there.
    pub(crate) fn contains(&self, id: u16) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// Forgets an identifier; false if it was not there.
    pub(crate) fn remove(&mut self, id: u16) -> bool {
        match self.ids.binary_search(&id) {
            Ok(index) => {
                self.ids.remove(index);
                true
            }
            Err(_) => false,
        }
    }

    /// All of them.
    pub(crate) fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.ids.capacity() * size_of::<u16>()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}
