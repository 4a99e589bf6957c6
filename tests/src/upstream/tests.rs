//! What the upstream says and sees, asked by a client that shares no code with it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::certificates::Authority;
use crate::gate::Gate;
use crate::repository;

async fn upstream() -> Upstream {
    Upstream::start(&repository::folder("contracts"), Security::None).await
}

async fn ask(
    upstream: &Upstream,
    method: Method,
    path: &str,
    body: &Value,
) -> reqwest::Result<(u16, String)> {
    tls::install_provider();
    let url = format!("http://{}{path}", upstream.address());
    let answer = reqwest::Client::new().request(method, url).body(body.to_string()).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn read(upstream: &Upstream, path: &str) -> reqwest::Result<(u16, String)> {
    ask(upstream, Method::GET, path, &Value::Null).await
}

#[tokio::test]
async fn an_operation_is_answered_with_its_example_about_what_was_asked() {
    let upstream = upstream().await;
    let order = json!({"reference": "R-9", "channel": "acme"});
    let (status, body) = ask(&upstream, Method::POST, "/orders/v2/orders", &order).await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["reference"], &body["orderId"]), (201, &json!("R-9"), &json!("S00042")));

    let (status, body) = read(&upstream, "/orders/v2/orders/S77777?x=y").await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["orderId"]), (200, &json!("S77777")));
    assert_eq!(read(&upstream, "/orders/v9/orders").await.unwrap().0, 404);
}

#[tokio::test]
async fn what_arrived_is_kept_in_order_with_its_bytes() {
    let upstream = upstream().await;
    ask(&upstream, Method::POST, "/orders/v2/orders?a=b", &json!({"x": 1})).await.unwrap();
    read(&upstream, "/stock/v1/status").await.unwrap();
    let seen = upstream.wait_for(2).await;
    assert!(seen[0].head.starts_with(b"POST /orders/v2/orders?a=b HTTP/1.1\r\n"));
    assert_eq!(seen[0].json(), json!({"x": 1}));
    assert_eq!(seen[1].path(), "/stock/v1/status");
    assert_eq!(upstream.connections(), 2);
    upstream.reset();
    assert_eq!(upstream.seen(), []);
}

#[tokio::test]
async fn next_changes_come_before_lasting_ones_and_reset_ends_both() {
    let upstream = upstream().await;
    upstream.always(|_| Answer::problem(500));
    upstream.next(|good| good.edit(|body| body["status"] = json!("delayed")));
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(read(&upstream, "/stock/v1/status").await.unwrap().0);
    }
    upstream.reset();
    statuses.push(read(&upstream, "/stock/v1/status").await.unwrap().0);
    assert_eq!(statuses, [200, 500, 200]);
}

#[tokio::test]
async fn every_manner_is_what_it_says() {
    let upstream = upstream().await;
    let path = "/stock/v1/status";
    upstream.next(|_| Answer::silence());
    assert!(read(&upstream, path).await.is_err());
    upstream.next(|good| good.manner(Manner::Cut(120)));
    assert!(read(&upstream, path).await.is_err());
    upstream.next(|_| Answer::raw("HTTP/1.0 418 I'm a teapot\r\n\r\nshort and stout"));
    assert_eq!(read(&upstream, path).await.unwrap(), (418, "short and stout".to_owned()));
    upstream.next(|good| good.manner(Manner::Trickle(std::time::Duration::from_micros(10))));
    assert_eq!(read(&upstream, path).await.unwrap().0, 200);
    upstream.next(|good| {
        good.content_type("text/html").header("Set-Cookie", "a=b").manner(Manner::WholeThenClose)
    });
    assert_eq!(read(&upstream, path).await.unwrap().0, 200);

    let (held, body_held) = (Gate::closed(), Gate::closed());
    for (gate, held) in [(held.clone(), Manner::Held(held)), (body_held.clone(), Manner::BodyHeld(body_held))]
    {
        upstream.reset();
        upstream.next(move |good| good.manner(held.clone()));
        let reading = read(&upstream, path);
        tokio::pin!(reading);
        tokio::select! {
            biased;
            _ = &mut reading => panic!("answered before the gate was open"),
            _ = upstream.wait_for(1) => {}
        }
        gate.open();
        assert_eq!(reading.await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn head_has_no_body_and_a_document_is_binary() {
    let upstream = upstream().await;
    let answer = ask(&upstream, Method::HEAD, "/stock/v1/status", &Value::Null).await.unwrap();
    assert_eq!(answer, (200, String::new()));
    let label = "/shipments/v1/carriers/swift/shipments/WH-OUT-00017/label";
    assert!(read(&upstream, label).await.unwrap().1.starts_with("%PDF"));
}

#[tokio::test]
async fn a_client_certificate_is_required_where_clients_are_named() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("gateway"));
    let identity = servers.server(&["127.0.0.1"]);
    let security = Security::Tls { identity: &identity, clients: Some(&clients.pem()) };
    let upstream = Upstream::start(&repository::folder("contracts"), security).await;
    let url = format!("https://{}/stock/v1/status", upstream.address());
    let mine = clients.client_dns("gateway.example");
    let pem = format!("{}{}", mine.chain_pem, mine.key_pem);
    tls::install_provider();
    let builder = || {
        let root = reqwest::Certificate::from_pem(servers.pem().as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root])
    };
    let known = builder().identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap()).build().unwrap();
    assert_eq!(known.get(&url).send().await.unwrap().status(), StatusCode::OK);
    assert!(builder().build().unwrap().get(&url).send().await.is_err());
}
