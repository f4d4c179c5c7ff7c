//! A worker in Rust with the published SDK: it counts, in a stream of its own, the tasks of a list that are open and done, whoever changes the list.
//!
//! ```sh
//! make run                                                         # in another terminal
//! cargo run --manifest-path examples/worker/Cargo.toml             # the worker
//! weir set todo today milk '{"id":"milk","done":false}'            # or any other worker
//! ```
//!
//! `WEIR_WORKERS` is the address of the worker port, by default ws://127.0.0.1:49134.

use iii_sdk::protocol::{RegisterTriggerInput, TriggerRequest};
use iii_sdk::{IIIClient, InitOptions, RegisterFunction, register_worker};
use serde_json::{Value, json};

/// Counts a list anew and shows the result in stream `todo-counts`, one item per list.
async fn count(iii: IIIClient, list: String) -> Result<(), iii_sdk::errors::Error> {
    let tasks = iii.trigger(TriggerRequest::new("stream::list", json!({"stream_name": "todo", "group_id": list}))).await?;
    let tasks = tasks.as_array().map(Vec::as_slice).unwrap_or_default();
    let done = tasks.iter().filter(|task| task["done"] == true).count();
    let data = json!({"id": list, "open": tasks.len() - done, "done": done});
    println!("{list}: {} open, {done} done", tasks.len() - done);
    let set = json!({"stream_name": "todo-counts", "group_id": "all", "item_id": list, "data": data});
    iii.trigger(TriggerRequest::new("stream::set", set)).await.map(drop)
}

#[expect(deprecated, reason = "`register_trigger` is what the documentation of Weir's workers names; the newest SDK has another word for it")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::var("WEIR_WORKERS").unwrap_or_else(|_| "ws://127.0.0.1:49134".to_owned());
    let iii = register_worker(&address, InitOptions::default());
    let client = iii.clone();
    let changed = move |change: Value| {
        let (client, list) = (client.clone(), change["groupId"].as_str().unwrap_or_default().to_owned());
        async move {
            count(client, list).await?;
            Ok::<_, iii_sdk::errors::Error>(Value::Null)
        }
    };
    iii.register_function("todo::changed", RegisterFunction::new_async(changed));
    iii.register_trigger(RegisterTriggerInput::new("stream", "todo::changed", json!({"stream_name": "todo"})))?;
    println!("counts the lists of stream todo at {address}; Ctrl-C ends it");
    tokio::signal::ctrl_c().await?;
    // Joins a thread, so not on the runtime.
    tokio::task::spawn_blocking(move || iii.shutdown()).await?;
    Ok(())
}
