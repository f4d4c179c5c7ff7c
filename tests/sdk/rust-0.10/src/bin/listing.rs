// weir-run:
//! list_functions, list_workers, list_triggers and on_functions_available, which later versions do not have.
//!
//! The SDK decodes each list as a whole and strictly: one row it cannot read, and the list is empty, without an error.

use iii_sdk::{InitOptions, RegisterFunctionMessage, RegisterTriggerInput, register_worker};
use iii_sdk::{IIIError, Value};
use serde_json::json;
use tokio::sync::mpsc;
use weir_sdk_rust_0_10::{harness::{Outcome, check, registered, unique, watch, workers}, shutdown};

#[tokio::main]
async fn main() -> Outcome {
    watch();
    let iii = register_worker(&workers(), InitOptions::default());
    let (told, mut hear) = mpsc::unbounded_channel();
    let total = unique("orders::total");
    iii.register_function((RegisterFunctionMessage::with_id(total.clone()).with_description("sum".into()), |_input: Value| async move {
        Ok::<_, IIIError>(json!(1))
    }));
    iii.register_trigger(RegisterTriggerInput { trigger_type: "stream".into(), function_id: total.clone(), config: json!({ "stream_name": total }) })?;
    registered(&iii, &[&total], &[&total]).await;

    let functions = iii.list_functions().await?;
    let function = functions.iter().find(|f| f.function_id == total).expect("the function is listed");
    check("its description", function.description.as_deref(), Some("sum"));
    let listed = iii.list_workers().await?;
    let worker = listed.iter().find(|w| w.functions.contains(&total)).expect("the worker is listed");
    check("its functions are counted", worker.function_count, worker.functions.len());
    let triggers = iii.list_triggers(true).await?;
    let trigger = triggers.iter().find(|t| t.function_id == total).expect("the trigger is listed");
    check("its type", trigger.trigger_type.as_str(), "stream");
    check("its config", &trigger.config, &json!({ "stream_name": total }));

    let _guard = iii.on_functions_available(move |functions| {
        // The listener is gone once the binary is done.
        let _ = told.send(functions);
    });
    let extra = unique("orders::extra");
    iii.register_function((RegisterFunctionMessage::with_id(extra.clone()), |_input: Value| async move { Ok::<_, IIIError>(json!(2)) }));
    loop {
        let functions = hear.recv().await.expect("functions-available");
        if functions.iter().any(|f| f.function_id == extra) {
            break;
        }
    }
    println!("ok functions-available tells of the new function");
    shutdown(iii).await;
    Ok(())
}
