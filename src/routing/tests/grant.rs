//! What is granted, against the words of the standard, for all options and messages.

use crate::mqtt::QoS;
use crate::routing::{EntryOptions, Grant};

const LEVELS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const FLAGS: [bool; 2] = [false, true];
const IDS: [u32; 3] = [0, 1, 268_435_455];

/// All options, with what they were made of: QoS, No Local, Retain As Published, identifier.
fn all_options() -> Vec<(EntryOptions, (QoS, bool, bool, u32))> {
    let mut all = Vec::new();
    for qos in LEVELS {
        for (no_local, retain) in FLAGS.map(|flag| FLAGS.map(|other| (flag, other))).concat() {
            for id in IDS {
                let options = EntryOptions::with_qos(qos)
                    .with_no_local(no_local)
                    .with_retain_as_published(retain)
                    .with_id(id);
                all.push((options, (qos, no_local, retain, id)));
            }
        }
    }
    all
}

#[test]
fn options_give_back_what_they_were_made_of() {
    for (options, (qos, no_local, _, id)) in all_options() {
        let found = (options.qos(), options.no_local(), options.id());
        assert_eq!(found, (qos, no_local, id), "{options:?}");
    }
    let none = EntryOptions::with_qos(QoS::ExactlyOnce);
    let all = none
        .with_id(7)
        .with_no_local(true)
        .with_retain_as_published(true);
    let cleared = all
        .with_id(0)
        .with_no_local(false)
        .with_retain_as_published(false);
    assert_eq!(cleared, none);
}

#[test]
fn a_grant_is_what_both_message_and_subscription_allow() {
    for (options, (most, _, as_published, id)) in all_options() {
        for published in LEVELS {
            for retain in FLAGS {
                let grant = options.grant(published, retain);
                assert_eq!(grant.qos(), published.min(most), "{options:?}"); // MQTT-3.8.4-8
                assert_eq!(grant.is_qos0(), grant.qos() == QoS::AtMostOnce);
                assert_eq!(grant.retain(), retain && as_published); // MQTT-3.3.1-12, MQTT-3.3.1-13
                assert_eq!(grant.id(), id);
                let replayed = grant.as_retained();
                assert!(replayed.retain()); // MQTT-3.3.1-8
                assert_eq!((replayed.qos(), replayed.id()), (grant.qos(), id));
            }
        }
    }
}

/// Two deliveries have the same bytes if and only if they have the same QoS, flag, identifier and version.
#[test]
fn an_encoding_is_shared_by_equal_grants_only() {
    let mut grants: Vec<(Grant, bool)> = Vec::new();
    for (options, _) in all_options() {
        for published in LEVELS {
            for (retain, is_v5) in FLAGS.map(|flag| FLAGS.map(|other| (flag, other))).concat() {
                grants.push((options.grant(published, retain), is_v5));
            }
        }
    }
    let told =
        |&(grant, is_v5): &(Grant, bool)| (grant.qos() as u8, grant.retain(), grant.id(), is_v5);
    for one in &grants {
        for other in &grants {
            let same = one.0.encoding(one.1) == other.0.encoding(other.1);
            assert_eq!(same, told(one) == told(other), "{one:?} {other:?}");
        }
    }
}

#[test]
fn merged_options_have_all_that_either_wants() {
    for (one, (one_qos, _, one_retain, _)) in all_options() {
        for (other, (other_qos, _, other_retain, _)) in all_options() {
            let wanted = EntryOptions::with_qos(one_qos.max(other_qos))
                .with_retain_as_published(one_retain || other_retain);
            let together = EntryOptions::together([one, other].into_iter());
            assert!(together.ids.is_empty() || one.id() != other.id());
            assert_eq!(together.options.with_id(0), wanted);
        }
    }
}
