//! What a server is put through. Each scenario is a command, and all but those that only Weir has know nothing of which server they load.

pub(crate) mod bench;
pub(crate) mod fanout;
pub(crate) mod growth;
pub(crate) mod idle;
pub(crate) mod inprocess;
pub(crate) mod join;
pub(crate) mod slow;
pub(crate) mod write;
