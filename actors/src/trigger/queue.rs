//! What one trigger still has to be told, oldest first. No actor.
//!
//! Handlers are called in order and not waited for, so that a slow one costs time in flight and not order; conditions are asked ahead,
//! and an event leaves the queue when its own condition is known and everything before it has left.

use std::collections::VecDeque;
use std::time::Instant;

use crate::json::Json;

/// Calls of one trigger, handler or condition, that may be under way.
pub const WINDOW: usize = 256;
/// Events that may wait for one trigger.
pub const WAITING: usize = 10_000;
/// The same in bytes of payload.
pub const WAITING_BYTES: usize = 64 << 20;

/// Names an event of a queue.
pub type Ticket = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Unasked,
    Asked,
    Passed,
    Failed,
}

#[derive(Debug)]
struct Event {
    ticket: Ticket,
    payload: Json,
    since: Instant,
    condition: Condition,
}

/// The events of one trigger.
#[derive(Debug)]
pub struct Queue {
    conditional: bool,
    bounded: bool,
    /// Calls of the handler that may be under way.
    window: usize,
    events: VecDeque<Event>,
    bytes: usize,
    next: Ticket,
    in_flight: usize,
    asked: usize,
    /// Events that were dropped because too many waited.
    pub dropped: u64,
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Ask the condition about this event, and [`answer`](Queue::answer).
    Ask(Ticket, Json),
    /// Call the handler about what happened at that time, and tell when it is [`done`](Queue::done).
    Call(Json, Instant),
}

impl Queue {
    /// An empty queue of a trigger with or without a condition; not bounded where its events are bounded by what they come from.
    #[must_use]
    pub fn new(conditional: bool, bounded: bool) -> Self {
        Self { conditional, bounded, window: WINDOW, events: VecDeque::new(), bytes: 0, next: 0, in_flight: 0, asked: 0, dropped: 0 }
    }

    /// The same, with one call of the handler under way at a time.
    #[must_use]
    pub fn one_at_a_time(self) -> Self {
        Self { window: 1, ..self }
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Adds an event that happened at that time; false where too many wait, and it was dropped.
    pub fn push(&mut self, payload: Json, since: Instant) -> bool {
        let size = payload.as_bytes().len();
        let full = self.events.len() >= WAITING || (self.bytes + size > WAITING_BYTES && !self.events.is_empty());
        if self.bounded && full {
            self.dropped += 1;
            return false;
        }
        self.bytes += size;
        let condition = if self.conditional { Condition::Unasked } else { Condition::Passed };
        self.events.push_back(Event { ticket: self.next, payload, since, condition });
        self.next += 1;
        true
    }

    /// The next thing to do, if there is one and the window has room; the condition is asked only where it `may_ask`.
    pub fn step(&mut self, may_ask: bool) -> Option<Step> {
        while self.events.front().is_some_and(|event| event.condition == Condition::Failed) {
            self.pop();
        }
        if self.in_flight < self.window && self.events.front().is_some_and(|event| event.condition == Condition::Passed) {
            self.in_flight += 1;
            return self.pop().map(|event| Step::Call(event.payload, event.since));
        }
        if self.conditional && may_ask && self.asked < WINDOW {
            let event = self.events.iter_mut().take(WINDOW).find(|event| event.condition == Condition::Unasked)?;
            event.condition = Condition::Asked;
            self.asked += 1;
            return Some(Step::Ask(event.ticket, event.payload.clone()));
        }
        None
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        self.bytes -= event.payload.as_bytes().len();
        Some(event)
    }

    /// Records what the condition said of an event.
    pub fn answer(&mut self, ticket: Ticket, passed: bool) {
        self.asked = self.asked.saturating_sub(1);
        if let Some(event) = self.events.iter_mut().find(|event| event.ticket == ticket) {
            event.condition = if passed { Condition::Passed } else { Condition::Failed };
        }
    }

    /// Whether nothing waits and nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.events.is_empty() && self.in_flight == 0 && self.asked == 0
    }

    /// A handler has ended.
    pub fn done(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whose handler is called next.
    fn called(queue: &mut Queue) -> Option<Json> {
        match queue.step(true)? {
            Step::Call(payload, _) => Some(payload),
            Step::Ask(..) => None,
        }
    }

    fn payload(n: u64) -> Json {
        Json::assembled(n.to_string())
    }

    #[test]
    fn events_are_called_in_order_while_the_window_has_room() {
        let mut queue = Queue::new(false, true);
        for n in 0..WINDOW as u64 + 1 {
            assert!(queue.push(payload(n), Instant::now()));
        }
        for n in 0..WINDOW as u64 {
            assert_eq!(called(&mut queue), Some(payload(n)));
        }
        assert_eq!(queue.step(true), None);
        queue.done();
        assert_eq!(called(&mut queue), Some(payload(WINDOW as u64)));
    }

    #[test]
    fn one_at_a_time_waits_for_the_end_of_the_call_before() {
        let mut queue = Queue::new(false, true).one_at_a_time();
        queue.push(payload(1), Instant::now());
        queue.push(payload(2), Instant::now());
        assert_eq!((called(&mut queue), called(&mut queue)), (Some(payload(1)), None));
        queue.done();
        assert_eq!(called(&mut queue), Some(payload(2)));
    }

    #[test]
    fn event_waits_for_the_condition_of_the_one_before() {
        let mut queue = Queue::new(true, true);
        for n in 0..3 {
            queue.push(payload(n), Instant::now());
        }
        for n in 0..3 {
            assert_eq!(queue.step(true), Some(Step::Ask(n, payload(n))));
        }
        queue.answer(2, true);
        queue.answer(1, false);
        assert_eq!(queue.step(true), None);
        queue.answer(0, true);
        assert_eq!(called(&mut queue), Some(payload(0)));
        assert_eq!(called(&mut queue), Some(payload(2)));
        assert_eq!(queue.step(true), None);
    }

    #[test]
    fn condition_that_may_not_be_asked_holds_up_no_handler() {
        let mut queue = Queue::new(true, true);
        queue.push(payload(0), Instant::now());
        queue.push(payload(1), Instant::now());
        assert_eq!(queue.step(false), None);
        assert_eq!(queue.step(true), Some(Step::Ask(0, payload(0))));
        assert_eq!(queue.step(false), None);
        queue.answer(0, true);
        assert!(matches!(queue.step(false), Some(Step::Call(..))));
        assert_eq!(queue.step(false), None);
        assert_eq!(queue.step(true), Some(Step::Ask(1, payload(1))));
    }

    #[test]
    fn event_beyond_the_bound_is_dropped_and_counted() {
        let mut queue = Queue::new(false, true);
        for n in 0..WAITING as u64 {
            assert!(queue.push(payload(n), Instant::now()));
        }
        assert!(!queue.push(payload(0), Instant::now()));
        assert_eq!(queue.dropped, 1);
    }
}
