//! The picture as SVG that stands for itself: in light and in dark, with a title for every node, and nothing that is loaded.

use super::{Node, Picture};
use crate::cli::markup::escaped;
use std::fmt::Write as _;

const WIDTH: usize = 1_120;
const NODE: usize = 280;
const HEIGHT: usize = 44;
const GAP: usize = 14;
const TOP: usize = 108;
const LEFT: [usize; 3] = [24, 420, 816];
/// Letters that have room in a node.
const LABEL: usize = 33;
const BELOW: usize = 40;

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --dim: #57606a; --back: #fff; --card: #f6f8fa; --line: #c4ccd4; --accent: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --dim: #9aa4af; --back: #0d1117; --card: #161b22; --line: #3d444d; --accent: #6cb6ff; } }
.back { fill: var(--back); } text { fill: var(--text); font: 14px system-ui, 'Segoe UI', 'Liberation Sans', sans-serif; }
.title { font-size: 20px; font-weight: 600; } .dim, .below, .head { fill: var(--dim); } .below { font-size: 11.5px; } .head { font-weight: 600; font-size: 13px; }
.node rect { fill: var(--card); stroke: var(--line); } .way rect { fill: var(--back); stroke: var(--line); } .way text { text-anchor: middle; }
.idle rect { fill: none; stroke-dasharray: 4 4; } .idle text { fill: var(--dim); }
path { fill: none; stroke: var(--line); stroke-width: 1.5; } path.now { stroke: var(--accent); stroke-width: 2.5; }
";

/// As SVG.
pub(in crate::cli) fn svg(picture: &Picture) -> String {
    let Picture { title, desc, columns, edges, notes } = picture;
    let longest = columns.iter().map(Vec::len).max().unwrap_or_default().max(1);
    let bottom = TOP + longest * (HEIGHT + GAP);
    let height = bottom + 34 + notes.len() * 20;
    let places: Vec<Vec<usize>> = columns.iter().map(|nodes| places(nodes.len(), longest)).collect();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
         aria-labelledby=\"title desc\">\n<title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"24\" y=\"38\">{}</text>\n<text class=\"dim\" x=\"24\" y=\"62\">{}</text>\n",
        escaped(title),
        escaped(&std::iter::once(desc).chain(notes).map(String::as_str).collect::<Vec<_>>().join(" ")),
        escaped(title),
        escaped(desc),
    );
    for (x, head) in LEFT.into_iter().zip(["People", "Permitted by", "Apps"]) {
        let _ = writeln!(text, "<text class=\"head\" x=\"{x}\" y=\"{}\">{head}</text>", TOP - 14);
    }
    for (at, edges) in edges.iter().enumerate() {
        let ends = places.get(at).zip(places.get(at + 1)).zip(LEFT.get(at).zip(LEFT.get(at + 1)));
        let Some(((from_y, to_y), (from_x, to_x))) = ends else { continue };
        // Those in use last: they are in front of the others.
        let (idle, open): (Vec<_>, Vec<_>) = edges.iter().partition(|edge| edge.now == 0);
        for edge in idle.into_iter().chain(open) {
            let Some((from, to)) = from_y.get(edge.from).zip(to_y.get(edge.to)) else { continue };
            let (x1, y1, x2, y2) = (from_x + NODE, from + HEIGHT / 2, *to_x, to + HEIGHT / 2);
            let middle = (x1 + x2) / 2;
            let now = if edge.now == 0 { String::new() } else { format!("<title>{} now</title>", edge.now) };
            let class = if edge.now == 0 { "" } else { " class=\"now\"" };
            let _ = writeln!(text, "<path{class} d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}\">{now}</path>");
        }
    }
    for (at, ((nodes, places), x)) in columns.iter().zip(&places).zip(LEFT).enumerate() {
        for (node, y) in nodes.iter().zip(places) {
            draw(&mut text, node, at == 1, x, *y);
        }
    }
    let _ = writeln!(
        text,
        "<path class=\"now\" d=\"M24 {}h36\"/><text class=\"dim\" x=\"70\" y=\"{}\">open now, to a session</text>",
        bottom + 8,
        bottom + 13
    );
    let _ = writeln!(
        text,
        "<path d=\"M270 {}h36\"/><text class=\"dim\" x=\"316\" y=\"{}\">permitted after a login with two factors</text>",
        bottom + 8,
        bottom + 13
    );
    for (at, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "<text class=\"dim\" x=\"24\" y=\"{}\">{}</text>", bottom + 38 + at * 20, escaped(note));
    }
    text.push_str("</svg>\n");
    text
}

/// Where the nodes of a column begin: in the middle of the longest.
fn places(count: usize, longest: usize) -> Vec<usize> {
    let begin = TOP + (longest - count.min(longest)) * (HEIGHT + GAP) / 2;
    (0..count).map(|at| begin + at * (HEIGHT + GAP)).collect()
}

fn draw(text: &mut String, node: &Node, is_way: bool, x: usize, y: usize) {
    let Node { label, below, tip, is_idle } = node;
    let class = match (is_way, is_idle) {
        (true, _) => "way",
        (false, true) => "node idle",
        (false, false) => "node",
    };
    let radius = if is_way { HEIGHT / 2 } else { 8 };
    let (x_text, y_text) = (if is_way { x + NODE / 2 } else { x + 14 }, if below.is_empty() { y + 27 } else { y + 19 });
    let _ = write!(
        text,
        "<g class=\"{class}\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{NODE}\" height=\"{HEIGHT}\" rx=\"{radius}\"/>\
         <text x=\"{x_text}\" y=\"{y_text}\">{}</text>",
        escaped(tip),
        escaped(&cut(label, LABEL))
    );
    if !below.is_empty() {
        let _ = write!(
            text,
            "<text class=\"below\" x=\"{x_text}\" y=\"{}\">{}</text>",
            y + 36,
            escaped(&cut(below, BELOW))
        );
    }
    text.push_str("</g>\n");
}

/// As much as has room; letters of East Asia are twice as wide.
fn cut(text: &str, most: usize) -> String {
    let (mut cut, mut width) = (String::new(), 0);
    for c in text.chars() {
        width += if c >= '\u{1100}' { 2 } else { 1 };
        if width > most {
            cut.push('…');
            return cut;
        }
        cut.push(c);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, hostile};
    use super::*;

    #[test]
    fn names_stay_text_and_nothing_is_loaded() {
        let text = svg(&hostile());
        assert!(text.contains("&lt;b&gt;&quot;&amp;\\\u{fffd}[2J\u{fffd}]]&gt;"), "{text}");
        assert!(!text.contains(HOSTILE) && !text.contains('\u{1b}') && !text.contains("<b>"), "{text}");
        for loaded in ["href", "url(", "@import", "<image", "<script"] {
            assert!(!text.contains(loaded), "{loaded}");
        }
        assert!(
            text.contains("role=\"img\"") && text.contains("<desc id=\"desc\">2 of 4 people reach 1 of 3 apps."),
            "{text}"
        );
        assert!(text.contains("class=\"now\""), "a session is open: {text}");
    }

    #[test]
    fn labels_are_as_long_as_there_is_room() {
        assert_eq!([cut("short", 5), cut("longer", 5), cut("日本語", 5)], ["short", "longe…", "日本…"]);
    }
}
