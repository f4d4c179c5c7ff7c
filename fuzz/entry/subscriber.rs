//! Messages of stream clients: what is read agrees with a second reader of JSON, is read again when written anew, and can be answered.

use serde_json::{Value, json};
use weir_actors::frame::Encoded;
use weir_actors::ids::{GroupKey, Name};
use weir_actors::ops::read_value;
use weir_actors::wire::subscriber::{Address, Request, parse};

/// Reads `data` as one message.
pub fn run(data: &[u8]) {
    let request = match parse(data) {
        Ok(request) => request,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let anew = written(&request);
    assert_eq!(parse(anew.to_string().as_bytes()).ok().as_ref(), Some(&request), "written and read");
    // Nested too deep or with half a surrogate beside what is read: the second reader does not take it.
    if let Ok(value) = read_value(std::str::from_utf8(data).unwrap_or_default()) {
        for (key, text) in anew["data"].as_object().into_iter().flatten() {
            assert_eq!(&value["data"][key], text, "{key}");
        }
        assert_eq!(value["type"], anew["type"]);
    }
    if let Request::Join { stream, group, item, .. } = &request {
        answer(stream, group, item.as_deref());
    }
}

fn written(request: &Request) -> Value {
    match request {
        Request::Join { subscription_id, stream, group, item: None } => {
            json!({"type": "join", "data": {"subscriptionId": subscription_id, "streamName": stream, "groupId": group}})
        }
        Request::Join { subscription_id, stream, group, item: Some(item) } => {
            json!({"type": "join", "data": {"subscriptionId": subscription_id, "streamName": stream, "groupId": group, "id": item}})
        }
        Request::Refresh { token } => json!({"type": "refresh", "data": {"token": token}}),
        Request::Leave { subscription_id } => json!({"type": "leave", "data": {"subscriptionId": subscription_id}}),
    }
}

/// Encodes what a client may be answered, with names that it chose.
fn answer(stream: &str, group: &str, item: Option<&str>) {
    let address = Address::new(&GroupKey::new(stream, group));
    let name = item.map(Name::from);
    let frames = [address.unauthorized(name.as_ref()), address.error(name.as_ref(), stream, group), address.sync_group(1, &[])];
    for (frame, item) in frames.iter().zip([item, item, None]) {
        let value = read(frame);
        assert_eq!((value["streamName"].as_str(), value["groupId"].as_str(), value["id"].as_str()), (Some(stream), Some(group), item));
    }
    assert_eq!(read(&frames[1])["event"]["data"], json!({"code": stream, "message": group}));
}

fn read(frame: &Encoded) -> Value {
    let payload = frame.payload();
    read_value(std::str::from_utf8(&payload).expect("UTF-8")).expect("JSON")
}
