//! Spans: pieces of work with their time, which continue the traces of workers (W3C Trace Context, level 2, section 3.2).
//!
//! None are made unless somebody takes them, and then only of what a sampled trace asks for: whether a trace is followed is decided where it begins, and a
//! call without one begins none here. What nobody has taken yet is bounded; what is over is dropped and counted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use crate::metrics::calls::Ending;
use crate::wire::worker::Trace;

/// Names a span of a trace that is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub span: u64,
}

impl Context {
    /// What a `traceparent` names, if it is one and its trace is sampled.
    #[must_use]
    pub fn sampled(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.splitn(5, '-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Only version 0 is known not to say more.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let context = Self { trace: hex(trace, 32)?, span: u64::try_from(hex(span, 16)?).ok()? };
        let is_sampled = hex(version, 2).is_some() && hex(flags, 2)? & 1 == 1;
        (is_sampled && context.trace != 0 && context.span != 0).then_some(context)
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self { trace: self.trace, span: rand::random_range(1..=u64::MAX) }
    }

    /// The first span of a new trace.
    #[must_use]
    pub fn root() -> Self {
        Self { trace: rand::random_range(1..=u128::MAX), span: rand::random_range(1..=u64::MAX) }
    }

    /// What names it on the wire.
    #[must_use]
    pub fn traceparent(self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

/// Lower-case digits, so many.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let fits = text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if fits { u128::from_str_radix(text, 16).ok() } else { None }
}

/// Work that is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its own name.
    pub context: Context,
    /// The span of the same trace that it is a part of.
    pub parent: Option<u64>,
    /// Spans of other traces that it was done for.
    pub links: Vec<Context>,
    /// When it was begun.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What was done.
    pub work: Work,
}

/// What is done in a span.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Work {
    /// A call of a worker's function.
    Invocation {
        /// The function.
        function: Box<str>,
        /// How it ended.
        ending: Ending,
    },
    /// A commit of the store.
    Commit {
        /// Calls that it has answered.
        calls: usize,
        /// How much of the time it took to force what was written onto the disk.
        synced: Duration,
        /// Whether anything was stored.
        ok: bool,
    },
}

/// Work that is under way.
#[derive(Debug)]
pub struct Begun {
    context: Context,
    parent: u64,
    began: SystemTime,
    since: Instant,
}

/// Where spans go.
#[derive(Debug, Default)]
pub struct Spans {
    taker: OnceLock<SyncSender<Span>>,
    dropped: AtomicU64,
}

impl Spans {
    /// Has spans made from now on; at most so many wait to be received. `None` where somebody has taken them already.
    #[must_use]
    pub fn take(&self, waiting: usize) -> Option<Receiver<Span>> {
        let (sender, receiver) = sync_channel(waiting);
        self.taker.set(sender).ok().map(|()| receiver)
    }

    /// So many that were received are lost: where they were to go, they were not taken.
    pub fn lost(&self, spans: u64) {
        self.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Spans that were dropped because too many waited, and those that are [`lost`](Self::lost).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether anybody takes them.
    pub(crate) fn is_on(&self) -> bool {
        self.taker.get().is_some()
    }

    /// Begins a span of a call, if its trace asks for one; what is called is told of it in place of its parent.
    pub(crate) fn begin(&self, trace: &mut Trace) -> Option<Box<Begun>> {
        let parent = self.is_on().then(|| Context::sampled(trace.traceparent.as_deref()?)).flatten()?;
        let context = parent.child();
        trace.traceparent = Some(context.traceparent().into());
        Some(Box::new(Begun { context, parent: parent.span, began: SystemTime::now(), since: Instant::now() }))
    }

    /// A call has ended.
    pub(crate) fn end(&self, begun: &Begun, function: &str, ending: Ending) {
        let Begun { context, parent, began, since } = *begun;
        let work = Work::Invocation { function: function.into(), ending };
        self.send(Span { context, parent: Some(parent), links: Vec::new(), began, took: since.elapsed(), work });
    }

    /// A commit has ended that was made for `calls` of these traces: a part of the one, or linked with the several.
    pub(crate) fn committed(&self, mut links: Vec<Context>, took: Duration, work: Work) {
        let Some(first) = links.first().copied() else { return };
        let (context, parent) = if links.len() == 1 { (first.child(), Some(first.span)) } else { (Context::root(), None) };
        if parent.is_some() {
            links.clear();
        }
        let now = SystemTime::now();
        self.send(Span { context, parent, links, began: now.checked_sub(took).unwrap_or(now), took, work });
    }

    fn send(&self, span: Span) {
        if self.taker.get().is_some_and(|taker| taker.try_send(span).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn trace(traceparent: &str) -> Trace {
        Trace { traceparent: Some(traceparent.into()), ..Trace::default() }
    }

    #[test]
    fn traceparent_that_is_none_or_not_sampled_begins_no_span() {
        let context = Context::sampled(TRACEPARENT).unwrap();
        assert_eq!((context.trace, context.span), (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331));
        assert_eq!(context.traceparent(), TRACEPARENT);
        // A later version may say more.
        assert!(Context::sampled("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more").is_some());
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-+7ad6b7169203331-01",
        ] {
            assert_eq!(Context::sampled(text), None, "{text}");
        }
    }

    #[test]
    fn span_continues_the_trace_and_is_passed_on() {
        let spans = Spans::default();
        let mut untouched = trace(TRACEPARENT);
        assert!(spans.begin(&mut untouched).is_none(), "nobody takes them");
        assert_eq!(untouched, trace(TRACEPARENT));
        let taken = spans.take(1).unwrap();
        assert!(spans.take(1).is_none());
        let mut passed_on = trace(TRACEPARENT);
        let begun = spans.begin(&mut passed_on).unwrap();
        spans.end(&begun, "f", Ending::Ok);
        spans.end(&begun, "g", Ending::Ok);
        let span = taken.recv().unwrap();
        let parent = Context::sampled(TRACEPARENT).unwrap();
        assert_eq!((span.context.trace, span.parent), (parent.trace, Some(parent.span)));
        assert_eq!(passed_on.traceparent.as_deref(), Some(&*span.context.traceparent()));
        assert_ne!(span.context.span, parent.span);
        assert_eq!((taken.try_recv().ok(), spans.dropped()), (None, 1));
    }

    #[test]
    fn commit_is_a_part_of_one_trace_or_linked_with_several() {
        let spans = Spans::default();
        let taken = spans.take(8).unwrap();
        let work = Work::Commit { calls: 2, synced: Duration::ZERO, ok: true };
        let (one, other) = (Context::root(), Context::root());
        spans.committed(Vec::new(), Duration::ZERO, work.clone());
        spans.committed(vec![one], Duration::ZERO, work.clone());
        spans.committed(vec![one, other], Duration::ZERO, work);
        let (part, linked) = (taken.recv().unwrap(), taken.recv().unwrap());
        assert_eq!((part.context.trace, part.parent, part.links), (one.trace, Some(one.span), Vec::new()));
        assert_eq!((linked.parent, linked.links), (None, vec![one, other]));
        assert!(taken.try_recv().is_err());
    }
}
