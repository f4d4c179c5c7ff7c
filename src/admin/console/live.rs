//! One group as it changes: server-sent events, each with the frame that subscribers get.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Bytes, Data, Query};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use weir_actors::json::{Json, on_one_line};
use weir_actors::streams::{Change, Error, Event, State, Told};

use super::{System, Trouble, shown};
use crate::admin::CONNECTIONS;

/// Views at a time: half of the listener's connections, so that a scraper and whoever looks for what is wrong still get in.
static VIEWS: Semaphore = Semaphore::const_new(CONNECTIONS / 2);
/// Items of a state that are shown, …
const ITEMS: usize = 1_000;
/// … as long as their values have no more bytes than a page shows at once; the first one is shown whatever it has.
const ITEM_BYTES: usize = 4 << 20;
/// How often a connection over which nothing happens is shown to be there.
const ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub(super) struct Group {
    stream: String,
    group: String,
}

pub(super) async fn live(system: Data<System>, Query(Group { stream, group }): Query<Group>) -> Result<HttpResponse, Trouble> {
    let permit = VIEWS.try_acquire().map_err(|_all_taken| Trouble::Views(CONNECTIONS / 2))?;
    let told = shown(&system)?.subscribe::<Json>(&stream, &group);
    let events = events(told).map(move |event| {
        let _held_until_it_ends = &permit;
        Ok::<_, actix_web::Error>(event)
    });
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/event-stream")).streaming(events))
}

fn events(told: impl Stream<Item = Result<Told<Json>, Error>> + 'static) -> impl Stream<Item = Bytes> {
    let mut pace = interval(ALIVE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((Box::pin(told), pace), |(mut told, mut pace)| async {
        let event = tokio::select! {
            next = told.next() => match next? {
                Ok(Told::State(state)) => event("state", &of_state(state)),
                Ok(Told::Change(change)) => event("change", &frame(change)),
                Err(error) => event("trouble", &json!({"error": error.to_string()})),
            },
            _ = pace.tick() => Bytes::from_static(b":\n\n"),
        };
        Some((event, (told, pace)))
    })
}

fn event(kind: &str, data: &impl Serialize) -> Bytes {
    let data = on_one_line(serde_json::to_string(data).unwrap_or_default());
    format!("event: {kind}\ndata: {data}\n\n").into()
}

fn of_state(state: State<Json>) -> impl Serialize {
    #[derive(Serialize)]
    struct Item {
        id: String,
        data: Json,
    }
    #[derive(Serialize)]
    struct Shown {
        timestamp: u64,
        items: Vec<Item>,
        total: usize,
    }
    let total = state.items.len();
    let mut bytes = 0;
    let mut fits = |data: &Json| {
        let is_first = bytes == 0;
        bytes += data.as_bytes().len();
        is_first || bytes <= ITEM_BYTES
    };
    let items = state.items.into_iter().take(ITEMS).take_while(|(_, data)| fits(data)).map(|(id, data)| Item { id, data }).collect();
    Shown { timestamp: state.timestamp, items, total }
}

/// The frame as it is on the wire.
fn frame(change: Change<Json>) -> impl Serialize {
    #[derive(Serialize)]
    struct Inner {
        r#type: String,
        data: Json,
    }
    #[derive(Serialize)]
    struct Body {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Json>,
        #[serde(skip_serializing_if = "Option::is_none")]
        event: Option<Inner>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Frame {
        r#type: &'static str,
        timestamp: u64,
        stream_name: String,
        group_id: String,
        id: Option<String>,
        event: Body,
    }
    let body = |r#type, data| Body { r#type, data: Some(data), event: None };
    let event = match change.event {
        Event::Create(data) => body("create", data),
        Event::Update(data) => body("update", data),
        Event::Delete(data) => body("delete", data),
        Event::Custom { name, data } => Body { r#type: "event", data: None, event: Some(Inner { r#type: name, data }) },
    };
    Frame { r#type: "stream", timestamp: change.timestamp, stream_name: change.stream, group_id: change.group, id: change.item, event }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;
    use weir_actors::streams::Streams;

    #[actix_rt::test]
    async fn state_and_frames_are_told_as_they_are_on_the_wire() {
        let streams = Streams::builder().start().await.unwrap();
        let mut events = Box::pin(events(streams.subscribe("s", "g")));
        let mut seen: Vec<(String, Value)> = Vec::new();
        while seen.len() < 3 {
            let text = String::from_utf8(events.next().await.unwrap().to_vec()).unwrap();
            let Some((kind, data)) = text.strip_prefix("event: ").and_then(|text| text.strip_suffix("\n\n")?.split_once("\ndata: ")) else {
                continue;
            };
            let mut data: Value = serde_json::from_str(data).unwrap();
            assert!(data["timestamp"].take().is_u64());
            seen.push((kind.to_owned(), data));
            if seen.len() == 1 {
                // Indented, as people write it.
                streams.set("s", "g", "i", &Json::read("{\r\n  \"n\": [1, \"\\n\"]\n}").unwrap()).await.unwrap();
                streams.send("s", "g", "typing", &json!(null)).await.unwrap();
            }
        }
        let frame = |id: Value, event: Value| json!({"type": "stream", "timestamp": null, "streamName": "s", "groupId": "g", "id": id, "event": event});
        let expected = [
            ("state".to_owned(), json!({"timestamp": null, "items": [], "total": 0})),
            ("change".to_owned(), frame(json!("i"), json!({"type": "create", "data": {"n": [1, "\n"]}}))),
            ("change".to_owned(), frame(Value::Null, json!({"type": "event", "event": {"type": "typing", "data": null}}))),
        ];
        assert_eq!(seen, expected);
        streams.shutdown().await;
    }
}
