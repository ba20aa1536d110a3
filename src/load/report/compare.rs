//! Two reports side by side: what differs in how they came about, then every figure with its ratio. Where the two did
//! not do the same work no figure is called better.

use std::collections::BTreeMap;

use super::figures::{Better, FIGURES, Figure};
use super::layout::Lines;
use super::{pick, units};
use crate::load::options::Options;
use crate::load::result::{Answer, Report};

/// Figures of single runs that are this close, as a share, count as the same: histograms are no finer than 0.1 %, and
/// nothing is known of the spread between runs.
const SAME_SHARE: f64 = 0.01;

/// What came of a comparison.
#[derive(Debug)]
pub struct Comparison {
    /// For people; ends with a line feed.
    pub text: String,
    /// In what the two loads differ, by name: empty if the two can be compared.
    pub other_loads: Vec<String>,
}

/// Compares two reports. Figures are those of the summaries. One is called better only where its direction is known and
/// the ranges of all runs do not overlap, and where the loads are the same or `anyway` says that it does not matter.
pub fn compare(a: &Report, b: &Report, anyway: bool) -> Comparison {
    let mut other_loads = differences(a, b);
    other_loads.retain(|(name, ..)| is_of_load(name));
    let other_loads: Vec<String> = other_loads.into_iter().map(|(name, ..)| name).collect();
    let judges = anyway || other_loads.is_empty();
    let mut out = Lines::default();
    for (name, report) in [("A", a), ("B", b)] {
        out.words(&format!("{name}: {}", described(report)));
    }
    warnings(&mut out, a, b);
    if !other_loads.is_empty() {
        out.gap();
        let differ = other_loads.join(", ");
        out.words(&match judges {
            true => format!("The loads differ in {differ}, and are compared all the same."),
            false => format!(
                "NOT COMPARABLE: the loads differ in {differ}. Nothing is called better; --anyway does so all the same."
            ),
        });
    }
    out.gap();
    figures(&mut out, a, b, judges);
    out.gap();
    verdicts(&mut out, a, b);
    Comparison {
        text: out.finish(),
        other_loads,
    }
}

/// Whether reports that differ in this, one of `circumstances`, did not do the same work.
fn is_of_load(name: &str) -> bool {
    let setting = name.strip_prefix("setting ");
    ["workload", "load model"].contains(&name) || setting.is_some_and(Options::is_of_load)
}

fn described(report: &Report) -> String {
    let runs = units::counted(report.runs.len() as u64, "run");
    let parts = [
        report.workload.clone(),
        report.broker.what.clone(),
        report.started.clone(),
        runs,
        format!("seed {}", report.seed),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    parts.join(", ")
}

/// What makes the two less comparable.
fn warnings(out: &mut Lines, a: &Report, b: &Report) {
    let differences = differences(a, b);
    if !differences.is_empty() {
        out.gap();
        out.line("Differs:");
        for (name, a, b) in differences {
            out.words(&format!("- {name}: {a} | {b}"));
        }
    }
    let single = [("A", a), ("B", b)].map(|(name, r)| (r.runs.len() < 2).then_some(name));
    let single: Vec<&str> = single.into_iter().flatten().collect();
    if !single.is_empty() {
        out.gap();
        out.words(&format!(
            "The spread between runs of {} is not known: small differences may mean nothing.",
            single.join(" and ")
        ));
    }
}

/// Names with what A and B have there.
fn differences(a: &Report, b: &Report) -> Vec<(String, String, String)> {
    let (a, b) = (circumstances(a), circumstances(b));
    let mut names: Vec<&String> = a.iter().chain(&b).map(|(name, _)| name).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    let of = |all: &[(String, String)], name: &str| {
        let found = all.iter().find(|(n, _)| n == name);
        found.map_or(String::new(), |(_, value)| value.clone())
    };
    let shown = |value: String| {
        if value.is_empty() {
            units::NONE.to_owned()
        } else {
            value
        }
    };
    let pairs = names.into_iter().map(|n| (n.clone(), of(&a, n), of(&b, n)));
    pairs
        .filter(|(_, a, b)| a != b)
        .map(|(name, a, b)| (name, shown(a), shown(b)))
        .collect()
}

/// How a report came about, most important first.
fn circumstances(r: &Report) -> Vec<(String, String)> {
    let m = &r.machine;
    let budget = r.broker.budget.as_ref().map(|budget| {
        let enforced = if budget.enforced {
            ""
        } else {
            ", not enforced"
        };
        format!("{}{enforced}", units::bytes(budget.bytes as f64))
    });
    let rate = pick::median_run(r).and_then(|run| pick::focus(r, run));
    let rate = rate.and_then(|step| step.rate_intended);
    let own = [
        ("workload", r.workload.clone()),
        ("load model", r.load_model.clone()),
        (
            "rate due",
            rate.map_or(String::new(), |v| units::rate_of(v, "msg/s")),
        ),
        ("broker", r.broker.what.clone()),
        ("budget", budget.unwrap_or_default()),
        ("broker's CPUs", r.broker.cpus.clone().unwrap_or_default()),
        ("tester", r.version.clone()),
        ("CPU", m.cpu_model.clone()),
        ("CPUs", m.cpus.to_string()),
        ("memory", units::bytes(m.memory_bytes as f64)),
        ("kernel", m.kernel.clone()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let named = |of: &str, settings: &BTreeMap<String, String>| {
        let named = settings.iter();
        let named = named.map(|(n, v)| (format!("{of} {n}"), v.clone()));
        named.collect::<Vec<_>>()
    };
    let mut all = own.to_vec();
    all.extend(named("setting", &r.settings));
    all.extend(named("machine", &m.settings));
    all
}

/// A figure of one report: of its median run, and the least and the most of all its runs.
struct Spread {
    value: f64,
    least: f64,
    most: f64,
    runs: usize,
}

fn spread(report: &Report, figure: &Figure) -> Option<Spread> {
    let value = figure.of(report, pick::median_run(report)?)?;
    let runs = report.runs.iter();
    let all: Vec<f64> = runs.filter_map(|run| figure.of(report, run)).collect();
    Some(Spread {
        value,
        least: all.iter().copied().fold(value, f64::min),
        most: all.iter().copied().fold(value, f64::max),
        runs: all.len(),
    })
}

fn figures(out: &mut Lines, a: &Report, b: &Report, judges: bool) {
    let mut rows = Vec::new();
    for figure in FIGURES {
        let (a, b) = (spread(a, figure), spread(b, figure));
        if a.is_none() && b.is_none() {
            continue;
        }
        let shown = |s: &Option<Spread>| {
            let value = s.as_ref().map(|s| figure.unit.write(s.value));
            value.unwrap_or_else(|| units::NONE.to_owned())
        };
        let (ratio, said) = match (&a, &b) {
            (Some(a), Some(b)) if judges => (ratio(a.value, b.value), judged(figure, a, b)),
            (Some(a), Some(b)) => (ratio(a.value, b.value), ""),
            _ => (String::new(), ""),
        };
        let mut row = vec![format!("{:<28}", figure.label), shown(&a), shown(&b), ratio];
        row.extend(judges.then(|| format!("{said:<17}")));
        rows.push(row);
    }
    match rows.is_empty() {
        true => out.line("There are no figures to compare."),
        false if judges => out.table(&["", "A", "B", "B/A", &format!("{:<17}", "better")], &rows),
        false => out.table(&["", "A", "B", "B/A"], &rows),
    }
}

/// How much B is of A.
fn ratio(a: f64, b: f64) -> String {
    let ratio = b / a;
    match ratio.is_finite() {
        false => String::new(),
        true if (0.1..10.0).contains(&ratio) => format!("{ratio:.2}"),
        true => units::three(ratio),
    }
}

/// Which is better, as far as that can be said.
fn judged(figure: &Figure, a: &Spread, b: &Spread) -> &'static str {
    if figure.better == Better::Neither {
        return "";
    }
    if a.value == b.value && a.least == a.most && b.least == b.most {
        return "same";
    }
    let apart = a.most < b.least || b.most < a.least;
    if !apart {
        return "within the spread";
    }
    let close = (a.value - b.value).abs() <= SAME_SHARE * a.value.abs().max(b.value.abs());
    if close && a.runs.min(b.runs) < 2 {
        return "same";
    }
    match (figure.better == Better::Higher) == (b.value > a.value) {
        true => "B",
        false => "A",
    }
}

/// Runs that failed, or say more about the tester.
fn verdicts(out: &mut Lines, a: &Report, b: &Report) {
    for (name, report) in [("A", a), ("B", b)] {
        let v = &report.verdict;
        let word = match v.answer {
            Answer::Passed if v.passed => "passed",
            Answer::Verified => "passed",
            Answer::NotValid => "NOT VALID",
            Answer::CutShort => "CUT SHORT",
            // Reports of earlier versions know no more than that.
            Answer::Failed | Answer::Passed => "FAILED",
        };
        out.words(&format!("{name} {word}"));
        for text in &v.failures {
            out.words(&format!("- {text}"));
        }
        for text in &v.tester_limits {
            out.words(&format!("- the tester was the limit: {text}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::layout::COLUMNS;
    use crate::load::report::{golden, sample};

    /// A faster broker on another kernel.
    fn faster() -> Report {
        let mut report = sample::ramp();
        report.machine.kernel = "Linux 6.18.0".to_owned();
        report.settings.insert("qos".to_owned(), "1".to_owned());
        report.settings.remove("size");
        for step in report.runs.iter_mut().flat_map(|r| &mut r.steps) {
            step.delivery_rate *= 1.25;
            step.verification.lost = 0;
            step.broker.as_mut().unwrap().busy = 0.6;
        }
        report
    }

    #[test]
    fn two_reports_stand_side_by_side() {
        let Comparison { text, other_loads } = compare(&sample::ramp(), &faster(), true);
        assert_eq!(other_loads, ["setting qos", "setting size"]);
        golden::check("compare.txt", &text);
        assert!(text.lines().all(|l| l.chars().count() <= COLUMNS), "{text}");
        let line = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap();
        assert!(line("delivered").contains("1.25") && line("delivered").ends_with("  B"));
        assert!(line("lost").ends_with("  B"));
        assert!(line("broker CPU  ").ends_with("0.83"));
        assert!(line("latency p99 ").ends_with("within the spread"));
        assert!(line("connections").ends_with("1.00"));
        for said in [
            "- kernel: Linux 6.12.0 | Linux 6.18.0",
            "- setting qos: 0 | 1",
            "- setting size: 512 | –",
        ] {
            assert!(text.contains(said), "{said}");
        }
    }

    #[test]
    fn reports_of_different_kinds_are_compared_where_they_can_be() {
        let Comparison { text, other_loads } =
            compare(&sample::steady(), &sample::connects(), false);
        golden::check("compare_kinds.txt", &text);
        assert!(
            other_loads.contains(&"workload".to_owned()),
            "{other_loads:?}"
        );
        assert!(text.contains("NOT COMPARABLE: the loads differ in workload"));
        assert!(!text.contains("better\n") && !text.contains("within the spread"));
        assert!(text.contains("- workload: fanout | connect"));
        assert!(text.contains("The spread between runs of A and B is not known"));
        let text = compare(&Report::default(), &Report::default(), false).text;
        assert!(text.contains("no figures to compare") && !text.contains("Differs"));
    }

    /// Another broker, machine or length of a run is what one compares; another load is not.
    #[test]
    fn only_another_load_is_not_comparable() {
        let mut other = sample::ramp();
        other.machine.kernel = "Linux 6.18.0".to_owned();
        other.broker.what = "mosquitto".to_owned();
        for (name, value) in [("host", "other"), ("duration", "99"), ("json", "b.json")] {
            other.settings.insert(name.to_owned(), value.to_owned());
        }
        let same = compare(&sample::ramp(), &other, false);
        assert!(same.other_loads.is_empty(), "{:?}", same.other_loads);
        assert!(same.text.contains("better") && !same.text.contains("COMPARABLE"));
        for name in ["publishers", "qos", "rate", "window", "connect-rate"] {
            let mut other = other.clone();
            other.settings.insert(name.to_owned(), "77".to_owned());
            let found = compare(&sample::ramp(), &other, false);
            assert_eq!(found.other_loads, [format!("setting {name}")]);
            assert!(found.text.contains("NOT COMPARABLE"));
        }
        let mut closed = other;
        closed.load_model = "closed loop".to_owned();
        let found = compare(&sample::ramp(), &closed, true);
        assert_eq!(found.other_loads, ["load model"]);
        assert!(found.text.contains("better"), "{}", found.text);
    }

    #[test]
    fn small_differences_of_single_runs_are_none() {
        let figure = super::super::figures::named("latency_p99_ns").unwrap();
        let of = |least: f64, value: f64, most: f64, runs| Spread {
            value,
            least,
            most,
            runs,
        };
        let single = |value: f64| of(value, value, value, 1);
        assert_eq!(judged(figure, &single(1000.0), &single(1009.0)), "same");
        assert_eq!(judged(figure, &single(1000.0), &single(1020.0)), "A");
        assert_eq!(
            judged(
                figure,
                &of(990.0, 1000.0, 1001.0, 3),
                &of(1002.0, 1003.0, 1009.0, 3)
            ),
            "A"
        );
        assert_eq!(
            judged(figure, &of(900.0, 1000.0, 1100.0, 3), &single(950.0)),
            "within the spread"
        );
        assert_eq!(judged(figure, &single(0.0), &single(0.0)), "same");
        assert_eq!(
            (ratio(0.0, 5.0), ratio(2.0, 5.0)),
            (String::new(), "2.50".to_owned())
        );
        assert_eq!(
            (ratio(1.0, 34_567.0), ratio(1000.0, 5.0)),
            ("34567".to_owned(), "0.005".to_owned())
        );
    }
}
