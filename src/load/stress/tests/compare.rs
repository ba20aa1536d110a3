//! Medians, ratios and the question about the largest cell.

use super::super::compare::{Best, Comparison, cells};
use super::super::dat::{Grid, published};
use super::{cell_result, grid_of};

#[test]
fn a_cell_is_the_median_of_its_runs() {
    let rows = [3000, 1000, 2000].map(|us| cell_result(2, 1, us).row());
    let medians = cells(&grid_of(&rows));
    assert_eq!(medians.len(), 1);
    let median = &medians[0];
    assert_eq!(
        (median.subscribers, median.publishers, median.runs),
        (2, 1, 3)
    );
    assert_eq!((median.sub_duration, median.pub_duration), (0.002, 0.002));
    assert_eq!((median.sub_total, median.pub_total), (10_000.0, 5_000.0));
    let medians = cells(&grid_of(&rows[..2]));
    assert_eq!(medians[0].sub_duration, 0.002);
    assert!((medians[0].pub_total - (10_000.0 + 10_000.0 / 3.0) / 2.0).abs() < 1e-6);
}

#[test]
fn the_best_published_runs_are_found() {
    let comparison = Comparison::of(&Grid::default(), &published());
    assert_eq!(
        comparison.best_sub,
        Some(Best {
            total: 72905.39386,
            pair: (16, 32)
        })
    );
    assert_eq!(
        comparison.best_pub,
        Some(Best {
            total: 718.421036042,
            pair: (1, 1024)
        })
    );
    assert_eq!(
        (comparison.published_runs, comparison.above_all()),
        (579, None)
    );
    assert!(comparison.text().contains("No run of 1024 x 1024"));
}

#[test]
fn the_lowest_run_of_the_largest_cell_decides() {
    // 10,240 messages in 0.1 s are 102,400 a second, in 0.2 s they are 51,200.
    let fast = cell_result(1024, 1024, 100_000).row();
    let slow = cell_result(1024, 1024, 200_000).row();
    let comparison = Comparison::of(&grid_of(&[fast, fast]), &published());
    assert_eq!(comparison.above_all(), Some(true));
    let comparison = Comparison::of(&grid_of(&[fast, slow, fast]), &published());
    assert_eq!(comparison.above_all(), Some(false));
    let top = comparison.top.unwrap();
    assert!(!top.sub_above && top.pub_above && top.runs == 3);
}

#[test]
fn the_table_shows_ratios_where_there_are_two_sides() {
    let ours = grid_of(&[
        cell_result(1, 2, 1000).row(),
        cell_result(1024, 1024, 100_000).row(),
    ]);
    let comparison = Comparison::of(&ours, &published());
    assert_eq!(comparison.cells[1].sub_ratio, None);
    let text = comparison.text();
    let expected = "
  subs   pubs     runs |         ours    published     ratio |         ours    published     ratio
     1      2     1/11 |       10,000          363     27.5x |       20,000          284     70.3x
  1024   1024      1/0 |      102,400            -         - |      102,400            -         -

Best of 579 published runs: subscribers 72,905 msg/s (16 x 32), publishers 718 msg/s (1 x 1024).
Ours at 1024 x 1024, lowest of 1 run: subscribers 102,400 msg/s, above every one of them; publishers 102,400 msg/s, \
above every one of them.
";
    assert!(text.ends_with(expected), "{text}");
    assert!(text.lines().all(|line| line.len() <= 160));
}

#[test]
fn without_published_runs_there_is_no_answer() {
    let ours = grid_of(&[cell_result(1024, 1024, 100_000).row()]);
    let comparison = Comparison::of(&ours, &Grid::default());
    assert_eq!(comparison.above_all(), None);
    assert!(comparison.text().contains("No published runs"));
}
