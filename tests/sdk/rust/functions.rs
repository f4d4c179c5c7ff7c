//! The eight functions, errors and the order of void calls, as the Rust SDK sees them (protocol.md A.9, B.1, B.5).

use serde_json::{Value, json};

use crate::harness::{Sdk, Subscriber, check, unique};

const COUNT: usize = 500;

pub async fn run(sdk: &impl Sdk) {
    results(sdk).await;
    errors(sdk).await;
    order(sdk).await;
}

async fn results(sdk: &impl Sdk) {
    let stream = unique("seats");
    let at = |item: &str, rest: Value| {
        let mut request = json!({ "stream_name": stream, "group_id": "row-9", "item_id": item });
        for (key, value) in rest.as_object().expect("an object") {
            request[key] = value.clone();
        }
        request
    };
    let ok = async |what: &str, function_id: &str, payload: Value, expected: Value| {
        check(what, sdk.call(function_id, payload).await, Ok(expected));
    };

    let seat = json!({ "id": "9C", "held": true });
    ok("set: new", "stream::set", at("9C", json!({ "data": seat })), json!({ "old_value": null, "new_value": seat }))
        .await;
    ok(
        "set: again",
        "stream::set",
        at("9C", json!({ "data": { "id": "9C" } })),
        json!({ "old_value": seat, "new_value": { "id": "9C" } }),
    )
    .await;
    ok("get: hit", "stream::get", at("9C", json!({})), json!({ "id": "9C" })).await;
    ok("get: miss", "stream::get", at("1A", json!({})), Value::Null).await;
    for value in [json!(i64::MIN), json!(u64::MAX), json!(0.1), json!("ü😀\u{0}"), json!([1, [null]]), json!(false)]
    {
        ok(
            &format!("set of {value}"),
            "stream::set",
            at(&format!("v{value}"), json!({ "data": value })),
            json!({ "old_value": null, "new_value": value }),
        )
        .await;
        ok(&format!("get of {value}"), "stream::get", at(&format!("v{value}"), json!({})), value.clone()).await;
        ok(
            &format!("delete of {value}"),
            "stream::delete",
            at(&format!("v{value}"), json!({})),
            json!({ "old_value": value }),
        )
        .await;
    }
    ok("delete: miss", "stream::delete", at("1A", json!({})), json!({ "old_value": null })).await;
    ok("list", "stream::list", json!({ "stream_name": stream, "group_id": "row-9" }), json!([{ "id": "9C" }])).await;
    ok("list_groups", "stream::list_groups", json!({ "stream_name": stream }), json!(["row-9"])).await;
    let all = sdk.call("stream::list_all", json!({})).await.expect("list_all");
    let ours = all["stream"].as_array().expect("an array").iter().find(|row| row["id"] == stream);
    check("list_all", ours, Some(&json!({ "id": stream, "groups": ["row-9"] })));
    ok(
        "send",
        "stream::send",
        json!({ "stream_name": stream, "group_id": "row-9", "type": "blink", "data": 1 }),
        Value::Null,
    )
    .await;
    ok(
        "update",
        "stream::update",
        at("9C", json!({ "ops": [
            { "type": "increment", "path": "views", "by": 2 },
            { "type": "decrement", "path": "left", "by": 3 },
            { "type": "set", "path": "held", "value": false },
            { "type": "remove", "path": "missing" },
            { "type": "merge", "path": null, "value": { "tag": "vip" } },
        ] })),
        json!({ "old_value": { "id": "9C" }, "new_value": { "id": "9C", "views": 2, "left": -3, "held": false, "tag": "vip" } }),
    )
    .await;
    ok(
        "update: merge and append with segments",
        "stream::update",
        at(
            "new",
            json!({ "ops": [
            { "type": "merge", "path": ["sessions", "abc"], "value": { "ts": 1 } },
            { "type": "append", "path": "log", "value": 1 },
            { "type": "append", "path": "log", "value": 2 },
        ] }),
        ),
        json!({ "old_value": null, "new_value": { "sessions": { "abc": { "ts": 1 } }, "log": [1, 2] } }),
    )
    .await;
}

async fn errors(sdk: &impl Sdk) {
    let missing = unique("no::such");
    let failure = sdk.call(&missing, json!({})).await.expect_err("no such function");
    check("unknown function", failure.code.as_str(), "function_not_found");
    check("the message names it", failure.message.contains(&missing), true);
    for (function_id, payload) in [
        ("stream::set", json!({ "stream_name": "s", "group_id": "g", "item_id": "i" })),
        ("stream::get", Value::Null),
        ("stream::list", json!({ "stream_name": 5, "group_id": "g" })),
        ("stream::update", json!({ "stream_name": "s", "group_id": "g", "item_id": "i" })),
    ] {
        let failure = sdk.call(function_id, payload.clone()).await.expect_err("bad input");
        check(&format!("{function_id} of {payload}"), failure.code.as_str(), "deserialization_error");
        check("the message names the function", failure.message.contains(function_id), true);
    }
    sdk.void(&missing, json!({})).await;
    check(
        "a void call of an unknown function disturbs nothing",
        sdk.call("stream::list_all", json!({})).await.is_ok(),
        true,
    );
}

async fn order(sdk: &impl Sdk) {
    let stream = unique("ticker");
    let mut subscriber = Subscriber::open(&format!("/stream/{stream}/g/"), &[]).await;
    check("sync", subscriber.next().await, json!(["sync", null, []]));
    for n in 0..COUNT {
        sdk.void("stream::set", json!({ "stream_name": stream, "group_id": "g", "item_id": "i", "data": { "n": n } }))
            .await;
    }
    let last = sdk.call("stream::get", json!({ "stream_name": stream, "group_id": "g", "item_id": "i" })).await;
    check("the last of the void sets stays", last, Ok(json!({ "n": COUNT - 1 })));
    for n in 0..COUNT {
        let change = if n == 0 { "create" } else { "update" };
        assert_eq!(subscriber.next().await, json!([change, "i", { "n": n }]));
    }
    println!("ok all {COUNT} void sets were seen, in order");
}
