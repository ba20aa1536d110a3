//! Percent-encoding (RFC 3986, 2.1) of a path and of what stands behind the `?`: read in this one way, whatever it names.

use std::fmt;

/// Why a text names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A `%` without two hexadecimal digits behind it.
    Percent,
    /// What it stands for is no UTF-8.
    Utf8,
    /// U+0000, which is in no path, and in no name of MQTT (MQTT-1.5.4-2).
    Nul,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Percent => "A % in what is asked for is not followed by two hexadecimal digits.",
            Fault::Utf8 => "What is asked for is no UTF-8.",
            Fault::Nul => "There is a NUL in what is asked for, which is in no name.",
        })
    }
}

/// What a text stands for. `+` is a plus: topic filters have it.
///
/// # Errors
/// It stands for nothing.
pub(crate) fn decoded(text: &str) -> Result<String, Fault> {
    let mut bytes = text.bytes();
    let mut all = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
                let (high, low) = digit().zip(digit()).ok_or(Fault::Percent)?;
                (16 * high + low) as u8
            }
            byte => byte,
        };
        if byte == 0 {
            return Err(Fault::Nul);
        }
        all.push(byte);
    }
    String::from_utf8(all).map_err(|_| Fault::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        for (text, meant) in [
            ("", ""),
            ("/a+b", "/a+b"),
            ("%2B%2f%41", "+/A"),
            ("%E2%82%AC", "\u{20ac}"),
        ] {
            assert_eq!(decoded(text).as_deref(), Ok(meant));
        }
    }

    #[test]
    fn what_stands_for_nothing_is_told() {
        for (text, fault) in [
            ("%", Fault::Percent),
            ("%4", Fault::Percent),
            ("%zz", Fault::Percent),
            ("%+1", Fault::Percent),
            ("%FF", Fault::Utf8),
            // Overlong: a `/` in two bytes.
            ("%C0%AF", Fault::Utf8),
            ("%ED%A0%80", Fault::Utf8),
            ("a%00b", Fault::Nul),
        ] {
            assert_eq!(decoded(text), Err(fault), "{text}");
        }
    }
}
