//! `portcullis top`: the gateway as it works, on a terminal or once.

use crate::cli::CliError;
use crate::cli::context::Context;
use crate::cli::output::Output;
use crate::cli::samples::Samples;
use crate::cli::top::{Key, Rates, Reading, Screen, words};
use crate::config::parse_duration;
use crate::wire::Record;
use clap::Args;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use reqwest::Method;
use serde_json::json;
use std::cell::Cell;
use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::{Duration, Instant};
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3_600);
/// How many of the latest records are asked for.
const LATEST: &str = "50";

/// How to look.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  portcullis top\n  portcullis top --interval 5s\n  portcullis top --once\n  portcullis top --json\n\n\
    Keys: q quit, p pause, s sort, arrows choose a table and scroll it, ? help. The API token needs the scopes `metrics:read` and \
    `read`."
)]
pub(in crate::cli) struct Top {
    /// How long between two readings: 1s to 1h
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Print the rates once, as text; so it is, too, where there is no terminal
    #[arg(long)]
    once: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let read = parse_duration(text).filter(|interval| (SHORTEST..=LONGEST).contains(interval));
    read.ok_or_else(|| "write a time from `1s` to `1h`, like `2s`".to_owned())
}

/// What happens to the screen.
enum Happening {
    Quit,
    Press(Key),
    Redraw,
}

impl Top {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { interval, once } = self;
        let began = Instant::now();
        let first = reading(context, began).await?;
        if once || context.output.json || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            tokio::time::sleep(interval).await;
            let rates = Rates::between(&first, &reading(context, began).await?);
            return if context.output.json {
                Output::print(&format!("{:#}", json!(rates)))
            } else {
                Output::print(&words(&rates))
            };
        }
        watch(context, interval, began, first).await
    }
}

/// The terminal as it was, whatever happens: also when this panics.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn watch(context: &Context, interval: Duration, began: Instant, first: Reading) -> Result<(), CliError> {
    let stop = |kind| signal(kind).map_err(CliError::Runtime);
    let (mut interrupt, mut terminate) = (stop(SignalKind::interrupt())?, stop(SignalKind::terminate())?);
    let (mut hangup, mut quit) = (stop(SignalKind::hangup())?, stop(SignalKind::quit())?);
    let mut terminal = ratatui::try_init().map_err(CliError::Output)?;
    let _restored = Restored;
    let mut typed = typed()?;
    let mut screen = Screen::new(context.client.url.as_str(), context.output.color);
    let (mut before, is_paused) = (first, Cell::new(false));
    // One reading goes on whatever is typed: what is given up half-way still takes its place among those who search.
    let mut look = pin!(later(context, began, interval, &is_paused));
    loop {
        terminal.draw(|frame| screen.draw(frame)).map_err(CliError::Output)?;
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = quit.recv() => return Ok(()),
            happening = typed.recv() => match happening {
                None | Some(Happening::Quit) => return Ok(()),
                Some(Happening::Press(key)) => {
                    screen.press(key);
                    is_paused.set(screen.is_paused());
                }
                Some(Happening::Redraw) => {}
            },
            looked = &mut look => {
                look.set(later(context, began, interval, &is_paused));
                match looked.filter(|_| !screen.is_paused()) {
                    None => {}
                    Some(Ok(now)) => {
                        screen.learn(Rates::between(&before, &now));
                        before = now;
                    }
                    Some(Err(error)) => screen.trouble(&error.to_string()),
                }
            }
        }
    }
}

/// A reading after that time, unless nothing new is to be shown then.
async fn later(
    context: &Context,
    began: Instant,
    interval: Duration,
    is_paused: &Cell<bool>,
) -> Option<Result<Reading, CliError>> {
    tokio::time::sleep(interval).await;
    if is_paused.get() { None } else { Some(reading(context, began).await) }
}

/// Reads the keyboard, on a thread that ends with the process: there is no other way to stop waiting for a key.
fn typed() -> Result<Receiver<Happening>, CliError> {
    let (sender, receiver) = channel(16);
    let read = move || {
        while let Ok(event) = event::read() {
            if let Some(happening) = happening(&event)
                && sender.blocking_send(happening).is_err()
            {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".into()).spawn(read).map_err(CliError::Runtime)?;
    Ok(receiver)
}

fn happening(event: &Event) -> Option<Happening> {
    match event {
        Event::Resize(..) => Some(Happening::Redraw),
        Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press | KeyEventKind::Repeat, .. }) => match code {
            KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Happening::Quit),
            KeyCode::Char('q') | KeyCode::Esc => Some(Happening::Quit),
            KeyCode::Char('p') => Some(Happening::Press(Key::Pause)),
            KeyCode::Char('s') => Some(Happening::Press(Key::Sort)),
            KeyCode::Char('?' | 'h') => Some(Happening::Press(Key::Help)),
            KeyCode::Right | KeyCode::Tab => Some(Happening::Press(Key::Next)),
            KeyCode::Left | KeyCode::BackTab => Some(Happening::Press(Key::Previous)),
            KeyCode::Up => Some(Happening::Press(Key::Up)),
            KeyCode::Down => Some(Happening::Press(Key::Down)),
            _ => None,
        },
        _ => None,
    }
}

async fn reading(context: &Context, began: Instant) -> Result<Reading, CliError> {
    let text = context.administer(Method::GET, &["metrics"])?.text().await?;
    // Before the records are asked for, which may take a while: the rates are those of this moment.
    let (at, wall) = (began.elapsed(), OffsetDateTime::now_utc());
    let (denials, ends) = (latest(context, "denied").await?, latest(context, "session_end").await?);
    Ok(Reading { at, wall, samples: Samples::parse(&text), denials, ends })
}

/// The latest records of a type; or why there are none, when the archive is off, busy, or not for this token.
async fn latest(context: &Context, kind: &str) -> Result<Result<Vec<Record>, String>, CliError> {
    let call = context.administer(Method::GET, &["v1", "records"])?;
    match call.query("type", Some(kind)).query("limit", Some(LATEST)).items().await {
        Ok(records) => Ok(Ok(records.shape)),
        Err(error) if [403, 404, 422, 429, 503].into_iter().any(|status| error.has_status(status)) => {
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}
