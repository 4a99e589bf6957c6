//! Whole calls against upstreams that misbehave on cue.

use super::super::Upstreams;
use super::super::error::Breakage;
use super::super::fake::{self, Authority, Fake, H2, Step};
use super::super::health::UPSTREAM;
use super::super::settings::{Protocol, TlsSettings};
use super::*;
use crate::keyring::{Keyring, Source};
use Step::{Fill, Hang, Read, ReadHead, Reset, Write};
use proptest::prelude::*;
use std::sync::Arc;

const OK: Step = Write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
/// Long enough that only a hang reaches it.
const LONG: Duration = Duration::from_secs(20);
/// Short enough to wait for.
const SHORT: Duration = Duration::from_millis(150);

fn upstream(settings: UpstreamSettings) -> Upstream {
    Upstream::new(settings, &Keyring::new(), Connections::new()).unwrap()
}

fn at(addresses: &[SocketAddr]) -> UpstreamSettings {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    fake::settings(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

async fn plain(scripts: &[&[Step]]) -> (Fake, Upstream) {
    let fake = Fake::plain(scripts).await;
    let upstream = upstream(at(&[fake.address]));
    (fake, upstream)
}

/// An address nobody listens at.
async fn nobody() -> SocketAddr {
    tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

struct Asked {
    method: Method,
    body: &'static [u8],
    within: Duration,
    max: usize,
    repeatable: Repeatable,
}

const GET: Asked =
    Asked { method: Method::GET, body: b"", within: LONG, max: 1 << 20, repeatable: Repeatable::Yes };
const POST: Asked = Asked { method: Method::POST, body: b"order", repeatable: Repeatable::No, ..GET };

impl Asked {
    async fn of(self, upstream: &Upstream) -> Result<Reply, UpstreamError> {
        let call = Call {
            method: &self.method,
            path_and_query: "/json/2/sale.order/create?x=1",
            headers: HeaderMap::from_iter([(http::header::ACCEPT, HeaderValue::from_static("*/*"))]),
            body: Bytes::from_static(self.body),
            deadline: Instant::now() + self.within,
            response_bytes_max: self.max,
            repeatable: self.repeatable,
        };
        upstream.call(call).await
    }
}

/// One GET to an upstream that plays `script`.
async fn get(scripts: &[&[Step]]) -> Result<Reply, UpstreamError> {
    let (_fake, upstream) = plain(scripts).await;
    GET.of(&upstream).await
}

async fn check_body(scripts: &[&[Step]], expected: &str) {
    let reply = get(scripts).await;
    let body = reply.as_ref().map(|reply| String::from_utf8_lossy(&reply.body).into_owned());
    assert_eq!(body.as_deref(), Ok(expected), "{scripts:?}");
}

async fn check_fault(scripts: &[&[Step]], expected: Fault) {
    let reply = get(scripts).await;
    assert_eq!(reply.err().map(|error| error.fault), Some(expected), "{scripts:?}");
}

#[tokio::test]
async fn an_answer_is_read_whole_in_each_framing() {
    check_body(&[&[Read, OK]], "hello").await;
    check_body(&[&[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), Write("llo")]], "hello")
        .await;
    check_body(&[&[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]], "").await;
    let chunked =
        Write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    check_body(&[&[Read, chunked]], "hello").await;
    check_body(&[&[Read, Write("HTTP/1.1 200 OK\r\n\r\nhel"), Write("lo")]], "hello").await;
    check_body(&[&[Read, Write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")]], "hello").await;
    check_body(&[&[Read, Write("HTTP/1.0 200 OK\r\n\r\nhello")]], "hello").await;
    check_body(&[&[Read, Write("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")]], "hello").await;
}

#[tokio::test]
async fn interim_answers_are_left_behind() {
    let twice = Write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    check_body(&[&[Read, twice, OK]], "hello").await;
    let hints =
        Write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    check_body(&[&[Read, hints]], "").await;
}

#[tokio::test]
async fn interim_answers_without_end_are_broken() {
    const CONTINUE: Step = Write("HTTP/1.1 100 Continue\r\n\r\n");
    const SCRIPT: &[Step] =
        &[Read, CONTINUE, CONTINUE, CONTINUE, CONTINUE, CONTINUE, CONTINUE, CONTINUE, CONTINUE, Hang];
    check_fault(&[SCRIPT], Fault::Broken(Breakage::Interim)).await;
    let switching = Write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    check_fault(&[&[Read, switching, Hang]], Fault::Broken(Breakage::Interim)).await;
}

#[tokio::test]
async fn an_answer_without_content_ends_with_its_head() {
    for status in ["204 No Content", "304 Not Modified"] {
        let text: &'static str = format!("HTTP/1.1 {status}\r\n\r\n").leak();
        check_body(&[&[Read, Write(text), Hang]], "").await;
    }
    let (_fake, upstream) =
        plain(&[&[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"), Hang]]).await;
    let reply = Asked { method: Method::HEAD, max: 10, ..GET }.of(&upstream).await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 0));
    assert_eq!(reply.headers["content-length"], "9999999");
}

#[tokio::test]
async fn an_ambiguous_answer_is_broken() {
    for (fields, breakage) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", Breakage::Framing),
        ("Content-Length: 5\r\nContent-Length: 5", Breakage::Framing),
        ("Content-Length: 5\r\nContent-Length: 6", Breakage::Head),
        ("Content-Length: five", Breakage::Head),
        ("Transfer-Encoding: gzip, chunked", Breakage::Framing),
        ("Content-Length: 5\r\nContent-Encoding: gzip", Breakage::Coding),
        ("X: a\r\n b\r\nContent-Length: 5", Breakage::Head),
        ("no colon", Breakage::Head),
    ] {
        let text: &'static str = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello").leak();
        check_fault(&[&[Read, Write(text)]], Fault::Broken(breakage)).await;
    }
    check_fault(&[&[Read, Write("SSH-2.0-OpenSSH\r\n\r\n")]], Fault::Broken(Breakage::Head)).await;
}

#[tokio::test]
async fn a_cut_or_malformed_body_is_broken() {
    let cut = Fault::Broken(Breakage::Body);
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        check_fault(&[&[Read, Write(text)]], cut).await;
    }
    check_fault(&[&[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), Reset]], cut).await;
}

#[tokio::test]
async fn an_answer_larger_than_allowed_is_not_read_to_its_end() {
    let check = async |head: &'static str, expected: Option<Fault>| {
        let (_fake, upstream) = plain(&[&[Read, Write(head), Fill(1 << 16)]]).await;
        let got = Asked { max: (1 << 16) - 1, ..GET }.of(&upstream).await;
        assert_eq!(got.err().map(|error| error.fault), expected, "{head:?}");
    };
    check("HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n", Some(Fault::TooLarge)).await;
    check("HTTP/1.1 200 OK\r\n\r\n", Some(Fault::TooLarge)).await;
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n", Some(Fault::TooLarge)).await;
    check("HTTP/1.1 200 OK\r\nContent-Length: 65535\r\n\r\n", None).await;
}

#[tokio::test]
async fn a_head_without_end_is_broken() {
    check_fault(
        &[&[Read, Write("HTTP/1.1 200 OK\r\nX: "), Fill(4 << 20), Hang]],
        Fault::Broken(Breakage::Head),
    )
    .await;
}

#[tokio::test]
async fn the_deadline_ends_a_call_wherever_it_is() {
    let check = async |script: &[Step], fault: Fault, effect: Effect| {
        let (_fake, upstream) = plain(&[script]).await;
        let error = Asked { within: SHORT, ..GET }.of(&upstream).await.unwrap_err();
        assert_eq!((error.fault, error.effect, error.attempts), (fault, effect, 1), "{script:?}");
    };
    check(&[Read, Hang], Fault::Deadline, Effect::Possible).await;
    check(&[Read, Write("HTTP/1.1 200"), Hang], Fault::Deadline, Effect::Possible).await;
    check(
        &[Read, Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), Hang],
        Fault::Deadline,
        Effect::Possible,
    )
    .await;
    check(&[Read, Write("HTTP/1.1 200 OK\r\n\r\nx"), Hang], Fault::Deadline, Effect::Possible).await;
}

#[tokio::test]
async fn an_upstream_that_does_not_begin_to_answer_is_left_before_the_deadline() {
    let fake = Fake::plain(&[&[Read, Hang]]).await;
    let upstream = upstream(UpstreamSettings { first_byte_timeout: SHORT, ..at(&[fake.address]) });
    let error = GET.of(&upstream).await.unwrap_err();
    assert_eq!((error.fault, error.effect), (Fault::FirstByte, Effect::Possible));
    assert_eq!(error.reason(), "upstream_first_byte");
}

#[tokio::test]
async fn a_request_that_takes_too_long_to_send_ends_at_the_deadline() {
    let (_fake, upstream) = plain(&[&[ReadHead, Hang]]).await;
    let body: &'static [u8] = vec![b'x'; 32 << 20].leak();
    let error = Asked { body, within: SHORT, ..POST }.of(&upstream).await.unwrap_err();
    assert_eq!((error.fault, error.effect), (Fault::Deadline, Effect::Possible));
}

#[tokio::test]
async fn an_answer_before_the_whole_request_is_taken_and_its_connection_is_not_used_again() {
    let early = Write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    let (fake, upstream) = plain(&[&[ReadHead, early], &[Read, OK]]).await;
    let body: &'static [u8] = vec![b'x'; 32 << 20].leak();
    let reply = Asked { body, ..POST }.of(&upstream).await.unwrap();
    assert_eq!((reply.status, reply.attempts), (StatusCode::PAYLOAD_TOO_LARGE, 1));
    assert_eq!(POST.of(&upstream).await.unwrap().status, StatusCode::OK);
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_request_goes_out_with_its_framing_and_authority() {
    let (fake, upstream) = plain(&[&[Read, OK, Read, OK]]).await;
    let reply = POST.of(&upstream).await.unwrap();
    assert_eq!((reply.bytes_out, reply.bytes_in, reply.attempts), (5, 5, 1));
    assert_eq!(reply.address, fake.address);
    assert!(reply.first_byte <= reply.total);
    GET.of(&upstream).await.unwrap();
    assert_eq!(
        fake.requests(),
        [
            "POST /json/2/sale.order/create?x=1 HTTP/1.1\r\naccept: */*\r\nHost: odoo.test\r\nContent-Length: 5\r\n\r\norder",
            "GET /json/2/sale.order/create?x=1 HTTP/1.1\r\naccept: */*\r\nHost: odoo.test\r\n\r\n",
        ]
    );
}

#[tokio::test]
async fn bodies_and_targets_are_not_shown() {
    let (_fake, upstream) =
        plain(&[&[Read, Write("HTTP/1.1 200 OK\r\nX-Name: Jane\r\nContent-Length: 4\r\n\r\nJane")]]).await;
    let reply = POST.of(&upstream).await.unwrap();
    let call = Call {
        method: &Method::PUT,
        path_and_query: "/customers?name=Jane",
        headers: HeaderMap::from_iter([(http::header::FROM, HeaderValue::from_static("Jane"))]),
        body: Bytes::from_static(b"Jane"),
        deadline: Instant::now(),
        response_bytes_max: 1,
        repeatable: Repeatable::Yes,
    };
    let shown = format!("{reply:?} {call:?}");
    assert!(!shown.contains("Jane") && !shown.contains("74, 97"), "{shown}");
}

#[tokio::test]
async fn a_connection_is_used_again_only_after_a_clean_answer() {
    let check = async |answer: &'static str, connections: usize| {
        let (fake, upstream) = plain(&[&[Read, Write(answer), Read, OK]]).await;
        drop(GET.of(&upstream).await);
        drop(Asked { within: SHORT, ..GET }.of(&upstream).await);
        assert_eq!(fake.connections(), connections, "{answer:?}");
    };
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1).await;
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1).await;
    check("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 2).await;
    check("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 2).await;
    // More than was said: what follows may be the answer to somebody else's request.
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 2)
        .await;
    check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 2).await;
}

#[tokio::test]
async fn a_stale_pooled_connection_is_replaced_where_nothing_can_have_been_done() {
    // Closed only when the second request arrives: no look at the idle connection can know.
    const STALE: &[&[Step]] = &[&[Read, OK, Read], &[Read, OK]];
    let (fake, upstream) = plain(STALE).await;
    GET.of(&upstream).await.unwrap();
    let reply = GET.of(&upstream).await.unwrap();
    assert_eq!((reply.attempts, fake.connections()), (2, 2));

    let (fake, upstream) = plain(STALE).await;
    GET.of(&upstream).await.unwrap();
    let error = POST.of(&upstream).await.unwrap_err();
    assert_eq!((error.fault, error.maybe_done(), error.attempts), (Fault::Closed, true, 1));
    assert_eq!(fake.requests().len(), 2);
}

#[tokio::test]
async fn an_upstream_that_closes_after_each_answer_serves_call_after_call() {
    let (fake, upstream) =
        plain(&[&[Read, Write("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")]]).await;
    for n in 1..=3 {
        assert_eq!(POST.of(&upstream).await.unwrap().attempts, 1);
        assert_eq!(fake.connections(), n);
    }
}

#[tokio::test]
async fn a_new_connection_closed_without_answer_is_tried_elsewhere_only_if_repeatable() {
    let silent = Fake::plain(&[&[Read]]).await;
    let good = Fake::plain(&[&[Read, OK]]).await;
    let reply = GET.of(&upstream(at(&[silent.address, good.address]))).await.unwrap();
    assert_eq!((reply.attempts, reply.address), (2, good.address));
    let error = POST.of(&upstream(at(&[silent.address, good.address]))).await.unwrap_err();
    assert_eq!((error.fault, error.maybe_done(), error.attempts), (Fault::Closed, true, 1));
    let error = GET.of(&upstream(at(&[silent.address]))).await.unwrap_err();
    assert_eq!((error.fault, error.attempts), (Fault::Closed, 1));
}

#[tokio::test]
async fn a_refused_connection_is_tried_elsewhere_whatever_the_request() {
    let good = Fake::plain(&[&[Read, OK]]).await;
    let upstream = upstream(at(&[nobody().await, good.address]));
    let reply = POST.of(&upstream).await.unwrap();
    assert_eq!((reply.attempts, reply.address), (2, good.address));
}

#[tokio::test]
async fn an_address_that_refuses_is_put_out_and_reported() {
    let address = nobody().await;
    let upstream = upstream(at(&[address]));
    for _ in 0..2 {
        let error = POST.of(&upstream).await.unwrap_err();
        assert_eq!((error.fault, error.maybe_done()), (Fault::Unreachable, false));
        assert_eq!((error.attempts, error.address), (1, Some(address)));
    }
    let state = upstream.health(Instant::now());
    assert!(matches!(state[0].standing, Standing::Out { .. }));
    assert_eq!(state[0].in_flight, 0);
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_left_alone_for_a_while() {
    let upstream = upstream(at(&[nobody().await]));
    for _ in 0..UPSTREAM.failures_max {
        assert_eq!(POST.of(&upstream).await.unwrap_err().fault, Fault::Unreachable);
    }
    let error = POST.of(&upstream).await.unwrap_err();
    assert_eq!((error.fault, error.maybe_done(), error.attempts), (Fault::Open, false, 0));
    assert!(matches!(upstream.standing(Instant::now()), Standing::Out { .. }));
}

#[tokio::test]
async fn a_call_whose_time_is_up_is_not_begun() {
    let (fake, upstream) = plain(&[&[Read, OK]]).await;
    let error = Asked { within: Duration::ZERO, ..GET }.of(&upstream).await.unwrap_err();
    assert_eq!((error.fault, error.maybe_done(), error.attempts), (Fault::Deadline, false, 0));
    assert_eq!(fake.connections(), 0);
}

#[test]
fn only_a_missing_answer_speaks_against_an_address() {
    let check = |fault, connection, expected: Verdict| {
        let failure = Failure { fault, effect: Effect::None, connection, cause: None };
        assert_eq!(verdict(&failure), expected, "{failure:?}");
    };
    use Connection::{Missing, New, Pooled};
    check(Fault::Unreachable, Missing, Verdict::Failed);
    check(Fault::Tls, Missing, Verdict::Failed);
    check(Fault::Deadline, Missing, Verdict::Failed);
    check(Fault::Closed, New, Verdict::Failed);
    check(Fault::Closed, Pooled, Verdict::Silent);
    check(Fault::Deadline, New, Verdict::Silent);
    check(Fault::FirstByte, New, Verdict::Silent);
    check(Fault::Broken(Breakage::Body), New, Verdict::Answered);
    check(Fault::TooLarge, Pooled, Verdict::Answered);
}

#[tokio::test]
async fn an_upstream_without_a_known_address_is_unreachable() {
    let error = GET.of(&upstream(fake::settings(&["nowhere.invalid:80"]))).await.unwrap_err();
    assert_eq!((error.fault, error.attempts, error.address), (Fault::Unreachable, 0, None));
}

#[tokio::test]
async fn no_more_calls_than_allowed_are_on_their_way() {
    let fake = Fake::plain(&[&[Read, Hang]]).await;
    let upstream = Arc::new(upstream(UpstreamSettings { in_flight_max: 1, ..at(&[fake.address]) }));
    let held = tokio::spawn({
        let upstream = Arc::clone(&upstream);
        async move { GET.of(&upstream).await.map(drop) }
    });
    while fake.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    let error = GET.of(&upstream).await.unwrap_err();
    assert_eq!((error.fault, error.maybe_done(), error.attempts), (Fault::Busy, false, 0));
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    assert_eq!(upstream.permits.available_permits(), 1);
    assert_eq!(upstream.health(Instant::now())[0].in_flight, 0);
}

#[tokio::test]
async fn a_target_that_is_no_path_is_not_sent() {
    let (fake, upstream) = plain(&[&[Read, OK]]).await;
    for path_and_query in ["", "x", "http://other/", "*", "/a#b", "/a b", "/a\r\nX: y"] {
        let call = Call {
            method: &Method::GET,
            path_and_query,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            deadline: Instant::now() + LONG,
            response_bytes_max: 1,
            repeatable: Repeatable::Yes,
        };
        let error = upstream.call(call).await.unwrap_err();
        assert_eq!((error.fault, error.maybe_done()), (Fault::Unsendable, false), "{path_and_query:?}");
    }
    assert_eq!(fake.connections(), 0);
}

fn trusting(authority: &Authority, address: SocketAddr) -> UpstreamSettings {
    let roots = Source::Given(vec![authority.pem()]);
    let tls = TlsSettings { server_name: "odoo.test".into(), roots, client: None };
    UpstreamSettings { tls: Some(tls), ..at(&[address]) }
}

#[tokio::test]
async fn an_upstream_is_believed_only_with_the_right_name_authority_and_date() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let check = async |issued: fake::Issued, expected: Result<(), Fault>| {
        let fake = Fake::tls(&[&[Read, OK]], issued.server(None)).await;
        let got = GET.of(&upstream(trusting(&ours, fake.address))).await;
        assert_eq!(got.map(drop).map_err(|error| error.fault), expected);
        assert_eq!(fake.requests().len(), usize::from(expected.is_ok()));
    };
    check(ours.issue("odoo.test"), Ok(())).await;
    check(ours.issue("other.test"), Err(Fault::Tls)).await;
    check(theirs.issue("odoo.test"), Err(Fault::Tls)).await;
    check(ours.issue_expired("odoo.test"), Err(Fault::Tls)).await;
}

#[tokio::test]
async fn a_connection_one_upstream_believes_is_not_used_by_another() {
    let (right, wrong) = (Authority::new(), Authority::new());
    let fake = Fake::tls(&[&[Read, OK, Read, OK]], right.issue("odoo.test").server(None)).await;
    let settings = |name: &str, authority: &Authority| UpstreamSettings {
        name: name.into(),
        ..trusting(authority, fake.address)
    };
    let upstreams =
        Upstreams::new(vec![settings("a", &right), settings("b", &wrong)], &Keyring::new(), None).unwrap();
    let [a, b] = ["a", "b"].map(|name| upstreams.upstream(upstreams.id(name).unwrap()).unwrap());
    assert!(GET.of(a).await.is_ok());
    assert_eq!(GET.of(b).await.unwrap_err().fault, Fault::Tls);
    // Nor by the same upstream once it believes another authority.
    let after = Upstreams::new(vec![settings("a", &wrong)], &Keyring::new(), Some(&upstreams)).unwrap();
    assert_eq!(GET.of(after.upstream(after.id("a").unwrap()).unwrap()).await.unwrap_err().fault, Fault::Tls);
    assert!(GET.of(a).await.is_ok());
    assert_eq!(fake.connections(), 3);
}

#[tokio::test]
async fn a_plain_server_behind_a_tls_setting_gets_no_request() {
    let fake = Fake::plain(&[&[Write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Hang]]).await;
    let error = GET.of(&upstream(trusting(&Authority::new(), fake.address))).await.unwrap_err();
    assert_eq!((error.fault, error.maybe_done()), (Fault::Tls, false));
}

#[tokio::test]
async fn the_gateway_shows_its_own_certificate_where_one_is_set() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let fake = Fake::tls(&[&[Read, OK]], servers.issue("odoo.test").server(Some(&clients))).await;
    let mut settings = trusting(&servers, fake.address);
    assert!(GET.of(&upstream(settings.clone())).await.is_err());
    let own = clients.issue("gateway.test");
    settings.tls = settings.tls.map(|tls| TlsSettings {
        client: Some(Source::Given(vec![own.chain_pem().into_bytes(), own.key_pem().into_bytes()])),
        ..tls
    });
    assert_eq!(GET.of(&upstream(settings)).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn http_2_is_spoken_in_the_clear_and_over_tls_on_one_connection() {
    let authority = Authority::new();
    for tls in [false, true] {
        let server = tls.then(|| authority.issue("odoo.test").server(None));
        let (address, connections) = fake::h2(H2::Echo, server).await;
        let settings = if tls { trusting(&authority, address) } else { at(&[address]) };
        let upstream = upstream(UpstreamSettings { protocol: Protocol::Http2, ..settings });
        for _ in 0..3 {
            let reply = POST.of(&upstream).await.unwrap();
            assert_eq!((&reply.body[..], reply.attempts), (&b"order"[..], 1));
            assert_eq!(reply.headers["x-authority"], "odoo.test");
        }
        assert_eq!(GET.of(&upstream).await.unwrap().body.len(), 0);
        assert_eq!(connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_server_without_http_2_is_spoken_to_in_http_1() {
    let authority = Authority::new();
    let fake = Fake::tls(&[&[Read, OK]], authority.issue("odoo.test").server(None)).await;
    let settings = UpstreamSettings { protocol: Protocol::Http2, ..trusting(&authority, fake.address) };
    assert_eq!(&GET.of(&upstream(settings)).await.unwrap().body[..], b"hello");
}

#[tokio::test]
async fn http_2_faults_are_told_apart() {
    let check = async |behaviour, expected: Result<u32, (Fault, Effect)>| {
        let (address, _) = fake::h2(behaviour, None).await;
        let upstream = upstream(UpstreamSettings { protocol: Protocol::Http2, ..at(&[address]) });
        let got = POST.of(&upstream).await;
        let got = got.map(|reply| reply.attempts).map_err(|error| (error.fault, error.effect));
        assert_eq!(got, expected, "{behaviour:?}");
    };
    // RFC 9113 section 8.7: a refused stream was not processed, so even a POST is sent again.
    check(H2::RefuseFirst, Ok(2)).await;
    check(H2::Reset, Err((Fault::Closed, Effect::Possible))).await;
    check(H2::Cut, Err((Fault::Broken(Breakage::Body), Effect::Possible))).await;
}

#[test]
fn a_request_is_sent_again_only_where_that_changes_nothing() {
    let check = |fault, effect, connection, no: Again, yes: Again| {
        let failure = Failure { fault, effect, connection, cause: None };
        assert_eq!(again(&failure, Repeatable::No), no, "{failure:?}");
        assert_eq!(again(&failure, Repeatable::Yes), yes, "{failure:?}");
    };
    use Again::{Anywhere, Elsewhere, Never};
    use Connection::{Missing, New, Pooled};
    check(Fault::Unreachable, Effect::None, Missing, Elsewhere, Elsewhere);
    check(Fault::Tls, Effect::None, Missing, Elsewhere, Elsewhere);
    check(Fault::Closed, Effect::None, Pooled, Anywhere, Anywhere);
    check(Fault::Closed, Effect::None, New, Anywhere, Anywhere);
    check(Fault::Closed, Effect::Possible, Pooled, Never, Anywhere);
    check(Fault::Closed, Effect::Possible, New, Never, Elsewhere);
    for fault in [Fault::Deadline, Fault::FirstByte, Fault::TooLarge, Fault::Broken(Breakage::Body)] {
        check(fault, Effect::Possible, Pooled, Never, Never);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Parts of answers in any order and in any number of pieces: a call always ends, without a panic,
    /// and an answer it gives keeps to the limit.
    #[test]
    fn whatever_an_upstream_sends_the_call_ends(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..12),
        first_piece in 0_usize..12,
    ) {
        let (before, after) = parts.split_at(first_piece.min(parts.len()));
        let (before, after): (&'static str, &'static str) = (before.concat().leak(), after.concat().leak());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let got = runtime.block_on(async {
            let (_fake, upstream) = plain(&[&[Read, Write(before), Write(after)]]).await;
            Asked { max: 12, ..GET }.of(&upstream).await
        });
        if let Ok(reply) = got {
            prop_assert!(reply.body.len() <= 12 && !reply.status.is_informational());
        }
    }
}

const PARTS: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.0 204 No Content\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "HTTP/1.1 999 \r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Connection: close\r\n",
    "Trailer: x\r\n",
    "\r\n",
    "\r",
    "\n",
    "hello",
    "5\r\nhello\r\n",
    "5;a=b\r\nhello\r\n",
    "5\r\nhel",
    "lo\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "-1\r\n",
    "\0",
];
