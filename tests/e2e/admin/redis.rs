//! Of a node on Redis.

use serde_json::json;

use super::get;
use super::scrape::{Scrape, shows};
use crate::redis_server::RedisServer;
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::Worker;

#[tokio::test]
async fn state_of_the_link_is_shown() {
    let mut redis = RedisServer::start(&[]);
    let server = Server::node(&redis.adapter());
    let worker = Worker::open(&server).await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    worker.set("s", "g", "i", json!(1)).await;
    subscriber.next_event().await;
    let set = "weir_invocations_total{function=\"stream::set\",outcome=\"ok\"}";
    shows(&server, &[("weir_redis_connected", 1.0), ("weir_ready", 1.0), (set, 1.0), ("weir_deliveries_total", 1.0)]).await;
    assert!(!Scrape::of(&server).await.has("weir_fsync_seconds_count"));
    redis.kill();
    shows(&server, &[("weir_redis_connected", 0.0), ("weir_ready", 0.0)]).await;
    let ready = get(server.admin(), "/health/ready").await;
    assert!(ready.status == 503 && ready.body.contains("redis is not connected"), "{} {}", ready.status, ready.body);
    redis.restart();
    shows(&server, &[("weir_redis_connected", 1.0), ("weir_ready", 1.0)]).await;
}
