//! The properties of a PUBLISH, taken apart: what is passed on as it is, and the subscription identifiers.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::mqtt::{Property, PropertyIter};

/// Properties that have been checked.
pub(super) struct Parts<'a> {
    /// Those that are passed on as they are, encoded.
    pub(super) forwarded: Cow<'a, [u8]>,
    /// The subscription identifiers, in their order.
    pub(super) subscription_ids: SmallVec<[u32; 1]>,
}

/// Takes encoded properties apart; `None` if they are not those that a server sends with a PUBLISH. What it says of the expiry is told
/// beside them.
pub(super) fn parts(raw: &[u8]) -> Option<Parts<'_>> {
    let (mut seen, mut len) = (0u64, 0);
    let (mut forwarded, mut subscription_ids) = (Vec::new(), SmallVec::new());
    for property in PropertyIter::new(raw) {
        len += property.encoded_len();
        let bit = 1 << property.id();
        let is_again = seen & bit != 0;
        seen |= bit;
        match property {
            Property::UserProperty(..) => property.encode(&mut forwarded),
            Property::SubscriptionIdentifier(id) => subscription_ids.push(id),
            _ if is_again => return None,
            Property::PayloadFormatIndicator(_)
            | Property::ContentType(_)
            | Property::ResponseTopic(_)
            | Property::CorrelationData(_) => property.encode(&mut forwarded),
            Property::MessageExpiryInterval(_) | Property::TopicAlias(_) => {}
            _ => return None,
        }
    }
    // The first that is no property ends them.
    (len == raw.len()).then(|| Parts {
        forwarded: match forwarded == raw {
            true => Cow::Borrowed(raw),
            false => Cow::Owned(forwarded),
        },
        subscription_ids,
    })
}

/// Subscription identifiers and other properties, encoded, as a message of its own has them.
pub(super) fn joined(subscription_ids: &[u32], forwarded: &[u8]) -> Vec<u8> {
    let mut properties = Vec::new();
    for &id in subscription_ids {
        Property::SubscriptionIdentifier(id).encode(&mut properties);
    }
    properties.extend_from_slice(forwarded);
    properties
}
