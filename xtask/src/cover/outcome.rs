//! What a search has come to, from what libFuzzer has said.

use std::{fmt, fs, path::PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

/// Bytes of an input that are printed.
const MOST_PRINTED: usize = 512;

/// What a search in one target has come to.
pub struct Outcome {
    name: String,
    executions: u64,
    /// Edges that the corpus reaches.
    edges: u64,
    /// Committed inputs, and their bytes.
    corpus: (usize, u64),
    /// Inputs on which the target did not hold, and what it said.
    pub crashes: Vec<PathBuf>,
    said: Vec<String>,
}

impl Outcome {
    /// What a search in the target of this name has said, and the committed inputs.
    pub fn new(name: &str, lines: &[String], corpus: &[PathBuf]) -> Result<Self> {
        let crashes = crashes(lines);
        let sizes: Vec<u64> = corpus.iter().map(|path| Ok(fs::metadata(path)?.len())).collect::<Result<_>>()?;
        let from = lines.iter().position(|line| line.contains("panicked at") || line.starts_with("==")).unwrap_or(0);
        let is_loud = !crashes.is_empty();
        let said = lines[from..].iter().take(if is_loud { 3 } else { 0 }).cloned().collect();
        Ok(Self {
            name: name.to_owned(),
            executions: executions(lines),
            edges: edges(lines),
            corpus: (sizes.len(), sizes.iter().sum()),
            crashes,
            said,
        })
    }

    /// Tells how it did not hold, and how to see it again.
    pub fn explain(&self) {
        for line in &self.said {
            println!("  {line}");
        }
        for path in &self.crashes {
            let input = fs::read(path).unwrap_or_default();
            let hex: String = input.iter().take(MOST_PRINTED).map(|byte| format!("{byte:02x}")).collect();
            let more = if input.len() > MOST_PRINTED { "…" } else { "" };
            println!("{} does not hold on {} bytes: {hex}{more}", self.name, input.len());
            println!("  again: cp {} tests/fuzz/corpus/{}/", path.display(), self.name);
            println!("         cargo test --package gateway-fuzz --test replay {}", self.name);
        }
    }

    pub fn json(&self) -> Value {
        let Self { name, executions, edges, corpus: (inputs, bytes), crashes, said: _ } = self;
        json!({
            "target": name, "executions": executions, "edges": edges, "inputs": inputs, "bytes": bytes,
            "crashes": crashes.len(),
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, edges, corpus: (inputs, bytes), crashes, .. } = self;
        write!(f, "{executions} executions, {edges} edges, corpus of {inputs} inputs in {bytes} bytes, ")?;
        write!(f, "{} crashes", crashes.len())
    }
}

/// `stat::number_of_executed_units: 1234`, or else the number of the last line that has one.
fn executions(lines: &[String]) -> u64 {
    let stat = lines.iter().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let last = || lines.iter().rev().find_map(|line| line.strip_prefix('#')?.split_whitespace().next());
    stat.or_else(last).and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// `… Test unit written to /…/crash-0a58…`: a crash, a timeout, or too much memory.
fn crashes(lines: &[String]) -> Vec<PathBuf> {
    let of = |line: &String| Some(PathBuf::from(line.split_once("Test unit written to ")?.1.trim()));
    lines.iter().filter_map(of).filter(|path| !path.to_string_lossy().contains("/slow-unit-")).collect()
}

/// `#1234 DONE   cov: 567 ft: 890 …`
fn edges(lines: &[String]) -> u64 {
    let of = |line: &String| line.split_once(" cov: ")?.1.split_whitespace().next()?.parse().ok();
    lines.iter().rev().find_map(of).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_last_line_that_has_them() {
        let mut lines = ["#2\tINITED cov: 5 ft: 6 corp: 1/1b", "#71\tNEW    cov: 12 ft: 20", "==1== ERROR"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!((executions(&lines), edges(&lines)), (71, 12));
        lines.push("artifact_prefix='/x/'; Test unit written to /x/crash-0a58".to_owned());
        lines.push("artifact_prefix='/x/'; Test unit written to /x/slow-unit-0a58".to_owned());
        assert_eq!(crashes(&lines), [PathBuf::from("/x/crash-0a58")]);
        lines.push("stat::number_of_executed_units: 99".to_owned());
        assert_eq!((executions(&lines), edges(&lines)), (99, 12));
        assert_eq!((executions(&[]), edges(&[])), (0, 0));
    }
}
