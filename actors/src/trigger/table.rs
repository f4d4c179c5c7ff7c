//! Triggers and trigger types of all workers. No actor, no lock.
//!
//! A binding to a type that nobody provides yet is kept and handed to the provider when it comes; one whose provider leaves waits again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::config::{Filter, Kind};
use crate::ids::{GroupKey, SocketId};
use crate::json::Json;

/// A trigger: a function that is called when something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Chosen by the worker; registering it again replaces the trigger.
    pub id: Box<str>,
    /// The type as the worker wrote it.
    pub trigger_type: Box<str>,
    /// What is called.
    pub function_id: Box<str>,
    /// The configuration as the worker wrote it.
    pub config: Json,
    /// Opaque.
    pub metadata: Option<Json>,
    /// The configuration as it was understood.
    pub kind: Kind,
    /// The worker that registered it.
    pub owner: SocketId,
    /// Whether the next call waits for the end of the one before.
    pub one_at_a_time: bool,
}

/// A trigger type that a worker provides.
#[derive(Debug, Clone)]
pub struct Provider<H> {
    /// The worker's socket.
    pub owner: SocketId,
    /// What reaches that worker.
    pub handle: H,
    /// Text for people.
    pub description: String,
}

#[derive(Debug)]
struct Slot {
    binding: Arc<Binding>,
    /// The provider that was told of it.
    told: Option<SocketId>,
}

/// A message for a provider that follows from a change of the table.
#[derive(Debug)]
pub enum Tell<H> {
    /// The binding is new to this provider.
    Bind(H, Arc<Binding>),
    /// The binding is gone.
    Unbind(H, Arc<Binding>),
}

/// All triggers, in the order in which they were registered, and who provides which type.
#[derive(Debug)]
pub struct TriggerTable<H> {
    slots: BTreeMap<u64, Slot>,
    places: HashMap<Box<str>, u64>,
    providers: HashMap<Box<str>, Vec<Provider<H>>>,
    next: u64,
}

impl<H> Default for TriggerTable<H> {
    fn default() -> Self {
        Self { slots: BTreeMap::new(), places: HashMap::new(), providers: HashMap::new(), next: 0 }
    }
}

impl<H: Clone> TriggerTable<H> {
    /// Adds a trigger or replaces the one with its id, whoever owned that; the trigger keeps its place then.
    pub fn register(&mut self, binding: Binding) -> (Arc<Binding>, Vec<Tell<H>>) {
        let binding = Arc::new(binding);
        let mut tell = Vec::new();
        let place = *self.places.entry(binding.id.clone()).or_insert_with(|| {
            self.next += 1;
            self.next
        });
        // Published Rust SDKs up to 0.11 send every registration twice; that is no news to the provider.
        let told = match self.slots.remove(&place) {
            Some(old) if *old.binding == *binding => old.told,
            Some(old) => {
                tell.extend(self.unbind(&old));
                None
            }
            None => None,
        };
        self.slots.insert(place, Slot { binding: binding.clone(), told });
        tell.extend(self.bind(place));
        (binding, tell)
    }

    /// Removes a trigger, if `owner` (where given) still owns it.
    pub fn unregister(&mut self, id: &str, owner: Option<SocketId>) -> Option<(Arc<Binding>, Vec<Tell<H>>)> {
        let place = *self.places.get(id)?;
        if owner.is_some_and(|owner| self.slots.get(&place).is_some_and(|slot| slot.binding.owner != owner)) {
            return None;
        }
        self.places.remove(id);
        let slot = self.slots.remove(&place)?;
        let tell = self.unbind(&slot).into_iter().collect();
        Some((slot.binding, tell))
    }

    /// Makes a worker the newest provider of a type and tells it of the bindings that it does not know.
    pub fn provide(&mut self, trigger_type: &str, provider: Provider<H>) -> Vec<Tell<H>> {
        let providers = self.providers.entry(trigger_type.into()).or_default();
        providers.retain(|other| other.owner != provider.owner);
        providers.push(provider);
        self.bind_all(trigger_type)
    }

    /// Ends a worker's providing of a type; its bindings go to an older provider, or wait for the next.
    pub fn withdraw(&mut self, trigger_type: &str, owner: SocketId) -> Vec<Tell<H>> {
        let Some(providers) = self.providers.get_mut(trigger_type) else { return Vec::new() };
        providers.retain(|provider| provider.owner != owner);
        if providers.is_empty() {
            self.providers.remove(trigger_type);
        }
        for slot in self.slots.values_mut().filter(|slot| slot.told == Some(owner) && *slot.binding.trigger_type == *trigger_type) {
            slot.told = None;
        }
        self.bind_all(trigger_type)
    }

    fn bind_all(&mut self, trigger_type: &str) -> Vec<Tell<H>> {
        let places: Vec<u64> =
            self.slots.iter().filter(|(_, slot)| *slot.binding.trigger_type == *trigger_type).map(|(place, _)| *place).collect();
        places.into_iter().filter_map(|place| self.bind(place)).collect()
    }

    fn bind(&mut self, place: u64) -> Option<Tell<H>> {
        let slot = self.slots.get_mut(&place)?;
        let provider = self.providers.get(&slot.binding.trigger_type)?.last()?;
        if slot.told == Some(provider.owner) {
            return None;
        }
        slot.told = Some(provider.owner);
        Some(Tell::Bind(provider.handle.clone(), slot.binding.clone()))
    }

    fn unbind(&self, slot: &Slot) -> Option<Tell<H>> {
        let told = slot.told?;
        let provider = self.providers.get(&slot.binding.trigger_type)?.iter().find(|provider| provider.owner == told)?;
        Some(Tell::Unbind(provider.handle.clone(), slot.binding.clone()))
    }

    /// The trigger with that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Binding>> {
        self.slots.get(self.places.get(id)?).map(|slot| &slot.binding)
    }

    /// All triggers, in the order in which they were registered.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Binding>> {
        self.slots.values().map(|slot| &slot.binding)
    }

    /// All types that workers provide, with their serving provider, in no order.
    pub fn providers(&self) -> impl Iterator<Item = (&str, &Provider<H>)> {
        self.providers.iter().filter_map(|(name, providers)| Some((&**name, providers.last()?)))
    }

    /// The triggers for a client that joins or leaves, in the order in which they were registered.
    #[must_use]
    pub fn for_session(&self, join: bool, group: &GroupKey, item: Option<&str>) -> Vec<(Arc<Binding>, Filter)> {
        let pick = |binding: &Arc<Binding>| match (&binding.kind, join) {
            (Kind::Join(filter), true) | (Kind::Leave(filter), false) if filter.matches(group, item) => {
                Some((binding.clone(), filter.clone()))
            }
            _ => None,
        };
        self.iter().filter_map(pick).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn binding(id: &str, trigger_type: &str, owner: SocketId) -> Binding {
        let config = Json::assembled(r#"{"stream_name":"s"}"#);
        let kind = Kind::parse(trigger_type, &config).unwrap();
        Binding {
            id: id.into(),
            trigger_type: trigger_type.into(),
            function_id: "f".into(),
            config,
            metadata: None,
            kind,
            owner,
            one_at_a_time: false,
        }
    }

    fn provider(owner: SocketId) -> Provider<&'static str> {
        Provider { owner, handle: "provider", description: String::new() }
    }

    #[test]
    fn binding_before_its_type_is_told_once_when_the_provider_comes() {
        let (consumer, first, second) = (SocketId::next(), SocketId::next(), SocketId::next());
        let mut table = TriggerTable::default();
        assert!(table.register(binding("t", "hook", consumer)).1.is_empty());
        assert!(matches!(&table.provide("hook", provider(first))[..], [Tell::Bind(_, b)] if &*b.id == "t"));
        assert!(table.provide("hook", provider(first)).is_empty());
        assert!(table.withdraw("hook", first).is_empty());
        assert_eq!(table.provide("hook", provider(second)).len(), 1);
        let (_, tell) = table.unregister("t", Some(consumer)).unwrap();
        assert!(matches!(&tell[..], [Tell::Unbind(..)]));
    }

    #[test]
    fn repeated_registration_is_no_news_and_a_changed_one_is() {
        let owner = SocketId::next();
        let mut table = TriggerTable::default();
        table.provide("hook", provider(SocketId::next()));
        assert_eq!(table.register(binding("t", "hook", owner)).1.len(), 1);
        assert!(table.register(binding("t", "hook", owner)).1.is_empty());
        let changed = Binding { function_id: "g".into(), ..binding("t", "hook", owner) };
        assert!(matches!(&table.register(changed).1[..], [Tell::Unbind(..), Tell::Bind(..)]));
        assert_eq!(table.iter().count(), 1);
    }

    #[test]
    fn late_clean_up_does_not_remove_what_a_new_connection_registered() {
        let (old, new) = (SocketId::next(), SocketId::next());
        let mut table: TriggerTable<()> = TriggerTable::default();
        table.register(binding("t", "stream", old));
        table.register(binding("t", "stream", new));
        assert!(table.unregister("t", Some(old)).is_none());
        assert_eq!(table.get("t").unwrap().owner, new);
        assert!(table.unregister("t", Some(new)).is_some());
    }

    #[test]
    fn older_provider_takes_over_when_the_newest_leaves() {
        let (consumer, old, new) = (SocketId::next(), SocketId::next(), SocketId::next());
        let mut table = TriggerTable::default();
        table.provide("hook", provider(old));
        table.provide("hook", provider(new));
        assert_eq!(table.register(binding("t", "hook", consumer)).1.len(), 1);
        assert_eq!(table.withdraw("hook", new).len(), 1);
    }

    #[test]
    fn join_triggers_are_matched_in_order_of_registration() {
        let owner = SocketId::next();
        let mut table: TriggerTable<()> = TriggerTable::default();
        for id in ["z", "a", "m"] {
            table.register(binding(id, "stream:join", owner));
        }
        table.register(binding("leave", "stream:leave", owner));
        let ids: Vec<_> = table.for_session(true, &GroupKey::new("s", "g"), None).iter().map(|(b, _)| b.id.to_string()).collect();
        assert_eq!(ids, ["z", "a", "m"]);
        assert!(table.for_session(true, &GroupKey::new("other", "g"), None).is_empty());
        assert_eq!(table.for_session(false, &GroupKey::new("s", "g"), None).len(), 1);
    }
}
