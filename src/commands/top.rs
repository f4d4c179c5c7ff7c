//! `weir top`: what a server does, once a second, from its admin listener.

mod view;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::ops::RangeInclusive;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anstream::{AutoStream, ColorChoice};
use anyhow::{Context, bail};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{block_on, output::Output};
use crate::client::{Address, ClientError, Credential, http};
use crate::config::Config;

const TOKEN: &str = "WEIR_ADMIN_TOKEN";
/// Looks that are kept for each rate.
const SHOWN: usize = 120;
/// How often it may be looked, in seconds.
const EVERY: RangeInclusive<f64> = 0.1..=3_600.0;
const ENDED: &str = "what looks at the server has ended; please report it";
/// How soon a key is seen.
const GLANCE: Duration = Duration::from_millis(50);

/// Show rates, groups and clients of a running server, once a second.
#[derive(clap::Args)]
pub(crate) struct Top {
    /// The admin port, http://HOST:PORT; that of the configuration, by itself http://127.0.0.1:9464.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The token of the admin port; else WEIR_ADMIN_TOKEN, else what the configuration says.
    #[arg(long)]
    token: Option<String>,
    /// Only clients whose address, context or subscriptions have this in them.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
    /// How often to look, from 0.1 to 3600.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = period)]
    every: Duration,
    /// End after so many looks.
    #[arg(long)]
    count: Option<u64>,
}

fn period(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| EVERY.contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("a number of seconds from {} to {}", EVERY.start(), EVERY.end()))
}

/// What `/api/overview` says.
#[derive(Deserialize, Clone, Default)]
struct Overview {
    version: String,
    started_at: u64,
    now: u64,
    store: String,
    reasons: Vec<String>,
    gauges: Gauges,
    totals: Totals,
}

#[derive(Deserialize, Clone, Default)]
struct Gauges {
    connections: u64,
    subscriptions: u64,
    workers: u64,
    functions: u64,
    triggers: u64,
    resident_bytes: u64,
}

#[derive(Deserialize, Clone, Default)]
struct Totals {
    changes: u64,
    deliveries: u64,
    delivered_bytes: u64,
    invocations: u64,
    invocations_failed: u64,
    joins: u64,
    resyncs: u64,
    evictions: u64,
    limits_hit: u64,
}

/// What `/api/sessions` says.
#[derive(Deserialize, Clone, Default)]
struct Sessions {
    sessions: Vec<Session>,
    total: usize,
}

#[derive(Deserialize, Clone)]
struct Session {
    id: u64,
    address: Option<String>,
    silent_ms: u64,
    queued_bytes: u64,
    lagging: bool,
    resyncs: u32,
    subscribed: usize,
    subscriptions: Vec<Subscription>,
}

#[derive(Deserialize, Clone)]
struct Subscription {
    stream: String,
    group: String,
}

/// One look.
struct Look {
    overview: Overview,
    sessions: Sessions,
    at: Instant,
}

/// What is drawn.
#[derive(Default)]
struct Shown {
    look: Option<Look>,
    /// Changes, deliveries and calls a second, the newest last.
    rates: [VecDeque<u64>; 3],
    trouble: Option<String>,
    paused: bool,
    /// Without colours.
    is_plain: bool,
    /// The first client that is shown.
    scroll: usize,
}

impl Shown {
    fn take(&mut self, look: Look) {
        self.trouble = None;
        if let Some(before) = self.look.as_ref().filter(|before| before.overview.started_at == look.overview.started_at) {
            let seconds = look.at.duration_since(before.at).as_secs_f64().max(0.001);
            let (old, new) = (&before.overview.totals, &look.overview.totals);
            let pairs = [(old.changes, new.changes), (old.deliveries, new.deliveries), (old.invocations, new.invocations)];
            for (rates, (old, new)) in self.rates.iter_mut().zip(pairs) {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
                rates.push_back((new.saturating_sub(old) as f64 / seconds).round() as u64);
                if rates.len() > SHOWN {
                    rates.pop_front();
                }
            }
        } else {
            self.rates = Default::default();
        }
        self.scroll = self.scroll.min(look.sessions.sessions.len().saturating_sub(1));
        self.look = Some(look);
    }
}

impl Top {
    pub(super) fn run(&self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let address = Address::of_admin(self.url.as_deref(), Credential::given(self.token.clone(), TOKEN), config)?;
        if out.is_json() {
            return self.print(&address, self.every, out);
        }
        if !std::io::stdout().is_terminal() {
            bail!("`weir top` draws on a terminal; elsewhere, use --json");
        }
        let looks = look_again(address, self.path(), self.every);
        let mut shown = Shown { is_plain: AutoStream::choice(&std::io::stdout()) == ColorChoice::Never, ..Shown::default() };
        // A server that is not there at first is probably elsewhere; one that goes comes back.
        shown.take(looks.recv().context(ENDED)??);
        let mut terminal = ratatui::try_init()?;
        let ended = watch(&mut terminal, &mut shown, &looks, self.count);
        ratatui::restore();
        ended
    }

    fn path(&self) -> String {
        let filter = percent_encoding::utf8_percent_encode(&self.filter, percent_encoding::NON_ALPHANUMERIC);
        format!("/api/sessions?q={filter}")
    }

    /// One JSON text for each look, as the server has it.
    fn print(&self, address: &Address, every: Duration, out: &mut Output) -> anyhow::Result<()> {
        block_on(async {
            let mut left = self.count;
            while left != Some(0) {
                let overview: Box<RawValue> = http::get(address, "/api/overview").await?;
                let sessions: Box<RawValue> = http::get(address, &self.path()).await?;
                out.json(&format!(r#"{{"overview":{overview},"clients":{sessions}}}"#))?;
                left = left.map(|left| left - 1);
                if left != Some(0) {
                    tokio::time::sleep(every).await;
                }
            }
            Ok(())
        })
    }
}

/// Looks again and again, on a thread of its own: a server that does not answer must not keep a key from being seen.
fn look_again(address: Address, path: String, every: Duration) -> Receiver<Result<Look, ClientError>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let looked = block_on(async {
            loop {
                let overview = http::get(&address, "/api/overview").await;
                let sessions = http::get(&address, &path).await;
                let look = overview.and_then(|overview| Ok(Look { overview, sessions: sessions?, at: Instant::now() }));
                // Nobody looks any more.
                if sender.send(look).is_err() {
                    return Ok(());
                }
                tokio::time::sleep(every).await;
            }
        });
        drop(looked);
    });
    receiver
}

/// Draws what has been looked at until a key ends it, or so many looks have been shown.
fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    shown: &mut Shown,
    looks: &Receiver<Result<Look, ClientError>>,
    count: Option<u64>,
) -> anyhow::Result<()> {
    let mut looked = 1;
    loop {
        terminal.draw(|frame| view::draw(frame, shown))?;
        if count.is_some_and(|count| looked >= count) {
            return Ok(());
        }
        match looks.recv_timeout(GLANCE) {
            Ok(_) if shown.paused => {}
            Ok(Ok(look)) => {
                looked += 1;
                shown.take(look);
            }
            Ok(Err(error)) => shown.trouble = Some(error.to_string()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!(ENDED),
        }
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else { continue };
            if key.kind != KeyEventKind::Press {
                continue;
            }
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Char('p' | ' ') => shown.paused = !shown.paused,
                KeyCode::Char('j') | KeyCode::Down => shown.scroll = shown.scroll.saturating_add(1),
                KeyCode::Char('k') | KeyCode::Up => shown.scroll = shown.scroll.saturating_sub(1),
                KeyCode::PageDown => shown.scroll = shown.scroll.saturating_add(20),
                KeyCode::PageUp => shown.scroll = shown.scroll.saturating_sub(20),
                KeyCode::Home => shown.scroll = 0,
                _ => {}
            }
            let last = shown.look.as_ref().map_or(0, |look| look.sessions.sessions.len().saturating_sub(1));
            shown.scroll = shown.scroll.min(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(started_at: u64, changes: u64, at: Instant) -> Look {
        let overview = Overview { started_at, totals: Totals { changes, ..Totals::default() }, ..Overview::default() };
        Look { overview, sessions: Sessions::default(), at }
    }

    #[test]
    fn period_that_is_too_short_or_too_long_is_refused() {
        assert_eq!((period("0.1"), period("2")), (Ok(Duration::from_millis(100)), Ok(Duration::from_secs(2))));
        for text in ["0", "-1", "0.09", "3601", "1e300", "NaN", "often", ""] {
            assert!(period(text).is_err_and(|said| said.contains("from 0.1 to 3600")), "{text}");
        }
    }

    #[test]
    fn rates_are_differences_and_begin_anew_with_a_server() {
        let (mut shown, began) = (Shown::default(), Instant::now());
        for (seconds, changes) in [(0, 100), (2, 300), (3, 350)] {
            shown.take(look(1, changes, began + Duration::from_secs(seconds)));
        }
        assert_eq!(shown.rates[0], [100, 50]);
        shown.take(look(2, 10, began + Duration::from_secs(4)));
        assert!(shown.rates[0].is_empty());
    }
}
