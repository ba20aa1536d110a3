//! The progress line while a run goes: on stderr, nothing where that is no terminal or quiet was asked for.
//!
//! Called by the thread that watches the workers; a look at it costs nothing where nobody sees it.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::units;

/// Seconds between two lines.
const EVERY_S: f64 = 0.1;

/// Characters of the bar.
const BAR: usize = 10;

/// What a run comes to at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// Since the phase began.
    pub elapsed_s: f64,
    pub published_per_s: f64,
    pub delivered_per_s: f64,
    /// Of the latency; 0 while there is none.
    pub p99_ns: u64,
    /// So far; 0 until the step has settled.
    pub lost: u64,
    pub connected: u64,
    /// That there are to be.
    pub connections: u64,
    /// Memory of the broker, where it is known.
    pub broker_bytes: Option<u64>,
}

/// The line.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
    name: String,
    seconds: Option<f64>,
    shown_s: Option<f64>,
}

impl Live {
    /// A line on stderr; none if `quiet`, or if stderr is no terminal.
    pub fn new(quiet: bool) -> Live {
        Live::on(match quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        })
    }

    fn on(target: ProgressDrawTarget) -> Live {
        let bar = ProgressBar::with_draw_target(None, target);
        // Cut to the width of the terminal: a line that wraps could not be overwritten.
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        Live {
            bar,
            name: String::new(),
            seconds: None,
            shown_s: None,
        }
    }

    /// Another phase begins; `seconds` is how long it is to last, where that is known.
    pub fn phase(&mut self, name: &str, seconds: Option<f64>) {
        name.clone_into(&mut self.name);
        self.seconds = seconds;
        self.shown_s = None;
        self.show(&Look::default());
        // What is seen first in a phase is seen at once.
        self.shown_s = None;
    }

    /// Shows a look. May be called as often as one likes: most calls do nothing.
    pub fn show(&mut self, look: &Look) {
        if self.bar.is_hidden() || self.shown_s.is_some_and(|s| look.elapsed_s < s + EVERY_S) {
            return;
        }
        self.shown_s = Some(look.elapsed_s);
        self.bar.set_message(line(&self.name, self.seconds, look));
    }

    /// Takes the line away.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish();
    }
}

/// `fanout  measured  [====>     ] 6/10 s  1,000 msg/s  1 M deliveries/s  p99 1.2 ms  lost 0  broker 38 MiB`; what is
/// not known or not begun is left out.
fn line(name: &str, seconds: Option<f64>, look: &Look) -> String {
    let mut parts = vec![name.to_owned(), time(seconds, look.elapsed_s)];
    if look.connected < look.connections {
        let (made, all) = (units::count(look.connected), units::count(look.connections));
        parts.push(format!("{made}/{all} connections"));
    }
    if look.published_per_s > 0.0 {
        parts.push(units::rate_of(look.published_per_s, "msg/s"));
    }
    if look.delivered_per_s > 0.0 {
        parts.push(units::rate_of(look.delivered_per_s, "deliveries/s"));
    }
    if look.p99_ns > 0 {
        parts.push(format!("p99 {}", units::nanos(look.p99_ns as f64)));
    }
    if look.p99_ns > 0 || look.lost > 0 {
        parts.push(format!("lost {}", units::count(look.lost)));
    }
    if let Some(bytes) = look.broker_bytes {
        parts.push(format!("broker {}", units::bytes(bytes as f64)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

/// The bar and the seconds; whole ones, so that the line does not flicker.
fn time(seconds: Option<f64>, elapsed_s: f64) -> String {
    let elapsed_s = elapsed_s.max(0.0);
    match seconds.filter(|s| *s > 0.0) {
        None if elapsed_s < 1.0 => String::new(),
        None => format!("{:.0} s", elapsed_s.floor()),
        Some(all) => {
            let share = (elapsed_s / all).min(1.0);
            let shown = elapsed_s.min(all).floor();
            format!("[{}] {shown:.0}/{} s", bar(share), units::three(all))
        }
    }
}

/// `====>     `
fn bar(share: f64) -> String {
    let done = (share * BAR as f64) as usize;
    let head = if done == 0 || done >= BAR { "" } else { ">" };
    let body = "=".repeat(done.min(BAR) - head.len());
    format!("{:<BAR$}", body + head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_known() {
        let look = Look {
            elapsed_s: 6.04,
            published_per_s: 1000.2,
            delivered_per_s: 1_000_200.0,
            p99_ns: 1_204_000,
            lost: 0,
            connected: 1001,
            connections: 1001,
            broker_bytes: Some(38 << 20),
        };
        assert_eq!(
            line("fanout  measured", Some(10.0), &look),
            "fanout  measured  [=====>    ] 6/10 s  1,000 msg/s  1 M deliveries/s  p99 1.2 ms  lost 0  broker 38 MiB"
        );
        let drain = Look {
            elapsed_s: 2.9,
            lost: 1234,
            ..Look::default()
        };
        assert_eq!(line("drain", None, &drain), "drain  2 s  lost 1,234");
    }

    #[test]
    fn connecting_counts_connections() {
        let look = Look {
            elapsed_s: 0.4,
            connected: 412,
            connections: 1000,
            ..Look::default()
        };
        assert_eq!(
            line("connecting subscribers", None, &look),
            "connecting subscribers  412/1,000 connections"
        );
    }

    #[test]
    fn the_bar_fills_and_stays_full() {
        let at = |elapsed_s| time(Some(2.5), elapsed_s);
        assert_eq!(at(0.0), "[          ] 0/2.5 s");
        assert_eq!(at(-1.0), "[          ] 0/2.5 s");
        assert_eq!(at(0.3), "[>         ] 0/2.5 s");
        assert_eq!(at(2.4), "[========> ] 2/2.5 s");
        assert_eq!(at(2.5), "[==========] 2/2.5 s");
        assert_eq!(at(9.0), "[==========] 2/2.5 s");
        assert_eq!(time(Some(0.0), 3.5), "3 s");
    }

    #[test]
    fn nobody_looks_where_it_is_quiet() {
        let mut live = Live::new(true);
        live.phase("measured", Some(10.0));
        live.show(&Look::default());
        assert!(live.bar.is_hidden() && live.bar.message().is_empty());
        live.finish();
    }

    #[test]
    fn lines_are_shown_ten_times_a_second() {
        #[derive(Debug)]
        struct Screen;
        impl indicatif::TermLike for Screen {
            fn width(&self) -> u16 {
                80
            }
            fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
                Ok(())
            }
            fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
                Ok(())
            }
            fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
                Ok(())
            }
            fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
                Ok(())
            }
            fn write_line(&self, _: &str) -> std::io::Result<()> {
                Ok(())
            }
            fn write_str(&self, _: &str) -> std::io::Result<()> {
                Ok(())
            }
            fn clear_line(&self) -> std::io::Result<()> {
                Ok(())
            }
            fn flush(&self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut live = Live::on(ProgressDrawTarget::term_like(Box::new(Screen)));
        let shown = |live: &mut Live, elapsed_s: f64, lost| {
            live.show(&Look {
                elapsed_s,
                lost,
                ..Look::default()
            });
            live.bar.message()
        };
        live.phase("drain", None);
        assert_eq!(live.bar.message(), "drain");
        assert_eq!(shown(&mut live, 0.01, 1), "drain  lost 1");
        assert_eq!(shown(&mut live, 0.05, 2), "drain  lost 1");
        assert_eq!(shown(&mut live, 0.2, 3), "drain  lost 3");
        live.phase("measured", Some(5.0));
        assert_eq!(shown(&mut live, 0.0, 0), "measured  [          ] 0/5 s");
    }
}
