// weir-run:
//! product.md "Usage Example: Real-Time Presence".

use iii_sdk::{InitOptions, TriggerAction, TriggerRequest, register_worker};
use serde_json::json;
use weir_sdk_rust_0_11::{ActionAsWritten, RequestAsWritten, harness::{Outcome, Subscriber, check, watch, workers}, shutdown};

#[tokio::main]
async fn main() -> Outcome {
    watch();
    let mut by_path = Subscriber::open("/stream/presence/room-1/", &[]).await;
    let mut by_join = Subscriber::open("/", &[]).await;
    by_join.join("5f8a5c7e-0b35-4d5c-9f43-7c5a1f0e2b11", "presence", "room-1", None).await;
    for subscriber in [&mut by_path, &mut by_join] {
        check("sync", subscriber.next().await, json!(["sync", null, []]));
    }

    let iii = register_worker(&workers(), InitOptions::default());

    iii.trigger(TriggerRequest::new("stream::set", json!({
        "stream_name": "presence",
        "group_id": "room-1",
        "item_id": "user-123",
        "data": { "name": "Alice", "online": true }
    })).action(TriggerAction::void())).await?;

    let user = iii.trigger(TriggerRequest::new("stream::get", json!({
        "stream_name": "presence",
        "group_id": "room-1",
        "item_id": "user-123"
    }))).await?;

    let room_members = iii.trigger(TriggerRequest::new("stream::list", json!({
        "stream_name": "presence",
        "group_id": "room-1"
    }))).await?;

    iii.trigger(TriggerRequest::new("stream::delete", json!({
        "stream_name": "presence",
        "group_id": "room-1",
        "item_id": "user-123"
    })).action(TriggerAction::void())).await?;

    let alice = json!({ "name": "Alice", "online": true });
    check("get reads the void set before it", &user, &alice);
    check("list returns the items of the group", &room_members, &json!([alice]));
    let gone = iii.trigger(TriggerRequest::new("stream::get", json!({
        "stream_name": "presence",
        "group_id": "room-1",
        "item_id": "user-123"
    }))).await?;
    check("get after the void delete finds nothing", gone, json!(null));
    for subscriber in [&mut by_path, &mut by_join] {
        check("create", subscriber.next().await, json!(["create", "user-123", alice]));
        check("delete", subscriber.next().await, json!(["delete", "user-123", alice]));
    }
    shutdown(iii).await;
    Ok(())
}
