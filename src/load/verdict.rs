//! stub
use super::result::*;
pub fn violations(v: &Verification, _: u8, _: u8, _: bool, _: bool) -> Vec<String> {
    if v.lost > 0 {
        vec![format!("{} lost", v.lost)]
    } else {
        vec![]
    }
}
pub fn verdict(_: &Report) -> Verdict {
    Verdict {
        passed: true,
        ..Verdict::default()
    }
}
