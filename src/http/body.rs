//! The content of an answer on its way: words at once, a file piece by piece, news as they come.

use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::closer::Opened;
use super::files::Served;
use super::job;
use super::progress::Progress;
use crate::budget::Charge;
use crate::limits;

/// A piece of a file that is being read.
type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>>>>;

/// A piece of news that is being waited for; `None` when there will be none.
pub(crate) type News = Pin<Box<dyn Future<Output = Option<Bytes>>>>;

/// What comes piece by piece. The next piece is asked for when there is room for it.
pub(crate) struct Live(pub Box<dyn FnMut() -> News>);

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Live")
    }
}

/// Words that are charged until the socket has them.
struct Charged {
    text: String,
    _charge: Option<Charge>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// See the module.
pub(super) struct Content {
    left: u64,
    source: Source,
    /// Hears that it is all out, or given up.
    progress: Option<Rc<Progress>>,
    /// Of what is read piece by piece; words have theirs with them.
    charge: Option<Charge>,
}

enum Source {
    Words(Bytes),
    File {
        file: Arc<Opened>,
        offset: u64,
        reading: Option<Reading>,
    },
    Live {
        live: Live,
        waiting: Option<News>,
    },
}

impl Content {
    fn new(left: u64, source: Source, charge: Option<Charge>) -> Content {
        Content {
            left,
            source,
            progress: None,
            charge,
        }
    }

    pub(super) fn text(text: String, charge: Option<Charge>) -> Content {
        let left = text.len() as u64;
        let words = Charged {
            text,
            _charge: charge,
        };
        Content::new(left, Source::Words(Bytes::from_owner(words)), None)
    }

    pub(super) fn fixed(text: &'static str) -> Content {
        let words = Bytes::from_static(text.as_bytes());
        Content::new(text.len() as u64, Source::Words(words), None)
    }

    pub(super) fn file(served: Served, charge: Option<Charge>) -> Content {
        let source = Source::File {
            file: Arc::new(served.file),
            offset: 0,
            reading: None,
        };
        Content::new(served.bytes, source, charge)
    }

    pub(super) fn live(live: Live, charge: Option<Charge>) -> Content {
        let source = Source::Live {
            live,
            waiting: None,
        };
        Content::new(u64::MAX, source, charge)
    }

    /// Tells when it is out.
    pub(super) fn tell(&mut self, progress: &Rc<Progress>) {
        self.progress = Some(progress.clone());
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            progress.on_content_end();
        }
    }
}

/// Charges the piece at hand in the place of the one before. Whether there is room.
fn charged_anew(charge: &mut Option<Charge>, bytes: u64) -> bool {
    charge
        .as_mut()
        .is_none_or(|charge| charge.set(bytes, limits::HTTP_PROBE_BYTES))
}

/// Reads a piece off the control thread: a disk may take its time.
fn read(file: Arc<Opened>, offset: u64, bytes: usize) -> Reading {
    Box::pin(async move {
        let read = move || {
            let mut piece = vec![0; bytes];
            let count = file.as_file()?.read_at(&mut piece, offset)?;
            piece.truncate(count);
            Ok(Bytes::from(piece))
        };
        let read = job::run(read).await;
        read.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    })
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match &mut this.source {
            Source::Words(words) => std::mem::take(words),
            Source::Live { live, waiting } => {
                let next = waiting.get_or_insert_with(|| live.0());
                let news = match next.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(news) => news,
                };
                *waiting = None;
                // The one before is with hyper, which asks for another when there is room for it.
                let bytes = news.as_ref().map_or(0, |piece: &Bytes| piece.len() as u64);
                let news = news.filter(|_| charged_anew(&mut this.charge, bytes));
                if news.is_none() {
                    this.left = 0;
                }
                return Poll::Ready(news.map(|piece| Ok(Frame::data(piece))));
            }
            Source::File {
                file,
                offset,
                reading,
            } => {
                let bytes = this.left.min(limits::HTTP_PIECE_BYTES as u64) as usize;
                let next = reading.get_or_insert_with(|| read(file.clone(), *offset, bytes));
                let read = match next.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(read) => read,
                };
                *reading = None;
                match read {
                    Ok(piece) => {
                        *offset += piece.len() as u64;
                        piece
                    }
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
        };
        if piece.is_empty() {
            // It was longer when it was opened.
            let error = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Poll::Ready(Some(Err(error)));
        }
        this.left = this.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        match self.source {
            Source::Live { .. } => SizeHint::default(),
            Source::Words(_) | Source::File { .. } => SizeHint::with_exact(self.left),
        }
    }
}
