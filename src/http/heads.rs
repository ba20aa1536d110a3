//! Where heads of requests end in what a client sends: hyper tells when one is whole, and nothing of what lies behind it. A body counts
//! as the begin of a head; nobody needs one here.

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// Heads that have ended and of which hyper has not told yet.
    whole: u32,
    /// Something of another one has come.
    is_begun: bool,
    /// Nothing has come of this line.
    at_line: bool,
}

impl Heads {
    /// These bytes come next.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' if self.is_begun && self.at_line => {
                    self.whole = self.whole.saturating_add(1);
                    self.is_begun = false;
                }
                b'\n' => self.at_line = true,
                b'\r' => {}
                _ => (self.is_begun, self.at_line) = (true, false),
            }
        }
    }

    /// hyper has told of one.
    pub(super) fn on_request(&mut self) {
        self.whole = self.whole.saturating_sub(1);
    }

    /// Whether something has come behind those that hyper has told of.
    pub(super) fn has_more(&self) -> bool {
        self.whole > 0 || self.is_begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_head_is_seen() {
        let more = |pieces: &[&str]| {
            let mut heads = Heads::default();
            pieces.iter().for_each(|piece| heads.take(piece.as_bytes()));
            heads.on_request();
            heads.has_more()
        };
        let whole = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(!more(&[whole]));
        for at in 0..whole.len() {
            assert!(!more(&[&whole[..at], &whole[at..]]), "{at}");
        }
        assert!(!more(&["\r\n", whole, "\r\n"]));
        assert!(!more(&["GET / HTTP/1.1\nHost: a\n\n"]));
        assert!(more(&[whole, "G"]));
        assert!(more(&[whole, whole]));
        assert!(more(&[whole, "GET / HTTP/1.1\r\nHost: a\r\n"]));
    }
}
