//! What pymqttbench prints, to the byte: its report, its `--brief` line, and numbers as it writes them.
//!
//! The report calls the publishers' time "avg. sub time" too; scripts read that text, so it stays.

use super::stats::{Figures, Row, StressResult};

/// Significant digits of a number: Python 2 prints so many, and pymqttbench runs on nothing newer.
const DIGITS: i32 = 12;

/// Widest line of the report.
const RULE: usize = 80;

/// The report, with the clients that failed before it; the last line is empty, as pymqttbench prints it.
pub fn text(result: &StressResult) -> String {
    let row = result.row();
    let mut text = failures(result);
    text += &format!(
        "[ran with {} subscribers and {} publishers]\n",
        row.sub_clients, row.pub_clients
    );
    text += &section("Subscription", "subscriber", "Subscriber", &row.subscriber);
    text += &section("Publisher", "publisher", "Publisher", &row.publisher);
    text.push('\n');
    text
}

/// The ten fields with colons between them, without an end of line.
pub fn brief(result: &StressResult) -> String {
    brief_row(&result.row())
}

/// The ten fields of a row.
pub fn brief_row(row: &Row) -> String {
    let (subscriber, publisher) = (&row.subscriber, &row.publisher);
    let figures = [
        subscriber.mean_s,
        subscriber.stddev_s,
        subscriber.avg_throughput,
        subscriber.total_throughput,
        publisher.mean_s,
        publisher.stddev_s,
        publisher.avg_throughput,
        publisher.total_throughput,
    ];
    let mut line = format!("{}:{}", row.sub_clients, row.pub_clients);
    for figure in figures {
        line.push(':');
        line += &number(figure);
    }
    line
}

/// A line for the subscribers that failed and one for the publishers, where there are any. Part of `text`; with
/// `--brief` they belong on standard error, so that the output stays a line of fields.
pub fn failures(result: &StressResult) -> String {
    let mut lines = String::new();
    for (failed, kind) in [
        (result.subscribers_failed(), "subscription"),
        (result.publishers_failed(), "publishing"),
    ] {
        if failed > 0 {
            lines += &format!("{failed} {kind} workers failed\n");
        }
    }
    lines
}

fn section(title: &str, small: &str, capital: &str, figures: &Figures) -> String {
    let rule = "=".repeat(RULE);
    format!(
        "{rule}\n{title} Results\n{rule}\n\
         Avg. {small} duration: {}\n\
         {capital} duration std dev: {}\n\
         Avg. Client Throughput: {}\n\
         Total Throughput (msg_count * clients) / (avg. sub time): {}\n",
        number(figures.mean_s),
        number(figures.stddev_s),
        number(figures.avg_throughput),
        number(figures.total_throughput)
    )
}

/// A number as Python 2's `str` writes it: twelve digits without zeros at the end, `.0` behind one that would look like
/// an integer, an exponent below 0.0001 and from 1e+11 on.
pub fn number(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    // Rounded to its digits first: that can move the exponent. One digit of the twelve is kept for `.0`.
    let rounded = format!("{value:.*e}", (DIGITS - 1) as usize);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..DIGITS - 1).contains(&exponent) {
        let fixed = format!("{value:.*}", (DIGITS - 1 - exponent) as usize);
        let short = without_zeros(&fixed);
        let point = if short.contains('.') { "" } else { ".0" };
        return format!("{short}{point}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let exponent = exponent.unsigned_abs();
    format!("{}e{sign}{exponent:02}", without_zeros(mantissa))
}

/// Without the zeros at the end of the fraction, and without the point where nothing is left behind it.
fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}
