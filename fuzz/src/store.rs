//! What holds for the files of a store whatever their bytes; shared by the fuzz targets and by `tests/store_random.rs`.
#![allow(dead_code, reason = "each user needs a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use firehose::limits::{STORE_PAGE_BYTES, STORE_SEGMENT_BYTES_MIN};
use firehose::storage::{
    Chunk, Found, FoundSegment, Now, Op, Outcome, Reader, Settings, Step, SyncMode, Writer, open,
    segment_name, segment_number, unready_name,
};

/// Names and contents.
type Files = BTreeMap<String, Vec<u8>>;

/// Chunks by stream and number.
type Chunks = BTreeMap<(u8, u64), Vec<u8>>;

/// A store in which a run has ended in order, with chunks in several segments.
static STORE: LazyLock<(Files, Chunks)> = LazyLock::new(|| {
    let settings = Settings {
        streams: 3,
        sync: SyncMode::Group,
        segment_bytes: STORE_SEGMENT_BYTES_MIN,
        segments_max: 8,
    };
    let opened = open(&Found::default(), 1).unwrap();
    let mut writer = Writer::new(opened, settings);
    let (mut files, mut chunks) = (Files::new(), Chunks::new());
    for round in 0..40 {
        let stream = round % 3;
        let content = vec![round; usize::from(round) * 100];
        let mut chunk = Chunk::new(content.len());
        assert!(chunk.append(&content));
        let now = Now::default();
        let sequence = writer.push(stream, chunk, false, now).unwrap();
        chunks.insert((stream, sequence), content);
        if round == 0 {
            (0..3).for_each(|stream| writer.complete(stream));
        }
        carry_out(&mut writer, &mut files);
    }
    writer.close();
    carry_out(&mut writer, &mut files);
    assert!(writer.is_closed());
    (files, chunks)
});

/// Does what the writer asks for, on a disk that never fails.
fn carry_out(writer: &mut Writer, files: &mut Files) {
    let now = Now::default();
    while let Some(op) = writer.poll(now) {
        match op {
            Op::Write {
                segment, offset, ..
            } => {
                let bytes = writer.under_way().collect::<Vec<_>>().concat();
                write(files, segment_name(segment), offset, &bytes);
                writer.on_written(Ok(bytes.len() as u64), now);
                writer.on_synced(Ok(()), now);
            }
            Op::Sync { .. } => writer.on_synced(Ok(()), now),
            Op::Step(step) => {
                apply(files, step);
                writer.on_step(Ok(()), now);
            }
        }
    }
}

fn write(files: &mut Files, name: String, offset: u64, bytes: &[u8]) {
    let file = files.entry(name).or_default();
    let end = offset as usize + bytes.len();
    file.resize(file.len().max(end), 0);
    file[offset as usize..end].copy_from_slice(bytes);
}

fn apply(files: &mut Files, step: Step) {
    let mut rename = |from: String, to: String| {
        let content = files.remove(&from).unwrap();
        files.insert(to, content);
    };
    match step {
        Step::Recycle { from, number } => rename(segment_name(from), unready_name(number)),
        Step::Enter(number) => rename(unready_name(number), segment_name(number)),
        Step::StoreRename => rename("STORE.new".into(), "STORE".into()),
        Step::Create(number) => {
            files.insert(unready_name(number), Vec::new());
        }
        Step::Fill {
            number,
            offset,
            bytes,
        } => write(
            files,
            unready_name(number),
            offset,
            &vec![0; bytes as usize],
        ),
        Step::Header { number, page } => write(files, unready_name(number), 0, &page),
        Step::Remove(number) => {
            files.remove(&segment_name(number));
        }
        Step::RemoveUnready(number) => {
            files.remove(&unready_name(number));
        }
        Step::StoreWrite(bytes) => {
            files.insert("STORE.new".into(), bytes);
        }
        Step::SyncUnready(_) | Step::SyncDirectory | Step::StoreSync => {}
    }
}

/// Opens and reads a store, in bounded steps; `None`: it was refused.
fn read(files: &Files, give: &mut dyn FnMut(u8, u64, &[u8])) -> Option<Outcome> {
    let segments = files
        .iter()
        .filter(|(name, _)| segment_number(name).is_some());
    let found = Found {
        store: files.get("STORE").cloned(),
        segments: segments
            .map(|(name, bytes)| FoundSegment {
                name: name.clone(),
                start: bytes[..bytes.len().min(STORE_PAGE_BYTES)].to_vec(),
                bytes: bytes.len() as u64,
            })
            .collect(),
    };
    let opened = open(&found, 1).ok()?;
    let mut reader = Reader::new(&opened);
    let mut requests = 0;
    while let Some(request) = reader.next_read() {
        requests += 1;
        assert!(requests < 10_000, "the reader does not end");
        let file = &files[&segment_name(request.segment)];
        let from = (request.offset as usize).min(file.len());
        let bytes = &file[from..(from + request.bytes).min(file.len())];
        let mut take = |chunk: firehose::storage::Recovered<'_>| {
            give(chunk.stream, chunk.sequence, chunk.content);
        };
        reader.take(bytes, &mut take).ok()?;
    }
    reader.finish().ok()
}

/// A good store some bytes of which are changed: each four bytes name a file, a place and a change. What is read of it was
/// written; and since the run ended in order, all of it is read, or the store is refused, if one page was changed: where the last
/// block is damaged and what says that it was on the disk too, it looks like one that a crash has cut off.
pub fn changed(bytes: &[u8]) {
    let (good, chunks) = &*STORE;
    let mut files = good.clone();
    let mut places = BTreeSet::new();
    for change in bytes.chunks_exact(4) {
        let file = usize::from(change[0]) % files.len();
        let Some((_, content)) = files.iter_mut().nth(file) else {
            continue;
        };
        // Mostly where there is something: at the start of a page.
        let page = usize::from(change[1]) * STORE_PAGE_BYTES;
        let at = (page + usize::from(change[2])) % content.len().max(1);
        if let Some(byte) = content.get_mut(at) {
            *byte ^= change[3];
            places.insert((file, at / STORE_PAGE_BYTES));
        }
    }
    let mut count = 0;
    let outcome = read(&files, &mut |stream, sequence, content| {
        let written = chunks.get(&(stream, sequence));
        assert_eq!(written.map(Vec::as_slice), Some(content));
        count += 1;
    });
    assert!(outcome.is_none() || count == chunks.len() || places.len() > 1);
}

/// A store of nothing but these bytes: `STORE`, and a segment.
pub fn anything(bytes: &[u8]) {
    let Some((at, bytes)) = bytes.split_first() else {
        return;
    };
    let (store, segment) = bytes.split_at(usize::from(*at).min(bytes.len()));
    let mut files = Files::new();
    files.insert("STORE".into(), store.to_vec());
    files.insert(segment_name(1), segment.to_vec());
    read(&files, &mut |_, _, _| {});
    // And behind headers that are good.
    let mut files = STORE.0.clone();
    for (name, content) in &mut files {
        if segment_number(name).is_some() {
            let end = (STORE_PAGE_BYTES + segment.len()).min(content.len());
            content[STORE_PAGE_BYTES..end].copy_from_slice(&segment[..end - STORE_PAGE_BYTES]);
        }
    }
    read(&files, &mut |_, _, _| {});
}
