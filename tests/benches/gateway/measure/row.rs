//! What was measured, as a table for people and as an object for programs.

use serde_json::{Value, json};

/// One figure: the median of its runs.
#[derive(Clone, Debug)]
pub struct Row {
    case: String,
    contender: String,
    pattern: Option<&'static str>,
    size: Option<usize>,
    metric: &'static str,
    unit: &'static str,
    /// In the order in which they were measured.
    values: Vec<f64>,
    /// What the figure is compared with, and what that took in the same rounds.
    references: Vec<(String, Vec<f64>)>,
}

impl Row {
    /// A figure of Portcullis, compared with nothing yet.
    pub fn new(case: &str, metric: &'static str, unit: &'static str, values: Vec<f64>) -> Self {
        Self {
            case: case.to_owned(),
            contender: "Portcullis".to_owned(),
            pattern: None,
            size: None,
            metric,
            unit,
            values,
            references: Vec::new(),
        }
    }

    /// The same of another contender.
    pub fn of(mut self, contender: &str) -> Self {
        contender.clone_into(&mut self.contender);
        self
    }

    /// The same where keys come in this pattern.
    pub fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }

    /// The same with so many sessions, or entries.
    pub fn size(mut self, size: usize) -> Self {
        self.size = Some(size);
        self
    }

    /// Compared with another one of the same rounds. The first comparison is the one of the table.
    pub fn against(mut self, reference: &str, values: &[f64]) -> Self {
        self.references.push((reference.to_owned(), values.to_vec()));
        self
    }

    /// The ratio in each round, of which the median counts: what drifts hits both alike.
    fn ratio(&self, reference: &[f64]) -> f64 {
        median(self.values.iter().zip(reference).map(|(value, floor)| value / floor).collect())
    }

    /// The object.
    pub fn report(&self, suite: &str) -> Value {
        let Self { case, contender, pattern, size, metric, unit, values, references } = self;
        let sorted = sorted(values.clone());
        let ratios: serde_json::Map<String, Value> =
            references.iter().map(|(name, values)| (name.clone(), json!(self.ratio(values)))).collect();
        let first = references.first();
        json!({
            "suite": suite, "case": case, "contender": contender, "pattern": pattern, "size": size,
            "metric": metric, "unit": unit, "value": at(&sorted, 0.5),
            "ratio": first.map(|(_, values)| self.ratio(values)), "reference": first.map(|(name, _)| name),
            "ratios": ratios, "runs": values.len(),
            "p10": at(&sorted, 0.1), "p90": at(&sorted, 0.9), "p99": at(&sorted, 0.99),
            "max": at(&sorted, 1.0),
        })
    }

    fn cells(&self) -> Vec<String> {
        let sorted = sorted(self.values.clone());
        let [value, low, high] = [0.5, 0.1, 0.9].map(|part| figure(at(&sorted, part)));
        let ratios = self.references.iter().map(|(name, values)| format!("{:.2} × {name}", self.ratio(values)));
        vec![
            self.case.clone(),
            self.size.map(grouped).unwrap_or_default(),
            self.pattern.unwrap_or_default().to_owned(),
            self.contender.clone(),
            self.metric.to_owned(),
            format!("{value} {}", self.unit),
            format!("{low} – {high}"),
            ratios.collect::<Vec<_>>().join(", "),
        ]
    }
}

/// Prints a table.
pub fn print(suite: &str, rows: &[Row]) {
    let head = ["case", "of", "keys", "contender", "metric", "median", "p10 – p90", "compared"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(Row::cells));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    println!("\n{suite}");
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            1 | 5 | 6 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// The middle one.
pub fn median(values: Vec<f64>) -> f64 {
    at(&sorted(values), 0.5)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn at(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((part * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

/// With as many digits as mean something.
fn figure(value: f64) -> String {
    if value >= 100.0 { grouped(value.round() as usize) } else { format!("{value:.1}") }
}

/// With a comma before every three digits.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let pieces: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|piece| str::from_utf8(piece).ok()).collect();
    pieces.join(",")
}
