use weir_actors::adapter::redis::FeedItem;
use weir_actors::change::Kind;
use weir_actors::ids::ItemKey;
use weir_actors::json::Json;

use crate::server::{DEADLINE, Server};

pub(crate) fn json(text: &str) -> Json {
    let raw: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
    Json::copy(raw)
}

#[tokio::test]
async fn a_set_is_stored_and_comes_through_the_feed() {
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let key = ItemKey::new("chat", "room-1", "alice");
    let position = redis.watch(&key.group).await.unwrap();
    assert_eq!(position.seq, 0);
    let applied = redis.set(&key, json("{\"a\":1}")).await.unwrap();
    assert_eq!((applied.old, applied.new), (None, Some(json("{\"a\":1}"))));
    assert_eq!(redis.get(&key).await.unwrap(), Some(json("{\"a\":1}")));
    let item = tokio::time::timeout(DEADLINE, feed.next()).await.unwrap().unwrap();
    let FeedItem::Change(change) = item else { panic!("{item:?}") };
    assert_eq!((change.position.epoch, change.position.seq), (position.epoch, 1));
    assert_eq!(change.body.kind(), Kind::Create);
}
