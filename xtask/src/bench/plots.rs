//! Plots of a run, as SVG: the cost of a packet against the number of sessions, and contenders side by side.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde_json::Value;

use super::rows::{figure, having, number, word};

/// A plot that was drawn.
pub struct Plot {
    /// What it is about.
    pub suite: &'static str,
    /// What it says.
    pub title: &'static str,
    /// Its file.
    pub file: &'static str,
}

const RANDOM: &str = "all, random";
const HOT: &str = "4,096 hot";
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(40, 44, 52);
const OWN: RGBColor = RGBColor(21, 101, 192);
const OTHERS: RGBColor = RGBColor(158, 163, 172);
const FAINT: RGBColor = RGBColor(225, 228, 233);

/// Draws what the rows have figures for.
pub fn draw(rows: &[Value], folder: &Path) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    let by_sessions = Plot {
        suite: "program",
        title: "Cost of a packet in the programs, by number of sessions",
        file: "cost-by-sessions.svg",
    };
    if lines(rows, &by_sessions, folder)? {
        plots.push(by_sessions);
    }
    let side_by_side = [
        ("forward: established", "Forwarding a packet, a million sessions or as many tuples as named", "forward.svg"),
        (
            "drop: no session",
            "Dropping a packet from nobody, a million sessions or as many tuples as named",
            "drop.svg",
        ),
    ];
    for (case, title, file) in side_by_side {
        let plot = Plot { suite: "veth", title, file };
        if bars(rows, case, &plot, folder)? {
            plots.push(plot);
        }
    }
    Ok(plots)
}

/// A line of the first plot: its name, colour, and points.
type Line = (String, RGBColor, Vec<(f64, f64)>);

fn lines(rows: &[Value], plot: &Plot, folder: &Path) -> Result<bool> {
    let line = |name: &str, colour, case, contender, pattern| -> Line {
        let words = [("suite", "program"), ("case", case), ("contender", contender), ("pattern", pattern)];
        let point = |row: &&Value| Some((number(row, "size")?, number(row, "value")?));
        (name.to_owned(), colour, having(rows, &words).iter().filter_map(point).collect())
    };
    let drawn: Vec<Line> = vec![
        line("new flow, all at random", RGBColor(183, 28, 28), "new flow", "Portcullis", RANDOM),
        line("no grant, all at random", RGBColor(230, 81, 0), "no grant", "Portcullis", RANDOM),
        line("established, all at random", OWN, "established", "Portcullis", RANDOM),
        line("no session, all at random", RGBColor(106, 27, 154), "no session", "Portcullis", RANDOM),
        line("established, one session", RGBColor(100, 181, 246), "established", "Portcullis", "one"),
        line("working probe, at random", RGBColor(130, 119, 23), "established", "working probe", RANDOM),
        line("bare probe, all at random", RGBColor(46, 125, 50), "established", "bare probe", RANDOM),
        line("null program", OTHERS, "established", "null program", RANDOM),
    ];
    let drawn: Vec<Line> = drawn.into_iter().filter(|(_, _, points)| points.len() > 1).collect();
    let Some(top) = drawn.iter().flat_map(|(_, _, points)| points).map(|(_, y)| *y).reduce(f64::max) else {
        return Ok(false);
    };
    let path = folder.join(plot.file);
    let area = SVGBackend::new(&path, (900, 480)).into_drawing_area();
    let area = titled(&area, plot.title)?;
    // Names stand where the lines end.
    let (graph, names) = area.split_horizontally(680);
    let (left, right) = (1e3, 1e6);
    let mut chart = ChartBuilder::on(&graph)
        .margin(10)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d((left..right).log_scale(), (10.0..top * 1.5).log_scale())
        .map_err(failed)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().light_line_style(WHITE).bold_line_style(FAINT).axis_style(INK);
    mesh.label_style((FONT, 14).into_font().color(&INK)).x_desc("sessions, flows and grants").y_desc("ns a packet");
    mesh.x_label_formatter(&|x| figure(*x)).y_label_formatter(&|y| format!("{y:.0}")).x_labels(4);
    mesh.draw().map_err(failed)?;
    for (name, colour, points) in &drawn {
        chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(3))).map_err(failed)?;
        let dots = points.iter().map(|point| Circle::new(*point, 4, colour.filled()));
        chart.draw_series(dots).map_err(failed)?;
        if let Some(last) = points.last() {
            let at = chart.backend_coord(last);
            let style = text(14, *colour).pos(Pos::new(HPos::Left, VPos::Center));
            names.draw(&Text::new(name.clone(), (0, at.1 - title_height()), style)).map_err(failed)?;
        }
    }
    area.present().map_err(failed)?;
    Ok(true)
}

fn bars(rows: &[Value], case: &str, plot: &Plot, folder: &Path) -> Result<bool> {
    let of = |pattern| having(rows, &[("suite", "veth"), ("case", case), ("pattern", pattern)]);
    let (random, hot) = (of(RANDOM), of(HOT));
    let Some(most) = random.iter().chain(&hot).filter_map(|row| number(row, "value")).reduce(f64::max) else {
        return Ok(false);
    };
    let (row_height, names_width, bars_width) = (46, 290, 480);
    let height = title_height() + row_height * i32::try_from(random.len())? + 40;
    let path = folder.join(plot.file);
    let area = SVGBackend::new(&path, (900, u32::try_from(height)?)).into_drawing_area();
    let area = titled(&area, plot.title)?;
    for (at, row) in (0..).zip(&random) {
        let name = word(row, "contender");
        let colour = if name.starts_with("Portcullis") { OWN } else { OTHERS };
        let middle = at * row_height + row_height / 2;
        let style = text(14, INK).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(name.to_owned(), (names_width - 10, middle), style)).map_err(failed)?;
        let same = hot.iter().find(|other| word(other, "contender") == name);
        for (value, from, colour) in [
            (number(row, "value"), middle - 17, colour.mix(1.0)),
            (same.and_then(|row| number(row, "value")), middle + 1, colour.mix(0.5)),
        ] {
            let Some(value) = value else { continue };
            let length = (value / most * f64::from(bars_width)).round() as i32;
            let bar = Rectangle::new([(names_width, from), (names_width + length, from + 16)], colour.filled());
            area.draw(&bar).map_err(failed)?;
            let style = text(13, INK).pos(Pos::new(HPos::Left, VPos::Center));
            let place = (names_width + length + 6, from + 8);
            area.draw(&Text::new(figure(value) + " ns", place, style)).map_err(failed)?;
        }
    }
    let legend = "full: all keys at random; pale: 4,096 hot keys. Nanoseconds a packet, its making included.";
    let below = (names_width, row_height * i32::try_from(random.len())? + 14);
    let style = text(13, INK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(legend, below, style)).map_err(failed)?;
    area.present().map_err(failed)?;
    Ok(true)
}

/// An area with a title; what is left of it.
fn titled<'a>(area: &DrawingArea<SVGBackend<'a>, Shift>, title: &str) -> Result<DrawingArea<SVGBackend<'a>, Shift>> {
    area.fill(&WHITE).map_err(failed)?;
    let (head, rest) = area.split_vertically(title_height());
    head.draw(&Text::new(title.to_owned(), (20, 12), text(18, INK))).map_err(failed)?;
    Ok(rest)
}

const fn title_height() -> i32 {
    44
}

fn text(size: u32, colour: RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(&colour)
}

/// The backend's errors are not ours to take apart.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::draw;
    use serde_json::json;
    use std::fs;

    #[test]
    fn a_plot_is_drawn_for_what_there_are_figures_of_and_for_nothing_else() {
        let folder = std::env::temp_dir().join(format!("portcullis-plots-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let row = |suite, case, contender, size, value| {
            let pattern = "all, random";
            json!({ "suite": suite, "case": case, "contender": contender, "pattern": pattern, "size": size, "value": value })
        };
        let rows = [
            row("program", "established", "Portcullis", 1_000, 300.0),
            row("program", "established", "Portcullis", 1_000_000, 1_200.0),
            row("veth", "forward: established", "Portcullis, kernel forwarding", 1_000_000, 2_300.0),
            row("veth", "forward: established", "nftables", 1_000_000, 1_500.0),
        ];
        let plots = draw(&rows, &folder).unwrap();
        assert_eq!(plots.iter().map(|plot| plot.file).collect::<Vec<_>>(), ["cost-by-sessions.svg", "forward.svg"]);
        for plot in &plots {
            let drawn = fs::read_to_string(folder.join(plot.file)).unwrap();
            assert!(
                drawn.starts_with("<svg") && drawn.contains("Portcullis") | drawn.contains("established"),
                "{drawn}"
            );
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
