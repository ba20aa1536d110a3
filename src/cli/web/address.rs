//! Where a listener is, as a URL says it.

/// Where no port is named: that of Mosquitto's HTTP listener too.
const PORT_HTTP: u16 = 9883;
/// Those of MQTT (IANA), without TLS and with it.
const PORT_MQTT: u16 = 1883;
const PORT_MQTTS: u16 = 8883;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Address {
    pub is_tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// In front of every path: where a proxy has the broker below another site. It ends without a slash.
    pub base: String,
    /// How it is written in front of the host, for whoever reads it.
    scheme: &'static str,
}

impl Address {
    /// Where a broker listens on this host as a rule.
    pub(in crate::cli) fn http_here() -> Address {
        Address::here("http://", PORT_HTTP)
    }

    /// The same of MQTT.
    pub(in crate::cli) fn mqtt_here() -> Address {
        Address::here("mqtt://", PORT_MQTT)
    }

    fn here(scheme: &'static str, port: u16) -> Address {
        Address {
            is_tls: false,
            host: "127.0.0.1".into(),
            port,
            base: String::new(),
            scheme,
        }
    }

    /// `http://HOST[:PORT][/BASE]`, or `https://` for TLS.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(in crate::cli) fn http(url: &str) -> Result<Address, String> {
        let (scheme, is_tls, rest) =
            match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
                (Some(rest), _) => ("http://", false, rest),
                (_, Some(rest)) => ("https://", true, rest),
                _ => return Err("it has to begin with http:// or https://".into()),
            };
        let (authority, base) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let is_odd = |letter: char| !letter.is_ascii_graphic() || matches!(letter, '?' | '#');
        if base.contains(is_odd) {
            return Err("its path has letters that have to be percent-encoded".into());
        }
        let (host, port) = place(authority)?;
        Ok(Address {
            is_tls,
            host,
            port: port.unwrap_or(PORT_HTTP),
            base: base.trim_end_matches('/').into(),
            scheme,
        })
    }

    /// `HOST[:PORT]`, also behind `mqtt://`, or `mqtts://` for TLS.
    ///
    /// # Errors
    /// As of `http`.
    pub(in crate::cli) fn mqtt(text: &str) -> Result<Address, String> {
        let (scheme, is_tls, usual, rest) = match text.split_once("://") {
            None => ("mqtt://", false, PORT_MQTT, text),
            Some(("mqtt", rest)) => ("mqtt://", false, PORT_MQTT, rest),
            Some(("mqtts", rest)) => ("mqtts://", true, PORT_MQTTS, rest),
            Some(_) => {
                return Err("it has to be HOST[:PORT], or begin with mqtt:// or mqtts://".into());
            }
        };
        let (host, port) = place(rest.strip_suffix('/').unwrap_or(rest))?;
        Ok(Address {
            is_tls,
            host,
            port: port.unwrap_or(usual),
            base: String::new(),
            scheme,
        })
    }

    /// The same without what stands in front of paths, and that.
    pub(in crate::cli) fn split(&self) -> (Address, &str) {
        let place = Address {
            base: String::new(),
            ..self.clone()
        };
        (place, &self.base)
    }

    /// Host and port, as they stand in a URL.
    pub(in crate::cli) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// All of it, as it may be typed again.
    pub(in crate::cli) fn url(&self) -> String {
        format!("{}{}{}", self.scheme, self.authority(), self.base)
    }
}

/// A host, and the port behind it if one is named.
fn place(authority: &str) -> Result<(String, Option<u16>), String> {
    if authority.contains('@') {
        return Err(
            "it has a name or a password in it: they are given by --username and --password-file"
                .into(),
        );
    }
    let (host, behind) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("a bracket is not closed")?,
        None => match authority.find(':') {
            Some(colon) => authority.split_at(colon),
            None => (authority, ""),
        },
    };
    if behind.matches(':').count() > 1 {
        return Err("an address of IPv6 stands in brackets: [::1]".into());
    }
    let is_fit =
        |letter: char| letter.is_ascii_graphic() && !matches!(letter, '?' | '#' | '/' | '[' | ']');
    if host.is_empty() || !host.chars().all(is_fit) {
        return Err("it names no host".into());
    }
    let port = match behind.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|&port| port > 0)),
        None if behind.is_empty() => None,
        None => Some(None),
    };
    match port {
        Some(None) => Err("its port is no number from 1 to 65535".into()),
        Some(port) => Ok((host.into(), port)),
        None => Ok((host.into(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(read: Result<Address, String>) -> Option<(bool, String, u16, String)> {
        read.ok()
            .map(|one| (one.is_tls, one.host, one.port, one.base))
    }

    fn found(
        is_tls: bool,
        host: &str,
        port: u16,
        base: &str,
    ) -> Option<(bool, String, u16, String)> {
        Some((is_tls, host.into(), port, base.into()))
    }

    #[test]
    fn a_url_is_a_host_and_what_stands_in_front_of_paths() {
        let http = |url| parts(Address::http(url));
        assert_eq!(
            http("http://127.0.0.1:80"),
            found(false, "127.0.0.1", 80, "")
        );
        assert_eq!(http("http://broker/"), found(false, "broker", 9883, ""));
        assert_eq!(http("https://broker"), found(true, "broker", 9883, ""));
        assert_eq!(http("http://[::1]:1"), found(false, "::1", 1, ""));
        assert_eq!(http("https://[::1]"), found(true, "::1", 9883, ""));
        assert_eq!(http("http://h:1/mqtt/x/"), found(false, "h", 1, "/mqtt/x"));
        for wrong in [
            "",
            "broker",
            "ftp://broker",
            "http://",
            "http:///x",
            "http://:1",
            "http://a b",
            "http://a/x y",
            "http://a/\r\nx: y",
            "http://a?x",
            "http://a:b",
            "http://a:0",
            "http://a:70000",
            "http://::1",
            "http://[::1",
            "http://[::1]x",
            "http://u:p@h",
        ] {
            assert_eq!(http(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_listener_of_mqtt_is_a_host() {
        let mqtt = |text| parts(Address::mqtt(text));
        assert_eq!(mqtt("broker"), found(false, "broker", 1883, ""));
        assert_eq!(mqtt("broker:1884"), found(false, "broker", 1884, ""));
        assert_eq!(mqtt("mqtt://[::1]"), found(false, "::1", 1883, ""));
        assert_eq!(mqtt("mqtts://broker/"), found(true, "broker", 8883, ""));
        for wrong in ["", "http://broker", "broker/x", "mqtts://u@h", "a:"] {
            assert_eq!(mqtt(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn it_is_written_as_it_may_be_typed() {
        for url in [
            "http://h:1/x",
            "https://[::1]:9883",
            "http://127.0.0.1:9883",
        ] {
            assert_eq!(Address::http(url).unwrap().url(), url);
        }
        assert_eq!(Address::mqtt("h").unwrap().url(), "mqtt://h:1883");
        assert_eq!(Address::http_here().url(), "http://127.0.0.1:9883");
    }
}
