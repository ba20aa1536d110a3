//! A filter of a SUBSCRIBE or UNSUBSCRIBE, taken apart once: share name, filter, mount point.

use std::borrow::Cow;

use crate::broker::settings::ListenerSettings;
use crate::mqtt::topic;
use crate::session::SharedSubscription;

/// See the module.
#[derive(Debug)]
pub(crate) struct RequestedFilter<'a> {
    text: &'a str,
    share_name: Option<&'a str>,
    inner: &'a str,
    filter: Cow<'a, str>,
}

impl<'a> RequestedFilter<'a> {
    /// Of a filter that the decoder has found valid, from a client of this listener.
    pub(crate) fn new(text: &'a str, listener: &ListenerSettings) -> RequestedFilter<'a> {
        let (share_name, inner) = topic::split_share(text);
        RequestedFilter {
            text,
            share_name,
            inner,
            filter: listener.mounted(inner),
        }
    }

    /// As the client has written it.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The share name, if it is that of a shared subscription.
    pub(crate) fn share_name(&self) -> Option<&'a str> {
        self.share_name
    }

    /// As the client knows it, without `$share/NAME/`.
    pub(crate) fn inner(&self) -> &'a str {
        self.inner
    }

    /// What is subscribed to: without `$share/NAME/`, and with the mount point in front.
    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    /// Whether a shared subscription is this one.
    pub(crate) fn is(&self, known: &SharedSubscription) -> bool {
        self.share_name == Some(&*known.group) && *self.filter == *known.filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client asks for, and what it subscribes to: share name, filter for the client, filter.
    #[test]
    fn a_filter_is_taken_apart() {
        let listener = |mount_point: &str| ListenerSettings {
            mount_point: mount_point.into(),
            ..ListenerSettings::default()
        };
        for (mount_point, text, wanted) in [
            ("", "a/+", (None, "a/+", "a/+")),
            ("m/", "a/+", (None, "a/+", "m/a/+")),
            ("", "$share/g/a/#", (Some("g"), "a/#", "a/#")),
            ("m/", "$share/g/a/#", (Some("g"), "a/#", "m/a/#")),
            ("m/", "$share/g//", (Some("g"), "/", "m//")),
            ("m/", "$SYS/#", (None, "$SYS/#", "m/$SYS/#")),
            ("", "$shared/g/a", (None, "$shared/g/a", "$shared/g/a")),
        ] {
            let requested = RequestedFilter::new(text, &listener(mount_point));
            let found = (
                requested.share_name(),
                requested.inner(),
                requested.filter(),
            );
            assert_eq!(found, wanted, "{mount_point} {text}");
            assert_eq!(requested.text(), text);
            let known = SharedSubscription {
                group: "g".into(),
                filter: wanted.2.into(),
                reach: 0,
            };
            assert_eq!(requested.is(&known), wanted.0.is_some());
        }
    }
}
