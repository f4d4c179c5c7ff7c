// weir-config: auth_function=onAuth
// weir-run:
//! product.md "Authentication" and the join handler under "Trigger Types".

#![expect(deprecated, reason = "triggers are what is tested; observe() needs a newer engine")]

use iii_sdk::{InitOptions, RegisterFunction, errors::Error, protocol::RegisterTriggerInput, register_worker};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use weir_sdk_rust_0_25::{harness::{Outcome, Subscriber, check, registered, unique, watch, workers}, shutdown};

#[tokio::main]
async fn main() -> Outcome {
    watch();
    let (joins, mut joined) = mpsc::unbounded_channel();
    let iii = register_worker(&workers(), InitOptions::default());

    iii.register_function("onAuth", RegisterFunction::new_async(|_input: Value| async move {
        Ok::<_, Error>(json!({ "context": { "name": "John Doe" } }))
    }));

    iii.register_function("onJoin", RegisterFunction::new_async(move |input: Value| {
        let joins = joins.clone();
        async move {
            println!("Joined stream: {:?}", input);
            joins.send(input).expect("a listener");

            Ok::<_, Error>(json!({}))
        }
    }));

    iii.register_trigger(RegisterTriggerInput::new("stream:join", "onJoin", json!({})))?;
    registered(&iii, &["onAuth", "onJoin"], &["onJoin"]).await;

    let room = unique("room");
    let mut subscriber = Subscriber::open(&format!("/stream/chat/{room}/"), &[]).await;
    check("the client is in", subscriber.next().await, json!(["sync", null, []]));
    let join = joined.recv().await.expect("a join");
    check("context", &join["context"], &json!({ "name": "John Doe" }));
    check("names", [&join["stream_name"], &join["group_id"]], [&json!("chat"), &json!(room)]);
    check("a subscription id", join["subscription_id"].is_string(), true);
    shutdown(iii).await;
    Ok(())
}
