//! A disk that is trusted with nothing: of what was not synced each sector is kept or lost for itself when the power goes, names
//! of files are kept or lost likewise, and it fails, fills up and rots when it is told to.

use std::collections::BTreeMap;

use super::rng::Rng;
use crate::limits::STORE_PAGE_BYTES;
use crate::storage::{
    Failure, Found, FoundSegment, Step, segment_name, segment_number, unready_name,
};

const SECTOR: usize = 512;
const STORE: &str = "STORE";
const STORE_NEW: &str = "STORE.new";

/// How often something goes wrong, once in so many; 0: never.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// An operation fails for good or bad: what it did is not known.
    pub(super) io: usize,
    /// A write is shorter than asked for.
    pub(super) short: usize,
    /// Everything fails.
    pub(super) is_dead: bool,
    /// Bytes that all files may have together.
    pub(super) capacity: Option<usize>,
}

#[derive(Clone, Default)]
struct Inode {
    /// What is read.
    now: Vec<u8>,
    /// What is there when the power comes back, but for what is pending.
    durable: Vec<u8>,
    /// Sectors that were written and not synced, in order.
    pending: Vec<(usize, Vec<u8>)>,
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            let to = (sector * SECTOR + SECTOR).min(self.now.len());
            let content = self.now[sector * SECTOR..to].to_vec();
            self.pending.push((sector, content));
        }
    }

    /// What is pending becomes durable where `keeps` says so; the rest is gone.
    fn settle(&mut self, mut keeps: impl FnMut() -> bool) {
        for (sector, content) in std::mem::take(&mut self.pending) {
            if keeps() {
                let (from, to) = (sector * SECTOR, sector * SECTOR + content.len());
                if self.durable.len() < to {
                    self.durable.resize(to, 0);
                }
                self.durable[from..to].copy_from_slice(&content);
            }
        }
        self.now = self.durable.clone();
    }
}

enum Entry {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

type Names = BTreeMap<String, usize>;

fn apply(names: &mut Names, entry: &Entry) {
    match entry {
        Entry::Create(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Entry::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Entry::Remove(name) => {
            names.remove(name);
        }
    }
}

#[derive(Default)]
pub(super) struct Disk {
    inodes: Vec<Inode>,
    now: Names,
    durable: Names,
    pending: Vec<Entry>,
    pub(super) faults: Faults,
    /// Writes and syncs that have failed.
    pub(super) failed: u64,
}

impl Disk {
    fn fails(&mut self, rng: &mut Rng) -> bool {
        let fails = self.faults.is_dead || (self.faults.io > 0 && rng.once_in(self.faults.io));
        self.failed += u64::from(fails);
        fails
    }

    fn has_room(&self, bytes: usize) -> bool {
        let capacity = self.faults.capacity;
        capacity.is_none_or(|capacity| self.used() + bytes <= capacity)
    }

    fn inode(&mut self, name: &str) -> Result<&mut Inode, Failure> {
        let inode = self.now.get(name).ok_or(Failure::Io)?;
        Ok(&mut self.inodes[*inode])
    }

    fn enter(&mut self, entry: Entry) {
        apply(&mut self.now, &entry);
        self.pending.push(entry);
    }

    fn create(&mut self, name: String) {
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.enter(Entry::Create(name, inode));
    }

    fn rename(&mut self, from: String, to: String) -> Result<(), Failure> {
        self.inode(&from)?;
        self.enter(Entry::Rename(from, to));
        Ok(())
    }

    /// Writes; returns the bytes.
    pub(super) fn write(
        &mut self,
        number: u32,
        offset: u64,
        bytes: &[u8],
        rng: &mut Rng,
    ) -> Result<u64, Failure> {
        let fails = self.fails(rng);
        let is_short = self.faults.short > 0 && rng.once_in(self.faults.short);
        // Two in a row are taken for a failure.
        self.failed += u64::from(is_short);
        let done = if fails || is_short {
            rng.below(bytes.len() + 1)
        } else {
            bytes.len()
        };
        let inode = self.inode(&segment_name(number))?;
        inode.write(offset as usize, &bytes[..done]);
        if fails {
            Err(Failure::Io)
        } else {
            Ok(done as u64)
        }
    }

    /// Syncs a file. When that fails some of what was pending is lost, and nobody is told a second time.
    fn sync_name(&mut self, name: &str, rng: &mut Rng) -> Result<(), Failure> {
        let fails = self.fails(rng);
        let inode = self.inode(name)?;
        if fails {
            let few = rng.below(4);
            inode.settle(|| rng.below(4) < few);
            return Err(Failure::Io);
        }
        inode.settle(|| true);
        Ok(())
    }

    pub(super) fn sync(&mut self, number: u32, rng: &mut Rng) -> Result<(), Failure> {
        self.sync_name(&segment_name(number), rng)
    }

    pub(super) fn step(&mut self, step: &Step, rng: &mut Rng) -> Result<(), Failure> {
        match step {
            Step::SyncUnready(number) => return self.sync_name(&unready_name(*number), rng),
            Step::StoreSync => return self.sync_name(STORE_NEW, rng),
            _ => {}
        }
        // What was done of it is not known when it fails.
        let fails = self.fails(rng);
        if fails && rng.once_in(2) {
            return Err(Failure::Io);
        }
        match step {
            Step::Create(number) => self.create(unready_name(*number)),
            Step::Fill {
                number,
                offset,
                bytes,
            } => {
                if !self.has_room(*bytes as usize) {
                    return Err(Failure::NoSpace);
                }
                let zeros = vec![0; *bytes as usize];
                self.inode(&unready_name(*number))?
                    .write(*offset as usize, &zeros);
            }
            Step::Recycle { from, number } => {
                self.rename(segment_name(*from), unready_name(*number))?;
            }
            Step::Header { number, page } => {
                self.inode(&unready_name(*number))?.write(0, page);
            }
            Step::Enter(number) => self.rename(unready_name(*number), segment_name(*number))?,
            Step::Remove(number) => self.enter(Entry::Remove(segment_name(*number))),
            Step::RemoveUnready(number) => self.enter(Entry::Remove(unready_name(*number))),
            Step::SyncDirectory => {
                for entry in std::mem::take(&mut self.pending) {
                    apply(&mut self.durable, &entry);
                }
            }
            Step::StoreWrite(bytes) => {
                if !self.has_room(bytes.len()) {
                    return Err(Failure::NoSpace);
                }
                self.create(STORE_NEW.into());
                self.inode(STORE_NEW)?.write(0, bytes);
            }
            Step::StoreRename => self.rename(STORE_NEW.into(), STORE.into())?,
            Step::SyncUnready(_) | Step::StoreSync => {}
        }
        if fails { Err(Failure::Io) } else { Ok(()) }
    }

    /// The power goes, and comes back.
    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        let share = rng.pick(&[0, 50, 90, 99, 100]);
        for inode in &mut self.inodes {
            inode.settle(|| rng.below(100) < share);
        }
        let in_order = rng.once_in(2);
        let mut lost = false;
        for entry in std::mem::take(&mut self.pending) {
            lost = (lost && in_order) || rng.below(100) >= share;
            if !lost {
                apply(&mut self.durable, &entry);
            }
        }
        self.now = self.durable.clone();
    }

    /// What lies in the directory.
    pub(super) fn found(&self) -> Found {
        let mut found = Found::default();
        for (name, inode) in &self.now {
            let content = &self.inodes[*inode].now;
            if name == STORE {
                found.store = Some(content.clone());
            } else if segment_number(name).is_some() {
                found.segments.push(FoundSegment {
                    name: name.clone(),
                    start: content[..content.len().min(STORE_PAGE_BYTES)].to_vec(),
                    bytes: content.len() as u64,
                });
            }
        }
        found
    }

    pub(super) fn read(&self, number: u32, offset: u64, bytes: usize) -> Vec<u8> {
        let inode = self.now.get(&segment_name(number));
        let content = inode.map_or(&[] as &[u8], |inode| &self.inodes[*inode].now);
        let from = (offset as usize).min(content.len());
        content[from..(from + bytes).min(content.len())].to_vec()
    }

    /// Everything that was written is on the disk from now on.
    pub(super) fn settle(&mut self) {
        for inode in &mut self.inodes {
            inode.settle(|| true);
        }
    }

    /// Bytes of all files.
    pub(super) fn used(&self) -> usize {
        let inodes = self.now.values();
        inodes.map(|inode| self.inodes[*inode].now.len()).sum()
    }

    pub(super) fn files(&self) -> Vec<String> {
        self.now.keys().cloned().collect()
    }

    pub(super) fn bytes_of(&self, name: &str) -> usize {
        self.now.get(name).map_or(0, |i| self.inodes[*i].now.len())
    }

    /// Turns one bit over.
    pub(super) fn flip(&mut self, name: &str, bit: usize) {
        if let Some(inode) = self.now.get(name) {
            let inode = &mut self.inodes[*inode];
            for content in [&mut inode.now, &mut inode.durable] {
                if let Some(byte) = content.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }

    /// A file loses its end, or gets back what is given.
    pub(super) fn cut(&mut self, name: &str, bytes: usize) -> Vec<u8> {
        match self.now.get(name) {
            Some(inode) => self.inodes[*inode].now.split_off(bytes),
            None => Vec::new(),
        }
    }

    /// A file loses its name; `bring_back` undoes that.
    pub(super) fn hide(&mut self, name: &str) -> Option<usize> {
        self.now.remove(name)
    }

    pub(super) fn bring_back(&mut self, name: &str, inode: usize) {
        self.now.insert(name.into(), inode);
    }

    pub(super) fn add_end(&mut self, name: &str, bytes: &[u8]) {
        if let Some(inode) = self.now.get(name) {
            self.inodes[*inode].now.extend_from_slice(bytes);
        }
    }
}
