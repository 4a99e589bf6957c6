//! Which kinds of values does a schema allow?

use serde_json::{Map, Value};

use super::super::super::keyword::Dialect;
use super::number;
use super::term::{Atom, Version, Word};

/// The kinds of values that JSON has; integers apart from other numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(2);
    pub(super) const INTEGER: Self = Self(4);
    pub(super) const FRACTION: Self = Self(8);
    pub(super) const NUMBER: Self = Self(12);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);
    pub(super) const ALL: Self = Self(127);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::NONE,
        }
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if number::is_integer(number) => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// The kinds in words: "a text or null".
    pub(super) fn words(self) -> String {
        let mut names = Vec::new();
        for (types, name) in [
            (Self::OBJECT, "an object"),
            (Self::ARRAY, "a list"),
            (Self::STRING, "a text"),
            (Self::NUMBER, "a number"),
            (Self::INTEGER, "an integer"),
            (Self::BOOLEAN, "a truth value"),
            (Self::NULL, "null"),
        ] {
            let counts = self.and(types) == types && !(types == Self::INTEGER && self.meets(Self::FRACTION));
            names.extend(counts.then_some(name));
        }
        match names.as_slice() {
            [] => "nothing".to_owned(),
            _ if self == Self::ALL => "anything".to_owned(),
            _ => names.join(" or "),
        }
    }
}

/// The kinds of values that a term allows at most, looking a few alternatives deep.
pub(super) fn types_of(version: Version<'_>, term: &[Atom], depth: usize) -> Types {
    let (flat, _) = version.flatten(term);
    let mut types = Types::ALL;
    for atom in &flat {
        let members = match version.value(&atom.at) {
            Some(Value::Object(members)) => members,
            Some(Value::Bool(false)) => return Types::NONE,
            _ => continue,
        };
        types = types.and(plain(version.dialect, members));
        for word in [Word::AnyOf, Word::OneOf] {
            let count = members.get(word.as_str()).and_then(Value::as_array).map_or(0, Vec::len);
            let Some(depth) = depth.checked_sub(1).filter(|_| count > 0) else { continue };
            let branches = (0..count).map(|n| Atom::whole(atom.at.key(word.as_str()).item(n)));
            let all = branches.fold(Types::NONE, |all, branch| all.or(types_of(version, &[branch], depth)));
            types = types.and(all);
        }
    }
    types
}

/// What `type` says, with the `nullable` of OpenAPI 3.0 beside it.
pub(super) fn written(dialect: Dialect, members: &Map<String, Value>) -> Option<Types> {
    let types = match members.get("type")? {
        Value::String(name) => Types::named(name),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            names.fold(Types::NONE, |all, name| all.or(Types::named(name)))
        }
        _ => Types::ALL,
    };
    let nullable = dialect == Dialect::V30 && members.get("nullable") == Some(&Value::Bool(true));
    Some(if nullable { types.or(Types::NULL) } else { types })
}

/// What `type` and the listed values say.
fn plain(dialect: Dialect, members: &Map<String, Value>) -> Types {
    let mut types = written(dialect, members).unwrap_or(Types::ALL);
    if let Some(listed) = members.get("enum").and_then(Value::as_array) {
        types = types.and(listed.iter().fold(Types::NONE, |all, value| all.or(Types::of(value))));
    }
    members.get("const").map_or(types, |only| types.and(Types::of(only)))
}
