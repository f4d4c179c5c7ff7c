#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

fn turn(n: u64, item: Option<u8>, share: Share) -> Turn<()> {
    let item = item.map(|item| Name::from(item.to_string().as_str()));
    Turn { n, group: GroupKey::new("s", "g"), item, share, holds: false, what: () }
}

fn finish(order: &mut Order<()>, turn: &Turn<()>) -> Vec<u64> {
    order.answered(&turn.group);
    numbers(order.done(turn.n, &turn.group, turn.item.as_ref(), turn.holds))
}

fn numbers(turns: Vec<Turn<()>>) -> Vec<u64> {
    turns.into_iter().map(|turn| turn.n).collect()
}

#[test]
fn calls_for_an_item_wait_for_its_update_and_others_do_not() {
    let mut order = Order::new();
    let update = order.admit(turn(1, Some(1), Share::Update)).unwrap();
    assert!(order.admit(turn(2, Some(1), Share::Item)).is_none());
    assert!(order.admit(turn(3, Some(2), Share::Item)).is_some());
    assert!(order.admit(turn(4, Some(1), Share::Update)).is_none());
    assert!(order.admit(turn(5, Some(1), Share::Item)).is_none());
    assert!(!order.is_clear(2) && order.is_clear(0));
    assert_eq!(finish(&mut order, &update), [2, 4]);
}

#[test]
fn what_concerns_the_group_waits_for_updates_and_holds_up_what_follows() {
    let mut order = Order::new();
    let update = order.admit(turn(1, Some(1), Share::Update)).unwrap();
    assert!(order.admit(turn(2, None, Share::Group)).is_none());
    assert!(order.admit(turn(3, Some(2), Share::Item)).is_none());
    assert_eq!(finish(&mut order, &update), [2, 3]);
    assert!(order.is_clear(9));
}

#[test]
fn what_was_not_carried_out_goes_again_before_what_came_later() {
    let mut order = Order::new();
    let one = order.admit(turn(1, Some(1), Share::Item)).unwrap();
    let two = order.admit(turn(2, Some(1), Share::Item)).unwrap();
    order.answered(&one.group);
    let group = one.group.clone();
    order.stall(one);
    assert!(order.admit(turn(3, Some(1), Share::Item)).is_none());
    assert!(!order.is_resumable(&group), "the second is under way");
    order.answered(&group);
    order.stall(two);
    assert_eq!(numbers(order.resume(&group)), [1, 2, 3]);
}

/// What happens to a call that is under way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Done,
    /// An update that lost.
    Again,
    NotCarriedOut,
}

proptest! {
    /// Redis carries out in the order of sending; whatever else happens, calls for an item, and group calls beside all, keep their order.
    #[test]
    fn order_is_kept(
        calls in proptest::collection::vec((0u8..3, 0u8..4), 1..40),
        fates in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![4 => Just(Fate::Done), 2 => Just(Fate::Again), 1 => Just(Fate::NotCarriedOut)]), 0..80),
    ) {
        let mut order = Order::new();
        let group = GroupKey::new("s", "g");
        let mut waiting: VecDeque<_> = calls.iter().enumerate().collect();
        let mut in_flight: VecDeque<Turn<()>> = VecDeque::new();
        let mut carried_out: Vec<u64> = Vec::new();
        let mut fates = fates.into_iter();
        loop {
            let fate = fates.next();
            // Some new calls before each answer.
            let new = fate.as_ref().map_or(waiting.len(), |(index, _)| index.index(4));
            for _ in 0..new {
                let Some((n, (item, share))) = waiting.pop_front() else { break };
                let turn = match share {
                    0 => turn(n as u64, None, Share::Group),
                    1 => turn(n as u64, Some(*item), Share::Update),
                    _ => turn(n as u64, Some(*item), Share::Item),
                };
                in_flight.extend(order.admit(turn));
            }
            let Some(turn) = in_flight.pop_front() else {
                if order.is_resumable(&group) {
                    in_flight.extend(order.resume(&group));
                    continue;
                }
                if waiting.is_empty() { break } else { continue }
            };
            order.answered(&group);
            match fate.map_or(Fate::Done, |(_, fate)| fate) {
                Fate::Again if turn.share == Share::Update => in_flight.extend(order.proceed(turn)),
                Fate::NotCarriedOut => {
                    order.stall(turn);
                    // Once a group stalls, nothing that was sent behind is carried out either: it went the same way.
                    while let Some(turn) = in_flight.pop_front() {
                        order.answered(&group);
                        order.stall(turn);
                    }
                }
                _ => {
                    carried_out.push(turn.n);
                    in_flight.extend(order.done(turn.n, &group, turn.item.as_ref(), turn.holds));
                }
            }
        }
        prop_assert_eq!(carried_out.len(), calls.len());
        prop_assert!(order.lanes.is_empty() && order.held.is_empty());
        for (place, one) in carried_out.iter().enumerate() {
            for other in &carried_out[place..] {
                let (a, b) = (calls[usize::try_from(*one).unwrap()], calls[usize::try_from(*other).unwrap()]);
                if a.0 == b.0 || a.1 == 0 || b.1 == 0 {
                    prop_assert!(one <= other, "{} before {} in {:?} of {:?}", one, other, carried_out, calls);
                }
            }
        }
    }
}
