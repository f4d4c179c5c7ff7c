//! An authorisation that ends: its time, and the refresh that may move it.

use std::time::{Duration, Instant};

use actix::{ActorFutureExt, AsyncContext, Context, SpawnHandle, WrapFuture};

use super::SubscriberSession;
use crate::auth::{AuthInput, Grant, authorize};
use crate::clock::{self, Millis};
use crate::error::CloseCode;
use crate::ids::GroupKey;
use crate::wire::subscriber::Address;

/// How soon after a refresh the next one is looked at.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait for the end of an authorisation before the clock is looked at again.
const LOOK: Duration = Duration::from_secs(60);

/// An authorisation that ends.
pub(super) struct Authorisation {
    /// What the auth function was told, for it to be asked again.
    input: Box<AuthInput>,
    /// When it is over; `None` where a refresh has granted one without an end.
    expires_at: Option<Millis>,
    timer: Option<SpawnHandle>,
    /// Whether the function is being asked again.
    refreshing: bool,
    refreshed: Option<Instant>,
}

impl Authorisation {
    /// One that ends at that time, granted for this input.
    pub(super) fn until(at: Millis, input: AuthInput) -> Self {
        Self { input: Box::new(input), expires_at: Some(at), timer: None, refreshing: false, refreshed: None }
    }
}

impl SubscriberSession {
    /// Has the authorisation end in time: one timer, and none where it has no end.
    pub(super) fn watch(&mut self, ctx: &mut Context<Self>) {
        let Some(authorisation) = &mut self.authorisation else { return };
        if let Some(timer) = authorisation.timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(expires_at) = authorisation.expires_at else { return };
        let rest = Duration::from_millis(expires_at.saturating_sub(clock::wall()));
        // Looked at again after a while, because the wall clock may be set.
        authorisation.timer = Some(ctx.run_later(rest.min(LOOK), |session, ctx| session.expire(ctx)));
    }

    fn expire(&mut self, ctx: &mut Context<Self>) {
        let Some(authorisation) = &self.authorisation else { return };
        match authorisation.expires_at {
            Some(at) if at <= clock::wall() => {
                // A refresh under way decides; `auth_timeout` bounds it.
                if !authorisation.refreshing {
                    tracing::info!(session = %self.socket.id, "authorisation expired; closing");
                    self.close(CloseCode::Expired, ctx);
                }
            }
            _ => self.watch(ctx),
        }
    }

    pub(super) fn refresh(&mut self, token: &str, ctx: &mut Context<Self>) {
        let Some(authorisation) = &mut self.authorisation else {
            tracing::debug!(session = %self.socket.id, "refresh of an authorisation without an end ignored");
            return;
        };
        let soon = authorisation.refreshed.is_some_and(|at| at.elapsed() < REFRESH_INTERVAL);
        if authorisation.refreshing || soon {
            if let Some(times) = self.ignored.add() {
                tracing::info!(session = %self.socket.id, times, "refresh ignored; one is under way, or was less than a second ago");
            }
            return;
        }
        authorisation.refreshing = true;
        authorisation.refreshed = Some(Instant::now());
        let (registry, input) = (self.local.registry.clone(), authorisation.input.with_token(token));
        let asked = async move { authorize(&registry, &input).await };
        ctx.spawn(asked.into_actor(self).map(|granted, session, ctx| session.refreshed(granted, ctx)));
    }

    fn refreshed(&mut self, granted: Result<Grant, CloseCode>, ctx: &mut Context<Self>) {
        let Some(authorisation) = self.authorisation.as_mut().filter(|_| !self.socket.is_closing()) else { return };
        authorisation.refreshing = false;
        match granted {
            Ok(Grant { context, expires_at }) => {
                authorisation.expires_at = expires_at;
                for subscription in self.subscriptions.values_mut() {
                    subscription.membership.context.clone_from(&context);
                }
                self.context = context;
                self.watch(ctx);
            }
            Err(code) => {
                tracing::info!(session = %self.socket.id, code = code.code(), "refresh refused");
                self.tell(&Address::new(&GroupKey::new("", "")).unauthorized(None));
                self.expire(ctx);
            }
        }
    }
}
