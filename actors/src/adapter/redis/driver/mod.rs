//! The driver: a task that owns the connections and sends every call in its turn.
//!
//! Each node has one connection, multiplexed and pipelined by the `redis` crate. A call is queued there the moment it is first polled, so the
//! driver polls each once when it sends it: that is what keeps the order. The crate's own Cluster client and connection manager are not
//! used, because they send again by themselves: what was written twice, or in another order, nobody would know.

mod health;
mod nodes;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ConnectionInfo, Value};
use tokio::sync::{mpsc, watch};

use super::call::{Call, Next};
use super::error::{self, Retry};
use super::options::RedisOptions;
use super::order::{Order, Share, Turn};
use super::script::Constants;
use super::topology::Topology;
use crate::adapter::AdapterError;
use crate::hash::HashMap;
use crate::health::Link;
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
/// Reads without a place in an order that are under way at most. The connections have room for so many beside all other calls: where a call
/// must wait for room there, the next may get in before it.
pub(super) const FREE: usize = 512;

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
    /// How often the node was thought to be no longer the one behind its address.
    pub(super) suspicions: u64,
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

/// What is known of a node besides its connection.
#[derive(Debug, Default)]
struct Health {
    pinged: Option<Instant>,
    /// The key that is gone when the node's data is, and what it held.
    life: Option<(String, Vec<u8>)>,
    loading: bool,
    /// Since when it takes no writes.
    read_only: Option<Instant>,
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
    /// Reads without a place: how many are under way, and those that wait for that.
    free_flights: usize,
    free: VecDeque<Call>,
    /// What is sent again, and when.
    timers: BTreeMap<(Instant, u64), Wake>,
    /// When which group was entered into the index.
    known: HashMap<GroupKey, Instant>,
    seen: watch::Sender<Seen>,
    link: Arc<Link>,
    text: Arc<str>,
    response_timeout: Duration,
}

impl Driver {
    pub(super) fn new(
        options: &RedisOptions,
        constants: Constants,
        (seeds, topology): (Vec<ConnectionInfo>, Topology),
        commands: mpsc::UnboundedReceiver<Command>,
        (seen, link): (watch::Sender<Seen>, Arc<Link>),
        text: Arc<str>,
    ) -> Self {
        let mut driver = Self {
            constants,
            commands,
            nodes: Nodes::new(seeds, options, text.clone()),
            health: HashMap::default(),
            topology: Topology::default(),
            asked_slots: None,
            order: Order::new(),
            made: 0,
            wide: VecDeque::new(),
            free_flights: 0,
            free: VecDeque::new(),
            timers: BTreeMap::new(),
            known: HashMap::default(),
            seen,
            link,
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
                let go = self.order.admit(Turn { n, by, group, item, share, what: call });
                self.send(go.into_iter().collect());
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
        if self.free_flights >= FREE {
            call.ask = asked;
            return self.free.push_back(call);
        }
        let mut batch = call.commands(&connection.sha, &call.about, None);
        if asked.is_some() {
            batch = batch.asking();
        }
        match self.nodes.send(&address, batch, Flight::Free(call)) {
            Err(Flight::Free(call)) => call.answer(Err(error::away(&address))),
            _ => self.free_flights += 1,
        }
    }

    fn land_free(&mut self, address: &str, mut call: Call, replies: Result<Vec<Value>, redis::RedisError>) {
        self.free_flights -= 1;
        match call.take(&call.about.clone(), replies) {
            Next::Done(result) => call.answer(result),
            Next::Send => self.send_free(call),
            Next::Stall(retry) => {
                call.ask = self.learn(call.slot, &retry, address);
                self.after(if matches!(retry, Retry::Wait(_)) { PAUSE } else { Duration::ZERO }, Wake::Free(Box::new(call)));
            }
            Next::Lost => call.answer(Err(error::away(address))),
        }
        while self.free_flights < FREE
            && let Some(call) = self.free.pop_front()
        {
            self.send_free(call);
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            match entry.remove() {
                Wake::Group(group) => {
                    let go = self.order.resume(&group);
                    self.send(go);
                }
                Wake::Free(call) => self.send_free(*call),
            }
        }
    }

    fn event(&mut self, event: Event<Flight>) {
        match event {
            Event::Landed { address, flight, replies } => self.land(&address, flight, replies),
            Event::Opened(address) => {
                let health = self.health.entry(address.clone()).or_default();
                (health.pinged, health.read_only) = (None, None);
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
            Flight::Turn(turn) => self.land_turn(address, turn, replies),
            Flight::Free(call) => self.land_free(address, call, replies),
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
