//! From YAML events to a value and its places, bounded in depth and in what aliases may unfold.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::DEPTH_MAX;
use super::places::{Mark, Places};
use super::scalar;

/// Why a text cannot be read, and where.
pub(super) struct Mistake {
    pub(super) at: Mark,
    pub(super) message: String,
}

type Read<T> = Result<T, Mistake>;

/// Reads the one document in `text`.
pub(super) fn read(text: &str) -> Read<(Value, Places)> {
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: HashMap::new(), unfolded: 0 };
    let mut found = None;
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) if found.is_some() => {
                return Err(mistake(span, "a second document begins here; a file holds one"));
            }
            Event::DocumentStart(_) => {
                let (event, span) = reader.next()?;
                found = Some(reader.node(event, span, 0)?);
            }
            Event::StreamEnd => return found.ok_or_else(|| mistake(span, "the file is empty")),
            _ => return Err(mistake(span, "this is not where a value may stand")),
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, (Value, Places, usize)>,
    unfolded: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Read<(Event<'a>, Span)> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(e)) => Err(Mistake { at: mark(*e.marker()), message: e.info().to_owned() }),
            None => Err(Mistake { at: Mark::START, message: "the file ends too early".to_owned() }),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Read<(Value, Places)> {
        if depth > DEPTH_MAX {
            return Err(mistake(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let at = mark(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar_value(&text, style, tag.as_deref(), span)?;
                Ok(self.keep(anchor, value, Places::leaf(at)))
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), span)?;
                let (value, places) = self.sequence(at, depth)?;
                Ok(self.keep(anchor, value, places))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), span)?;
                let (value, places) = self.mapping(at, depth)?;
                Ok(self.keep(anchor, value, places))
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Err(mistake(span, "a value is missing here")),
        }
    }

    fn sequence(&mut self, at: Mark, depth: usize) -> Read<(Value, Places)> {
        let (mut items, mut places) = (Vec::new(), Vec::new());
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok((Value::Array(items), Places::sequence(at, places)));
            }
            let (item, place) = self.node(event, span, depth.saturating_add(1))?;
            items.push(item);
            places.push(place);
        }
    }

    fn mapping(&mut self, at: Mark, depth: usize) -> Read<(Value, Places)> {
        let (mut members, mut places) = (Map::new(), HashMap::new());
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok((Value::Object(members), Places::mapping(at, places))),
                Event::Scalar(text, style, _, None) => {
                    if text == "<<" && style == ScalarStyle::Plain {
                        return Err(mistake(span, "merge keys (`<<`) are not part of YAML 1.2"));
                    }
                    text.into_owned()
                }
                _ => return Err(mistake(span, "a key must be a plain word or a string")),
            };
            let key_at = mark(span.start);
            let (event, value_span) = self.next()?;
            let (value, place) = self.node(event, value_span, depth.saturating_add(1))?;
            if members.insert(key.clone(), value).is_some() {
                return Err(Mistake { at: key_at, message: format!("key `{key}` is repeated") });
            }
            places.insert(key.into_boxed_str(), (key_at, place));
        }
    }

    fn keep(&mut self, anchor: usize, value: Value, places: Places) -> (Value, Places) {
        // The parser numbers anchors from 1; 0 is "none".
        if anchor > 0 {
            let size = count(&value);
            self.anchors.insert(anchor, (value.clone(), places.clone(), size));
        }
        (value, places)
    }

    /// An alias costs what it unfolds to, so that a few lines cannot become gigabytes.
    fn alias(&mut self, anchor: usize, span: Span) -> Read<(Value, Places)> {
        let Some((value, places, size)) = self.anchors.get(&anchor) else {
            return Err(mistake(span, "this alias has no anchor before it"));
        };
        self.unfolded = self.unfolded.saturating_add(*size);
        if self.unfolded > UNFOLDED_VALUES_MAX {
            return Err(mistake(span, format!("aliases unfold to more than {UNFOLDED_VALUES_MAX} values")));
        }
        Ok((value.clone(), places.clone()))
    }
}

fn scalar_value(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Read<Value> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(Value::String(text.to_owned())),
        Some(tag) => Err(mistake(span, format!("the tag `{tag}` is not known"))),
        None if style == ScalarStyle::Plain => scalar::plain(text).map_err(|message| mistake(span, message)),
        None => Ok(Value::String(text.to_owned())),
    }
}

fn refuse_tag(tag: Option<&Tag>, span: Span) -> Read<()> {
    match tag {
        None => Ok(()),
        Some(tag) => Err(mistake(span, format!("the tag `{tag}` is not known"))),
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count).fold(1, usize::saturating_add),
        Value::Object(members) => members.values().map(count).fold(1, usize::saturating_add),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

fn mark(marker: saphyr_parser::Marker) -> Mark {
    // The parser counts lines from 1 and columns from 0.
    Mark { line: marker.line(), column: marker.col().saturating_add(1) }
}

fn mistake(span: Span, message: impl Into<String>) -> Mistake {
    Mistake { at: mark(span.start), message: message.into() }
}

/// More than any contract's anchors repeat; far below what would hurt.
const UNFOLDED_VALUES_MAX: usize = 100_000;
