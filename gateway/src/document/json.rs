//! From the text of a JSON file to a value and its places, in one pass.
//!
//! JSON is YAML, but a YAML parser takes seconds for the megabytes that a generated contract has.
//! RFC 8259, with what it leaves open decided: a repeated key and a number without a value are refused.

use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::DEPTH_MAX;
use super::places::{Mark, Places};
use super::yaml::Mistake;

type Read<T> = Result<T, Mistake>;

/// Reads the one value in `text`.
pub(super) fn read(text: &str) -> Read<(Value, Places)> {
    // RFC 8259 section 8.1: a byte order mark may be ignored.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, at: 0, line: 1, column: 1, counted: 0, places: Places::default() };
    reader.skip_space();
    let value = reader.value(None, 0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok((value, reader.places)),
        Some(_) => Err(reader.mistake("something stands behind the value; a file holds one")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    /// The column of the character at `counted`: a file may be one line, so none is counted twice.
    column: usize,
    counted: usize,
    places: Places,
}

impl<'t> Reader<'t> {
    /// A value; `key` says where its key stands, if it has one.
    fn value(&mut self, key: Option<Mark>, depth: usize) -> Read<Value> {
        if depth > DEPTH_MAX {
            return Err(self.mistake(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let at = self.mark();
        let open = self.places.open(key.unwrap_or(at), at);
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(_) => self.word()?,
            None => return Err(self.mistake("the file ends where a value should stand")),
        };
        self.places.close(open);
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Read<Value> {
        let mut members = Map::new();
        self.step();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            let key_at = self.mark();
            if self.peek() != Some(b'"') {
                return Err(self.mistake("a key in double quotes is wanted here"));
            }
            let key = self.string()?;
            self.skip_space();
            self.expect(b':', "a `:` is wanted between a key and its value")?;
            self.skip_space();
            let value = self.value(Some(key_at), depth.saturating_add(1))?;
            match members.entry(key) {
                Entry::Occupied(known) => {
                    let message = format!("key `{}` is repeated", known.key());
                    return Err(Mistake { at: key_at, message });
                }
                Entry::Vacant(free) => free.insert(value),
            };
            self.skip_space();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            self.expect(b',', "a `,` or `}` is wanted behind a member")?;
            self.skip_space();
        }
    }

    fn array(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        self.step();
        self.skip_space();
        if self.take(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(None, depth.saturating_add(1))?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Value::Array(items));
            }
            self.expect(b',', "a `,` or `]` is wanted behind an item")?;
            self.skip_space();
        }
    }

    /// A string: as it stands, or unescaped where it has escapes.
    fn string(&mut self) -> Read<String> {
        let rest = self.rest();
        let mut escaped = false;
        let mut bytes = rest.bytes().enumerate().skip(1);
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    let written = rest.get(..=at).unwrap_or_default();
                    let plain = written.get(1..at).unwrap_or_default();
                    let text =
                        if escaped { serde_json::from_str(written).ok() } else { Some(plain.to_owned()) };
                    let text =
                        text.ok_or_else(|| self.mistake("an escape in this string is none of JSON's"))?;
                    self.at = self.at.saturating_add(written.len());
                    return Ok(text);
                }
                b'\\' => {
                    escaped = true;
                    bytes.next();
                }
                0..=0x1f => return Err(self.mistake("a string holds a control character or a line break")),
                _ => {}
            }
        }
        Err(self.mistake("a string has no end"))
    }

    fn number(&mut self) -> Read<Number> {
        let rest = self.rest();
        let part_of_it = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = rest.bytes().take_while(part_of_it).count();
        let number = rest.get(..length).and_then(|written| serde_json::from_str(written).ok());
        let number = number.ok_or_else(|| self.mistake("this is not a number of JSON"))?;
        self.at = self.at.saturating_add(length);
        Ok(number)
    }

    fn word(&mut self) -> Read<Value> {
        for (word, value) in
            [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
        {
            if self.rest().starts_with(word) {
                self.at = self.at.saturating_add(word.len());
                return Ok(value);
            }
        }
        Err(self.mistake("a value is wanted here"))
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.step();
        }
        there
    }

    fn expect(&mut self, byte: u8, else_said: &str) -> Read<()> {
        if self.take(byte) { Ok(()) } else { Err(self.mistake(else_said)) }
    }

    /// RFC 8259 section 2: the white space between tokens. Lines end nowhere else.
    fn skip_space(&mut self) {
        while let Some(byte) = self.peek().filter(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
            if byte == b'\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
                self.counted = self.at;
            }
        }
    }

    fn mark(&mut self) -> Mark {
        self.column = self.column_here();
        self.counted = self.at;
        Mark::new(self.line, self.column)
    }

    fn column_here(&self) -> usize {
        let since = self.text.get(self.counted..self.at).unwrap_or_default();
        // Columns count characters; most lines have only those of one byte.
        let characters = if since.is_ascii() { since.len() } else { since.chars().count() };
        self.column.saturating_add(characters)
    }

    fn mistake(&self, message: impl Into<String>) -> Mistake {
        Mistake { at: Mark::new(self.line, self.column_here()), message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_file_of_one_long_line_is_read_in_one_pass() {
        // Counting columns from the start of the line for each value would take minutes.
        let text = format!("[{}1]", "\"é\",".repeat(300_000));
        let (value, places) = read(&text).unwrap_or_else(|mistake| panic!("{}", mistake.message));
        assert_eq!(places.value(&value, "/300000"), Mark { line: 1, column: 1_200_002 });
    }

    #[test]
    fn every_value_and_key_has_its_place() {
        let text = "{\n  \"é\": 1, \"b\": [true,\n {\"c\\\"\": null}]}";
        let (value, places) = read(text).unwrap_or_else(|mistake| panic!("{}", mistake.message));
        assert_eq!(value, json!({"é": 1, "b": [true, {"c\"": null}]}));
        for (pointer, key, at) in [
            ("", (1, 1), (1, 1)),
            ("/é", (2, 3), (2, 8)),
            ("/b", (2, 11), (2, 16)),
            ("/b/0", (2, 17), (2, 17)),
            ("/b/1/c\"", (3, 3), (3, 10)),
            ("/b/7", (2, 11), (2, 16)),
        ] {
            assert_eq!(places.key(&value, pointer), Mark { line: key.0, column: key.1 }, "{pointer}");
            assert_eq!(places.value(&value, pointer), Mark { line: at.0, column: at.1 }, "{pointer}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        for (text, line, column) in [
            ("", 1, 1),
            ("{\"a\": 1,\n \"a\": 2}", 2, 2),
            ("[1,]", 1, 4),
            ("[1 2]", 1, 4),
            ("{\"a\" 1}", 1, 6),
            ("{a: 1}", 1, 2),
            ("01", 1, 1),
            ("1.", 1, 1),
            ("1e999", 1, 1),
            ("nul", 1, 1),
            ("\"a\nb\"", 1, 1),
            ("\"\\x\"", 1, 1),
            ("\"\\ud800\"", 1, 1),
            ("\"a", 1, 1),
            ("{} {}", 1, 4),
            ("[", 1, 2),
        ] {
            let Err(mistake) = read(text) else { panic!("{text} was read") };
            assert_eq!(mistake.at, Mark { line, column }, "{text}: {}", mistake.message);
        }
        assert!(read(&"[".repeat(DEPTH_MAX + 2)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_serde_reads_it_or_refused(text in "[\\[\\]{}:,\"\\\\a0-9.eE+\\- \n]{0,24}") {
            let serde: Option<Value> = serde_json::from_str(&text).ok();
            match read(&text) {
                Ok((value, _)) => prop_assert_eq!(Some(value), serde),
                // Serde takes a repeated key; nothing else differs.
                Err(mistake) => prop_assert!(serde.is_none() || mistake.message.contains("repeated")),
            }
        }

        #[test]
        fn the_reader_of_yaml_marks_the_same_places(numbers in proptest::collection::vec(0..100_u8, 1..8)) {
            let value = json!({"a": numbers, "b": {"c": [numbers, {"d": "x"}]}});
            let text = serde_json::to_string_pretty(&value).unwrap();
            let Ok((read_value, ours)) = read(&text) else { panic!("{text}") };
            let Ok((_, theirs)) = crate::document::yaml::read(&text) else { panic!("{text}") };
            prop_assert_eq!(&read_value, &value);
            for pointer in ["", "/a", "/a/0", "/b/c", "/b/c/0/0", "/b/c/1/d", "/b/c/9"] {
                prop_assert_eq!(ours.value(&value, pointer), theirs.value(&value, pointer), "{}", pointer);
                prop_assert_eq!(ours.key(&value, pointer), theirs.key(&value, pointer), "{}", pointer);
            }
        }
    }
}
