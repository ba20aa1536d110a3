//! How much of a message is looked at.

use crate::limits;
use crate::mqtt::PropertyIter;

/// The start of a payload.
pub(crate) fn payload_start(payload: &[u8], bytes: usize) -> Box<[u8]> {
    payload[..payload.len().min(bytes)].into()
}

/// The first properties, and whether there are more.
pub(crate) fn properties_start(raw: &[u8]) -> (Box<[u8]>, bool) {
    if raw.len() <= limits::TRACE_PROPERTY_BYTES_MAX {
        return (raw.into(), false);
    }
    let mut end = 0;
    for property in PropertyIter::new(raw) {
        let next = end + property.encoded_len();
        if next > limits::TRACE_PROPERTY_BYTES_MAX {
            break;
        }
        end = next;
    }
    (raw[..end].into(), true)
}
