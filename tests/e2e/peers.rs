//! Overrides of a worker at one node, and calls and subscribers at the others.

use serde_json::{Value, json};

use crate::redis_server::RedisServer;
use crate::server::{DEADLINE, POLL, Server, until};
use crate::subscriber::Subscriber;
use crate::worker::{Answer, Worker, failure, group, key, write};

/// Nodes on one Redis.
async fn nodes<const N: usize>() -> (RedisServer, [Server; N]) {
    let redis = RedisServer::start(&[]);
    let servers = std::array::from_fn(|_| Server::with(json!({"adapter": redis.adapter()})));
    (redis, servers)
}

/// Serves a stream from one item's worth of memory; what it was asked to set is in its results.
fn serve(worker: &Worker, stream: &str, mark: &'static str) {
    worker.serve(
        &format!("stream::set({stream})"),
        move |data| json!({"old_value": null, "new_value": {"by": mark, "id": "i", "n": data["data"]}}),
    );
    worker.serve(&format!("stream::get({stream})"), move |_| json!({"by": mark, "id": "i"}));
    worker.serve(&format!("stream::list({stream})"), move |_| json!([{"by": mark, "id": "i"}]));
    worker.serve(&format!("stream::delete({stream})"), move |_| json!({"old_value": {"by": mark, "id": "i"}}));
    worker.serve(&format!("stream::list_groups({stream})"), move |_| json!([mark]));
}

/// Waits until a worker of `node` finds the stream served by `mark`; `null` for nobody.
async fn served(node: &Worker, stream: &str, mark: Value) {
    until("another owner of the stream", async || match node.call("stream::get", key(stream, "probe", "i")).await {
        Ok(value) => value.unwrap_or_default()["by"] == mark,
        Err(_) => false,
    })
    .await;
}

#[tokio::test]
async fn override_at_one_node_serves_calls_at_all_and_their_subscribers() {
    let (_redis, [here, there]) = nodes().await;
    let (keeper, caller) = (Worker::open(&here).await, Worker::open(&there).await);
    let mut seen = caller.record("seen");
    caller.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    serve(&keeper, "s", "keeper");
    served(&caller, "s", json!("keeper")).await;
    let (mut near, state) = Subscriber::of(&here, "s", "g").await;
    assert_eq!(state, json!([{"by": "keeper", "id": "i"}]));
    let (mut far, state) = Subscriber::of(&there, "s", "g").await;
    assert_eq!(state, json!([{"by": "keeper", "id": "i"}]));

    for n in 0..50 {
        caller.void("stream::set", write("s", "g", "i", json!(n)));
    }
    let last = json!({"by": "keeper", "id": "i", "n": 50});
    assert_eq!(caller.set("s", "g", "i", json!(50)).await, json!({"old_value": null, "new_value": last}));
    assert_eq!(caller.result("stream::list", group("s", "g")).await, json!([{"by": "keeper", "id": "i"}]));
    assert_eq!(caller.result("stream::list_groups", json!({"stream_name": "s"})).await, json!(["keeper"]));
    assert_eq!(caller.result("stream::delete", key("s", "g", "i")).await, json!({"old_value": {"by": "keeper", "id": "i"}}));
    caller.call("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "end", "data": {"id": "x"}})).await.unwrap();
    for n in 0..=50 {
        for subscriber in [&mut near, &mut far] {
            assert_eq!(subscriber.next_frame().await["event"]["data"]["n"], n);
        }
        assert_eq!(seen.data().await["event"]["data"]["n"], n);
    }
    for subscriber in [&mut near, &mut far] {
        assert_eq!(subscriber.next_frame().await["event"]["type"], "delete");
        assert_eq!(subscriber.next_frame().await["event"]["event"]["type"], "end");
    }
    assert_eq!(seen.data().await["event"]["type"], "delete");
    // Other streams are nobody's but Redis's.
    assert_eq!(caller.set("t", "g", "i", json!(1)).await["new_value"], json!(1));
}

#[tokio::test]
async fn errors_and_absent_results_come_over_from_the_other_node() {
    let (_redis, [here, there]) = nodes().await;
    let (keeper, caller) = (Worker::open(&here).await, Worker::open(&there).await);
    keeper.serve("stream::get(s)", |data| match data["item_id"].as_str() {
        Some("absent") => Answer::Absent,
        Some("null") => Answer::Value(Value::Null),
        Some("i") => Answer::Value(json!({"by": "keeper"})),
        _ => failure("no \"such\" item"),
    });
    served(&caller, "s", json!("keeper")).await;
    assert_eq!(caller.call("stream::get", key("s", "g", "absent")).await, Ok(None));
    assert_eq!(caller.call("stream::get", key("s", "g", "null")).await, Ok(Some(Value::Null)));
    let (code, message) = caller.error("stream::get", key("s", "g", "other")).await;
    assert_eq!((code.as_str(), message.as_str()), ("invocation_failed", "no \"such\" item"));
    // What is not overridden is stored where all find it.
    assert_eq!(caller.set("s", "g", "i", json!(1)).await["new_value"], json!(1));
    assert_eq!(keeper.result("stream::list", group("s", "g")).await, json!([1]));
    // What is passed between nodes is bounded.
    for item in ["a", "b"] {
        keeper.set("s", "large", item, json!("x".repeat(13 << 20))).await;
    }
    let (code, message) = caller.error("stream::list", group("s", "large")).await;
    assert_eq!(code, "payload_too_large", "{message}");
}

#[tokio::test]
async fn newest_owner_serves_all_nodes_and_an_older_one_serves_again_when_it_leaves() {
    let (_redis, [one, two, three]) = nodes().await;
    let caller = Worker::open(&three).await;
    let old = Worker::open(&one).await;
    serve(&old, "s", "old");
    served(&caller, "s", json!("old")).await;
    let new = Worker::open(&two).await;
    serve(&new, "s", "new");
    let others = [&caller, &old];
    for worker in others {
        served(worker, "s", json!("new")).await;
    }
    new.disconnect().await;
    for worker in others {
        served(worker, "s", json!("old")).await;
    }
    old.disconnect().await;
    served(&caller, "s", Value::Null).await;
    assert_eq!(caller.set("s", "g", "i", json!(1)).await, json!({"old_value": null, "new_value": 1}));
}

#[tokio::test]
async fn node_that_starts_later_knows_who_serves_what_from_the_first_call_on() {
    let (redis, [here]) = nodes().await;
    let keeper = Worker::open(&here).await;
    serve(&keeper, "s", "keeper");
    keeper.settle().await;
    let late = Server::with(json!({"adapter": redis.adapter()}));
    let caller = Worker::open(&late).await;
    assert_eq!(caller.set("s", "g", "i", json!(1)).await["new_value"]["by"], "keeper");
}

#[tokio::test]
async fn node_that_dies_takes_its_overrides_with_it_and_its_calls_fail() {
    let (_redis, [here, there]) = nodes().await;
    let (keeper, caller) = (Worker::open(&here).await, Worker::open(&there).await);
    serve(&keeper, "s", "keeper");
    served(&caller, "s", json!("keeper")).await;
    here.kill();
    // Calls find nobody there, and say so, until it has been silent for so long that they are the adapter's.
    let silent = async {
        let mut failed = 0;
        while let Err(error) = caller.call("stream::set", write("s", "g", "i", json!(1))).await {
            assert_eq!(error["code"], "STREAM_SET_ERROR");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("is not there; nothing was done") || message.contains("may or may not"), "{message}");
            failed += 1;
            tokio::time::sleep(POLL).await;
        }
        failed
    };
    let failed = tokio::time::timeout(3 * DEADLINE, silent).await.expect("the dead node is forgotten");
    assert!(failed > 0);
    assert_eq!(caller.set("s", "g", "i", json!(2)).await, json!({"old_value": 1, "new_value": 2}));
}

#[tokio::test]
async fn link_of_the_home_that_breaks_for_a_moment_leaves_its_calls_to_its_worker() {
    let (redis, [here, there]) = nodes().await;
    let (keeper, caller) = (Worker::open(&here).await, Worker::open(&there).await);
    serve(&keeper, "s", "keeper");
    served(&caller, "s", json!("keeper")).await;
    for _ in 0..10 {
        // A node's link to the others subscribes to two channels. The oldest is killed, that of each node in turn.
        let list = redis.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]);
        let links = list.lines().filter(|line| line.contains(" sub=2 "));
        let id = links.filter_map(|line| line.strip_prefix("id=")?.split(' ').next()).next().expect("a link").to_owned();
        redis.cli(&["CLIENT", "KILL", "ID", &id]);
        until("a call that is carried out", async || match caller.call("stream::set", write("s", "g", "i", json!(1))).await {
            Ok(answer) => {
                assert_eq!(answer.unwrap_or_default()["new_value"]["by"], "keeper");
                true
            }
            Err(_) => false,
        })
        .await;
    }
}

#[tokio::test]
async fn lost_link_of_either_node_fails_what_is_under_way_and_mends_itself() {
    let (redis, [here, there]) = nodes().await;
    let (keeper, caller) = (Worker::open(&here).await, Worker::open(&there).await);
    serve(&keeper, "s", "keeper");
    let mut held = keeper.hold("stream::set(s)");
    served(&caller, "s", json!("keeper")).await;
    let call = caller.error("stream::set", write("s", "g", "i", json!(1)));
    let cut = async {
        let set = held.next().await;
        redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"]);
        set
    };
    let ((code, message), set) = tokio::join!(call, cut);
    assert_eq!(code, "STREAM_SET_ERROR");
    assert!(message.contains("may or may not"), "{message}");
    // The worker's answer comes late, and is what it says: others are told of the change.
    keeper.answer(&set, json!({"old_value": null, "new_value": {"by": "keeper", "id": "i"}}));
    served(&caller, "s", json!("keeper")).await;
    let (_, state) = Subscriber::of(&there, "s", "g").await;
    assert_eq!(state, json!([{"by": "keeper", "id": "i"}]));
}

#[tokio::test]
async fn nodes_that_flood_each_other_answer_every_call() {
    let (_redis, [one, two]) = nodes().await;
    let (first, second) = (Worker::open(&one).await, Worker::open(&two).await);
    serve(&first, "first", "first");
    serve(&second, "second", "second");
    served(&first, "second", json!("second")).await;
    served(&second, "first", json!("first")).await;
    let flood = async |worker: &Worker, stream: &str| {
        // More than may be under way between nodes.
        let calls = (0..6_000).map(|n| worker.call("stream::set", write(stream, &format!("g{}", n % 50), "i", json!(n))));
        let (mut done, mut refused) = (0, 0);
        for answer in futures_util::future::join_all(calls).await {
            match answer {
                Ok(_) => done += 1,
                Err(error) if error["code"] == "overloaded" => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(done + refused, 6_000);
        assert!(done >= 4_000, "{done} done, {refused} refused");
    };
    tokio::join!(flood(&first, "second"), flood(&second, "first"));
    served(&first, "second", json!("second")).await;
}
