//! What is sent: a number, the time at which it was or should have been sent, and filler.
//!
//! Decimal digits of fixed width, which are a JSON string with quotes around them, and cheap to read hundreds of thousands of times a second.

/// Digits of the number, which begins at 0.
const NUMBER: usize = 10;
/// Digits of the time, in nanoseconds.
const TIME: usize = 16;
/// The smallest payload.
pub(crate) const LEAST_BYTES: usize = NUMBER + TIME;

/// Writes number and time over the first bytes of `payload`.
pub(crate) fn write(payload: &mut [u8], number: u64, time: u64) {
    digits(&mut payload[..NUMBER], number);
    digits(&mut payload[NUMBER..LEAST_BYTES], time);
}

/// Number and time; `None` where something else is there.
pub(crate) fn read(payload: &[u8]) -> Option<(u64, u64)> {
    Some((number(payload.get(..NUMBER)?)?, number(payload.get(NUMBER..LEAST_BYTES)?)?))
}

/// Writes `value` into all of `out`, with zeros in front.
pub(crate) fn digits(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        // One digit.
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// The value of decimal digits.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, digit| digit.is_ascii_digit().then(|| value.wrapping_mul(10) + u64::from(digit - b'0')))
}

/// Filler of so many bytes: hexadecimal noise, which compression finds nothing in.
pub(crate) fn noise(bytes: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::with_capacity(bytes);
    while text.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(char::from(b"0123456789abcdef"[usize::from(state.to_be_bytes()[0] >> 4)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_written_reads_back() {
        let mut payload = noise(64, 1).into_bytes();
        write(&mut payload, 4_711, 123_456_789_012);
        assert_eq!(read(&payload), Some((4_711, 123_456_789_012)));
        assert_eq!(read(&payload[1..20]), None);
        assert_eq!(read(b"{\"type\":\"stream\",\"timestamp\":1}"), None);
    }
}
