//! The audit log under a full disk, a killed process and a forger: nothing is answered unrecorded,
//! nothing recorded is lost, and nothing can be changed unseen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Client, Finished, Gateway, Reply, run};

const ORDER: &str = "/orders/v2/orders/S00042";

/// The public key that auditors hold.
async fn key(world: &World) -> String {
    let file = world.folder.join("certs/audit.key").to_string_lossy().into_owned();
    let finished = run(&["audit", "key", "--signing-key", &file, "--origin", "gateway.example/audit"]).await;
    assert!(finished.success, "{finished:?}");
    finished.output.trim().to_owned()
}

async fn verify(folder: &Path, key: &str, more: &[&str]) -> Finished {
    let folder = folder.to_string_lossy();
    run(&[&["audit", "verify", "--directory", &folder, "--key", key], more].concat()).await
}

fn id(reply: &Reply) -> String {
    reply.header("x-request-id").unwrap().to_owned()
}

fn ids(records: &[Value]) -> BTreeSet<String> {
    records.iter().map(|record| record["request_id"].as_str().unwrap().to_owned()).collect()
}

/// The segment that is being written.
fn segment(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|e| e == "jsonl")).max().unwrap()
}

#[tokio::test]
async fn a_full_disk_refuses_every_request_until_there_is_room() {
    let world = World::new().await;
    let gateway = Gateway::start_on_a_limited_disk(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    let mut answered = BTreeSet::new();
    let first = client.get_as(&token, ORDER).await;
    assert_eq!(first.status, StatusCode::OK);
    answered.insert(id(&first));

    // Room for a piece of a record, so that the log also has to deal with a torn one.
    let size = fs::metadata(segment(&world.folder.audit())).unwrap().len();
    gateway.limit_files(Some(size + 100));
    let mut withheld = BTreeSet::new();
    for (path, with_token) in [(ORDER, true), (ORDER, false), ("/stock/v1/status", false), ("/none", false)] {
        let reply = if with_token { client.get_as(&token, path).await } else { client.get(path).await };
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {reply:?}");
        assert!(reply.problem()["type"].as_str().unwrap().ends_with("#temporary-reduced-capacity"));
        assert!(reply.header("retry-after").is_some());
        assert!(!reply.text().contains("S00042"), "the upstream's answer leaked: {reply:?}");
        withheld.insert(id(&reply));
    }
    let ready = gateway.admin_page("/health/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.text().contains("audit log cannot be written"), "{}", ready.text());
    assert!(gateway.metric("gateway_audit_failures_total", &[]).await >= 4.0);
    assert!(gateway.printed().contains("the audit log cannot be written"));

    gateway.limit_files(None);
    let again = gateway
        .until("there is room again", async || {
            let reply = client.get_as(&token, ORDER).await;
            (reply.status == 200).then_some(reply)
        })
        .await;
    answered.insert(id(&again));
    assert_eq!(gateway.admin_page("/health/ready").await.status, StatusCode::OK);
    let recorded = ids(&gateway.audit(&[]).await);
    assert!(recorded.is_superset(&answered));
    assert!(recorded.is_disjoint(&withheld), "what was refused for the lack of a record has none");
    let verified = verify(&world.folder.audit(), &key(&world).await, &["--allow-unsigned"]).await;
    assert!(verified.success, "{verified:?}");
}

#[tokio::test]
async fn a_killed_gateway_has_recorded_everything_it_answered() {
    let world = World::new().await;
    // Everything of one caller at once is not what this is about.
    world.folder.replace("policies/limits.yaml", "quota: 600,", "quota: 1000000,");
    let key = key(&world).await;
    let mut before = 0;
    for round in 0..2 {
        let mut gateway = Gateway::start(&world).await;
        let token = world.mint("acme-marketplace").sign();
        let answered = std::sync::Arc::new(std::sync::Mutex::new(BTreeSet::new()));
        let callers: Vec<_> = (0..6)
            .map(|_| {
                let (client, token, answered) = (gateway.client().build(), token.clone(), answered.clone());
                tokio::spawn(call_until_dead(client, token, answered))
            })
            .collect();
        gateway.until("load", async || (answered.lock().unwrap().len() >= 100).then_some(())).await;
        gateway.kill().await;
        for caller in callers {
            caller.await.unwrap();
        }
        let recorded = ids(&gateway.audit(&[]).await);
        let answered = answered.lock().unwrap().clone();
        let lost: Vec<_> = answered.difference(&recorded).collect();
        assert!(lost.is_empty(), "round {round}: answered and not recorded: {lost:?}");
        assert!(recorded.len() >= before + answered.len(), "the log of before is still there");
        before = recorded.len();
        // It was killed before it could sign.
        let verified = verify(&world.folder.audit(), &key, &["--allow-unsigned"]).await;
        assert!(verified.success, "round {round}: {verified:?}");
    }
    let mut last = Gateway::start(&world).await;
    assert_eq!(last.client().build().get("/stock/v1/status").await.status, StatusCode::OK);
    assert_eq!(last.audit(&[]).await.len(), before + 1);
    assert!(last.stop().await.success());
    let verified = verify(&world.folder.audit(), &key, &[]).await;
    assert!(verified.success && !verified.output.contains("unsigned"), "{verified:?}");
}

async fn call_until_dead(
    client: Client,
    token: String,
    answered: std::sync::Arc<std::sync::Mutex<BTreeSet<String>>>,
) {
    loop {
        let request = client.request(Method::GET, ORDER).bearer_auth(&token);
        // A head is an answer: what it says must have been recorded before, whether or not its body arrives.
        let Ok(answer) = request.send().await else { return };
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        answered.lock().unwrap().insert(id);
        if answer.bytes().await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_forger_is_found_at_the_place_of_the_forgery() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["audit"]["checkpoint_records"] = json!(4));
    let key = key(&world).await;
    let mut gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    for _ in 0..12 {
        assert_eq!(client.get("/stock/v1/status").await.status, StatusCode::OK);
    }
    assert!(gateway.stop().await.success());
    let audit = world.folder.audit();
    let whole = verify(&audit, &key, &[]).await;
    assert!(whole.success, "{whole:?}");
    let note = whole.output.split_once("--checkpoint):\n\n").unwrap().1;
    world.folder.write("kept.note", note);
    let kept = world.folder.join("kept.note").to_string_lossy().into_owned();
    assert!(verify(&audit, &key, &["--checkpoint", &kept]).await.success);

    type Forgery = fn(&mut Vec<String>);
    // Line 1 is the header of the segment.
    let rows: [(&str, Forgery, &str); 7] = [
        ("a status", |lines| lines[5] = lines[5].replace("\"status\":200", "\"status\":404"), ":6: changed"),
        ("an address", |lines| lines[9] = lines[9].replace("127.0.0.1", "127.0.0.2"), ":10: changed"),
        ("a removed record", |lines| drop(lines.remove(4)), ":5: removed"),
        ("a repeated record", |lines| lines.insert(7, lines[6].clone()), ":8: inserted"),
        ("two records swapped", |lines| lines.swap(3, 8), ":4: moved"),
        ("the last record cut off", |lines| drop(lines.pop()), ": removed"),
        ("everything removed", |lines| lines.truncate(1), ": removed"),
    ];
    for (what, forge, found) in rows {
        let copy = world.folder.join("forged");
        drop(fs::remove_dir_all(&copy));
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(&audit).unwrap() {
            let file = entry.unwrap().path();
            fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
        }
        let file = segment(&copy);
        let mut lines: Vec<String> = fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 13);
        forge(&mut lines);
        fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        let verdict = verify(&copy, &key, &[]).await;
        assert!(!verdict.success, "{what} was not found");
        assert!(verdict.errors.contains(found), "{what}: {}", verdict.errors);
        assert!(!verify(&copy, &key, &["--checkpoint", &kept]).await.success, "{what}");
    }

    // Without its checkpoints nothing of a log is signed, so it proves nothing; the kept one still proves it.
    let checkpoints = segment(&audit).with_extension("checkpoints");
    let kept_aside = fs::read(&checkpoints).unwrap();
    fs::remove_file(&checkpoints).unwrap();
    let verdict = verify(&audit, &key, &[]).await;
    assert!(
        !verdict.success && verdict.errors.contains("no checkpoint signs any of the 12 records"),
        "{verdict:?}"
    );
    assert!(verify(&audit, &key, &["--checkpoint", &kept]).await.success);
    let forged = String::from_utf8(kept_aside.clone()).unwrap().replacen("\n13\n", "\n12\n", 1);
    fs::write(&checkpoints, forged).unwrap();
    let verdict = verify(&audit, &key, &[]).await;
    assert!(!verdict.success && verdict.errors.contains("checkpoint"), "{verdict:?}");
    fs::write(&checkpoints, kept_aside).unwrap();
    assert!(verify(&audit, &key, &[]).await.success);

    // Who has another key is not believed.
    world.folder.write_private("certs/other.key", &testbed::certificates::ed25519_key_pem());
    let other = world.folder.join("certs/other.key").to_string_lossy().into_owned();
    let other = run(&["audit", "key", "--signing-key", &other, "--origin", "gateway.example/audit"]).await;
    assert!(!verify(&audit, other.output.trim(), &[]).await.success);
}

#[tokio::test]
async fn records_are_found_by_what_is_known_of_them() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let acme = world.mint("acme-marketplace").sign();
    let swift = world.mint("swift-carrier").sign();
    let allowed = client.get_as(&acme, ORDER).await;
    let refused = client.get_as(&swift, ORDER).await;
    let unknown = client.get("/none/v1/of-these").await;
    let public = client.get("/stock/v1/status").await;
    assert_eq!([&allowed, &refused, &unknown, &public].map(|r| r.status.as_u16()), [200, 403, 404, 200]);

    let all = gateway.audit(&[]).await;
    let times: Vec<&str> = all.iter().map(|one| one["time"].as_str().unwrap()).collect();
    let instance = refused.problem()["instance"].as_str().unwrap().to_owned();
    let check = async |filters: &[&str], expected: &[&Reply]| {
        let found = gateway.audit(filters).await;
        let expected: BTreeSet<String> = expected.iter().map(|reply| id(reply)).collect();
        assert_eq!(ids(&found), expected, "{filters:?}");
    };
    check(&[], &[&allowed, &refused, &unknown, &public]).await;
    check(&["--caller", "acme-marketplace"], &[&allowed]).await;
    check(&["--caller", "nobody"], &[]).await;
    check(&["--operation", "orders.v2.fetchOrder"], &[&allowed, &refused]).await;
    check(&["--api", "stock"], &[&public]).await;
    check(&["--decision", "refused"], &[&refused, &unknown]).await;
    check(&["--decision", "allowed", "--api", "orders"], &[&allowed]).await;
    check(&["--status", "404"], &[&unknown]).await;
    check(&["--request", &instance], &[&refused]).await;
    check(&["--since", times[1]], &[&refused, &unknown, &public]).await;
    check(&["--until", times[1]], &[&allowed]).await;
    check(&["--limit", "2"], &[&allowed, &refused]).await;

    let folder = world.folder.audit().to_string_lossy().into_owned();
    let table = run(&["audit", "query", "--directory", &folder, "--status", "403"]).await;
    let row = table.output.lines().nth(1).unwrap();
    for word in ["refused", "403", "swift-carrier", "orders.v2.fetchOrder", "scope-insufficient"] {
        assert!(row.contains(word), "{word} is not in {row}");
    }
    let wrong = run(&["audit", "query", "--directory", &folder, "--decision", "denied"]).await;
    assert!(!wrong.success && wrong.errors.contains("allowed, refused, failed, abandoned"), "{wrong:?}");
    let nowhere = run(&["audit", "query", "--directory", "/nowhere/at/all"]).await;
    assert!(!nowhere.success && !nowhere.errors.is_empty(), "{nowhere:?}");
}
