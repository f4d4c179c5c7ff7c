#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Addr;
use parking_lot::RwLock;
use tokio::sync::oneshot;

use super::admission::Admission;
use super::*;
use crate::functions::table::FunctionInfo;
use crate::functions::unread::Unread;
use crate::functions::{Invoke, ToWorker, Worker};
use crate::guardian::Guardian;
use crate::ids::{GroupKey, SocketId};
use crate::settings::Settings;

/// A worker that answers from when it is told to.
struct Host {
    worker: Arc<RwLock<Option<Arc<Worker>>>>,
    held: Vec<Invoke>,
    answers: Option<bool>,
    calls: Arc<AtomicUsize>,
}

impl Actor for Host {
    type Context = Context<Self>;
}

/// What it answers to all that it holds, and to what comes.
#[derive(Message)]
#[rtype(result = "()")]
struct Answer(bool);

impl Host {
    fn answer(&mut self) {
        let Some(answer) = self.answers else { return };
        for call in self.held.drain(..) {
            self.worker.read().as_ref().unwrap().in_flight.fetch_sub(1, Ordering::Relaxed);
            call.reply.send(Ok(Output::Value(Json::from_value(&answer.into()))));
        }
    }
}

impl Handler<ToWorker> for Host {
    type Result = ();

    fn handle(&mut self, message: ToWorker, _: &mut Self::Context) {
        let ToWorker::Invoke(call) = message else { return };
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.held.push(call);
        self.answer();
    }
}

impl Handler<Answer> for Host {
    type Result = ();

    fn handle(&mut self, Answer(answer): Answer, _: &mut Self::Context) {
        self.answers = Some(answer);
        self.answer();
    }
}

/// A dispatcher whose workers take so many calls.
fn start(max_invocations: usize) -> (Arc<Registry>, Addr<Triggers>) {
    let mut settings = Settings::default();
    settings.worker.max_invocations = max_invocations;
    let registry = Registry::new(settings);
    let (guardian, _failure) = Guardian::new();
    let sentinel = Sentinel::new("triggers", Arc::new(true.into()), guardian.start().recipient());
    (registry.clone(), Triggers::new(registry, sentinel).start())
}

/// A worker that serves a function, and how often it was called.
fn serve(registry: &Registry, function: &str) -> (Addr<Host>, Arc<AtomicUsize>) {
    let (calls, known) = (Arc::<AtomicUsize>::default(), Arc::<RwLock<_>>::default());
    let host = Host { worker: known.clone(), held: Vec::new(), answers: None, calls: calls.clone() }.start();
    let worker = Arc::new(Worker {
        id: function.to_owned(),
        reattach_token: String::new(),
        socket: SocketId::next(),
        address: String::new(),
        connected_at: 0,
        details: RwLock::default(),
        in_flight: AtomicUsize::new(0),
        unread: Unread::new(1 << 20),
        session: host.clone().recipient(),
    });
    *known.write() = Some(worker.clone());
    registry.register_function(function, &worker, FunctionInfo::default());
    (host, calls)
}

fn bind(registry: &Registry, trigger_type: &str, function: &str, config: &serde_json::Value) -> Arc<Binding> {
    let config = Json::from_value(config);
    let binding = Binding {
        id: function.into(),
        trigger_type: trigger_type.into(),
        function_id: function.into(),
        kind: Kind::parse(trigger_type, &config).unwrap(),
        config,
        metadata: None,
        owner: SocketId::next(),
        one_at_a_time: false,
    };
    registry.triggers.write().register(binding).0
}

fn membership(stream: &str) -> Membership {
    Membership { subscription_id: "1".into(), known_as: None, group: GroupKey::new(stream, "g"), item: None, context: None }
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), met).await.unwrap();
}

fn count(calls: &AtomicUsize) -> usize {
    calls.load(Ordering::SeqCst)
}

#[actix_rt::test]
async fn event_waits_for_a_worker_that_takes_no_more_conditions() {
    let (registry, dispatcher) = start(10);
    let (handler, handled) = serve(&registry, "handler");
    let (condition, asked) = serve(&registry, "condition");
    handler.send(Answer(true)).await.unwrap();
    bind(&registry, "stream:leave", "handler", &json!({"condition_function_id": "condition"}));
    for _ in 0..100 {
        dispatcher.send(Left(membership("s"), Reason::Left)).await.unwrap();
    }
    until(|| count(&asked) > 5).await;
    condition.send(Answer(true)).await.unwrap();
    until(|| count(&handled) == 100).await;
    assert_eq!(count(&asked), 100);
}

#[actix_rt::test]
async fn trigger_whose_condition_says_no_has_told_all() {
    let (registry, dispatcher) = start(10);
    let (condition, asked) = serve(&registry, "condition");
    bind(&registry, "stream:leave", "nobody", &json!({"condition_function_id": "condition"}));
    dispatcher.send(Left(membership("s"), Reason::Left)).await.unwrap();
    until(|| count(&asked) == 1).await;
    assert!(!dispatcher.send(Finish).await.unwrap());
    condition.send(Answer(false)).await.unwrap();
    while !dispatcher.send(Finish).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

/// A client asks to join a stream that a handler guards; dropping the answer is its going away.
fn join(dispatcher: &Addr<Triggers>, handler: &Arc<Binding>) -> (Arc<Admission>, oneshot::Receiver<Verdict>) {
    let (admission, (reply, verdict)) = (Arc::<Admission>::default(), oneshot::channel());
    let triggers = vec![(handler.clone(), Filter::default())];
    dispatcher.do_send(Admit { membership: membership("s"), triggers, admission: admission.clone(), reply });
    (admission, verdict)
}

#[actix_rt::test]
async fn joins_that_a_hanging_handler_guards_hold_up_no_others() {
    let (registry, dispatcher) = start(10);
    let (hanging, hung) = serve(&registry, "hangs");
    let (handler, _) = serve(&registry, "answers");
    handler.send(Answer(true)).await.unwrap();
    let [guarded, other] = ["hangs", "answers"].map(|id| bind(&registry, "stream:join", id, &json!({})));
    let waiting: Vec<_> = (0..100).map(|_| join(&dispatcher, &guarded).1).collect();
    assert_eq!(join(&dispatcher, &other).1.await, Ok(Verdict::Admitted));
    assert_eq!(count(&hung), 5);
    hanging.send(Answer(true)).await.unwrap();
    for verdict in waiting {
        assert_eq!(verdict.await, Ok(Verdict::Admitted));
    }
    assert_eq!(count(&hung), 100);
}

#[actix_rt::test]
async fn handler_is_not_asked_about_clients_that_have_gone_while_they_waited() {
    let (registry, dispatcher) = start(2);
    let (hanging, asked) = serve(&registry, "hangs");
    let guarded = bind(&registry, "stream:join", "hangs", &json!({}));
    let first = join(&dispatcher, &guarded).1;
    until(|| count(&asked) == 1).await;
    let gone: Vec<_> = (0..100).map(|_| join(&dispatcher, &guarded)).collect();
    let left = join(&dispatcher, &guarded);
    let last = join(&dispatcher, &guarded).1;
    dispatcher.send(Finish).await.unwrap();
    let admissions: Vec<_> = gone.into_iter().map(|(admission, _)| admission).collect();
    // Their tasks end although the handler still hangs.
    until(|| admissions.iter().all(|admission| Arc::strong_count(admission) == 1)).await;
    assert!(!left.0.abandon(Reason::Left));
    hanging.send(Answer(true)).await.unwrap();
    assert_eq!((first.await, left.1.await, last.await), (Ok(Verdict::Admitted), Ok(Verdict::Refused), Ok(Verdict::Admitted)));
    assert_eq!(count(&asked), 2);
}

#[actix_rt::test]
async fn client_that_goes_between_two_handlers_is_told_to_have_left() {
    let (registry, dispatcher) = start(2);
    let (first, told) = serve(&registry, "first");
    let (second, asked) = serve(&registry, "second");
    let (leave, left) = serve(&registry, "leave");
    leave.send(Answer(true)).await.unwrap();
    bind(&registry, "stream:leave", "leave", &json!({}));
    let [one, two] = ["first", "second"].map(|id| bind(&registry, "stream:join", id, &json!({})));
    let _hangs = join(&dispatcher, &two);
    until(|| count(&asked) == 1).await;
    let (admission, (reply, verdict)) = (Arc::<Admission>::default(), oneshot::channel());
    let triggers = vec![(one, Filter::default()), (two, Filter::default())];
    dispatcher.do_send(Admit { membership: membership("s"), triggers, admission: admission.clone(), reply });
    until(|| count(&told) == 1).await;
    first.send(Answer(true)).await.unwrap();
    assert!(!admission.abandon(Reason::Lost));
    drop(verdict);
    until(|| count(&left) == 1).await;
    second.send(Answer(true)).await.unwrap();
    assert_eq!(count(&asked), 1);
}

#[actix_rt::test]
async fn joins_wait_while_more_leaves_do_than_there_were_subscriptions() {
    let (registry, dispatcher) = start(10_000);
    let (hanging, hung) = serve(&registry, "hangs");
    bind(&registry, "stream:leave", "hangs", &json!({"stream_name": "s"}));
    registry.leaves.joined(100);
    let held_up = |stream: &str| registry.leaves.holding_up(&registry.triggers, &GroupKey::new(stream, "g"), None).is_some();
    for _ in 0..queue::WINDOW + queue::WAITING + 100 {
        dispatcher.send(Left(membership("s"), Reason::Left)).await.unwrap();
    }
    assert!(!held_up("s"));
    dispatcher.send(Left(membership("s"), Reason::Left)).await.unwrap();
    assert!(held_up("s") && !held_up("another"));
    hanging.send(Answer(true)).await.unwrap();
    until(|| !held_up("s")).await;
    until(|| count(&hung) == queue::WINDOW + queue::WAITING + 101).await;
}

#[actix_rt::test]
async fn events_for_a_function_that_nobody_serves_count_as_dropped() {
    let (registry, dispatcher) = start(10);
    bind(&registry, "stream:leave", "nobody", &json!({}));
    for _ in 0..300 {
        dispatcher.send(Left(membership("s"), Reason::Left)).await.unwrap();
    }
    until(|| registry.metrics.snapshot().events_dropped == 300).await;
}
