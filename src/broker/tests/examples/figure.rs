//! A figure: a line with its kind and its help. Nothing else has to know of it.

use crate::broker::counters::counters;
use crate::figure::{Figure, Kind};

counters! {
    /// Examples that were shown.
    counter examples_shown,
    /// Examples that are on show.
    level examples,
}

#[test]
fn a_figure_is_a_line() {
    let mut counters = Counters::default();
    counters.examples_shown += 3;
    counters.examples = 2;
    let shown = Counters::FIGURES.iter().zip(counters.values());
    let shown: Vec<_> = shown
        .map(|(figure, value)| (figure.name, figure.kind, figure.help, value))
        .collect();
    let expected = [
        (
            "examples_shown",
            Kind::Counter,
            "Examples that were shown.",
            3,
        ),
        ("examples", Kind::Level, "Examples that are on show.", 2),
    ];
    assert_eq!(shown, expected);
    assert_eq!(Counters::from_values([3, 2]), counters);
    assert_eq!(Counters::COUNT, 2);
}
