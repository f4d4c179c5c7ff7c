//! What somebody who is shown a group has seen of it, and what must follow from that.

use std::collections::HashMap;

use serde_json::Value;

/// Whoever writes an item counts its writes, deletions included, in `n`; so each change is one more than the one before.
#[derive(Default)]
pub(super) struct Seen {
    items: HashMap<String, u64>,
    timestamp: u64,
}

impl Seen {
    /// Takes the state of the group.
    pub(super) fn sync(&mut self, timestamp: u64, items: &Value) -> Result<(), String> {
        self.rises(timestamp, true)?;
        let mut state = HashMap::new();
        for item in items.as_array().ok_or_else(|| format!("a state that is no array: {items}"))? {
            let (id, n) = (item["id"].as_str().unwrap_or_default().to_owned(), item["n"].as_u64().unwrap_or_default());
            if self.items.get(&id).is_some_and(|before| n < *before) {
                return Err(format!("the state has {id} at {n}, which was {:?} before", self.items.get(&id)));
            }
            state.insert(id, n);
        }
        self.items = state;
        Ok(())
    }

    /// Takes a change of the item.
    pub(super) fn change(&mut self, timestamp: u64, id: &str, kind: &str, data: &Value) -> Result<(), String> {
        self.rises(timestamp, false)?;
        let before = self.items.get(id).copied();
        // A deletion shows what was there, or nothing.
        let now = if kind == "delete" { before.map(|n| n + 1) } else { data["n"].as_u64() };
        let Some(now) = now else { return Ok(()) };
        if before.is_some_and(|before| now != before + 1) {
            return Err(format!("{kind} of {id} shows {now} after {before:?}"));
        }
        self.items.insert(id.to_owned(), now);
        Ok(())
    }

    fn rises(&mut self, timestamp: u64, may_stay: bool) -> Result<(), String> {
        let before = std::mem::replace(&mut self.timestamp, timestamp);
        if timestamp < before || timestamp == before && !may_stay { Err(format!("timestamp {timestamp} after {before}")) } else { Ok(()) }
    }
}
