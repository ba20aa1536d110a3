//! Numbers as people type them: rates, sizes, durations, lists.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::CpuList;

/// Something a second: `1000`, `50k`, `1.5M`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate(pub f64);

/// Seconds: `10`, `10s`, `500ms`, `2m`, `1h`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds(pub f64);

/// Bytes: `64`, `4k`, `1800M`, `2G` (powers of 1024).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// CPUs, like `0-3,6`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus(pub Vec<u16>);

/// The number at the start of a text, and the unit behind it.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let is_digit = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
    let end = text.find(|c| !is_digit(c)).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: f64 = digits.replace('_', "").parse().ok()?;
    number.is_finite().then_some((number, unit.trim()))
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is no rate a second; one is 1000, 50k or 1.5M");
        let (number, unit) = split(text).ok_or_else(error)?;
        let factor = match unit.trim_end_matches("/s") {
            "" => 1.0,
            "k" | "K" => 1e3,
            "m" | "M" => 1e6,
            _ => return Err(error()),
        };
        match number * factor {
            rate if rate > 0.0 => Ok(Rate(rate)),
            _ => Err(format!("{text:?}: a rate is above 0")),
        }
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is no duration; one is 10, 10s, 500ms or 2m");
        let (number, unit) = split(text).ok_or_else(error)?;
        let factor = match unit {
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(error()),
        };
        match number * factor {
            seconds if seconds <= 86_400.0 => Ok(Seconds(seconds)),
            _ => Err(format!("{text:?} is longer than a day")),
        }
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is no number of bytes; one is 64, 4k, 1800M or 2G");
        let (number, unit) = split(text).ok_or_else(error)?;
        let unit = unit.trim_end_matches("iB").trim_end_matches('B');
        if number < 1.0 {
            return Err(format!("{text:?} is no size that anything fits into"));
        }
        let power = match unit {
            "" => 0,
            "k" | "K" => 1,
            "m" | "M" => 2,
            "g" | "G" => 3,
            "t" | "T" => 4,
            _ => return Err(error()),
        };
        Ok(Bytes((number * 1024f64.powi(power)) as u64))
    }
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<CpuList>()
            .map(|list| Cpus(list.0))
            .map_err(str::to_owned)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus: Vec<String> = self.0.iter().map(u16::to_string).collect();
        f.write_str(&cpus.join(","))
    }
}

/// What a file may hold for a quantity: a number, or the text that would be typed.
#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Integer(i64),
    Float(f64),
    Text(String),
}

macro_rules! as_typed {
    ($($type:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = match Raw::deserialize(from)? {
                    Raw::Integer(number) => number.to_string(),
                    Raw::Float(number) => number.to_string(),
                    Raw::Text(text) => text,
                };
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}

as_typed!(Rate, Seconds, Bytes, Cpus);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_they_are_typed() {
        assert_eq!("50k".parse(), Ok(Rate(50_000.0)));
        assert_eq!("1.5M/s".parse(), Ok(Rate(1_500_000.0)));
        assert_eq!("1_000".parse(), Ok(Rate(1000.0)));
        assert_eq!("500ms".parse(), Ok(Seconds(0.5)));
        assert_eq!("2 m".parse(), Ok(Seconds(120.0)));
        assert_eq!("0".parse(), Ok(Seconds(0.0)));
        assert_eq!("64".parse(), Ok(Bytes(64)));
        assert_eq!("2G".parse(), Ok(Bytes(2 << 30)));
        assert_eq!("1800MiB".parse(), Ok(Bytes(1800 << 20)));
        assert_eq!("1T".parse(), Ok(Bytes(1 << 40)));
        assert_eq!("0-2,5".parse(), Ok(Cpus(vec![0, 1, 2, 5])));
    }

    #[test]
    fn what_is_none_says_what_one_is() {
        for text in ["", "x", "-1", "5 apples", "1e3", "."] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
            assert!(text.parse::<Seconds>().is_err(), "{text}");
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert!("0".parse::<Rate>().is_err() && "0G".parse::<Bytes>().is_err());
        assert!("25h".parse::<Seconds>().is_err());
        assert!("3-1".parse::<Cpus>().is_err());
    }
}
