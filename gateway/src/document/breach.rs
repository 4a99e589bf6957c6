//! How does a breach of a JSON Schema read to a person who writes YAML?

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

/// One breach of a form, in words.
pub(super) struct Breach {
    pub(super) pointer: String,
    pub(super) message: String,
    /// The key is at fault rather than its value.
    pub(super) of_key: bool,
    /// A word that is not known, and those that are.
    pub(super) unknown: Option<(String, Vec<String>)>,
}

/// Tells each breach in `error`, in the words of somebody who writes YAML.
pub(super) fn describe(error: &ValidationError<'_>, schema: &Value, tell: &mut dyn FnMut(Breach)) {
    let pointer = error.instance_path().as_str().to_owned();
    let plain = |message: String| Breach { pointer: pointer.clone(), message, of_key: false, unknown: None };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_keys(error, schema);
            for key in unexpected {
                let escaped = super::token(key);
                tell(Breach {
                    pointer: format!("{pointer}/{escaped}"),
                    message: format!("unknown key `{key}`"),
                    of_key: true,
                    unknown: Some((key.clone(), known.clone())),
                });
            }
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            tell(plain(format!("key `{name}` is missing")));
        }
        ValidationErrorKind::Enum { options } => {
            let known = options
                .as_array()
                .map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect());
            tell(unknown_word(error, pointer.clone(), known.unwrap_or_default()));
        }
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            if let Some(known) = words(context) {
                return tell(unknown_word(error, pointer.clone(), known));
            }
            match single_choice(context) {
                Some(nested) => nested.iter().for_each(|e| describe(e, schema, tell)),
                None => tell(plain(choices(error, context))),
            }
        }
        _ => tell(plain(error.to_string())),
    }
}

/// The words of a choice whose branches are each one word, or a list of them.
fn words(context: &[Vec<ValidationError<'_>>]) -> Option<Vec<String>> {
    let mut known = Vec::new();
    for branch in context {
        let said: Vec<&Value> = branch
            .iter()
            .filter_map(|error| match error.kind() {
                ValidationErrorKind::Constant { expected_value } => Some(vec![&**expected_value]),
                ValidationErrorKind::Enum { options } => options.as_array().map(|all| all.iter().collect()),
                _ => None,
            })
            .flatten()
            .collect();
        if said.is_empty() {
            return None;
        }
        known.extend(said.into_iter().filter_map(Value::as_str).map(str::to_owned));
    }
    Some(known)
}

/// The branch the writer meant: the only one that the value's own type fits.
fn single_choice<'e, 'i>(context: &'e [Vec<ValidationError<'i>>]) -> Option<&'e Vec<ValidationError<'i>>> {
    let mut fitting = context.iter().filter(|branch| !branch.iter().any(is_about_the_whole));
    fitting.next().filter(|_| fitting.next().is_none())
}

fn is_about_the_whole(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { .. } | ValidationErrorKind::Constant { .. })
}

fn choices(error: &ValidationError<'_>, context: &[Vec<ValidationError<'_>>]) -> String {
    let told: Vec<String> =
        context.iter().filter_map(|branch| branch.first()).map(ToString::to_string).collect();
    if told.is_empty() { error.to_string() } else { told.join("; or ") }
}

fn unknown_word(error: &ValidationError<'_>, pointer: String, known: Vec<String>) -> Breach {
    let word = match error.instance().as_ref() {
        Value::String(word) => word.clone(),
        other => other.to_string(),
    };
    let message = format!("`{word}` is not one of the values known here");
    Breach { pointer, message, of_key: false, unknown: Some((word, known)) }
}

/// The keys that the schema object which refused the unknown key does know.
fn known_keys(error: &ValidationError<'_>, schema: &Value) -> Vec<String> {
    let path = error.absolute_keyword_location().map(|uri| uri.as_str().to_owned());
    let path = path.as_deref().and_then(|uri| uri.split_once('#').map(|(_, pointer)| pointer.to_owned()));
    let path = path.unwrap_or_else(|| error.schema_path().as_str().to_owned());
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties = schema.pointer(&format!("{parent}/properties")).and_then(Value::as_object);
    properties.map(|members| members.keys().cloned().collect()).unwrap_or_default()
}
