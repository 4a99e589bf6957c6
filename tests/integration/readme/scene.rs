//! A folder that looks like the repository's root while the demo runs, with a gateway that serves it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testbed::gateway::{Gateway, program, run};
use testbed::retailer::CALLERS;
use testbed::{World, repository};

pub(super) struct Scene {
    world: World,
    gateway: Gateway,
}

/// What commands printed, on both outputs.
#[derive(Default)]
pub(super) struct Printed {
    pub(super) text: String,
    pub(super) success: bool,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let mut world = World::new().await;
        world.folder.settings(|settings| {
            settings["audit"]["directory"] = json!("deploy/run/audit");
            settings["audit"]["checkpoint_interval"] = json!("1s");
        });
        write_development(&world).await;
        write_run(&world);
        fs::create_dir_all(world.folder.join("target/debug")).unwrap();
        symlink(program(), world.folder.join("target/debug/gateway")).unwrap();
        let gateway = Gateway::start(&world).await;
        Self { world, gateway }
    }

    /// Runs the commands of a block as they would be pasted.
    pub(super) async fn run(&self, text: &str) -> Printed {
        let port = self.gateway.address("public").port();
        let text = text
            .replace("localhost:8443", &format!("localhost:{port}"))
            .replace("127.0.0.1:9901", &self.gateway.admin().to_string());
        let root = self.world.folder.path();
        let path = format!("{}:{}", root.join("target/debug").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &text])
            .current_dir(root)
            .env("PATH", path)
            .env("GATEWAY_CONFIG", "deploy/run/gateway.yaml")
            .env("no_proxy", "*")
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
        // No block needs its outputs in the order in which they came.
        let text = [output.stdout, output.stderr].concat();
        Printed { text: String::from_utf8_lossy(&text).into_owned(), success: output.status.success() }
    }

    /// `gateway check`, after a block has changed the files.
    pub(super) async fn check(&self) -> Printed {
        self.run("gateway check").await
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        self.world.folder.write(file, &format!("{text}\n"));
    }

    pub(super) fn remove(&self, file: &str) {
        self.world.folder.remove(file);
    }

    /// Puts a text below a line of a file, as deep as what stands there.
    pub(super) fn insert(&self, file: &str, after: &str, text: &str) {
        let indented: String = text.lines().map(|line| format!("  {line}\n")).collect();
        let anchor = format!("\n{after}\n");
        self.world.folder.replace_strictly(file, &anchor, &format!("{anchor}{indented}"));
    }
}

/// `certs/development`, as far as clients and auditors need it.
async fn write_development(world: &World) {
    let folder = &world.folder;
    folder.write("certs/development/servers-ca.pem", &world.servers.pem());
    for caller in CALLERS.iter().filter(|caller| caller.certificate.is_some()) {
        world.identity(caller.id).write(&folder.join("certs/development"), caller.id);
    }
    let key = folder.join("certs/audit.key").display().to_string();
    let public = run(&["audit", "key", "--signing-key", &key, "--origin", "gateway.example/audit"]).await;
    folder.write("certs/development/audit.pub", &public.output);
}

/// `deploy/run`: the settings, an order, and a token of each caller.
fn write_run(world: &World) {
    let folder = &world.folder;
    for caller in CALLERS.iter().filter(|caller| caller.token.is_some()) {
        folder.write(&format!("deploy/run/tokens/{}", caller.id), &world.mint(caller.id).sign());
    }
    let contract = repository::folder("contracts").join("orders/v2/openapi.yaml");
    let contract = gateway::document::Document::read(&contract, "orders/v2").unwrap();
    let examples = "/paths/~1orders/post/requestBody/content/application~1json/examples";
    let order = &contract.value().pointer(examples).unwrap()["parcel"]["value"];
    folder.write("deploy/run/order.json", &format!("{order:#}\n"));

    let mut settings: Value = serde_json::from_str(&folder.read("gateway.yaml")).unwrap();
    make_absolute(&mut settings, &format!("{}/", folder.path().display()));
    folder.write("deploy/run/gateway.yaml", &format!("{settings:#}\n"));
}

/// The same files, named from another folder.
fn make_absolute(value: &mut Value, root: &str) {
    match value {
        Value::String(text) => {
            let file = text.strip_prefix("file:").unwrap_or(text);
            if ["certs/", "deploy/"].iter().any(|folder| file.starts_with(folder))
                || ["policies", "contracts"].contains(&file)
            {
                let file = format!("{root}{file}");
                *text = if text.starts_with("file:") { format!("file:{file}") } else { file };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| make_absolute(item, root)),
        Value::Object(members) => members.values_mut().for_each(|member| make_absolute(member, root)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
