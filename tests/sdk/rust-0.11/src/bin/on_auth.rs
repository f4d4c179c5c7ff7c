// weir-config: auth_function=onAuth
// weir-run:
//! product.md "Authentication" and the join handler under "Trigger Types".

use iii_sdk::{IIIError, InitOptions, RegisterFunctionMessage, RegisterTriggerInput, register_worker};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use weir_sdk_rust_0_11::{harness::{Outcome, Subscriber, check, registered, unique, watch, workers}, shutdown};

#[tokio::main]
async fn main() -> Outcome {
    watch();
    let (joins, mut joined) = mpsc::unbounded_channel();
    let iii = register_worker(&workers(), InitOptions::default());

    iii.register_function((RegisterFunctionMessage::with_id("onAuth".into()), |_input: Value| async move {
        Ok::<_, IIIError>(json!({ "context": { "name": "John Doe" } }))
    }));

    iii.register_function((RegisterFunctionMessage::with_id("onJoin".into()), move |input: Value| {
        let joins = joins.clone();
        async move {
            println!("Joined stream: {:?}", input);
            joins.send(input).expect("a listener");

            Ok::<_, IIIError>(json!({}))
        }
    }));

    iii.register_trigger(RegisterTriggerInput { trigger_type: "stream:join".into(), function_id: "onJoin".into(), config: json!({}), metadata: None })?;
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
