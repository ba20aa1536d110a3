//! Segments as a start reads them: once, from one end to the other, so that the page cache has nothing of it where the file system can
//! do without.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::limits::{STORE_PAGE_BYTES, STORE_READ_BYTES};

use super::super::recovery::ReadRequest;

const _: () = assert!(STORE_READ_BYTES.is_multiple_of(STORE_PAGE_BYTES));

/// Memory for what is asked for at once, which begins at a page.
pub(super) struct ReadBuffer {
    memory: Vec<u8>,
    begin: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> ReadBuffer {
        let memory = vec![0; STORE_READ_BYTES + STORE_PAGE_BYTES];
        let begin = memory.as_ptr().align_offset(STORE_PAGE_BYTES);
        // What `align_offset` says may be anything: then it begins where it does, and O_DIRECT is refused.
        let begin = begin.min(STORE_PAGE_BYTES);
        ReadBuffer { memory, begin }
    }

    /// As many bytes, in whole pages.
    fn pages(&mut self, bytes: usize) -> &mut [u8] {
        let bytes = bytes.next_multiple_of(STORE_PAGE_BYTES);
        &mut self.memory[self.begin..self.begin + bytes.min(STORE_READ_BYTES)]
    }
}

/// A segment.
pub(super) struct ToRead {
    file: File,
    is_direct: bool,
}

impl ToRead {
    /// Opens it. It is synced first: what is read must not look otherwise after the next crash.
    pub(super) fn open(path: &Path) -> io::Result<ToRead> {
        let direct = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(path);
        let (file, is_direct) = match direct {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => (File::open(path)?, false),
            direct => (direct?, true),
        };
        file.sync_data()?;
        Ok(ToRead { file, is_direct })
    }

    /// Reads what the file has of what is asked for.
    pub(super) fn read<'a>(
        &mut self,
        path: &Path,
        request: &ReadRequest,
        buffer: &'a mut ReadBuffer,
    ) -> io::Result<&'a [u8]> {
        let read = match self.fill(request.offset, buffer.pages(request.bytes)) {
            // It was opened with O_DIRECT, and is not read so.
            Err(error) if self.is_direct && error.raw_os_error() == Some(libc::EINVAL) => {
                (self.file, self.is_direct) = (File::open(path)?, false);
                self.fill(request.offset, buffer.pages(request.bytes))?
            }
            read => read?,
        };
        Ok(&buffer.pages(request.bytes)[..read.min(request.bytes)])
    }

    fn fill(&self, offset: u64, pages: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < pages.len() {
            match self.file.read_at(&mut pages[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            // What is not a whole page is the end of the file.
            if self.is_direct && !done.is_multiple_of(STORE_PAGE_BYTES) {
                break;
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_wherever_it_ends() {
        let folder = std::env::temp_dir().join(format!("firehose-to-read-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("segment");
        for bytes in [0, 1, 4096, 4097, STORE_READ_BYTES, STORE_READ_BYTES + 5000] {
            let content: Vec<u8> = (0..bytes).map(|at| (at / 7) as u8).collect();
            std::fs::write(&path, &content).unwrap();
            let (mut file, mut buffer) = (ToRead::open(&path).unwrap(), ReadBuffer::new());
            let mut read = Vec::new();
            loop {
                let offset = read.len() as u64;
                let left = bytes - read.len();
                let request = ReadRequest {
                    segment: 1,
                    offset,
                    bytes: left.clamp(1, STORE_READ_BYTES),
                };
                let more = file.read(&path, &request, &mut buffer).unwrap();
                assert_eq!(more.len(), left.min(STORE_READ_BYTES));
                read.extend_from_slice(more);
                if more.len() < STORE_READ_BYTES {
                    break;
                }
            }
            assert!(read == content, "{bytes} bytes");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
