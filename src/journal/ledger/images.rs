//! Where in a checkpoint reading is.

/// How far the images of a checkpoint are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Images {
    /// There is no checkpoint, or its images are through.
    #[default]
    None,
    /// They are being read by who knows all sessions already.
    Again,
    /// They are being read by who began with them.
    First,
}

impl Images {
    /// Whether something may be said of a session that is not here.
    pub(super) fn may_be_missing(self) -> bool {
        self == Images::First
    }
}
