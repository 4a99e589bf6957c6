//! What does `deepObject` make of names with keys in brackets? `name[key]=value`, and deeper.
//!
//! OpenAPI 3.0.4 section 4.7.12.3 defines one level of scalars. What is read beyond it is what clients write
//! and servers read alike: deeper keys, items as `[0]`, `[1]`, ... or as a repeated `[]`, and a plain
//! `name=value` where the schema allows a scalar beside the object.

use super::super::shape::Shape;
use super::super::target::WrittenPair;
use super::{NotInStyle, Wire, wrong};

/// A branch of what was written, keys in their order.
enum Branch {
    Leaf(String),
    /// A repeated `[]`.
    Items(Vec<String>),
    /// Each with something behind it.
    Node(Vec<(String, Option<Branch>)>),
}

/// The one way in which the pairs give the value called `name`; nothing when absent.
pub(super) fn read(
    pairs: &[WrittenPair<'_>],
    name: &str,
    shape: &Shape,
) -> Result<Option<Vec<Wire>>, NotInStyle> {
    let mut root: Option<Branch> = None;
    for pair in pairs {
        let Some(rest) = pair.name.strip_prefix(name) else { continue };
        if rest.is_empty() && shape.may_be_scalar() {
            insert(&mut root, &[], pair.value)?;
        } else if rest.starts_with('[') {
            let keys = bracketed(rest).ok_or_else(|| wrong(format!("names such as `{name}[key]`")))?;
            insert(&mut root, &keys, pair.value)?;
        }
    }
    Ok(root.map(|root| vec![unfold(root, shape)]))
}

/// The keys in `[a][b]`. An empty key is an item, so nothing can stand behind it: to some servers each
/// `[][a]` begins a new item and to others it goes on with the last.
fn bracketed(text: &str) -> Option<Vec<&str>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let keys: Vec<&str> = inner.split("][").collect();
    let last = keys.len().saturating_sub(1);
    let plain = |(n, key): (usize, &&str)| (n == last || !key.is_empty()) && !key.contains(['[', ']']);
    (keys.iter().enumerate().all(plain) && keys.len() <= KEYS_MAX).then_some(keys)
}

fn insert(branch: &mut Option<Branch>, keys: &[&str], value: &str) -> Result<(), NotInStyle> {
    match (keys, branch) {
        ([], branch @ None) => *branch = Some(Branch::Leaf(value.to_owned())),
        ([""], branch @ None) => *branch = Some(Branch::Items(vec![value.to_owned()])),
        ([""], Some(Branch::Items(items))) => items.push(value.to_owned()),
        ([key, rest @ ..], branch @ None) => {
            let mut next = None;
            insert(&mut next, rest, value)?;
            *branch = Some(Branch::Node(vec![((*key).to_owned(), next)]));
        }
        ([key, rest @ ..], Some(Branch::Node(members))) if !key.is_empty() => {
            if let Some((_, next)) = members.iter_mut().find(|(own, _)| own == key) {
                return insert(next, rest, value);
            }
            if members.len() >= super::MEMBERS_MAX {
                return Err(wrong(format!("at most {} names", super::MEMBERS_MAX)));
            }
            let mut next = None;
            insert(&mut next, rest, value)?;
            members.push(((*key).to_owned(), next));
        }
        // A value and keys, items and keys, or two values.
        (_, Some(_)) => return Err(repeated()),
    }
    Ok(())
}

/// Where the schema wants an array, the keys 0, 1, 2, ... are its items.
fn unfold(branch: Branch, shape: &Shape) -> Wire {
    match branch {
        Branch::Leaf(text) => Wire::Text(text),
        Branch::Items(items) => Wire::List(items.into_iter().map(Wire::Text).collect()),
        Branch::Node(members) if shape.may_be_array() && is_dense(&members) => {
            let mut members = members;
            members.sort_by_key(|(key, _)| key.parse::<usize>().unwrap_or(usize::MAX));
            let items = members.into_iter().filter_map(|(_, next)| next).enumerate();
            Wire::List(items.map(|(n, next)| unfold(next, &shape.item(n))).collect())
        }
        Branch::Node(members) => {
            let member = |(key, next): (String, Option<Branch>)| {
                let wire = unfold(next?, &shape.property(&key));
                Some((key, wire))
            };
            Wire::Members(members.into_iter().filter_map(member).collect())
        }
    }
}

fn repeated() -> NotInStyle {
    NotInStyle { keyword: "repeated", expected: "each key at most once".to_owned() }
}

fn is_dense(members: &[(String, Option<Branch>)]) -> bool {
    // Leading zeros would give one index two names.
    let index = |key: &String| key.parse::<usize>().ok().filter(|index| index.to_string() == *key);
    let mut indices: Vec<Option<usize>> = members.iter().map(|(key, _)| index(key)).collect();
    indices.sort_unstable();
    indices.into_iter().eq((0..members.len()).map(Some))
}

/// Deeper filters than anybody writes in a query.
const KEYS_MAX: usize = 8;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::super::shape::{Reading, Shapes};
    use super::super::super::source::Source;
    use super::super::super::target::Target;
    use super::*;
    use serde_json::{Value, json};

    fn shape(schema: &str) -> Shape {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), format!("s: {schema}")).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        Shapes::new(&source).of(&source.root().key("s"))
    }

    /// The value, or the keyword that it breaks.
    fn value(query: &str, schema: &str) -> Result<Option<Value>, &'static str> {
        let target = Target::from_origin_form(&format!("/?{query}")).unwrap();
        let pairs: Vec<WrittenPair<'_>> = target.written_pairs().collect();
        let shape = shape(schema);
        let ways = read(&pairs, "p", &shape).map_err(|wrong| wrong.keyword)?;
        Ok(ways.map(|ways| ways[0].to_value(&shape, Reading::First)))
    }

    const OBJECT: &str = "{type: object, properties: {a: {type: array, items: {type: object}}, n: {type: integer}, l: {type: array, items: {type: integer}}}}";
    const EITHER: &str = "{anyOf: [{type: object, properties: {gt: {type: integer}}}, {type: integer}]}";

    #[test]
    fn what_clients_write_is_read_in_one_way_only() {
        for (query, schema, read) in [
            ("p[n]=1&p%5Bs%5D=x", OBJECT, Ok(Some(json!({"n": 1, "s": "x"})))),
            ("p[a][1][x]=2&p[a][0][x]=1", OBJECT, Ok(Some(json!({"a": [{"x": "1"}, {"x": "2"}]})))),
            ("p[l][]=1&p[l][]=2", OBJECT, Ok(Some(json!({"l": [1, 2]})))),
            ("p[l][0]=1&p[l][1]=2", OBJECT, Ok(Some(json!({"l": [1, 2]})))),
            ("p[l][0]=1&p[l][2]=2", OBJECT, Ok(Some(json!({"l": {"0": "1", "2": "2"}})))),
            ("p[l][01]=1", OBJECT, Ok(Some(json!({"l": {"01": "1"}})))),
            ("p[]=1&p[]=2", "{type: array, items: {type: integer}}", Ok(Some(json!([1, 2])))),
            ("p[1]=2&p[0]=1", "{type: array, items: {type: integer}}", Ok(Some(json!([1, 2])))),
            // A list whose items have no number is a list to some servers and its last item to others.
            ("p[l]=1&p[l]=2", OBJECT, Err("repeated")),
            ("p[l]=1", OBJECT, Ok(Some(json!({"l": "1"})))),
            ("p[l]=1&p[l][0]=2", OBJECT, Err("repeated")),
            ("p=1", "{type: array, items: {type: integer}}", Ok(None)),
            ("p[gt]=1", EITHER, Ok(Some(json!({"gt": 1})))),
            ("p=1", EITHER, Ok(Some(json!(1)))),
            ("p=1", OBJECT, Ok(None)),
            ("q[n]=1&px[n]=1", OBJECT, Ok(None)),
            ("p=1&p[gt]=1", EITHER, Err("repeated")),
            ("p[gt]=1&p=1", EITHER, Err("repeated")),
            ("p=1&p=2", EITHER, Err("repeated")),
            ("p[n]=1&p[n]=2", OBJECT, Err("repeated")),
            ("p[n]=1&p[n][x]=2", OBJECT, Err("repeated")),
            ("p[n][x]=1&p[n]=2", OBJECT, Err("repeated")),
            ("p[l][]=1&p[l][0]=2", OBJECT, Err("repeated")),
            ("p[l][0]=1&p[l][]=2", OBJECT, Err("repeated")),
            ("p[a][][x]=1", OBJECT, Err("style")),
            ("p[n=1", OBJECT, Err("style")),
            ("p[n]x=1", OBJECT, Err("style")),
            ("p[[n]]=1", OBJECT, Err("style")),
        ] {
            assert_eq!(value(query, schema), read, "{query}");
        }
    }

    #[test]
    fn keys_nest_only_so_deep_and_are_only_so_many() {
        let nested = |levels: usize| format!("p{}=1", "[a]".repeat(levels));
        assert!(value(&nested(KEYS_MAX), OBJECT).is_ok());
        assert_eq!(value(&nested(KEYS_MAX + 1), OBJECT), Err("style"));
    }
}
