//! A walk over JSON text in one pass, for the messages that come by the hundred thousand and of which few members are wanted.
//!
//! `serde_json` walks a value once to find its end and once more to read what is in it. This walk knows only what is plain and gives up
//! (`None`) at everything else, be it wrong or merely rare: whoever calls it then takes the way by `serde_json`, which also knows what to
//! say of an error. What it does accept, `serde_json` accepts with the same meaning.

/// The place in a text up to which it was walked.
pub(crate) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    /// At the beginning of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Walks over an object: `member` is called behind each key, which has no escapes, and must walk over its value.
    pub(crate) fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.plain()?;
            self.take(b':')?;
            member(self, key)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    /// A string without escapes, or `null`.
    pub(crate) fn plain_or_null(&mut self) -> Option<Option<&'a str>> {
        if self.peek()? == b'n' { self.literal("null").map(|()| None) } else { self.plain().map(Some) }
    }

    /// The whole text of a value that is nested at most `levels` deep.
    pub(crate) fn value(&mut self, levels: usize) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.skip(levels)?;
        self.text.get(start..self.at)
    }

    /// The end of the text, white space apart.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn literal(&mut self, text: &str) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(text.as_bytes()).then(|| self.at += text.len())
    }

    fn plain(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        let end = special(self.text.as_bytes(), start)?;
        self.at = end + 1;
        (self.text.as_bytes()[end] == b'"').then_some(())?;
        self.text.get(start..end)
    }

    fn skip(&mut self, levels: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => {
                let inner = levels.checked_sub(1)?;
                self.object(|scan, _| scan.skip(inner))
            }
            b'[' => {
                let inner = levels.checked_sub(1)?;
                self.at += 1;
                if self.take(b']').is_some() {
                    return Some(());
                }
                loop {
                    self.skip(inner)?;
                    if self.take(b',').is_none() {
                        return self.take(b']');
                    }
                }
            }
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number(),
        }
    }

    /// A string with whatever is in it.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        let bytes = self.text.as_bytes();
        loop {
            self.at = special(bytes, self.at)? + 1;
            match bytes[self.at - 1] {
                b'"' => return Some(()),
                b'\\' => match bytes.get(self.at)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                    b'u' if bytes.get(self.at + 1..self.at + 5)?.iter().all(u8::is_ascii_hexdigit) => self.at += 5,
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let next = |at: usize| bytes.get(at).copied().unwrap_or_default();
        if next(self.at) == b'-' {
            self.at += 1;
        }
        if next(self.at) == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if next(self.at) == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(next(self.at), b'e' | b'E') {
            self.at += 1;
            if matches!(next(self.at), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }
}

/// Where the next quote, backslash or control character is.
fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // Eight bytes at a time. The lowest high bit that is set is that of the first byte below `n`: a borrow reaches only bytes above it.
    let below = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word & HIGH;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*chunk);
        let found = below(word, 0x20) | below(word ^ (ONES * u64::from(b'"')), 1) | below(word ^ (ONES * u64::from(b'\\')), 1);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn whole(text: &str) -> Option<&str> {
        let mut scan = Scan::new(text);
        let value = scan.value(100)?;
        scan.end().map(|()| value)
    }

    fn agrees(text: &str) {
        let by_serde = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
        assert!(whole(text).is_none() || whole(text) == by_serde, "{text}");
    }

    #[test]
    fn values_are_walked_over_and_what_is_wrong_is_not() {
        for text in
            ["null", " true ", "[]", "{ }", "-0.5e+7", "\"\\u00e9\\n\\\"\"", "{\"a\":[1,{\"b\":\"é\"}],\"c\":0}", "\"aaaaaaaaaaaaa\""]
        {
            assert_eq!(whole(text), Some(text.trim()), "{text}");
            agrees(text);
        }
        for text in
            ["", "01", "1.", "-", "1e", "nul", "[1,]", "{\"a\":1,}", "{\"a\"}", "\"\n\"", "\"\\x\"", "\"\\u00g0\"", "\"", "1 2", "[1}"]
        {
            assert_eq!(whole(text), None, "{text}");
            assert!(serde_json::from_str::<&RawValue>(text).is_err(), "{text}");
        }
        assert_eq!(Scan::new("[[]]").value(1), None);
        assert_eq!(Scan::new("[[]]").value(2), Some("[[]]"));
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_serde_json_accepts(text in "([ \\[\\]{},:\"\\\\a0e.+-]|null|true|\"a\":|\"\\PC*\"|\\\\u00e9|\u{7f}|\u{1f}|é){0,12}") {
            agrees(&text);
        }

        #[test]
        fn first_special_byte_is_found(bytes in proptest::collection::vec(any::<u8>(), 0..40), from in 0usize..8) {
            let by_hand = bytes.iter().skip(from).position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\').map(|at| at + from);
            prop_assert_eq!(special(&bytes, from), by_hand);
        }
    }
}
