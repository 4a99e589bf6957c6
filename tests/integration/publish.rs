//! What may be served? The published contracts, and nothing else: at the start, at a reload, and after a rollback.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Client, Finished, Gateway, Reload, Signal, run};

const ORDERS: &str = "contracts/orders/v2/openapi.yaml";
const LINE: &str = "contracts/orders/v2/schemas/line.yaml";
const LOCK: &str = "contracts/published.lock";

/// `gateway contract ...` on the files of this world.
async fn contract(world: &World, arguments: &[&str]) -> Finished {
    let file = world.folder.settings_file().to_string_lossy().into_owned();
    let mut all = vec!["contract"];
    all.extend(arguments);
    all.extend(["--config", &file]);
    run(&all).await
}

/// The same where somebody is named for the record.
async fn recorded(world: &World, arguments: &[&str]) -> Finished {
    contract(world, &[arguments, &["--author", "Ada Example <ada@retailer.example>"]].concat()).await
}

/// Adds an optional property to what an order line may carry.
fn add_optional(world: &World) {
    world.folder.replace_strictly(LINE, "  giftMessage:", "  giftWrap: { type: boolean }\n  giftMessage:");
}

/// An order with a line that carries `giftWrap`.
async fn order_with_gift_wrap(world: &World, client: &Client, token: &str) -> StatusCode {
    let path = world.folder.join(ORDERS);
    let contract = gateway::document::Document::read(&path, "orders").unwrap();
    let examples = "/paths/~1orders/post/requestBody/content/application~1json/examples";
    let mut order = contract.value().pointer(examples).unwrap()["pickup"]["value"].clone();
    order["lines"][0]["giftWrap"] = json!(true);
    client.send_json(token, Method::POST, "/orders/v2/orders", &order).await.status
}

async fn state(world: &World, name: &str) -> Value {
    let listed = contract(world, &["list", "--format", "json"]).await;
    let listed: Value = serde_json::from_str(&listed.output).unwrap();
    let (api, version) = name.split_once('/').unwrap();
    let rows = listed["contracts"].as_array().unwrap();
    rows.iter().find(|row| row["api"] == api && row["version"] == version).unwrap().clone()
}

#[tokio::test]
async fn an_altered_contract_is_not_served_and_every_command_says_what_to_run() {
    let world = World::new().await;
    add_optional(&world);
    let file = world.folder.settings_file().to_string_lossy().into_owned();
    let path = "/orders/v2/orders/S00042";
    for command in [&["check"][..], &["explain", "--path", path], &["schema", "cedar"]] {
        let ended = run(&[command, &["--config", &file]].concat()).await;
        let told = format!("{}{}", ended.output, ended.errors);
        assert!(!ended.success, "{command:?}");
        assert!(told.contains("`orders/v2` is not what was published"), "{command:?}: {told}");
        assert!(told.contains("gateway contract publish orders/v2"), "{command:?}: {told}");
    }
    let Err(printed) = Gateway::try_start(&world.folder, &world.servers.pem()).await else {
        panic!("it serves an altered contract")
    };
    assert!(printed.contains("`orders/v2` is not what was published"), "{printed}");
}

#[tokio::test]
async fn an_altered_contract_changes_nothing_at_a_reload_until_it_is_published_and_can_be_rolled_back() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().certificate(&world.identity("acme-marketplace")).build();
    let token = world.mint("acme-marketplace").sign();
    let wrapped = async || order_with_gift_wrap(&world, &client, &token).await;
    assert_eq!(wrapped().await, StatusCode::UNPROCESSABLE_ENTITY);
    let first = state(&world, "orders/v2").await;

    add_optional(&world);
    gateway.signal(Signal::Reload);
    let told = |status: &Value| status["last_reload_fault"].to_string().contains("not what was published");
    gateway.status_that("a fault that names the contract", told).await;
    assert_eq!(wrapped().await, StatusCode::UNPROCESSABLE_ENTITY, "the published contract serves on");
    assert_eq!(state(&world, "orders/v2").await["state"], "altered");

    let unsaid = recorded(&world, &["publish", "orders/v2"]).await;
    assert_eq!(unsaid.code, Some(1), "{unsaid:?}");
    assert!(unsaid.output.contains("stays as it is") && unsaid.output.contains("--revision"), "{unsaid:?}");
    let dry = recorded(&world, &["publish", "orders/v2", "--revision", "--dry-run"]).await;
    assert!(dry.success && dry.output.contains("would be published"), "{dry:?}");
    assert_eq!(state(&world, "orders/v2").await["state"], "altered");
    let published = recorded(&world, &["publish", "orders/v2", "--revision"]).await;
    assert!(published.success && published.output.contains("giftWrap"), "{published:?}");
    let second = state(&world, "orders/v2").await;
    assert_eq!(
        (&second["state"], &second["author"]),
        (&json!("published"), &json!("Ada Example <ada@retailer.example>"))
    );
    gateway.reload().await;
    gateway.status_that("no fault", |status| status["last_reload_fault"].is_null()).await;
    assert_eq!(wrapped().await, StatusCode::CREATED);

    let rolled_back = recorded(&world, &["rollback", "orders/v2"]).await;
    assert!(rolled_back.success, "{rolled_back:?}");
    assert!(!world.folder.read(LINE).contains("giftWrap"));
    let third = state(&world, "orders/v2").await;
    assert_eq!((&third["digest"], &third["state"]), (&first["digest"], &json!("published")));
    let serves_first = |status: &Value| {
        let contracts = status["contracts"].as_array().unwrap();
        contracts.iter().any(|one| one["digest"] == first["digest"]) && status["last_reload_fault"].is_null()
    };
    gateway.signal(Signal::Reload);
    gateway.status_that("the first release", serves_first).await;
    assert_eq!(wrapped().await, StatusCode::UNPROCESSABLE_ENTITY);

    let again =
        recorded(&world, &["rollback", "orders/v2", "--to", &second["digest"].as_str().unwrap()[..12]]).await;
    assert!(again.success && world.folder.read(LINE).contains("giftWrap"), "{again:?}");
}

#[tokio::test]
async fn what_breaks_callers_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let lock = world.folder.read(LOCK);
    // Callers order more than that, and no example does.
    world.folder.replace_strictly(LINE, "maximum: 9999", "maximum: 999");
    let refused = recorded(&world, &["publish", "orders/v2", "--revision"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.output.contains("callers of `orders/v2` would break"), "{}", refused.output);
    assert!(refused.output.contains("quantity"), "{}", refused.output);
    assert_eq!(world.folder.read(LOCK), lock);

    // Under another version of the same major it breaks the same callers; under another major it does not.
    let files = world.folder.join("contracts/orders");
    for version in ["v2_1", "v3"] {
        let copied =
            std::process::Command::new("cp").args(["-r", "v2", version]).current_dir(&files).status();
        assert!(copied.unwrap().success());
        let openapi = format!("contracts/orders/{version}/openapi.yaml");
        world.folder.replace_strictly(
            &openapi,
            "api.example/orders/v2",
            &format!("api.example/orders/{version}"),
        );
    }
    let minor = recorded(&world, &["publish", "orders/v2_1"]).await;
    assert_eq!(minor.code, Some(1), "{minor:?}");
    assert!(minor.output.contains("callers of `orders/v2` would break"), "{}", minor.output);
    let major = recorded(&world, &["publish", "orders/v3"]).await;
    assert!(major.success && major.output.contains("first release"), "{major:?}");
}

#[tokio::test]
async fn what_does_not_keep_to_the_rules_is_not_published() {
    let world = World::new().await;
    for (from, to, told) in [
        (
            "{ type: string, minLength: 1, maxLength: 64, description: The line's number at the caller. }",
            "{ type: string }",
            "(unbounded-string)",
        ),
        (
            "{ sku: MUG-0042, quantity: 4, unitPrice: \"8.50\" }",
            "{ sku: MUG-0042, quantity: 0, unitPrice: \"8.50\" }",
            "(invalid-example)",
        ),
        (
            "security:\n        - oauth: [\"orders:write\"]\n      x-gateway:\n        kinds: [partner, service, person]",
            "x-gateway:\n        kinds: [partner, service, person]",
            "nothing says who may call",
        ),
    ] {
        let file = [LINE, ORDERS].into_iter().find(|file| world.folder.read(file).contains(from)).unwrap();
        let before = world.folder.read(file);
        world.folder.replace_strictly(file, from, to);
        let refused = recorded(&world, &["publish", "orders/v2", "--revision"]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.output.contains(told), "{told}: {}", refused.output);
        assert!(refused.output.contains("orders/v2/"), "{}", refused.output);
        world.folder.write_strictly(file, &before);
    }
}

#[tokio::test]
async fn dates_move_in_the_callers_favour_only() {
    let world = World::new().await;
    let file = "contracts/orders/v1/openapi.yaml";
    let before = world.folder.read(file);
    world.folder.replace_strictly(file, "2027-06-30T00:00:00Z", "2027-05-30T00:00:00Z");
    let refused = recorded(&world, &["publish", "orders/v1", "--revision"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.output.contains("to the earlier 2027-05-30T00:00:00Z"), "{}", refused.output);
    let unused = recorded(
        &world,
        &["publish", "orders/v1", "--revision", "--unused-because", "nobody called it since May"],
    )
    .await;
    assert!(unused.success && unused.output.contains("nobody called it since May"), "{unused:?}");
    assert!(world.folder.read(LOCK).contains("nobody called it since May"));
    world.folder.write_strictly(file, &before);
    let later = recorded(&world, &["publish", "orders/v1", "--revision"]).await;
    assert!(later.success, "{later:?}");
}

#[tokio::test]
async fn a_development_setting_serves_what_is_not_published_and_says_so() {
    let mut world = World::new().await;
    add_optional(&world);
    world.folder.settings(|settings| settings["insecure_unpublished_contracts"] = json!(true));
    let gateway = Gateway::start(&world).await;
    let status = gateway.status().await;
    let orders = status["contracts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["api"] == "orders" && one["version"] == "v2");
    assert_eq!(orders.unwrap()["published"], "altered");
    assert!(status["insecure"].to_string().contains("insecure_unpublished_contracts"), "{status:#}");
    let printed = gateway.printed();
    assert!(printed.contains("insecure_unpublished_contracts"), "{printed}");
    assert!(printed.contains("`orders/v2` is not what was published"), "{printed}");
    // What serves is the altered contract, and a lock that cannot be read is no empty one.
    let client = gateway.client().certificate(&world.identity("acme-marketplace")).build();
    let token = world.mint("acme-marketplace").sign();
    assert_eq!(order_with_gift_wrap(&world, &client, &token).await, StatusCode::CREATED);
    world.folder.write_strictly(LOCK, "<<<<<<< HEAD\nlock: 1\n");
    let Reload::Refused(fault) = gateway.reload().await else { panic!("a broken lock was read") };
    assert!(fault.to_string().contains("published.lock"), "{fault:#}");
}

#[tokio::test]
async fn a_published_contract_whose_folder_is_missing_is_restored_or_retired() {
    let world = World::new().await;
    let folder = world.folder.join("contracts/orders/v1");
    let aside = world.folder.join("v1-aside");
    std::fs::rename(&folder, &aside).unwrap();
    let file = world.folder.settings_file().to_string_lossy().into_owned();
    let check = run(&["check", "--config", &file]).await;
    assert!(!check.success && check.output.contains("gateway contract retire orders/v1"), "{}", check.output);
    assert_eq!(state(&world, "orders/v1").await["state"], "missing");
    std::fs::rename(&aside, &folder).unwrap();

    let early = recorded(&world, &["retire", "orders/v1"]).await;
    assert_eq!(early.code, Some(1), "{early:?}");
    assert!(early.output.contains("sunset is not over"), "{}", early.output);
    let retired =
        recorded(&world, &["retire", "orders/v1", "--unused-because", "the last caller moved in May"]).await;
    assert!(retired.success && !folder.exists(), "{retired:?}");
    let again = recorded(&world, &["publish", "orders/v1"]).await;
    assert_ne!(again.code, Some(0), "{again:?}");
    // The name is not used again, whatever stands in the folder.
    let kept = world.folder.join("contracts/.published/orders/v1");
    let release = std::fs::read_dir(kept).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(release, &folder).unwrap();
    let again = recorded(&world, &["publish", "orders/v1"]).await;
    assert!(again.code == Some(1) && again.output.contains("was retired"), "{again:?}");
}

#[tokio::test]
async fn files_that_were_never_published_are_not_lost_by_a_rollback() {
    let world = World::new().await;
    let nothing = recorded(&world, &["rollback", "orders/v2"]).await;
    assert!(nothing.code == Some(1) && nothing.output.contains("nothing else was published"), "{nothing:?}");
    add_optional(&world);
    assert!(recorded(&world, &["publish", "orders/v2", "--revision"]).await.success);
    world.folder.write_strictly("contracts/orders/v2/NOTES.md", "mine");
    world.folder.replace_strictly(LINE, "giftWrap", "giftWrapped");
    let refused = recorded(&world, &["rollback", "orders/v2"]).await;
    assert!(refused.code == Some(1) && refused.output.contains("--discard"), "{refused:?}");
    let done = recorded(&world, &["rollback", "orders/v2", "--discard"]).await;
    assert!(done.success && !world.folder.read(LINE).contains("giftWrap"), "{done:?}");
    assert_eq!(world.folder.read("contracts/orders/v2/NOTES.md"), "mine");

    // What was kept was changed: it is not what was published.
    let kept = world.folder.read(LOCK);
    let digest = kept
        .lines()
        .skip_while(|line| !line.contains("orders/v2:"))
        .nth(1)
        .unwrap()
        .trim()
        .strip_prefix("digest: ")
        .unwrap();
    let archived = format!("contracts/.published/orders/v2/{digest}/schemas/line.yaml");
    world.folder.replace_strictly(&archived, "maximum: 9999", "maximum: 99999");
    add_optional(&world);
    let refused = recorded(&world, &["publish", "orders/v2", "--revision"]).await;
    assert!(refused.code == Some(1) && refused.output.contains("were changed"), "{refused:?}");
}

#[tokio::test]
async fn lint_looks_at_contracts_and_at_any_document() {
    let world = World::new().await;
    let clean = contract(&world, &["lint"]).await;
    assert_eq!(clean.code, Some(0), "{}{}", clean.output, clean.errors);
    assert!(clean.output.contains("ok: 6 looked at, 0 errors, 0 warnings"), "{}", clean.output);

    let folder = world.folder.path();
    let document = folder.join("petstore.yaml");
    std::fs::write(
        &document,
        "openapi: 3.0.3\ninfo: {title: Pets, version: '1'}\npaths:\n  /pets:\n    get:\n      parameters: [{name: api_key, in: query, schema: {type: string}}]\n      responses: {'200': {description: x}}\n",
    )
    .unwrap();
    let document = document.to_string_lossy().into_owned();
    let found = contract(&world, &["lint", &document, "--format", "json"]).await;
    assert_eq!(found.code, Some(1), "{found:?}");
    let report: Value = serde_json::from_str(&found.output).unwrap();
    let counts = report["contracts"][0]["counts"].as_object().unwrap();
    for rule in
        ["secret-in-query", "unbounded-string", "missing-security", "missing-error-response", "named-contact"]
    {
        assert_eq!(counts[rule]["found"], 1, "{rule}: {report:#}");
    }
    let one = report["contracts"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["rule"] == "secret-in-query");
    let one = one.unwrap();
    assert_eq!((&one["line"], &one["column"]), (&json!(6), &json!(27)), "{one:#}");
    assert!(one["help"].as_str().unwrap().contains("Authorization"), "{one:#}");

    for missing in ["nothing.yaml", "orders/v9"] {
        assert_eq!(contract(&world, &["lint", missing]).await.code, Some(2), "{missing}");
    }
    world.folder.replace("policies/contract-rules.yaml", "unbounded-number", "unbounded-nmber");
    let broken = contract(&world, &["lint"]).await;
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(broken.errors.contains("did you mean `unbounded-number`?"), "{}", broken.errors);
    let file = world.folder.settings_file().to_string_lossy().into_owned();
    let check = run(&["check", "--config", &file]).await;
    assert!(!check.success && check.output.contains("unbounded-nmber"), "{}", check.output);
}
