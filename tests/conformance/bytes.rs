//! The language of byte lines: `bytes 30 [ "topic" 'payload' ]`.
//!
//! Hex digits are bytes; `??` is any byte; `"text"` is a string with its length in two bytes in front; `'text'` is
//! the bare text; `[ ... ]` has its length as a variable byte integer in front; `( ... )*N` repeats. In quotes,
//! `\xNN` is a byte.

type Pattern = Vec<Option<u8>>;

/// The bytes that a line describes; `None` is any byte.
pub fn parse(text: &str) -> Result<Pattern, String> {
    let mut rest = text;
    let pattern = sequence(&mut rest, None)?;
    if rest.is_empty() {
        Ok(pattern)
    } else {
        Err(format!("unexpected: {rest}"))
    }
}

fn sequence(rest: &mut &str, end: Option<char>) -> Result<Pattern, String> {
    let mut out = Pattern::new();
    loop {
        *rest = rest.trim_start();
        let Some(c) = rest.chars().next() else {
            return if end.is_none() {
                Ok(out)
            } else {
                Err("a bracket is not closed".into())
            };
        };
        if Some(c) == end {
            *rest = &rest[1..];
            return Ok(out);
        }
        match c {
            '[' => {
                *rest = &rest[1..];
                let inner = sequence(rest, Some(']'))?;
                let mut len = Vec::new();
                crate::support::mqtt::put_varint(&mut len, inner.len());
                out.extend(len.into_iter().map(Some));
                out.extend(inner);
            }
            '(' => {
                *rest = &rest[1..];
                let inner = sequence(rest, Some(')'))?;
                let after = rest.strip_prefix('*').ok_or("( ) needs *N behind it")?;
                let digits = after
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(after.len());
                let count: usize = after[..digits].parse().map_err(|e| format!("{e}"))?;
                *rest = &after[digits..];
                for _ in 0..count {
                    out.extend_from_slice(&inner);
                }
            }
            '"' | '\'' => {
                let (text, after) = quoted(&rest[1..], c)?;
                *rest = after;
                if c == '"' {
                    out.extend((text.len() as u16).to_be_bytes().map(Some));
                }
                out.extend(text.into_iter().map(Some));
            }
            '?' => {
                *rest = rest.strip_prefix("??").ok_or("any byte is ??")?;
                out.push(None);
            }
            _ => {
                let digits = rest
                    .find(|c: char| !c.is_ascii_hexdigit())
                    .unwrap_or(rest.len());
                if digits == 0 {
                    return Err(format!("unexpected: {rest}"));
                }
                out.extend(hex(&rest[..digits])?.into_iter().map(Some));
                *rest = &rest[digits..];
            }
        }
    }
}

/// Text up to the closing quote, and what follows it.
pub fn quoted(text: &str, quote: char) -> Result<(Vec<u8>, &str), String> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let c = rest.chars().next().ok_or("a quote is not closed")?;
        rest = &rest[c.len_utf8()..];
        if c == quote {
            return Ok((out, rest));
        }
        if c == '\\' {
            let digits = rest
                .strip_prefix('x')
                .and_then(|r| r.get(..2))
                .ok_or("a backslash is \\xNN")?;
            out.extend(hex(digits)?);
            rest = &rest[3..];
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Bytes from hex digits.
pub fn hex(digits: &str) -> Result<Vec<u8>, String> {
    if !digits.len().is_multiple_of(2) {
        return Err(format!("an odd number of hex digits: {digits}"));
    }
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).map_err(|e| e.to_string()))
        .collect()
}
