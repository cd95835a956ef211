//! Where the fields of a JSON object lie, so that digits and names in it can be rewritten in place.

use std::ops::Range;

/// The fields of the object that begins at a place: names without quotes, and where their values lie in the text.
///
/// It ends at the end of the object, or where the text is no JSON any more.
pub(super) fn fields(text: &str, start: usize) -> Fields<'_> {
    let bytes = text.as_bytes();
    let at = match bytes.get(start) {
        Some(b'{') => start + 1,
        _ => bytes.len(),
    };
    Fields { text, at }
}

/// See [`fields`].
#[derive(Debug)]
pub(super) struct Fields<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let quote = past(bytes, self.at, b" \n\r\t,");
        let name_end = string_end(bytes, quote)?;
        let colon = past(bytes, name_end, b" \n\r\t");
        if bytes.get(colon) != Some(&b':') {
            return None;
        }
        let value = past(bytes, colon + 1, b" \n\r\t");
        let end = value_end(bytes, value)?;
        self.at = end;
        Some((self.text.get(quote + 1..name_end - 1)?, value..end))
    }
}

/// The value of one field of the object that begins at a place.
pub(super) fn field(text: &str, start: usize, name: &str) -> Option<Range<usize>> {
    let mut found = fields(text, start).filter(|(field, _)| *field == name);
    found.next().map(|(_, value)| value)
}

/// A field's whole number.
pub(super) fn number(text: &str, start: usize, name: &str) -> Option<u64> {
    text[field(text, start, name)?].parse().ok()
}

/// A field's text, without quotes. Nothing is unescaped: what is asked for here has no escapes.
pub(super) fn string<'a>(text: &'a str, start: usize, name: &str) -> Option<&'a str> {
    let value = field(text, start, name)?;
    text[value].strip_prefix('"')?.strip_suffix('"')
}

/// The price and quantity texts of a list of levels that lies at a place.
pub(super) fn levels(text: &str, list: Range<usize>) -> impl Iterator<Item = (&str, &str)> {
    let mut texts = text[list].split('"').skip(1).step_by(2);
    std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
}

fn past(bytes: &[u8], from: usize, skipped: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let skip = rest.iter().take_while(|byte| skipped.contains(byte));
    from + skip.count()
}

/// Behind the closing quote of the string that begins at a place.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    match bytes.get(start)? {
        b'"' => string_end(bytes, start),
        b'{' | b'[' => {
            let (mut at, mut depth) = (start, 0_usize);
            loop {
                match bytes.get(at)? {
                    b'"' => at = string_end(bytes, at)? - 1,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth == 1 => return Some(at + 1),
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            let rest = bytes.get(start..)?;
            let ends = |byte: &u8| b",}] \n\r\t".contains(byte);
            let length = rest.iter().position(ends).unwrap_or(rest.len());
            (length > 0).then_some(start + length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_their_values() {
        let text = r#"{"u": 12, "s":"A\"B","k":{"t":[1,{"x":"}"}]},"m":true}"#;

        let found: Vec<_> = fields(text, 0)
            .map(|(name, at)| (name, &text[at]))
            .collect();

        let expected = [
            ("u", "12"),
            ("s", r#""A\"B""#),
            ("k", r#"{"t":[1,{"x":"}"}]}"#),
            ("m", "true"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn levels_are_pairs_of_texts() {
        let text = r#"{"b":[["1.0", "2"],["3","0.0"]],"a":[]}"#;

        let of = |name| levels(text, field(text, 0, name).unwrap()).collect::<Vec<_>>();

        assert_eq!(of("b"), [("1.0", "2"), ("3", "0.0")]);
        assert_eq!(of("a"), []);
    }
}
