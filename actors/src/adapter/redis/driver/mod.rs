//! The driver: a task that owns the connections and sends every call in its turn.
//!
//! Each node has one connection, multiplexed and pipelined by the `redis` crate. A call is queued there the moment it is first polled, so the
//! driver polls each once when it sends it: that is what keeps the order. The crate's own Cluster client and connection manager are not
//! used, because they send again by themselves: what was written twice, or in another order, nobody would know.

mod health;
mod nodes;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use redis::{ConnectionInfo, Value};
use tokio::sync::{mpsc, watch};

use super::call::{Answer, Batch, Call, Index, Next, Phase};
use super::error::{self, Retry};
use super::index;
use super::keys;
use super::options::RedisOptions;
use super::order::{Order, Share, Turn};
use super::script::Constants;
use super::topology::Topology;
use crate::adapter::AdapterError;
use crate::ids::{GroupKey, Name};
use nodes::{Event, Nodes};

/// How long a call that Redis does not carry out is tried again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long until it is.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the nodes are looked after.
const TICK: Duration = Duration::from_millis(500);
/// Commands that are taken at once.
const BURST: usize = 256;
/// How long a group that was entered into the index is known to be there. What nobody has entered for a day may be cleared out.
const KNOWN: Duration = Duration::from_secs(3_600);
/// Groups that are known to be in the index at most.
const KNOWN_GROUPS: usize = 100_000;

/// Something for the driver to do.
#[derive(Debug)]
pub(super) enum Command {
    /// In its turn among the calls of a group.
    Call { by: u64, group: GroupKey, item: Option<Name>, share: Share, call: Call },
    /// When all calls before it were sent.
    Wide(Call),
    /// At once.
    Free(Call),
}

/// What others see of the nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) topology: Topology,
    /// How often the data of a node was found to be gone.
    pub(super) flushes: u64,
}

/// What is under way.
#[derive(Debug)]
enum Flight {
    Turn(Turn<Call>),
    Free(Call),
    Ping,
    Slots,
    Script,
}

#[derive(Debug)]
enum Wake {
    Group(GroupKey),
    Free(Box<Call>),
}

/// Why a call could not be sent.
enum Grounded {
    For(AdapterError),
    /// In a moment it may be, at this address.
    Now(&'static str, String),
}

/// What is known of a node besides its connection.
#[derive(Debug, Default)]
struct Health {
    pinged: Option<Instant>,
    /// The key that is gone when the node's data is, and what it held.
    life: Option<(String, Vec<u8>)>,
    loading: bool,
}

/// See the [module](self).
pub(super) struct Driver {
    constants: Constants,
    commands: mpsc::UnboundedReceiver<Command>,
    nodes: Nodes<Flight>,
    health: HashMap<String, Health>,
    topology: Topology,
    asked_slots: Option<Instant>,
    order: Order<Call>,
    /// Calls since the start.
    made: u64,
    wide: VecDeque<(u64, Call)>,
    /// What is sent again, and when.
    timers: BTreeMap<(Instant, u64), Wake>,
    /// When which group was entered into the index.
    known: HashMap<GroupKey, Instant>,
    seen: watch::Sender<Seen>,
    up: Arc<AtomicBool>,
    text: Arc<str>,
    response_timeout: Duration,
}

impl Driver {
    pub(super) fn new(
        options: &RedisOptions,
        constants: Constants,
        (seeds, topology): (Vec<ConnectionInfo>, Topology),
        commands: mpsc::UnboundedReceiver<Command>,
        (seen, up): (watch::Sender<Seen>, Arc<AtomicBool>),
        text: Arc<str>,
    ) -> Self {
        let mut driver = Self {
            constants,
            commands,
            nodes: Nodes::new(seeds, options, text.clone()),
            health: HashMap::new(),
            topology: Topology::default(),
            asked_slots: None,
            order: Order::new(),
            made: 0,
            wide: VecDeque::new(),
            timers: BTreeMap::new(),
            known: HashMap::new(),
            seen,
            up,
            text,
            response_timeout: options.response_timeout,
        };
        driver.enter(topology);
        driver
    }

    /// Runs until nobody can send commands any more and all are answered.
    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut open = true;
        while open || !self.nodes.is_idle() || !self.timers.is_empty() {
            let due = self.timers.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                command = self.commands.recv(), if open => match command {
                    Some(command) => {
                        self.command(command);
                        // What else is there goes out in the same write.
                        for _ in 0..BURST {
                            let Ok(command) = self.commands.try_recv() else { break };
                            self.command(command);
                        }
                    }
                    None => open = false,
                },
                events = self.nodes.events() => events.into_iter().for_each(|event| self.event(event)),
                () = sleep_until(due), if due.is_some() => self.wake(),
                _ = tick.tick() => self.tick(),
            }
            self.let_wide_go();
        }
    }

    fn command(&mut self, command: Command) {
        self.made += 1;
        let n = self.made;
        match command {
            Command::Call { by, group, item, share, call } => {
                if let Some(turn) = self.order.admit(Turn { n, by, group, item, share, what: call }) {
                    self.send(turn);
                }
            }
            Command::Wide(call) => self.wide.push_back((n, call)),
            Command::Free(call) => self.send_free(call),
        }
    }

    fn let_wide_go(&mut self) {
        while self.wide.front().is_some_and(|(n, _)| self.order.is_clear(*n)) {
            if let Some((_, call)) = self.wide.pop_front() {
                self.send_free(call);
            }
        }
    }

    /// Sends a call, and whatever may go because of what became of it.
    fn send(&mut self, turn: Turn<Call>) {
        let mut go = VecDeque::from([turn]);
        while let Some(turn) = go.pop_front() {
            go.extend(self.launch(turn));
        }
    }

    /// Sends one call; what may go now because it could not.
    fn launch(&mut self, turn: Turn<Call>) -> Vec<Turn<Call>> {
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
            return self.finish(turn, Err(impatient(retry)));
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

    fn after(&mut self, pause: Duration, wake: Wake) {
        self.made += 1;
        self.timers.insert((Instant::now() + pause, self.made), wake);
    }

    fn send_free(&mut self, mut call: Call) {
        if call.since.elapsed() > PATIENCE {
            return call.answer(Err(impatient(&Retry::Wait("it did not take the call".into()))));
        }
        let asked = call.ask.take();
        let Some(address) = asked.as_deref().or_else(|| self.topology.owner(call.slot)).map(str::to_owned) else {
            return self.after(PAUSE, Wake::Free(Box::new(call)));
        };
        let Some(connection) = self.nodes.connection(&address) else {
            if self.nodes.is_untried(&address) {
                return self.after(PAUSE, Wake::Free(Box::new(call)));
            }
            return call.answer(Err(error::away(&address)));
        };
        let mut batch = call.commands(&connection.sha, &call.about, None);
        if asked.is_some() {
            batch = batch.asking();
        }
        if let Err(Flight::Free(call)) = self.nodes.send(&address, batch, Flight::Free(call)) {
            call.answer(Err(error::away(&address)));
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Wake::Group(group) => {
                    for turn in self.order.resume(&group) {
                        self.send(turn);
                    }
                }
                Wake::Free(call) => self.send_free(*call),
            }
        }
    }

    fn event(&mut self, event: Event<Flight>) {
        match event {
            Event::Landed { address, flight, replies } => self.land(&address, flight, replies),
            Event::Opened(address) => {
                self.health.entry(address.clone()).or_default().pinged = None;
                self.ping(&address);
                self.publish(false);
                if self.topology.is_cluster() {
                    self.asked_slots = None;
                    self.ask_slots();
                }
            }
            Event::Closed => {
                self.publish(false);
                self.ask_slots();
            }
        }
    }

    fn land(&mut self, address: &str, flight: Flight, replies: Result<Vec<Value>, redis::RedisError>) {
        match flight {
            Flight::Turn(mut turn) => {
                self.order.answered(&turn.group);
                let next = turn.what.take(&turn.group, replies);
                let go = match next {
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
                        let error =
                            if turn.what.is_write() && !turn.what.is_reading() { error::unknown(address) } else { error::away(address) };
                        self.finish(turn, Err(error))
                    }
                };
                for turn in go {
                    self.send(turn);
                }
            }
            Flight::Free(mut call) => match call.take(&call.about.clone(), replies) {
                Next::Done(result) => call.answer(result),
                Next::Send => self.send_free(call),
                Next::Stall(retry) => {
                    call.ask = self.learn(call.slot, &retry, address);
                    self.after(if matches!(retry, Retry::Wait(_)) { PAUSE } else { Duration::ZERO }, Wake::Free(Box::new(call)));
                }
                Next::Lost => call.answer(Err(error::away(address))),
            },
            Flight::Ping => self.pong(address, replies.as_deref()),
            Flight::Script => self.health.entry(address.to_owned()).or_default().loading = false,
            Flight::Slots => {
                let topology = replies.ok().and_then(|replies| Topology::parse(replies.first()?, address));
                if let Some(topology) = topology.filter(|topology| *topology != self.topology) {
                    tracing::info!(nodes = topology.nodes().len(), "the redis cluster has changed");
                    self.enter(topology);
                }
            }
        }
    }
}

fn impatient(retry: &Retry) -> AdapterError {
    let detail = match retry {
        Retry::NoScript => "it does not keep the script",
        Retry::Moved(_) | Retry::Ask(_) => "the slot moves from node to node",
        Retry::Wait(detail) => detail,
    };
    AdapterError::Away(format!("redis did not take the call within {PATIENCE:?} ({detail}); nothing was stored"))
}

async fn sleep_until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}
