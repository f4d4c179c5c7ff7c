//! Which nodes there are, whether they are well, and whether they still have what they had.

use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, Value};

use super::super::call::Batch;
use super::super::error::Retry;
use super::super::topology::Topology;
use super::{Driver, Flight, PAUSE};

/// How old what is known of a Cluster may be.
const RENEWED: Duration = Duration::from_secs(5);

/// How long a node may take no writes until it is connected anew.
const READ_ONLY: Duration = Duration::from_secs(1);

impl Driver {
    /// Does what a refusal asks for. Where the call is to be sent for once, if that is elsewhere.
    pub(super) fn learn(&mut self, slot: u16, retry: &Retry, address: &str) -> Option<String> {
        let at = |to: &str| {
            if to.starts_with(':') { format!("{}{to}", address.rsplit_once(':').map_or("", |(host, _)| host)) } else { to.to_owned() }
        };
        match retry {
            Retry::NoScript => self.load_script(address),
            Retry::Moved(to) => {
                let to = at(to);
                self.nodes.ensure(&to);
                self.topology.move_slot(slot, &to);
                self.publish(false);
                self.ask_slots();
            }
            Retry::Ask(to) => {
                let to = at(to);
                self.nodes.ensure(&to);
                return Some(to);
            }
            Retry::Wait(detail) if detail.starts_with("READONLY") && !self.topology.is_cluster() => self.suspect(address),
            Retry::Wait(_) => self.ask_slots(),
        }
        None
    }

    /// The one node there is takes no writes. Another may have its place by now, behind a name or a proxy, which only new connections find.
    fn suspect(&mut self, address: &str) {
        let health = self.health.entry(address.to_owned()).or_default();
        if health.read_only.get_or_insert_with(Instant::now).elapsed() > READ_ONLY {
            health.read_only = None;
            self.nodes.reconnect(address);
            self.publish(false);
            self.seen.send_modify(|seen| seen.suspicions += 1);
        }
    }

    /// Loads the script anew. Calls that follow on the same connection find it.
    pub(super) fn load_script(&mut self, address: &str) {
        let health = self.health.entry(address.to_owned()).or_default();
        if !health.loading {
            tracing::info!(address, "redis has forgotten the script; it is loaded again");
            let mut load = Cmd::new();
            load.arg("SCRIPT").arg("LOAD").arg(&*self.text);
            health.loading = self.nodes.send(address, Batch::One(load), Flight::Script).is_ok();
        }
    }

    /// Takes over what is known of the nodes.
    pub(super) fn enter(&mut self, topology: Topology) {
        let nodes = topology.nodes();
        for address in &nodes {
            self.nodes.ensure(address);
        }
        self.nodes.keep(&nodes);
        self.topology = topology;
        for health in self.health.values_mut() {
            // The slot may have moved, and then the key is at another node.
            health.life = None;
        }
        self.publish(false);
    }

    /// Tells the others.
    pub(super) fn publish(&mut self, flushed: bool) {
        let nodes = self.topology.nodes();
        self.link.set(nodes.iter().filter(|address| self.nodes.is_up(address)).count(), nodes.len());
        let topology = &self.topology;
        self.seen.send_if_modified(|seen| {
            let changed = flushed || seen.topology != *topology;
            if changed {
                seen.topology = topology.clone();
                seen.flushes += u64::from(flushed);
            }
            changed
        });
    }

    /// Asks any node who has which slot, now and then.
    pub(super) fn ask_slots(&mut self) {
        if !self.topology.is_cluster() || self.asked_slots.is_some_and(|at| at.elapsed() < PAUSE * 5) {
            return;
        }
        let connected = self.nodes.connected();
        if connected.is_empty() {
            return self.nodes.ensure_seeds();
        }
        self.asked_slots = Some(Instant::now());
        let address = &connected[rand::random_range(0..connected.len())];
        let mut slots = Cmd::new();
        slots.arg("CLUSTER").arg("SLOTS");
        // Where that fails, the next tick asks again.
        let _ = self.nodes.send(address, Batch::One(slots), Flight::Slots);
    }

    pub(super) fn tick(&mut self) {
        for address in self.nodes.addresses() {
            let silent = self.health.get(&address).and_then(|health| health.pinged).is_some_and(|at| at.elapsed() > self.response_timeout);
            if !silent {
                self.ping(&address);
                continue;
            }
            tracing::warn!(address, timeout = ?self.response_timeout, "redis does not answer");
            self.health.remove(&address);
            for flight in self.nodes.give_up(&address) {
                self.land(&address, flight, Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
            }
            self.publish(false);
        }
        // Also now and then, for a node that only listens and is told of no move.
        if self.asked_slots.is_none_or(|at| at.elapsed() > RENEWED)
            || self.topology.nodes().iter().any(|address| !self.nodes.is_up(address))
        {
            self.ask_slots();
        }
    }

    /// Asks for a sign of life, and whether the data is still there.
    pub(super) fn ping(&mut self, address: &str) {
        let health = self.health.entry(address.to_owned()).or_default();
        if health.pinged.is_some() {
            return;
        }
        let mut ping = Pipeline::new();
        match self.topology.life_key(address) {
            Some(key) => {
                ping.cmd("SET").arg(&key).arg(rand::random::<u64>()).arg("NX").cmd("GET").arg(&key);
                if health.life.as_ref().is_none_or(|(known, _)| *known != key) {
                    health.life = Some((key, Vec::new()));
                }
            }
            None => {
                ping.cmd("PING");
            }
        }
        if self.nodes.send(address, Batch::Many(ping), Flight::Ping).is_ok() {
            health.pinged = Some(Instant::now());
        }
    }

    pub(super) fn pong(&mut self, address: &str, replies: Result<&[Value], &redis::RedisError>) {
        let Some(health) = self.health.get_mut(address) else { return };
        health.pinged = None;
        let (Some((_, known)), Ok([_, Value::BulkString(life)])) = (&mut health.life, replies) else { return };
        if known.is_empty() {
            known.clone_from(life);
        } else if known != life {
            tracing::warn!(address, "the data of redis is gone; all groups begin anew");
            known.clone_from(life);
            self.known.clear();
            self.publish(true);
        }
    }
}
