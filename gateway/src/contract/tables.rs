//! The tables of OpenAPI, row by row: "Style Values" and "Style Examples", sections 4.7.12.3 and 4.7.12.4 of
//! 3.0.4, 4.8.12.3 and 4.8.12.4 of 3.1.1.

use super::catalogue::Catalogue;
use super::sample;
use super::target::Target;
use super::violation::RequestFault;

/// A row of the table: what it writes for no value, a string, an array and an object; nothing where the
/// specification says n/a.
struct Row {
    style: &'static str,
    explode: bool,
    places: &'static [&'static str],
    cells: [Option<&'static str>; 4],
}

const PATH: &[&str] = &["path"];
const QUERY: &[&str] = &["query"];
const EVERYWHERE: [&str; 4] = ["path", "query", "header", "cookie"];

const fn row(
    style: &'static str,
    explode: bool,
    places: &'static [&'static str],
    cells: [Option<&'static str>; 4],
) -> Row {
    Row { style, explode, places, cells }
}

#[rustfmt::skip]
const ROWS: [Row; 14] = [
    row("matrix", false, PATH, [Some(";color"), Some(";color=blue"), Some(";color=blue,black,brown"), Some(";color=R,100,G,200,B,150")]),
    row("matrix", true, PATH, [Some(";color"), Some(";color=blue"), Some(";color=blue;color=black;color=brown"), Some(";R=100;G=200;B=150")]),
    row("label", false, PATH, [Some("."), Some(".blue"), Some(".blue,black,brown"), Some(".R,100,G,200,B,150")]),
    row("label", true, PATH, [Some("."), Some(".blue"), Some(".blue.black.brown"), Some(".R=100.G=200.B=150")]),
    row("simple", false, &["path", "header"], [Some(""), Some("blue"), Some("blue,black,brown"), Some("R,100,G,200,B,150")]),
    row("simple", true, &["path", "header"], [Some(""), Some("blue"), Some("blue,black,brown"), Some("R=100,G=200,B=150")]),
    row("form", false, &["query", "cookie"], [Some("color="), Some("color=blue"), Some("color=blue,black,brown"), Some("color=R,100,G,200,B,150")]),
    row("form", true, &["query", "cookie"], [Some("color="), Some("color=blue"), Some("color=blue&color=black&color=brown"), Some("R=100&G=200&B=150")]),
    row("spaceDelimited", false, QUERY, [None, None, Some("color=blue%20black%20brown"), Some("color=R%20100%20G%20200%20B%20150")]),
    row("spaceDelimited", true, QUERY, [None, None, None, None]),
    row("pipeDelimited", false, QUERY, [None, None, Some("color=blue%7Cblack%7Cbrown"), Some("color=R%7C100%7CG%7C200%7CB%7C150")]),
    row("pipeDelimited", true, QUERY, [None, None, None, None]),
    row("deepObject", false, QUERY, [None, None, None, None]),
    row("deepObject", true, QUERY, [None, None, None, Some("color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150")]),
];

/// What a column's values are, and nothing else.
const SCHEMAS: [&str; 4] = [
    "{type: string, nullable: true, maxLength: 0}",
    "{type: string, enum: [blue]}",
    "{type: array, items: {type: string}, enum: [[blue, black, brown]]}",
    "{type: object, properties: {R: {type: integer}, G: {type: integer}, B: {type: integer}}, enum: [{R: 100, G: 200, B: 150}]}",
];

/// What the table writes and is refused, because two servers would not read it alike.
const REFUSED: [(&str, usize, &str); 2] = [
    ("label", 0, "a path segment of one dot is a dot segment: RFC 3986 section 3.3"),
    ("simple", 0, "an empty path segment is another path: RFC 3986 section 3.3"),
];

fn contract(openapi: &str, row: &Row, place: &str, schema: &str) -> Result<(Catalogue, String), String> {
    let schema = if openapi == "3.0.4" {
        schema.to_owned()
    } else {
        schema.replace("{type: string, nullable: true", "{type: [string, 'null']")
    };
    let path = if place == "path" { "/t/{color}" } else { "/t" };
    let paths = format!(
        "paths:\n  '{path}':\n    get:\n      operationId: t\n      responses: {{'204': {{description: x}}}}\n      parameters: [{{name: color, in: {place}, required: {}, style: {}, explode: {}, schema: {schema}}}]\n",
        place == "path",
        row.style,
        row.explode,
    );
    let loaded = sample::contract(openapi, &paths);
    loaded.map(|(catalogue, told)| (catalogue, told.to_string())).map_err(|mistakes| mistakes.to_string())
}

/// Why a request that has `written` for the parameter is refused, if it is.
fn refusal(catalogue: &Catalogue, place: &str, written: &str) -> Option<String> {
    let (target, fields) = match place {
        "path" => (format!("/api/v1/t/{written}"), vec![]),
        "query" => (format!("/api/v1/t?{written}"), vec![]),
        "header" => ("/api/v1/t".to_owned(), vec![("color", written)]),
        _ => ("/api/v1/t".to_owned(), vec![("cookie", written)]),
    };
    let target = match Target::from_origin_form(&target) {
        Ok(target) => target,
        Err(wrong) => return Some(wrong.to_string()),
    };
    let Ok(matched) = sample::find(catalogue, "GET", &target) else {
        return Some("no operation".to_owned());
    };
    let parts = sample::head("GET", &fields);
    match matched.operation().check_request(&parts, &matched, &target, &bytes::Bytes::new()) {
        Ok(_) => None,
        Err(RequestFault::Violations(found)) => Some(found.as_slice()[0].keyword.clone()),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn every_defined_cell_is_read_as_the_value_that_it_stands_for() {
    for (row, openapi) in ROWS.iter().flat_map(|row| [(row, "3.0.4"), (row, "3.1.1")]) {
        for place in row.places {
            for (column, (cell, schema)) in row.cells.iter().zip(SCHEMAS).enumerate() {
                let Some(written) = cell else { continue };
                let name = format!("{openapi} {} explode={} in {place}: {written}", row.style, row.explode);
                let (catalogue, _) =
                    contract(openapi, row, place, schema).unwrap_or_else(|m| panic!("{name}: {m}"));
                let refused = REFUSED.iter().any(|(style, c, _)| (*style, *c) == (row.style, column));
                let refused = refused && *place == "path";
                let told = refusal(&catalogue, place, written);
                assert_eq!(told.is_some(), refused, "{name}: {told:?}");
            }
        }
    }
}

/// Spellings of other rows that say the same where they stand, though it is not how the row writes it.
const ALSO_READ: [(&str, bool, usize, &str); 3] = [
    // A list that is not exploded and repeated all the same goes on; every item is checked.
    ("form", false, 2, "color=blue&color=black&color=brown"),
    ("spaceDelimited", false, 2, "color=blue&color=black&color=brown"),
    ("pipeDelimited", false, 2, "color=blue&color=black&color=brown"),
];

#[test]
fn what_another_row_writes_is_refused() {
    let mut wrong = Vec::new();
    for row in &ROWS {
        for place in row.places {
            for (column, (cell, schema)) in row.cells.iter().zip(SCHEMAS).enumerate().skip(1) {
                let Some(own) = cell else { continue };
                let (catalogue, _) = contract("3.1.1", row, place, schema).unwrap();
                let others = ROWS.iter().flat_map(|row| row.cells.iter().flatten());
                // Between cookies an empty one says nothing.
                let same = |other: &str| *place == "cookie" && other.starts_with(';');
                for other in others.filter(|other| *other != own && !same(other)) {
                    let name = format!("{} explode={} in {place}: {other}", row.style, row.explode);
                    let known =
                        *place == "query" && ALSO_READ.contains(&(row.style, row.explode, column, *other));
                    // An absent parameter that is not required is not in this row's hands.
                    let told = refusal(&catalogue, place, other);
                    let unrelated = told.is_none() && !mentions(place, other);
                    if !unrelated && told.is_some() == known {
                        wrong.push(format!("{name}: {told:?}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the text says anything of the parameter where it stands.
fn mentions(place: &str, written: &str) -> bool {
    match place {
        "path" | "header" => true,
        "query" => !written.is_empty(),
        _ => written.split([';', '&']).any(|pair| pair.trim().starts_with("color=")),
    }
}

#[test]
fn every_undefined_cell_is_warned_of_or_refused_when_the_contract_loads() {
    for row in &ROWS {
        for (cell, schema) in row.cells.iter().zip(SCHEMAS).skip(1) {
            let told = match contract("3.1.1", row, row.places[0], schema) {
                Ok((_, warnings)) => warnings,
                Err(mistakes) => mistakes,
            };
            let name = format!("{} explode={} {schema}", row.style, row.explode);
            let warned =
                told.contains("undefined in OpenAPI") || told.contains("`deepObject` wants a schema");
            assert_eq!(warned, cell.is_none(), "{name}: {told}");
        }
    }
}

#[test]
fn a_style_stands_only_where_the_table_has_it() {
    for row in &ROWS {
        for place in EVERYWHERE {
            let loaded = contract("3.1.1", row, place, SCHEMAS[3]);
            let exists = row.places.contains(&place);
            let told = loaded.map(|_| ()).err().unwrap_or_default();
            assert_eq!(
                told.contains("this style does not exist for this parameter"),
                !exists,
                "{} in {place}: {told}",
                row.style
            );
        }
    }
}

#[test]
fn styles_and_explode_have_the_defaults_of_their_places() {
    let array = "schema: {type: array, items: {type: integer}, minItems: 2}";
    for (place, parameter, written) in [
        ("path", "required: true", "1,2"),
        ("query", "required: false", "color=1&color=2"),
        ("header", "required: false", "1,2"),
        ("cookie", "required: false", "color=1; color=2"),
    ] {
        let path = if place == "path" { "/t/{color}" } else { "/t" };
        let catalogue = sample::catalogue(&format!(
            "paths:\n  '{path}':\n    get:\n      operationId: t\n      responses: {{'204': {{description: x}}}}\n      parameters: [{{name: color, in: {place}, {parameter}, {array}}}]\n"
        ));
        assert_eq!(refusal(&catalogue, place, written), None, "{place}");
    }
}
