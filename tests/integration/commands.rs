//! The commands as people and pipelines use them: what they print, where they point, how they end.

use std::fs;

use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Finished, Gateway, run};

/// Runs a command with `--config` of this world.
async fn with_config(world: &World, arguments: &[&str]) -> Finished {
    let file = world.folder.settings_file().to_string_lossy().into_owned();
    run(&[arguments, &["--config", &file]].concat()).await
}

#[tokio::test]
async fn good_files_are_said_to_be_good() {
    let world = World::new().await;
    let text = with_config(&world, &["check"]).await;
    assert!(text.success, "{text:?}");
    let last = text.output.lines().last().unwrap();
    assert!(last.starts_with("ok: 6 contracts with ") && last.contains(" 5 callers, "), "{last}");
    let json = with_config(&world, &["check", "--format", "json"]).await;
    let verdict: Value = serde_json::from_str(&json.output).unwrap();
    assert_eq!((json.success, &verdict["ok"]), (true, &json!(true)));
    assert!(world.odoo.seen().is_empty() && world.issuer.requests("/jwks") == 0, "checking asks nobody");
    assert!(!world.folder.audit().exists(), "checking writes nothing");
}

#[tokio::test]
async fn all_mistakes_are_told_at_once_with_place_and_help() {
    let world = World::new().await;
    world.folder.replace("policies/callers.yaml", "groups: [carriers]", "group: [carriers]");
    world.folder.replace("policies/orders.cedar", "orders.v2.cancelOrder", "orders.v2.cancelOrdr");
    world.folder.replace(
        "contracts/orders/v2/openapi.yaml",
        "kinds: [partner, service]",
        "kind: [partner, service]",
    );
    world.folder.replace("policies/limits.yaml", "concurrency: 50", "concurency: 50");
    let rows = [
        ("policies/callers.yaml", "groups"),
        ("policies/limits.yaml", "concurrency"),
        ("contracts/orders/v2/openapi.yaml", "kinds"),
    ];
    let text = with_config(&world, &["check"]).await;
    assert!(!text.success);
    let json = with_config(&world, &["check", "--format", "json"]).await;
    assert!(!json.success);
    let verdict: Value = serde_json::from_str(&json.output).unwrap();
    assert_eq!(verdict["ok"], false);
    let found = verdict["diagnostics"].as_array().unwrap();
    for (file, meant) in rows {
        let one = found.iter().find(|one| one["file"].as_str().unwrap().ends_with(file));
        let one = one.unwrap_or_else(|| panic!("nothing about {file}: {verdict:#}"));
        assert!(one["line"].as_u64().unwrap() > 1 && one["column"].as_u64().unwrap() > 0, "{one}");
        assert!(one["help"].as_str().unwrap().contains(meant), "{one}");
        let place = format!("{file}:{}:{}", one["line"], one["column"]);
        assert!(text.output.contains(&place), "{place} is not in\n{}", text.output);
    }
}

#[tokio::test]
async fn a_mistake_in_one_file_hides_none_in_another() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["admim"] = json!({}));
    world.folder.replace("policies/callers.yaml", "plan: marketplace", "plan: marketplaze");
    world.folder.replace("policies/orders.cedar", "@id(\"", "@idd(\"");
    world.folder.replace("policies/limits.yaml", "concurrency: 50", "concurency: 50");
    world.folder.replace("contracts/stock/v1/openapi.yaml", "get:", "gett:");
    let told = |text: Finished, places: &[&str]| {
        assert!(!text.success);
        for place in places {
            assert!(text.output.contains(place), "nothing about {place} in\n{}", text.output);
        }
    };
    let files = ["gateway.yaml", "policies/orders.cedar:", "policies/limits.yaml:", "stock/v1/openapi.yaml:"];
    told(with_config(&world, &["check"]).await, &files);
    world.folder.replace("policies/limits.yaml", "concurency: 50", "concurrency: 50");
    told(with_config(&world, &["check"]).await, &["gateway.yaml", "plan `marketplaze`"]);
    world.folder.settings(|settings| drop(settings.as_object_mut().unwrap().remove("admim")));
    // The settings are good; what is broken in the contract hides no mistake in the policies.
    told(
        with_config(&world, &["check"]).await,
        &["policies/orders.cedar:", "stock/v1/openapi.yaml:", "plan `marketplaze`"],
    );
    world.folder.write("gateway.yaml", "listeners: [");
    told(with_config(&world, &["check"]).await, &["gateway.yaml", "policies/orders.cedar:", "stock/v1"]);
}

#[tokio::test]
async fn all_mistakes_of_the_settings_are_told_at_once() {
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        settings["upstreams"]["odoo"]["credential"] = json!("odoo-kee");
        settings["admin"]["address"] = json!("0.0.0.0:0");
    });
    let text = with_config(&world, &["check"]).await;
    assert!(!text.success && text.output.contains("2 of these"), "{}", text.output);
    assert!(text.output.contains("did you mean `odoo-key`?"), "{}", text.output);
    world.folder.settings(|settings| settings["admim"] = json!({}));
    let unknown = with_config(&world, &["check"]).await;
    assert!(!unknown.success && unknown.output.contains("did you mean `admin`?"), "{}", unknown.output);
}

#[tokio::test]
async fn a_policy_that_names_what_does_not_exist_is_a_mistake() {
    let world = World::new().await;
    world.folder.replace("policies/orders.cedar", "orders.v2.cancelOrder", "orders.v2.cancelOrdr");
    let text = with_config(&world, &["check"]).await;
    assert!(!text.success);
    assert!(
        text.output.contains("policies/orders.cedar:") && text.output.contains("cancelOrder"),
        "{}",
        text.output
    );
}

#[tokio::test]
async fn a_policy_change_that_breaks_a_test_is_told_before_it_is_live() {
    let world = World::new().await;
    // A guard is loosened: whoever reads the change may not see it, the tests do.
    world.folder.replace("policies/guards.cedar", "10.20.0.0/16", "0.0.0.0/0");
    let text = with_config(&world, &["check"]).await;
    assert!(!text.success);
    let place = "policies/tests/customers.yaml:";
    assert!(text.output.contains(place), "{}", text.output);
    assert!(text.output.contains("customer service sees nobody from a café"), "{}", text.output);
}

/// Runs `gateway explain` with these arguments, written as in a shell; `FOLDER` is that of the world.
async fn explained(world: &World, arguments: &str, served: bool, said: &[&str]) {
    let arguments = arguments.replace("FOLDER", &world.folder.path().to_string_lossy());
    let words: Vec<&str> = std::iter::once("explain").chain(arguments.split(' ')).collect();
    let finished = with_config(world, &words).await;
    assert_eq!(finished.success, served, "{arguments}: {finished:?}");
    assert_eq!(finished.output.contains("REFUSED"), !served, "{arguments}: {finished:?}");
    for one in said {
        assert!(finished.output.contains(one), "`{one}` is not said of {arguments}:\n{}", finished.output);
    }
    assert!(world.odoo.seen().is_empty() && world.warehouse.seen().is_empty(), "nothing is sent");
}

#[tokio::test]
async fn explain_says_what_would_happen_to_an_order_and_why() {
    let world = World::new().await;
    let good = json!({
        "reference": "ACME-2026-004711", "channel": "acme", "placedAt": "2026-11-02T09:14:07Z", "currency": "EUR",
        "customer": {"customerId": "C10042", "name": "Ada Example", "email": "ada@customer.example"},
        "delivery": {"method": "pickup", "store": "BER-01"},
        "lines": [{"sku": "MUG-0042", "quantity": 4, "unitPrice": "8.50"}],
    });
    world.folder.write("good.json", &good.to_string());
    world.folder.write("bad.json", &good.to_string().replace("\"MUG-0042\"", "42"));
    world.folder.write("broken.json", "{\"a\": 1, \"a\": 2}");
    let order =
        "--caller acme-marketplace --method POST --path /orders/v2/orders --scope orders:write --certificate";
    let steps = [
        "orders.v2.createOrder",
        "permitted by marketplace-places-orders",
        "plan marketplace",
        "costs 5",
        "odoo",
    ];
    explained(&world, &format!("{order} --body FOLDER/good.json"), true, &steps).await;
    let place = ["request    REFUSED", "/lines/0/sku"];
    explained(&world, &format!("{order} --body FOLDER/bad.json"), false, &place).await;
    explained(&world, &format!("{order} --body FOLDER/broken.json"), false, &["request    REFUSED"]).await;
    let public = ["public", "everyone-sees-stock-status", "warehouse"];
    explained(&world, "--path /stock/v1/status", true, &public).await;
}

#[tokio::test]
async fn explain_says_to_what_a_token_must_be_bound_and_judges_it() {
    let world = World::new().await;
    let orders = "--caller acme-marketplace --path /orders/v2/orders/S00042 --scope orders:read";
    let bearer = "of acme-marketplace: a token that is bound to nothing will do";
    let life = "of acme-marketplace: a token that lives 12h at most, as callers.yaml asks of its kind";
    explained(&world, orders, true, &[bearer, life]).await;
    // The operation asks for one of the two, and the caller's proof for a key.
    world.folder.replace(
        "contracts/orders/v2/openapi.yaml",
        "\nx-gateway:\n",
        "\nx-gateway:\n  token_binding: either\n",
    );
    let proof = "token: { issuer: retail, client_id: acme-marketplace";
    world.folder.replace("policies/callers.yaml", proof, &format!("{proof}, bound: dpop"));
    let asked = [
        "a token bound to a key (DPoP, RFC 9449), as its proof in callers.yaml asks",
        "a token bound to the client certificate (RFC 8705) or a key (DPoP, RFC 9449), as the operation asks",
    ];
    explained(&world, orders, false, &[asked[0], asked[1], "401 token-binding-required"]).await;
    explained(&world, &format!("{orders} --bound dpop"), true, &asked).await;
    let bound = format!("{orders} --bound certificate");
    explained(&world, &bound, false, &["401 token-binding)"]).await;
    explained(&world, &format!("{bound} --certificate"), false, &["401 token-binding-required"]).await;
    explained(&world, &format!("{bound} --bound dpop --certificate"), true, &asked).await;
    // The same is asked of whoever calls, told by kind.
    let anyone = "--path /orders/v2/orders/S00042";
    explained(&world, anyone, false, &["of a bot: a token bound to the client certificate (RFC 8705) or"])
        .await;
}

#[tokio::test]
async fn explain_says_how_a_person_must_have_signed_in_and_judges_it() {
    let world = World::new().await;
    let customer = "--caller customer-service --path /customers/v1/customers/C10042 --scope customers:read \
                    --certificate --address 10.20.0.7";
    let of_kind =
        "a sign-in by all of mfa (amr), 12h ago at most (auth_time), as callers.yaml asks of its kind";
    let people = "serves person (people only)";
    explained(&world, customer, false, &[of_kind, people, "sign-in    REFUSED", "401 sign-in-insufficient"])
        .await;
    explained(&world, &format!("{customer} --amr pwd --amr mfa --signed-in 11h"), true, &[of_kind, people])
        .await;
    explained(&world, &format!("{customer} --amr mfa --signed-in 13h"), false, &["sign-in    REFUSED"]).await;
    let kinds = "  kinds: [person]\n";
    let asked = format!("{kinds}  sign_in: {{ acr: [high, higher], age_max: 10m }}\n");
    world.folder.replace("contracts/customers/v1/openapi.yaml", kinds, &asked);
    let of_operation =
        "a sign-in in one of the ways high, higher (acr), 10m ago at most (auth_time), as the operation asks";
    explained(&world, "--path /customers/v1/customers/C10042", false, &[of_kind, of_operation]).await;
    let signed_in = format!("{customer} --amr mfa --signed-in 9m");
    explained(&world, &signed_in, false, &[of_operation, "sign-in    REFUSED"]).await;
    explained(&world, &format!("{signed_in} --acr high"), true, &[of_kind, of_operation]).await;
    // Machines are not asked, whatever the operation asks of persons.
    let both = "kinds: [partner, service, person]";
    world.folder.replace(
        "contracts/orders/v2/openapi.yaml",
        both,
        &format!("{both}\n        sign_in: {{ amr: [hwk] }}"),
    );
    let bot = "--caller acme-marketplace --path /orders/v2/orders/S00042 --scope orders:read";
    explained(&world, bot, true, &["machines"]).await;
}

#[tokio::test]
async fn explain_names_the_step_that_refuses() {
    let world = World::new().await;
    let acme = "--caller acme-marketplace --path";
    for (arguments, said) in [
        (format!("{acme} /orders/v9/orders"), "match      REFUSED: operation-unknown"),
        (format!("{acme} /orders/v2/orders --method PATCH"), "method-not-allowed"),
        (format!("{acme} /orders/v2/../v1/orders"), "target     REFUSED"),
        (format!("{acme} /orders/v2/orders/S00042"), "no proof is not enough"),
        (
            format!("{acme} /orders/v2/orders/S00042 --scope stock:read"),
            "scopes     REFUSED: present: stock:read",
        ),
        (
            format!("{acme} /orders/v2/orders?channel=other --scope orders:read"),
            "marketplace-lists-own-channel-only",
        ),
        (
            format!(
                "{acme} /orders/v1/orders/S00042 --scope orders:read --certificate --time 2099-01-01T00:00:00Z"
            ),
            "lifecycle  REFUSED",
        ),
        (
            "--caller swift-carrier --path /orders/v2/orders/S00042 --scope orders:read".to_owned(),
            "carriers-stay-with-shipments",
        ),
        (
            format!("{acme} /stock/v1/levels/MUG-0042/BER-01 --method PUT --certificate"),
            "kind       REFUSED: serves service (machines only), not partner",
        ),
        (
            "--caller reconciliation-bot --path /stock/v1/levels/MUG-0042/BER-01 --method PUT --certificate"
                .to_owned(),
            "reconciliation-bot is known by no certificate in callers.yaml",
        ),
        (
            "--caller warehouse --path /orders/v2/orders/S00042 --scope orders:read".to_owned(),
            "warehouse is known by no token in callers.yaml",
        ),
        ("--caller acme --path /orders/v2/orders/S00042".to_owned(), "acme-marketplace"),
    ] {
        explained(&world, &arguments, false, &[said]).await;
    }
}

#[tokio::test]
async fn the_committed_schemas_are_those_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let written = run(&["schema", "--write", &folder.path().to_string_lossy()]).await;
    assert!(written.success, "{written:?}");
    let committed = testbed::repository::folder("gateway").join("schemas");
    let names = |folder: &std::path::Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(
        names(folder.path()),
        names(&committed),
        "cargo run -p gateway -- schema --write gateway/schemas"
    );
    for name in names(folder.path()) {
        let [made, kept] = [folder.path(), &committed].map(|at| fs::read_to_string(at.join(&name)).unwrap());
        assert!(made == kept, "{name:?} is old; run: cargo run -p gateway -- schema --write gateway/schemas");
        let schema: Value = serde_json::from_str(&made).unwrap();
        assert!(schema["$schema"].is_string() && schema["title"].is_string(), "{name:?}");
    }
}

#[tokio::test]
async fn each_schema_is_printed_by_its_name() {
    let world = World::new().await;
    for name in ["gateway", "callers", "limits", "policy-tests", "x-gateway"] {
        let printed = run(&["schema", name]).await;
        let schema: Value = serde_json::from_str(&printed.output).unwrap();
        assert!(printed.success && schema.is_object(), "{name}");
    }
    let cedar = with_config(&world, &["schema", "cedar"]).await;
    assert!(cedar.success && cedar.output.contains("action \"orders.v2.createOrder\""), "{}", cedar.output);
    assert!(!run(&["schema"]).await.success);
}

#[tokio::test]
async fn every_command_says_what_it_is_for() {
    for command in [
        &["serve"][..],
        &["check"],
        &["explain"],
        &["schema"],
        &["audit"],
        &["audit", "verify"],
        &["audit", "query"],
        &["audit", "key"],
        &["revoke"],
        &["revoke", "token"],
        &["revoke", "client"],
        &["revoke", "subject"],
        &["revoke", "all"],
        &["revoke", "list"],
        &["revoke", "lift"],
    ] {
        let help = run(&[command, &["--help"]].concat()).await;
        assert!(help.success, "{command:?}");
        let first = help.output.lines().next().unwrap();
        assert!(first.len() > 10, "{command:?}: {first}");
        assert!(help.output.contains("Usage: gateway"), "{command:?}");
    }
    let all = run(&["--help"]).await;
    assert!(all.output.contains("Examples:") && all.output.contains("gateway check"), "{}", all.output);
    let version = run(&["--version"]).await;
    assert!(version.output.starts_with("gateway "), "{version:?}");
    let unknown = run(&["chekc"]).await;
    assert!(!unknown.success && unknown.errors.contains("check"), "{unknown:?}");
}

#[tokio::test]
async fn a_start_with_a_broken_file_ends_and_says_where() {
    let world = World::new().await;
    world.folder.replace("policies/limits.yaml", "quota: 600,", "quota: many,");
    let printed = Gateway::try_start(&world.folder, &world.servers.pem()).await.unwrap_err();
    assert!(printed.contains("policies/limits.yaml:9:"), "{printed}");
    let ended = with_config(&world, &["serve"]).await;
    assert!(!ended.success && ended.errors.contains("policies/limits.yaml:9:"), "{ended:?}");
    let nowhere = run(&["serve", "--config", "/nowhere/gateway.yaml"]).await;
    assert!(!nowhere.success && nowhere.errors.contains("/nowhere/gateway.yaml"), "{nowhere:?}");
}

#[tokio::test]
async fn what_is_insecure_needs_its_name() {
    type Change = fn(&mut Value);
    let rows: [(Change, &str); 7] = [
        (
            |s| drop(s["listeners"]["plain"].as_object_mut().unwrap().remove("insecure_no_tls")),
            "insecure_no_tls",
        ),
        (|s| s["listeners"]["plain"]["address"] = json!("0.0.0.0:0"), "insecure_no_tls_beyond_loopback"),
        (|s| s["listeners"]["public"]["insecure_no_tls"] = json!(true), "both `tls` and `insecure_no_tls`"),
        (|s| s["admin"]["address"] = json!("0.0.0.0:0"), "insecure_beyond_loopback"),
        (|s| s["issuers"]["retail"]["keys"]["url"] = json!("http://127.0.0.1:1/jwks"), "insecure_http"),
        (|s| s["listeners"]["plain"]["proxy_protocol"] = json!(true), "trusted_hops"),
        (|s| s["credentials"]["odoo-key"]["from"] = json!("0dec0ded5ecret"), "file:"),
    ];
    for (change, named) in rows {
        let mut world = World::new().await;
        world.folder.settings(change);
        let text = with_config(&world, &["check"]).await;
        assert!(!text.success && text.output.contains(named), "{named}: {}", text.output);
        assert!(!text.output.contains("0dec0ded5ecret"), "a secret was repeated: {}", text.output);
        let started = with_config(&world, &["serve"]).await;
        assert!(!started.success && started.errors.contains(named), "{named}: {started:?}");
    }
}

#[tokio::test]
async fn what_is_insecure_and_has_its_name_is_told_at_the_start() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["admin"]["insecure_beyond_loopback"] = json!(true));
    let gateway = Gateway::start(&world).await;
    let printed = gateway.printed();
    let told =
        |setting: &str| printed.lines().any(|l| l.contains("insecure setting is on") && l.contains(setting));
    assert!(told("insecure_no_tls"), "{printed}");
    assert!(told("insecure_beyond_loopback"), "{printed}");
}
