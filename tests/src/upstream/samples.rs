//! The good answer to each operation: the first example of its first documented success.
//!
//! An example with a member named like a path parameter or like a text of the request's body takes that
//! value over, so that an answer speaks about what was asked.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use gateway::document::Document;
use serde_json::{Map, Value};

use super::answer::Answer;
use crate::http1::Received;

/// What the contracts say, as far as answering needs it.
#[derive(Debug)]
pub struct Samples {
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    name: String,
    method: String,
    segments: Vec<Segment>,
    answer: Answer,
}

#[derive(Debug)]
enum Segment {
    Fixed(String),
    Parameter(String),
}

impl Samples {
    /// Reads every `<api>/<version>/openapi.yaml` in a folder.
    ///
    /// # Panics
    /// A contract cannot be read, or an operation documents no success.
    #[must_use]
    pub fn load(contracts: &Path) -> Self {
        let mut operations = Vec::new();
        for file in contract_files(contracts) {
            let document = Document::read(&file, &file.to_string_lossy()).unwrap_or_else(|e| panic!("{e}"));
            read_contract(&name_of(&file), document.value(), &mut operations);
        }
        // The most fixed segments first: `/orders/recent` is not the order `recent`.
        operations.sort_by_key(|operation| operation.parameters().count());
        Self { operations }
    }

    /// Every operation's name, such as `orders.v2.createOrder`.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.operations.iter().map(|operation| operation.name.as_str())
    }

    /// The good answer; a problem where no contract knows the request.
    pub fn answer(&self, request: &Received) -> Answer {
        let method = if request.method == "HEAD" { "GET" } else { &request.method };
        let path: Vec<&str> = request.path().split('/').skip(1).collect();
        let found =
            self.operations.iter().filter(|o| o.method == method).find_map(|o| Some((o, o.matches(&path)?)));
        match found {
            Some((operation, parameters)) => operation.speaking_of(&parameters, &request.json()),
            None => Answer::problem(404),
        }
    }
}

impl Operation {
    fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Fixed(_) => None,
            Segment::Parameter(name) => Some(name.as_str()),
        })
    }

    fn matches(&self, path: &[&str]) -> Option<Map<String, Value>> {
        if path.len() != self.segments.len() {
            return None;
        }
        let mut parameters = Map::new();
        for (segment, value) in self.segments.iter().zip(path) {
            match segment {
                Segment::Fixed(fixed) if fixed == value => {}
                Segment::Fixed(_) => return None,
                Segment::Parameter(name) => {
                    parameters.insert(name.clone(), Value::from(*value));
                }
            }
        }
        Some(parameters)
    }

    fn speaking_of(&self, parameters: &Map<String, Value>, body: &Value) -> Answer {
        let asked = body.as_object().into_iter().flatten().chain(parameters);
        let texts: Vec<_> = asked.filter(|(_, value)| value.is_string()).collect();
        match serde_json::from_slice(&self.answer.body) {
            Ok(Value::Object(mut example)) => {
                for (name, value) in texts {
                    if let Some(member) = example.get_mut(name).filter(|member| member.is_string()) {
                        *member = value.clone();
                    }
                }
                self.answer.clone().body(Value::Object(example).to_string())
            }
            _ => self.answer.clone(),
        }
    }
}

fn contract_files(contracts: &Path) -> Vec<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        entries.map(|entry| entry.expect("a folder can be listed").path()).filter(|p| p.is_dir()).collect()
    };
    let versions = folders(contracts).into_iter().flat_map(|api| folders(&api));
    versions.map(|version| version.join("openapi.yaml")).filter(|file| file.is_file()).collect()
}

/// `orders.v2`, from `orders/v2/openapi.yaml`.
fn name_of(file: &Path) -> String {
    let folders = file.ancestors().skip(1).take(2).filter_map(Path::file_name);
    let names: Vec<_> = folders.map(|name| name.to_string_lossy()).collect();
    format!("{}.{}", names[1], names[0])
}

fn read_contract(name: &str, contract: &Value, operations: &mut Vec<Operation>) {
    let server = contract.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
    let base = reqwest::Url::parse(server).map(|url| url.path().to_owned()).unwrap_or_default();
    for (template, item) in contract["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if operation.get("responses").is_some() {
                operations.push(Operation {
                    name: format!("{name}.{}", operation["operationId"].as_str().unwrap_or_default()),
                    method: method.to_uppercase(),
                    segments: segments(&format!("{}{template}", base.trim_end_matches('/'))),
                    answer: example(contract, operation),
                });
            }
        }
    }
}

fn segments(path: &str) -> Vec<Segment> {
    let segment = |text: &str| match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        Some(name) => Segment::Parameter(name.to_owned()),
        None => Segment::Fixed(text.to_owned()),
    };
    path.split('/').skip(1).map(segment).collect()
}

fn example(contract: &Value, operation: &Value) -> Answer {
    let responses = operation["responses"].as_object().expect("responses are an object");
    let (status, response) = responses
        .iter()
        .find(|(status, _)| status.starts_with('2'))
        .unwrap_or_else(|| panic!("an operation documents no success: {operation}"));
    let response = resolved(contract, response);
    let mut answer = Answer::new(status.parse().unwrap_or(200));
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        if let Some(value) = resolved(contract, header)["example"].as_str() {
            answer = answer.header(name, value);
        }
    }
    match response["content"].as_object().into_iter().flatten().next() {
        None => answer,
        Some((media_type, content)) => {
            answer.header("Content-Type", media_type).body(body(media_type, content))
        }
    }
}

fn body(media_type: &str, content: &Value) -> Bytes {
    let examples = content["examples"].as_object();
    match examples.and_then(|e| e.values().next()).map(|e| &e["value"]).or_else(|| content.get("example")) {
        Some(Value::String(text)) if !media_type.ends_with("json") => Bytes::from(text.clone()),
        Some(value) => Bytes::from(value.to_string()),
        None if media_type == "application/pdf" => Bytes::from_static(EMPTY_PDF),
        None => Bytes::new(),
    }
}

/// Follows a `$ref` inside the contract. Only what a contract may share without files is met here.
fn resolved<'a>(contract: &'a Value, node: &'a Value) -> &'a Value {
    match node["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
        Some(pointer) => contract.pointer(pointer).unwrap_or_else(|| panic!("nothing stands at {pointer}")),
        None => node,
    }
}

/// A page with nothing on it, small and valid enough for a viewer.
const EMPTY_PDF: &[u8] = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 283 425]>>endobj\n\
trailer<</Root 1 0 R>>\n%%EOF\n";
