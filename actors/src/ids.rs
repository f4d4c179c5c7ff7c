//! Names: what a stream, a group, an item, a worker and a socket are called.
//!
//! Names are arbitrary UTF-8. They are cheap to clone and compare by content; two different pairs of stream and group never
//! compare equal, whatever characters they contain.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use arcstr::ArcStr;

/// The name of a stream, a group or an item, shared by reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(ArcStr);

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A group: its stream's name and its own.
///
/// Both texts share one allocation, because a key is made for every call of a worker; `split` keeps `a` + `bc` apart from `ab` + `c`.
#[derive(Clone)]
pub struct GroupKey {
    text: ArcStr,
    split: usize,
}

impl GroupKey {
    /// The key of group `group` in stream `stream`.
    #[must_use]
    pub fn new(stream: &str, group: &str) -> Self {
        let split = stream.len();
        if stream.is_empty() && group.is_empty() {
            // Of this, `init_with` (arcstr 1.2) makes a panic where debug assertions are on.
            return Self { text: ArcStr::new(), split };
        }
        let written = ArcStr::init_with(split + group.len(), |text| {
            text[..split].copy_from_slice(stream.as_bytes());
            text[split..].copy_from_slice(group.as_bytes());
        });
        // Two texts behind one another are UTF-8.
        Self { text: written.unwrap_or_else(|_| [stream, group].concat().into()), split }
    }

    /// The name of the stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        &self.text[..self.split]
    }

    /// The name of the group within its stream.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.text[self.split..]
    }
}

impl PartialEq for GroupKey {
    fn eq(&self, other: &Self) -> bool {
        self.split == other.split && self.text == other.text
    }
}

impl Eq for GroupKey {}

impl Hash for GroupKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        state.write_usize(self.split);
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} > {:?}", self.stream(), self.group())
    }
}

/// An item: its group and its own name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ItemKey {
    /// The group that holds the item.
    pub group: GroupKey,
    /// The name of the item within its group.
    pub item: Name,
}

impl ItemKey {
    /// The key of item `item` in group `group` of stream `stream`.
    #[must_use]
    pub fn new(stream: &str, group: &str, item: &str) -> Self {
        Self { group: GroupKey::new(stream, group), item: item.into() }
    }
}

/// A socket, worker's or subscriber's; never used twice in one process.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SocketId(u64);

impl SocketId {
    /// No socket's number.
    pub const NONE: Self = Self(0);

    /// The next unused socket number.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_keys_with_the_same_joined_text_differ() {
        assert_ne!(GroupKey::new("a", "bc"), GroupKey::new("ab", "c"));
        assert_eq!(GroupKey::new("a:b", "c/é"), GroupKey::new("a:b", "c/é"));
        assert_eq!(GroupKey::new("a:b", "c/é").stream(), "a:b");
        assert_eq!(GroupKey::new("a:b", "c/é").group(), "c/é");
        assert_eq!(GroupKey::new("", "").group(), "");
    }
}
