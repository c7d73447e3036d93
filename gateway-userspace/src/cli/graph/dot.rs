//! The picture for Graphviz.

use super::{Edge, Node, Picture};
use crate::cli::output::plain;
use std::fmt::Write as _;

/// As a graph in DOT.
pub(in crate::cli) fn dot(picture: &Picture) -> String {
    let Picture { title, desc, columns, edges, notes } = picture;
    let mut text = String::from("digraph portcullis {\n");
    let caption: Vec<_> = [title, desc].into_iter().chain(notes).map(String::as_str).collect();
    let _ = writeln!(
        text,
        "  graph [rankdir=LR, ranksep=1.5, nodesep=0.2, labelloc=t, fontname=\"sans-serif\", label={}];",
        lines(&caption)
    );
    text.push_str("  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  edge [color=gray50];\n");
    for (at, (nodes, shape)) in columns.iter().zip(["box", "plaintext", "box"]).enumerate() {
        text.push_str("  { rank=same;\n");
        for (number, Node { label, below, tip, is_idle }) in nodes.iter().enumerate() {
            let parts: Vec<&str> =
                [label, below].into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
            let idle = if *is_idle { ", style=\"rounded,dashed\", fontcolor=gray40" } else { "" };
            let _ = writeln!(
                text,
                "    n{at}_{number} [shape={shape}, label={}, tooltip={}{idle}];",
                lines(&parts),
                lines(&[tip])
            );
        }
        text.push_str("  }\n");
    }
    for (at, edges) in edges.iter().enumerate() {
        for Edge { from, to, now } in edges {
            let open = if *now == 0 {
                String::new()
            } else {
                format!(" [penwidth=2.5, color=\"#0b5cad\", tooltip=\"{now} now\"]")
            };
            let _ = writeln!(text, "  n{at}_{from} -> n{}_{to}{open};", at + 1);
        }
    }
    text.push_str("}\n");
    text
}

/// Lines as a text in quotation marks.
fn lines(lines: &[&str]) -> String {
    let line = |line: &&str| plain(line).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", lines.iter().map(line).collect::<Vec<_>>().join("\\n"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::hostile;
    use super::*;

    #[test]
    fn names_stay_inside_their_quotation_marks() {
        let text = dot(&hostile());
        assert!(text.contains("label=\"<b>\\\"&\\\\\u{fffd}[2J\u{fffd}]]>\\n2 people\""), "{text}");
        let statements = |line: &str| line.replace("\\\\", "").replace("\\\"", "").matches('"').count() % 2;
        assert!(text.lines().all(|line| statements(line) == 0), "{text}");
        assert_eq!(text.matches(" -> ").count(), 2, "{text}");
    }
}
