//! Which words may a schema of OpenAPI 3.0 or 3.1 hold, and where do further schemas stand in it?
//!
//! A word that a version does not have would be ignored by every validator; here it is a mistake.

use Keyword::{Annotation, Plain, Refused, Schema, SchemaMap, Schemas};

/// The dialect of schemas, which is what tells the versions of OpenAPI apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// OpenAPI 3.0: JSON Schema draft 4 (Wright 00) with its own changes.
    V30,
    /// OpenAPI 3.1: JSON Schema 2020-12.
    V31,
}

/// What a keyword means for whoever walks through schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    /// It constrains, and holds no schemas.
    Plain,
    /// It constrains nothing.
    Annotation,
    /// Its value is a schema.
    Schema,
    /// Its value is a list of schemas.
    Schemas,
    /// Its value maps names to schemas.
    SchemaMap,
    /// It cannot be enforced; why, or what to write instead.
    Refused(&'static str),
    /// No such word.
    Unknown,
}

impl Dialect {
    /// What `word` means in this dialect.
    pub(super) fn keyword(self, word: &str) -> Keyword {
        let found = KEYWORDS.iter().find(|(known, _, _)| *known == word);
        match (self, found) {
            (_, None) if word.starts_with("x-") => Annotation,
            (_, None) => Keyword::Unknown,
            (Self::V30, Some((_, keyword, _))) | (Self::V31, Some((_, _, keyword))) => *keyword,
        }
    }

    /// All words of this dialect, for suggestions.
    pub(super) fn keywords(self) -> impl Iterator<Item = &'static str> {
        KEYWORDS
            .iter()
            .map(|(word, _, _)| *word)
            .filter(move |word| !matches!(self.keyword(word), Refused(_) | Keyword::Unknown))
    }
}

const NOT_30: Keyword =
    Refused("OpenAPI 3.0 has no such keyword, so nothing would check it; use OpenAPI 3.1");
const BASE: Keyword = Refused("schemas are found by `$ref` with a JSON Pointer only");

/// Keyword, what it is in 3.0, what it is in 3.1.
const KEYWORDS: [(&str, Keyword, Keyword); 67] = [
    ("$anchor", NOT_30, BASE),
    ("$comment", NOT_30, Annotation),
    ("$defs", NOT_30, SchemaMap),
    ("$dynamicAnchor", NOT_30, BASE),
    ("$dynamicRef", NOT_30, BASE),
    ("$id", NOT_30, BASE),
    ("$recursiveAnchor", NOT_30, BASE),
    ("$recursiveRef", NOT_30, BASE),
    ("$ref", Plain, Plain),
    ("$schema", NOT_30, Plain),
    ("$vocabulary", NOT_30, BASE),
    ("additionalItems", NOT_30, Refused("use `items` beside `prefixItems`")),
    ("additionalProperties", Schema, Schema),
    ("allOf", Schemas, Schemas),
    ("anyOf", Schemas, Schemas),
    ("const", NOT_30, Plain),
    ("contains", NOT_30, Schema),
    ("contentEncoding", NOT_30, Annotation),
    ("contentMediaType", NOT_30, Annotation),
    ("contentSchema", NOT_30, Annotation),
    ("default", Annotation, Annotation),
    ("definitions", NOT_30, Refused("use `$defs`")),
    ("dependencies", NOT_30, Refused("use `dependentRequired` or `dependentSchemas`")),
    ("dependentRequired", NOT_30, Plain),
    ("dependentSchemas", NOT_30, SchemaMap),
    ("deprecated", Annotation, Annotation),
    ("description", Annotation, Annotation),
    ("discriminator", Plain, Plain),
    ("else", NOT_30, Schema),
    ("enum", Plain, Plain),
    ("example", Annotation, Annotation),
    ("examples", NOT_30, Annotation),
    ("exclusiveMaximum", Plain, Plain),
    ("exclusiveMinimum", Plain, Plain),
    ("externalDocs", Annotation, Annotation),
    ("format", Plain, Plain),
    ("if", NOT_30, Schema),
    ("items", Schema, Schema),
    ("maxContains", NOT_30, Plain),
    ("maximum", Plain, Plain),
    ("maxItems", Plain, Plain),
    ("maxLength", Plain, Plain),
    ("maxProperties", Plain, Plain),
    ("minContains", NOT_30, Plain),
    ("minimum", Plain, Plain),
    ("minItems", Plain, Plain),
    ("minLength", Plain, Plain),
    ("minProperties", Plain, Plain),
    ("multipleOf", Plain, Plain),
    ("not", Schema, Schema),
    ("nullable", Plain, Refused("OpenAPI 3.1 has no `nullable`; add `\"null\"` to `type`")),
    ("oneOf", Schemas, Schemas),
    ("pattern", Plain, Plain),
    ("patternProperties", NOT_30, SchemaMap),
    ("prefixItems", NOT_30, Schemas),
    ("properties", SchemaMap, SchemaMap),
    ("propertyNames", NOT_30, Schema),
    ("readOnly", Plain, Plain),
    ("required", Plain, Plain),
    ("then", NOT_30, Schema),
    ("title", Annotation, Annotation),
    ("type", Plain, Plain),
    ("unevaluatedItems", NOT_30, Schema),
    ("unevaluatedProperties", NOT_30, Schema),
    ("uniqueItems", Plain, Plain),
    ("writeOnly", Plain, Plain),
    ("xml", Annotation, Annotation),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_their_version_says() {
        for (word, v30, v31) in [
            ("properties", SchemaMap, SchemaMap),
            ("x-anything", Annotation, Annotation),
            ("maxLenght", Keyword::Unknown, Keyword::Unknown),
            ("if", NOT_30, Schema),
            ("const", NOT_30, Plain),
        ] {
            assert_eq!((Dialect::V30.keyword(word), Dialect::V31.keyword(word)), (v30, v31), "{word}");
        }
        assert!(matches!(Dialect::V31.keyword("nullable"), Refused(_)));
        assert_eq!(Dialect::V30.keyword("nullable"), Plain);
    }

    #[test]
    fn only_words_that_do_something_are_suggested() {
        assert!(!Dialect::V30.keywords().any(|word| word == "const"));
        assert!(Dialect::V31.keywords().any(|word| word == "const"));
    }
}
