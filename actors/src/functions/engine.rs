//! The `engine::*` functions that published SDKs call (protocol.md A.15).

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::table::{Entry, FunctionInfo};
use super::{Registry, ReplyTo, Worker};
use crate::clock;
use crate::error::{CallError, Output};
use crate::json::Json;
use crate::metrics::calls::BuiltIn;
use crate::store::input;
use crate::trigger::Notice;
use crate::trigger::config::BUILT_IN;
use std::sync::Arc;

/// What Weir serves itself, with a line for people; listed with `include_internal`.
const INTERNAL: [(&str, &str); 13] = [
    ("engine::workers::register", "a worker describes itself"),
    ("engine::workers::list", "lists connected workers"),
    ("engine::workers::info", "describes one worker"),
    ("engine::functions::list", "lists functions"),
    ("engine::functions::info", "describes one function"),
    ("engine::triggers::list", "lists triggers and trigger types"),
    ("engine::trigger-types::list", "lists trigger types"),
    ("engine::registered-triggers::list", "lists triggers"),
    ("engine::log::trace", "takes a log line"),
    ("engine::log::debug", "takes a log line"),
    ("engine::log::info", "takes a log line"),
    ("engine::log::warn", "takes a log line"),
    ("engine::log::error", "takes a log line"),
];

/// Calls `id` for `caller`, who is `None` where no worker calls.
pub fn call(registry: &Registry, id: &str, caller: Option<&Arc<Worker>>, data: &Json, reply: ReplyTo) {
    let input = match data.to_value() {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let flag = |key: &str| input.get(key).and_then(Value::as_bool).unwrap_or(false);
    let text = |key: &str| input.get(key).and_then(Value::as_str);
    let result = match id {
        "engine::workers::register" => {
            if let Some(worker) = caller {
                describe(registry, worker, input);
            }
            Some(json!({"success": true}))
        }
        "engine::functions::list" => Some(json!({"functions": functions(registry, flag("include_internal"))})),
        "engine::functions::info" => text("function_id").and_then(|id| registry.functions.read().get(id).map(|entry| function(id, entry))),
        "engine::workers::list" => Some(json!({"workers": workers(registry, text("worker_id")), "timestamp": clock::wall()})),
        "engine::workers::info" => text("worker_id")
            .or(text("name"))
            .and_then(|id| workers(registry, None).into_iter().find(|worker| worker["id"] == id || worker["name"] == id)),
        "engine::triggers::list" => {
            // Two generations of SDKs look for different rows here: instances of triggers, and types. Both find theirs.
            let mut rows = instances(registry);
            rows.extend(types(registry));
            Some(json!({"triggers": rows}))
        }
        "engine::trigger-types::list" => Some(json!({"trigger_types": types(registry)})),
        "engine::registered-triggers::list" => Some(json!({"registered_triggers": instances(registry)})),
        _ => match id.strip_prefix("engine::log::") {
            Some(level @ ("trace" | "debug" | "info" | "warn" | "error")) => {
                log(level, caller, text("message").unwrap_or_default());
                Some(Value::Null)
            }
            _ => {
                let outcome = Err(CallError::function_not_found(id));
                registry.metrics.served(BuiltIn::Engine, &outcome);
                return reply.send(outcome);
            }
        },
    };
    let outcome = match result {
        Some(value) => Ok(Output::Value(Json::from_value(&value))),
        None => Err(CallError::bad_input(id, "nothing has that name; list to see what is there")),
    };
    registry.metrics.served(BuiltIn::Engine, &outcome);
    reply.send(outcome);
}

fn describe(registry: &Registry, worker: &Arc<Worker>, mut input: Map<String, Value>) {
    // Whatever the worker says of its id, it is the one who calls.
    input.remove("_caller_worker_id");
    if let Some(Value::Object(telemetry)) = input.get_mut("telemetry") {
        telemetry.remove("amplitude_api_key");
    }
    *worker.details.write() = input;
    if let Some(dispatcher) = registry.dispatcher() {
        dispatcher.do_send(Notice::Worker { event: "worker_metadata_updated", worker_id: worker.id.clone() });
    }
}

/// Payloads are not ours to keep: the line goes to our log at its level, its data does not.
fn log(level: &str, caller: Option<&Arc<Worker>>, message: &str) {
    let worker = caller.map_or("", |worker| worker.id.as_str());
    match level {
        "error" => tracing::error!(target: "weir::worker", worker, "{message}"),
        "warn" => tracing::warn!(target: "weir::worker", worker, "{message}"),
        "info" => tracing::info!(target: "weir::worker", worker, "{message}"),
        "debug" => tracing::debug!(target: "weir::worker", worker, "{message}"),
        _ => tracing::trace!(target: "weir::worker", worker, "{message}"),
    }
}

/// All functions, sorted by id: those of workers, and with `internal` those of Weir.
#[must_use]
pub fn functions(registry: &Registry, internal: bool) -> Vec<Value> {
    let mut rows: Vec<(String, Value)> = registry.functions.read().iter().map(|(id, entry)| (id.to_owned(), function(id, entry))).collect();
    rows.extend(input::FUNCTIONS.iter().chain([&super::disconnect::ID]).map(|id| ((*id).to_owned(), own(id, "built in"))));
    if internal {
        rows.extend(INTERNAL.iter().map(|(id, text)| ((*id).to_owned(), own(id, text))));
    }
    rows.sort_by(|left, right| left.0.cmp(&right.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn own(id: &str, description: &str) -> Value {
    json!({"function_id": id, "namespace": "default", "worker_name": "weir", "description": description,
           "request_format": null, "response_format": null, "metadata": null})
}

fn function(id: &str, entry: &Entry<Arc<Worker>>) -> Value {
    let FunctionInfo { description, request_format, response_format, metadata, .. } = &*entry.info;
    let value = |json: &Option<Json>| json.as_ref().and_then(Json::to_value);
    let (request, response) = (value(request_format), value(response_format));
    json!({"function_id": id, "namespace": "default", "worker_name": name_of(&entry.handle), "description": description,
           "request_format": request, "response_format": response, "request_schema": request, "response_schema": response,
           "metadata": value(metadata)})
}

fn name_of(worker: &Worker) -> Value {
    worker.details.read().get("name").cloned().unwrap_or(Value::Null)
}

fn workers(registry: &Registry, only: Option<&str>) -> Vec<Value> {
    let mut by_worker: std::collections::HashMap<_, Vec<String>> = std::collections::HashMap::new();
    for (id, entry) in registry.functions.read().iter() {
        by_worker.entry(entry.owner).or_default().push(id.to_owned());
    }
    let mut workers: Vec<Arc<Worker>> =
        registry.workers.read().values().filter(|worker| only.is_none_or(|id| id == worker.id)).cloned().collect();
    workers.sort_by_key(|worker| (worker.connected_at, worker.socket));
    let row = |worker: Arc<Worker>| {
        let mut functions = by_worker.remove(&worker.socket).unwrap_or_default();
        functions.sort_unstable();
        let details = worker.details.read();
        let detail = |key: &str| details.get(key).cloned().unwrap_or(Value::Null);
        let active = worker.in_flight.load(Ordering::Relaxed);
        json!({"id": worker.id, "name": detail("name"), "description": detail("description"), "runtime": detail("runtime"),
               "version": detail("version"), "os": detail("os"), "pid": detail("pid"), "isolation": detail("isolation"),
               "namespace": "default", "ip_address": worker.address, "status": if active > 0 { "busy" } else { "connected" },
               "connected_at_ms": worker.connected_at, "function_count": functions.len(), "functions": functions,
               "active_invocations": active, "latest_metrics": null})
    };
    workers.into_iter().map(row).collect()
}

fn instances(registry: &Registry) -> Vec<Value> {
    let names: std::collections::HashMap<_, Value> =
        registry.workers.read().values().map(|worker| (worker.socket, name_of(worker))).collect();
    let row = |binding: &Arc<crate::trigger::table::Binding>| {
        json!({"id": &*binding.id, "trigger_type": &*binding.trigger_type, "function_id": &*binding.function_id,
               "worker_name": names.get(&binding.owner).cloned().unwrap_or(Value::Null), "config": binding.config.to_value(),
               "config_summary": null, "metadata": binding.metadata.as_ref().and_then(Json::to_value)})
    };
    registry.triggers.read().iter().map(row).collect()
}

/// Rows for types carry the keys of an instance too: published Rust and Python SDKs (0.10) read the whole list as instances or fail.
fn types(registry: &Registry) -> Vec<Value> {
    let row = |id: &str, worker: Value, description: &str| {
        json!({"id": id, "trigger_type": id, "function_id": "", "config": null, "namespace": "default", "worker_name": worker,
               "description": description})
    };
    let mut rows: Vec<Value> = BUILT_IN.iter().map(|(id, description)| row(id, json!("weir"), description)).collect();
    let mut provided: Vec<Value> =
        registry.triggers.read().providers().map(|(id, provider)| row(id, name_of(&provider.handle), &provider.description)).collect();
    provided.sort_by(|left, right| left["id"].as_str().cmp(&right["id"].as_str()));
    rows.extend(provided);
    rows
}

/// Whether the worker that serves `id` has so much under way that an event had better wait.
#[must_use]
pub fn is_busy(registry: &Registry, id: &str) -> bool {
    let limit = registry.settings.worker.max_invocations / 2;
    registry.functions.read().get(id).is_some_and(|entry| entry.handle.in_flight.load(Ordering::Relaxed) > limit.max(1))
}
