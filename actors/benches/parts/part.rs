//! A part of the server, ready to be measured in either way.

/// What is done once in a measurement.
pub(crate) type Round = Box<dyn FnMut()>;

/// A part of the server.
pub(crate) struct Part {
    /// `group/name`.
    pub(crate) name: String,
    /// What is counted: a message, a change.
    pub(crate) unit: &'static str,
    /// How many of them a round is.
    pub(crate) operations: u64,
    /// How often a round, which does allocate, may do so at most.
    pub(crate) most_allocations: Option<u64>,
    make: Box<dyn Fn() -> Round>,
}

impl Part {
    /// A part that `make` prepares; what it returns does `operations` of `unit`.
    pub(crate) fn new<R: FnMut() + 'static>(
        name: impl Into<String>,
        unit: &'static str,
        operations: usize,
        make: impl Fn() -> R + 'static,
    ) -> Self {
        let (operations, make) = (operations as u64, Box::new(move || Box::new(make()) as Round));
        Self { name: name.into(), unit, operations, most_allocations: None, make }
    }

    /// The same, but it is an error where a round, which does allocate, does so more often.
    pub(crate) fn allocates_at_most(self, times: u64) -> Self {
        Self { most_allocations: Some(times), ..self }
    }

    /// Prepares it.
    pub(crate) fn start(&self) -> Round {
        (self.make)()
    }
}
