//! Lives, waivers and brown-outs of one API, judged at many times.

use std::net::Ipv4Addr;

use super::*;

const CALLERS: &str = "
callers:
  acme: {kind: partner, owner: a@x.example, description: x, plan: p, review_by: 2099-01-01, proofs: [{token: {issuer: retail, client_id: acme}}]}
  bazaar: {kind: partner, owner: a@x.example, description: x, plan: p, review_by: 2099-01-01, proofs: [{token: {issuer: retail, client_id: bazaar}}]}
";

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn contracts(brownouts: &str) -> Catalogue {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("contracts");
    for (version, gateway) in [
        (
            "v1",
            format!(
                "lifecycle: {{deprecated: '2027-01-01T00:00:00Z', sunset: '2027-06-30T00:00:00Z', \
                 successor: 'https://api.example/shop/v2', brownouts: [{brownouts}]}}"
            ),
        ),
        ("v2", "cost: 1".to_owned()),
    ] {
        let folder = root.join("shop").join(version);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "openapi: 3.1.0\ninfo: {{title: t, version: '1'}}\nservers: [{{url: /shop/{version}}}]\nsecurity: []\n\
             x-gateway: {{upstream: backend, {gateway}}}\n\
             paths: {{/o: {{get: {{operationId: list, responses: {{'204': {{description: x}}}}}}, \
             post: {{operationId: add, responses: {{'204': {{description: x}}}}}}}}}}\n"
        );
        std::fs::write(folder.join("openapi.yaml"), text).unwrap();
    }
    Catalogue::load(&root, None).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

fn callers() -> Callers {
    let document = Document::parse("callers.yaml", CALLERS).unwrap();
    let today = "2026-11-28".parse().unwrap();
    Callers::load(&document, &["retail"], today).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

fn load(file: &str, contracts: &Catalogue) -> Result<(Retirement, String), String> {
    let document = Document::parse("policies/lifecycle.yaml", file).unwrap();
    let loaded = Retirement::load(Some(&document), &callers(), contracts, "2027-01-15".parse().unwrap());
    loaded
        .map(|(retirement, warnings)| (retirement, warnings.to_string()))
        .map_err(|mistakes| mistakes.to_string())
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn named(contracts: &Catalogue, name: &str) -> usize {
    contracts.operations().iter().position(|operation| operation.name() == name).unwrap()
}

const WAIVER: &str = "waivers:
  w1: {caller: acme, api: shop, version: v1, reason: season, approver: ada@x.example, granted: 2027-01-10, until: 2027-09-30}
";
const HOUR: &str = "{name: hour, start: '2027-03-01T08:00:00Z', end: '2027-03-01T09:00:00Z'}";

/// What is said of `operation` to `caller`, in one line.
fn said(retirement: &Retirement, operation: usize, caller: Option<&str>, now: &str) -> String {
    match retirement.stay_by_name(operation, caller, HERE, at(now)) {
        Ok(stay) => {
            let word = |part: Option<&Arc<str>>| part.map(|part| format!(" {part}")).unwrap_or_default();
            let told = if stay.announcement.is_some() { " announced" } else { "" };
            format!(
                "{}{}{}{told}",
                stay.state.unwrap_or("live"),
                word(stay.brownout.as_ref()),
                word(stay.waiver.as_ref())
            )
        }
        Err(retired) => format!("410 {}", retired.state()),
    }
}

#[test]
fn each_time_of_a_life_is_judged_with_and_without_a_waiver() {
    let contracts = contracts(HOUR);
    let (retirement, warnings) = load(WAIVER, &contracts).unwrap();
    assert_eq!(warnings, "");
    let list = named(&contracts, "shop.v1.list");
    for (now, acme, bazaar) in [
        ("2026-12-31T23:59:59Z", "live", "live announced"),
        ("2027-01-01T00:00:00Z", "deprecated", "deprecated announced"),
        ("2027-03-01T07:59:59Z", "deprecated", "deprecated announced"),
        ("2027-03-01T08:00:00Z", "brownout shop.v1/hour w1", "410 brownout"),
        ("2027-03-01T08:59:59Z", "brownout shop.v1/hour w1", "410 brownout"),
        ("2027-03-01T09:00:00Z", "deprecated", "deprecated"),
        ("2027-06-29T23:59:59Z", "deprecated", "deprecated"),
        ("2027-06-30T00:00:00Z", "sunset w1", "410 sunset"),
        ("2027-09-30T23:59:59Z", "sunset w1", "410 sunset"),
        ("2027-10-01T00:00:00Z", "410 sunset", "410 sunset"),
    ] {
        assert_eq!(said(&retirement, list, Some("acme"), now), acme, "{now}");
        assert_eq!(said(&retirement, list, Some("bazaar"), now), bazaar, "{now}");
        assert_eq!(said(&retirement, list, None, now), bazaar, "{now}");
        let entry = retirement.enter(list, at(now));
        let expected = match (acme, bazaar) {
            ("410 sunset", _) => Err(Retired::Sunset),
            (_, "410 sunset") => Ok(Entry::Waived),
            _ => Ok(Entry::Open),
        };
        assert_eq!(entry, expected, "{now}");
    }
    let current = named(&contracts, "shop.v2.list");
    assert_eq!(said(&retirement, current, None, "2099-01-01T00:00:00Z"), "live");
}

#[test]
fn a_waiver_for_one_operation_is_for_that_one() {
    let contracts = contracts(HOUR);
    let file = WAIVER.replace("version: v1", "version: v1, operation: add");
    let (retirement, _) = load(&file, &contracts).unwrap();
    let now = "2027-07-01T00:00:00Z";
    assert_eq!(said(&retirement, named(&contracts, "shop.v1.add"), Some("acme"), now), "sunset w1");
    assert_eq!(said(&retirement, named(&contracts, "shop.v1.list"), Some("acme"), now), "410 sunset");
    assert_eq!(retirement.enter(named(&contracts, "shop.v1.list"), at(now)), Err(Retired::Sunset));
}

#[test]
fn what_is_called_off_neither_takes_place_nor_is_announced() {
    let contracts = contracts(HOUR);
    let list = named(&contracts, "shop.v1.list");
    for file in [
        "brownouts: {stopped: true}",
        "brownouts: {called_off: [{name: shop.v1/hour, reason: black friday}]}",
    ] {
        let (retirement, _) = load(file, &contracts).unwrap();
        for now in ["2027-02-01T00:00:00Z", "2027-03-01T08:30:00Z"] {
            assert_eq!(said(&retirement, list, Some("acme"), now), "deprecated", "{file}");
            assert_eq!(retirement.announcement(list, at(now)), None);
        }
    }
    let (retirement, _) = load("brownouts: {stopped: false}", &contracts).unwrap();
    assert_eq!(said(&retirement, list, Some("acme"), "2027-03-01T08:30:00Z"), "410 brownout");
}

#[test]
fn named_callers_are_meant_and_nobody_else_learns_of_it() {
    let window = HOUR.replace("name: hour", "name: hour, callers: [bazaar]");
    let contracts = contracts(&window);
    let (retirement, _) = load("{}", &contracts).unwrap();
    let list = named(&contracts, "shop.v1.list");
    let before = "2027-02-01T00:00:00Z";
    assert_eq!(retirement.announcement(list, at(before)), None);
    assert_eq!(said(&retirement, list, Some("bazaar"), before), "deprecated announced");
    assert_eq!(said(&retirement, list, Some("acme"), before), "deprecated");
    let during = "2027-03-01T08:30:00Z";
    assert_eq!(said(&retirement, list, Some("bazaar"), during), "410 brownout");
    assert_eq!(said(&retirement, list, Some("acme"), during), "deprecated");
    assert_eq!(said(&retirement, list, None, during), "deprecated");
}

#[test]
fn a_growing_share_begins_for_each_caller_when_it_was_announced_and_stays() {
    let window = HOUR.replace("name: hour", "name: hour, share: 1, share_at_end: 100");
    let contracts = contracts(&window);
    let (retirement, _) = load("{}", &contracts).unwrap();
    let list = named(&contracts, "shop.v1.list");
    let everybody = retirement.announcement(list, at("2027-02-01T00:00:00Z")).unwrap();
    assert_eq!(everybody, "@1803888000;until=@1803891600;name=\"shop.v1/hour\"");
    for caller in ["acme", "bazaar"] {
        let told = retirement.stay_by_name(list, Some(caller), HERE, at("2027-02-01T00:00:00Z")).unwrap();
        let told = told.announcement.unwrap();
        let begins = told.to_str().unwrap().split_once(';').unwrap().0.trim_start_matches('@').to_owned();
        let begins = Timestamp::from_second(begins.parse().unwrap()).unwrap();
        for (offset, state) in [(-1_i64, "deprecated announced"), (0, "410 brownout"), (600, "410 brownout")]
        {
            let now = begins.checked_add(jiff::SignedDuration::from_secs(offset)).unwrap();
            if now < at("2027-03-01T09:00:00Z") {
                assert_eq!(said(&retirement, list, Some(caller), &now.to_string()), state, "{caller} {now}");
            }
        }
    }
}

#[test]
fn a_share_is_about_that_of_the_callers_and_another_one_next_time() {
    let count = |window: &str| {
        (0..2_000).filter(|n| position(window, Some(&format!("caller-{n}")), HERE) < 2_500).count()
    };
    for window in ["shop.v1/first", "shop.v1/second"] {
        assert!((400..600).contains(&count(window)), "{}", count(window));
    }
    assert_ne!(position("shop.v1/first", Some("acme"), HERE), position("shop.v1/second", Some("acme"), HERE));
    let elsewhere = "::ffff:127.0.0.1".parse().unwrap();
    assert_eq!(position("w", None, HERE), position("w", None, elsewhere));
}

#[test]
fn every_mistake_of_the_file_is_told_with_its_place() {
    let contracts = contracts(HOUR);
    for (from, to, told) in [
        ("caller: acme", "caller: acne", "policies/lifecycle.yaml:2:16: error: unknown caller `acne`"),
        ("caller: acme", "caller: acne", "did you mean `acme`?"),
        ("api: shop", "api: shap", "unknown API `shap`"),
        ("version: v1", "version: v3", "`shop` has no version `v3`"),
        ("version: v1", "version: v1, operation: lst", "`shop.v1` has no operation `lst`"),
        ("version: v1", "version: v1, operation: lst", "did you mean `list`?"),
        (", approver: ada@x.example", "", "key `approver` is missing"),
        ("approver: ada@x.example", "approver: ' '", "`approver` of the waiver `w1` is empty"),
        ("reason: season", "reason: ''", "policies/lifecycle.yaml:2"),
        ("until: 2027-09-30", "until: 2028-01-11", "holds for more than a year"),
        ("until: 2027-09-30", "until: 2027-01-09", "ends before it was granted"),
        ("until: 2027-09-30", "until: soon", "policies/lifecycle.yaml:2"),
        ("waivers:", "waiver:", "did you mean `waivers`?"),
    ] {
        assert!(WAIVER.contains(from));
        let mistakes = load(&WAIVER.replace(from, to), &contracts).map(|_| ()).unwrap_err();
        assert!(mistakes.contains(told), "{to}: {mistakes}");
    }
    let two = "brownouts: {called_off: [{name: shop.v1/our, reason: x}, {name: x, reason: ' '}]}";
    let mistakes = load(two, &contracts).map(|_| ()).unwrap_err();
    for told in
        ["no contract has a brown-out `shop.v1/our`", "did you mean `shop.v1/hour`?", "`reason` is empty"]
    {
        assert!(mistakes.contains(told), "{mistakes}");
    }
}

#[test]
fn what_is_odd_and_harmless_is_a_warning() {
    let contracts = contracts(HOUR);
    for (from, to, told) in [
        (
            "granted: 2027-01-10, until: 2027-09-30",
            "granted: 2026-06-01, until: 2027-01-14",
            "has ended on 2027-01-14",
        ),
        ("granted: 2027-01-10", "granted: 2027-01-16", "which is yet to come"),
        ("version: v1", "version: v2", "`shop.v2` is not deprecated"),
        ("version: v1", "version: v2, operation: add", "`shop.v2.add` is not deprecated"),
    ] {
        let (_, warnings) = load(&WAIVER.replace(from, to), &contracts).unwrap();
        assert!(warnings.contains(told), "{to}: {warnings}");
    }
    assert!(load("{}", &contracts).is_ok_and(|(retirement, _)| retirement.waivers() == 0));
}

#[test]
fn a_brown_out_for_a_caller_who_does_not_exist_is_a_mistake_of_its_contract() {
    let contracts = contracts(&HOUR.replace("name: hour", "name: hour, callers: [acne]"));
    let mistakes = load("{}", &contracts).map(|_| ()).unwrap_err();
    assert!(mistakes.contains("contracts/shop/v1/openapi.yaml:5:"), "{mistakes}");
    assert!(mistakes.contains("unknown caller `acne`") && mistakes.contains("`acme`"), "{mistakes}");
}

#[test]
fn the_census_counts_what_is_not_in_full_use() {
    use crate::retirement::Standing;
    let contracts = contracts(HOUR);
    let (retirement, _) = load("{}", &contracts).unwrap();
    for (now, standing) in [
        ("2026-12-01T00:00:00Z", Standing::Announced),
        ("2027-02-01T00:00:00Z", Standing::Deprecated),
        ("2027-03-01T08:30:00Z", Standing::Brownout),
        ("2027-06-01T00:00:00Z", Standing::SunsetSoon),
        ("2027-06-30T00:00:00Z", Standing::Retired),
    ] {
        let census: Vec<_> = retirement.census(at(now)).into_iter().collect();
        assert_eq!(census, [(("shop", "v1", standing), 2)], "{now}");
        let (version, window) = retirement.version(&contracts.contracts()[0], at(now));
        assert_eq!(version, Some(standing));
        assert_eq!(window.is_some(), at(now) < at("2027-03-01T09:00:00Z"), "{now}");
    }
}
