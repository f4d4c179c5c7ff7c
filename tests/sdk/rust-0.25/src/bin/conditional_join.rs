// weir-config: auth_function=stream::auth
// weir-run:
//! product.md "Usage Example: Conditional Join": a false condition skips the handler, and the join goes on.

#![expect(deprecated, reason = "triggers are what is tested; observe() needs a newer engine")]

use iii_sdk::{InitOptions, RegisterFunction, errors::Error, protocol::RegisterTriggerInput, register_worker};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use weir_sdk_rust_0_25::{harness::{Outcome, Sdk, Subscriber, check, registered, unique, watch, workers}, shutdown};

#[tokio::main]
async fn main() -> Outcome {
    watch();
    let (said, mut hear) = mpsc::unbounded_channel();
    let iii = register_worker(&workers(), InitOptions::default());

    iii.register_function("stream::auth", RegisterFunction::new_async(|input: Value| async move {
        Ok::<_, Error>(match input["headers"]["authorization"].as_str() {
            Some(_) => json!({ "context": { "userId": "user-from-token" } }),
            None => json!({ "context": null }),
        })
    }));

    iii.register_function("conditions::requireContext", RegisterFunction::new_async(|input: Value| async move {
        let has_user = input
            .get("context")
            .and_then(|c| c.get("userId"))
            .is_some();

        Ok::<_, Error>(json!(has_user))
    }));

    iii.register_function("onJoin", RegisterFunction::new_async(move |input: Value| {
        let said = said.clone();
        async move {
            let user_id = input.get("context").and_then(|c| c.get("userId")).and_then(|u| u.as_str()).unwrap_or("");

            let stream = input["stream_name"].as_str().unwrap_or("");
            said.send(format!("User joined: {} {}", user_id, stream)).expect("a listener");
            Ok::<_, Error>(json!({}))
        }
    }));

    iii.register_trigger(RegisterTriggerInput::new("stream:join", "onJoin", json!({
        "condition_function_id": "conditions::requireContext"
    })))?;
    registered(&iii, &["stream::auth", "conditions::requireContext", "onJoin"], &["onJoin"]).await;

    // Joins are decided before the sync, so a handler not called by then is never called.
    let room = unique("room");
    let mut stranger = Subscriber::open("/", &[]).await;
    stranger.join("s-stranger", "chat", &room, None).await;
    check("condition false: the join goes on", stranger.next().await, json!(["sync", null, []]));
    check("condition false: the handler is not called", hear.try_recv().is_err(), true);

    let mut friend = Subscriber::open("/", &[("authorization", "Bearer tok-5")]).await;
    friend.join("s-friend", "chat", &room, None).await;
    check("condition true: the join goes on", friend.next().await, json!(["sync", null, []]));
    check("condition true: the handler is called", hear.recv().await, Some("User joined: user-from-token chat".to_owned()));

    let change = json!({ "stream_name": "chat", "group_id": room, "item_id": "m1", "data": { "id": "m1" } });
    iii.call("stream::set", change).await.expect("stream::set");
    for subscriber in [&mut stranger, &mut friend] {
        check("both get the changes", subscriber.next().await, json!(["create", "m1", { "id": "m1" }]));
    }
    shutdown(iii).await;
    Ok(())
}
