//! Pages of sample reports: well-formed, alone, small, and without numbers that are none.

use super::text;
use super::*;
use crate::load::distribution::Distribution;
use crate::load::report::sample;
use crate::load::result::{Attempt, Sample, Search};

/// Elements that HTML ends by themselves; here they end with `/>`.
const VOID: [&str; 3] = ["meta", "link", "rect"];

/// The page as XML: every tag closed by its own, every attribute quoted, every `&` the start of an entity.
fn check_markup(page: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>\n").ok_or("no doctype")?;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        check_text(text)?;
        let end = tag.find('>').ok_or("a tag without end")?;
        let inside = &tag[1..end];
        rest = &tag[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            let opened = open.pop().ok_or(format!("</{name}> closes nothing"))?;
            (opened == name)
                .then_some(())
                .ok_or(format!("</{name}> closes <{opened}>"))?;
            continue;
        }
        let (inside, closed) = inside
            .strip_suffix('/')
            .map_or((inside, false), |i| (i, true));
        let name = inside.split(' ').next().unwrap_or_default();
        check_attributes(&inside[name.len()..])?;
        if !closed {
            (!VOID[..2].contains(&name))
                .then_some(())
                .ok_or(format!("<{name}> stays open"))?;
            open.push(name);
        }
        if name == "style" {
            rest = &rest[rest.find("</style>").ok_or("style stays open")?..];
        }
    }
    open.is_empty()
        .then_some(())
        .ok_or(format!("never closed: {open:?}"))
}

fn check_text(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('&') {
        let entity = text[at..].split(';').next().unwrap_or_default();
        let known = ["&amp", "&lt", "&gt", "&quot", "&#39"].contains(&entity);
        known.then_some(()).ok_or(format!("bare & in {text:?}"))?;
    }
    (!text.contains('>'))
        .then_some(())
        .ok_or(format!("bare > in {text:?}"))
}

/// ` name="value"` as often as it comes, each name once.
fn check_attributes(mut text: &str) -> Result<(), String> {
    let mut seen = Vec::new();
    while !text.is_empty() {
        let wrong = || format!("attributes {text:?}");
        let (name, after) = text
            .strip_prefix(' ')
            .ok_or_else(wrong)?
            .split_once("=\"")
            .ok_or_else(wrong)?;
        let (value, after) = after.split_once('"').ok_or_else(wrong)?;
        let named = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        (named && !seen.contains(&name))
            .then_some(())
            .ok_or_else(wrong)?;
        check_text(value)?;
        seen.push(name);
        text = after;
    }
    Ok(())
}

/// Everything that holds for every page.
fn check(page: &str) {
    assert_eq!(check_markup(page), Ok(()));
    for foreign in ["src=", "url(", "@import", "<script", "http://", "https://"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let hrefs = page.matches("href=").count();
    assert_eq!(hrefs, page.matches("href=\"data:,\"").count());
    for word in ["NaN", "inf", "None", "Some("] {
        let of_style = STYLE.matches(word).count();
        assert_eq!(page.matches(word).count(), of_style, "{word}");
    }
}

fn grid() -> String {
    let (ours, theirs) = sample::grids();
    let meta = [("kernel".to_owned(), "Linux <6.12>".to_owned())];
    grid_page(&ours, &theirs, "The stress grid", &meta)
}

#[test]
fn the_check_of_the_markup_bites() {
    let page = |body: &str| check_markup(&format!("<!DOCTYPE html>\n{body}"));
    assert_eq!(page("<p class=\"a\">x &amp; y<meta a=\"b\"/></p>"), Ok(()));
    for wrong in [
        "<p>",
        "<p></b>",
        "</p>",
        "<p>a & b</p>",
        "<p a=b></p>",
        "<p a=\"1\" a=\"2\"></p>",
        "<meta a=\"b\">",
        "<p>></p>",
    ] {
        assert!(page(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn pages_are_well_formed_and_alone() {
    for report in [sample::steady(), sample::ramp(), sample::search()] {
        check(&page(&report));
    }
    check(&grid());
}

#[test]
fn a_page_has_every_chart_that_its_report_has_data_for() {
    let steady = page(&sample::steady());
    for title in [
        "Latency by percentile",
        "Latency over time",
        "Messages in",
        "Messages out",
        "Broker CPU",
    ] {
        assert!(steady.contains(&format!("<h3>{title}</h3>")), "{title}");
    }
    assert!(!steady.contains("Repetitions"));
    let search = page(&sample::search());
    for title in [
        "Rate of each step",
        "Latency against rate",
        "Delivery latency of each step",
    ] {
        assert!(search.contains(&format!("<h3>{title}</h3>")), "{title}");
    }
    for title in [
        "The highest rate",
        "Repetitions",
        "Verification",
        "The tester itself",
        "To repeat it",
    ] {
        assert!(search.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    assert!(search.contains("budget 256\u{a0}MiB"));
    assert_eq!(grid().matches("<svg").count(), 12);
}

#[test]
fn ten_minutes_stay_small() {
    let bytes = page(&sample::steady()).len();
    assert!(bytes < 1 << 20, "{bytes}");
}

#[test]
fn a_day_of_many_steps_stays_small() {
    let mut report = sample::steady();
    let mut step = report.runs[0].steps[0].clone();
    step.series.truncate(40);
    // Each column of the page merges many intervals. Those that a tenth of them have make the same page as all of them, which
    // would take a quarter of a minute to decode in a debug build.
    for (number, interval) in step.series.iter_mut().enumerate() {
        interval.latency_ns = match number % 10 {
            0 => step.latency.ack_ns.clone(),
            _ => Distribution::default(),
        };
    }
    report.runs[0].steps = vec![step; 300];
    let sample = report.runs[0].samples[0];
    report.runs[0].samples = (0..86_400)
        .map(|n| Sample {
            at_s: f64::from(n),
            ..sample
        })
        .collect();
    let page = page(&report);
    check(&page);
    assert!(page.len() < 2 << 20, "{}", page.len());
}

#[test]
fn nothing_to_show_is_no_error() {
    check(&page(&Report::default()));
    check(&grid_page(&[], &[], "", &[]));
    let report = Report {
        runs: vec![
            Run {
                steps: vec![Step::default()],
                ..Run::default()
            },
            Run::default(),
        ],
        search: Some(Search::default()),
        ..Report::default()
    };
    check(&page(&report));
}

#[test]
fn what_is_missing_leaves_the_rest() {
    let mut report = sample::ramp();
    for run in &mut report.runs {
        run.samples.clear();
        for step in &mut run.steps {
            step.broker = None;
            step.latency.delivery_ns.histogram.clear();
            step.series
                .iter_mut()
                .for_each(|i| i.latency_ns.histogram = "no histogram".to_owned());
        }
    }
    let page = page(&report);
    check(&page);
    assert!(page.contains("Latency by percentile") && !page.contains("Broker CPU"));
}

#[test]
fn numbers_that_are_none_are_not_written() {
    let mut report = sample::search();
    let run = &mut report.runs[1];
    for (n, step) in run.steps.iter_mut().enumerate() {
        let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0][n % 4];
        step.publish_rate = bad;
        step.delivery_rate = bad;
        step.rate_intended = Some(bad);
        step.seconds = bad;
        step.interval_s = bad;
        step.latency.delivery_ns.mean = bad;
        step.series.iter_mut().for_each(|i| i.at_s = bad);
        step.tester.cpu_ns_per_delivery = Some(bad);
    }
    run.samples
        .iter_mut()
        .step_by(3)
        .for_each(|s| s.at_s = f64::NAN);
    run.samples
        .iter_mut()
        .step_by(4)
        .for_each(|s| s.user_s = f64::INFINITY);
    run.setup.seconds = f64::NAN;
    report.runs.truncate(2);
    report.runs.remove(0);
    let search = report.search.get_or_insert_default();
    search.max_rate = Some(f64::NAN);
    search.curve.push(Attempt {
        rate: f64::NAN,
        achieved: f64::INFINITY,
        ..Attempt::default()
    });
    check(&page(&report));
    let (mut ours, theirs) = sample::grids();
    ours.iter_mut()
        .step_by(2)
        .for_each(|c| c.sub_total = f64::NAN);
    ours.iter_mut().step_by(3).for_each(|c| c.pub_total = 0.0);
    check(&grid_page(&ours, &theirs, "t", &[]));
}

#[test]
fn text_of_a_report_is_escaped() {
    let page = page(&sample::ramp());
    assert!(page.contains("a b/&lt;c&gt;&amp;") && page.contains("&lt;at QoS 1&gt;"));
    assert_eq!(text::escape("a\u{0}\u{1b}\"b"), "a\u{fffd}\u{fffd}&quot;b");
}

#[test]
fn axes_are_labelled_at_round_numbers() {
    let labels = |ticks: Vec<ticks::Tick>| {
        let named = ticks.into_iter().filter(|t| !t.label.is_empty());
        named
            .map(|t| t.label.replace('\u{a0}', " "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        labels(ticks::linear(34_000.0, text::short)),
        ["0", "10 k", "20 k", "30 k"]
    );
    assert_eq!(
        labels(ticks::bytes(200.0 * 1048576.0))
            .last()
            .map(String::as_str),
        Some("192 MiB")
    );
    assert_eq!(labels(ticks::time(600.0))[..3], ["0:00", "1:00", "2:00"]);
    assert_eq!(
        labels(ticks::log(1e5, 1e9, text::nanos)),
        ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
    );
    assert_eq!(ticks::log_bounds(130_000.0, 4.1e6), (1e5, 5e6));
    assert_eq!(
        labels(ticks::percentiles(3.4)),
        ["0 %", "90 %", "99 %", "99.9 %"]
    );
}

#[test]
fn the_latency_of_an_objective_is_found() {
    assert_eq!(
        search::objective_ns("p99=10ms,loss=0"),
        Some(("p99".to_owned(), 1e7))
    );
    assert_eq!(
        search::objective_ns("loss=0,p999=250us"),
        Some(("p999".to_owned(), 2.5e5))
    );
    for none in ["", "loss=0", "p99", "p99=fast", "p99=10"] {
        assert_eq!(search::objective_ns(none), None);
    }
}

/// For `tests/bench_page.py`: the pages go where `FIREHOSE_PAGES` says.
#[test]
fn pages_to_look_at() {
    let Ok(folder) = std::env::var("FIREHOSE_PAGES") else {
        return;
    };
    std::fs::create_dir_all(&folder).unwrap();
    let pages = [
        ("steady", page(&sample::steady())),
        ("ramp", page(&sample::ramp())),
        ("search", page(&sample::search())),
        ("empty", page(&Report::default())),
        ("grid", grid()),
    ];
    for (name, page) in pages {
        std::fs::write(format!("{folder}/{name}.html"), page).unwrap();
    }
}
