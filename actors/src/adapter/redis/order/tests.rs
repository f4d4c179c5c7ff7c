#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn turn(n: u64, by: u64, item: Option<u8>, share: Share) -> Turn<()> {
    let item = item.map(|item| Name::from(item.to_string().as_str()));
    Turn { n, by, group: GroupKey::new("s", "g"), item, share, what: () }
}

fn finish(order: &mut Order<()>, turn: &Turn<()>) -> Vec<u64> {
    order.answered(&turn.group);
    numbers(&order.done(turn.n, turn.by, &turn.group, turn.item.as_ref()))
}

fn numbers(turns: &[Turn<()>]) -> Vec<u64> {
    turns.iter().map(|turn| turn.n).collect()
}

#[test]
fn calls_for_an_item_wait_for_its_update_and_others_do_not() {
    let mut order = Order::new();
    let update = order.admit(turn(1, 1, Some(1), Share::Update)).unwrap();
    assert!(order.admit(turn(2, 2, Some(1), Share::Item)).is_none());
    assert!(order.admit(turn(3, 3, Some(2), Share::Item)).is_some());
    assert!(order.admit(turn(4, 4, Some(1), Share::Update)).is_none());
    assert!(order.admit(turn(5, 5, Some(1), Share::Item)).is_none());
    assert!(!order.is_clear(2) && order.is_clear(0));
    assert_eq!(finish(&mut order, &update), [2, 4]);
}

#[test]
fn calls_of_a_caller_wait_for_its_updates_and_those_of_others_do_not() {
    let mut order = Order::new();
    let update = order.admit(turn(1, 1, Some(1), Share::Update)).unwrap();
    assert!(order.admit(turn(2, 1, Some(2), Share::Item)).is_none());
    assert!(order.admit(turn(3, 2, Some(3), Share::Update)).is_some());
    assert!(order.admit(turn(4, 3, Some(2), Share::Item)).is_none(), "the item has a call that waits");
    assert!(order.admit(turn(5, 1, Some(4), Share::Item)).is_none());
    assert_eq!(finish(&mut order, &update), [2, 4, 5]);
}

#[test]
fn what_concerns_the_group_waits_for_updates_and_holds_up_its_caller_only() {
    let mut order = Order::new();
    let update = order.admit(turn(1, 1, Some(1), Share::Update)).unwrap();
    assert!(order.admit(turn(2, 2, None, Share::Group)).is_none());
    assert!(order.admit(turn(3, 2, Some(2), Share::Item)).is_none());
    let other = order.admit(turn(4, 3, Some(3), Share::Update)).unwrap();
    assert_eq!(finish(&mut order, &update), [2, 3]);
    assert!(!order.is_clear(9));
    finish(&mut order, &other);
    assert!(order.is_clear(9));
}

#[test]
fn what_was_not_carried_out_goes_again_before_what_came_later() {
    let mut order = Order::new();
    let one = order.admit(turn(1, 1, Some(1), Share::Item)).unwrap();
    let two = order.admit(turn(2, 1, Some(1), Share::Item)).unwrap();
    order.answered(&one.group);
    let group = one.group.clone();
    order.stall(one);
    assert!(order.admit(turn(3, 1, Some(1), Share::Item)).is_none());
    assert!(!order.is_resumable(&group), "the second is under way");
    order.answered(&group);
    order.stall(two);
    assert_eq!(numbers(&order.resume(&group)), [1, 2, 3]);
}

#[test]
fn thousands_that_wait_cost_as_much_as_one_each() {
    const CALLS: u64 = 20_000;
    let mut order = Order::new();
    let mut go = VecDeque::from([order.admit(turn(0, 0, Some(0), Share::Update)).unwrap()]);
    for n in 1..CALLS {
        let share = if n % 2 == 0 { Share::Update } else { Share::Item };
        assert!(order.admit(turn(n, 0, Some(u8::try_from(n % 100).unwrap()), share)).is_none());
    }
    let edges = |order: &Order<()>| order.lanes.values().flat_map(|lane| lane.open.values()).map(|open| open.then.len()).sum::<usize>();
    assert!(edges(&order) <= 2 * usize::try_from(CALLS).unwrap());
    let mut done = 0;
    while let Some(turn) = go.pop_front() {
        assert_eq!(turn.n, done);
        done += 1;
        order.answered(&turn.group);
        go.extend(order.done(turn.n, turn.by, &turn.group, turn.item.as_ref()));
    }
    assert!(done == CALLS && order.lanes.is_empty());
}

/// What happens to a call that is under way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Done,
    /// An update that lost.
    Again,
    NotCarriedOut,
}

/// What the tests know of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Sent,
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Made {
    by: u64,
    item: Option<u8>,
    share: Share,
}

impl Made {
    /// Whether `self`, which came later, must not overtake `before`.
    fn follows(self, before: Self) -> bool {
        self.share == Share::Group || self.by == before.by || (self.item.is_some() && self.item == before.item)
    }
}

fn made() -> impl Strategy<Value = Made> {
    (0u64..3, 0u8..4, 0u8..5).prop_map(|(by, item, kind)| match kind {
        0 => Made { by, item: None, share: Share::Group },
        1 | 2 => Made { by, item: Some(item), share: Share::Update },
        _ => Made { by, item: Some(item), share: Share::Item },
    })
}

fn fates() -> impl Strategy<Value = Vec<(prop::sample::Index, Fate)>> {
    let fate = prop_oneof![4 => Just(Fate::Done), 2 => Just(Fate::Again), 1 => Just(Fate::NotCarriedOut)];
    proptest::collection::vec((any::<prop::sample::Index>(), fate), 0..80)
}

/// Exactly those wait that must, by a look at all calls.
fn as_a_naive_model_has_it(calls: &[Made], states: &[State]) -> Result<(), TestCaseError> {
    for (n, state) in states.iter().enumerate() {
        let is_open = |before: usize| match states[before] {
            State::Waiting => true,
            State::Sent => calls[before].share == Share::Update,
            State::Done => false,
        };
        let must_wait = (0..n).any(|before| is_open(before) && calls[n].follows(calls[before]));
        prop_assert!((*state == State::Waiting) == must_wait || *state == State::Done, "{} of {:?} {:?}", n, calls, states);
    }
    Ok(())
}

proptest! {
    /// Redis carries out in the order of sending, but the answer to an update may be that it has lost, and any call may come back undone.
    /// Whatever happens, calls of a caller and calls for an item keep their order, and group calls come behind all before them.
    #[test]
    fn order_is_kept(calls in proptest::collection::vec(made(), 1..40), fates in fates()) {
        let mut order = Order::new();
        let group = GroupKey::new("s", "g");
        let mut states: Vec<State> = Vec::new();
        let mut in_flight: VecDeque<Turn<()>> = VecDeque::new();
        let (mut carried_out, mut failed) = (Vec::new(), 0);
        let mut fates = fates.into_iter();
        loop {
            let fate = fates.next();
            // Some new calls before each answer.
            let left = calls.len() - states.len();
            let new = fate.as_ref().map_or(left, |(index, _)| index.index(4).min(left));
            let mut go = Vec::new();
            for _ in 0..new {
                let Made { by, item, share } = calls[states.len()];
                go.extend(order.admit(turn(states.len() as u64, by, item, share)));
                states.push(State::Waiting);
            }
            if in_flight.is_empty() && go.is_empty() {
                go = order.resume(&group);
            }
            in_flight.extend(go.into_iter().inspect(|turn| states[usize::try_from(turn.n).unwrap()] = State::Sent));
            if !order.lanes.values().any(|lane| !lane.stalled.is_empty()) {
                as_a_naive_model_has_it(&calls, &states)?;
            }
            let Some(turn) = in_flight.pop_front() else {
                if states.len() == calls.len() { break } else { continue }
            };
            let n = usize::try_from(turn.n).unwrap();
            order.answered(&group);
            let go = match fate.map_or(Fate::Done, |(_, fate)| fate) {
                Fate::Again if turn.share == Share::Update => order.proceed(turn).into_iter().collect(),
                Fate::NotCarriedOut => {
                    states[n] = State::Waiting;
                    order.stall(turn);
                    Vec::new()
                }
                _ => {
                    states[n] = State::Done;
                    carried_out.push(n);
                    let passed = order.passed_by(&turn, |()| true);
                    let mut go = order.done(turn.n, turn.by, &group, turn.item.as_ref());
                    for turn in passed {
                        states[usize::try_from(turn.n).unwrap()] = State::Done;
                        failed += 1;
                        go.extend(order.done(turn.n, turn.by, &group, turn.item.as_ref()));
                    }
                    go
                }
            };
            in_flight.extend(go.into_iter().inspect(|turn| states[usize::try_from(turn.n).unwrap()] = State::Sent));
        }
        prop_assert_eq!(carried_out.len() + failed, calls.len());
        prop_assert!(order.lanes.is_empty() && order.held.is_empty());
        for (place, one) in carried_out.iter().enumerate() {
            for other in &carried_out[..place] {
                prop_assert!(one > other || !calls[*other].follows(calls[*one]), "{} before {} of {:?}", other, one, calls);
            }
        }
    }
}
