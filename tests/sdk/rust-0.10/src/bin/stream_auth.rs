// weir-config: auth_function=stream::auth
// weir-run:
//! product.md "Usage Example: Join with Auth Context".

use iii_sdk::{IIIError, InitOptions, RegisterFunctionMessage, RegisterTriggerInput, register_worker};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use weir_sdk_rust_0_10::{harness::{Outcome, Subscriber, check, registered, unique, watch, workers}, shutdown};

#[tokio::main]
async fn main() -> Outcome {
    watch();
    let (said, mut hear) = mpsc::unbounded_channel();
    let iii = register_worker(&workers(), InitOptions::default());

    iii.register_function((RegisterFunctionMessage::with_id("stream::auth".into()), |input: Value| async move {
        let headers = input.get("headers").and_then(|h| h.as_object());

        let token = headers
            .and_then(|h| h.get("authorization"))
            .and_then(|v| v.as_str())
            .and_then(|s| s.strip_prefix("Bearer "));

        match token {
            Some(_) => Ok::<_, IIIError>(json!({ "context": { "userId": "user-from-token" } })),
            None => Ok(json!({ "context": null })),
        }
    }));

    iii.register_function((RegisterFunctionMessage::with_id("onJoin".into()), move |input: Value| {
        let said = said.clone();
        async move {
            if let Some(user_id) = input.get("context").and_then(|c| c.get("userId")).and_then(|u| u.as_str()) {
                let stream = input["stream_name"].as_str().unwrap_or("");

                let group = input["group_id"].as_str().unwrap_or("");
                let item = input["id"].as_str().unwrap_or("");
                said.send(format!("User {} joined {}/{}/{}", user_id, stream, group, item)).expect("a listener");
            } else {
                said.send("nobody".to_owned()).expect("a listener");
            }
            Ok::<_, IIIError>(json!({}))
        }
    }));

    iii.register_trigger(RegisterTriggerInput { trigger_type: "stream:join".into(), function_id: "onJoin".into(), config: json!({}) })?;
    registered(&iii, &["stream::auth", "onJoin"], &["onJoin"]).await;

    let room = unique("room");
    let mut friend = Subscriber::open("/", &[("authorization", "Bearer tok-5")]).await;
    friend.join("s-item", "chat", &room, Some("item-1")).await;
    check("a token gets in", friend.next().await, json!(["sync", "item-1", null]));
    check("and a context", hear.recv().await, Some(format!("User user-from-token joined chat/{room}/item-1")));
    friend.join("s-group", "chat", &room, None).await;
    check("a group too", friend.next().await, json!(["sync", null, []]));
    check("without an item", hear.recv().await, Some(format!("User user-from-token joined chat/{room}/")));

    let mut stranger = Subscriber::open("/", &[]).await;
    stranger.join("s-stranger", "chat", &room, None).await;
    check("no token gets in", stranger.next().await, json!(["sync", null, []]));
    check("and no context", hear.recv().await, Some("nobody".to_owned()));
    shutdown(iii).await;
    Ok(())
}
