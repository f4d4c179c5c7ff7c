use serde_json::{Value, json};

use super::*;
use crate::session::peer::World;
use crate::settings::Settings;

fn join(id: usize) -> Value {
    json!({"type": "join", "data": {"subscriptionId": id.to_string(), "streamName": "s", "groupId": id.to_string()}})
}

#[actix_rt::test]
async fn joins_that_wait_are_done_when_the_trigger_they_wait_for_is_gone() {
    let world = World::new(Settings::default());
    let mut worker = world.worker().await;
    worker.send(&json!({"type": "registerfunction", "id": "guard"}));
    worker.send(&json!({"type": "registertrigger", "id": "t", "trigger_type": "stream:join", "function_id": "guard", "config": {}}));
    worker.settle().await;
    let mut client = world.client();
    for id in 0..ASKING * 4 {
        client.send(&join(id));
    }
    let mut asked = Vec::new();
    for _ in 0..ASKING {
        asked.push(worker.called().await);
    }
    worker.send(&json!({"type": "unregistertrigger", "id": "t"}));
    for call in &asked {
        worker.answer(call, &json!({}));
    }
    for _ in 0..ASKING * 4 {
        assert_eq!(client.next().await["event"]["type"], "sync");
    }
    world.system.stop();
}
