//! product.md's Rust examples with iii-sdk 0.25.0, in its way of registering functions.

#[path = "../../rust/functions.rs"]
pub mod functions;
#[path = "../../rust/harness.rs"]
pub mod harness;

use iii_sdk::{IIIClient, TriggerAction, errors::Error, protocol::TriggerRequest};
use serde_json::Value;

use harness::{Failure, Sdk};

/// product.md writes `TriggerRequest::new(..).action(TriggerAction::void())`. This version has `new`; with these two
/// traits in scope its text compiles as it stands.
pub trait RequestAsWritten {
    fn action(self, action: TriggerAction) -> Self;
}

impl RequestAsWritten for TriggerRequest {
    fn action(self, action: TriggerAction) -> Self {
        Self { action: Some(action), ..self }
    }
}

pub trait ActionAsWritten {
    fn void() -> Self;
}

impl ActionAsWritten for TriggerAction {
    fn void() -> Self {
        Self::Void
    }
}

impl Sdk for IIIClient {
    async fn call(&self, function_id: &str, payload: Value) -> Result<Value, Failure> {
        match self.trigger(TriggerRequest::new(function_id, payload)).await {
            Ok(result) => Ok(result),
            Err(Error::Remote { code, message, .. }) => Err(Failure { code, message }),
            Err(other) => panic!("{function_id}: {other}"),
        }
    }

    async fn void(&self, function_id: &str, payload: Value) {
        let request = TriggerRequest::new(function_id, payload).action(TriggerAction::Void);
        self.trigger(request).await.expect("a void call");
    }
}

pub async fn shutdown(iii: IIIClient) {
    // Joins a thread, so not on the runtime.
    tokio::task::spawn_blocking(move || iii.shutdown()).await.expect("shutdown");
}
