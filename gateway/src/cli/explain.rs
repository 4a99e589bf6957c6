//! `gateway explain`: what would happen to a request, step by step, and why? Nothing is sent.

mod assurance;
mod lifecycle;
mod policies;
mod request;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Args;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request};
use jiff::Timestamp;

use super::Settings;
use crate::contract::{self, Matched, Operation, Target};
use crate::identity::{CallerProfile, Demand, Kind, Proof};
use crate::policy::{CertificateFacts, Circumstances, ClaimValue, Deprecation, Principal, TokenFacts};
use crate::snapshot::{Route, Snapshot};
use crate::telemetry::Metrics;
use assurance::Assurance;

/// Say step by step what the gateway would do with a request, and why.
///
/// Exit code 0: it would be sent to the upstream. 1: it would be refused, and the step says why.
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    settings: Settings,
    /// Who calls: an id of callers.yaml. Absent: nobody in particular.
    #[arg(long)]
    caller: Option<String>,
    /// The method.
    #[arg(long, default_value = "GET")]
    method: Method,
    /// Path and query: /stock/v1/items/SHIRT-1?location=BER
    #[arg(long)]
    path: String,
    /// A scope of the caller's token; several times for several. With one there is a token.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// That the caller shows its client certificate.
    #[arg(long)]
    certificate: bool,
    #[command(flatten)]
    assurance: Assurance,
    /// A claim of the token that policies use: name=value
    #[arg(long = "claim", value_parser = pair)]
    claims: Vec<(String, String)>,
    /// A header field: "Name: value"
    #[arg(long = "header", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The client's address.
    #[arg(long, default_value = "192.0.2.1")]
    address: IpAddr,
    /// When. Default: now.
    #[arg(long)]
    time: Option<Timestamp>,
    /// A file with the body. A JSON body unless a Content-Type header says otherwise.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

/// A step that ends the path.
struct Refused;

impl Explain {
    pub(super) fn run(self) -> ExitCode {
        let snapshot = match Snapshot::load(&self.settings.config, None, &Metrics::new()) {
            Ok((snapshot, _)) => snapshot,
            Err(mistakes) => {
                eprintln!("{mistakes}");
                return ExitCode::FAILURE;
            }
        };
        match self.steps(&snapshot) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Refused) => ExitCode::FAILURE,
        }
    }

    fn steps(&self, snapshot: &Snapshot) -> Result<(), Refused> {
        let (parts, body) = self.request()?;
        let target = Target::parse(&parts.uri)
            .map_err(|fault| refuse("target", &format!("{fault} (400 malformed-request)")))?;
        let now = snapshot.lifecycle_time(self.now());
        let version = snapshot
            .contracts()
            .choose(&target, &parts.headers, now)
            .map_err(|none| lifecycle::unmatched(&none))?;
        let target = version.strip(target);
        let (matched, route) = snapshot
            .find(&version, &parts.method, &target)
            .map_err(|rejection| refuse("match", rejection.reason()))?;
        let operation = matched.operation();
        say("match", &format!("{} ({} {})", operation.name(), operation.method(), operation.template()));
        lifecycle::comes(snapshot, &matched, now)?;
        let profile = self.identify(snapshot, operation, route.demand())?;
        lifecycle::stays(snapshot, &matched, profile, self.address, now)?;
        serves(profile, operation)?;
        self.scopes(profile, operation)?;
        let person = profile.filter(|_| !operation.security().is_empty());
        let token = self.is_asked_for_its_token(route.demand());
        self.assurance.check_sign_in(snapshot.identities(), person, route.demand(), token, self.now())?;
        self.authorise(snapshot, &matched, &target, profile)?;
        limits(snapshot, &route, profile);
        request::check(operation, &matched, &target, (&parts, &body), now)?;
        upstream(&route, &target);
        Ok(())
    }

    fn request(&self) -> Result<(Parts, Bytes), Refused> {
        let body = match &self.body {
            None => Bytes::new(),
            Some(file) => {
                let read =
                    std::fs::read(file).map_err(|e| refuse("body", &format!("{}: {e}", file.display())))?;
                Bytes::from(read)
            }
        };
        let mut request = Request::builder().method(self.method.clone()).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.header(http::header::CONTENT_LENGTH, body.len());
            if !self.headers.iter().any(|(name, _)| *name == http::header::CONTENT_TYPE) {
                request = request.header(http::header::CONTENT_TYPE, "application/json");
            }
        }
        let request = request.body(()).map_err(|fault| refuse("target", &fault.to_string()))?;
        Ok((request.into_parts().0, body))
    }

    fn now(&self) -> Timestamp {
        self.time.unwrap_or_else(Timestamp::now)
    }

    /// The caller, assumed to prove itself with what the arguments say it shows.
    fn identify<'s>(
        &self,
        snapshot: &'s Snapshot,
        operation: &Operation,
        demand: &Demand,
    ) -> Result<Option<&'s CallerProfile>, Refused> {
        let asked: Vec<String> = operation.security().iter().map(alternative).collect();
        let asked = if asked.is_empty() { "nothing: it is public".to_owned() } else { asked.join(", or ") };
        say("identify", &format!("asks for {asked}"));
        let profile = match &self.caller {
            None => None,
            Some(id) => {
                let profile = snapshot.identities().callers().by_id(id);
                let profile = profile.ok_or_else(|| {
                    let known: Vec<&str> =
                        snapshot.identities().callers().iter().map(|profile| profile.id.as_str()).collect();
                    refuse(
                        "identify",
                        &format!("`{id}` is not in callers.yaml; there are {}", known.join(", ")),
                    )
                })?;
                Some(&**profile)
            }
        };
        let identities = snapshot.identities();
        assurance::tell(identities, profile, operation.settings().kinds.iter().map(kind), demand);
        if let Some(profile) = profile.filter(|_| self.is_asked_for_its_token(demand))
            && assurance::token_proofs(profile).next().is_none()
        {
            let told = format!("{} is known by no token in callers.yaml (403 caller-unknown)", profile.id);
            return Err(refuse("", &told));
        }
        let certificate = self.is_known_by_its_certificate(profile);
        let shown = |requirement: &contract::Requirement| {
            (requirement.token.is_none() || self.has_token()) && (!requirement.certificate || certificate)
        };
        let enough = operation.security().is_empty() || operation.security().iter().any(shown);
        let proved = profile.is_some()
            || operation.security().iter().all(|one| one.token.is_none() && !one.certificate);
        if enough && proved {
            let who =
                profile.map_or_else(|| "anonymous".to_owned(), |p| format!("{} ({})", p.id, p.kind.as_str()));
            say("", &format!("{who}, with {}", self.proofs()));
            if let Some(profile) = profile.filter(|_| self.is_asked_for_its_token(demand)) {
                self.assurance.check_binding(identities, profile, demand, self.certificate)?;
            }
            return Ok(profile);
        }
        let stranger = match (profile, self.certificate && !certificate) {
            (Some(profile), true) => {
                format!("{} is known by no certificate in callers.yaml, and ", profile.id)
            }
            (Some(_), false) | (None, _) => String::new(),
        };
        let proofs = self.proofs();
        let told = format!("{stranger}{proofs} is not enough (401 or 403); see --scope and --certificate");
        Err(refuse("", &told))
    }

    /// Whether there is a certificate, and it is one by which callers are known.
    fn is_known_by_its_certificate(&self, profile: Option<&CallerProfile>) -> bool {
        let is_certificate = |proof: &Proof| matches!(proof, Proof::Certificate(_));
        self.certificate && profile.is_none_or(|profile| profile.proofs.iter().any(is_certificate))
    }

    /// Whether there is a token, and anybody looks at it.
    fn is_asked_for_its_token(&self, demand: &Demand) -> bool {
        self.has_token() && demand.asked.iter().any(|one| one.token)
    }

    fn has_token(&self) -> bool {
        !self.scopes.is_empty() || !self.claims.is_empty() || self.assurance.is_of_a_token()
    }

    fn proofs(&self) -> &'static str {
        match (self.has_token(), self.certificate) {
            (true, true) => "a token and a certificate",
            (true, false) => "a token",
            (false, true) => "a certificate",
            (false, false) => "no proof",
        }
    }

    fn scopes(&self, profile: Option<&CallerProfile>, operation: &Operation) -> Result<(), Refused> {
        let certificate = self.is_known_by_its_certificate(profile);
        let present = if self.scopes.is_empty() { "none".to_owned() } else { self.scopes.join(" ") };
        let held = |requirement: &contract::Requirement| {
            (!requirement.certificate || certificate)
                && requirement.token.as_ref().is_none_or(|wanted| {
                    self.has_token()
                        && wanted.iter().all(|scope| self.scopes.iter().any(|held| held == scope))
                })
        };
        if operation.security().is_empty() || operation.security().iter().any(held) {
            say("scopes", &format!("present: {present}"));
            return Ok(());
        }
        Err(refuse(
            "scopes",
            &format!("present: {present}: not those of any alternative (403 insufficient-scope)"),
        ))
    }

    fn authorise(
        &self,
        snapshot: &Snapshot,
        matched: &Matched,
        target: &Target,
        profile: Option<&CallerProfile>,
    ) -> Result<(), Refused> {
        let claims: BTreeMap<&str, ClaimValue<'_>> =
            self.claims.iter().map(|(name, value)| (name.as_str(), claim(value))).collect();
        let token = TokenFacts {
            issuer: "explained",
            client_id: self.caller.as_deref(),
            scopes: self.scopes.iter().map(String::as_str).collect(),
            claims: claims.into_iter().collect(),
            ..TokenFacts::default()
        };
        let deprecated = matched.operation().lifecycle().is_deprecated(snapshot.lifecycle_time(self.now()));
        let circumstances = Circumstances {
            address: self.address,
            now: self.now(),
            certificate: self.certificate.then(CertificateFacts::default),
            token: self.has_token().then_some(token),
            path: matched.path_values().collect(),
            query: target.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            deprecation: if deprecated { Deprecation::Deprecated } else { Deprecation::Current },
        };
        let principal = profile.map_or(Principal::Anonymous, |profile| Principal::Caller(profile.index));
        let explanation = snapshot.policies().explain(principal, matched.index(), &circumstances);
        policies::tell(&explanation)
    }
}

fn serves(profile: Option<&CallerProfile>, operation: &Operation) -> Result<(), Refused> {
    let served: Vec<Kind> = operation.settings().kinds.iter().map(kind).collect();
    let words = served.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    let (machines, persons) =
        (served.iter().any(|kind| kind.is_machine()), served.iter().any(|kind| !kind.is_machine()));
    let sort = match (machines, persons) {
        (true, true) => "machines and people",
        (true, false) => "machines only",
        (false, _) => "people only",
    };
    match profile {
        Some(profile) if !served.contains(&profile.kind) => {
            let kind = profile.kind.as_str();
            let message = format!("serves {words} ({sort}), not {kind} (403 kind-not-served)");
            Err(refuse("kind", &message))
        }
        _ => {
            say("kind", &format!("serves {words} ({sort})"));
            Ok(())
        }
    }
}

fn limits(snapshot: &Snapshot, route: &Route, profile: Option<&CallerProfile>) {
    let cost = route.operation().settings().cost;
    let Some(plan) = profile.and_then(|profile| snapshot.plan(profile.index)) else {
        return say("limits", "counted against the client's address");
    };
    say("limits", &format!("plan {}, this call costs {cost}, {} at once", plan.name(), plan.concurrency()));
    for window in plan.windows() {
        say("", &format!("{}: {} in {} s", window.name(), window.quota(), window.length().as_secs()));
    }
    for limit in &route.operation().settings().limits {
        say("", &format!("{}/{}: {} in {}", route.operation().name(), limit.name, limit.quota, limit.window));
    }
}

fn upstream(route: &Route, target: &Target) {
    let settings = route.operation().settings();
    let credential = route.credential().map_or("no credential", |credential| credential.name());
    let name = route.upstream().name();
    say("upstream", &format!("{name} at {}, with {credential}", route.upstream_target(target)));
    say(
        "",
        &format!(
            "within {} s; the answer is checked: {:?}",
            settings.deadline.as_secs(),
            settings.strictness
        ),
    );
}

fn alternative(requirement: &contract::Requirement) -> String {
    let token = requirement.token.as_ref().map(|scopes| {
        let scopes: Vec<&str> = scopes.iter().collect();
        if scopes.is_empty() { "a token".to_owned() } else { format!("a token with {}", scopes.join(" ")) }
    });
    match (token, requirement.certificate) {
        (Some(token), true) => format!("{token} and a client certificate"),
        (Some(token), false) => token,
        (None, true) => "a client certificate".to_owned(),
        (None, false) => "nothing".to_owned(),
    }
}

const fn kind(written: contract::Kind) -> Kind {
    match written {
        contract::Kind::Partner => Kind::Partner,
        contract::Kind::Service => Kind::Service,
        contract::Kind::Bot => Kind::Bot,
        contract::Kind::Person => Kind::Person,
    }
}

/// A claim as the command line can say it.
fn claim(text: &str) -> ClaimValue<'_> {
    match text {
        "true" => ClaimValue::Boolean(true),
        "false" => ClaimValue::Boolean(false),
        _ => match text.parse() {
            Ok(integer) => ClaimValue::Integer(integer),
            Err(_) if text.contains(',') => ClaimValue::Texts(text.split(',').collect()),
            Err(_) => ClaimValue::Text(text),
        },
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write \"Name: value\"")?;
    let name = name.trim().parse().map_err(|_invalid| "this is no header name")?;
    let value = value.trim().parse().map_err(|_invalid| "this is no header value")?;
    Ok((name, value))
}

fn say(step: &str, text: &str) {
    say!("{step:<10} {text}");
}

fn refuse(step: &str, text: &str) -> Refused {
    say!("{step:<10} REFUSED: {text}");
    Refused
}
