//! What lies between a listener's sockets and MQTT, TLS apart.

use super::config;
use crate::limits::WEBSOCKET_HEADERS_BYTES;

#[test]
fn websockets_and_their_origins_are_of_one_listener() {
    let config = config(
        "listener 1883\nprotocol mqtt\nlistener 9001\nprotocol websockets\n\
         websockets_origin https://a.example\nwebsockets_origin https://b.example\n",
    );
    assert!(config.listeners[0].socket.transport.is_plain());
    let websocket = config.listeners[1]
        .socket
        .transport
        .websocket
        .clone()
        .unwrap();
    assert_eq!(
        websocket.origins,
        ["https://a.example", "https://b.example"]
    );
    assert_eq!(websocket.headers_bytes_max, WEBSOCKET_HEADERS_BYTES);
}

#[test]
fn the_size_of_headers_is_of_all_listeners_and_zero_is_the_default() {
    for (size, bytes) in [(0, WEBSOCKET_HEADERS_BYTES), (100, 256), (9000, 9000)] {
        let config = config(&format!(
            "listener 9001\nprotocol websockets\nwebsockets_headers_size {size}\n"
        ));
        let websocket = config.listeners[0]
            .socket
            .transport
            .websocket
            .clone()
            .unwrap();
        assert_eq!(websocket.headers_bytes_max, bytes);
    }
}

#[test]
fn a_listener_may_stand_behind_a_proxy() {
    for (value, is_proxied) in [("1", true), ("2", true), ("true", true), ("false", false)] {
        let config = config(&format!("listener 1883\nenable_proxy_protocol {value}\n"));
        assert_eq!(
            config.listeners[0].socket.transport.proxy.is_some(),
            is_proxied,
            "{value}"
        );
    }
}

#[test]
fn keys_lie_in_files_and_an_engine_is_refused() {
    let warned = super::warnings("listener 8883\ntls_keyform pem\n");
    assert!(warned[0].contains("PEM"), "{warned:?}");
    assert!(
        crate::config::tests::error("listener 8883\ntls_keyform engine\n").contains("tls_keyform")
    );
}
