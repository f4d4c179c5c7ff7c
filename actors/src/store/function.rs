//! The stream functions: their ids, and the codes of their failures.

/// The function ids that the store serves, in the order of product.md.
pub const FUNCTIONS: [&str; 8] = [
    "stream::set",
    "stream::get",
    "stream::delete",
    "stream::list",
    "stream::list_groups",
    "stream::list_all",
    "stream::send",
    "stream::update",
];

/// The codes of a failure of the backend, in the same order.
const ERROR_CODES: [&str; FUNCTIONS.len()] = [
    "STREAM_SET_ERROR",
    "STREAM_GET_ERROR",
    "STREAM_DELETE_ERROR",
    "STREAM_GET_GROUP_ERROR",
    "STREAM_LIST_GROUPS_ERROR",
    "STREAM_LIST_ALL_ERROR",
    "STREAM_SEND_ERROR",
    "STREAM_UPDATE_ERROR",
];

/// One of [`FUNCTIONS`], by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function(pub(super) u8);

impl Function {
    /// The one of that id.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        FUNCTIONS.into_iter().zip(0..).find_map(|(known, place)| (known == id).then_some(Self(place)))
    }

    /// Its place.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// Its id.
    #[must_use]
    pub fn id(self) -> &'static str {
        FUNCTIONS[self.place()]
    }

    /// The code of a failure of the backend in it.
    #[must_use]
    pub fn error_code(self) -> &'static str {
        ERROR_CODES[self.place()]
    }
}
