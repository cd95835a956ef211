//! Reads JSON from front to back: keys in any order, values where they stand, nothing copied.
//!
//! Frames come a hundred thousand a second, and of most values only a number is wanted: a tree of them would cost more than
//! all the rest.

use crate::error::Malformed;

/// How deep values may be nested in one that is passed over.
const DEEPEST: u32 = 64;

/// A place in a JSON text.
pub(crate) struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Json<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What is wrong here.
    pub fn wrong(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Malformed> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.wrong(what)),
        }
    }

    /// Whether the next is this sign; then it is behind.
    fn passes(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }

    /// Nothing is left.
    pub fn end(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("something behind the value")),
        }
    }

    /// Each key of an object, with the place of its value; `each` has to read that, or skip it.
    pub fn object(
        &mut self,
        mut each: impl FnMut(&'a str, &mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'{', "no object")?;
        if self.passes(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':', "no colon behind a key")?;
            each(key, self)?;
            if self.passes(b'}') {
                return Ok(());
            }
            self.expect(b',', "no comma between keys")?;
        }
    }

    /// The place of each value of an array; `each` has to read it, or skip it.
    pub fn array(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.expect(b'[', "no array")?;
        if self.passes(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            if self.passes(b']') {
                return Ok(());
            }
            self.expect(b',', "no comma between values")?;
        }
    }

    /// A string in which nothing is escaped, as all that are wanted.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        self.expect(b'"', "no string")?;
        let rest = &self.text.as_bytes()[self.at..];
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        match length {
            Some(length) if rest[length] == b'"' => {
                let text = &self.text[self.at..self.at + length];
                self.at += length + 1;
                Ok(text)
            }
            Some(_) => Err(self.wrong("an escaped letter")),
            None => Err(self.wrong("a string that does not end")),
        }
    }

    /// A number's own text.
    fn number(&mut self) -> Result<&'a str, Malformed> {
        self.peek();
        let rest = &self.text.as_bytes()[self.at..];
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        if length == 0 {
            return Err(self.wrong("no number"));
        }
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        Ok(text)
    }

    /// A whole number, bare or in quotes.
    pub fn integer(&mut self) -> Result<i64, Malformed> {
        let text = self.digits()?;
        text.parse().map_err(|_| self.wrong("no whole number"))
    }

    /// A finite number, bare or in quotes.
    pub fn decimal(&mut self) -> Result<f64, Malformed> {
        let text = self.digits()?;
        match text.parse() {
            Ok(value) if f64::is_finite(value) => Ok(value),
            _ => Err(self.wrong("no number")),
        }
    }

    fn digits(&mut self) -> Result<&'a str, Malformed> {
        match self.peek() {
            Some(b'"') => self.string(),
            _ => self.number(),
        }
    }

    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        self.peek();
        for (name, value) in [("true", true), ("false", false)] {
            if self.text[self.at..].starts_with(name) {
                self.at += name.len();
                return Ok(value);
            }
        }
        Err(self.wrong("neither true nor false"))
    }

    /// Passes over a value of any kind, and gives its text.
    pub fn skip(&mut self) -> Result<&'a str, Malformed> {
        self.peek();
        let start = self.at;
        self.pass(0)?;
        Ok(&self.text[start..self.at])
    }

    fn pass(&mut self, depth: u32) -> Result<(), Malformed> {
        if depth > DEEPEST {
            return Err(self.wrong("values nested too deep"));
        }
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                if self.passes(b'}') {
                    return Ok(());
                }
                loop {
                    self.pass_string()?;
                    self.expect(b':', "no colon behind a key")?;
                    self.pass(depth + 1)?;
                    if self.passes(b'}') {
                        return Ok(());
                    }
                    self.expect(b',', "no comma between keys")?;
                }
            }
            Some(b'[') => self.array(|json| json.pass(depth + 1)),
            Some(b'"') => self.pass_string(),
            Some(b't' | b'f') => self.boolean().map(|_| ()),
            Some(b'n') if self.text[self.at..].starts_with("null") => {
                self.at += 4;
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            _ => Err(self.wrong("no value")),
        }
    }

    fn pass_string(&mut self) -> Result<(), Malformed> {
        self.expect(b'"', "no string")?;
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => return Ok(()),
                // What is escaped is at least one byte; of more, none is a quote.
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        self.at = bytes.len();
        Err(self.wrong("a string that does not end"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_where_they_stand() {
        let mut json = Json::new(r#" {"a" : "1.5", "b":[ 2 ,{"c":"x\"y"}], "d":true,"e":null} "#);
        let mut found = Vec::new();
        json.object(|key, json| {
            match key {
                "a" => found.push(json.decimal()?.to_string()),
                "d" => found.push(json.boolean()?.to_string()),
                _ => found.push(json.skip()?.to_owned()),
            }
            Ok(())
        })
        .unwrap();
        json.end().unwrap();
        assert_eq!(found, ["1.5", r#"[ 2 ,{"c":"x\"y"}]"#, "true", "null"]);
    }

    #[test]
    fn what_is_no_json_is_told_and_not_died_of() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,}",
            "[1,]",
            "\"a",
            "\"a\\",
            "tru",
            "nul",
            "é",
            &deep,
        ] {
            let mut json = Json::new(text);
            assert!(json.skip().is_err(), "{text:.20}");
        }
        assert!(Json::new("1e999").decimal().is_err());
        assert!(Json::new("\"NaN\"").decimal().is_err());
        assert!(Json::new("99999999999999999999").integer().is_err());
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_json_is_passed_over_whole(value in value()) {
            let text = value.to_string();
            let mut json = Json::new(&text);
            prop_assert_eq!(json.skip().unwrap(), &text);
            json.end().unwrap();
        }

        #[test]
        fn no_text_is_died_of(text in r#"[\[\]{}":,0-9a-e\\ tfn.-]{0,40}"#) {
            let taken = Json::new(&text).skip().is_ok_and(|skipped| skipped.len() == text.trim_start().len());
            if let Ok(value) = serde_json::from_str::<serde_json::Value>(text.trim_end()) {
                prop_assert!(taken || text.trim() != text, "{}", value);
            }
        }
    }
}
