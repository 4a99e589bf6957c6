//! How does a request end? In its record, in the counts, in the log, and for its caller.

use super::{Trail, microseconds, part, wide};
use crate::audit::{AnswerPart, CertificatePart, LifecyclePart, Outcome};
use crate::contract::{NoMatch, RequestFault};
use crate::edge::{Answer, NotTrusted};
use crate::gateway::Gateway;
use crate::identity::{ClientCertificate, IdentityError, Stranger};
use crate::policy::PolicyRefusal;
use crate::rejection::{Fault, Offer, Rejection};
use crate::retirement::Retired;
use crate::snapshot::Snapshot;
use crate::telemetry;
use crate::upstream;
use crate::usage::{Call, FieldUse};

impl Trail {
    /// Ends the request: what the record says of it, and the answer that may leave once it is recorded.
    pub(crate) fn conclude(
        &mut self,
        gateway: &Gateway,
        snapshot: &Snapshot,
        outcome: Result<Answer, Rejection>,
    ) -> Answer {
        let mut answer = match outcome {
            Ok(answer) => {
                self.decide(Outcome::Allowed, self.served);
                answer
            }
            Err(rejection) => self.refuse(gateway, snapshot, rejection),
        };
        self.told.write(&mut answer.headers);
        self.record.answer =
            Some(AnswerPart { status: answer.status.as_u16(), bytes: wide(answer.body.len()) });
        self.record.duration_us = microseconds(self.began.elapsed());
        let metrics = self.route.as_ref().map_or(&gateway.unmatched, |route| route.metrics());
        metrics.request(answer.status, counted(self.record.decision.outcome), self.began.elapsed());
        answer
    }

    /// Counts the call, whatever became of it, if it is known who made it.
    pub(crate) fn count(&self, gateway: &Gateway) {
        let Some(route) = self.route.as_ref().filter(|_| self.identified) else { return };
        self.remember_certificate(gateway);
        let operation = route.operation();
        gateway.usage().count(&Call {
            caller: self.record.caller.as_ref().map(|caller| caller.id.as_str()),
            api: operation.api(),
            version: operation.version(),
            operation: operation.name(),
            fields: &self
                .fields
                .iter()
                .map(|field| FieldUse { pointer: field.pointer(), deprecated: field.is_deprecated() })
                .collect::<Vec<_>>(),
            deprecated: operation.lifecycle().is_deprecated(self.lifecycle_time()),
            refused: self.record.decision.outcome == Outcome::Refused,
            at: self.record.time,
        });
    }

    /// A partner's certificate that ends is foreseen by the last one it showed.
    fn remember_certificate(&self, gateway: &Gateway) {
        let caller = self.record.caller.as_ref().zip(self.certificate_ends);
        let Some((caller, ends)) = caller else { return };
        if let Some(sha256) = &caller.certificate_sha256 {
            gateway.keyring().partners().seen(&caller.id, sha256, ends, self.record.time);
        }
    }

    fn refuse(&mut self, gateway: &Gateway, snapshot: &Snapshot, rejection: Rejection) -> Answer {
        let reason = rejection.reason();
        gateway.metrics().refused(reason);
        if rejection.is_a_guess() {
            snapshot.quotas().address_refused(snapshot.limits(), self.address, self.began);
        }
        self.log(gateway, &rejection);
        let outcome = match rejection.fault() {
            Fault::Caller => Outcome::Refused,
            Fault::Upstream | Fault::Gateway => Outcome::Failed,
            Fault::Left => Outcome::Abandoned,
        };
        self.explain(&rejection);
        self.decide(outcome, reason);
        let settings = snapshot.settings();
        let mut answer =
            rejection.problem(&self.offer(snapshot)).answer(&settings.pages, &self.record.request_id);
        upstream::incoming::secure(&mut answer.headers, self.scheme);
        answer
    }

    /// What whoever is refused may do instead.
    fn offer<'a>(&'a self, snapshot: &'a Snapshot) -> Offer<'a> {
        let dpop = snapshot.identities().dpop();
        let (origin, shown) = &self.place;
        let api = self.route.as_ref().map(|route| route.operation().api());
        Offer {
            realm: &snapshot.settings().realm,
            scopes: self.route.as_ref().map(|route| route.scopes()).unwrap_or_default(),
            bound: self.route.as_ref().and_then(|route| route.demand().bound),
            algorithms: dpop.algorithms(),
            nonce: dpop.nonce(self.now()),
            shown: *shown,
            metadata: origin
                .as_ref()
                .zip(api)
                .and_then(|(origin, api)| snapshot.metadata_address(origin, api)),
        }
    }

    fn decide(&mut self, outcome: Outcome, reason: &str) {
        self.record.decision.outcome = outcome;
        reason.clone_into(&mut self.record.decision.reason);
    }

    /// What the record says about a refusal beyond its reason.
    fn explain(&mut self, rejection: &Rejection) {
        match rejection {
            Rejection::Policy(refusal @ (PolicyRefusal::Forbidden { .. } | PolicyRefusal::Failed { .. })) => {
                self.record.decision.policies = refusal.policies().iter().map(ToString::to_string).collect();
            }
            Rejection::Request(RequestFault::Violations(violations)) => {
                self.record.violations = violations.as_slice().iter().map(part).collect();
            }
            Rejection::Request(RequestFault::Malformed(violation)) => {
                self.record.violations = vec![part(violation)];
            }
            Rejection::NoMatch(NoMatch::Version(none)) => self.record.call.api = Some(none.api.clone()),
            Rejection::Retired(retired) => {
                let brownout = match retired {
                    Retired::Brownout { id, .. } => Some(id.to_string()),
                    Retired::Sunset | Retired::Stranger => None,
                };
                let state = retired.state().to_owned();
                self.record.lifecycle = Some(LifecyclePart { state, brownout, waiver: None });
            }
            Rejection::Response(fault) => self.breached(fault),
            Rejection::Identity(error) => self.record.certificate = certificate_part(error),
            Rejection::Certificate(NotTrusted { certificate }) => {
                self.record.certificate = Some(shown(certificate));
            }
            Rejection::Quota(exceeded) => {
                // The answer tells it already: the refusal writes its own fields.
                if let Some(standing) = exceeded.standing() {
                    self.left(standing);
                }
            }
            _ => {}
        }
    }

    /// Refusals are news, our own faults are errors; a flood of either is told once.
    fn log(&self, gateway: &Gateway, rejection: &Rejection) {
        let reason = rejection.reason();
        let operation = self.record.call.operation.as_deref();
        let caller = self.record.caller.as_ref().map(|caller| caller.id.as_str());
        let Some(more) = gateway.repeats.admit(reason, self.began) else { return };
        match rejection.fault() {
            Fault::Caller | Fault::Left => {
                tracing::info!(reason, operation, caller, more, "refused");
            }
            Fault::Upstream => {
                tracing::warn!(reason, operation, caller, more, "the upstream failed");
            }
            Fault::Gateway => {
                let cause: Option<&(dyn std::error::Error + 'static)> = match rejection {
                    Rejection::NotRecorded(fault) | Rejection::Withheld(fault) => Some(fault),
                    Rejection::Identity(fault) => Some(fault),
                    _ => None,
                };
                tracing::error!(reason, operation, caller, more, cause, "the gateway failed");
            }
        }
    }
}

const fn counted(outcome: Outcome) -> telemetry::Outcome {
    match outcome {
        Outcome::Allowed => telemetry::Outcome::Answered,
        Outcome::Refused => telemetry::Outcome::Refused,
        Outcome::Failed => telemetry::Outcome::Failed,
        Outcome::Abandoned => telemetry::Outcome::Abandoned,
    }
}

/// The certificate that identified nobody, so that it can be found whose it is.
fn certificate_part(error: &IdentityError) -> Option<CertificatePart> {
    match error {
        IdentityError::UnknownCaller(Stranger::Certificate(certificate))
        | IdentityError::AmbiguousCaller(Stranger::Certificate(certificate)) => Some(shown(certificate)),
        IdentityError::CertificateUnusable(unusable) => Some(CertificatePart {
            sha256: unusable.sha256.clone(),
            issuer_sha256: None,
            ends: None,
            names: Vec::new(),
        }),
        _ => None,
    }
}

fn shown(certificate: &ClientCertificate) -> CertificatePart {
    CertificatePart {
        sha256: certificate.sha256_hex().to_owned(),
        issuer_sha256: None,
        ends: Some(certificate.not_after()),
        names: certificate.names_shown(),
    }
}
