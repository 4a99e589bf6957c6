//! What becomes of every attack on tokens that RFC 8725, RFC 9449 and RFC 8705 tell of, and of tokens in wrong hands?
//!
//! Each attack is a named row, sent to the real program: it is refused with this status, problem and challenge,
//! no upstream sees anything, and the audit record says why.

mod certificates;
mod parties;
mod proofs;
mod scene;
mod tokens;
