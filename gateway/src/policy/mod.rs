//! Whether: may this caller do this, now?
//!
//! Policies are written in [Cedar](https://www.cedarpolicy.com), in `policies/*.cedar`, by people who do not
//! write Rust. [`Policies::load`] checks them against a schema made of the callers and operations that are
//! live, so that a policy about something that does not exist never serves. [`Policies::authorise`] answers
//! for one request and gives a [`Permit`], the only proof that it may go on. [`Policies::explain`] says why,
//! and [`run_tests`] whether the policies do what their writers say.
//!
//! Closed in every doubt: nothing is allowed unless a policy permits it, any `forbid` wins, and a policy
//! that cannot be evaluated refuses.
//!
//! | in policies | is |
//! |---|---|
//! | `principal is Caller`, `Caller::"acme"` | a caller that was proved, with `id`, `kind`, `owner` and its facts |
//! | `principal in Group::"marketplaces"`, `principal in Kind::"bot"` | what it belongs to |
//! | `principal is Anonymous` | a request that proves nobody, where an operation serves those |
//! | `Action::"orders.v2.createOrder"` | an operation, in `Action::"orders.v2"`, `Action::"orders"`, and `Action::"read"` or `Action::"write"` |
//! | `Contract::"orders.v2"` in `Api::"orders"` | the resource |
//! | `context` | `address`, `certificate`, `deprecated`, `path`, `query`, `time`, `token` |

mod annotations;
mod authorise;
mod check;
mod circumstances;
mod context;
mod depth;
mod entities;
mod explain;
mod facts;
mod load;
#[cfg(test)]
mod retailer;
mod schema;
mod scope;
mod slice;
mod source;
mod trial;
mod trial_file;
mod vocabulary;

pub use authorise::{Permit, Policies, PolicyRefusal, Principal};
pub use circumstances::{CertificateFacts, Circumstances, ClaimValue, Deprecation, TokenFacts};
pub use explain::{Explanation, Outcome, Said, Verdict};
pub use facts::{
    Access, Anonymous, Attribute, CallerFacts, Kind, OperationFacts, QueryParameter, ValueType, Values,
};
pub use load::read_alone;
pub use trial::{TestOutcome, run_tests};
pub use trial_file::test_schema;
