//! `weir watch`: the state of a group, and each change as it comes.

mod line;

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use tokio::signal;
use tokio::time::{sleep, timeout};

use super::block_on;
use super::output::{DIM, Output, RED, note};
use crate::client::{Address, ClientError, Credential, Ended, Subscription};
use crate::config::Config;
use crate::json::visible;
use line::{Frame, Kind};

/// The close code after which coming back would end the same way.
const REFUSED: u16 = 4401;
/// The close code of a server that stops.
const RESTART: u16 = 1012;
/// Longer than this no server has us wait.
const LONGEST_ASKED_MS: u64 = 60_000;
/// How long after an `unauthorized` the close frame may take that says whether it was us or the auth function.
const VERDICT: Duration = Duration::from_secs(5);
/// The first pause before connecting again, and how often it is doubled.
const PAUSE: (Duration, u32) = (Duration::from_millis(500), 6);
/// What a server that stops says before the milliseconds after which it wants to see this client again.
const COME_BACK: &str = "come back in ";

/// Watches a group or an item.
#[derive(clap::Args)]
pub(crate) struct Watch {
    /// The stream.
    stream: String,
    /// The group.
    group: String,
    /// Only this item.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    item: Option<String>,
    /// End after so many changes.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Show values whole, however long they are.
    #[arg(long)]
    full: bool,
    /// Stream port, such as ws://localhost:3112; else what the configuration says.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Shown to the auth function as `Authorization: Bearer`.
    #[arg(long)]
    token: Option<String>,
}

/// How a connection came to its end.
enum Followed {
    /// As many changes have come as were asked for.
    Enough,
    /// It is worth coming back.
    Lost(Ended),
}

impl Watch {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let base = Address::of_streams(self.url.as_deref(), Credential::argument(self.token.clone()), config)?;
        let address = base.subscription(&self.stream, &self.group, self.item.as_deref());
        let mut watcher = Watcher { left: self.count, full: self.full, out, attempt: 0 };
        block_on(async {
            tokio::select! {
                watched = watcher.run(&address) => watched,
                // Ctrl-C is how one stops watching.
                _ = signal::ctrl_c() => Ok(()),
            }
        })
    }
}

fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Answered { status, .. } => *status >= 500,
        other => matches!(other, ClientError::Unreachable { .. } | ClientError::Protocol { .. }),
    }
}

struct Watcher<'o> {
    out: &'o mut Output,
    /// Changes to show before the end.
    left: Option<u64>,
    /// Lines are not cut where the terminal ends.
    full: bool,
    /// Connections that have failed since the last state.
    attempt: u32,
}

impl Watcher<'_> {
    async fn run(&mut self, address: &Address) -> anyhow::Result<()> {
        let mut watching = false;
        loop {
            let lost = match Subscription::open(address).await {
                Ok(mut subscription) => match self.follow(address, &mut subscription).await? {
                    Followed::Enough => return Ok(()),
                    Followed::Lost(ended) => {
                        watching = true;
                        ended
                    }
                },
                // A server that was there comes back, and what stands in between may answer meanwhile; one that never was is probably elsewhere.
                Err(error) if watching && may_pass(&error) => Ended { code: None, reason: error.to_string() },
                Err(error) => return Err(error.into()),
            };
            let pause = self.pause(&lost);
            let reason = visible(&lost.reason).into_owned();
            note(format_args!("{RED}lost{RED:#}  {reason}{DIM}; again in {:.1} s{DIM:#}", pause.as_secs_f64()));
            sleep(pause).await;
        }
    }

    /// Shows what comes over a connection.
    async fn follow(&mut self, address: &Address, subscription: &mut Subscription) -> anyhow::Result<Followed> {
        loop {
            let text = match subscription.next().await {
                Ok(text) => text,
                Err(ended) => return self.ended(address, ended),
            };
            let frame = Frame::parse(&text)
                .map_err(|error| ClientError::Protocol { url: address.url.clone(), reason: format!("{error} in a frame") })?;
            match frame.kind() {
                Kind::Refused => return self.refused(address, subscription).await,
                Kind::Failed => return Err(frame.failure().into()),
                Kind::State => self.attempt = 0,
                Kind::Change => {}
            }
            if self.out.is_json() {
                self.out.json(&text)?;
            } else {
                // Asked each time, since a terminal may be resized.
                let columns = self.out.columns().filter(|_| !self.full);
                frame.show(self.out, columns)?;
            }
            if frame.kind() == Kind::Change
                && let Some(left) = &mut self.left
            {
                *left = left.saturating_sub(1);
            }
            if self.left == Some(0) {
                return Ok(Followed::Enough);
            }
        }
    }

    /// Somebody has said no: us, by a join handler, and then the connection stays, or by the auth function; or the auth function could not be
    /// asked, which may pass.
    async fn refused(&mut self, address: &Address, subscription: &mut Subscription) -> anyhow::Result<Followed> {
        let close = timeout(VERDICT, async {
            loop {
                if let Err(ended) = subscription.next().await {
                    return ended;
                }
            }
        });
        match close.await {
            Ok(ended) => self.ended(address, ended),
            Err(_) => Err(ClientError::Unauthorized {
                url: address.url.clone(),
                reason: "a stream:join handler does not let us in".to_owned(),
                hint: "the worker that serves it knows why",
            }
            .into()),
        }
    }

    fn ended(&self, address: &Address, ended: Ended) -> anyhow::Result<Followed> {
        match ended.code {
            Some(REFUSED) => {
                Err(ClientError::Unauthorized { url: address.url.clone(), reason: ended.reason, hint: address.hints.refused }.into())
            }
            _ => Ok(Followed::Lost(ended)),
        }
    }

    /// How long to wait before connecting again: what the server asks for, or longer with each failure; somewhat at random, so that not all
    /// come at once.
    fn pause(&mut self, lost: &Ended) -> Duration {
        let said = (lost.code == Some(RESTART)).then(|| lost.reason.split_once(COME_BACK)).flatten();
        let asked = said.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        if let Some(ms) = asked.filter(|ms| *ms <= LONGEST_ASKED_MS) {
            return Duration::from_millis(ms);
        }
        let longest = PAUSE.0 * 2u32.pow(self.attempt.min(PAUSE.1));
        self.attempt += 1;
        longest.mul_f64(rand::random_range(0.5..1.0))
    }
}
