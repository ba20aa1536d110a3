//! A newer message takes the place of the one of its topic that waits (`slow_consumer_policy latest`).

use std::sync::Arc;

use super::slots::{Slot, Slots};
use super::{Queue, Queued};
use crate::mqtt::message::Message;
use crate::session::backlog::Backlog;
use crate::session::bounds::Bounds;
use crate::session::delivery::{Delivery, Way};

impl Queue {
    /// Puts a message of a session with that policy behind the others, or in the place of an older one, if the bounds allow it.
    pub(super) fn put_latest(
        &mut self,
        backlog: &mut Backlog,
        message: &Arc<Message>,
        way: Way,
        bounds: &Bounds,
    ) -> Queued {
        let bytes = message.payload.len() as u64;
        let slots = self.slots();
        let older = slots.and_then(|slots| slots.older(backlog, &message.topic, way));
        if let Some(place) = older
            && self.may_replace(backlog, place, bytes, bounds)
        {
            return self.replace(backlog, place, message, way);
        }
        // One that is too large for the place of its older one needs room as any other.
        if older.is_some() || self.is_full(bytes, bounds) {
            return Queued::Full;
        }
        self.note_put(message, way);
        let slot = Slot::new(backlog.refer(message), way);
        if let Some(slots) = self.slots_mut() {
            slots.push(slot, &message.topic);
        }
        Queued::Yes
    }

    /// Whether a message of so many bytes may take the place of one that waits.
    fn may_replace(&self, backlog: &Backlog, place: u64, bytes: u64, bounds: &Bounds) -> bool {
        let before = self.slots().and_then(|slots| slots.get(place));
        let before = before.and_then(|slot| backlog.get(slot.position()));
        let before = before.map_or(0, |known| known.payload.len() as u64);
        bytes <= before || self.bytes - before + bytes <= bounds.queued_bytes_max()
    }

    /// Puts the newer message where the older one is: at the end where a retained one of the topic waits in between, which would
    /// come after a newer one.
    fn replace(
        &mut self,
        backlog: &mut Backlog,
        place: u64,
        message: &Arc<Message>,
        way: Way,
    ) -> Queued {
        self.note_put(message, way);
        let slot = Slot::new(backlog.refer(message), way);
        let Some(rare) = &mut self.rare else {
            return Queued::Yes;
        };
        let (Some(slots), replayed) = (&mut rare.slots, &mut rare.replayed) else {
            return Queued::Yes;
        };
        let topic = &message.topic;
        let older = match slots.is_retained_behind(replayed, place, topic) {
            true => {
                let taken = slots.take(place, topic);
                slots.push(slot, topic);
                let (older, has_gaps) = taken.unzip();
                if has_gaps == Some(true) {
                    slots.close_gaps(replayed);
                    slots.index(backlog, replayed);
                }
                older
            }
            false => slots.replace(place, slot),
        };
        let older = older.and_then(|older| {
            let message = backlog.release(older.position())?;
            Some(Delivery::of(message, older.way, older.position()))
        });
        match older {
            Some(older) => {
                self.note_taken(&older.message, older.way());
                Queued::Replaced(older)
            }
            None => Queued::Yes,
        }
    }

    pub(super) fn slots(&self) -> Option<&Slots> {
        self.rare.as_ref()?.slots.as_ref()
    }

    fn slots_mut(&mut self) -> Option<&mut Slots> {
        self.rare.as_mut()?.slots.as_mut()
    }
}
