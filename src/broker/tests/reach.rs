//! Whom it is charged to that topics lead to more nodes of the tree of filters, and when it is given back.

use super::shares::{At, Cluster};
use super::*;

const BRANCHING: &str = "+/x/+/x/+/x";

/// By how many nodes the session of a connection, and its party, have made it more.
fn reached(cluster: &Cluster, at: At) -> (u32, u32) {
    let clients = &cluster.brokers[at.0].clients;
    let session = clients.peers.session_of(at.1).unwrap();
    let shares = &clients.memory.shares;
    shares.reached.of(session, shares.party(session))
}

fn subscribe(cluster: &mut Cluster, at: At, filters: &[&str]) {
    let bytes = subscribe_packet(filters, Version::V311, QoS::AtMostOnce);
    cluster.send(at, &bytes);
    assert_eq!(cluster.output(at).last(), Some(&0));
}

fn unsubscribe(cluster: &mut Cluster, at: At, filter: &str) {
    let mut bytes = vec![0xa2, filter.len() as u8 + 4, 0, 1, 0, filter.len() as u8];
    bytes.extend_from_slice(filter.as_bytes());
    cluster.send(at, &bytes);
    assert_eq!(cluster.output(at).first(), Some(&0xb0));
}

/// Also where the group is another shard's, and the filter comes into this one's tree by way of that.
#[test]
fn a_shared_subscription_is_charged_whichever_shard_owns_it() {
    for shards in [1, 2, 3] {
        for group in 0..8 {
            let mut cluster = Cluster::new(shards, 1 << 23);
            let at = cluster.connect("a", "10.0.0.1");
            subscribe(&mut cluster, at, &[BRANCHING]);
            let own = reached(&cluster, at);
            assert!(own.0 > 0 && own.0 == own.1);

            let mut cluster = Cluster::new(shards, 1 << 23);
            let at = cluster.connect("a", "10.0.0.1");
            let filter = format!("$share/g{group}/{BRANCHING}");
            subscribe(&mut cluster, at, &[&filter]);
            assert_eq!(reached(&cluster, at), own, "{filter}, {shards} shards");
            // Once, however often it is asked for.
            subscribe(&mut cluster, at, &[&filter, &filter]);
            assert_eq!(reached(&cluster, at), own);
        }
    }
}

#[test]
fn who_unsubscribes_has_back_what_it_was_charged() {
    for shards in [1, 2] {
        for share in ["", "$share/a/", "$share/b/", "$share/c/"] {
            let mut cluster = Cluster::new(shards, 1 << 23);
            let at = cluster.connect("a", "10.0.0.1");
            subscribe(&mut cluster, at, &["a/b"]);
            let before = reached(&cluster, at);
            let filter = format!("{share}{BRANCHING}");
            for _ in 0..100 {
                subscribe(&mut cluster, at, &[&filter]);
                assert!(reached(&cluster, at) > before);
                unsubscribe(&mut cluster, at, &filter);
                assert_eq!(reached(&cluster, at), before, "{filter}, {shards} shards");
            }
        }
    }
}

/// Another one has the filter as well, so that the tree becomes no less.
#[test]
fn with_its_last_subscription_a_session_has_all_of_it_back() {
    let mut cluster = Cluster::new(1, 1 << 23);
    let first = cluster.connect("a", "10.0.0.1");
    let second = cluster.connect("b", "10.0.0.2");
    for at in [first, second] {
        subscribe(&mut cluster, at, &[BRANCHING]);
    }
    assert!(reached(&cluster, first).0 > 0 && reached(&cluster, second).0 == 0);
    unsubscribe(&mut cluster, first, BRANCHING);
    assert_eq!(reached(&cluster, first), (0, 0));
}
