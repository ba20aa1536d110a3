//! What is read of the system at each look: files that stay open, each read in one call.
//!
//! What cannot be read is said once and left out from then on; nothing is judged here.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::groups::{self, Gift, Group, Version, field};
use crate::limits;

/// What one look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Bytes of the process that are in memory.
    pub resident: Option<u64>,
    /// Bytes that wait in TCP sockets: of the process's control group, or of the whole host where nothing else is known.
    pub waiting: Option<Waiting>,
    /// Control groups with a limit, innermost first.
    pub groups: Vec<Level>,
    /// Bytes that the machine could still give.
    pub available: Option<u64>,
    /// Hundredths of the last ten seconds in which some task stood still for want of memory.
    pub stalled: u64,
}

/// Bytes that wait in TCP sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// In those of the process's control group.
    OfGroup(u64),
    /// In those of the whole host.
    OfHost(u64),
}

/// A control group's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// Bytes that are used and cannot simply be taken back.
    pub usage: u64,
    /// Bytes that may be.
    pub limit: u64,
    /// How often a limit was met.
    pub events: u64,
}

/// One file.
struct Source {
    path: String,
    file: Option<File>,
}

impl Source {
    fn open(path: impl Into<String>) -> Source {
        let path = path.into();
        let file = File::open(&path).ok();
        Source { path, file }
    }

    /// Its text now, in `buffer`. A file that fails is not read again.
    fn read<'a>(&mut self, buffer: &'a mut [u8], failed: &mut Vec<String>) -> Option<&'a str> {
        let result = self.file.as_ref()?.read_at(buffer, 0);
        match result {
            Ok(length) => std::str::from_utf8(&buffer[..length]).ok(),
            Err(error) => {
                failed.push(format!("{}: {error}", self.path));
                self.file = None;
                None
            }
        }
    }
}

/// One control group's files.
pub(super) struct Watched {
    group: Group,
    usage: Source,
    stat: Source,
    limits: Vec<Source>,
    events: Source,
    /// As of the last whole reading.
    reclaimable: u64,
    limit: Option<u64>,
    met: u64,
}

/// See the module.
pub(super) struct Reader {
    buffer: Box<[u8]>,
    resident: Source,
    groups: Vec<Watched>,
    /// The bytes in sockets of the own group, in version 1 where that is counted.
    group_sockets: Option<Source>,
    sockets: Source,
    machine: Source,
    pressure: Source,
    page_bytes: u64,
    last: Reading,
    /// What could not be read and has not been told.
    failed: Vec<String>,
}

impl Reader {
    /// Opens what there is.
    pub(super) fn open() -> Reader {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let found = groups::find(&read);
        let own = found.first();
        let counts_sockets = |group: &&Group| {
            let limit = read(&group.file("memory.kmem.tcp.limit_in_bytes"));
            // It counts from when a limit has been set.
            group.version == Version::V1
                && limit.is_some_and(|text| groups::limit_in(&text).is_some())
        };
        let group_sockets = own
            .filter(counts_sockets)
            .map(|group| Source::open(group.file("memory.kmem.tcp.usage_in_bytes")));
        let pressure = own.and_then(|group| Some(group.file(group.names().pressure?)));
        let is_watched =
            |(index, group): &(usize, Group)| *index == 0 || group.limit(&read).is_some();
        let groups = found.clone().into_iter().enumerate().filter(is_watched);
        let mut reader = Reader {
            buffer: vec![0; limits::MEMORY_TEXT_BYTES_MAX].into_boxed_slice(),
            resident: Source::open("/proc/self/statm"),
            groups: groups
                .take(limits::MEMORY_GROUPS_MAX)
                .map(|(_, group)| Watched::open(group))
                .collect(),
            group_sockets,
            sockets: Source::open("/proc/net/sockstat"),
            machine: Source::open("/proc/meminfo"),
            pressure: Source::open(pressure.unwrap_or_else(|| "/proc/pressure/memory".into())),
            page_bytes: rustix::param::page_size() as u64,
            last: Reading::default(),
            failed: Vec::new(),
        };
        for source in [&reader.resident, &reader.machine] {
            if source.file.is_none() {
                reader
                    .failed
                    .push(format!("{} cannot be opened", source.path));
            }
        }
        reader
    }

    /// What could not be read since the last call; each file once.
    pub(super) fn take_failed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.failed)
    }

    /// What changes fast, and with `whole` everything.
    pub(super) fn look(&mut self, whole: bool) -> &Reading {
        let page_bytes = self.page_bytes;
        let (buffer, failed) = (&mut *self.buffer, &mut self.failed);
        let statm = self.resident.read(buffer, failed);
        self.last.resident = statm.and_then(|text| resident_in(text, page_bytes));
        self.last.groups.clear();
        let mut waiting = None;
        for (index, watched) in self.groups.iter_mut().enumerate() {
            if whole {
                let sockets = watched.read_whole(buffer, failed);
                if index == 0 {
                    waiting = sockets.map(Waiting::OfGroup);
                }
            }
            self.last.groups.extend(watched.level(buffer, failed));
        }
        if whole {
            if let Some(source) = &mut self.group_sockets {
                let text = source.read(buffer, failed);
                waiting = text.and_then(|text| Some(Waiting::OfGroup(text.trim().parse().ok()?)));
            }
            if waiting.is_none() {
                let text = self.sockets.read(buffer, failed);
                let bytes = text.and_then(|text| waiting_in(text, page_bytes));
                waiting = bytes.map(Waiting::OfHost);
            }
            self.last.waiting = waiting;
            let machine = self.machine.read(buffer, failed);
            let available = machine.and_then(|text| field(text, "MemAvailable"));
            self.last.available = available.map(|kib| kib * 1024);
            let pressure = self.pressure.read(buffer, failed);
            self.last.stalled = pressure.and_then(groups::stalled).unwrap_or(0);
        }
        &self.last
    }
}

impl Watched {
    pub(super) fn open(group: Group) -> Watched {
        let names = group.names();
        Watched {
            usage: Source::open(group.file(names.usage)),
            stat: Source::open(group.file(names.stat)),
            limits: names
                .limits
                .iter()
                .map(|name| Source::open(group.file(name)))
                .collect(),
            events: Source::open(group.file(names.events)),
            group,
            reclaimable: 0,
            limit: None,
            met: 0,
        }
    }

    /// Reads what changes slowly; returns the bytes in sockets, where they are told.
    pub(super) fn read_whole(
        &mut self,
        buffer: &mut [u8],
        failed: &mut Vec<String>,
    ) -> Option<u64> {
        let limits = self.limits.iter_mut();
        self.limit = limits
            .filter_map(|source| groups::limit_in(source.read(buffer, failed)?))
            .min();
        if let Some(text) = self.events.read(buffer, failed) {
            self.met = self.group.events(text);
        }
        let stat = self.stat.read(buffer, failed)?;
        self.reclaimable = self.group.reclaimable(stat);
        (self.group.version == Version::V2)
            .then(|| field(stat, "sock"))
            .flatten()
    }

    /// Its level, if it has a limit.
    pub(super) fn level(&mut self, buffer: &mut [u8], failed: &mut Vec<String>) -> Option<Level> {
        let limit = self.limit?;
        let usage: u64 = self.usage.read(buffer, failed)?.trim().parse().ok()?;
        Some(Level {
            usage: usage.saturating_sub(self.reclaimable),
            limit,
            events: self.met,
        })
    }
}

/// Bytes of the process that are in memory, by the text of statm.
pub(super) fn resident_in(text: &str, page_bytes: u64) -> Option<u64> {
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page_bytes)
}

/// Bytes that wait in TCP sockets, by the text of sockstat.
pub(super) fn waiting_in(text: &str, page_bytes: u64) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP: "))?;
    let mut words = line.split(' ').skip_while(|word| *word != "mem");
    let pages: u64 = words.nth(1)?.parse().ok()?;
    Some(pages * page_bytes)
}

/// What the process has in memory now; 0 where that cannot be read.
pub(crate) fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    resident_in(&text, rustix::param::page_size() as u64).unwrap_or(0)
}

/// What this host gives the process.
pub(crate) fn given() -> Option<Gift> {
    groups::given(&|path| std::fs::read_to_string(path).ok())
}
