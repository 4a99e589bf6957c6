//! Every field of every object of OpenAPI 3.0.4 and 3.1.1, and what becomes of it: enforced, refused, told as
//! not enforced, or documentation, which asks nothing of a gateway. Nothing is passed over in silence.

use super::super::sample;

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The contract loads and says nothing: the field is enforced where requests are checked, or it asks
    /// nothing.
    Silent,
    /// The contract loads with this warning.
    Warned(&'static str),
    /// The contract does not load, for this reason.
    Refused(&'static str),
}
use Fate::{Refused, Silent, Warned};

/// A contract of one operation; `operation` stands in it beside an id and a response.
fn contract(root: &str, item: &str, method: &str, operation: &str) -> String {
    let responses =
        if operation.contains("responses") { "" } else { ", responses: {'204': {description: x}}" };
    format!("{root}paths:\n  /t:\n    {item}\n    {method}: {{operationId: t{responses}{operation}}}\n")
}

fn told(openapi: &str, paths: &str) -> (bool, String) {
    match sample::contract(openapi, paths) {
        Ok((_, warnings)) => (true, warnings.to_string()),
        Err(mistakes) => (false, mistakes.to_string()),
    }
}

fn check(openapi: &str, name: &str, paths: &str, fate: Fate) {
    let (loads, text) = told(openapi, paths);
    let right = match fate {
        Silent => loads && text.is_empty(),
        Warned(warning) => loads && text.contains(warning),
        Refused(mistake) => !loads && text.contains(mistake),
    };
    assert!(right, "{openapi} {name} should be {fate:?}: {text}\n{paths}");
}

fn parameter(rest: &str) -> String {
    format!(", parameters: [{{name: a, {rest}}}]")
}

fn body(media: &str) -> String {
    format!(", requestBody: {{content: {{{media}}}}}")
}

fn response(rest: &str) -> String {
    format!(", responses: {{'200': {{description: x, {rest}}}}}")
}

const SCHEMA: &str = "schema: {type: object, properties: {a: {type: string}}}";
const FORM: &str = "application/x-www-form-urlencoded";
const PARTS: &str = "multipart/form-data";

/// Fields of what stands in an operation: object, field, how it is written, what becomes of it.
#[allow(clippy::too_many_lines, reason = "a table")]
fn in_operations() -> Vec<(&'static str, String, Fate)> {
    let form = |kind: &str, encoding: &str| body(&format!("{kind}: {{{SCHEMA}, encoding: {{{encoding}}}}}"));
    vec![
        ("Operation.tags", ", tags: [a], summary: x, description: x, externalDocs: {url: x}".into(), Silent),
        ("Operation.callbacks", ", callbacks: {}".into(), Warned("callbacks are described but not served")),
        ("Operation.deprecated", ", deprecated: true".into(), Refused("nothing says since when")),
        ("Operation.servers", ", servers: [{url: /x}]".into(), Refused("cannot be followed")),
        ("Operation.servers", ", servers: [{url: 'https://b/api/v1'}]".into(), Warned("are ignored")),
        ("Operation.security", ", security: [{}]".into(), Silent),
        ("Operation.unknown", ", sumary: x".into(), Refused("did you mean `summary`?")),
        ("Operation.extension", ", x-other: {}".into(), Silent),
        ("Operation.x-gateway", ", x-gatewai: {}".into(), Refused("unknown key `x-gatewai`")),
        ("Parameter.name", ", parameters: [{in: query, schema: {}}]".into(), Refused("no `name`")),
        ("Parameter.in", parameter("in: body, schema: {}"), Refused("cannot be in `body`")),
        ("Parameter.description", parameter("in: query, description: x, schema: {}"), Silent),
        ("Parameter.required", parameter("in: query, required: 1, schema: {}"), Refused("is true or false")),
        ("Parameter.allowEmptyValue", parameter("in: query, allowEmptyValue: true, schema: {}"), Silent),
        (
            "Parameter.allowEmptyValue",
            parameter("in: header, allowEmptyValue: true, schema: {}"),
            Warned("`allowEmptyValue` is ignored outside of queries"),
        ),
        (
            "Parameter.allowEmptyValue",
            parameter(
                "in: query, style: deepObject, explode: true, allowEmptyValue: true, schema: {type: object}",
            ),
            Warned("`allowEmptyValue` is ignored with a style"),
        ),
        ("Parameter.style", parameter("in: query, style: forn, schema: {}"), Refused("does not exist")),
        ("Parameter.explode", parameter("in: query, explode: x, schema: {}"), Refused("is true or false")),
        ("Parameter.allowReserved", parameter("in: query, allowReserved: true, schema: {}"), Silent),
        (
            "Parameter.allowReserved",
            parameter("in: cookie, allowReserved: true, schema: {}"),
            Warned("`allowReserved` is ignored outside of queries"),
        ),
        ("Parameter.schema", parameter("in: query"), Refused("either `schema` or `content`")),
        ("Parameter.example", parameter("in: query, schema: {}, example: 1"), Silent),
        ("Parameter.examples", parameter("in: query, schema: {}, examples: {a: {value: 1}}"), Silent),
        (
            "Parameter.content",
            parameter("in: query, content: {application/json: {schema: {}}}, style: form"),
            Warned("`style` is ignored beside `content`"),
        ),
        (
            "Parameter.content",
            parameter("in: query, content: {application/xml: {schema: {}}}"),
            Warned("only checked as text"),
        ),
        (
            "Parameter Cookie",
            ", parameters: [{name: cookie, in: header, schema: {}}]".into(),
            Refused("`in: cookie`"),
        ),
        (
            "Parameter Accept",
            ", parameters: [{name: accept, in: header, schema: {}}]".into(),
            Warned("ignored by OpenAPI"),
        ),
        ("RequestBody.description", ", requestBody: {description: x, content: {'*/*': {}}}".into(), Silent),
        ("RequestBody.content", ", requestBody: {content: {}}".into(), Refused("names no media type")),
        (
            "RequestBody.required",
            ", requestBody: {required: 1, content: {'*/*': {}}}".into(),
            Refused("true or false"),
        ),
        ("MediaType.schema", body("application/json: {schema: {type: object}}"), Silent),
        (
            "MediaType.schema",
            body("application/pdf: {schema: {type: object}}"),
            Warned("cannot be checked against their schema"),
        ),
        (
            "MediaType.schema",
            body("image/png: {schema: {type: string, format: binary, maxLength: 9}}"),
            Silent,
        ),
        ("MediaType.example", body("application/json: {example: 1}"), Silent),
        ("MediaType.examples", body("application/json: {examples: {}}"), Silent),
        (
            "MediaType.encoding",
            body("application/json: {encoding: {}}"),
            Warned("`encoding` is ignored but in forms"),
        ),
        ("MediaType charset", body("'text/plain; charset=utf-8': {}"), Silent),
        ("MediaType charset", body("'text/plain; charset=latin1': {}"), Warned("only text in UTF-8 is read")),
        ("MediaType twice", body("a/b: {}, A/B: {}"), Refused("described twice")),
        ("Encoding.contentType", form(PARTS, "a: {contentType: x}"), Refused("`x` is not a media type")),
        (
            "Encoding.contentType",
            form(FORM, "a: {contentType: text/plain, explode: true}"),
            Warned("`contentType` is ignored beside a style"),
        ),
        ("Encoding.headers", form(PARTS, "a: {headers: {X-A: {schema: {}}}}"), Silent),
        (
            "Encoding.headers",
            form(FORM, "a: {headers: {X-A: {schema: {}}}}"),
            Warned("`headers` is ignored but in `multipart`"),
        ),
        (
            "Encoding.headers",
            form(PARTS, "a: {headers: {Content-Type: {schema: {}}}}"),
            Warned("`Content-Type` is ignored by OpenAPI"),
        ),
        ("Encoding.style", form(FORM, "a: {style: matrix}"), Refused("does not exist for form fields")),
        ("Encoding.style", form(PARTS, "a: {style: form}"), Warned("`style` is ignored in `multipart`")),
        (
            "Encoding.explode",
            form(PARTS, "a: {explode: true}"),
            Warned("`explode` is ignored in `multipart`"),
        ),
        ("Encoding.allowReserved", form(FORM, "a: {allowReserved: true}"), Silent),
        ("Encoding of nothing", form(FORM, "aa: {explode: true}"), Warned("the schema has no property `aa`")),
        ("Responses key", ", responses: {'20X': {description: x}}".into(), Refused("is not a status")),
        ("Responses empty", ", responses: {}".into(), Refused("describes no response")),
        ("Response.description", response("content: {application/json: {}}"), Silent),
        ("Response.headers", response("headers: {X-A: {schema: {type: integer}}}"), Silent),
        (
            "Response.content",
            ", responses: {'204': {description: x, content: {a/b: {}}}}".into(),
            Warned("an answer of status 204 has no body"),
        ),
        (
            "Response.content",
            response("content: {application/xml: {schema: {type: object}}}"),
            Warned("checked for type and size only"),
        ),
        (
            "Response encoding",
            response(&format!("content: {{{FORM}: {{encoding: {{}}}}}}")),
            Warned("`encoding` is ignored in responses"),
        ),
        // What a caller may do next is its own business.
        (
            "Response.links",
            response("links: {next: {operationId: t, parameters: {a: $request.query.a}}}"),
            Silent,
        ),
        ("Header.name", response("headers: {X-A: {name: x, schema: {}}}"), Refused("unknown key `name`")),
        ("Header.style", response("headers: {X-A: {style: form, schema: {}}}"), Refused("does not exist")),
        (
            "Header.allowEmptyValue",
            response("headers: {X-A: {allowEmptyValue: true, schema: {}}}"),
            Warned("`allowEmptyValue` is ignored"),
        ),
        (
            "Header Content-Type",
            response("headers: {content-type: {schema: {}}}"),
            Warned("is ignored by OpenAPI"),
        ),
        ("Schema.xml", body("application/json: {schema: {type: string, xml: {name: a}}}"), Silent),
        (
            "Schema.unknown",
            body("application/json: {schema: {tpye: string}}"),
            Warned("did you mean `type`?"),
        ),
    ]
}

#[test]
fn the_fields_of_operations_have_their_fate() {
    for (name, operation, fate) in in_operations() {
        for openapi in ["3.0.4", "3.1.1"] {
            check(openapi, name, &contract("", "", "post", &operation), fate);
        }
    }
}

#[test]
fn the_fields_of_paths_have_their_fate() {
    for (item, method, operation, fate) in [
        ("summary: x", "get", "", Silent),
        ("servers: [{url: /x}]", "get", "", Refused("cannot be followed")),
        ("parameters: [{name: a, in: query, schema: {}}]", "get", "", Silent),
        ("gett: {}", "get", "", Refused("did you mean `get`?")),
        ("", "trace", "", Refused("TRACE is never served")),
        ("", "get", ", requestBody: {content: {'*/*': {}}}", Warned("a body of GET has no meaning")),
        ("", "delete", ", requestBody: {content: {'*/*': {}}}", Warned("a body of DELETE has no meaning")),
        ("", "put", ", requestBody: {content: {'*/*': {}}}", Silent),
    ] {
        check("3.1.1", &format!("{method} {item}"), &contract("", item, method, operation), fate);
    }
}

#[test]
fn the_fields_of_documents_have_their_fate() {
    let schemes = |scheme: &str| format!("components: {{securitySchemes: {{s: {{{scheme}}}}}}}\n");
    for (name, root, operation, fate) in [
        ("webhooks", "webhooks: {}\n".to_owned(), "", Warned("webhooks are described but not served")),
        ("tags", "tags: []\nexternalDocs: {url: x}\n".to_owned(), "", Silent),
        ("unknown", "component: {}\n".to_owned(), "", Refused("did you mean `components`?")),
        ("dialect", "jsonSchemaDialect: https://x.example\n".to_owned(), "", Refused("is not known")),
        ("Components", "components: {schema: {}}\n".to_owned(), "", Refused("did you mean `schemas`?")),
        (
            "Components",
            "components: {links: {}, examples: {}, callbacks: {}, pathItems: {}}\n".to_owned(),
            "",
            Silent,
        ),
        (
            "SecurityScheme.type",
            schemes("type: oauth"),
            ", security: [{s: []}]",
            Refused("`oauth` is no type of a security scheme"),
        ),
        ("SecurityScheme.in", schemes("type: apiKey, in: header, name: k"), "", Silent),
        (
            "SecurityScheme.in",
            schemes("type: apiKey, in: header, name: k"),
            ", security: [{s: []}]",
            Refused("proves too little"),
        ),
        (
            "SecurityScheme.bearerFormat",
            schemes("type: http, scheme: bearer, bearerFormat: JWT"),
            ", security: [{s: []}]",
            Silent,
        ),
        (
            "SecurityScheme.flows",
            schemes("type: oauth2, flows: {clientCredentials: {tokenUrl: x, refreshUrl: x, scopes: {r: x}}}"),
            ", security: [{s: [w]}]",
            Refused("not declared in any flow"),
        ),
        (
            "SecurityScheme.openIdConnectUrl",
            schemes("type: openIdConnect, openIdConnectUrl: x"),
            ", security: [{s: []}]",
            Silent,
        ),
        (
            "SecurityScheme.unknown",
            schemes("type: http, schema: bearer"),
            "",
            Refused("did you mean `scheme`?"),
        ),
    ] {
        check("3.1.1", name, &contract(&root, "", "get", operation), fate);
    }
}

#[test]
fn the_fields_of_servers_have_their_fate() {
    for (server, fate) in [
        ("{url: 'https://{host}/v1', description: x, variables: {host: {default: a, enum: [a, b]}}}", Silent),
        ("{url: 'https://a/{v}', variables: {v: {default: v1}}}", Refused("a plain path without variables")),
        ("{url: /v1, urls: x}", Refused("unknown key `urls`")),
    ] {
        let text = format!(
            "openapi: 3.1.1\ninfo: {{title: t, version: '1'}}\nservers: [{server}]\nsecurity: []\nx-gateway: {{upstream: b}}\n{}",
            contract("", "", "get", "")
        );
        let (loads, told) = match sample::load(&[("api/v1/openapi.yaml", &text)]) {
            Ok((_, warnings)) => (true, warnings.to_string()),
            Err(mistakes) => (false, mistakes.to_string()),
        };
        match fate {
            Silent => assert!(loads && told.is_empty(), "{server}: {told}"),
            Warned(text) => assert!(loads && told.contains(text), "{server}: {told}"),
            Refused(text) => assert!(!loads && told.contains(text), "{server}: {told}"),
        }
    }
}
