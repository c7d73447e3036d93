//! What `/metrics` says, read from the text format of Prometheus: as much of it as the gateway writes.

use std::collections::BTreeMap;

/// A number, its name and its labels.
#[derive(Clone, PartialEq, Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// All numbers of a reading.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    /// Reads a text; lines that are none of the format are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self(lines.filter_map(sample).collect())
    }

    /// The numbers of one name, added up by the values of these labels, in one pass: there may be thousands of apps. A number
    /// without one of the labels is passed over.
    pub(super) fn by<const N: usize>(&self, name: &str, labels: [&str; N]) -> BTreeMap<[&str; N], f64> {
        let mut sums = BTreeMap::new();
        for sample in self.of(name, &[]) {
            if let Some(values) = sample.labels(labels) {
                *sums.entry(values).or_default() += sample.value;
            }
        }
        sums
    }

    /// The numbers of one name with these labels, added up; `None` if there is none.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.of(name, labels).map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    fn of<'s>(&'s self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &'s Sample> {
        let has = |sample: &Sample| labels.iter().all(|(label, value)| sample.label(label) == Some(*value));
        self.0.iter().filter(move |sample| sample.name == name && has(sample))
    }
}

impl Sample {
    fn label(&self, label: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| name == label).map(|(_, value)| value.as_str())
    }

    fn labels<const N: usize>(&self, labels: [&str; N]) -> Option<[&str; N]> {
        let mut values = [""; N];
        for (value, label) in values.iter_mut().zip(labels) {
            *value = self.label(label)?;
        }
        Some(values)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at_checked(end)?;
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, value) = rest.split_once("=\"")?;
            let (value, after) = quoted(value)?;
            labels.push((label.trim_start_matches(',').to_owned(), value));
            rest = after;
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// The text up to the quotation mark that ends it, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                c => value.push(c),
            },
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_name_and_labels_and_what_is_none_is_passed_over() {
        let samples = Samples::parse(
            "# HELP a b\n# TYPE a counter\na 3\nb{x=\"1\",y=\"q\\\"}\\\\\\n\"} 4\nb{x=\"2\"} 5.5\nb{x=\"3\" 7\nc{} 1e3\nd nothing\n{\n\n",
        );
        assert_eq!(
            [samples.sum("a", &[]), samples.sum("b", &[]), samples.sum("c", &[])],
            [Some(3.0), Some(9.5), Some(1e3)]
        );
        assert_eq!((samples.sum("b", &[("x", "2")]), samples.sum("d", &[])), (Some(5.5), None));
        assert_eq!(samples.by("b", ["y"]).into_iter().collect::<Vec<_>>(), [(["q\"}\\\n"], 4.0)]);
    }

    #[test]
    fn numbers_are_added_up_by_some_of_their_labels() {
        let samples =
            Samples::parse("a{x=\"1\",y=\"1\"} 1\na{x=\"1\",y=\"2\"} 2\na{x=\"2\",y=\"2\"} 4\na{y=\"2\"} 8\nb 16\n");
        let told = |sums: BTreeMap<[&str; 1], f64>| {
            sums.into_iter().map(|([x], sum)| format!("{x} {sum}")).collect::<Vec<_>>()
        };
        assert_eq!(told(samples.by("a", ["x"])), ["1 3", "2 4"]);
        assert_eq!(told(samples.by("a", ["y"])), ["1 1", "2 14"]);
        assert_eq!(samples.by("a", ["y", "x"]).len(), 3);
    }
}
