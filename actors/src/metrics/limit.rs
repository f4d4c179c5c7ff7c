//! The limits that are counted when they are reached.

macro_rules! limits {
    ($($limit:ident = $key:literal, $of:literal;)*) => {
        /// A limit, named by the key that sets it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Limit {
            $(#[doc = concat!("`", $key, "`: ", $of, ".")] $limit,)*
        }

        impl Limit {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$limit,)*];

            /// The module and the key that sets it.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self { $(Self::$limit => $key,)* }
            }
        }
    };
}

limits! {
    StreamConnections = "stream.max_connections", "sockets of clients";
    StreamAddress = "stream.max_connections_per_address", "of these from one address";
    StreamMessage = "stream.max_message_bytes", "a client's message";
    Subscriptions = "stream.max_subscriptions", "subscriptions of a socket";
    Joins = "stream.max_joins_per_second", "joins of a socket";
    Name = "stream.max_name_bytes", "a name in a join, an address or a call";
    Value = "stream.max_value_bytes", "a value";
    Streams = "stream.max_streams", "streams that hold items";
    Room = "stream.min_free_bytes", "what must stay free of the disk, a key of the adapter";
    StreamOutbox = "stream.outbox_bytes", "what waits for a client";
    Idle = "stream.idle_timeout_ms", "silence of a client or a worker";
    Auth = "stream.auth_timeout_ms", "the auth function's time";
    Join = "stream.join_timeout_ms", "a join handler's time";
    WorkerConnections = "worker.max_connections", "sockets of workers";
    WorkerMessage = "worker.max_message_bytes", "a worker's message";
    WorkerOutbox = "worker.outbox_bytes", "what waits for a worker that is called, or that does not read its results";
    Functions = "worker.max_functions", "functions, triggers or trigger types of a worker";
    Invocations = "worker.max_invocations", "calls under way at a worker";
    Invocation = "worker.invocation_timeout_ms", "a call's time";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_in_the_order_of_the_enum() {
        assert!(Limit::ALL.iter().enumerate().all(|(place, limit)| *limit as usize == place));
    }
}
