//! What a node would show its subscribers, made of nothing but the feed and snapshots.

use std::collections::{BTreeMap, HashMap};

use weir_actors::adapter::redis::{Feed, FeedItem, Redis};
use weir_actors::change::Position;
use weir_actors::ids::GroupKey;
use weir_actors::json::Json;
use weir_actors::store::ledger::{Body, Recorded};

use crate::server::DEADLINE;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) position: Option<Position>,
    pub(crate) timestamp: u64,
    pub(crate) items: BTreeMap<String, Json>,
}

pub(crate) struct Mirror {
    pub(crate) redis: Redis,
    pub(crate) feed: Feed,
    pub(crate) groups: HashMap<GroupKey, State>,
    pub(crate) resyncs: Vec<(GroupKey, Position, Option<u64>)>,
    /// Every change, as `seq item kind`, by group and epoch.
    pub(crate) seen: HashMap<(GroupKey, u64), Vec<(u64, String)>>,
}

impl Mirror {
    pub(crate) fn new(redis: Redis, feed: Feed) -> Self {
        Self { redis, feed, groups: HashMap::new(), resyncs: Vec::new(), seen: HashMap::new() }
    }

    pub(crate) async fn watch(&mut self, group: &GroupKey) {
        let position = self.redis.watch(group).await.unwrap();
        self.groups.insert(group.clone(), State { position: Some(position), ..State::default() });
        self.load(group).await;
    }

    async fn load(&mut self, group: &GroupKey) {
        // What a subscriber does: the state at a position, and then only what comes after.
        let snapshot = loop {
            match self.redis.snapshot(0, group, true, &[]).await {
                Ok(snapshot) => break snapshot,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        let items = snapshot.whole.unwrap().into_iter().map(|(name, json)| (name.as_str().to_owned(), json)).collect();
        self.groups.insert(group.clone(), State { position: Some(snapshot.position), timestamp: snapshot.timestamp, items });
    }

    /// Takes one item of the feed.
    pub(crate) async fn step(&mut self) {
        let item = tokio::time::timeout(DEADLINE, self.feed.next()).await.expect("the feed is silent").expect("the feed has ended");
        self.take(item).await;
    }

    /// Takes all that comes until a group is at a position of its current epoch.
    pub(crate) async fn reach(&mut self, group: &GroupKey, position: Position) {
        while self.groups[group].position.is_none_or(|at| at.epoch != position.epoch || at.seq < position.seq) {
            self.step().await;
        }
    }

    pub(crate) async fn take(&mut self, item: FeedItem) {
        match item {
            FeedItem::Change(change) => self.apply(change),
            FeedItem::Resync { group, position, missed } => {
                self.resyncs.push((group.clone(), position, missed));
                self.load(&group).await;
            }
            other => panic!("{other:?}"),
        }
    }

    fn apply(&mut self, change: Recorded) {
        let Recorded { group, item, position, timestamp, body } = change;
        let name = item.as_ref().map(|item| item.as_str().to_owned()).unwrap_or_default();
        let seen = self.seen.entry((group.clone(), position.epoch)).or_default();
        assert!(seen.last().is_none_or(|(last, _)| *last < position.seq), "{position:?} of {group:?} comes after {:?}", seen.last());
        seen.push((position.seq, format!("{name} {}", body.kind().as_str())));
        let state = self.groups.entry(group.clone()).or_default();
        if let Some(at) = state.position {
            assert_eq!(at.epoch, position.epoch, "{group:?}: another epoch without a resync");
            if position.seq <= at.seq {
                return; // It is in the snapshot.
            }
            assert_eq!(position.seq, at.seq + 1, "{group:?}: a hole");
            assert!(timestamp > state.timestamp, "{group:?}: {timestamp} after {}", state.timestamp);
        }
        state.position = Some(position);
        state.timestamp = timestamp;
        match body {
            Body::Written { old, new } => {
                let before = state.items.insert(name.clone(), new);
                assert_eq!(old.is_some(), before.is_some(), "{group:?} {name}: {position:?}");
                assert_eq!(old.is_some_and(|old| old.is_null()), before.is_some_and(|old| old.is_null()));
            }
            Body::Deleted { old } => assert_eq!(state.items.remove(&name), Some(old)),
            Body::Event { .. } => {}
        }
    }

    /// The group is as the store has it, when all has come.
    pub(crate) async fn agrees(&mut self, group: &GroupKey) {
        let snapshot = self.redis.snapshot(0, group, true, &[]).await.unwrap();
        self.reach(group, snapshot.position).await;
        let state = &self.groups[group];
        assert_eq!((state.position, state.timestamp), (Some(snapshot.position), snapshot.timestamp));
        let items: BTreeMap<_, _> = snapshot.whole.unwrap().into_iter().map(|(name, json)| (name.as_str().to_owned(), json)).collect();
        assert_eq!(state.items, items);
    }
}
