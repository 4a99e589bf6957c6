//! Which words may a schema of OpenAPI 3.0 or 3.1 hold, and where do further schemas stand in it?
//!
//! A word that a version does not have would be ignored by every validator; here it is a mistake.

use jsonschema::Draft;
use jsonschema::meta::MetaValidator;

use Keyword::{Annotation, Items, Plain, Refused, Schema, SchemaMap, Schemas, SchemasOrNames};

/// The dialect of schemas, which is what tells the versions of OpenAPI apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// OpenAPI 3.0: JSON Schema draft 4 (Wright 00) with its own changes.
    V30,
    /// OpenAPI 3.1: JSON Schema 2020-12.
    V31,
    /// OpenAPI 3.1 whose `jsonSchemaDialect` is an older one.
    Older(Older),
}

/// The dialects before 2020-12 that OpenAPI 3.1 may name, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Older {
    Draft4,
    Draft6,
    Draft7,
    Draft201909,
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
    /// Its value is a schema or a list of them: `items` before 2020-12.
    Items,
    /// Its value maps names to schemas or to lists of names: `dependencies`.
    SchemasOrNames,
    /// It cannot be enforced; why, or what to write instead.
    Refused(&'static str),
    /// No such word.
    Unknown,
}

impl Dialect {
    /// The dialect that `$schema` or `jsonSchemaDialect` names so, in OpenAPI 3.1.
    pub(super) fn named(uri: &str) -> Option<Self> {
        // Before 2019-09 the names ended in an empty fragment, which many leave out.
        Some(match uri.strip_suffix('#').unwrap_or(uri) {
            "https://spec.openapis.org/oas/3.1/dialect/base" => Self::V31,
            "https://json-schema.org/draft/2020-12/schema" => Self::V31,
            "https://json-schema.org/draft/2019-09/schema" => Self::Older(Older::Draft201909),
            "http://json-schema.org/draft-07/schema" => Self::Older(Older::Draft7),
            "http://json-schema.org/draft-06/schema" => Self::Older(Older::Draft6),
            "http://json-schema.org/draft-04/schema" => Self::Older(Older::Draft4),
            _ => return None,
        })
    }

    /// What the validator calls it.
    pub(super) const fn draft(self) -> Draft {
        match self {
            Self::V30 | Self::Older(Older::Draft4) => Draft::Draft4,
            Self::Older(Older::Draft6) => Draft::Draft6,
            Self::Older(Older::Draft7) => Draft::Draft7,
            Self::Older(Older::Draft201909) => Draft::Draft201909,
            Self::V31 => Draft::Draft202012,
        }
    }

    /// What judges the form of schemas.
    pub(super) fn meta(self) -> MetaValidator<'static> {
        match self {
            Self::V30 | Self::Older(Older::Draft4) => jsonschema::draft4::meta::validator(),
            Self::Older(Older::Draft6) => jsonschema::draft6::meta::validator(),
            Self::Older(Older::Draft7) => jsonschema::draft7::meta::validator(),
            Self::Older(Older::Draft201909) => jsonschema::draft201909::meta::validator(),
            Self::V31 => jsonschema::draft202012::meta::validator(),
        }
    }

    /// Whether a truth value is a schema.
    pub(super) const fn has_boolean_schemas(self) -> bool {
        !matches!(self, Self::V30 | Self::Older(Older::Draft4))
    }

    /// Whether what stands beside a `$ref` is ignored. OpenAPI 3.0.4 section 4.7.23; JSON Schema until draft 7.
    pub(super) fn ignores_beside_references(self) -> bool {
        match self {
            Self::V30 => true,
            Self::V31 => false,
            Self::Older(older) => older <= Older::Draft7,
        }
    }

    /// What `word` means in this dialect.
    pub(super) fn keyword(self, word: &str) -> Keyword {
        if let Self::Older(older) = self
            && let Some((_, from, to, keyword)) = OLDER.iter().find(|(known, ..)| *known == word)
        {
            return if (*from..=*to).contains(&older) { *keyword } else { OTHER_DRAFT };
        }
        if let Self::Older(older) = self
            && let Some((_, from)) = SINCE.iter().find(|(known, _)| *known == word)
            && from.is_none_or(|from| older < from)
        {
            return OTHER_DRAFT;
        }
        let found = KEYWORDS.iter().find(|(known, _, _)| *known == word);
        match (self, found) {
            (_, None) if word.starts_with("x-") => Annotation,
            (_, None) => Keyword::Unknown,
            (Self::V30, Some((_, keyword, _))) | (_, Some((_, _, keyword))) => *keyword,
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

const OTHER_DRAFT: Keyword =
    Refused("the dialect of this contract has no such keyword, so nothing would check it");

/// Words that mean something else than in 2020-12: from which dialect to which, and what.
const OLDER: [(&str, Older, Older, Keyword); 5] = [
    ("additionalItems", Older::Draft4, Older::Draft201909, Schema),
    ("definitions", Older::Draft4, Older::Draft201909, SchemaMap),
    ("dependencies", Older::Draft4, Older::Draft7, SchemasOrNames),
    ("id", Older::Draft4, Older::Draft4, Plain),
    ("items", Older::Draft4, Older::Draft201909, Items),
];

/// The first of the older dialects that has a word of 2020-12; none for what only 2020-12 has.
const SINCE: [(&str, Option<Older>); 22] = [
    ("$anchor", Some(Older::Draft201909)),
    ("$defs", Some(Older::Draft201909)),
    ("$dynamicAnchor", None),
    ("$dynamicRef", None),
    ("$id", Some(Older::Draft6)),
    ("const", Some(Older::Draft6)),
    ("contains", Some(Older::Draft6)),
    ("dependentRequired", Some(Older::Draft201909)),
    ("dependentSchemas", Some(Older::Draft201909)),
    ("else", Some(Older::Draft7)),
    ("if", Some(Older::Draft7)),
    ("maxContains", Some(Older::Draft201909)),
    ("minContains", Some(Older::Draft201909)),
    ("prefixItems", None),
    ("propertyNames", Some(Older::Draft6)),
    ("then", Some(Older::Draft7)),
    ("unevaluatedItems", Some(Older::Draft201909)),
    ("unevaluatedProperties", Some(Older::Draft201909)),
    ("contentEncoding", Some(Older::Draft7)),
    ("contentMediaType", Some(Older::Draft7)),
    ("contentSchema", Some(Older::Draft201909)),
    ("examples", Some(Older::Draft6)),
];

const NOT_30: Keyword =
    Refused("OpenAPI 3.0 has no such keyword, so nothing would check it; use OpenAPI 3.1");
const RECURSIVE: Keyword = Refused("name the schema in a `$ref`, or use `$dynamicRef` of 2020-12");

/// Keyword, what it is in 3.0, what it is in 3.1.
const KEYWORDS: [(&str, Keyword, Keyword); 67] = [
    ("$anchor", NOT_30, Plain),
    ("$comment", Annotation, Annotation),
    ("$defs", NOT_30, SchemaMap),
    ("$dynamicAnchor", NOT_30, Plain),
    ("$dynamicRef", NOT_30, Plain),
    ("$id", NOT_30, Plain),
    ("$recursiveAnchor", NOT_30, RECURSIVE),
    ("$recursiveRef", NOT_30, RECURSIVE),
    ("$ref", Plain, Plain),
    ("$schema", NOT_30, Plain),
    ("$vocabulary", NOT_30, Refused("a dialect of one's own is not supported")),
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
    fn an_older_dialect_has_its_own_words_and_lacks_later_ones() {
        use Older::{Draft4, Draft6, Draft7, Draft201909};
        for (word, from, to) in [
            ("definitions", Draft4, Draft201909),
            ("dependencies", Draft4, Draft7),
            ("const", Draft6, Draft201909),
            ("if", Draft7, Draft201909),
            ("unevaluatedItems", Draft201909, Draft201909),
        ] {
            for older in [Draft4, Draft6, Draft7, Draft201909] {
                let known = !matches!(Dialect::Older(older).keyword(word), Refused(_));
                assert_eq!(known, (from..=to).contains(&older), "{word} {older:?}");
            }
        }
        assert_eq!(Dialect::Older(Draft7).keyword("prefixItems"), OTHER_DRAFT);
        assert_eq!(Dialect::Older(Draft7).keyword("items"), Items);
        assert_eq!(Dialect::V31.keyword("items"), Schema);
    }

    #[test]
    fn only_words_that_do_something_are_suggested() {
        assert!(!Dialect::V30.keywords().any(|word| word == "const"));
        assert!(Dialect::V31.keywords().any(|word| word == "const"));
    }
}
