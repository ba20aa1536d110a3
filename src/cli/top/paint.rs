//! Texts at places of a screen, cut where it ends.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use crate::escape::{Name, one_line};

/// What a terminal can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Face {
    pub has_colour: bool,
    /// Letters beyond ASCII are shown as what they are.
    pub has_unicode: bool,
}

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Bold,
    /// White on black where it is black on white.
    Reversed,
    Good,
    Warning,
    Bad,
}

impl Face {
    /// By the environment: `NO_COLOR` (no-color.org), and the locale (POSIX).
    pub(super) fn of_environment() -> Face {
        let filled = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(filled);
        let locale = locale.unwrap_or_default().to_ascii_lowercase();
        Face {
            has_colour: std::env::var_os("NO_COLOR").is_none(),
            has_unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    /// A text of strangers: nothing in it moves anything else.
    pub(super) fn name(self, text: &str) -> String {
        self.shown(Name(text).to_string())
    }

    /// Any other text, on one line.
    pub(super) fn text(self, text: &str) -> String {
        self.shown(one_line(text).into_owned())
    }

    fn shown(self, text: String) -> String {
        match self.has_unicode || text.is_ascii() {
            true => text,
            false => text.chars().map(plain).collect(),
        }
    }

    pub(super) fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        let coloured = |colour: Color| match self.has_colour {
            true => plain.fg(colour),
            false => plain,
        };
        match tone {
            Tone::Plain => plain,
            Tone::Bold => plain.add_modifier(Modifier::BOLD),
            Tone::Reversed => plain.add_modifier(Modifier::REVERSED),
            Tone::Good => coloured(Color::Green),
            Tone::Warning => coloured(Color::Yellow).add_modifier(Modifier::BOLD),
            Tone::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

fn plain(letter: char) -> String {
    match letter.is_ascii() {
        true => letter.into(),
        false => letter.escape_unicode().to_string(),
    }
}

/// A part of a screen that is written from top to bottom.
pub(super) struct Sheet<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
    face: Face,
    /// The next line.
    y: u16,
}

/// A place in a line: the column where it begins, and how many it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub x: u16,
    pub width: u16,
    pub is_right: bool,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(buffer: &'a mut Buffer, area: Rect, face: Face) -> Sheet<'a> {
        let area = area.intersection(buffer.area);
        Sheet {
            y: area.y,
            buffer,
            area,
            face,
        }
    }

    /// Takes away what lay here, with how it looked.
    pub(super) fn clear(&mut self) {
        for place in self.area.positions() {
            self.buffer[place].reset();
        }
    }

    pub(super) fn width(&self) -> u16 {
        self.area.width
    }

    /// Whether the next line is one.
    fn is_inside(&self) -> bool {
        self.y < self.area.bottom()
    }

    /// A whole line.
    pub(super) fn line(&mut self, text: &str, tone: Tone) {
        self.put(Place::left(0, self.area.width), text, tone);
        if tone == Tone::Reversed {
            self.reverse();
        }
        self.end();
    }

    /// A text within a line, cut to its place, where `~` says so.
    pub(super) fn put(&mut self, place: Place, text: &str, tone: Tone) {
        let width = place.width.min(self.area.width.saturating_sub(place.x));
        if !self.is_inside() || width == 0 {
            return;
        }
        let len = u16::try_from(text.chars().count()).unwrap_or(u16::MAX);
        let style = self.face.style(tone);
        let x = self.area.x + place.x;
        // Figures only, which are ASCII. One that is cut would be another.
        let (indent, text) = match (place.is_right, width.checked_sub(len)) {
            (false, _) => (0, Cow::Borrowed(text)),
            (true, Some(indent)) => (indent, Cow::Borrowed(text)),
            (true, None) => (0, Cow::Owned("#".repeat(usize::from(width)))),
        };
        let room = usize::from(width - indent);
        self.buffer
            .set_stringn(x + indent, self.y, &text, room, style);
        // Two names that begin alike are not the same.
        if Span::raw(&*text).width() > room {
            let last = (x + width - 1, self.y);
            self.buffer[last].set_symbol("~");
        }
    }

    /// Shows the line the other way round.
    pub(super) fn reverse(&mut self) {
        if self.is_inside() {
            let line = Rect::new(self.area.x, self.y, self.area.width, 1);
            let style = self.face.style(Tone::Reversed);
            self.buffer.set_style(line, style);
        }
    }

    /// To the next line.
    pub(super) fn end(&mut self) {
        self.y = self.y.saturating_add(1);
    }

    /// To the last line.
    pub(super) fn skip_to_last(&mut self) {
        self.y = self.y.max(self.area.bottom().saturating_sub(1));
    }
}

impl Place {
    /// A text.
    pub(super) fn left(x: u16, width: u16) -> Place {
        Place {
            x,
            width,
            is_right: false,
        }
    }

    /// A figure, at the right edge.
    pub(super) fn right(x: u16, width: u16) -> Place {
        Place {
            x,
            width,
            is_right: true,
        }
    }
}
