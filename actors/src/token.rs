//! A secret text that a peer must show.

use std::fmt;

use subtle::ConstantTimeEq;

/// A token: visible ASCII characters without spaces. It is neither shown nor logged, so it has no `Display`, and its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// A token of this text; `None` where it could not stand in a header.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    /// The text, for who shows it to a server of its own. Not for a log or a message.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this token. How long that takes tells its length and nothing else.
    pub fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn token_is_only_itself_and_never_shown() {
        let token = Token::new("s3cret").unwrap();
        assert!(token.is(b"s3cret"));
        for other in ["", "s3cre", "s3cret ", "S3cret", "s3cretx"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn token_could_stand_in_a_header() {
        for text in ["", " ", "a b", "a\n", "ä"] {
            assert_eq!(Token::new(text), None, "{text:?}");
        }
    }
}
