//! What a server is put through. Each scenario is a command, and knows nothing of which server it loads.

pub(crate) mod fanout;
pub(crate) mod slow;
pub(crate) mod write;
