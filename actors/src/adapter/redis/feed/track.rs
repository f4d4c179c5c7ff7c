//! Where the feed stands in one group, and what follows from what is found. No I/O here.

use std::collections::VecDeque;

use super::super::script::Stand;
use super::queue;
use crate::change::Position;
use crate::store::ledger::Recorded;

/// Changes of one group that may wait for a look into its log. What comes on top is found there, too.
const HELD: usize = 1_024;
/// Bytes of them; one alone may have more.
const HELD_BYTES: usize = 1 << 20;

/// What was handed out last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// Nothing: it begins wherever the group stands.
    Start,
    /// Nothing, and everything is wanted: the group is new.
    Birth,
    /// All up to here.
    At(Stand),
}

impl Base {
    /// The id in the log from where to look; the change itself comes along, so that one can see that it is still the same past.
    pub(super) fn id(&self) -> String {
        match self {
            Self::At(Stand { position, timestamp, .. }) if position.seq > 0 => format!("{timestamp}-{}", position.seq),
            _ => "-".to_owned(),
        }
    }
}

/// What is to be done about what was found.
#[derive(Debug)]
pub(super) enum Verdict {
    /// These follow, and after them it stands here. Nothing else is missing, or there is more to look for.
    Follow { changes: Vec<Recorded>, base: Stand, complete: bool },
    /// The past is not known any more.
    Resync { base: Stand, missed: Option<u64> },
    /// Numbers that were handed out are about to be given again, to other changes, and then the epoch must end; or times are, and then the
    /// group's time must be set on.
    Renew,
}

/// Compares what was handed out with where the group stands now and the changes in its log from [`Base::id`] on.
pub(super) fn judge(base: Base, now: Stand, log: Vec<Recorded>) -> Verdict {
    let seq = match base {
        Base::Start => return Verdict::Follow { changes: Vec::new(), base: now, complete: true },
        Base::Birth => 0,
        Base::At(stand) => {
            if stand.position.epoch != now.position.epoch {
                // A group that had run ahead of the clock before its data went away: clients drop a state that looks old.
                let goes_back = now.timestamp <= stand.timestamp;
                let resync = if goes_back { Verdict::Renew } else { Verdict::Resync { base: now, missed: None } };
                // Of a group that was empty nothing is lost with its head, as long as all that came after is there.
                let from_birth = !goes_back && stand.unborn && now.position.seq > 0;
                return match from_birth.then(|| judge(Base::Birth, now, log)) {
                    Some(follow @ Verdict::Follow { .. }) => follow,
                    _ => resync,
                };
            }
            let (was, is) = (stand.position.seq, now.position.seq);
            if is < was || (is == was && stand.timestamp != now.timestamp) {
                return Verdict::Renew;
            }
            if is == was {
                return Verdict::Follow { changes: Vec::new(), base: now, complete: true };
            }
            was
        }
    };
    let missed = Verdict::Resync { base: now, missed: Some(now.position.seq.saturating_sub(seq)) };
    let mut log = log.into_iter().peekable();
    if seq > 0 {
        // Behind a Redis that was set back, the same number may belong to another change; its time tells.
        let Base::At(stand) = base else { return missed };
        match log.next() {
            Some(first) if first.position == stand.position && first.timestamp == stand.timestamp => {}
            _ => return missed,
        }
    }
    let mut last = match base {
        Base::At(stand) => stand,
        Base::Start | Base::Birth => Stand { position: Position { seq, ..now.position }, timestamp: now.timestamp, unborn: false },
    };
    let mut changes = Vec::new();
    while let Some(change) =
        log.next_if(|change| change.position.epoch == now.position.epoch && change.position.seq == last.position.seq + 1)
    {
        last = Stand::after(&change);
        changes.push(change);
    }
    if changes.is_empty() && now.position.seq > seq {
        return missed;
    }
    Verdict::Follow { changes, base: last, complete: last.position.seq >= now.position.seq }
}

/// What to do about a message.
#[derive(Debug)]
pub(super) enum Heard {
    /// It is the next one.
    Next(Recorded),
    /// It is known, or waits.
    Nothing,
    /// It does not follow.
    Look,
}

/// One group.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) base: Base,
    /// Whether messages wait, because a look into the log is under way or due.
    pub(super) waits: bool,
    held: VecDeque<Recorded>,
    held_bytes: usize,
    overflowed: bool,
}

impl Track {
    pub(super) fn new(base: Base) -> Self {
        Self { base, waits: true, held: VecDeque::new(), held_bytes: 0, overflowed: false }
    }

    /// Takes a message.
    pub(super) fn hear(&mut self, change: Recorded) -> Heard {
        if self.waits {
            let bytes = self.held_bytes + queue::bytes(&change.body);
            // What comes after one that was dropped cannot follow anyway.
            self.overflowed |= self.held.len() >= HELD || (bytes > HELD_BYTES && !self.held.is_empty());
            if !self.overflowed {
                self.held_bytes = bytes;
                self.held.push_back(change);
            }
            return Heard::Nothing;
        }
        let Base::At(stand) = self.base else { return Heard::Look };
        let (is, was) = (change.position, stand.position);
        if is.epoch != was.epoch || is.seq > was.seq + 1 || (is.seq <= was.seq && change.timestamp > stand.timestamp) {
            return Heard::Look;
        }
        if is.seq == was.seq + 1 { Heard::Next(change) } else { Heard::Nothing }
    }

    /// The look is over: what has waited, and whether something of that was dropped.
    pub(super) fn resume(&mut self) -> (VecDeque<Recorded>, bool) {
        self.waits = false;
        self.held_bytes = 0;
        (std::mem::take(&mut self.held), std::mem::take(&mut self.overflowed))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::ids::GroupKey;
    use crate::json::Json;
    use crate::store::ledger::Body;

    fn stand(epoch: u64, seq: u64) -> Stand {
        Stand { position: Position { epoch, seq }, timestamp: 1_000 + seq, unborn: false }
    }

    fn change(epoch: u64, seq: u64) -> Recorded {
        let Stand { position, timestamp, .. } = stand(epoch, seq);
        let body = Body::Written { old: None, new: Json::NULL };
        Recorded { group: GroupKey::new("s", "g"), item: Some("i".into()), position, timestamp, body }
    }

    fn log(seqs: std::ops::RangeInclusive<u64>) -> Vec<Recorded> {
        seqs.map(|seq| change(1, seq)).collect()
    }

    fn followed(verdict: Verdict) -> (Vec<u64>, bool) {
        match verdict {
            Verdict::Follow { changes, complete, .. } => (changes.iter().map(|change| change.position.seq).collect(), complete),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn group_that_was_empty_and_whose_head_is_gone_is_followed_from_its_birth() {
        let unborn = Base::At(Stand { unborn: true, timestamp: 500, ..stand(0, 0) });
        assert_eq!(followed(judge(unborn, stand(1, 2), log(1..=2))), (vec![1, 2], true));
        assert!(matches!(judge(unborn, stand(1, 3), log(2..=3)), Verdict::Resync { .. }), "the first change is missing");
        assert!(
            matches!(judge(unborn, Stand { unborn: true, ..stand(1, 0) }, Vec::new()), Verdict::Resync { .. }),
            "snapshots go on from there"
        );
        let held = Base::At(Stand { timestamp: 500, ..stand(0, 0) });
        assert!(matches!(judge(held, stand(1, 2), log(1..=2)), Verdict::Resync { .. }), "what it held is gone");
    }

    #[test]
    fn what_is_in_the_log_follows() {
        assert_eq!(followed(judge(Base::At(stand(1, 3)), stand(1, 5), log(3..=5))), (vec![4, 5], true));
        assert_eq!(followed(judge(Base::At(stand(1, 3)), stand(1, 9), log(3..=5))), (vec![4, 5], false));
        assert_eq!(followed(judge(Base::At(stand(1, 3)), stand(1, 4), log(3..=5))), (vec![4, 5], true));
        assert_eq!(followed(judge(Base::At(stand(1, 0)), stand(1, 2), log(1..=2))), (vec![1, 2], true));
        assert_eq!(followed(judge(Base::Birth, stand(1, 2), log(1..=2))), (vec![1, 2], true));
        assert_eq!(followed(judge(Base::At(stand(1, 3)), stand(1, 3), Vec::new())), (vec![], true));
        assert_eq!(followed(judge(Base::Start, stand(1, 3), log(1..=3))), (vec![], true));
    }

    #[test]
    fn what_is_not_in_the_log_any_more_is_missed() {
        for (base, entries, lost) in [
            (Base::At(stand(1, 3)), log(5..=9), 6),
            (Base::At(stand(1, 3)), log(4..=9), 6),
            (Base::At(stand(1, 3)), Vec::new(), 6),
            (Base::Birth, log(2..=9), 9),
        ] {
            assert!(matches!(judge(base, stand(1, 9), entries), Verdict::Resync { missed: Some(missed), .. } if missed == lost));
        }
        assert!(matches!(judge(Base::At(stand(1, 3)), stand(2, 9), log(3..=9)), Verdict::Resync { missed: None, .. }));
    }

    #[test]
    fn a_past_that_was_set_back_is_noticed() {
        assert!(matches!(judge(Base::At(stand(1, 3)), stand(1, 2), log(1..=2)), Verdict::Renew));
        assert!(matches!(judge(Base::At(stand(1, 3)), stand(2, 2), log(1..=2)), Verdict::Renew));
        let other = Stand { timestamp: 9_999, ..stand(1, 3) };
        assert!(matches!(judge(Base::At(stand(1, 3)), other, log(3..=3)), Verdict::Renew));
        assert!(matches!(judge(Base::At(other), stand(1, 5), log(3..=5)), Verdict::Resync { .. }));
    }

    #[test]
    fn large_changes_that_wait_are_bounded_in_bytes() {
        let value = Json::read(format!("\"{}\"", "x".repeat(HELD_BYTES / 4)).into_bytes()).unwrap();
        let large = |seq| Recorded { body: Body::Written { old: None, new: value.clone() }, ..change(1, seq) };
        let mut track = Track::new(Base::At(stand(1, 0)));
        for seq in 1..=100 {
            assert!(matches!(track.hear(large(seq)), Heard::Nothing));
        }
        let (held, look) = track.resume();
        assert!((1..=4).contains(&held.len()) && look);
        // The next time begins with nothing.
        track.waits = true;
        track.hear(large(101));
        assert!(matches!(track.resume(), (held, false) if held.len() == 1));
    }

    proptest! {
        /// Messages are lost, doubled and late; looks into the log come in between. What is handed out is every change, once, in order.
        #[test]
        fn every_change_is_handed_out_once_in_order(
            steps in proptest::collection::vec((0u8..4, any::<prop::sample::Index>()), 1..200),
        ) {
            let (mut at, mut link, mut track, mut out) = (0u64, VecDeque::new(), Track::new(Base::Birth), Vec::new());
            fn take(track: &mut Track, out: &mut Vec<u64>, message: Recorded) -> bool {
                match track.hear(message) {
                    Heard::Next(change) => {
                        track.base = Base::At(Stand::after(&change));
                        out.push(change.position.seq);
                        false
                    }
                    Heard::Nothing => false,
                    Heard::Look => true,
                }
            }
            fn look(track: &mut Track, out: &mut Vec<u64>, at: u64) {
                track.waits = true;
                loop {
                    let from = if let Base::At(stand) = track.base { stand.position.seq.max(1) } else { 1 };
                    let Verdict::Follow { changes, base, complete } = judge(track.base, stand(1, at), log(from..=at.min(from + 3))) else { panic!() };
                    out.extend(changes.iter().map(|change| change.position.seq));
                    track.base = Base::At(base);
                    if complete { break }
                }
                let (held, overflowed) = track.resume();
                let mut again = overflowed;
                for message in held {
                    again |= take(track, out, message);
                }
                if again { look(track, out, at) }
            }
            for (step, index) in steps {
                match step {
                    0 => { at += 1; link.push_back(at) }
                    1 if !link.is_empty() => { let n = index.index(link.len()); link.remove(n); }
                    2 => if let Some(seq) = link.pop_front() && take(&mut track, &mut out, change(1, seq)) { look(&mut track, &mut out, at) },
                    3 => look(&mut track, &mut out, at),
                    _ => {}
                }
            }
            look(&mut track, &mut out, at);
            prop_assert_eq!(out, (1..=at).collect::<Vec<_>>());
        }
    }
}
