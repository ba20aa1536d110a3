//! Asks the processor for memory before it is needed.

/// What lies there will be written soon: it comes into the cache meanwhile. A hint, which may be given for any address; on
/// other processors than x86-64 it does nothing.
#[inline(always)]
pub(crate) fn prefetch_for_write<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: reads and writes nothing, and does not fail, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(at.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
