//! The screen: what is chosen and shown, and how it is drawn. It knows no terminal and no gateway.

use super::rates::{Interface, Rates};
use super::words::{Rows, apps, denials, drops, ends, interfaces};
use crate::cli::output::plain;
use crate::cli::sentence::moment;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Table};
use std::cell;
use std::collections::{BTreeMap, VecDeque};

/// How much of the past is kept of an interface.
const PAST: usize = 120;
/// Smaller terminals show a sentence.
const SMALLEST: (u16, u16) = (30, 6);
/// From this on all tables are shown at once.
const LARGE: (u16, u16) = (100, 24);
const HELP: &str = "q, Esc    quit\np         pause, and go on\ns         sort by rate, or by name\n\
                    ← → Tab   choose a table\n↑ ↓       scroll it\n? h       this help";

/// What was typed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cli) enum Key {
    Pause,
    Sort,
    Help,
    Next,
    Previous,
    Up,
    Down,
}

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Panel {
    Interfaces,
    Apps,
    Drops,
    Denials,
    Ends,
}

impl Panel {
    const ALL: [Self; 5] = [Self::Interfaces, Self::Apps, Self::Drops, Self::Denials, Self::Ends];
}

/// What is shown.
pub(in crate::cli) struct Screen {
    /// Whom it is about.
    gateway: String,
    color: bool,
    rates: Option<Rates>,
    past: BTreeMap<String, VecDeque<f64>>,
    problem: Option<String>,
    chosen: usize,
    scrolled: usize,
    /// How far the chosen table can be scrolled, as it was drawn last.
    furthest: cell::Cell<usize>,
    is_paused: bool,
    by_name: bool,
    is_help: bool,
}

impl Screen {
    pub(in crate::cli) fn new(gateway: &str, color: bool) -> Self {
        Self {
            gateway: plain(gateway),
            color,
            rates: None,
            past: BTreeMap::new(),
            problem: None,
            chosen: 0,
            scrolled: 0,
            furthest: cell::Cell::new(0),
            is_paused: false,
            by_name: false,
            is_help: false,
        }
    }

    /// Whether nothing new is to be shown.
    pub(in crate::cli) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Shows this from now on.
    pub(in crate::cli) fn learn(&mut self, rates: Rates) {
        self.problem = None;
        for one in &rates.interfaces {
            let past = self.past.entry(one.name.clone()).or_default();
            past.push_back(one.forwarded);
            if past.len() > PAST {
                past.pop_front();
            }
        }
        self.past.retain(|name, _| rates.interfaces.iter().any(|one| one.name == *name));
        self.rates = Some(rates);
    }

    /// Shows why there is nothing new.
    pub(in crate::cli) fn trouble(&mut self, problem: &str) {
        self.problem = Some(plain(problem));
    }

    /// Does what was typed.
    pub(in crate::cli) fn press(&mut self, key: Key) {
        let last = Panel::ALL.len() - 1;
        match key {
            Key::Pause => self.is_paused = !self.is_paused,
            Key::Sort => self.by_name = !self.by_name,
            Key::Help => self.is_help = !self.is_help,
            Key::Next => (self.chosen, self.scrolled) = (if self.chosen == last { 0 } else { self.chosen + 1 }, 0),
            Key::Previous => (self.chosen, self.scrolled) = (self.chosen.checked_sub(1).unwrap_or(last), 0),
            // It may have become shorter since it was scrolled.
            Key::Up => self.scrolled = self.scrolled.min(self.furthest.get()).saturating_sub(1),
            Key::Down => self.scrolled = self.scrolled.saturating_add(1).min(self.furthest.get()),
        }
    }

    /// Draws it, as the size of the terminal permits.
    pub(in crate::cli) fn draw(&self, frame: &mut Frame) {
        self.furthest.set(0);
        let area = frame.area();
        if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
            frame.render_widget(Paragraph::new("too small: q quits"), area);
            return;
        }
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(area);
        frame.render_widget(self.head(), head);
        frame.render_widget(self.foot(), foot);
        match &self.rates {
            None => frame.render_widget(Paragraph::new("two readings make a rate: in a moment"), body),
            Some(rates) if area.width >= LARGE.0 && area.height >= LARGE.1 => self.draw_all(frame, body, rates),
            Some(rates) => self.draw_one(frame, body, self.panel(), rates),
        }
        if self.is_help {
            self.draw_help(frame, area);
        }
    }

    fn panel(&self) -> Panel {
        Panel::ALL.get(self.chosen).copied().unwrap_or(Panel::Interfaces)
    }

    fn head(&self) -> Line<'_> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut parts = vec![Span::styled("portcullis", bold), Span::raw(format!(" {}", self.gateway))];
        if let Some(rates) = &self.rates {
            let Rates { at, sessions, flows, .. } = rates;
            parts.push(Span::raw(format!("  {}  sessions {sessions}  flows {flows}", moment(*at))));
        }
        if self.is_paused {
            parts.push(Span::styled("  paused", self.odd()));
        }
        if let Some(problem) = &self.problem {
            parts.push(Span::styled(format!("  {problem}"), self.odd()));
        }
        Line::from(parts)
    }

    fn foot(&self) -> Line<'_> {
        let sort = if self.by_name { "name" } else { "rate" };
        Line::from(format!("q quit  p pause  s sorted by {sort}  ←→ table  ↑↓ scroll  ? help"))
            .style(Style::new().add_modifier(Modifier::DIM))
    }

    fn draw_all(&self, frame: &mut Frame, area: Rect, rates: &Rates) {
        let few = u16::try_from(rates.interfaces.len()).unwrap_or(u16::MAX).saturating_add(3).min(area.height / 4);
        let rows = [Constraint::Length(few.max(4)), Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(1)];
        let [top, middle, denials, ends] = Layout::vertical(rows).areas(area);
        let [apps, drops] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(middle);
        for (panel, area) in Panel::ALL.into_iter().zip([top, apps, drops, denials, ends]) {
            self.draw_one(frame, area, panel, rates);
        }
    }

    fn draw_one(&self, frame: &mut Frame, area: Rect, panel: Panel, rates: &Rates) {
        let Rows { title, head, numbers, rows, none } = self.rows(panel, rates);
        let is_chosen = self.panel() == panel;
        let mut block = Block::bordered().title(if is_chosen { format!("▸ {title} ") } else { format!(" {title} ") });
        if is_chosen {
            block = block.border_style(self.strong());
        }
        if rows.is_empty() {
            frame.render_widget(Paragraph::new(none).block(block), area);
            return;
        }
        let widths: Vec<usize> = (0..head.len())
            .map(|at| {
                let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
                cells.chain(head.get(at).map(|title| title.chars().count())).max().unwrap_or_default()
            })
            .collect();
        let cell = |(at, text): (usize, String)| {
            let text = Text::from(text);
            Cell::from(if numbers.contains(&at) { text.alignment(Alignment::Right) } else { text })
        };
        let title = |title: &&str| (*title).to_owned();
        let head =
            Row::new(head.iter().map(title).enumerate().map(cell)).style(Style::new().add_modifier(Modifier::BOLD));
        let room = usize::from(area.height.saturating_sub(3));
        let furthest = rows.len().saturating_sub(room);
        if is_chosen {
            self.furthest.set(furthest);
        }
        let scrolled = if is_chosen { self.scrolled.min(furthest) } else { 0 };
        let rows = rows.into_iter().skip(scrolled).map(|row| Row::new(row.into_iter().enumerate().map(cell)));
        let last = widths.len().saturating_sub(1);
        let width = |(at, width): (usize, usize)| match panel {
            Panel::Interfaces if at == last => Constraint::Fill(1),
            _ => Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)),
        };
        let table =
            Table::new(rows, widths.into_iter().enumerate().map(width)).header(head).column_spacing(2).block(block);
        frame.render_widget(table, area);
    }

    fn rows(&self, panel: Panel, rates: &Rates) -> Rows {
        match panel {
            Panel::Interfaces => interfaces(&rates.interfaces, |one| self.spark(one)),
            Panel::Apps => {
                let mut all: Vec<_> = rates.apps.iter().collect();
                if self.by_name {
                    all.sort_by(|one, other| one.name.cmp(&other.name));
                }
                apps(all.into_iter())
            }
            Panel::Drops => {
                let mut all: Vec<_> = rates.drops.iter().collect();
                if self.by_name {
                    all.sort_by(|one, other| one.reason.cmp(&other.reason));
                }
                drops(all.into_iter())
            }
            Panel::Denials => denials(rates),
            Panel::Ends => ends(rates),
        }
    }

    /// The past as a line of bars, the highest of which is the largest rate.
    fn spark(&self, interface: &Interface) -> String {
        const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let Some(past) = self.past.get(&interface.name) else { return String::new() };
        let most = past.iter().copied().fold(1.0, f64::max);
        let bar = |rate: &f64| {
            // Between 0 and 7.
            let at = (rate / most * 7.0).round() as usize;
            BARS.get(at).copied().unwrap_or(' ')
        };
        // The newest first: the rest may have no room.
        past.iter().rev().map(bar).collect()
    }

    fn draw_help(&self, frame: &mut Frame, area: Rect) {
        let (width, height) = (40.min(area.width), 8.min(area.height));
        let (x, y) = ((area.width - width) / 2, (area.height - height) / 2);
        let area = Rect { x, y, width, height };
        frame.render_widget(Clear, area);
        frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" Keys ")), area);
    }

    fn strong(&self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.color { style.fg(Color::Cyan) } else { style }
    }

    fn odd(&self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.color { style.fg(Color::Yellow) } else { style }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rates::tests::reading;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen() -> Screen {
        let mut screen = Screen::new("https://gw\u{1b}[2J", true);
        screen.learn(Rates::between(&reading(10, 100, 20, 1_000), &reading(12, 500, 25, 9_000)));
        screen.learn(Rates::between(&reading(12, 500, 25, 9_000), &reading(14, 700, 25, 9_000)));
        screen
    }

    fn drawn(screen: &Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_large_terminal_shows_all_tables_with_their_rates_and_obeys_no_name() {
        let shown = drawn(&screen(), 130, 30);
        for text in [
            "▸ Interfaces",
            "eth1",
            "198.51.100.50:443/tcp",
            "▅█",
            "Apps, bytes",
            "no_grant",
            "vault",
            "84 µs",
            "sessions 2",
            "gw\u{fffd}[2J",
        ] {
            assert!(shown.contains(text), "{text}:\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn a_small_terminal_shows_the_table_that_is_chosen_and_none_is_too_small_to_draw() {
        let mut screen = screen();
        screen.press(Key::Next);
        screen.press(Key::Next);
        let shown = drawn(&screen, 60, 12);
        assert!(shown.contains("▸ Drops") && shown.contains("no_grant") && !shown.contains("Apps, bytes"), "{shown}");
        screen.press(Key::Previous);
        assert!(drawn(&screen, 60, 12).contains("▸ Apps"));
        for (width, height) in [(1, 1), (29, 40), (200, 5), (30, 6), (100, 24), (99, 24), (1, 60), (300, 100)] {
            for panel in 0..5 {
                (screen.chosen, screen.is_help, screen.scrolled) = (panel, panel % 2 == 0, 999);
                drawn(&screen, width, height);
            }
        }
        assert!(drawn(&screen, 29, 6).contains("too small"));
    }

    #[test]
    fn a_table_is_scrolled_to_its_last_row_and_from_there_one_key_goes_back() {
        let mut rates = Rates::between(&reading(10, 100, 20, 1_000), &reading(12, 500, 25, 9_000));
        rates.denials = (0..20).map(|_| rates.denials[0].clone()).collect();
        let mut screen = Screen::new("gw", false);
        screen.learn(rates);
        screen.chosen = 3;
        // 12 lines, of which 5 are none of the table's rows.
        drawn(&screen, 60, 12);
        (0..50).for_each(|_| screen.press(Key::Down));
        assert_eq!(screen.scrolled, 13);
        screen.press(Key::Up);
        assert_eq!(screen.scrolled, 12);
        drawn(&screen, 60, 28);
        screen.press(Key::Down);
        assert_eq!(screen.scrolled, 0, "now there is room for all of it");
    }

    #[test]
    fn keys_pause_sort_and_help() {
        let mut screen = screen();
        screen.press(Key::Pause);
        assert!(screen.is_paused() && drawn(&screen, 130, 30).contains("paused"));
        let place = |shown: &str, name: &str| shown.lines().position(|line| line.contains(name)).unwrap();
        screen.learn(Rates::between(&reading(10, 100, 20, 1_000), &reading(12, 500, 25, 9_000)));
        let shown = drawn(&screen, 130, 30);
        assert!(place(&shown, "wiki") < place(&shown, "crm"), "{shown}");
        screen.press(Key::Sort);
        let shown = drawn(&screen, 130, 30);
        assert!(place(&shown, "crm") < place(&shown, "wiki") && shown.contains("sorted by name"), "{shown}");
        screen.press(Key::Help);
        assert!(drawn(&screen, 130, 30).contains("choose a table"));
        screen.trouble("`https://gw` does not answer");
        assert!(drawn(&screen, 130, 30).contains("does not answer"));
    }

    #[test]
    fn without_colour_nothing_has_one() {
        let mut screen = Screen::new("gw", false);
        screen.learn(Rates::between(&reading(10, 100, 20, 1_000), &reading(12, 500, 25, 9_000)));
        screen.press(Key::Pause);
        let mut terminal = Terminal::new(TestBackend::new(130, 30)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let cells = &terminal.backend().buffer().content;
        assert!(cells.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    }
}
