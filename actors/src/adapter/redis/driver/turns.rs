//! Calls in their turn: how each is sent, and what becomes of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use redis::Value;

use super::super::call::{Answer, Batch, Call, Index, Next, Phase};
use super::super::error::{self, Retry};
use super::super::order::{Share, Turn};
use super::super::{index, keys};
use super::{Driver, Flight, PATIENCE, PAUSE, Wake, impatient};
use crate::adapter::AdapterError;
use crate::ids::GroupKey;

/// How long a group that was entered into the index is known to be there. What nobody has entered for a day may be cleared out.
const KNOWN: Duration = Duration::from_secs(3_600);
/// Groups that are known to be in the index at most.
const KNOWN_GROUPS: usize = 100_000;

/// Why a call could not be sent.
enum Grounded {
    For(AdapterError),
    /// In a moment it may be, at this address.
    Now(&'static str, String),
}

impl Driver {
    /// Sends calls, and whatever may go because of what became of them.
    pub(super) fn send(&mut self, turns: Vec<Turn<Call>>) {
        let mut go = VecDeque::from(turns);
        while let Some(turn) = go.pop_front() {
            go.extend(self.launch(turn));
        }
    }

    /// Sends one call; what may go now because it could not.
    fn launch(&mut self, turn: Turn<Call>) -> Vec<Turn<Call>> {
        if self.order.is_stalled(&turn.group) {
            // Of those that were let go together, one before it could not be sent.
            let group = turn.group.clone();
            self.order.answered(&group);
            self.order.stall(turn);
            self.resume_later(&group, PAUSE);
            return Vec::new();
        }
        let (turn, why) = match self.try_launch(turn) {
            Ok(()) => return Vec::new(),
            Err(grounded) => *grounded,
        };
        self.order.answered(&turn.group);
        match why {
            Grounded::For(error) => self.finish(turn, Err(error)),
            Grounded::Now(detail, address) => self.stall(turn, &Retry::Wait(detail.into()), &address),
        }
    }

    fn try_launch(&mut self, mut turn: Turn<Call>) -> Result<(), Box<(Turn<Call>, Grounded)>> {
        let call = &mut turn.what;
        if let Err(error) = call.prepare(&turn.group) {
            return Err(Box::new((turn, Grounded::For(error))));
        }
        let asked = call.ask.take();
        let Some(address) = asked.as_deref().or_else(|| self.topology.owner(call.slot())).map(str::to_owned) else {
            return Err(Box::new((turn, Grounded::Now("no node serves its slot", String::new()))));
        };
        if self.health.get(&address).is_some_and(|health| health.loading) {
            // It would find the script, and so overtake those under way that have not.
            return Err(Box::new((turn, Grounded::Now("the script is being loaded", address))));
        }
        let Some(connection) = self.nodes.connection(&address) else {
            let why = if self.nodes.is_untried(&address) {
                Grounded::Now("the node is being connected", address)
            } else {
                Grounded::For(error::away(&address))
            };
            return Err(Box::new((turn, why)));
        };
        let mut batch = match call.phase {
            Phase::Indexing(_) => Batch::Many(index::enter(&turn.group, self.constants.db)),
            Phase::First => call.commands(&connection.sha, &turn.group, turn.item.as_ref()),
        };
        if let (Phase::First, true) = (&call.phase, call.is_write()) {
            let along = asked.is_none() && self.topology.owner(keys::slot(keys::STREAMS)) == Some(&address);
            call.index = match (self.known.get(&turn.group).is_some_and(|at| at.elapsed() < KNOWN), batch) {
                (true, same) => {
                    batch = same;
                    Index::Known
                }
                (false, Batch::One(cmd)) if along => {
                    let mut pipe = index::enter(&turn.group, self.constants.db);
                    pipe.add_command(cmd);
                    batch = Batch::Many(pipe);
                    Index::Along
                }
                (false, same) => {
                    batch = same;
                    self.order.hold(turn.n);
                    Index::After
                }
            };
        }
        if asked.is_some() {
            batch = batch.asking();
        }
        match self.nodes.send(&address, batch, Flight::Turn(turn)) {
            Err(Flight::Turn(turn)) => Err(Box::new((turn, Grounded::For(error::away(&address))))),
            _ => Ok(()),
        }
    }

    /// A call is done; what may go now.
    fn finish(&mut self, turn: Turn<Call>, result: Result<Answer, AdapterError>) -> Vec<Turn<Call>> {
        let Turn { n, by, group, item, share, what: mut call } = turn;
        if result.is_ok() && call.enters_index() {
            if self.known.len() >= KNOWN_GROUPS {
                self.known.clear();
            }
            self.known.insert(group.clone(), Instant::now());
        }
        let mut held = match &result {
            Ok(Answer::Applied(applied)) if share == Share::Update => Some(applied.new.clone()),
            _ => None,
        };
        if let Some(reply) = call.reply.take() {
            // A caller who went away needs no answer.
            let _ = reply.send(result);
        }
        let mut go = self.order.done(n, by, &group, item.as_ref());
        // Updates that have waited for this one need not read what it has just written.
        for turn in go.iter_mut().filter(|turn| turn.item == item) {
            if let Some(held) = &held {
                turn.what.assume(held.as_ref());
            }
            held = turn.what.leaves().or(held);
        }
        self.resume_later(&group, Duration::ZERO);
        go
    }

    /// A call was not carried out: it goes again when what is under way for the group is answered. What may go now instead.
    fn stall(&mut self, turn: Turn<Call>, retry: &Retry, address: &str) -> Vec<Turn<Call>> {
        if turn.what.since.elapsed() > PATIENCE {
            let error = if turn.what.is_stored() { error::not_indexed(&impatient(retry)) } else { impatient(retry) };
            return self.finish(turn, Err(error));
        }
        let (group, slot) = (turn.group.clone(), turn.what.slot());
        let mut turn = turn;
        turn.what.ask = self.learn(slot, retry, address);
        self.order.stall(turn);
        self.resume_later(&group, if matches!(retry, Retry::Wait(_)) { PAUSE } else { Duration::ZERO });
        Vec::new()
    }

    fn resume_later(&mut self, group: &GroupKey, pause: Duration) {
        if self.order.is_resumable(group) {
            self.after(pause, Wake::Group(group.clone()));
        }
    }

    pub(super) fn land_turn(&mut self, address: &str, mut turn: Turn<Call>, replies: Result<Vec<Value>, redis::RedisError>) {
        self.order.answered(&turn.group);
        let next = turn.what.take(&turn.group, replies);
        let may_be_stored = match &next {
            Next::Done(result) => matches!(result, Ok(_) | Err(AdapterError::Unknown(_))),
            Next::Send => turn.what.is_stored(),
            Next::Stall(_) => false,
            Next::Lost => !turn.what.is_reading(),
        };
        // Writes before it that were not carried out go no more.
        let passed = if turn.what.is_write() && may_be_stored { self.order.passed_by(&turn, Call::is_unstored) } else { Vec::new() };
        let mut go = match next {
            Next::Done(Ok(_)) if !turn.what.is_write() && self.order.has_passed(&turn, Call::is_unstored) => {
                self.stall(turn, &Retry::Wait("it did not take a call before it".into()), address)
            }
            Next::Done(result) => self.finish(turn, result),
            Next::Send => {
                let group = turn.group.clone();
                let go = self.order.proceed(turn).into_iter().collect();
                self.resume_later(&group, Duration::ZERO);
                go
            }
            Next::Stall(retry) => self.stall(turn, &retry, address),
            Next::Lost => {
                self.publish(false);
                // A read that was lost has done nothing.
                let error = if turn.what.is_write() && !turn.what.is_reading() { error::unknown(address) } else { error::away(address) };
                self.finish(turn, Err(error))
            }
        };
        for turn in passed {
            let text = format!("redis at {address} refused the call for a moment, but took a later one; nothing was stored");
            go.extend(self.finish(turn, Err(AdapterError::Away(text))));
        }
        self.send(go);
    }
}
