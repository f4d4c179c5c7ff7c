//! The console: its page, and what the page asks for.
//!
//! Everything is behind the [`gate`](super::gate). What changes something is asked for with `POST` and JSON, which a page of another origin cannot send without being
//! asked about it first, and that is answered with nothing.

mod live;
mod overview;

use std::collections::HashMap;
use std::time::Instant;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use actix_web::web::{self, Data, Json, Path, Query};
use actix_web::{HttpResponse, ResponseError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_actors::json::Json as Raw;
use weir_actors::streams::{Error, Streams};

use super::System;

/// What the page may do: nothing but show what is here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
/// The files of the page, with their types.
const FILES: &[(&str, &str, &str)] = &[
    ("index.html", "text/html; charset=utf-8", include_str!("console/index.html")),
    ("console.css", "text/css; charset=utf-8", include_str!("console/console.css")),
    ("elements.js", SCRIPT, include_str!("console/elements.js")),
    ("overview.js", SCRIPT, include_str!("console/overview.js")),
    ("streams.js", SCRIPT, include_str!("console/streams.js")),
    ("lists.js", SCRIPT, include_str!("console/lists.js")),
    ("calls.js", SCRIPT, include_str!("console/calls.js")),
    ("console.js", SCRIPT, include_str!("console/console.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Sessions that are shown at a time.
const SESSIONS: usize = 500;
/// Streams and groups that are shown at a time, together.
const NAMES: usize = 10_000;
/// The largest request.
const REQUEST_BYTES: usize = 1 << 20;

/// Adds the page and what it asks for.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .app_data(web::JsonConfig::default().limit(REQUEST_BYTES).error_handler(|error, _| Trouble::Request(error.to_string()).into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| Trouble::Request(error.to_string()).into()))
        .route("/", web::get().to(async || file("index.html")))
        .route("/console/{name}", web::get().to(async |name: Path<String>| file(&name)))
        .route("/api/overview", web::get().to(overview::overview))
        .route("/api/streams", web::get().to(streams))
        .route("/api/live", web::get().to(live::live))
        .route("/api/workers", web::get().to(workers))
        .route("/api/sessions", web::get().to(sessions))
        .route("/api/call", web::post().to(call))
        .route("/api/send", web::post().to(send));
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the store is starting; try again")]
    Starting,
    #[error("{0}")]
    Request(String),
    #[error("{0} groups are watched live already; close one of those pages")]
    Views(usize),
    #[error("{0}")]
    Streams(#[from] Error),
}

impl ResponseError for Trouble {
    fn status_code(&self) -> actix_web::http::StatusCode {
        match self {
            Self::Request(_) => actix_web::http::StatusCode::BAD_REQUEST,
            Self::Starting | Self::Views(_) | Self::Streams(_) => actix_web::http::StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(json!({"error": self.to_string()}))
    }
}

/// The system that is shown.
fn shown(system: &System) -> Result<Streams, Trouble> {
    system.get().and_then(|shown| shown.streams.upgrade()).ok_or(Trouble::Starting)
}

fn file(name: &str) -> HttpResponse {
    let Some((_, kind, text)) = FILES.iter().find(|(file, _, _)| *file == name) else {
        return HttpResponse::NotFound().body("not found\n");
    };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, *kind))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .body(*text)
}

/// Streams and groups whose names have `q` in them, in whatever case; a stream that has it, with all of its groups.
async fn streams(system: Data<System>, Query(Looked { q }): Query<Looked>) -> Result<HttpResponse, Trouble> {
    #[derive(Serialize)]
    struct Row<'a> {
        id: &'a str,
        /// How many groups it has.
        total: usize,
        /// How many of them match.
        found: usize,
        /// The first of these, as many as there is room for.
        groups: Vec<&'a str>,
    }
    let (all, q) = (shown(&system)?.list_all().await?, q.trim().to_lowercase());
    let matches = |name: &str| q.is_empty() || name.to_lowercase().contains(&q);
    let (mut rows, mut room) = (Vec::new(), NAMES);
    let (mut streams, mut groups_found) = (0_usize, 0_usize);
    for (id, groups) in &all {
        let found: Vec<&str> = groups.iter().map(String::as_str).filter(|group| matches(id) || matches(group)).collect();
        if found.is_empty() {
            continue;
        }
        streams += 1;
        groups_found += found.len();
        if rows.len() < NAMES {
            let shown = found.len().min(room);
            room -= shown;
            rows.push(Row { id, total: groups.len(), found: found.len(), groups: found[..shown].to_vec() });
        }
    }
    let groups = all.iter().map(|(_, groups)| groups.len()).sum::<usize>();
    let whole = json!({"streams": all.len(), "groups": groups});
    let truncated = rows.len() < streams || room == 0;
    Ok(HttpResponse::Ok().json(json!({"streams": rows, "whole": whole, "found": groups_found, "truncated": truncated})))
}

/// Workers with the triggers that call a function of theirs, and triggers whose function nobody serves.
async fn workers(system: Data<System>) -> Result<HttpResponse, Trouble> {
    let streams = shown(&system)?;
    let mut workers: Value = streams.invoke("engine::workers::list", &json!({})).await?;
    let mut triggers: Value = streams.invoke("engine::registered-triggers::list", &json!({})).await?;
    let functions: Value = streams.invoke("engine::functions::list", &json!({})).await?;
    let mut workers = rows(&mut workers["workers"]);
    for worker in &mut workers {
        worker["triggers"] = json!([]);
    }
    let mut served_by: HashMap<String, usize> = HashMap::new();
    for (place, worker) in workers.iter().enumerate() {
        for function in worker["functions"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            served_by.entry(function.to_owned()).or_insert(place);
        }
    }
    let mut orphans = Vec::new();
    for trigger in rows(&mut triggers["registered_triggers"]) {
        let server = trigger["function_id"].as_str().and_then(|function| served_by.get(function));
        match server.and_then(|place| workers[*place]["triggers"].as_array_mut()) {
            Some(own) => own.push(trigger),
            None => orphans.push(trigger),
        }
    }
    let built_in = functions["functions"].as_array().into_iter().flatten();
    let built_in: Vec<_> = built_in.filter(|function| function["worker_name"] == "weir").map(|function| &function["function_id"]).collect();
    Ok(HttpResponse::Ok().json(json!({"workers": workers, "orphans": orphans, "built_in": built_in})))
}

fn rows(value: &mut Value) -> Vec<Value> {
    match value.take() {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    }
}

#[derive(Deserialize)]
struct Looked {
    #[serde(default)]
    q: String,
}

async fn sessions(system: Data<System>, Query(Looked { q }): Query<Looked>) -> Result<HttpResponse, Trouble> {
    let found = shown(&system)?.clients(&q, SESSIONS).await;
    Ok(HttpResponse::Ok().json(json!({"sessions": found.clients, "total": found.total})))
}

#[derive(Deserialize)]
struct Called {
    function_id: String,
    data: Option<Raw>,
}

async fn call(system: Data<System>, Json(Called { function_id, data }): Json<Called>) -> Result<HttpResponse, Trouble> {
    let (streams, began) = (shown(&system)?, Instant::now());
    tracing::info!(function = function_id, "called from the console");
    let outcome = streams.invoke::<_, Raw>(&function_id, &data.unwrap_or(Raw::NULL)).await;
    Ok(answer(outcome, began))
}

#[derive(Deserialize)]
struct Sent {
    stream: String,
    group: String,
    item: Option<String>,
    r#type: String,
    data: Option<Raw>,
}

async fn send(system: Data<System>, Json(Sent { stream, group, item, r#type, data }): Json<Sent>) -> Result<HttpResponse, Trouble> {
    let (streams, began, data) = (shown(&system)?, Instant::now(), data.unwrap_or(Raw::NULL));
    tracing::info!(stream, group, "event sent from the console");
    let outcome = match item.filter(|item| !item.is_empty()) {
        Some(item) => streams.send_about(&stream, &group, &item, &r#type, &data).await,
        None => streams.send(&stream, &group, &r#type, &data).await,
    };
    Ok(answer(outcome.map(|()| Raw::NULL), began))
}

fn answer(outcome: Result<Raw, Error>, began: Instant) -> HttpResponse {
    #[derive(Serialize)]
    struct Answer {
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<Raw>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Value>,
        elapsed_ms: f64,
    }
    let elapsed_ms = began.elapsed().as_secs_f64() * 1e3;
    let (result, error) = match outcome {
        Ok(result) => (Some(result), None),
        Err(Error::Call(error)) => (None, Some(json!({"code": error.code, "message": error.message}))),
        Err(error) => (None, Some(json!({"code": "error", "message": error.to_string()}))),
    };
    HttpResponse::Ok().json(Answer { ok: error.is_none(), result, error, elapsed_ms })
}
