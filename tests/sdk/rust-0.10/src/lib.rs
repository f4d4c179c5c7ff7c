//! product.md's Rust examples with iii-sdk 0.10.0.

#[path = "../../rust/functions.rs"]
pub mod functions;
#[path = "../../rust/harness.rs"]
pub mod harness;

use iii_sdk::{III, IIIError, TriggerAction, TriggerRequest};
use serde_json::Value;

use harness::{Failure, Sdk};

/// product.md writes `TriggerRequest::new(..).action(TriggerAction::void())`, which no published version has;
/// with these two traits in scope its text compiles as it stands.
pub trait RequestAsWritten {
    fn new(function_id: &str, payload: Value) -> Self;
    fn action(self, action: TriggerAction) -> Self;
}

impl RequestAsWritten for TriggerRequest {
    fn new(function_id: &str, payload: Value) -> Self {
        Self { function_id: function_id.to_owned(), payload, action: None, timeout_ms: None }
    }

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

impl Sdk for III {
    async fn call(&self, function_id: &str, payload: Value) -> Result<Value, Failure> {
        match self.trigger(TriggerRequest::new(function_id, payload)).await {
            Ok(result) => Ok(result),
            Err(IIIError::Remote { code, message, .. }) => Err(Failure { code, message }),
            Err(other) => panic!("{function_id}: {other}"),
        }
    }

    async fn void(&self, function_id: &str, payload: Value) {
        let request = TriggerRequest::new(function_id, payload).action(TriggerAction::Void);
        self.trigger(request).await.expect("a void call");
    }
}

pub async fn shutdown(iii: III) {
    // The other form is deprecated here; neither says goodbye on the socket.
    iii.shutdown_async().await;
}
