//! Async closures of a host program as functions: their input and output by `serde`, their errors as answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Error;
use crate::error::{CallError, INVOCATION_FAILED, Outcome, Output};
use crate::json::Json;

/// Why a function of a host program has no result, as its caller is told.
///
/// Every error becomes one by `?`: its text is the message, the code `invocation_failed`. An [`Error::Call`] of Weir's, or a [`CallError`], keeps its own
/// code. What is no error in Rust's sense, a text for instance, becomes one by [`of`](Self::of).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerError(CallError);

impl HandlerError {
    /// An error with a code of your own.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(CallError { code: code.into().into(), message: message.into(), stacktrace: None, limit: None })
    }

    /// The same as `?` for what Rust does not let it take: a text, a `Box<dyn Error + Send + Sync>`, an `anyhow::Error` (whose text counts, whatever is in it).
    ///
    /// ```
    /// # use weir_actors::streams::HandlerError;
    /// let refused = |text: &str| text.strip_prefix("id:").map(str::to_owned).ok_or("no id").map_err(HandlerError::of);
    /// assert_eq!(refused("7").unwrap_err().message(), "no id");
    /// ```
    pub fn of(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::read(&*error.into())
    }

    /// The code that the caller is told.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The text that the caller is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    fn read(error: &(dyn std::error::Error + 'static)) -> Self {
        let call = match error.downcast_ref::<Error>() {
            Some(Error::Call(call)) => Some(call),
            _ => error.downcast_ref::<CallError>(),
        };
        Self(call.cloned().unwrap_or_else(|| CallError::new(INVOCATION_FAILED, with_causes(error))))
    }

    pub(super) fn into_call_error(self) -> CallError {
        self.0
    }
}

impl<E: std::error::Error + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::read(&error)
    }
}

/// The text of an error and of what it comes from.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some repeat their cause in their own text.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

pub(super) type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A function, whatever its types.
pub(super) type Handler = Arc<dyn Fn(Json) -> Running + Send + Sync>;

/// Makes a function of `run`: its input is parsed as an `I`, what it returns is written as JSON.
pub(super) fn function<I, O, R, F>(id: &str, run: F) -> Handler
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize,
    R: Future<Output = Result<O, HandlerError>> + Send + 'static,
    F: Fn(I) -> R + Send + Sync + 'static,
{
    let (id, run): (Arc<str>, _) = (id.into(), Arc::new(run));
    Arc::new(move |input: Json| {
        let (id, run) = (id.clone(), run.clone());
        Box::pin(async move {
            let input = input.parse().map_err(|error| CallError::bad_input(&id, error))?;
            // Not held while it runs: what a function does not need for its whole life is not kept for it.
            let running = run(input);
            drop(run);
            let output = running.await.map_err(HandlerError::into_call_error)?;
            let json =
                Json::write(&output).map_err(|error| CallError::new(INVOCATION_FAILED, format!("{id}: its result is no JSON: {error}")))?;
            Ok(Output::Value(json))
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn call(handler: &Handler, input: &str) -> Outcome {
        futures_util::FutureExt::now_or_never(handler(Json::assembled(input))).unwrap()
    }

    #[test]
    fn input_and_output_go_by_serde() {
        let add = function("add", async |(left, right): (u32, u32)| Ok::<_, HandlerError>(left + right));
        assert_eq!(call(&add, "[1,2]").unwrap().into_json().as_bytes(), b"3");
        let error = call(&add, "[1]").unwrap_err();
        assert_eq!(error.code, "deserialization_error");
        assert!(error.message.starts_with("add: "), "{error}");
    }

    #[test]
    fn errors_keep_their_code_or_get_ours() {
        let refuse = function("refuse", async |(): ()| Err::<(), _>(HandlerError::new("busy", "not now")));
        let error = call(&refuse, "null").unwrap_err();
        assert_eq!((&*error.code, &*error.message), ("busy", "not now"));
        let forward = function("forward", async |(): ()| Err::<(), _>(CallError::new("timeout", "late").into()));
        assert_eq!(call(&forward, "null").unwrap_err().code, "timeout");
        fn busy() -> Error {
            CallError::new("overloaded", "later").into()
        }
        let write = function("write", async |(): ()| Ok(Err::<(), _>(busy())?));
        assert_eq!(call(&write, "null").unwrap_err().code, "overloaded");
        let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(busy());
        assert_eq!(HandlerError::of(boxed), HandlerError::new("overloaded", "later"));
        let text = HandlerError::of("not now");
        assert_eq!((text.code(), text.message()), ("invocation_failed", "not now"));
        let parse = function("parse", async |text: String| Ok(text.parse::<u8>()?));
        let error = call(&parse, "\"x\"").unwrap_err();
        assert_eq!((&*error.code, &*error.message), ("invocation_failed", "invalid digit found in string"));
    }
}
