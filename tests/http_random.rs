//! The fuzz target of HTTP without a fuzzer: requests whose parts are chosen at random, and samples with some of their bytes changed.

use proptest::prelude::*;

const SAMPLES: [&str; 5] = [
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/v1/clients?limit=7&after=0.17 HTTP/1.1\r\nHost: [::1]:9883\r\n\r\n",
    "GET /api/v1/clients/a%2Fb?after=1.o.7.9 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic YTpi\r\n\r\n",
    "DELETE /api/v1/clients/x?end_session=true HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcHEAD / HTTP/1.0\r\n\r\n",
    "GET http://localhost/api/v1/retained?filter=%23&after=0.5.1 HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "POST /api/v1/retained HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
];

/// A request of parts that are likely to be looked at.
fn request() -> impl Strategy<Value = String> {
    let method = prop_oneof![
        Just("GET"),
        Just("HEAD"),
        Just("DELETE"),
        Just("PUT"),
        "[A-Z]{1,9}".prop_map(|_| "X")
    ];
    let path = prop_oneof![
        "/(healthz|api/v1/(clients|retained|clients/[!-~]{0,9}))",
        "/[!-~]{0,30}",
        "(%[0-9a-fA-F]{2}|/|\\.){0,12}",
    ];
    let query = "((after|limit|connected|sort|x)=[0-9os.%a-f-]{0,20}&){0,4}";
    let host = "(Host: (localhost|127\\.0\\.0\\.1(:[0-9]{1,6})?|\\[[0-9a-f:]{0,9}\\]|[ -~]{0,12})\r\n){0,2}";
    let login = "(Authorization: [Bb]asic [A-Za-z0-9+/=]{0,20}\r\n)?";
    let version = prop_oneof![Just("1.1"), Just("1.0"), Just("2.0")];
    (method, path, query, (host, login, version)).prop_map(
        |(method, path, query, (host, login, version))| {
            format!("{method} {path}?{query} HTTP/{version}\r\n{host}{login}\r\n")
        },
    )
}

/// A sample with one byte changed, perhaps, and bytes behind it.
fn changed() -> impl Strategy<Value = Vec<u8>> {
    let behind = prop::collection::vec(any::<u8>(), 0..50);
    (0..SAMPLES.len(), 0..400usize, any::<u8>(), behind).prop_map(|(sample, at, byte, behind)| {
        let mut bytes = SAMPLES[sample].as_bytes().to_vec();
        if let Some(old) = bytes.get_mut(at) {
            *old = byte;
        }
        [bytes, behind].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn any_requests_are_answered(piece in any::<u8>(), requests in prop::collection::vec(request(), 1..4)) {
        firehose::any_requests(&[&[piece], requests.concat().as_bytes()].concat());
    }

    #[test]
    fn samples_that_were_changed_are_answered(piece in any::<u8>(), bytes in changed()) {
        firehose::any_requests(&[&[piece], &bytes[..]].concat());
    }
}
