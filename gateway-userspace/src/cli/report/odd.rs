//! Who stands out from the others: by median and MAD, which a few large numbers do not move.

use serde::Serialize;

/// With fewer people there is nobody to be compared with.
pub(super) const FEWEST: usize = 5;
/// How many scaled MADs above the median is still usual.
pub(super) const FAR: f64 = 5.0;
/// What makes the MAD of a normal distribution its standard deviation.
pub(super) const SCALE: f64 = 1.4826;

/// What is usual among people, and who is above it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(in crate::cli) struct Odd {
    /// How many people were compared.
    pub(in crate::cli) people: usize,
    /// The median.
    pub(in crate::cli) median: u64,
    /// What is still usual; absent if there are too few to compare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) usual_up_to: Option<u64>,
    /// Those above it, the most first.
    pub(in crate::cli) above: Vec<(String, u64)>,
}

/// Looks for those far above the others. Nobody is who has no more than `floor`, or than twice the median.
pub(super) fn odd(mut people: Vec<(String, u64)>, floor: u64) -> Odd {
    let mut values: Vec<u64> = people.iter().map(|(_, value)| *value).collect();
    let median = median(&mut values);
    if people.len() < FEWEST {
        return Odd { people: people.len(), median, usual_up_to: None, above: Vec::new() };
    }
    let mut distances: Vec<u64> = values.iter().map(|value| value.abs_diff(median)).collect();
    let spread = self::median(&mut distances) as f64 * SCALE * FAR;
    // Saturates.
    let usual = median.saturating_add(spread as u64).max(median.saturating_mul(2)).max(floor);
    let compared = people.len();
    people.retain(|(_, value)| *value > usual);
    people.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
    Odd { people: compared, median, usual_up_to: Some(usual), above: people }
}

/// The one in the middle, or the lower of two.
fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(values: &[u64]) -> Vec<(String, u64)> {
        values.iter().enumerate().map(|(number, value)| (format!("u{number}"), *value)).collect()
    }

    #[test]
    fn whoever_is_far_above_the_others_stands_out_and_nobody_else_does() {
        let found = odd(people(&[10, 12, 9, 11, 10, 900]), 5);
        assert_eq!((found.median, found.usual_up_to), (10, Some(20)));
        assert_eq!(found.above, [("u5".to_owned(), 900)]);
        let alike = odd(people(&[100; 8]), 5);
        assert_eq!((alike.usual_up_to, alike.above.len()), (Some(200), 0));
        let wide = odd(people(&[0, 100, 200, 300, 400, 900]), 5);
        assert!(wide.above.is_empty(), "{wide:?}");
    }

    #[test]
    fn nobody_stands_out_below_the_floor_or_among_too_few() {
        assert!(odd(people(&[0, 0, 0, 0, 0, 19]), 20).above.is_empty());
        let few = odd(people(&[1, 1, 1_000_000]), 20);
        assert_eq!((few.usual_up_to, few.people, few.above.len()), (None, 3, 0));
        assert!(odd(people(&[0, 0, 0, 0, u64::MAX]), 20).above.len() == 1);
    }
}
