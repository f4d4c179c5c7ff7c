//! Which node has which slot.

use redis::Value;

use super::keys::{self, SLOTS};

/// The nodes by address, and what they hold. Outside a Cluster one node holds everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Topology {
    /// First slot, last slot, address; sorted, without overlap. Empty outside a Cluster.
    ranges: Vec<(u16, u16, String)>,
    /// The one node there is, outside a Cluster.
    single: Option<String>,
}

impl Topology {
    pub(super) fn single(address: String) -> Self {
        Self { ranges: Vec::new(), single: Some(address) }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.single.is_none()
    }

    /// Who has a slot; `None` where nobody does.
    pub(super) fn owner(&self, slot: u16) -> Option<&str> {
        if let Some(single) = &self.single {
            return Some(single);
        }
        let index = self.ranges.partition_point(|(_, last, _)| *last < slot);
        self.ranges.get(index).filter(|(first, _, _)| *first <= slot).map(|(_, _, address)| address.as_str())
    }

    /// Every node that has a slot, once.
    pub(super) fn nodes(&self) -> Vec<String> {
        let mut nodes: Vec<String> = self.single.iter().cloned().chain(self.ranges.iter().map(|(_, _, address)| address.clone())).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// The slot has moved, as a node says.
    pub(super) fn move_slot(&mut self, slot: u16, address: &str) {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 2);
        for (first, last, owner) in self.ranges.drain(..) {
            if slot < first || last < slot {
                ranges.push((first, last, owner));
                continue;
            }
            if first < slot {
                ranges.push((first, slot - 1, owner.clone()));
            }
            if slot < last {
                ranges.push((slot + 1, last, owner));
            }
        }
        ranges.push((slot, slot, address.to_owned()));
        ranges.sort_unstable();
        self.ranges = ranges;
    }

    /// A key that lives at the node, and is the same as long as the node has that slot.
    pub(super) fn life_key(&self, address: &str) -> Option<String> {
        (0..SLOTS).map(keys::life).find(|key| self.owner(keys::slot(key)) == Some(address))
    }

    /// Reads the answer to `CLUSTER SLOTS` that came from `asked`; a node that does not know its own name is called by that.
    pub(super) fn parse(reply: &Value, asked: &str) -> Option<Self> {
        let Value::Array(shards) = reply else { return None };
        let mut ranges = Vec::new();
        for shard in shards {
            let Value::Array(parts) = shard else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else { return None };
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let host = match host {
                Value::BulkString(host) if !host.is_empty() && host != b"?" => String::from_utf8(host.clone()).ok()?,
                Value::SimpleString(host) if !host.is_empty() => host.clone(),
                _ => asked.rsplit_once(':')?.0.to_owned(),
            };
            ranges.push((u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, format!("{host}:{port}")));
        }
        ranges.sort_unstable();
        (!ranges.is_empty()).then_some(Self { ranges, single: None })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shard(first: i64, last: i64, host: &str, port: i64) -> Value {
        let master = Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), Value::BulkString(b"id".to_vec())]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    #[test]
    fn slots_find_their_owners() {
        let reply = Value::Array(vec![shard(8_000, 16_383, "b", 2), shard(0, 6_999, "", 1)]);
        let mut topology = Topology::parse(&reply, "a:9").unwrap();
        assert_eq!(topology.owner(0), Some("a:1"));
        assert_eq!(topology.owner(6_999), Some("a:1"));
        assert_eq!(topology.owner(7_500), None);
        assert_eq!(topology.owner(16_383), Some("b:2"));
        assert_eq!(topology.nodes(), ["a:1", "b:2"]);
        topology.move_slot(5, "c:3");
        topology.move_slot(0, "c:3");
        topology.move_slot(7_500, "c:3");
        assert_eq!([4, 5, 6, 0, 1, 7_500].map(|slot| topology.owner(slot).unwrap()), ["a:1", "c:3", "a:1", "c:3", "a:1", "c:3"]);
        let key = topology.life_key("b:2").unwrap();
        assert_eq!(topology.owner(keys::slot(&key)), Some("b:2"));
        assert_eq!(topology.life_key("z:1"), None);
    }

    #[test]
    fn other_answers_are_no_topology() {
        for reply in [Value::Nil, Value::Array(Vec::new()), Value::Array(vec![Value::Int(1)]), Value::Array(vec![shard(-1, 5, "a", 1)])] {
            assert_eq!(Topology::parse(&reply, "a:1"), None);
        }
    }
}
