//! What was measured, and beside it the same with the fewest sessions.

use serde_json::{Value, json};

pub struct Row {
    case: String,
    metric: &'static str,
    unit: &'static str,
    /// Sorted.
    values: Vec<f64>,
    /// How many times the value of the same metric in the reference.
    ratio: Option<(f64, String)>,
}

impl Row {
    pub fn new(sessions: u32, metric: &'static str, unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { case: format!("{sessions} sessions"), metric, unit, values, ratio: None }
    }

    fn at(&self, part: f64) -> f64 {
        let last = self.values.len().saturating_sub(1);
        self.values.get((part * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub fn report(&self) -> Value {
        let (ratio, reference) = self.ratio.clone().unzip();
        json!({
            "suite": "core", "case": self.case, "metric": self.metric, "value": self.at(0.5), "unit": self.unit,
            "ratio": ratio, "reference": reference, "runs": self.values.len(), "p10": self.at(0.1), "p90": self.at(0.9),
        })
    }
}

/// Tells each row how its value is to that with the fewest sessions, which are measured first.
pub fn compare(rows: &mut [Row]) {
    for at in 0..rows.len() {
        let (before, rest) = rows.split_at_mut(at);
        let Some(row) = rest.first_mut() else { continue };
        let first = before.iter().find(|first| first.metric == row.metric);
        row.ratio = first.map(|first| (row.at(0.5) / first.at(0.5), first.case.clone()));
    }
}

pub fn print(rows: &[Row]) {
    println!("{:<18} {:<48} {:>14} {:>14} {:>6} {:>8}", "case", "metric", "median", "p90", "runs", "ratio");
    for row in rows {
        let (median, p90, runs) = (row.at(0.5), row.at(0.9), row.values.len());
        let ratio = row.ratio.as_ref().map_or_else(String::new, |(ratio, _)| format!("{ratio:.1}"));
        let Row { case, metric, unit, .. } = row;
        println!("{case:<18} {metric:<48} {median:>11.1} {unit:<2} {p90:>11.1} {unit:<2} {runs:>6} {ratio:>8}");
    }
}
