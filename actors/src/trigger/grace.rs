//! Leaves that are held back, because the client may be about to come back. No actor, no clock of its own.
//!
//! It lives in the dispatcher: that one sees the joins and leaves of all threads in one order, and a leave that is swallowed and the join
//! that swallows it are one decision. Where a client comes back before its old connection was found lost, the join is told as ever, and the
//! leave later: one of each for each of its connections.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::admission::Membership;
use super::reason::Reason;
use crate::ids::{GroupKey, Name};

/// Leaves that may be held back at a time; what is over fires at once.
pub const HELD: usize = 10_000;

/// Who left what: the context in a form that is the same for contexts that are equal as JSON, the group and the item.
type Who = (Box<str>, GroupKey, Option<Name>);

struct Held {
    until: Instant,
    who: Who,
    membership: Membership,
    reason: Reason,
}

/// See the [module](self).
pub struct Grace {
    period: Duration,
    limit: usize,
    /// By ticket, and so in the order of their ends, since all wait equally long.
    held: BTreeMap<u64, Held>,
    tickets: HashMap<Who, VecDeque<u64>>,
    next: u64,
}

impl Grace {
    /// Holds back up to `limit` leaves for `period` each; none where it is zero.
    #[must_use]
    pub fn new(period: Duration, limit: usize) -> Self {
        Self { period, limit, held: BTreeMap::new(), tickets: HashMap::new(), next: 0 }
    }

    /// Holds a leave back. It is returned where it must fire at once: an end that the client or the server wanted, a client without a
    /// context, or too many that wait.
    pub fn hold(&mut self, membership: Membership, reason: Reason, now: Instant) -> Option<(Membership, Reason)> {
        let waits = !self.period.is_zero() && matches!(reason, Reason::Lost | Reason::Closed) && self.held.len() < self.limit;
        let Some(who) = waits.then(|| who(&membership)).flatten() else { return Some((membership, reason)) };
        self.tickets.entry(who.clone()).or_default().push_back(self.next);
        self.held.insert(self.next, Held { until: now + self.period, who, membership, reason });
        self.next += 1;
        None
    }

    /// A client joins: swallows the oldest leave of one like it that is still held back, and says which subscription that was.
    pub fn rejoin(&mut self, membership: &Membership) -> Option<Membership> {
        if self.held.is_empty() {
            return None;
        }
        let who = who(membership)?;
        let tickets = self.tickets.get_mut(&who)?;
        let ticket = tickets.pop_front()?;
        if tickets.is_empty() {
            self.tickets.remove(&who);
        }
        self.held.remove(&ticket).map(|held| held.membership)
    }

    /// All that is held back, in order; nobody is waited for any more.
    pub fn release(&mut self) -> Vec<(Membership, Reason)> {
        self.tickets.clear();
        std::mem::take(&mut self.held).into_values().map(|held| (held.membership, held.reason)).collect()
    }

    /// The next leave whose time has come, in order.
    pub fn due(&mut self, now: Instant) -> Option<(Membership, Reason)> {
        let first = self.held.first_entry().filter(|first| first.get().until <= now)?;
        let held = first.remove();
        if let Some(tickets) = self.tickets.get_mut(&held.who) {
            // The oldest of all is the oldest of its own.
            tickets.pop_front();
            if tickets.is_empty() {
                self.tickets.remove(&held.who);
            }
        }
        Some((held.membership, held.reason))
    }

    /// When the next leave is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.held.first_key_value().map(|(_, held)| held.until)
    }
}

/// Whether a client with that membership may come back as the same one: `None` for one that nobody can tell from others.
fn who(membership: &Membership) -> Option<Who> {
    let mut context = membership.context.as_ref().filter(|context| !context.is_null())?.to_value()?;
    context.sort_all_objects();
    Some((context.to_string().into(), membership.group.clone(), membership.item.clone()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::json::Json;

    const PERIOD: Duration = Duration::from_secs(5);

    fn of(id: &str, context: &'static str) -> Membership {
        let context = Some(Json::assembled(context));
        Membership { subscription_id: id.into(), known_as: None, group: GroupKey::new("s", "g"), item: None, context }
    }

    fn grace() -> (Grace, Instant) {
        (Grace::new(PERIOD, 3), Instant::now())
    }

    fn id(membership: Option<Membership>) -> String {
        membership.unwrap().subscription_id.into()
    }

    #[test]
    fn join_with_an_equal_context_swallows_one_leave() {
        let (mut grace, now) = grace();
        assert!(grace.hold(of("1", r#"{"a":1,"b":[{"c":2,"d":3}]}"#), Reason::Lost, now).is_none());
        assert!(grace.hold(of("2", r#"{"b":[{"d":3,"c":2}],"a":1}"#), Reason::Closed, now).is_none());
        let other = [of("x", r#"{"a":2}"#), Membership { item: Some("i".into()), ..of("x", r#"{"a":1,"b":[{"c":2,"d":3}]}"#) }];
        assert!(other.iter().all(|membership| grace.rejoin(membership).is_none()));
        let same = of("3", r#"{ "a": 1, "b": [ { "d": 3, "c": 2 } ] }"#);
        assert_eq!((id(grace.rejoin(&same)), id(grace.rejoin(&same))), ("1".into(), "2".into()));
        assert!(grace.rejoin(&same).is_none());
        assert!(grace.next().is_none() && grace.tickets.is_empty());
    }

    #[test]
    fn leave_that_nobody_swallows_is_due_in_order_and_once() {
        let (mut grace, now) = grace();
        assert!(grace.hold(of("1", "1"), Reason::Lost, now).is_none());
        assert!(grace.hold(of("2", "1"), Reason::Closed, now + PERIOD / 2).is_none());
        assert!(grace.due(now + PERIOD - Duration::from_millis(1)).is_none());
        let (membership, reason) = grace.due(now + PERIOD).unwrap();
        assert_eq!((&*membership.subscription_id, reason), ("1", Reason::Lost));
        assert!(grace.due(now + PERIOD).is_none());
        assert_eq!(grace.next(), Some(now + PERIOD / 2 + PERIOD));
        assert_eq!(id(grace.rejoin(&of("3", "1"))), "2");
        assert!(grace.due(now + PERIOD * 2).is_none());
    }

    #[test]
    fn leaves_that_are_meant_and_those_of_anonymous_clients_fire_at_once() {
        let (mut grace, now) = grace();
        let reasons = [Reason::Left, Reason::Replaced, Reason::Unresponsive, Reason::Expired, Reason::Disconnected, Reason::Evicted];
        assert!(reasons.into_iter().all(|reason| grace.hold(of("1", "1"), reason, now).is_some()));
        assert!(grace.hold(of("1", "null"), Reason::Lost, now).is_some());
        assert!(grace.hold(Membership { context: None, ..of("1", "1") }, Reason::Lost, now).is_some());
        assert!(Grace::new(Duration::ZERO, 3).hold(of("1", "1"), Reason::Lost, now).is_some());
    }

    #[test]
    fn leaves_over_the_limit_fire_at_once() {
        let (mut grace, now) = grace();
        for _ in 0..3 {
            assert!(grace.hold(of("1", "1"), Reason::Lost, now).is_none());
        }
        assert!(grace.hold(of("4", "1"), Reason::Lost, now).is_some());
        assert!(grace.rejoin(&of("5", "1")).is_some());
        assert!(grace.hold(of("6", "1"), Reason::Lost, now).is_none());
    }
}
