//! Where lines become bytes of a file or a pipe. What is refused half way through a line is finished before anything
//! else is written, so that a disk that was full, or a reader that was slow, cuts no line and glues none to the next.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::control::place;

/// A file, a pipe or a terminal, and what it has not taken yet.
pub(super) struct Sink<W: Write = File> {
    out: W,
    /// The end of a line of which the beginning is written.
    rest: Vec<u8>,
    /// Lines that were refused whole since the last one that was taken.
    lost: u64,
    /// Why the last one was, or was not taken to its end.
    why: Option<io::Error>,
}

impl Sink {
    /// The file at a path, appended to. One that somebody else has left in the midst of a line gets an end of line first.
    ///
    /// # Errors
    /// The file can be neither opened nor created; the error names it.
    pub(super) fn open(path: &Path) -> io::Result<Sink> {
        let mut sink = Sink::new(place::open(path, File::options().append(true))?);
        if ends_within_a_line(path) {
            sink.rest.push(b'\n');
        }
        Ok(sink)
    }

    /// Goes on with another file; what this one still owes is written to this one, or lost.
    pub(super) fn replace(&mut self, mut other: Sink) {
        let is_owed = !self.rest.is_empty();
        if is_owed && !self.finish_line() {
            self.lost += 1;
        }
        (other.lost, other.why) = (self.lost, self.why.take());
        *self = other;
    }

    /// Whether something is written at once: a pipe that nobody reads from holds up whoever writes to it.
    pub(super) fn has_room(&self) -> bool {
        let mut polled = [PollFd::new(&self.out, PollFlags::OUT)];
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Whether somebody has emptied the file under us (`copytruncate`): the end of a line has no beginning then.
    fn was_emptied(&self) -> bool {
        let metadata = self.out.metadata();
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
    }
}

/// Whether a regular file ends without an end of line. One that may not be read does not, as far as known.
fn ends_within_a_line(path: &Path) -> bool {
    let look = || {
        let mut file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(false);
        }
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last != [b'\n'])
    };
    let looked: io::Result<bool> = look();
    looked.unwrap_or(false)
}

/// What has to be known of a stream besides how to write to it.
pub(super) trait Stream: Write + Sized {
    /// Whether what was written is gone.
    fn was_emptied(sink: &Sink<Self>) -> bool;
}

impl Stream for File {
    fn was_emptied(sink: &Sink<Self>) -> bool {
        sink.was_emptied()
    }
}

impl<W: Stream> Sink<W> {
    pub(super) fn new(out: W) -> Sink<W> {
        Sink {
            out,
            rest: Vec::new(),
            lost: 0,
            why: None,
        }
    }

    /// Writes a line, which ends with its end of line. `told` makes the line that says how many are missing before it and why.
    ///
    /// # Errors
    /// Why nothing of it is taken.
    pub(super) fn write(
        &mut self,
        line: &[u8],
        told: impl FnOnce(u64, &io::Error) -> String,
    ) -> Result<(), &io::Error> {
        match self.try_write(line, told) {
            true => Ok(()),
            false => {
                self.lost += 1;
                Err(self.why.get_or_insert(io::ErrorKind::WriteZero.into()))
            }
        }
    }

    fn try_write(&mut self, line: &[u8], told: impl FnOnce(u64, &io::Error) -> String) -> bool {
        if !self.finish_line() {
            return false;
        }
        if let Some(why) = self.why.take() {
            let lost = std::mem::take(&mut self.lost);
            if lost > 0 && !self.put(told(lost, &why).as_bytes()) {
                self.lost = lost;
                return false;
            }
            // Said, though perhaps not to its end yet.
            if !self.rest.is_empty() {
                return false;
            }
        }
        self.put(line)
    }

    /// Writes the end of the line that is begun; whether there is none left.
    fn finish_line(&mut self) -> bool {
        if self.rest.is_empty() {
            return true;
        }
        if W::was_emptied(self) {
            self.rest.clear();
            self.lost += 1;
            return true;
        }
        let rest = std::mem::take(&mut self.rest);
        if !self.put(&rest) {
            self.rest = rest;
        }
        self.rest.is_empty()
    }

    /// Writes bytes. `false`: none of them were taken. What is left of bytes that were begun is kept.
    fn put(&mut self, bytes: &[u8]) -> bool {
        let mut taken = 0;
        while taken < bytes.len() {
            match self.out.write(&bytes[taken..]) {
                Ok(0) => self.why = Some(io::ErrorKind::WriteZero.into()),
                Ok(more) => {
                    taken += more;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.why = Some(error),
            }
            break;
        }
        if taken > 0 {
            self.rest = bytes[taken..].to_vec();
        }
        taken > 0 || bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full from a byte on.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Disk {
        fn was_emptied(sink: &Sink<Self>) -> bool {
            sink.out.bytes.is_empty()
        }
    }

    fn told(lost: u64, _: &io::Error) -> String {
        format!("{lost} lost\n")
    }

    fn disk(room: usize) -> Sink<Disk> {
        let bytes = Vec::new();
        Sink::new(Disk { bytes, room })
    }

    /// Lines are whole and all of them accounted for, wherever the disk is full.
    #[test]
    fn a_full_disk_cuts_no_line() {
        for room in 0..40 {
            let mut sink = disk(room);
            for number in 0..6 {
                let _ = sink.write(format!("line {number}\n").as_bytes(), told);
            }
            sink.out.room = usize::MAX;
            sink.write(b"line 6\n", told).unwrap();
            let text = String::from_utf8(sink.out.bytes).unwrap();
            let mut seen = 0;
            for line in text.lines() {
                match line.split_once(' ').unwrap() {
                    ("line", number) => {
                        assert_eq!(number, seen.to_string(), "{room}: {text}");
                        seen += 1;
                    }
                    (lost, "lost") => seen += lost.parse::<u64>().unwrap(),
                    _ => panic!("{room}: {text}"),
                }
            }
            assert_eq!(seen, 7, "{room}: {text}");
        }
    }

    /// The line that tells of losses is cut itself.
    #[test]
    fn a_disk_that_is_full_again_cuts_no_line_either() {
        let mut sink = disk(7);
        let taken = |sink: &mut Sink<Disk>, line: &[u8]| sink.write(line, told).is_ok();
        assert!(taken(&mut sink, b"line 0\n"));
        assert!((0..2).all(|_| !taken(&mut sink, b"line 0\n")));
        sink.out.room = 3;
        assert!((0..2).all(|_| !taken(&mut sink, b"line 1\n")));
        sink.out.room = usize::MAX;
        assert!(taken(&mut sink, b"line 2\n"));
        let text = String::from_utf8(sink.out.bytes).unwrap();
        assert_eq!(text, "line 0\n2 lost\n2 lost\nline 2\n");
    }

    #[test]
    fn a_file_that_was_emptied_begins_with_a_line() {
        let mut sink = disk(3);
        // The beginning is taken, and the end is owed.
        sink.write(b"line 0\n", told).unwrap();
        sink.out.bytes.clear();
        sink.out.room = usize::MAX;
        sink.write(b"line 1\n", told).unwrap();
        let text = String::from_utf8(sink.out.bytes).unwrap();
        assert_eq!(text, "1 lost\nline 1\n");
    }

    #[test]
    fn a_file_that_ends_within_a_line_gets_its_end_first() {
        let name = format!("firehose-sink-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        for (before, after) in [
            ("", "line 0\n"),
            ("old\n", "old\nline 0\n"),
            ("{\"cut", "{\"cut\nline 0\n"),
        ] {
            std::fs::write(&path, before).unwrap();
            let mut sink = Sink::open(&path).unwrap();
            sink.write(b"line 0\n", told).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
        std::fs::remove_file(&path).unwrap();
    }
}
