//! The file: the published one to the byte, resuming, damage.

use std::fs;

use super::super::dat::{DatFile, HEADER, cells, parse, published, read, remaining};
use super::super::output::brief_row;
use super::{Scratch, cell_result, grid_of};

const LINE: &str =
    "1:2:0.028929:0.0:345.673891251:345.673891251:0.075784:0.001609:131.953974454:263.907948907";

#[test]
fn the_published_file_is_read_whole_and_written_again_to_the_byte() {
    let text = include_str!("../published-2017.dat");
    assert_eq!(text.lines().next(), Some(HEADER));
    let grid = parse(text).unwrap();
    assert_eq!((grid.rows().count(), grid.runs.len()), (579, 60));
    assert_eq!(grid, published());
    for line in text.lines().skip(1) {
        let one = parse(line).unwrap();
        let again: Vec<String> = one.rows().map(brief_row).collect();
        assert_eq!(again, [line]);
    }
}

#[test]
fn a_new_file_has_the_header_and_a_line_per_run() {
    let scratch = Scratch::new();
    let (mut dat, grid, half) = DatFile::resume(&scratch.dat()).unwrap();
    assert!(grid.runs.is_empty() && !half);
    let row = cell_result(2, 1, 1000).row();
    dat.append(&row).unwrap();
    drop(dat);
    let line = "2:1:0.001:0.0:10000.0:20000.0:0.001:0.0:10000.0:10000.0";
    assert_eq!(scratch.text(), format!("{HEADER}\n{line}\n"));

    let (mut dat, grid, half) = DatFile::resume(&scratch.dat()).unwrap();
    assert!((grid.runs_of((2, 1)), half) == (1, false));
    dat.append(&row).unwrap();
    assert_eq!(scratch.text(), format!("{HEADER}\n{line}\n{line}\n"));
}

/// Wherever a crash cuts the file, the whole lines before are kept and the file can be appended to.
#[test]
fn a_file_cut_anywhere_is_resumed() {
    let whole = format!("{HEADER}\n{LINE}\n{LINE}\n");
    let scratch = Scratch::new();
    for cut in 0..whole.len() {
        fs::write(scratch.dat(), &whole[..cut]).unwrap();
        let (mut dat, grid, half) = DatFile::resume(&scratch.dat()).unwrap();
        let kept = whole[..cut].matches('\n').count();
        assert_eq!(grid.rows().count(), kept.saturating_sub(1), "cut at {cut}");
        assert_eq!(
            half,
            cut > 0 && !whole[..cut].ends_with('\n'),
            "cut at {cut}"
        );
        dat.append(&cell_result(1, 1, 500).row()).unwrap();
        let runs = read(&scratch.dat()).unwrap().rows().count();
        assert_eq!(runs, kept.saturating_sub(1) + 1, "cut at {cut}");
        assert!(scratch.text().starts_with(HEADER), "cut at {cut}");
    }
}

#[test]
fn a_file_that_is_something_else_is_left_alone() {
    let scratch = Scratch::new();
    for other in ["# notes\nof mine", "notes", "\u{feff}", "1:2:3\n"] {
        fs::write(scratch.dat(), other).unwrap();
        assert!(DatFile::resume(&scratch.dat()).is_err(), "{other:?}");
        assert_eq!(scratch.text(), other);
    }
    fs::write(scratch.dat(), [0xff, b'\n']).unwrap();
    assert!(DatFile::resume(&scratch.dat()).is_err());
}

#[test]
fn a_bad_line_is_named() {
    for (bad, why) in [
        ("1:2:3", "3 fields, not 10"),
        ("1:2:nan:0:1:1:1:0:1:1", "\"nan\" is no duration"),
        ("1:2:-1:0:1:1:1:0:1:1", "\"-1\" is no duration"),
        ("0:2:1:0:1:1:1:0:1:1", "\"0\" is no number of clients"),
    ] {
        let error = parse(&format!("{HEADER}\n{LINE}\n{bad}\n")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("line 3 ") && text.contains(why), "{text}");
    }
    assert!(read("/nonexistent/a.dat".as_ref()).is_err());
}

#[test]
fn foreign_files_may_lack_header_and_last_end_of_line() {
    assert_eq!(parse(LINE).unwrap().rows().count(), 1);
    let windows = format!("{HEADER}\r\n{LINE}\r\n");
    assert_eq!(parse(&windows).unwrap().rows().count(), 1);
}

#[test]
fn the_square_is_whole_and_in_order() {
    let all = cells(1024);
    assert_eq!(all.len(), 121);
    assert_eq!(all[..3], [(1, 1), (1, 2), (1, 4)]);
    assert_eq!(all[11], (2, 1));
    assert_eq!(all.last(), Some(&(1024, 1024)));
    assert_eq!(cells(1), [(1, 1)]);
    assert_eq!(cells(3), [(1, 1), (1, 2), (2, 1), (2, 2)]);
    assert_eq!(cells(u32::MAX).len(), 32 * 32);
}

#[test]
fn what_remains_is_what_is_missing_pass_by_pass() {
    let row = |subs, pubs| cell_result(subs, pubs, 1000).row();
    let grid = grid_of(&[row(1, 1), row(1, 1), row(1, 2), row(3, 7)]);
    assert_eq!(
        remaining(&grid, 2, 2),
        [(2, 1), (2, 2), (1, 2), (2, 1), (2, 2)]
    );
    assert_eq!(remaining(&grid, 1, 2), []);
}

#[test]
fn runs_with_other_counts_are_noticed() {
    assert_eq!(published().other_counts(10, 10), None);
    let why = published().other_counts(20, 10).unwrap();
    assert!(why.contains("10 messages a subscriber, this run has 20"));
    let why = published().other_counts(10, 5).unwrap();
    assert!(why.contains("10 messages a publisher, this run has 5"));
}
