//! May a client join? What the `stream:join` triggers are asked, and who owes the `stream:leave` if the client does not wait.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use actix::Message;
use bytes::BufMut;
use tokio::sync::{Semaphore, oneshot};

use super::config::Filter;
use super::reason::Reason;
use super::table::Binding;
use super::turns::{self, Turns};
use crate::error;
use crate::functions::Registry;
use crate::ids::{GroupKey, Name};
use crate::json::Json;
use crate::metrics::limit::Limit;
use crate::settings::JoinFailure;
use crate::wire::{put_field, put_string};

/// One subscription of one client, as join and leave triggers see it.
#[derive(Debug, Clone)]
pub struct Membership {
    /// The client's name for the subscription.
    pub subscription_id: Box<str>,
    /// What join handlers know it by, where they were told of the one whose place it took within the grace.
    pub known_as: Option<Box<str>>,
    /// The group.
    pub group: GroupKey,
    /// The item, if only one is subscribed to.
    pub item: Option<Name>,
    /// What the auth function said of the client.
    pub context: Option<Json>,
}

impl Membership {
    /// The payload of join triggers.
    ///
    /// `id` and `context` are left out where they are unset, although upstream sends nulls: the documented Python handlers read them with
    /// `input.get('context', {}).get('userId')`, which a null breaks, and a join handler that breaks refuses the join.
    #[must_use]
    pub fn payload(&self) -> Json {
        self.told(None)
    }

    /// The payload of leave triggers: the same, with the reason beside it.
    #[must_use]
    pub fn parting(&self, reason: Reason) -> Json {
        self.told(Some(reason))
    }

    fn told(&self, reason: Option<Reason>) -> Json {
        let mut out = vec![b'{'];
        put_field(&mut out, "subscription_id", self.known_as.as_ref().unwrap_or(&self.subscription_id));
        put_field(&mut out, "stream_name", self.group.stream());
        out.put_slice(b"\"group_id\":");
        put_string(&mut out, self.group.group());
        if let Some(item) = &self.item {
            out.put_slice(b",\"id\":");
            put_string(&mut out, item.as_str());
        }
        if let Some(context) = self.context.as_ref().filter(|context| !context.is_null()) {
            out.put_slice(b",\"context\":");
            out.put_slice(context.as_bytes());
        }
        if let Some(reason) = reason {
            out.put_slice(b",\"reason\":");
            put_string(&mut out, reason.word());
        }
        out.put_u8(b'}');
        Json::assembled(out)
    }
}

/// Ask the join triggers. In order of registration, one after the other; the first that refuses decides.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Admit {
    /// Who wants to join what.
    pub membership: Membership,
    /// Whom to ask.
    pub triggers: Vec<(Arc<Binding>, Filter)>,
    /// Settles who fires the leave if the client goes meanwhile.
    pub admission: Arc<Admission>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Verdict>,
}

/// What the join triggers said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// None refused.
    Admitted,
    /// One refused or failed.
    Refused,
}

/// Between asking and knowing, a client may leave. Its join handlers have run then, so exactly one side must fire the leave: the one
/// that comes second.
#[derive(Debug, Default)]
pub struct Admission {
    state: AtomicU8,
    /// See [`Membership::known_as`]; set before it is admitted.
    pub known_as: OnceLock<Box<str>>,
}

const PENDING: u8 = 0;
const ADMITTED: u8 = 1;
/// From here on: abandoned, for the reason of that place.
const ABANDONED: u8 = 2;

impl Admission {
    /// The triggers have admitted the client.
    ///
    /// # Errors
    /// Why it has gone; the caller fires the leave.
    pub fn admit(&self) -> Result<(), Reason> {
        let before = self.state.compare_exchange(PENDING, ADMITTED, Ordering::AcqRel, Ordering::Acquire);
        before.map(drop).map_err(|state| state.checked_sub(ABANDONED).and_then(Reason::at).unwrap_or(Reason::Lost))
    }

    /// Whether the client has gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.state.load(Ordering::Acquire) >= ABANDONED
    }

    /// The client has gone. True where it had been admitted: the caller fires the leave.
    #[must_use]
    pub fn abandon(&self, reason: Reason) -> bool {
        self.state.compare_exchange(PENDING, ABANDONED + reason as u8, Ordering::AcqRel, Ordering::Acquire) == Err(ADMITTED)
    }
}

/// Asks every trigger, each function when there is a turn for it. One whose client goes meanwhile is admitted where a handler was told
/// of it, so that the leave is told too.
pub(super) async fn ask(registry: &Registry, admit: &mut Admit, turns: &[Turn]) -> Verdict {
    let Admit { membership, triggers, admission, reply } = admit;
    let payload = membership.payload();
    let settings = &registry.settings.stream;
    let gone = |told| if told { Verdict::Admitted } else { Verdict::Refused };
    let mut told = false;
    for ((binding, filter), turn) in triggers.iter().zip(turns) {
        let failed = |function: &str, error: &error::CallError| {
            if error.code == error::INVOCATION_TIMEOUT {
                registry.metrics.limit(Limit::Join);
            }
            tracing::warn!(trigger = %binding.id, function, code = %error.code, %error, "a join trigger failed");
            settings.join_failure == JoinFailure::Refuse
        };
        if let (Some(condition), Some(turns)) = (&filter.condition, &turn.condition) {
            let Some(_turn) = turns::wait(turns, admission, reply).await else { return gone(told) };
            match registry.call(condition.as_str(), payload.clone(), settings.join_timeout).await {
                Ok(output) if super::is_false(&output) => continue,
                Ok(_) => {}
                // The condition guards a handler that may refuse, so without it nobody knows; and then nobody joins.
                Err(error) if failed(condition.as_str(), &error) => return Verdict::Refused,
                Err(_) => continue,
            }
        }
        let Some(_turn) = turns::wait(&turn.handler, admission, reply).await else { return gone(told) };
        told = true;
        match registry.call(&binding.function_id, payload.clone(), settings.join_timeout).await {
            Ok(output) => {
                if refuses(&output.into_json()) {
                    return Verdict::Refused;
                }
            }
            Err(error) if failed(&binding.function_id, &error) => return Verdict::Refused,
            Err(_) => {}
        }
    }
    Verdict::Admitted
}

/// The turns at the functions of one trigger.
pub(super) struct Turn {
    condition: Option<Arc<Semaphore>>,
    handler: Arc<Semaphore>,
}

impl Turn {
    pub(super) fn at(turns: &mut Turns, (binding, filter): &(Arc<Binding>, Filter)) -> Self {
        let condition = filter.condition.as_ref().map(|condition| turns.of(condition.as_str()));
        Self { condition, handler: turns.of(&binding.function_id) }
    }
}

/// Whether a handler's result is an object with `"unauthorized": true`.
#[must_use]
pub fn refuses(result: &Json) -> bool {
    // What cannot be read (a lone surrogate, a number out of range) may say anything, so it refuses.
    result.to_value().is_none_or(|value| value.get("unauthorized") == Some(&serde_json::Value::Bool(true)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn payload_leaves_out_what_is_unset() {
        for context in [None, Some(Json::NULL)] {
            let membership =
                Membership { subscription_id: "s\"1".into(), known_as: None, group: GroupKey::new("a", "b"), item: None, context };
            let expected = json!({"subscription_id": "s\"1", "stream_name": "a", "group_id": "b"});
            assert_eq!(membership.payload().to_value().unwrap(), expected);
        }
        let context = Some(Json::assembled("{\"userId\":1}"));
        let membership =
            Membership { subscription_id: "s".into(), known_as: None, group: GroupKey::new("a", "b"), item: Some("i".into()), context };
        let expected = json!({"subscription_id": "s", "stream_name": "a", "group_id": "b", "id": "i", "context": {"userId": 1}});
        assert_eq!(membership.payload().to_value().unwrap(), expected);
    }

    #[test]
    fn only_the_boolean_true_refuses() {
        for (result, expected) in [
            (json!({"unauthorized": true}), true),
            (json!({"unauthorized": "true"}), false),
            (json!({"unauthorized": null}), false),
            (json!({}), false),
            (json!([true]), false),
            (json!(null), false),
        ] {
            assert_eq!(refuses(&Json::from_value(&result)), expected, "{result}");
        }
        for unreadable in [r#"{"unauthorized":true,"reason":"cut \ud83d"}"#, r#"{"unauthorized":true,"n":1e999}"#] {
            assert!(refuses(&Json::assembled(unreadable)), "{unreadable}");
        }
    }

    #[test]
    fn exactly_one_side_fires_the_leave() {
        let first = Admission::default();
        assert_eq!(first.admit(), Ok(()));
        assert!(first.abandon(Reason::Lost));
        let second = Admission::default();
        assert!(!second.abandon(Reason::Replaced));
        assert_eq!(second.admit(), Err(Reason::Replaced));
    }
}
