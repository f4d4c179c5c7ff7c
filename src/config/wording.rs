//! What messages say of the file: the value found, the key that was probably meant. Nothing here repeats a password.

use super::expand::{self, Expanded, Scalar};

/// A text of the file is repeated in a message up to this length.
const SHOWN_CHARS: usize = 64;

/// A value in words. A text that came from an environment variable is named by it, not shown.
pub(super) fn found(scalar: &Scalar, variable: Option<&str>) -> String {
    let from = variable.map(|variable| format!(" from ${{{variable}}}")).unwrap_or_default();
    match scalar {
        Scalar::Null => "nothing".to_owned(),
        Scalar::Bool(value) => format!("{value}{from}"),
        Scalar::Int(value) => format!("{value}{from}"),
        Scalar::Float(value) => format!("{value}{from}"),
        Scalar::Text(text) if variable.is_some() && text.is_empty() => format!("nothing{from}, which is empty"),
        Scalar::Text(_) if variable.is_some() => format!("a text{from}"),
        Scalar::Text(text) => format!("the text {}", quotable(text)),
    }
}

/// A value that nobody may see, in words.
pub(super) fn found_secret(found: &Expanded) -> String {
    match (&found.variable, &found.scalar) {
        (Some(variable), Scalar::Text(text)) if text.is_empty() => format!("nothing from ${{{variable}}}, which is empty"),
        (Some(variable), _) => format!("something else from ${{{variable}}} (not shown)"),
        (None, _) => "something else (not shown)".to_owned(),
    }
}

/// A text of the file in quotes, as far as [`plain`] shows it.
pub(super) fn quotable(text: &str) -> String {
    format!("`{}`", plain(text))
}

/// A text of the file as a message may show it: not one that looks like a URL, which may hold a password, nor a long one.
pub(super) fn plain(text: &str) -> String {
    let text = expand::unmask(text);
    match text.chars().count() {
        chars if chars > SHOWN_CHARS || text.contains("//") || text.contains('@') => {
            format!("({chars} characters)")
        }
        _ => text.escape_debug().to_string(),
    }
}

/// What to write instead of `name`.
pub(super) fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// The known name that `name` probably is: one of them begins with the other, or few letters differ.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k &'k str>) -> Option<&'k str> {
    if name.len() < 3 || name.len() > SHOWN_CHARS {
        return None;
    }
    let distance = |known: &str| {
        if known.starts_with(name) || name.starts_with(known) { 1 } else { edits(name, known) }
    };
    known.into_iter().map(|known| (distance(known), *known)).min().filter(|(edits, _)| *edits <= 2).map(|(_, known)| known)
}

/// Letters to insert, delete or replace to make `b` of `a` (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b.chars()) {
            let here = (left + 1).min(*cell + 1).min(diagonal + usize::from(from != to));
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
