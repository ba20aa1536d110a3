//! Text for a terminal of 100 columns: names with what they hold, and tables.

/// Columns that a line has at most.
pub const COLUMNS: usize = 100;

/// Where what belongs to a name begins.
const INDENT: usize = 13;

/// Fewest columns that are left to the first column of a table.
const NAME_MIN: usize = 8;

/// Text as it grows, line by line.
#[derive(Default)]
pub struct Lines {
    out: String,
}

impl Lines {
    /// An empty line, unless there is one or nothing is above it.
    pub fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// Words from the left edge; what does not fit goes below, indented by two.
    pub fn words(&mut self, text: &str) {
        self.wrapped("", 2, text);
    }

    /// A name and its text; nothing if the text is empty. What does not fit goes below the text.
    pub fn field(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.wrapped(&format!("{name:<INDENT$}"), INDENT, text);
        }
    }

    fn wrapped(&mut self, first: &str, indent: usize, text: &str) {
        let mut line = first.to_owned();
        let mut room = COLUMNS.saturating_sub(width(first));
        let mut fresh = true;
        for word in text.split_whitespace() {
            let wide = width(word);
            if !fresh && wide + 1 > room {
                self.line(&line);
                line = " ".repeat(indent);
                (room, fresh) = (COLUMNS - indent, true);
            }
            if !fresh {
                line.push(' ');
                room = room.saturating_sub(1);
            }
            line.push_str(word);
            room = room.saturating_sub(wide);
            fresh = false;
        }
        self.line(&line);
    }

    /// A line as it is, but for control characters and spaces at its end.
    pub fn line(&mut self, text: &str) {
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        self.out.extend(text.trim_end().chars().map(shown));
        self.out.push('\n');
    }

    /// A table: the first column at the left, all others at the right, as wide as they need. The first is cut where a
    /// row would be too long.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
        let all = || std::iter::once(&head).chain(rows);
        let columns = all().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = all().filter_map(|row| row.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (1..columns).map(|column| widest(column) + 2).collect();
        let left = COLUMNS.saturating_sub(widths.iter().sum()).max(NAME_MIN);
        let name = widest(0).min(left);
        for row in all() {
            let mut line = cut(row.first().map_or("", String::as_str), name);
            for (cell, wide) in row.iter().skip(1).zip(&widths) {
                line.push_str(&format!("{cell:>wide$}"));
            }
            self.line(&line);
        }
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.out
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The text in exactly so many columns.
fn cut(text: &str, columns: usize) -> String {
    match width(text) > columns {
        true => {
            let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
            format!("{kept}…")
        }
        false => format!("{text:<columns$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_go_on_below() {
        let mut lines = Lines::default();
        lines.gap();
        lines.field("nothing", "");
        lines.field("name", &"word ".repeat(30));
        lines.gap();
        lines.gap();
        lines.words(&"x".repeat(120));
        lines.line("a\u{1b}[1mb  ");
        let text = lines.finish();
        let all: Vec<&str> = text.lines().collect();
        assert!(all[0].starts_with("name         word word") && all[0].len() <= COLUMNS);
        assert!(all[1].starts_with("             word"));
        assert_eq!(all[2], "");
        assert_eq!(all[3], "x".repeat(120));
        assert_eq!(all[4], "a\u{fffd}[1mb");
    }

    #[test]
    fn tables_are_aligned_and_fit() {
        let mut lines = Lines::default();
        let long = "n".repeat(120);
        let rows = [["a", "1", "µs"], [&long, "1000", "s"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        lines.table(&["", "one", "two"], &rows);
        let text = lines.finish();
        let widths: Vec<usize> = text.lines().map(|l| l.chars().count()).collect();
        assert_eq!(widths, [COLUMNS; 3]);
        assert!(text.lines().nth(2).unwrap().contains("n…  1000    s"));
    }
}
