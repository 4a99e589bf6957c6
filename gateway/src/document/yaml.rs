//! From YAML events to a value and its places, bounded in depth and in what aliases may unfold.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::map::Entry;
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
    let events = Parser::new_from_str(text);
    let mut reader = Reader { events, places: Places::default(), anchors: HashMap::new(), unfolded: 0 };
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
                found = Some(reader.node(event, span, None, 0)?);
            }
            Event::StreamEnd => {
                let value = found.ok_or_else(|| mistake(span, "the file is empty"))?;
                return Ok((value, reader.places));
            }
            _ => return Err(mistake(span, "this is not where a value may stand")),
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    places: Places,
    anchors: HashMap<usize, (Value, Places)>,
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

    /// A value; `key` says where its key stands, if it has one.
    fn node(&mut self, event: Event<'a>, span: Span, key: Option<Mark>, depth: usize) -> Read<Value> {
        if depth > DEPTH_MAX {
            return Err(mistake(span, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let at = mark(span.start);
        let key = key.unwrap_or(at);
        if let Event::Alias(anchor) = event {
            return self.alias(anchor, span, key);
        }
        let open = self.places.open(key, at);
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, scalar_value(&text, style, tag.as_deref(), span)?)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), span)?;
                (anchor, self.sequence(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), span)?;
                (anchor, self.mapping(depth)?)
            }
            _ => return Err(mistake(span, "a value is missing here")),
        };
        self.places.close(open);
        // The parser numbers anchors from 1; 0 is "none".
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), self.places.copy(open)));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Array(items));
            }
            items.push(self.node(event, span, None, depth.saturating_add(1))?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Read<Value> {
        let mut members = Map::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Object(members)),
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
            let value = self.node(event, value_span, Some(key_at), depth.saturating_add(1))?;
            // The places of a member are found by its number, so a key must not come twice.
            match members.entry(key) {
                Entry::Occupied(known) => {
                    let message = format!("key `{}` is repeated", known.key());
                    return Err(Mistake { at: key_at, message });
                }
                Entry::Vacant(free) => free.insert(value),
            };
        }
    }

    /// An alias costs what it unfolds to, so that a few lines cannot become gigabytes.
    fn alias(&mut self, anchor: usize, span: Span, key: Mark) -> Read<Value> {
        let Some((value, places)) = self.anchors.get(&anchor) else {
            return Err(mistake(span, "this alias has no anchor before it"));
        };
        self.unfolded = self.unfolded.saturating_add(places.count());
        if self.unfolded > UNFOLDED_VALUES_MAX {
            return Err(mistake(span, format!("aliases unfold to more than {UNFOLDED_VALUES_MAX} values")));
        }
        self.places.paste(key, places);
        Ok(value.clone())
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

fn mark(marker: saphyr_parser::Marker) -> Mark {
    // The parser counts lines from 1 and columns from 0.
    Mark::new(marker.line(), marker.col().saturating_add(1))
}

fn mistake(span: Span, message: impl Into<String>) -> Mistake {
    Mistake { at: mark(span.start), message: message.into() }
}

/// More than any contract's anchors repeat; far below what would hurt.
const UNFOLDED_VALUES_MAX: usize = 100_000;
