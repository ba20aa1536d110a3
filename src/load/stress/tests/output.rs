//! Formulas and text. The text golden was printed by pymqttbench 0.1.1 (Python 2.7.18, numpy 1.12.1); the durations
//! are some that give its means and deviations, and the golden of the line is ours for them, in the form of pymqttbench's.

use super::super::dat;
use super::super::output::{brief, brief_row, number, text};
use super::super::stats::{Figures, Row};
use super::{clients, result};

const TEXT: &str = "\
[ran with 3 subscribers and 4 publishers]
================================================================================
Subscription Results
================================================================================
Avg. subscriber duration: 0.000246666666667
Subscriber duration std dev: 2.49042611258e-05
Avg. Client Throughput: 40540.5405405
Total Throughput (msg_count * clients) / (avg. sub time): 121621.621622
================================================================================
Publisher Results
================================================================================
Avg. publisher duration: 0.01066575
Publisher duration std dev: 0.00173590702156
Avg. Client Throughput: 937.580573331
Total Throughput (msg_count * clients) / (avg. sub time): 3750.32229332

";

#[test]
fn the_text_is_that_of_pymqttbench() {
    let result = result(&[216, 247, 277], &[7660, 11616, 11652, 11735]);
    assert_eq!(text(&result), TEXT);
}

#[test]
fn the_brief_line_is_that_of_pymqttbench() {
    let result = result(&[216, 247, 277], &[7660, 11616, 11652, 11735]);
    assert_eq!(
        brief(&result),
        "3:4:0.000246666666667:2.49042611258e-05:40540.5405405:121621.621622:\
         0.01066575:0.00173590702156:937.580573331:3750.32229332"
    );
}

/// Durations in microseconds that have a row's mean and deviation: one client's, or two clients' left and right of it.
fn durations(figures: &Figures, clients: u32) -> Vec<u64> {
    let us = |seconds: f64| (seconds * 1e6).round() as u64;
    match clients {
        1 => vec![us(figures.mean_s)],
        _ => vec![
            us(figures.mean_s - figures.stddev_s),
            us(figures.mean_s + figures.stddev_s),
        ],
    }
}

#[test]
fn published_runs_of_one_and_two_clients_come_out_to_the_byte() {
    let grid = dat::published();
    let small = |row: &&Row| row.sub_clients <= 2 && row.pub_clients <= 2;
    let rows: Vec<&Row> = grid.rows().filter(small).collect();
    assert_eq!(rows.len(), 8 + 11 + 8 + 11);
    for row in rows {
        let again = result(
            &durations(&row.subscriber, row.sub_clients),
            &durations(&row.publisher, row.pub_clients),
        );
        assert_eq!(brief(&again), brief_row(row));
    }
}

/// Throughputs follow from the mean that is printed with them, in all 579 runs.
#[test]
fn published_throughputs_follow_from_the_means() {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-10 * b;
    for row in dat::published().rows() {
        let sides = [
            (&row.subscriber, row.sub_clients),
            (&row.publisher, row.pub_clients),
        ];
        for (figures, clients) in sides {
            let avg = 10.0 / figures.mean_s;
            assert!(close(avg, figures.avg_throughput), "{row:?}");
            let total = avg * f64::from(clients);
            assert!(close(total, figures.total_throughput), "{row:?}");
        }
    }
}

#[test]
fn who_did_not_complete_is_named_and_not_counted() {
    let mut result = result(&[200, 400, 60_000_000], &[1000]);
    result.subscribers[2].complete = false;
    let row = result.row();
    assert_eq!((row.sub_clients, result.subscribers_failed()), (3, 1));
    assert_eq!(number(row.subscriber.mean_s), "0.0003");
    assert_eq!(number(row.subscriber.total_throughput), "66666.6666667");
    assert!(text(&result).starts_with("1 subscription workers failed\n[ran with 3 "));
    assert!(brief(&result).starts_with("3:1:0.0003:"));
    result.publishers[0].complete = false;
    assert!(text(&result).contains("failed\n1 publishing workers failed\n[ran"));
    assert_eq!(number(result.row().publisher.mean_s), "nan");
    assert!(!result.is_complete());
}

#[test]
fn no_duration_gives_no_finite_throughput() {
    let figures = Figures::of(&clients(&[0]), 10);
    assert!(!figures.is_finite());
    assert_eq!(number(figures.avg_throughput), "inf");
}

/// As printed by Python 2.7.18.
#[test]
fn numbers_are_printed_as_python_2_does() {
    for (value, printed) in [
        (0.0, "0.0"),
        (0.028929, "0.028929"),
        (1e-5, "1e-05"),
        (0.0001, "0.0001"),
        (9.99999999999999e-5, "0.0001"),
        (123456.0, "123456.0"),
        (100.0, "100.0"),
        (0.1 + 0.2, "0.3"),
        (2.0 / 3.0, "0.666666666667"),
        (10.0 / 0.028929, "345.673891251"),
        (1e10, "10000000000.0"),
        (99_999_999_999.0, "99999999999.0"),
        (99_999_999_999.96, "1e+11"),
        (1e11, "1e+11"),
        (1e12, "1e+12"),
        (1e22, "1e+22"),
        (1e-300, "1e-300"),
        (f64::NAN, "nan"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        assert_eq!(number(value), printed);
    }
}
