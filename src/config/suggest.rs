//! The option that was probably meant by a name that nobody knows.

/// The candidate with the fewest slips from `name`, if those are few for its length.
pub(super) fn nearest(
    name: &str,
    candidates: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let slips_max = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|candidate| (slips(name, candidate), candidate))
        .filter(|&(slips, _)| slips <= slips_max)
        .min_by_key(|&(slips, _)| slips)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two names (optimal string alignment), upper
/// and lower case taken as the same.
fn slips(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().flat_map(char::to_lowercase).collect();
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, &here) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &there) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(here != there);
            let mut least = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            let swapped = row > 0 && column > 0 && from[row - 1] == there && to[column - 1] == here;
            if swapped {
                least = least.min(before[column - 1] + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[to.len()]
}
