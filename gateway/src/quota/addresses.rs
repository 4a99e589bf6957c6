//! Has this client address used up its guesses?
//!
//! Addresses are chosen by whoever calls, so the table has a fixed size: it cannot be made to grow,
//! and where it is full the address with least to answer for is forgotten.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::window::WholeAt;

/// What addresses have used, in buckets of a few entries each.
#[derive(Debug)]
pub(super) struct Addresses {
    buckets: Box<[Mutex<[Entry; ENTRIES_PER_BUCKET]>]>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    address: u64,
    whole_at: WholeAt,
}

impl Addresses {
    pub(super) fn new() -> Self {
        let buckets = std::iter::repeat_with(Mutex::default).take(BUCKETS).collect();
        Self { buckets, hasher: RandomState::new() }
    }

    /// When the window of `address` is whole again.
    pub(super) fn whole_at(&self, address: IpAddr) -> WholeAt {
        self.with_entry(address, |entry| entry.whole_at)
    }

    /// Lets `change` say, from when it was, when the window of `address` is whole again.
    pub(super) fn charge(&self, address: IpAddr, change: impl FnOnce(WholeAt) -> WholeAt) {
        self.with_entry(address, |entry| entry.whole_at = change(entry.whole_at));
    }

    fn with_entry<T: Default>(&self, address: IpAddr, work: impl FnOnce(&mut Entry) -> T) -> T {
        // Keyed: nobody can choose addresses that push a certain other one out.
        let hash = self.hasher.hash_one(network(address));
        let buckets = u64::try_from(self.buckets.len()).unwrap_or(u64::MAX);
        let bucket = hash.checked_rem(buckets).and_then(|n| self.buckets.get(usize::try_from(n).ok()?));
        let Some(bucket) = bucket else { return T::default() };
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = bucket.iter_mut().find(|entry| entry.address == hash) {
            return work(entry);
        }
        let mut fresh = Entry { address: hash, whole_at: 0 };
        let answer = work(&mut fresh);
        if let Some(least) = bucket.iter_mut().min_by_key(|entry| entry.whole_at)
            && fresh.whole_at > 0
        {
            // Whoever floods the table has that many guesses by right; those it pushes out begin anew.
            *least = fresh;
        }
        answer
    }
}

/// Whom an address stands for. One customer has a /64 of IPv6 at least (RFC 6177 section 2); an IPv4
/// address written as IPv6 is the IPv4 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & NETWORK_BITS).into()),
    }
}

/// The first 64 bits of an IPv6 address.
const NETWORK_BITS: u128 = 0xffff_ffff_ffff_ffff_0000_0000_0000_0000;
/// With the entries of each, 65 536 addresses in about a megabyte.
const BUCKETS: usize = 8_192;
/// Enough that an address seldom has to give way while others stand nearly whole; few enough to look at all.
const ENTRIES_PER_BUCKET: usize = 8;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]
mod tests {
    use super::*;

    fn charge(addresses: &Addresses, address: IpAddr, whole_at: WholeAt) {
        addresses.charge(address, |_| whole_at);
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        let check = |a: &str, b: &str, same: bool| {
            let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(network(a) == network(b), same, "{a} {b}");
        };
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8::1", "2001:db8::ffff:2", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
    }

    #[test]
    fn what_an_address_used_is_kept() {
        let addresses = Addresses::new();
        let (a, b) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        charge(&addresses, a, 7);
        assert_eq!((addresses.whole_at(a), addresses.whole_at(b)), (7, 0));
        charge(&addresses, a, 9);
        assert_eq!(addresses.whole_at(a), 9);
    }

    #[test]
    fn a_flood_of_addresses_pushes_out_those_with_less_to_answer_for() {
        let addresses = Addresses::new();
        let guesser: IpAddr = "192.0.2.1".parse().unwrap();
        charge(&addresses, guesser, 1_000_000);
        for n in 0..200_000_u32 {
            charge(&addresses, IpAddr::V4(n.into()), u64::from(n));
        }
        assert_eq!(addresses.whole_at(guesser), 1_000_000);
    }
}
