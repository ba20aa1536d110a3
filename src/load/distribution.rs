//! A histogram that can be written down: its percentiles for people and small tools, the whole of it for others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::limits;

/// Significant decimal digits: an error of at most 0.1 %.
pub const DIGITS: u8 = 3;

/// A distribution of nanoseconds (or of what the field's name says); all zeros and no `histogram` without values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    pub count: u64,
    pub min: u64,
    pub mean: f64,
    pub stddev: f64,
    pub p50: u64,
    pub p75: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub p9999: u64,
    pub max: u64,
    /// All of it: HdrHistogram V2, deflated, base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub histogram: String,
}

/// A histogram with the range and the precision of all histograms here; record with `saturating_record`.
pub fn new_histogram() -> Histogram<u64> {
    // Bounds and digits are constants that it takes.
    Histogram::new_with_max(limits::LOAD_VALUE_NS_MAX, DIGITS)
        .unwrap_or_else(|_| unreachable!("fixed bounds"))
}

/// HdrHistogram V2, deflated, base64.
fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // Writing to memory does not fail; without the whole there are still the percentiles.
    match V2DeflateSerializer::new().serialize(histogram, &mut bytes) {
        Ok(_) => BASE64.encode(&bytes),
        Err(_) => String::new(),
    }
}

/// A histogram without values, as the text that `Distribution::histogram` would hold.
pub fn empty_text() -> String {
    encode(&new_histogram())
}

impl Distribution {
    /// The distribution of a histogram.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Distribution::default();
        }
        Distribution {
            count: histogram.len(),
            min: histogram.min(),
            mean: histogram.mean(),
            stddev: histogram.stdev(),
            p50: histogram.value_at_quantile(0.5),
            p75: histogram.value_at_quantile(0.75),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            p9999: histogram.value_at_quantile(0.9999),
            max: histogram.max(),
            histogram: encode(histogram),
        }
    }

    /// The histogram that it is of; `None` for an empty one, and for a text that is no histogram.
    pub fn decode(&self) -> Option<Histogram<u64>> {
        let bytes = BASE64.decode(&self.histogram).ok()?;
        Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_holds_the_whole_histogram() {
        let mut histogram = new_histogram();
        for value in 1..=1000 {
            histogram.saturating_record(value * 1000);
        }
        histogram.saturating_record(u64::MAX);
        let distribution = Distribution::of(&histogram);
        assert_eq!((distribution.count, distribution.min), (1001, 1000));
        assert!(distribution.p50.abs_diff(501_000) <= 501);
        assert!(
            distribution.max.abs_diff(limits::LOAD_VALUE_NS_MAX)
                <= limits::LOAD_VALUE_NS_MAX / 1000
        );
        let text = serde_json::to_string(&distribution).unwrap();
        let read: Distribution = serde_json::from_str(&text).unwrap();
        assert_eq!(read.decode().unwrap(), histogram);
        // JSON keeps the shortest digits that give the same number.
        assert_eq!(read, distribution);
    }

    #[test]
    fn nothing_is_nothing_and_a_broken_text_is_no_histogram() {
        let empty = Distribution::of(&new_histogram());
        assert!(empty.is_empty() && empty.decode().is_none());
        for text in ["?", "AAAA", "HISTFAAA"] {
            let broken = Distribution {
                histogram: text.into(),
                ..Distribution::default()
            };
            assert!(broken.decode().is_none(), "{text}");
        }
    }
}
