//! Whose a session and a connection are (`budget::Party`), where an account that is short is shared out.

use std::net::IpAddr;

use crate::broker::placement::number_of;
use crate::budget::Party;
use crate::ids::Network;

/// The party of a user name that has been proved.
pub(crate) fn party_of_user(name: &str) -> Party {
    Party::User(number_of(name))
}

/// The party of those of whom only the address is known.
pub(crate) fn party_of_address(address: IpAddr) -> Party {
    Party::Address(Network::of(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_parties_of_their_own() {
        let party = |address: &str| party_of_address(address.parse().unwrap());
        let apart = [
            "32.1.13.184",
            // The same number as a network.
            "0:0:2001:db8::1",
            "2001:db8::1",
            "2001:db8:0:1::1",
            "127.0.0.1",
            "::1",
            "0.0.0.0",
        ];
        for (at, one) in apart.iter().enumerate() {
            for other in &apart[..at] {
                assert_ne!(party(one), party(other), "{one} {other}");
            }
        }
        assert_eq!(party("2001:db8::1"), party("2001:db8::ffff:1"));
        assert_eq!(party("192.0.2.1"), party("::ffff:192.0.2.1"));
    }
}
