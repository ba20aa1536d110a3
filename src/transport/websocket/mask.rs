//! Unmasking (RFC 6455, 5.3): XOR with four bytes over and over, eight bytes at a time.

/// XORs `bytes` in place. `offset` bytes of the frame's payload lie before them.
pub(super) fn apply(key: [u8; 4], offset: usize, bytes: &mut [u8]) {
    let mut turned = key;
    turned.rotate_left(offset % 4);
    let [a, b, c, d] = turned;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(turned.iter().cycle()) {
        *byte ^= key;
    }
}
