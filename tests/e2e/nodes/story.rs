//! All that was written, told and seen, held against each other and against the store.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use serde_json::{Value, json};

use super::STREAM;
use super::watcher::{END, Frame, Scope, Watcher};
use super::writer::{Call, Kind, Outcome, shared};
use crate::server::{DEADLINE, POLL, Server};
use crate::worker::{Worker, group as list_of};

/// Frames that a failure shows around the one in question.
const AROUND: usize = 3;

/// See the [module](self).
pub(super) struct Story {
    pub(super) watchers: Vec<Watcher>,
    pub(super) written: Vec<Vec<Call>>,
    groups: HashMap<String, Group>,
}

/// What is true of a group.
struct Group {
    /// All changes and events, in order, …
    frames: Vec<Frame>,
    /// … as this subscriber has seen them.
    by: String,
    /// What every node lists.
    listed: Vec<Value>,
}

/// The state of a group: items in the order of insertion.
type State = Vec<(String, Value)>;

impl Story {
    /// Writes the end of every group, waits until all have seen it, and takes the frames of the first node's subscribers for the truth.
    pub(super) async fn gather(nodes: &[Server], groups: &[String], watchers: Vec<Watcher>, written: Vec<Vec<Call>>) -> Self {
        let mut workers = Vec::new();
        for node in nodes {
            workers.push(Worker::open(node).await);
        }
        // Who has just come must not be given a state in which the end is already.
        for watcher in watchers.iter().filter(|watcher| watcher.scope != Scope::Trigger) {
            watcher.more_than(0).await;
        }
        for group in groups {
            workers[0].set(STREAM, group, END, json!({"id": END})).await;
        }
        let begun = Instant::now();
        while let Some(late) = watchers.iter().find(|watcher| !watcher.is_done()) {
            let last = late.frames().pop().map(|frame| frame.text);
            assert!(begun.elapsed() < DEADLINE, "{} does not see the end; {} frames, the last is {last:?}", late.name(), late.len());
            tokio::time::sleep(POLL).await;
        }
        let mut story = Self { watchers, written, groups: HashMap::new() };
        for group in groups {
            let mut listed = Vec::new();
            for worker in &workers {
                listed.push(worker.result("stream::list", list_of(STREAM, group)).await.as_array().unwrap().clone());
            }
            assert!(listed.iter().all(|list| *list == listed[0]), "the nodes list {group} differently: {listed:?}");
            let (frames, by) = story.truth(group);
            story.groups.insert(group.clone(), Group { frames, by, listed: listed.swap_remove(0) });
        }
        story
    }

    fn truth(&self, group: &str) -> (Vec<Frame>, String) {
        let whole = self.watchers.iter().find(|watcher| watcher.scope == Scope::Group(group.to_owned()) && syncs(&watcher.frames()) == 1);
        let whole = whole.unwrap_or_else(|| panic!("every subscriber of {group} got a second sync"));
        let (mut frames, name) = (whole.frames(), whole.name());
        let sync = frames.remove(0);
        assert_eq!((&*sync.word, &sync.data), ("sync", &json!([])), "{}", sync.text);
        for pair in [&[sync], &frames[..]].concat().windows(2) {
            assert!(pair[0].timestamp < pair[1].timestamp, "{name}: timestamps do not rise: {} and then {}", pair[0].text, pair[1].text);
        }
        (frames, name)
    }

    /// How often each group subscriber was given the state.
    pub(super) fn syncs(&self) -> Vec<(String, usize)> {
        let subscribers = self.watchers.iter().filter(|watcher| matches!(watcher.scope, Scope::Group(_)));
        subscribers.map(|watcher| (watcher.name(), syncs(&watcher.frames()))).collect()
    }

    /// Fails unless no subscriber was given the state twice.
    pub(super) fn is_without_gaps(&self) {
        let more: Vec<_> = self.syncs().into_iter().filter(|(_, syncs)| *syncs != 1).collect();
        assert!(more.is_empty(), "expected one sync each, got {more:?}");
    }

    /// All calls.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.written.iter().flatten()
    }

    /// How many calls were done, refused, and of an outcome that nobody knows.
    pub(super) fn tally(&self) -> (usize, usize, usize) {
        let count = |is: fn(&Outcome) -> bool| self.calls().filter(|call| is(&call.outcome)).count();
        (
            count(|outcome| matches!(outcome, Outcome::Done(_))),
            count(|outcome| matches!(outcome, Outcome::Refused(_))),
            count(|outcome| matches!(outcome, Outcome::Unknown(_))),
        )
    }

    /// How many calls of an outcome that nobody knows were done, deletes apart.
    pub(super) fn done_without_an_answer(&self) -> usize {
        let frames = self.groups.values().flat_map(|group| &group.frames).filter(|frame| frame.word != "delete");
        let done: HashSet<_> = frames.filter_map(|frame| author(&frame.data)).collect();
        let calls = self.written.iter().zip(0..).flat_map(|(calls, writer)| calls.iter().map(move |call| (writer, call)));
        calls.filter(|(writer, call)| matches!(call.outcome, Outcome::Unknown(_)) && done.contains(&(*writer, call.n))).count()
    }

    /// Holds everything against everything.
    pub(super) fn holds(&self) {
        self.holds_for(|_| true);
    }

    /// The same but for those of a node who cannot be told what they have missed: triggers and subscribers of items.
    pub(super) fn holds_but_for_the_missed_of(&self, node: usize) {
        self.holds_for(|watcher| watcher.node != node || matches!(watcher.scope, Scope::Group(_)));
    }

    fn holds_for(&self, is_meant: impl Fn(&Watcher) -> bool) {
        for group in self.groups.keys() {
            self.is_what_is_stored(group);
            self.is_what_was_written(group);
        }
        self.watchers.iter().filter(|watcher| is_meant(watcher)).for_each(|watcher| self.is_seen_by(watcher));
    }

    /// Changes, applied one after the other, end in what is listed.
    fn is_what_is_stored(&self, group: &str) {
        let Group { frames, by, listed } = &self.groups[group];
        let mut state = State::new();
        frames.iter().for_each(|frame| apply(by, &mut state, frame));
        let values: Vec<Value> = state.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, *listed, "{by}: what was seen is not what is stored");
    }

    /// A watcher has seen the truth: what a subscriber was given, and then every change once and in order, byte for byte.
    fn is_seen_by(&self, watcher: &Watcher) {
        let seen = watcher.frames();
        match &watcher.scope {
            Scope::Group(group) => self.is_followed(&watcher.name(), &seen, &self.groups[group].frames),
            Scope::Items(group) => {
                let items = [shared(0), END.to_owned()];
                let is_of = |frame: &&Frame| frame.item.as_ref().is_some_and(|item| items.contains(item));
                let expected: Vec<_> = self.groups[group].frames.iter().filter(is_of).collect();
                assert!(seen[..2].iter().all(|frame| frame.is_sync() && frame.data == Value::Null), "{:?}", &seen[..2]);
                equal(&watcher.name(), &seen[2..].iter().collect::<Vec<_>>(), &expected);
            }
            Scope::Trigger => {
                for (group, truth) in &self.groups {
                    let seen: Vec<_> = seen.iter().filter(|frame| frame.group == *group).collect();
                    let expected: Vec<_> = truth.frames.iter().filter(|frame| frame.word != "event").collect();
                    equal(&format!("{} for {group}", watcher.name()), &seen, &expected);
                }
            }
        }
    }

    /// A subscriber that left before the end has seen nothing else than all the others.
    pub(super) fn begins_with(&self, name: &str, group: &str, seen: &[Frame]) {
        self.is_followed_so_far(name, seen, &self.groups[group].frames);
    }

    fn is_followed(&self, name: &str, seen: &[Frame], truth: &[Frame]) {
        assert_eq!(self.is_followed_so_far(name, seen, truth), truth.len(), "{name} misses the last changes");
    }

    /// A subscriber's frames: each `sync` is the state at its time, and what follows are the changes after it. How far it has come.
    fn is_followed_so_far(&self, name: &str, seen: &[Frame], truth: &[Frame]) -> usize {
        assert!(seen[0].is_sync(), "{name}: {} came before the sync", seen[0].text);
        let (mut state, mut at) = (State::new(), 0);
        for (n, frame) in seen.iter().enumerate() {
            if frame.is_sync() {
                let to = truth.iter().filter(|change| change.timestamp <= frame.timestamp).count();
                assert!(to >= at, "{name}: frame {n} goes back from change {at} to {to}: {}", frame.text);
                truth[at..to].iter().for_each(|change| apply(name, &mut state, change));
                at = to;
                let values: Vec<Value> = state.iter().map(|(_, value)| value.clone()).collect();
                assert_eq!(frame.data, Value::Array(values), "{name}: frame {n} is not the state after change {at}: {}", frame.text);
            } else {
                let Some(expected) = truth.get(at) else { panic!("{name}: frame {n} is one too many: {}", frame.text) };
                if frame.text != expected.text {
                    differ(name, &seen.iter().collect::<Vec<_>>(), n, &truth.iter().collect::<Vec<_>>(), at);
                }
                apply(name, &mut state, frame);
                at += 1;
            }
        }
        at
    }

    /// What writers were told is what has happened, once and in the order of their calls, and nothing else has.
    fn is_what_was_written(&self, group: &str) {
        let Group { frames, by, .. } = &self.groups[group];
        let (mut changes, mut deletes) = (HashMap::new(), HashMap::new());
        // What was there before each change.
        let (mut state, mut before) = (State::new(), Vec::new());
        for (at, frame) in frames.iter().enumerate() {
            let item = state.iter().find(|(item, _)| Some(item) == frame.item.as_ref());
            before.push(item.map_or(Value::Null, |(_, value)| value.clone()));
            apply(by, &mut state, frame);
            let Some(author) = author(&frame.data) else { continue };
            let twice = if frame.word == "delete" { deletes.insert(author, at) } else { changes.insert(author, at) };
            assert!(twice.is_none(), "{group}: a change was made twice: {}", frame.text);
        }
        let (mut explained, mut perhaps) = (1, 0); // The end is the test's.
        for (writer, calls) in self.written.iter().enumerate() {
            let mut last = None;
            for call in calls.iter().filter(|call| call.group == group) {
                let at = match (&call.outcome, call.kind) {
                    (Outcome::Done(result), Kind::Delete) => match &result["old_value"] {
                        Value::Null => continue,
                        old => author(old).and_then(|author| deletes.get(&author).copied()),
                    },
                    (_, Kind::Delete) => {
                        perhaps += usize::from(matches!(call.outcome, Outcome::Unknown(_)));
                        continue;
                    }
                    _ => changes.get(&(writer as u64, call.n)).copied(),
                };
                match (&call.outcome, at) {
                    (Outcome::Done(_), None) => panic!("{group}: what was acknowledged to writer {writer} is not there: {call:?}"),
                    (Outcome::Refused(_), Some(at)) => panic!("refused and done all the same: {call:?}, {}", frames[at].text),
                    (_, None) => continue,
                    _ => {}
                }
                assert!(last < at, "{group}: writer {writer}'s calls change places: {call:?} is change {at:?}, an earlier one {last:?}");
                last = at;
                explained += 1;
                if let (Outcome::Done(result), Some(at)) = (&call.outcome, at) {
                    is_told_right(call, result, &frames[at], &before[at]);
                }
            }
        }
        assert!(
            (explained..=explained + perhaps).contains(&frames.len()),
            "{group}: {} changes, {explained} of them asked for",
            frames.len()
        );
    }
}

/// The result of a call is what subscribers saw of it.
fn is_told_right(call: &Call, result: &Value, frame: &Frame, before: &Value) {
    let created = if *before == Value::Null { "create" } else { "update" };
    let (word, expected) = match call.kind {
        Kind::Set | Kind::Update => (created, json!({"old_value": before, "new_value": frame.data})),
        Kind::Delete => ("delete", json!({"old_value": before})),
        Kind::Event => ("event", Value::Null),
    };
    assert!(frame.word == word && *result == expected, "expected {word} and {expected} for {call:?}, seen as {}", frame.text);
    assert!(call.kind == Kind::Event || frame.item.as_ref() == Some(&call.item), "{call:?} was seen as {}", frame.text);
}

/// The writer of a value, and the number of its call.
fn author(data: &Value) -> Option<(u64, u64)> {
    Some((data["writer"].as_u64()?, data["n"].as_u64()?))
}

fn syncs(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| frame.is_sync()).count()
}

fn apply(name: &str, state: &mut State, frame: &Frame) {
    let Some(item) = &frame.item else { return };
    let at = state.iter().position(|(known, _)| known == item);
    match (&*frame.word, at) {
        ("create", None) => state.push((item.clone(), frame.data.clone())),
        ("update", Some(at)) => state[at].1 = frame.data.clone(),
        ("delete", Some(at)) => {
            let (_, old) = state.remove(at);
            assert_eq!(old, frame.data, "{name}: a delete shows another value than was there: {}", frame.text);
        }
        ("event", _) => {}
        _ => panic!("{name}: does not fit what was there before, at place {at:?}: {}", frame.text),
    }
}

fn equal(name: &str, seen: &[&Frame], expected: &[&Frame]) {
    let same = seen.iter().zip(expected).take_while(|(seen, expected)| seen.text == expected.text).count();
    if same < seen.len().max(expected.len()) {
        differ(name, seen, same, expected, same);
    }
}

/// Shows what is around the first difference.
fn differ(name: &str, seen: &[&Frame], n: usize, expected: &[&Frame], at: usize) -> ! {
    let around = |frames: &[&Frame], at: usize| {
        let end = frames.len().min(at + AROUND);
        frames[at.saturating_sub(AROUND).min(end)..end].iter().map(|frame| format!("\n  {}", frame.text)).collect::<String>()
    };
    panic!(
        "{name}: frame {n} of {} is not change {at} of {}; seen:{}\nexpected:{}",
        seen.len(),
        expected.len(),
        around(seen, n),
        around(expected, at)
    );
}
