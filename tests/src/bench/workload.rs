//! What is asked, and what must come back: an order of 2 KB for an answer of 1 KB, and an inquiry of stock.

use std::fmt;
use std::net::SocketAddr;

use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{SERVER_NAME, World};

/// Who asks.
pub(super) const CALLER: &str = "acme-marketplace";

/// One line of the table: what is asked, and over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// `orders.v2.createOrder`.
    Order,
    /// `stock.v1.findStock`.
    Stock,
    /// The order over TLS; the gateway also gets a client certificate with it.
    OrderTls,
    /// The inquiry over TLS.
    StockTls,
}

/// Over what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// TCP alone.
    Plain,
    /// TLS, whose handshakes are over when the window opens.
    Tls,
}

impl Scenario {
    pub(super) const fn is_order(self) -> bool {
        matches!(self, Self::Order | Self::OrderTls)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Order => "order POST, 2 KB in, 1 KB out",
            Self::Stock => "stock GET",
            Self::OrderTls => "order POST over TLS",
            Self::StockTls => "stock GET over TLS",
        })
    }
}

/// The bytes of one request, and those of the answer.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    transport: Transport,
    request: Vec<u8>,
    status: &'static str,
    body: String,
}

impl Workload {
    pub(super) fn new(scenario: Scenario, world: &World) -> Self {
        let token = world.mint(CALLER).expires(Timestamp::now(), TOKEN_LIFETIME_S).sign();
        let transport = match scenario {
            Scenario::Order | Scenario::Stock => Transport::Plain,
            Scenario::OrderTls | Scenario::StockTls => Transport::Tls,
        };
        let fields = format!(
            "Host: {SERVER_NAME}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n\
             User-Agent: acme-marketplace/4.2\r\n"
        );
        let (request, status, body) = if scenario.is_order() {
            let order = order().to_string();
            let length = order.len();
            let request = format!(
                "POST /orders/v2/orders HTTP/1.1\r\n{fields}Content-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{order}"
            );
            (request, "HTTP/1.1 201 ", taken().to_string())
        } else {
            let target = "/stock/v1/levels?sku=MUG-0042&sku=SHIRT-BLUE-M&location=BER-01&limit=50";
            (format!("GET {target} HTTP/1.1\r\n{fields}\r\n"), "HTTP/1.1 200 ", levels().to_string())
        };
        Self { transport, request: request.into_bytes(), status, body }
    }

    pub(super) const fn transport(&self) -> Transport {
        self.transport
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Ends the run unless this is the expected answer.
    pub(super) fn judge(&self, answer: &[u8]) {
        let good = answer.starts_with(self.status.as_bytes()) && answer.ends_with(self.body.as_bytes());
        assert!(good, "not the expected answer: {}", String::from_utf8_lossy(answer));
    }
}

/// The bytes of the origin's answer.
pub(super) fn answer(is_order: bool) -> Vec<u8> {
    let (start, body) = if is_order {
        ("HTTP/1.1 201 Created\r\nLocation: /orders/v2/orders/S00042\r\n", taken())
    } else {
        ("HTTP/1.1 200 OK\r\n", levels())
    };
    let body = body.to_string();
    let length = body.len();
    format!(
        "{start}Server: origin\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Points the gateway's upstreams to the origin, gives it one thread, and lifts the limits of rate that a
/// bench must exceed. They are still counted and told: only their numbers change.
pub(super) fn prepare(world: &mut World, origin: SocketAddr) {
    world.folder.settings(|settings| {
        settings["run"] = json!({"threads": 1});
        settings["limits"] = json!({"requests_per_connection": 1_000_000_000});
        settings["upstreams"]["odoo"]["addresses"] = json!([origin.to_string()]);
        settings["upstreams"]["warehouse"] = json!({"addresses": [origin.to_string()]});
    });
    world.folder.write("policies/limits.yaml", &LIMITS.replace("PLAN", PLAN));
    for (file, from) in [
        ("contracts/orders/v2/openapi.yaml", "{ name: orders, quota: 600, window: 60s }"),
        ("contracts/stock/v1/openapi.yaml", "{ name: inquiries, quota: 1200, window: 60s }"),
    ] {
        let name = from.split([' ', ',']).nth(2).expect("a limit has a name");
        world.folder.replace(file, from, &format!("{{ name: {name}, quota: {QUOTA}, window: 60s }}"));
    }
    // There is no certificate without TLS: there, the token alone will do.
    let both = "        - oauth: [\"orders:write\"]\n          clientCertificate: []\n";
    let either = format!("{both}        - oauth: [\"orders:write\"]\n");
    world.folder.replace("contracts/orders/v2/openapi.yaml", both, &either);
}

/// Seven lines, gift messages and a note: 2 KB, as a marketplace sends it.
fn order() -> Value {
    let line = |number: usize| {
        json!({
            "sku": format!("SHIRT-BLUE-{number:03}"),
            "quantity": number + 1,
            "unitPrice": "19.95",
            "discountPercent": "7.5",
            "reference": format!("ACME-2026-004711-{number:02}"),
            "giftMessage": "Happy birthday, and see you on Sunday at the lake!",
        })
    };
    let address = json!({
        "name": "Ada Example", "company": "Example and Daughters", "street": "Beispielweg 12",
        "city": "Berlin", "postalCode": "10115", "country": "DE",
    });
    json!({
        "reference": "ACME-2026-004711",
        "channel": "acme",
        "placedAt": "2026-11-02T09:14:07Z",
        "currency": "EUR",
        "customer": {
            "customerId": "C10042", "name": "Ada Example", "email": "ada@customer.example", "phone": "+4930123456",
        },
        "billTo": address,
        "delivery": {"method": "parcel", "service": "express", "address": address},
        "lines": (0..7).map(line).collect::<Vec<_>>(),
        "payment": {
            "method": "marketplace", "amount": "517.03", "reference": "pay_88213", "paidAt": "2026-11-02T09:14:05Z",
        },
        "note": "Please ring twice and leave it with the neighbour on the second floor if nobody answers.",
    })
}

/// The order as taken: 1 KB.
fn taken() -> Value {
    let line = |number: usize| {
        json!({
            "sku": format!("SHIRT-BLUE-{number:03}"),
            "quantity": number + 1,
            "unitPrice": "19.95",
            "delivered": 0,
            "reference": format!("ACME-2026-004711-{number:02}"),
        })
    };
    json!({
        "orderId": "S00042",
        "reference": "ACME-2026-004711",
        "channel": "acme",
        "status": "received",
        "placedAt": "2026-11-02T09:14:07Z",
        "updatedAt": "2026-11-02T09:14:08Z",
        "total": {"amount": "517.03", "currency": "EUR"},
        "lines": (0..7).map(line).collect::<Vec<_>>(),
    })
}

/// Two products at one location.
fn levels() -> Value {
    let level = |sku: &str| {
        json!({
            "sku": sku, "location": "BER-01", "onHand": 12, "reserved": 3, "available": 9,
            "expected": {"quantity": 240, "date": "2026-11-09"}, "countedAt": "2026-11-02T06:00:00Z",
        })
    };
    json!({"levels": [level("MUG-0042"), level("SHIRT-BLUE-M")]})
}

/// Longer than any run.
const TOKEN_LIFETIME_S: i64 = 6 * 3600;
/// The most there is, and more than any run asks for: a million for each second.
const QUOTA: &str = "60000000";
const PLAN: &str = "{ windows: [{ name: burst, quota: 60000000, window: 60s }, \
                    { name: daily, quota: 60000000, window: 1d }], concurrency: 1000 }";
const LIMITS: &str = "\
plans:
  marketplace: PLAN
  carrier: PLAN
  internal: PLAN
  bot: PLAN
  people: PLAN
addresses: { quota: 1000000, window: 60s }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_those_that_are_told() {
        for (value, size) in [(order(), 2048), (taken(), 1024)] {
            let length = value.to_string().len();
            assert!(length.abs_diff(size) < size / 10, "{length} for {size}");
        }
    }

    #[tokio::test]
    async fn only_the_expected_answer_is_good() {
        let world = World::new().await;
        for scenario in Scenario::value_variants() {
            let workload = Workload::new(*scenario, &world);
            workload.judge(&answer(scenario.is_order()));
            for other in [answer(!scenario.is_order()), b"HTTP/1.1 500 No\r\n\r\n".to_vec()] {
                assert!(std::panic::catch_unwind(|| workload.judge(&other)).is_err(), "{scenario}");
            }
        }
    }
}
