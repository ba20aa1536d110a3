//! The identifiers that more than one layer speaks of, each a type of its own.

/// One shard: a pinned thread with its ring, its sessions and its part of the topics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u8);

impl ShardId {
    /// As an index into per-shard tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A network connection of one shard: an index into that shard's tables, reused after the connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u32);

impl ConnId {
    /// As an index into per-connection tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A session (MQTT 5, 4.1) of one shard: an index into that shard's tables, reused after the session has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u32);

impl SessionId {
    /// As an index into per-session tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A shared subscription (`$share/GROUP/FILTER`) of the shard that owns it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(pub u32);

/// A listener of the broker: a number that it keeps for as long as the broker runs, whatever a reload brings and takes away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u16);

impl ListenerId {
    /// As an index into tables by listener.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Something of each listener, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByListener<T>(Vec<T>);

impl<T> Default for ByListener<T> {
    fn default() -> Self {
        ByListener(Vec::new())
    }
}

impl<T> FromIterator<T> for ByListener<T> {
    /// In the order of the numbers.
    fn from_iter<I: IntoIterator<Item = T>>(each: I) -> Self {
        ByListener(each.into_iter().collect())
    }
}

impl<T> ByListener<T> {
    /// That of one listener; `None` for a number that none has.
    #[inline]
    pub fn get(&self, id: ListenerId) -> Option<&T> {
        self.0.get(id.index())
    }

    /// That of each, with its number, in the order of the numbers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ListenerId, &T)> + Clone {
        let each = self.0.iter().enumerate();
        each.map(|(index, it)| (ListenerId(index as u16), it))
    }

    /// That of each, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    /// Puts that of one listener in the place of what it had, or behind the others: numbers have no gaps.
    pub fn put(&mut self, id: ListenerId, it: T) {
        match self.0.get_mut(id.index()) {
            Some(place) => *place = it,
            None => self.0.push(it),
        }
    }

    /// The number of the next one that is put behind the others.
    pub fn next_id(&self) -> ListenerId {
        ListenerId(self.0.len() as u16)
    }
}
