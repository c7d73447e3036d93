//! Shapes of the API as tables without frames: lists with a header, single things as names and values.

mod audit;
mod explain;
mod health;
mod record;
mod rows;

pub(super) use record::line;
pub(super) use rows::endpoint;

use super::output::plain;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use time::OffsetDateTime;

/// Something that is listed.
pub(super) trait Listed {
    /// The names of the columns.
    const HEADER: &'static [&'static str];

    /// The values of the columns.
    fn row(&self, now: OffsetDateTime) -> Vec<Value>;
}

/// Something that is shown by itself.
pub(super) trait Shown {
    /// Names and values.
    fn fields(&self, now: OffsetDateTime) -> Vec<(&'static str, Value)>;
}

/// A value in a table.
pub(super) enum Value {
    /// As it should be.
    Usual(String),
    /// Worth a look.
    Odd(String),
}

impl<T: ToString> From<T> for Value {
    fn from(value: T) -> Self {
        Self::Usual(value.to_string())
    }
}

/// A table of all, or that there are none.
pub(super) fn list<T: Listed>(items: &[T], now: OffsetDateTime, color: bool) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    let mut table = frameless();
    let title = |name: &&str| styled(Cell::new(name.to_uppercase()), color, |cell| cell.add_attribute(Attribute::Bold));
    table.set_header(T::HEADER.iter().map(title));
    for item in items {
        table.add_row(item.row(now).into_iter().map(|value| cell(value, color)));
    }
    finished(table)
}

/// A line for each field.
pub(super) fn show<T: Shown>(item: &T, now: OffsetDateTime, color: bool) -> String {
    let mut table = frameless();
    for (name, value) in item.fields(now) {
        let name = styled(Cell::new(name), color, |cell| cell.add_attribute(Attribute::Bold));
        table.add_row([name, cell(value, color)]);
    }
    finished(table)
}

fn frameless() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn finished(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn cell(value: Value, color: bool) -> Cell {
    match value {
        Value::Usual(text) => Cell::new(plain(&text)),
        Value::Odd(text) => styled(Cell::new(plain(&text)), color, |cell| cell.fg(Color::Yellow)),
    }
}

fn styled(cell: Cell, color: bool, style: impl FnOnce(Cell) -> Cell) -> Cell {
    if color { style(cell) } else { cell }
}

#[cfg(test)]
mod tests;
