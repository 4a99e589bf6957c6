//! Every kind of change that an established tool tells apart, row by row, as the rules here judge it.
//!
//! The names are that tool's; `level` is the worst of the side, by its first letter, `-` for none.

use std::collections::BTreeSet;
use std::fs;

use super::super::conformance;
use super::super::source::Source;
use super::{Change, Level, Side, compare};

/// A change of one schema: the ends of its names, what it was, what it is, the rule, and the level for
/// requests and responses.
type SchemaRow = (&'static str, &'static str, &'static str, &'static str, char, char);
/// A change of a document: its names, what differs, the rule, the side, and the level.
type DocumentRow = (&'static str, &'static str, &'static str, &'static str, Side, char);

#[rustfmt::skip] // One row a line.
const SCHEMAS: &[SchemaRow] = &[
    ("all-of-added", "{type: object}", "{type: object, allOf: [{required: [a]}]}", "property-became-required", 'B', 'C'),
    ("all-of-removed", "{type: object, allOf: [{required: [a]}]}", "{type: object}", "property-became-optional", 'C', 'B'),
    ("all-of-added-annotation-only", "{type: object}", "{type: object, allOf: [{description: x}]}", "", '-', '-'),
    ("any-of-added", "{anyOf: [{type: string}]}", "{anyOf: [{type: string}, {type: integer}]}", "any-of-branch-added", 'C', 'B'),
    ("any-of-removed", "{anyOf: [{type: string}, {type: integer}]}", "{anyOf: [{type: string}]}", "any-of-branch-removed", 'B', 'C'),
    ("one-of-added", "{oneOf: [{type: string}]}", "{oneOf: [{type: string}, {type: integer}]}", "one-of-branch-added", 'C', 'B'),
    ("one-of-removed", "{oneOf: [{type: string}, {type: integer}]}", "{oneOf: [{type: string}]}", "one-of-branch-removed", 'B', 'C'),
    ("wrapped-in-one-of", "{type: string}", "{oneOf: [{type: string}, {type: integer}]}", "one-of-added", 'C', 'B'),
    ("became-enum", "{type: string}", "{type: string, enum: [a]}", "enum-added", 'B', 'C'),
    ("became-not-nullable", "{type: [string, 'null']}", "{type: string}", "became-not-nullable", 'B', 'C'),
    ("became-nullable", "{type: string}", "{type: [string, 'null']}", "became-nullable", 'C', 'B'),
    ("const-added", "{type: string}", "{type: string, const: a}", "const-added", 'B', 'C'),
    ("const-changed", "{const: a}", "{const: b}", "const-changed", 'B', 'B'),
    ("const-removed", "{type: string, const: a}", "{type: string}", "const-removed", 'C', 'B'),
    ("contains-added", "{type: array}", "{type: array, contains: {type: string}}", "contains-added", 'B', 'C'),
    ("contains-removed", "{type: array, contains: {type: string}}", "{type: array}", "contains-removed", 'C', 'B'),
    ("content-encoding-changed", "{type: string, contentEncoding: base64}", "{type: string, contentEncoding: base16}", "content-encoding-changed", 'P', 'P'),
    ("content-media-type-changed", "{type: string, contentMediaType: image/png}", "{type: string, contentMediaType: image/gif}", "content-media-type-changed", 'P', 'P'),
    ("content-schema-added", "{type: string}", "{type: string, contentSchema: {type: object}}", "content-schema-changed", 'P', 'P'),
    ("content-schema-removed", "{type: string, contentSchema: {type: object}}", "{type: string}", "content-schema-changed", 'P', 'P'),
    ("default-value-added", "{type: string}", "{type: string, default: a}", "default-added", 'P', 'C'),
    ("default-value-changed", "{type: string, default: a}", "{type: string, default: b}", "default-changed", 'P', 'C'),
    ("default-value-removed", "{type: string, default: a}", "{type: string}", "default-removed", 'P', 'C'),
    ("dependent-required-added", "{type: object}", "{type: object, dependentRequired: {a: [b]}}", "dependent-required-added", 'B', 'C'),
    ("dependent-required-changed", "{type: object, dependentRequired: {a: [b]}}", "{type: object, dependentRequired: {a: [c]}}", "dependent-required-added", 'B', 'B'),
    ("dependent-required-removed", "{type: object, dependentRequired: {a: [b]}}", "{type: object}", "dependent-required-removed", 'C', 'B'),
    ("dependent-schema-added", "{type: object}", "{type: object, dependentSchemas: {a: {required: [b]}}}", "dependent-schema-added", 'B', 'C'),
    ("dependent-schema-removed", "{type: object, dependentSchemas: {a: {required: [b]}}}", "{type: object}", "dependent-schema-removed", 'C', 'B'),
    ("deprecated", "{type: string}", "{type: string, deprecated: true}", "schema-deprecated", 'C', 'C'),
    ("deprecated-sunset-invalid", "{type: string}", "{type: string, deprecated: true, x-sunset: soon}", "sunset-unreadable", 'P', 'P'),
    ("deprecated-with-sunset", "{type: string}", "{type: string, deprecated: true, x-sunset: '2030-01-01'}", "sunset-added", 'C', 'C'),
    ("reactivated", "{type: string, deprecated: true}", "{type: string}", "schema-reactivated", 'C', 'C'),
    ("sunset-date-changed-too-small", "{type: string, x-sunset: '2030-01-01'}", "{type: string, x-sunset: '2029-01-01'}", "sunset-earlier", 'B', 'B'),
    ("sunset-deleted", "{type: string, x-sunset: '2030-01-01'}", "{type: string}", "sunset-removed", 'C', 'C'),
    ("sunset-parse", "{type: string}", "{type: string, x-sunset: soon}", "sunset-unreadable", 'P', 'P'),
    ("stability-decreased", "{type: string, x-stability-level: stable}", "{type: string, x-stability-level: beta}", "stability-decreased", 'P', 'P'),
    ("discriminator-added", "{type: object}", "{type: object, discriminator: {propertyName: k}}", "discriminator-added", 'P', 'C'),
    ("discriminator-removed", "{type: object, discriminator: {propertyName: k}}", "{type: object}", "discriminator-removed", 'C', 'P'),
    ("discriminator-property-name-changed", "{type: object, discriminator: {propertyName: k}}", "{type: object, discriminator: {propertyName: l}}", "discriminator-property-changed", 'B', 'B'),
    ("discriminator-mapping-added", "{type: object, discriminator: {propertyName: k}}", "{type: object, discriminator: {propertyName: k, mapping: {a: A}}}", "discriminator-mapping-added", 'C', 'P'),
    ("discriminator-mapping-changed", "{type: object, discriminator: {propertyName: k, mapping: {a: A}}}", "{type: object, discriminator: {propertyName: k, mapping: {a: B}}}", "discriminator-mapping-changed", 'P', 'P'),
    ("discriminator-mapping-deleted", "{type: object, discriminator: {propertyName: k, mapping: {a: A}}}", "{type: object, discriminator: {propertyName: k}}", "discriminator-mapping-removed", 'P', 'C'),
    ("if-added", "{type: object}", "{type: object, if: {required: [a]}, then: {required: [b]}}", "if-added", 'B', 'C'),
    ("if-removed", "{type: object, if: {required: [a]}, then: {required: [b]}}", "{type: object}", "if-removed", 'C', 'B'),
    ("then-added", "{if: {required: [a]}, else: {required: [c]}}", "{if: {required: [a]}, then: {required: [b]}, else: {required: [c]}}", "then-added", 'B', 'C'),
    ("then-removed", "{if: {required: [a]}, then: {required: [b]}, else: {required: [c]}}", "{if: {required: [a]}, else: {required: [c]}}", "then-removed", 'C', 'B'),
    ("else-added", "{if: {required: [a]}, then: {required: [b]}}", "{if: {required: [a]}, then: {required: [b]}, else: {required: [c]}}", "else-added", 'B', 'C'),
    ("else-removed", "{if: {required: [a]}, then: {required: [b]}, else: {required: [c]}}", "{if: {required: [a]}, then: {required: [b]}}", "else-removed", 'C', 'B'),
    ("enum-value-added", "{enum: [a]}", "{enum: [a, b]}", "enum-value-added", 'C', 'B'),
    ("enum-value-removed", "{enum: [a, b]}", "{enum: [a]}", "enum-value-removed", 'B', 'C'),
    ("exclusive-max-decreased", "{type: number, exclusiveMaximum: 9}", "{type: number, exclusiveMaximum: 8}", "exclusive-maximum-decreased", 'B', 'C'),
    ("exclusive-max-increased", "{type: number, exclusiveMaximum: 8}", "{type: number, exclusiveMaximum: 9}", "exclusive-maximum-increased", 'C', 'B'),
    ("exclusive-max-set", "{type: number}", "{type: number, exclusiveMaximum: 9}", "exclusive-maximum-added", 'B', 'C'),
    ("exclusive-min-decreased", "{type: number, exclusiveMinimum: 9}", "{type: number, exclusiveMinimum: 8}", "exclusive-minimum-decreased", 'C', 'B'),
    ("exclusive-min-increased", "{type: number, exclusiveMinimum: 8}", "{type: number, exclusiveMinimum: 9}", "exclusive-minimum-increased", 'B', 'C'),
    ("exclusive-min-set", "{type: number}", "{type: number, exclusiveMinimum: 9}", "exclusive-minimum-added", 'B', 'C'),
    ("list-of-types-narrowed", "{type: [string, integer]}", "{type: [string]}", "type-narrowed", 'B', 'C'),
    ("list-of-types-widened", "{type: [string]}", "{type: [string, integer]}", "type-widened", 'C', 'B'),
    ("max-contains-decreased", "{type: array, contains: {type: string}, maxContains: 9}", "{type: array, contains: {type: string}, maxContains: 8}", "max-contains-decreased", 'B', 'C'),
    ("max-contains-increased", "{type: array, contains: {type: string}, maxContains: 8}", "{type: array, contains: {type: string}, maxContains: 9}", "max-contains-increased", 'C', 'B'),
    ("min-contains-decreased", "{type: array, contains: {type: string}, minContains: 3}", "{type: array, contains: {type: string}, minContains: 2}", "min-contains-decreased", 'C', 'B'),
    ("min-contains-increased", "{type: array, contains: {type: string}, minContains: 2}", "{type: array, contains: {type: string}, minContains: 3}", "min-contains-increased", 'B', 'C'),
    ("max-decreased", "{type: integer, maximum: 9}", "{type: integer, maximum: 8}", "maximum-decreased", 'B', 'C'),
    ("max-increased", "{type: integer, maximum: 8}", "{type: integer, maximum: 9}", "maximum-increased", 'C', 'B'),
    ("max-set", "{type: integer}", "{type: integer, maximum: 9}", "maximum-added", 'B', 'C'),
    ("min-decreased", "{type: integer, minimum: 9}", "{type: integer, minimum: 8}", "minimum-decreased", 'C', 'B'),
    ("min-increased", "{type: integer, minimum: 8}", "{type: integer, minimum: 9}", "minimum-increased", 'B', 'C'),
    ("max-items-decreased", "{type: array, maxItems: 9}", "{type: array, maxItems: 8}", "max-items-decreased", 'B', 'C'),
    ("max-items-increased", "{type: array, maxItems: 8}", "{type: array, maxItems: 9}", "max-items-increased", 'C', 'B'),
    ("min-items-decreased", "{type: array, minItems: 9}", "{type: array, minItems: 8}", "min-items-decreased", 'C', 'B'),
    ("min-items-increased", "{type: array, minItems: 8}", "{type: array, minItems: 9}", "min-items-increased", 'B', 'C'),
    ("max-length-decreased", "{type: string, maxLength: 9}", "{type: string, maxLength: 8}", "max-length-decreased", 'B', 'C'),
    ("max-length-increased", "{type: string, maxLength: 8}", "{type: string, maxLength: 9}", "max-length-increased", 'C', 'B'),
    ("max-length-set", "{type: string}", "{type: string, maxLength: 9}", "max-length-added", 'B', 'C'),
    ("max-length-unset", "{type: string, maxLength: 9}", "{type: string}", "max-length-removed", 'C', 'B'),
    ("min-length-decreased", "{type: string, minLength: 9}", "{type: string, minLength: 8}", "min-length-decreased", 'C', 'B'),
    ("min-length-increased", "{type: string, minLength: 8}", "{type: string, minLength: 9}", "min-length-increased", 'B', 'C'),
    ("pattern-added", "{type: string}", "{type: string, pattern: '^a'}", "pattern-added", 'B', 'C'),
    ("pattern-changed", "{type: string, pattern: '^a'}", "{type: string, pattern: '^b'}", "pattern-changed", 'P', 'P'),
    ("pattern-generalized", "{type: string, pattern: '^a'}", "{type: string, pattern: '.*'}", "pattern-removed", 'C', 'B'),
    ("pattern-removed", "{type: string, pattern: '^a'}", "{type: string}", "pattern-removed", 'C', 'B'),
    ("pattern-property-added", "{type: object}", "{type: object, patternProperties: {'^x': {type: integer}}}", "pattern-property-added", 'B', 'C'),
    ("pattern-property-removed", "{type: object, patternProperties: {'^x': {type: integer}}}", "{type: object}", "pattern-property-removed", 'C', 'B'),
    ("prefix-items-added", "{type: array}", "{type: array, prefixItems: [{type: integer}]}", "prefix-items-added", 'B', 'C'),
    ("prefix-items-removed", "{type: array, prefixItems: [{type: integer}]}", "{type: array}", "prefix-items-removed", 'C', 'B'),
    ("property-names-added", "{type: object}", "{type: object, propertyNames: {maxLength: 9}}", "property-names-added", 'B', 'C'),
    ("property-names-removed", "{type: object, propertyNames: {maxLength: 9}}", "{type: object}", "property-names-removed", 'C', 'B'),
    ("type-changed", "{type: string}", "{type: integer}", "type-changed", 'B', 'B'),
    ("type-compatible", "{type: string}", "{type: [string]}", "", '-', '-'),
    ("type-generalized", "{type: integer}", "{type: number}", "type-widened", 'C', 'B'),
    ("type-specialized", "{type: number}", "{type: integer}", "type-narrowed", 'B', 'C'),
    ("unevaluated-items-added", "{type: array, prefixItems: [{type: string}]}", "{type: array, prefixItems: [{type: string}], unevaluatedItems: false}", "unevaluated-items-added", 'B', 'C'),
    ("unevaluated-items-removed", "{type: array, prefixItems: [{type: string}], unevaluatedItems: false}", "{type: array, prefixItems: [{type: string}]}", "unevaluated-items-removed", 'C', 'B'),
    ("unevaluated-properties-added", "{type: object}", "{type: object, unevaluatedProperties: false}", "unevaluated-properties-added", 'B', 'C'),
    ("unevaluated-properties-removed", "{type: object, unevaluatedProperties: false}", "{type: object}", "unevaluated-properties-removed", 'C', 'B'),
    ("x-extensible-enum-value-removed", "{type: string, x-extensible-enum: [a, b]}", "{type: string, x-extensible-enum: [a]}", "extensible-enum-value-removed", 'P', 'C'),
];

/// Where a changed schema stands, by the beginning of a name, and which side is looked at.
#[rustfmt::skip] // One row a line.
const CONTEXTS: &[(&str, &str, Side)] = &[
    ("request-parameter-property-", "parameters: [{name: q, in: query, schema: {type: object, properties: {p: SCHEMA}}}]", Side::Request),
    ("request-header-property-", "parameters: [{name: X-H, in: header, schema: {type: object, properties: {p: SCHEMA}}}]", Side::Request),
    ("request-parameter-", "parameters: [{name: q, in: query, schema: SCHEMA}]", Side::Request),
    ("request-property-", "requestBody: {content: {application/json: {schema: {type: object, properties: {p: SCHEMA}}}}}", Side::Request),
    ("request-body-", "requestBody: {content: {application/json: {schema: SCHEMA}}}", Side::Request),
    ("response-property-", "responses: {'200': {content: {application/json: {schema: {type: object, properties: {p: SCHEMA}}}}}}", Side::Response),
    ("response-mediatype-", "responses: {'200': {content: {application/json: {schema: SCHEMA}}}}", Side::Response),
    ("response-body-", "responses: {'200': {content: {application/json: {schema: SCHEMA}}}}", Side::Response),
    ("response-header-", "responses: {'200': {headers: {X-H: {schema: SCHEMA}}}}", Side::Response),
];

const BODY: &str = "requestBody: {content: {application/json: {schema: ";
const ANSWER: &str = "responses: {'200': {content: {application/json: {schema: ";

/// Changes that are not of one schema alone. `op:` begins what stands in an operation, `rq:`
/// and `rs:` the schema of its body and of its answer, `gw:` its settings, and `doc:` a document.
#[rustfmt::skip] // One row a line.
const DOCUMENTS: &[DocumentRow] = &[
    ("response-header-added", "op: responses: {'200': {}}", "op: responses: {'200': {headers: {X-H: {schema: {type: string}}}}}", "response-header-added", Side::Response, 'C'),
    ("optional-response-header-removed", "op: responses: {'200': {headers: {X-H: {schema: {type: string}}}}}", "op: responses: {'200': {}}", "response-header-removed", Side::Response, 'B'),
    ("required-response-header-removed", "op: responses: {'200': {headers: {X-H: {required: true, schema: {type: string}}}}}", "op: responses: {'200': {}}", "response-header-removed", Side::Response, 'B'),
    ("response-header-became-optional", "op: responses: {'200': {headers: {X-H: {required: true}}}}", "op: responses: {'200': {headers: {X-H: {}}}}", "response-header-became-optional", Side::Response, 'B'),
    ("request-body-added-optional", "op: {}", "op: requestBody: {content: {application/json: {}}}", "request-body-added", Side::Request, 'C'),
    ("request-body-added-required", "op: {}", "op: requestBody: {required: true, content: {application/json: {}}}", "required-request-body-added", Side::Request, 'B'),
    ("request-body-removed", "op: requestBody: {content: {application/json: {}}}", "op: {}", "request-body-removed", Side::Request, 'B'),
    ("request-body-became-required", "op: requestBody: {content: {application/json: {}}}", "op: requestBody: {required: true, content: {application/json: {}}}", "request-body-became-required", Side::Request, 'B'),
    ("request-body-became-optional", "op: requestBody: {required: true, content: {application/json: {}}}", "op: requestBody: {content: {application/json: {}}}", "request-body-became-optional", Side::Request, 'C'),
    ("request-body-media-type-added", "op: requestBody: {content: {application/json: {}}}", "op: requestBody: {content: {application/json: {}, text/plain: {}}}", "media-type-added", Side::Request, 'C'),
    ("request-body-media-type-removed", "op: requestBody: {content: {application/json: {}, text/plain: {}}}", "op: requestBody: {content: {application/json: {}}}", "media-type-removed", Side::Request, 'B'),
    ("request-body-media-type-schema-added", "op: requestBody: {content: {application/json: {}}}", "op: requestBody: {content: {application/json: {schema: {type: string}}}}", "media-type-schema-added", Side::Request, 'B'),
    ("request-body-media-type-schema-removed", "op: requestBody: {content: {application/json: {schema: {type: string}}}}", "op: requestBody: {content: {application/json: {}}}", "media-type-schema-removed", Side::Request, 'C'),
    ("response-body-media-type-schema-added", "op: responses: {'200': {content: {application/json: {}}}}", "op: responses: {'200': {content: {application/json: {schema: {type: string}}}}}", "media-type-schema-added", Side::Response, 'C'),
    ("response-body-media-type-schema-removed", "op: responses: {'200': {content: {application/json: {schema: {type: string}}}}}", "op: responses: {'200': {content: {application/json: {}}}}", "media-type-schema-removed", Side::Response, 'B'),
    ("response-media-type-added", "op: responses: {'200': {content: {application/json: {}}}}", "op: responses: {'200': {content: {application/json: {}, text/plain: {}}}}", "media-type-added", Side::Response, 'C'),
    ("response-media-type-removed", "op: responses: {'200': {content: {application/json: {}, text/plain: {}}}}", "op: responses: {'200': {content: {application/json: {}}}}", "media-type-removed", Side::Response, 'B'),
    ("response-media-type-name-changed", "op: responses: {'200': {content: {application/json: {}}}}", "op: responses: {'200': {content: {application/problem+json: {}}}}", "media-type-removed", Side::Response, 'B'),
    ("response-media-type-name-generalized", "op: responses: {'200': {content: {application/json: {}}}}", "op: responses: {'200': {content: {application/*: {}}}}", "media-type-widened", Side::Response, 'P'),
    ("response-media-type-name-specialized", "op: responses: {'200': {content: {application/*: {}}}}", "op: responses: {'200': {content: {application/json: {}}}}", "media-type-narrowed", Side::Response, 'C'),
    ("response-success-status-added", "op: responses: {'200': {}}", "op: responses: {'200': {}, '201': {}}", "response-status-added", Side::Response, 'C'),
    ("response-success-status-removed", "op: responses: {'200': {}, '201': {}}", "op: responses: {'200': {}}", "response-status-removed", Side::Response, 'B'),
    ("response-non-success-status-added", "op: responses: {'200': {}}", "op: responses: {'200': {}, '409': {}}", "response-status-added", Side::Response, 'C'),
    ("response-non-success-status-removed", "op: responses: {'200': {}, '409': {}}", "op: responses: {'200': {}}", "response-status-removed", Side::Response, 'P'),
    // Parameters.
    ("new-optional-request-parameter", "op: {}", "op: parameters: [{name: q, in: query}]", "parameter-added", Side::Request, 'C'),
    ("new-optional-request-default-parameter-to-existing-path", "op: {}", "op: parameters: [{name: q, in: query, schema: {default: 1}}]", "parameter-added", Side::Request, 'C'),
    ("new-required-request-parameter", "op: {}", "op: parameters: [{name: q, in: query, required: true}]", "required-parameter-added", Side::Request, 'B'),
    // A default is never invented by the gateway, so the caller has to send it.
    ("new-required-request-default-parameter-to-existing-path", "op: {}", "op: parameters: [{name: q, in: query, required: true, schema: {default: 1}}]", "required-parameter-added", Side::Request, 'B'),
    ("new-request-path-parameter", "op: {}", "op: parameters: [{name: q, in: path, required: true}]", "required-parameter-added", Side::Request, 'B'),
    ("request-parameter-removed", "op: parameters: [{name: q, in: query}]", "op: {}", "parameter-removed", Side::Request, 'B'),
    // A deprecation without a date tells nobody until when.
    ("request-parameter-removed-with-deprecation", "op: parameters: [{name: q, in: query, deprecated: true, x-sunset: '2026-01-01'}]", "op: {}", "parameter-removed-after-sunset", Side::Request, 'C'),
    ("request-parameter-removed-before-sunset", "op: parameters: [{name: q, in: query, deprecated: true, x-sunset: '2030-01-01'}]", "op: {}", "parameter-removed-before-sunset", Side::Request, 'B'),
    ("request-parameter-sunset-date-changed-too-small", "op: parameters: [{name: q, in: query, x-sunset: '2030-01-01'}]", "op: parameters: [{name: q, in: query, x-sunset: '2029-01-01'}]", "sunset-earlier", Side::Request, 'B'),
    ("request-parameter-sunset-deleted", "op: parameters: [{name: q, in: query, x-sunset: '2030-01-01'}]", "op: parameters: [{name: q, in: query}]", "sunset-removed", Side::Request, 'C'),
    ("request-parameter-sunset-parse", "op: parameters: [{name: q, in: query}]", "op: parameters: [{name: q, in: query, x-sunset: soon}]", "sunset-unreadable", Side::Request, 'P'),
    ("request-parameter-deprecated", "op: parameters: [{name: q, in: query}]", "op: parameters: [{name: q, in: query, deprecated: true}]", "parameter-deprecated", Side::Request, 'C'),
    ("request-parameter-reactivated", "op: parameters: [{name: q, in: query, deprecated: true}]", "op: parameters: [{name: q, in: query}]", "parameter-reactivated", Side::Request, 'C'),
    ("request-parameter-became-required", "op: parameters: [{name: q, in: query}]", "op: parameters: [{name: q, in: query, required: true}]", "parameter-became-required", Side::Request, 'B'),
    ("request-parameter-became-optional", "op: parameters: [{name: q, in: query, required: true}]", "op: parameters: [{name: q, in: query}]", "parameter-became-optional", Side::Request, 'C'),
    ("new-required-request-header-property", "op: parameters: [{name: X-H, in: header, schema: {type: object}}]", "op: parameters: [{name: X-H, in: header, schema: {type: object, required: [p], properties: {p: {}}}}]", "required-property-added", Side::Request, 'B'),
    ("request-header-property-became-required", "op: parameters: [{name: X-H, in: header, schema: {type: object, properties: {p: {}}}}]", "op: parameters: [{name: X-H, in: header, schema: {type: object, required: [p], properties: {p: {}}}}]", "property-became-required", Side::Request, 'B'),
    // Properties, in what callers send.
    ("new-optional-request-property", "rq: {type: object}", "rq: {type: object, properties: {p: {type: string}}}", "property-added", Side::Request, 'C'),
    ("new-required-request-property", "rq: {type: object}", "rq: {type: object, required: [p], properties: {p: {}}}", "required-property-added", Side::Request, 'B'),
    ("new-required-request-property-with-default", "rq: {type: object}", "rq: {type: object, required: [p], properties: {p: {default: 1}}}", "required-property-added", Side::Request, 'B'),
    ("request-property-removed", "rq: {type: object, additionalProperties: false, properties: {p: {}}}", "rq: {type: object, additionalProperties: false}", "property-removed", Side::Request, 'B'),
    ("request-property-became-required", "rq: {type: object, properties: {p: {}}}", "rq: {type: object, required: [p], properties: {p: {}}}", "property-became-required", Side::Request, 'B'),
    ("request-property-became-required-with-default", "rq: {type: object, properties: {p: {default: 1}}}", "rq: {type: object, required: [p], properties: {p: {default: 1}}}", "property-became-required", Side::Request, 'B'),
    ("request-property-became-optional", "rq: {type: object, required: [p], properties: {p: {}}}", "rq: {type: object, properties: {p: {}}}", "property-became-optional", Side::Request, 'C'),
    ("request-optional-property-became-read-only", "rq: {type: object, properties: {p: {}}}", "rq: {type: object, properties: {p: {readOnly: true}}}", "property-became-read-only", Side::Request, 'B'),
    ("request-required-property-became-read-only", "rq: {type: object, required: [p], properties: {p: {}}}", "rq: {type: object, required: [p], properties: {p: {readOnly: true}}}", "property-became-read-only", Side::Request, 'B'),
    ("request-optional-property-became-not-read-only", "rq: {type: object, properties: {p: {readOnly: true}}}", "rq: {type: object, properties: {p: {}}}", "property-became-not-read-only", Side::Request, 'C'),
    ("request-required-property-became-not-read-only", "rq: {type: object, required: [p], properties: {p: {readOnly: true}}}", "rq: {type: object, required: [p], properties: {p: {}}}", "property-became-not-read-only", Side::Request, 'B'),
    // What is write-only is sent all the same, so nothing changes for who sends it.
    ("request-optional-property-became-write-only request-optional-property-became-not-write-only", "rq: {type: object, properties: {p: {}}}", "rq: {type: object, properties: {p: {writeOnly: true}}}", "", Side::Request, '-'),
    ("request-required-property-became-write-only request-required-property-became-not-write-only", "rq: {type: object, required: [p], properties: {p: {writeOnly: true}}}", "rq: {type: object, required: [p], properties: {p: {}}}", "", Side::Request, '-'),
    // What is read-only is not sent.
    ("request-read-only-property-enum-value-removed request-read-only-property-max-decreased request-read-only-property-max-length-decreased request-read-only-property-min-increased", "rq: {type: object, properties: {p: {readOnly: true, enum: [1, 2], maximum: 2}}}", "rq: {type: object, properties: {p: {readOnly: true, enum: [1], maximum: 1}}}", "", Side::Request, '-'),
    // Properties, in what callers read.
    ("response-optional-property-added response-required-property-added", "rs: {type: object}", "rs: {type: object, required: [p], properties: {p: {type: string}}}", "property-added", Side::Response, 'C'),
    ("response-optional-property-removed", "rs: {type: object, properties: {p: {type: string}}}", "rs: {type: object}", "property-removed", Side::Response, 'B'),
    ("response-required-property-removed", "rs: {type: object, required: [p], properties: {p: {type: string}}}", "rs: {type: object}", "property-removed", Side::Response, 'B'),
    ("response-property-became-optional", "rs: {type: object, required: [p], properties: {p: {}}}", "rs: {type: object, properties: {p: {}}}", "property-became-optional", Side::Response, 'B'),
    ("response-property-became-required", "rs: {type: object, properties: {p: {}}}", "rs: {type: object, required: [p], properties: {p: {}}}", "property-became-required", Side::Response, 'C'),
    ("response-optional-property-became-write-only", "rs: {type: object, properties: {p: {}}}", "rs: {type: object, properties: {p: {writeOnly: true}}}", "property-became-write-only", Side::Response, 'B'),
    ("response-required-property-became-write-only", "rs: {type: object, required: [p], properties: {p: {}}}", "rs: {type: object, required: [p], properties: {p: {writeOnly: true}}}", "property-became-write-only", Side::Response, 'B'),
    ("response-optional-property-became-not-write-only", "rs: {type: object, properties: {p: {writeOnly: true}}}", "rs: {type: object, properties: {p: {}}}", "property-became-not-write-only", Side::Response, 'C'),
    ("response-required-property-became-not-write-only", "rs: {type: object, required: [p], properties: {p: {writeOnly: true}}}", "rs: {type: object, required: [p], properties: {p: {}}}", "property-became-not-write-only", Side::Response, 'C'),
    // What is read-only is answered all the same.
    ("response-optional-property-became-read-only response-optional-property-became-not-read-only response-required-property-became-read-only response-required-property-became-not-read-only", "rs: {type: object, properties: {p: {}}}", "rs: {type: object, properties: {p: {readOnly: true}}}", "", Side::Response, '-'),
    // What is write-only is not answered.
    ("response-optional-write-only-property-added response-required-write-only-property-added", "rs: {type: object}", "rs: {type: object, required: [p], properties: {p: {writeOnly: true}}}", "", Side::Response, '-'),
    ("response-optional-write-only-property-removed response-required-write-only-property-removed response-write-only-property-became-optional", "rs: {type: object, required: [p], properties: {p: {writeOnly: true}}}", "rs: {type: object}", "", Side::Response, '-'),
    ("response-write-only-property-enum-value-added", "rs: {type: object, properties: {p: {writeOnly: true, enum: [1]}}}", "rs: {type: object, properties: {p: {writeOnly: true, enum: [1, 2]}}}", "", Side::Response, '-'),
    // Operations and their lives.
    ("endpoint-added", "doc: {paths: {}}", "op: {}", "operation-added", Side::Both, 'C'),
    ("api-path-removed-without-deprecation api-removed-without-deprecation", "op: {}", "doc: {paths: {}}", "operation-removed", Side::Both, 'B'),
    ("api-path-removed-with-deprecation api-removed-with-deprecation", "op: {deprecated: true, x-sunset: '2026-01-01'}", "doc: {paths: {}}", "operation-removed-after-sunset", Side::Both, 'C'),
    ("api-path-removed-before-sunset api-removed-before-sunset", "op: {deprecated: true, x-sunset: '2030-01-01'}", "doc: {paths: {}}", "operation-removed-before-sunset", Side::Both, 'B'),
    ("endpoint-deprecated", "op: {}", "op: {deprecated: true}", "operation-deprecated", Side::Both, 'C'),
    ("endpoint-deprecated-with-sunset", "op: {}", "op: {deprecated: true, x-sunset: '2030-01-01'}", "sunset-added", Side::Both, 'C'),
    ("endpoint-reactivated", "op: {deprecated: true}", "op: {}", "operation-reactivated", Side::Both, 'C'),
    ("sunset-deleted", "op: {deprecated: true, x-sunset: '2030-01-01'}", "op: {deprecated: true}", "sunset-removed", Side::Both, 'C'),
    ("api-sunset-date-changed-too-small", "op: {x-sunset: '2030-01-01'}", "op: {x-sunset: '2029-01-01'}", "sunset-earlier", Side::Both, 'B'),
    ("api-path-sunset-parse api-deprecated-sunset-parse", "op: {}", "op: {deprecated: true, x-sunset: soon}", "sunset-unreadable", Side::Both, 'P'),
    ("api-stability-decreased", "op: {x-stability-level: stable}", "op: {x-stability-level: beta}", "stability-decreased", Side::Both, 'P'),
    ("api-invalid-stability-level", "op: {x-stability-level: stable}", "op: {x-stability-level: solid}", "stability-unreadable", Side::Both, 'P'),
    ("api-operation-id-added", "op: {}", "op: {operationId: a}", "operation-id-added", Side::Both, 'C'),
    ("api-operation-id-removed", "op: {operationId: a}", "op: {}", "operation-id-removed", Side::Both, 'C'),
    ("api-tag-added", "op: {}", "op: {tags: [a]}", "tag-added", Side::Both, 'C'),
    ("api-tag-removed", "op: {tags: [a]}", "op: {}", "tag-removed", Side::Both, 'C'),
    ("webhook-added", "doc: {paths: {}}", "doc: {webhooks: {w: {post: {}}}}", "webhook-added", Side::Both, 'C'),
    ("webhook-removed", "doc: {webhooks: {w: {post: {}}}}", "doc: {paths: {}}", "webhook-removed", Side::Both, 'B'),
    // Security.
    ("api-security-added", "op: {security: [{a: []}]}", "op: {security: [{a: []}, {b: []}]}", "security-alternative-added", Side::Request, 'C'),
    ("api-security-removed", "op: {security: [{a: []}, {b: []}]}", "op: {security: [{a: []}]}", "security-alternative-removed", Side::Request, 'B'),
    ("api-security-scope-added", "op: {security: [{a: [x]}]}", "op: {security: [{a: [x, y]}]}", "security-scope-added", Side::Request, 'B'),
    ("api-security-scope-removed", "op: {security: [{a: [x, y]}]}", "op: {security: [{a: [x]}]}", "security-relaxed", Side::Request, 'C'),
    ("api-global-security-added", "doc: {paths: {/o: {post: {}}}}", "doc: {security: [{a: []}], paths: {/o: {post: {}}}}", "security-added", Side::Request, 'B'),
    ("api-global-security-removed", "doc: {security: [{a: []}], paths: {/o: {post: {}}}}", "doc: {paths: {/o: {post: {}}}}", "security-relaxed", Side::Request, 'C'),
    ("api-global-security-scope-added", "doc: {security: [{a: []}], paths: {/o: {post: {}}}}", "doc: {security: [{a: [x]}], paths: {/o: {post: {}}}}", "security-scope-added", Side::Request, 'B'),
    ("api-global-security-scope-removed", "doc: {security: [{a: [x]}], paths: {/o: {post: {}}}}", "doc: {security: [{a: []}], paths: {/o: {post: {}}}}", "security-relaxed", Side::Request, 'C'),
    ("api-security-component-added", "doc: {components: {}}", "doc: {components: {securitySchemes: {a: {type: http}}}}", "security-scheme-added", Side::Request, 'C'),
    ("api-security-component-removed", "doc: {components: {securitySchemes: {a: {type: http}}}}", "doc: {components: {}}", "security-scheme-removed", Side::Request, 'C'),
    ("api-security-component-type-changed", "doc: {components: {securitySchemes: {a: {type: http}}}}", "doc: {components: {securitySchemes: {a: {type: oauth2}}}}", "security-scheme-type-changed", Side::Request, 'B'),
    ("api-security-component-oauth-scope-added", "doc: {components: {securitySchemes: {a: {flows: {implicit: {scopes: {}}}}}}}", "doc: {components: {securitySchemes: {a: {flows: {implicit: {scopes: {x: x}}}}}}}", "security-scheme-scope-added", Side::Request, 'C'),
    ("api-security-component-oauth-scope-removed", "doc: {components: {securitySchemes: {a: {flows: {implicit: {scopes: {x: x}}}}}}}", "doc: {components: {securitySchemes: {a: {flows: {implicit: {scopes: {}}}}}}}", "security-scheme-scope-removed", Side::Request, 'P'),
    // Only the description of a scope changes, which changes nothing.
    ("api-security-component-oauth-scope-changed", "doc: {components: {securitySchemes: {a: {flows: {implicit: {scopes: {x: x}}}}}}}", "doc: {components: {securitySchemes: {a: {flows: {implicit: {scopes: {x: y}}}}}}}", "", Side::Request, '-'),
    ("api-security-component-oauth-url-changed", "doc: {components: {securitySchemes: {a: {flows: {implicit: {authorizationUrl: x}}}}}}", "doc: {components: {securitySchemes: {a: {flows: {implicit: {authorizationUrl: y}}}}}}", "security-flow-url-changed", Side::Request, 'B'),
    ("api-security-component-oauth-token-url-changed", "doc: {components: {securitySchemes: {a: {flows: {implicit: {tokenUrl: x}}}}}}", "doc: {components: {securitySchemes: {a: {flows: {implicit: {tokenUrl: y}}}}}}", "security-flow-url-changed", Side::Request, 'B'),
    // How the gateway serves it: names of our own.
    ("kind-removed", "gw: kinds: [partner, bot]", "gw: kinds: [partner]", "kind-removed", Side::Request, 'B'),
    ("kind-added", "gw: kinds: [partner]", "gw: kinds: [partner, bot]", "kind-added", Side::Request, 'C'),
    ("token-binding-required", "gw: cost: 1", "gw: token_binding: either, cost: 1", "token-binding-required", Side::Request, 'B'),
    ("token-binding-narrowed", "gw: token_binding: either", "gw: token_binding: dpop", "token-binding-required", Side::Request, 'B'),
    ("token-binding-other", "gw: token_binding: certificate", "gw: token_binding: dpop", "token-binding-required", Side::Request, 'B'),
    ("token-binding-relaxed", "gw: token_binding: dpop", "gw: token_binding: either", "token-binding-relaxed", Side::Request, 'C'),
    ("token-binding-removed", "gw: token_binding: dpop", "gw: {}", "token-binding-relaxed", Side::Request, 'C'),
    ("sign-in-required", "gw: {}", "gw: sign_in: {amr: [mfa]}, cost: 1", "sign-in-required", Side::Request, 'B'),
    ("sign-in-changed", "gw: sign_in: {amr: [mfa]}, cost: 1", "gw: sign_in: {amr: [hwk]}, cost: 1", "sign-in-changed", Side::Request, 'P'),
    ("sign-in-dropped", "gw: sign_in: {amr: [mfa]}, cost: 1", "gw: cost: 1", "sign-in-dropped", Side::Request, 'C'),
    ("unknown-parameters-refused", "gw: unknown_parameters: ignore", "gw: {}", "unknown-parameters-refused", Side::Request, 'B'),
    ("unknown-parameters-ignored", "gw: {}", "gw: unknown_parameters: ignore", "unknown-parameters-ignored", Side::Request, 'C'),
    ("body-limit-lowered", "gw: request_bytes_max: 2MiB", "gw: request_bytes_max: 1MiB", "body-limit-lowered", Side::Request, 'B'),
    ("body-limit-raised", "gw: request_bytes_max: 1MiB", "gw: request_bytes_max: 2MiB", "body-limit-raised", Side::Request, 'C'),
    ("body-limit-changed", "gw: {}", "gw: request_bytes_max: 2MiB", "body-limit-changed", Side::Request, 'P'),
    ("cost-raised", "gw: {}", "gw: cost: 2", "cost-raised", Side::Request, 'P'),
    ("cost-lowered", "gw: cost: 2", "gw: {}", "cost-lowered", Side::Request, 'C'),
    ("limit-changed", "gw: {}", "gw: limits: [{name: a, quota: 1, window: 1m}]", "limit-changed", Side::Request, 'P'),
    ("limit-removed", "gw: limits: [{name: a, quota: 1, window: 1m}]", "gw: {}", "limit-removed", Side::Request, 'C'),
    ("idempotent-removed", "gw: idempotent: true", "gw: {}", "idempotent-removed", Side::Request, 'P'),
    ("idempotent-added", "gw: {}", "gw: idempotent: true", "idempotent-added", Side::Request, 'C'),
    ("answers-not-enforced", "gw: {}", "gw: strictness: report", "answers-not-enforced", Side::Response, 'C'),
    ("answers-enforced", "gw: strictness: report", "gw: {}", "answers-enforced", Side::Response, 'C'),
    ("versioning-changed", "gw: cost: 1", "gw: versioning: {by: header}, cost: 1", "versioning-changed", Side::Both, 'B'),
    ("versioning-said", "gw: cost: 1", "gw: versioning: {by: path, name: v1}, cost: 1", "", Side::Both, '-'),
    ("versioning-default-changed", "gw: versioning: {by: header, default: '1'}, cost: 1", "gw: versioning: {by: header, default: '2'}, cost: 1", "versioning-default-changed", Side::Both, 'P'),
    ("brownout-added", "gw: cost: 1", "gw: lifecycle: {brownouts: [{name: a, start: '2027-01-01T00:00:00Z'}]}, cost: 1", "brownout-added", Side::Both, 'P'),
    ("brownout-removed", "gw: lifecycle: {brownouts: [{name: a, start: '2027-01-01T00:00:00Z'}]}, cost: 1", "gw: cost: 1", "brownout-removed", Side::Both, 'C'),
    // Further kinds, with names of our own.
    ("server-removed", "doc: {servers: [{url: 'https://a/x'}]}", "doc: {servers: [{url: 'https://a/y'}]}", "server-removed", Side::Both, 'B'),
    ("server-moved", "doc: {servers: [{url: 'https://a/x'}]}", "doc: {servers: [{url: 'https://b/x'}]}", "server-removed", Side::Both, 'P'),
    ("server-added", "doc: {servers: [{url: 'https://a/x'}]}", "doc: {servers: [{url: 'https://a/x'}, {url: 'https://b/x'}]}", "server-added", Side::Both, 'C'),
    ("path-parameter-renamed", "doc: {paths: {'/o/{a}': {post: {parameters: [{name: a, in: path, required: true}]}}}}", "doc: {paths: {'/o/{b}': {post: {parameters: [{name: b, in: path, required: true}]}}}}", "path-parameter-renamed", Side::Request, 'C'),
    ("parameter-style-changed", "op: parameters: [{name: q, in: query, schema: {type: array}}]", "op: parameters: [{name: q, in: query, explode: false, schema: {type: array}}]", "parameter-style-changed", Side::Request, 'B'),
    ("parameter-empty-value-changed", "op: parameters: [{name: q, in: query, allowEmptyValue: true}]", "op: parameters: [{name: q, in: query}]", "parameter-empty-value-changed", Side::Request, 'B'),
    ("parameter-is-any-text", "op: parameters: [{name: q, in: query, schema: {type: integer}}]", "op: parameters: [{name: q, in: query, schema: {type: string}}]", "type-widened", Side::Request, 'C'),
    ("property-renamed-by-case", "rq: {type: object, properties: {p: {}}}", "rq: {type: object, properties: {P: {}}}", "property-removed", Side::Request, 'P'),
    ("property-added-to-closed", "rs: {type: object, additionalProperties: false}", "rs: {type: object, additionalProperties: false, properties: {p: {}}}", "property-added", Side::Response, 'P'),
    ("additional-properties-forbidden", "rq: {type: object}", "rq: {type: object, additionalProperties: false}", "additional-properties-forbidden", Side::Request, 'B'),
    ("additional-properties-allowed", "rs: {type: object, additionalProperties: false}", "rs: {type: object}", "additional-properties-allowed", Side::Response, 'P'),
    ("format-added", "rq: {type: string}", "rq: {type: string, format: date}", "format-added", Side::Request, 'B'),
    ("format-changed", "rs: {type: integer, format: int32}", "rs: {type: integer, format: int64}", "format-changed", Side::Response, 'B'),
    ("min-properties-increased", "rq: {type: object, minProperties: 1}", "rq: {type: object, minProperties: 2}", "min-properties-increased", Side::Request, 'B'),
    ("unique-items-added", "rq: {type: array}", "rq: {type: array, uniqueItems: true}", "unique-items-added", Side::Request, 'B'),
    ("multiple-of-changed", "rq: {type: integer, multipleOf: 2}", "rq: {type: integer, multipleOf: 4}", "multiple-of-changed", Side::Request, 'B'),
    ("not-added", "rq: {type: string}", "rq: {type: string, not: {const: a}}", "not-added", Side::Request, 'B'),
    ("not-narrowed", "rq: {not: {type: string, maxLength: 9}}", "rq: {not: {type: string, maxLength: 8}}", "not-changed", Side::Request, 'C'),
    ("if-changed", "rq: {if: {required: [a]}, then: {required: [b]}}", "rq: {if: {required: [c]}, then: {required: [b]}}", "if-changed", Side::Request, 'P'),
    ("one-of-overlap", "rq: {oneOf: [{required: [a]}]}", "rq: {oneOf: [{required: [a]}, {required: [b]}]}", "one-of-overlap", Side::Request, 'P'),
    ("one-of-apart", "rq: {oneOf: [{type: object, required: [k], properties: {k: {const: a}}}]}", "rq: {oneOf: [{type: object, required: [k], properties: {k: {const: a}}}, {type: object, required: [k], properties: {k: {const: b}}}]}", "one-of-branch-added", Side::Request, 'C'),
    ("callback-removed", "op: callbacks: {c: {'{$request.body#/u}': {post: {}}}}", "op: {}", "callback-removed", Side::Both, 'B'),
    ("callback-sends-other", "op: callbacks: {c: {'{$request.body#/u}': {post: {requestBody: {content: {application/json: {schema: {maxLength: 8}}}}}}}}", "op: callbacks: {c: {'{$request.body#/u}': {post: {requestBody: {content: {application/json: {schema: {maxLength: 9}}}}}}}}", "max-length-increased", Side::Response, 'B'),
    ("webhook-answer-narrowed", "doc: {webhooks: {w: {post: {responses: {'200': {content: {application/json: {schema: {maxLength: 9}}}}}}}}}", "doc: {webhooks: {w: {post: {responses: {'200': {content: {application/json: {schema: {maxLength: 8}}}}}}}}}", "max-length-decreased", Side::Request, 'B'),
    ("encoding-changed", "op: requestBody: {content: {multipart/form-data: {schema: {type: object}}}}", "op: requestBody: {content: {multipart/form-data: {schema: {type: object}, encoding: {f: {contentType: image/png}}}}}", "encoding-changed", Side::Request, 'P'),
    ("reference-undecided", "rq: {$ref: 'https://a/x'}", "rq: {type: string}", "reference-undecided", Side::Request, 'P'),
    ("security-scheme-required", "op: {security: [{a: []}]}", "op: {security: [{a: [], b: []}]}", "security-scheme-required", Side::Request, 'B'),
    // The document.
    ("api-schema-removed", "doc: {components: {schemas: {A: {}}}}", "doc: {components: {}}", "component-removed", Side::Both, 'C'),
    ("api-version-decreased", "doc: {info: {version: 1.2.0}}", "doc: {info: {version: 1.1.0}}", "version-decreased", Side::Both, 'C'),
    ("api-version-not-bumped", "doc: {info: {version: 1.2.0}, paths: {/o: {post: {}}}}", "doc: {info: {version: 1.2.0}, paths: {}}", "version-not-changed", Side::Both, 'B'),
    ("api-major-version-not-bumped", "doc: {info: {version: 1.2.0}, paths: {/o: {post: {}}}}", "doc: {info: {version: 1.3.0}, paths: {}}", "major-version-not-changed", Side::Both, 'B'),
];

fn source(text: &str) -> (tempfile::TempDir, Source) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("openapi.yaml"), text).unwrap();
    let source = Source::read(folder.path(), "c").unwrap();
    (folder, source)
}

fn document(part: &str) -> String {
    let operation = |text: &str| format!("openapi: 3.1.0\npaths:\n  /o:\n    post: {{{text}}}\n");
    match part.split_once(": ").unwrap() {
        ("op", text) => {
            operation(text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text))
        }
        ("gw", settings) => {
            format!("{}x-gateway: {{{}}}\n", operation(""), settings.trim_matches(['{', '}']))
        }
        ("rq", schema) => operation(&format!("{BODY}{schema}}}}}}}")),
        ("rs", schema) => operation(&format!("{ANSWER}{schema}}}}}}}}}")),
        (_, text) => format!("{{openapi: 3.1.0, {}", text.strip_prefix('{').unwrap()),
    }
}

fn changes(old: &str, new: &str) -> Vec<Change> {
    let ((_old, old), (_new, new)) = (source(old), source(new));
    compare(&old, &new, "2026-11-28T00:00:00Z".parse().unwrap()).unwrap()
}

/// What is wrong with the judgement of a change, if anything is.
fn fault(old: &str, new: &str, rule: &str, side: Side, level: char) -> Option<String> {
    let changes = changes(old, new);
    let here: Vec<&Change> = changes.iter().filter(|change| change.side == side).collect();
    let worst = here.iter().map(|change| change.level).max();
    let expected = match level {
        'B' => Some(Level::Breaking),
        'P' => Some(Level::PossiblyBreaking),
        'C' => Some(Level::Compatible),
        _ => None,
    };
    let found = rule.is_empty() || here.iter().any(|change| change.rule == rule);
    (worst != expected || !found).then(|| format!("wanted {rule} {level}\n{old}\n{new}\n{here:#?}"))
}

#[test]
fn every_kind_of_change_of_a_schema_is_found_and_judged_by_its_direction() {
    let mut faults = Vec::new();
    for (end, old, new, rule, request, response) in SCHEMAS {
        for (_, context, side) in CONTEXTS {
            let document = |schema: &str| document(&format!("op: {}", context.replace("SCHEMA", schema)));
            let level = if *side == Side::Request { request } else { response };
            faults.extend(
                fault(&document(old), &document(new), rule, *side, *level).map(|f| format!("{end}: {f}")),
            );
        }
    }
    assert!(faults.is_empty(), "{}\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_kind_of_change_of_a_document_is_found_and_judged() {
    let mut faults = Vec::new();
    for (names, old, new, rule, side, level) in DOCUMENTS {
        faults.extend(
            fault(&document(old), &document(new), rule, *side, *level).map(|f| format!("{names}: {f}")),
        );
    }
    assert!(faults.is_empty(), "{}\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn no_name_of_the_list_is_missing_here() {
    let Some(folder) = conformance::folder() else { return };
    let list = fs::read_to_string(folder.join("change-names.txt")).unwrap();
    let mut known: BTreeSet<String> =
        DOCUMENTS.iter().flat_map(|(names, ..)| names.split(' ')).map(str::to_owned).collect();
    for (prefix, ..) in CONTEXTS {
        known.extend(SCHEMAS.iter().map(|(end, ..)| format!("{prefix}{end}")));
    }
    let missing: Vec<&str> = list.lines().filter(|name| !known.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_rule_is_documented() {
    let page = include_str!("../../../contract-changes.md");
    let rules = SCHEMAS.iter().map(|row| row.3).chain(DOCUMENTS.iter().map(|row| row.3));
    let missing: BTreeSet<&str> =
        rules.filter(|rule| !rule.is_empty() && !page.contains(&format!("`{rule}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
