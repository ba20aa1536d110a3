//! Texts of sample reports: as they were looked at, within the columns, and without numbers that are none.

use super::text;
use crate::load::report::layout::COLUMNS;
use crate::load::report::{golden, sample};
use crate::load::result::{Report, Run, Search, Step};

fn fits(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= COLUMNS, "{line}");
        assert!(!line.ends_with(' ') && !line.contains("NaN"), "{line}");
    }
}

#[test]
fn texts_are_as_they_should_be_and_fit() {
    for (name, report) in [
        ("steady", sample::steady()),
        ("ramp", sample::ramp()),
        ("search", sample::search()),
        ("connects", sample::connects()),
        ("full", sample::full()),
    ] {
        let text = text(&report);
        fits(&text);
        golden::check(&format!("{name}.txt"), &text);
    }
}

#[test]
fn one_step_fits_on_a_screen() {
    let text = text(&sample::steady());
    assert!(text.lines().count() <= 45);
    for said in [
        "open loop: latency counts",
        "every message arrived once and in order: 20,400,000 of 20,400,000",
        "2 GiB, enforced",
        "PASS\n",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
}

#[test]
fn what_was_published_before_is_not_said_to_be_none() {
    let mut report = sample::steady();
    let step = &mut report.runs[0].steps[0];
    (step.published, step.rate_intended) = (0, None);
    step.tester.held_back = 1234;
    let text = text(&report);
    assert!(text.contains("; 1,234 messages held back by the broker; "));
    assert!(!text.contains("\npublished ") && text.contains("\ndelivered "));
}

#[test]
fn what_is_not_an_open_loop_is_branded() {
    assert!(
        text(&sample::connects())
            .contains("closed loop: a connect after the other\n             NOT AN OPEN LOOP: ")
    );
}

#[test]
fn loss_that_is_allowed_is_said_to_be() {
    let mut report = sample::steady();
    let v = &mut report.runs[0].steps[0].verification;
    (v.lost, v.received) = (2, v.expected - 2);
    let text = text(&report);
    assert!(text.contains("20,399,998 of 20,400,000 arrived: 2 lost\n"));
    assert!(text.contains("none of it breaks what the QoS in use promises"));
}

#[test]
fn nothing_and_nonsense_are_no_errors() {
    let mut report = Report::default();
    fits(&text(&report));
    report.runs = vec![
        Run {
            steps: vec![Step::default()],
            ..Run::default()
        },
        Run::default(),
    ];
    report.search = Some(Search::default());
    fits(&text(&report));
    let mut report = sample::full();
    for step in report.runs.iter_mut().flat_map(|r| &mut r.steps) {
        (step.seconds, step.publish_rate) = (0.0, f64::NAN);
        step.rate_intended = Some(f64::NAN);
        step.verification.violations = vec!["word ".repeat(60); 20];
    }
    report.title = "a\u{1b}[31m\nred".repeat(20);
    fits(&text(&report));
    assert!(!text(&report).contains('\u{1b}'));
}

/// Two counts that differ are explained beside them, in text and page; equal ones need no word.
#[test]
fn what_arrived_and_what_was_timed_are_told_apart() {
    let mut report = sample::steady();
    let step = &mut report.runs[0].steps[0];
    step.delivered = 999_079;
    step.latency.delivery_ns.count = 1_000_000;
    let (text, page) = (text(&report), crate::load::report::html::page(&report));
    let text = text.replace("\n             ", " ");
    for said in [
        "999,079 arrived in the measured time, whenever they were due",
        "latency is of the 1,000,000 whose message was due in it",
    ] {
        assert!(text.contains(said), "{text}");
        assert!(page.contains(said));
    }
    let step = &mut report.runs[0].steps[0];
    step.delivered = 1_000_000;
    assert!(!super::text(&report).contains("in the measured time"));
}
