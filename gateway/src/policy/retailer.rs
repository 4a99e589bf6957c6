//! A small retailer for the tests of this room: four callers, five operations, three claims.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use tempfile::TempDir;

use super::*;
use crate::diagnostic::{Diagnostics, Place};

pub(super) const ACME: Principal = Principal::Caller(0);
pub(super) const SHOP: Principal = Principal::Caller(1);
pub(super) const CLERK: Principal = Principal::Caller(3);

pub(super) const CREATE: usize = 0;
pub(super) const READ: usize = 1;
pub(super) const SEARCH: usize = 2;
pub(super) const OLD_READ: usize = 3;
pub(super) const STOCK: usize = 4;

pub(super) fn caller(id: &str, kind: Kind, groups: &[&str], attributes: &[(&str, Attribute)]) -> CallerFacts {
    CallerFacts {
        id: id.to_owned(),
        kind,
        owner: "sales".to_owned(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        attributes: attributes.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect::<BTreeMap<_, _>>(),
        place: Place::file("callers.yaml"),
    }
}

pub(super) fn callers() -> Vec<CallerFacts> {
    let tier = |t: &str| ("tier", Attribute::Text(t.to_owned()));
    let ceiling = ("ceiling", Attribute::Integer(9_000_000_000_000_000_000));
    let stores = ("stores", Attribute::Texts(vec!["12".to_owned(), "14".to_owned()]));
    vec![
        caller("acme", Kind::Partner, &["marketplaces"], &[tier("gold"), ceiling]),
        caller("web-shop", Kind::Service, &["channels"], &[tier("own"), ("test", Attribute::Boolean(true))]),
        caller("stock-bot", Kind::Bot, &["channels", "robots"], &[tier("own")]),
        caller("clerk", Kind::Person, &[], &[tier("own"), stores]),
    ]
}

pub(super) fn operation(api: &str, version: &str, id: &str, access: Access) -> OperationFacts {
    OperationFacts {
        name: format!("{api}.{version}.{id}"),
        api: api.to_owned(),
        version: version.to_owned(),
        access,
        kinds: Kind::ALL.to_vec(),
        anonymous: Anonymous::Refused,
        path_parameters: Vec::new(),
        query_parameters: Vec::new(),
        scopes: Vec::new(),
        place: Place::file("openapi.yaml"),
    }
}

pub(super) fn operations() -> Vec<OperationFacts> {
    let query = |name: &str, values| QueryParameter { name: name.to_owned(), values };
    let mut create = operation("orders", "v2", "createOrder", Access::Write);
    create.scopes = vec![vec!["orders:write".to_owned()]];
    create.kinds = vec![Kind::Partner, Kind::Service, Kind::Bot];
    let mut read = operation("orders", "v2", "getOrder", Access::Read);
    read.path_parameters = vec!["order".to_owned()];
    let mut search = operation("orders", "v2", "searchOrders", Access::Read);
    search.query_parameters = vec![query("store", Values::One), query("filter[status]", Values::Many)];
    let mut old = operation("orders", "v1", "getOrder", Access::Read);
    old.path_parameters = vec!["order".to_owned(), "line".to_owned()];
    let mut stock = operation("stock", "v1", "getStock", Access::Read);
    stock.anonymous = Anonymous::Served;
    vec![create, read, search, old, stock]
}

pub(super) fn claims() -> Vec<(String, ValueType)> {
    [
        ("store", ValueType::Text),
        ("level", ValueType::Integer),
        ("suspended", ValueType::Boolean),
        ("roles", ValueType::Texts),
    ]
    .map(|(name, value_type)| (name.to_owned(), value_type))
    .to_vec()
}

/// A directory with these files, which lasts as long as the value does.
pub(super) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

pub(super) fn load_files(files: &[(&str, &str)]) -> Result<(Policies, Diagnostics), Diagnostics> {
    Policies::load(directory(files).path(), &callers(), &operations(), &claims())
}

/// Policies in one file, `p.cedar`.
pub(super) fn load(text: &str) -> Policies {
    load_files(&[("p.cedar", text)]).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

/// All that is told about policies in one file, from `p.cedar` on.
pub(super) fn told(text: &str) -> String {
    let told = match load_files(&[("p.cedar", text)]) {
        Ok((_, warnings)) => warnings,
        Err(mistakes) => mistakes,
    };
    let lines: Vec<String> = told.iter().map(short).collect();
    lines.join("\n")
}

/// Without the temporary directory and the source line.
pub(super) fn short(told: &crate::diagnostic::Diagnostic) -> String {
    let place = told.place().unwrap();
    let file = place.file_name().rsplit('/').next().unwrap();
    let help = told.help_text().map(|h| format!(" (help: {h})")).unwrap_or_default();
    format!("{file}:{}:{}: {:?}: {}{help}", place.line(), place.column(), told.severity(), told.message())
}

/// A request with nothing proved, from a documentation address (RFC 5737).
pub(super) fn bare() -> Circumstances<'static> {
    Circumstances {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
        now: "2026-11-01T10:30:00Z".parse().unwrap(),
        certificate: None,
        token: None,
        path: Vec::new(),
        query: Vec::new(),
        deprecation: Deprecation::Current,
    }
}
