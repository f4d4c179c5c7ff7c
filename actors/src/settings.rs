//! Limits and behaviour of a system; every one has a default that suits a server of ordinary size.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::origin::Origins;
use crate::token::Token;

/// The longest time that a setting may say.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The shortest pause between two looks at a socket.
const SHORTEST_PING: Duration = Duration::from_millis(1);

/// All settings.
///
/// A duration of more than a year is a year, so that `Duration::MAX` says "never".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The worker port.
    pub worker: WorkerSettings,
    /// The stream port.
    pub stream: StreamSettings,
}

impl Settings {
    /// The same with durations that a clock can be put forward by.
    pub(crate) fn within_reach(mut self) -> Self {
        let WorkerSettings { write_deadline, invocation_timeout, .. } = &mut self.worker;
        let of_workers = [write_deadline, invocation_timeout];
        let StreamSettings { auth_timeout, join_timeout, leave_grace, ping_interval, idle_timeout, write_deadline, drain, .. } =
            &mut self.stream;
        // At no distance, one look would follow the other at once.
        *ping_interval = SHORTEST_PING.max(*ping_interval);
        let of_streams = [auth_timeout, join_timeout, leave_grace, ping_interval, idle_timeout, write_deadline, drain];
        for duration in of_workers.into_iter().chain(of_streams) {
            *duration = LONGEST.min(*duration);
        }
        self
    }
}

/// What may be changed while a system runs, for connections to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guards {
    /// See [`StreamSettings::allowed_origins`].
    pub allowed_origins: Option<Origins>,
    /// See [`WorkerSettings::token`].
    pub token: Option<Token>,
}

impl Guards {
    /// Those that a system starts with.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self { allowed_origins: settings.stream.allowed_origins.clone(), token: settings.worker.token.clone() }
    }
}

/// Settings of the worker port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// What a worker must show to connect; `None` lets everybody in.
    pub token: Option<Token>,
    /// Largest message that a worker may send.
    pub max_message_bytes: usize,
    /// How much may wait for a worker that does not read before calls to it fail.
    pub outbox_bytes: usize,
    /// How long a worker may take nothing of what it is sent before its connection is ended, by whoever serves the port.
    pub write_deadline: Duration,
    /// How long a call may take when its caller set no limit.
    pub invocation_timeout: Duration,
    /// Calls under way at one worker.
    pub max_invocations: usize,
    /// Sockets on the worker port, those for telemetry included.
    pub max_connections: usize,
    /// Functions that one worker may register, and as many triggers and trigger types.
    pub max_functions: usize,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            token: None,
            max_message_bytes: 16 << 20,
            outbox_bytes: 64 << 20,
            write_deadline: Duration::from_secs(30),
            invocation_timeout: Duration::from_secs(300),
            max_invocations: 10_000,
            max_connections: 10_000,
            max_functions: 10_000,
        }
    }
}

/// Settings of the stream port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// The pages that browsers may connect from; `None` for those of the same host.
    pub allowed_origins: Option<Origins>,
    /// The function that decides who may connect; `None` lets everybody in.
    pub auth_function: Option<String>,
    /// Where the items of all streams are a worker's to keep: what its functions `…::get`, `…::set` and so on begin with.
    pub adapter_functions: Option<String>,
    /// How long the auth function may take.
    pub auth_timeout: Duration,
    /// How a refusal looks.
    pub auth_refusal: AuthRefusal,
    /// Whether a `stream:join` handler that fails refuses the join.
    pub join_failure: JoinFailure,
    /// How long each join handler and each condition may take.
    pub join_timeout: Duration,
    /// How long the leave of a client that is known by its context waits for it to come back; zero is not at all.
    pub leave_grace: Duration,
    /// Largest message that a client may send.
    pub max_message_bytes: usize,
    /// Subscriptions of one socket.
    pub max_subscriptions: usize,
    /// Joins of one socket per second; after a pause, as many at once as it may have subscriptions, or this many where that is more.
    pub max_joins_per_second: usize,
    /// Largest name of a stream, group, item or subscription.
    pub max_name_bytes: usize,
    /// Largest value.
    pub max_value_bytes: usize,
    /// Streams that may hold items. Where items are in Redis or a worker's, nobody counts.
    pub max_streams: usize,
    /// How much may wait for a client before it is too slow.
    pub outbox_bytes: usize,
    /// What becomes of a client that is.
    pub overflow: Overflow,
    /// The same for single streams.
    pub overflow_by_stream: BTreeMap<Box<str>, Overflow>,
    /// How often a silent socket is pinged.
    pub ping_interval: Duration,
    /// How long a socket may be silent.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of what it is sent before its connection is ended, by whoever serves the port.
    pub write_deadline: Duration,
    /// Sockets on the stream port.
    pub max_connections: usize,
    /// Of these from one address. Clients behind one proxy all have its address.
    pub max_connections_per_address: usize,
    /// Over how long clients are spread when they are closed because the system stops.
    pub drain: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            allowed_origins: None,
            auth_function: None,
            adapter_functions: None,
            auth_timeout: Duration::from_secs(5),
            auth_refusal: AuthRefusal::Close,
            join_failure: JoinFailure::Refuse,
            join_timeout: Duration::from_secs(10),
            leave_grace: Duration::ZERO,
            max_message_bytes: 1 << 20,
            max_subscriptions: 1_000,
            max_joins_per_second: 100,
            max_name_bytes: 512,
            max_value_bytes: 16 << 20,
            max_streams: 100_000,
            outbox_bytes: 1 << 20,
            overflow: Overflow::Resync,
            overflow_by_stream: BTreeMap::new(),
            ping_interval: Duration::from_secs(25),
            idle_timeout: Duration::from_secs(60),
            write_deadline: Duration::from_secs(30),
            max_connections: 25_000,
            max_connections_per_address: 25_000,
            drain: Duration::from_secs(5),
        }
    }
}

impl StreamSettings {
    /// What becomes of a client of the stream that takes less than it is sent.
    #[must_use]
    pub fn overflow(&self, stream: &str) -> Overflow {
        self.overflow_by_stream.get(stream).copied().unwrap_or(self.overflow)
    }
}

/// What becomes of a client that takes less than it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is told no more until its queue has drained, and then gets one `sync`.
    Resync,
    /// It is closed.
    Close,
}

/// How a client that may not connect is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthRefusal {
    /// The handshake succeeds; then comes one `unauthorized` frame and a close with 4401 or 4503 after 1 to 3 seconds.
    ///
    /// The published Node client ends its process on an HTTP error, and a browser cannot see a status.
    Close,
    /// The handshake fails with 401 or 503.
    Http,
}

/// What a failing `stream:join` handler means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinFailure {
    /// Nobody joins.
    Refuse,
    /// The join goes on, as upstream has it.
    Allow,
}
