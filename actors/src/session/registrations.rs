//! What one worker has registered, so that it can be taken back when the worker leaves.

use std::collections::HashSet;
use std::sync::Arc;

use actix::Addr;

use crate::error::{CallError, REGISTRATION_REFUSED};
use crate::functions::table::FunctionInfo;
use crate::functions::{Registry, ToWorker, Worker, is_reserved};
use crate::ids::SocketId;
use crate::json::Json;
use crate::metrics::limit::Limit;
use crate::store::{Store, Triggered};
use crate::trigger::Notice;
use crate::trigger::config::Kind;
use crate::trigger::table::{Binding, Provider, Tell};
use crate::wire::worker::{self as wire, Envelope};

/// The registrations of one worker.
pub struct Registrations {
    registry: Arc<Registry>,
    owner: SocketId,
    functions: HashSet<Box<str>>,
    triggers: HashSet<Box<str>>,
    types: HashSet<Box<str>>,
}

impl Registrations {
    /// None yet.
    #[must_use]
    pub fn new(registry: Arc<Registry>, owner: SocketId) -> Self {
        Self { registry, owner, functions: HashSet::new(), triggers: HashSet::new(), types: HashSet::new() }
    }

    /// `registerfunction`.
    ///
    /// # Errors
    /// What to tell the log: the protocol has no answer to a function that is not registered.
    pub fn function(&mut self, worker: &Arc<Worker>, message: &Envelope<'_>) -> Result<(), String> {
        let id = message.id.as_deref().filter(|id| !id.is_empty()).ok_or("missing field `id`")?;
        let info = FunctionInfo {
            description: message.description.as_deref().map(Into::into),
            request_format: message.request_format.map(Json::copy),
            response_format: message.response_format.map(Json::copy),
            metadata: message.metadata.map(Json::copy),
            http: message.invocation.is_some(),
        };
        self.serve(worker, id, info)
    }

    /// Makes the worker serve a function.
    ///
    /// # Errors
    /// What is wrong with its id, or that there are too many.
    pub fn serve(&mut self, worker: &Arc<Worker>, id: &str, info: FunctionInfo) -> Result<(), String> {
        if is_reserved(id) {
            return Err(format!("function '{id}' is built in and cannot be replaced"));
        }
        self.room(&self.functions, id)?;
        self.registry.register_function(id, worker, info);
        self.functions.insert(id.into());
        self.functions_changed();
        Ok(())
    }

    /// `unregisterfunction`.
    pub fn end_function(&mut self, id: &str) {
        if self.functions.remove(id) {
            self.registry.unregister_function(id, self.owner);
            self.functions_changed();
        }
    }

    /// `registertriggertype`. Returns what to [`provide`](Self::provide) a little later.
    ///
    /// # Errors
    /// What to tell the log: the protocol has no answer to it.
    pub fn trigger_type(&mut self, worker: &Arc<Worker>, message: &Envelope<'_>) -> Result<(Box<str>, Provider<Arc<Worker>>), String> {
        let id = message.id.as_deref().filter(|id| !id.is_empty()).ok_or("missing field `id`")?;
        if Kind::is_built_in(id) {
            return Err(format!("trigger type '{id}' is built in and cannot be replaced"));
        }
        self.room(&self.types, id)?;
        self.types.insert(id.into());
        let description = message.description.as_deref().unwrap_or_default().to_owned();
        Ok((id.into(), Provider { owner: self.owner, handle: worker.clone(), description }))
    }

    /// Makes this worker the provider of a type that it has registered, unless it has taken that back, and hands it the bindings.
    pub fn provide(&self, id: &str, provider: Provider<Arc<Worker>>) {
        if self.types.contains(id) {
            let tell = self.registry.triggers.write().provide(id, provider);
            pass_on(tell);
        }
    }

    /// `unregistertriggertype`.
    pub fn end_trigger_type(&mut self, id: &str) {
        if self.types.remove(id) {
            let tell = self.registry.triggers.write().withdraw(id, self.owner);
            pass_on(tell);
        }
    }

    /// `registertrigger`. Returns what the store must be told, in order.
    ///
    /// # Errors
    /// What the worker is told.
    pub fn trigger(&mut self, message: &Envelope<'_>) -> Result<Vec<Triggered>, CallError> {
        let refuse = |text: String| CallError::new(REGISTRATION_REFUSED, text);
        let needed = |value: Option<&str>, key: &str| value.map(str::to_owned).ok_or_else(|| refuse(format!("missing field `{key}`")));
        let id = needed(message.id.as_deref(), "id")?;
        let trigger_type = needed(message.trigger_type.as_deref(), "trigger_type")?;
        let function_id = needed(message.function_id.as_deref(), "function_id")?;
        // Python leaves the key out where the user gave no configuration.
        let config = message.config.map_or(Json::assembled("{}"), Json::copy);
        let kind = Kind::parse(&trigger_type, &config)?;
        let binding = Binding {
            id: id.as_str().into(),
            trigger_type: trigger_type.into(),
            function_id: function_id.into(),
            config,
            metadata: message.metadata.map(Json::copy),
            kind,
            owner: self.owner,
            one_at_a_time: false,
        };
        self.bind(binding)
    }

    /// Registers a trigger, in place of the one with its id. Returns what the store must be told, in order.
    ///
    /// # Errors
    /// Where there are too many.
    pub fn bind(&mut self, binding: Binding) -> Result<Vec<Triggered>, CallError> {
        self.room(&self.triggers, &binding.id).map_err(|text| CallError::new(REGISTRATION_REFUSED, text))?;
        self.triggers.insert(binding.id.clone());
        let mut triggers = self.registry.triggers.write();
        let replaced = triggers.get(&binding.id).cloned();
        if replaced.as_deref() == Some(&binding) {
            return Ok(Vec::new());
        }
        let (binding, tell) = triggers.register(binding);
        drop(triggers);
        pass_on(tell);
        let begin = is_stream(&binding).then(|| Triggered::Begin(binding.clone()));
        Ok(replaced.filter(|old| is_stream(old)).map(Triggered::End).into_iter().chain(begin).collect())
    }

    /// `unregistertrigger`. Returns what the store must be told.
    pub fn end_trigger(&mut self, id: &str) -> Option<Triggered> {
        if !self.triggers.remove(id) {
            return None;
        }
        let (binding, tell) = self.registry.triggers.write().unregister(id, Some(self.owner))?;
        pass_on(tell);
        is_stream(&binding).then_some(Triggered::End(binding))
    }

    /// A provider could not bind a trigger: it is removed, and whoever registered it is told.
    pub fn refused(&self, message: &Envelope<'_>) {
        let (Some(id), Some(error)) = (message.id.as_deref(), message.error) else { return };
        let mut triggers = self.registry.triggers.write();
        let provides = triggers.get(id).is_some_and(|binding| self.types.contains(&binding.trigger_type));
        let removed = if provides { triggers.unregister(id, None) } else { None };
        drop(triggers);
        let Some((binding, _)) = removed else { return };
        let error = wire::parse_error(error);
        tracing::warn!(trigger = id, code = %error.code, %error, "the provider refused a trigger");
        let frame = wire::trigger_refused(id, &binding.trigger_type, &binding.function_id, &error).frames();
        let owner = self.registry.workers.read().values().find(|worker| worker.socket == binding.owner).cloned();
        if let Some(owner) = owner {
            owner.session.do_send(ToWorker::Push(frame));
        }
    }

    /// Takes everything back that is still this worker's. Doing it twice does nothing.
    pub fn end(&mut self, store: Option<&Addr<Store>>) {
        for id in std::mem::take(&mut self.triggers) {
            let removed = self.registry.triggers.write().unregister(&id, Some(self.owner));
            let Some((binding, tell)) = removed else { continue };
            pass_on(tell);
            if let (true, Some(store)) = (is_stream(&binding), store) {
                // Not refused by a full mailbox: a session that ends cannot wait. Bounded by `max_functions`.
                store.do_send(Triggered::End(binding));
            }
        }
        for id in std::mem::take(&mut self.types) {
            let tell = self.registry.triggers.write().withdraw(&id, self.owner);
            pass_on(tell);
        }
        let functions = std::mem::take(&mut self.functions);
        for id in &functions {
            self.registry.unregister_function(id, self.owner);
        }
        if !functions.is_empty() {
            self.functions_changed();
        }
    }

    fn room(&self, held: &HashSet<Box<str>>, id: &str) -> Result<(), String> {
        let limit = self.registry.settings.worker.max_functions;
        let longest = self.registry.settings.stream.max_name_bytes * 4;
        if id.len() > longest {
            self.registry.metrics.limit(Limit::Name);
            return Err(format!("the id has {} bytes; the limit is {longest}", id.len()));
        }
        if held.len() >= limit && !held.contains(id) {
            self.registry.metrics.limit(Limit::Functions);
            return Err(format!("this worker has registered {limit} of them, which is the limit (`max_functions`)"));
        }
        Ok(())
    }

    fn functions_changed(&self) {
        if let Some(dispatcher) = self.registry.dispatcher() {
            dispatcher.do_send(Notice::Functions);
        }
    }
}

fn is_stream(binding: &Binding) -> bool {
    matches!(binding.kind, Kind::Stream(_))
}

fn pass_on(tell: Vec<Tell<Arc<Worker>>>) {
    for tell in tell {
        let (worker, frame) = match tell {
            Tell::Bind(worker, binding) => {
                let frame = wire::register_trigger(
                    &binding.id,
                    &binding.trigger_type,
                    &binding.function_id,
                    &binding.config,
                    binding.metadata.as_ref(),
                );
                (worker, frame)
            }
            Tell::Unbind(worker, binding) => (worker, wire::unregister_trigger(&binding.id, &binding.trigger_type)),
        };
        worker.session.do_send(ToWorker::Push(frame.frames()));
    }
}
