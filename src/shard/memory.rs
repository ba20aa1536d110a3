//! Memory goes back to the system when a peak is over: what the allocator keeps for the thread.

use std::ffi::c_void;

use libmimalloc_sys::{mi_block_visit_fun, mi_heap_area_t, mi_heap_t, mi_theap_t};

use crate::limits;

/// Has the allocator give back what holds nothing: the pages of this thread, large blocks that are free in the others, and all
/// that is free in its arenas. Takes about a millisecond for each 32 MB that go.
pub(crate) fn give_free_memory_back() {
    // SAFETY: looks at the heap of the calling thread, and takes nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
    if give_free_blocks_back() > 0 {
        // SAFETY: as above.
        unsafe { libmimalloc_sys::mi_collect(true) }
    }
}

/// The version of mimalloc of which it is known what `give_free_blocks_back` relies on: that an area's `committed` and `used` are
/// those of its blocks of one size, and that the blocks that are taken next are the free ones of such areas. Of another one only
/// `mi_collect` is asked for.
const KNOWN_VERSION: i32 = 30302;

// mimalloc.h has them, libmimalloc-sys does not.
unsafe extern "C" {
    fn mi_theap_get_default() -> *mut mi_theap_t;
    fn mi_theap_visit_blocks(
        heap: *const mi_theap_t,
        blocks_too: bool,
        visitor: mi_block_visit_fun,
        arg: *mut c_void,
    ) -> bool;
}

/// Blocks of one size that are free in pages of which others are in use.
#[derive(Clone, Copy, Default)]
struct FreeBlocks {
    bytes: usize,
    count: usize,
}

/// Sizes of blocks that mimalloc has between the least and the largest: four for each doubling.
const SIZES: usize = 40;

/// The allocator keeps a page of its own, up to 4 MiB, as long as one block in it is in use; what others of its blocks held
/// at a peak stays resident. They are taken, their memory is given to the system, and they are freed again. Returns how many.
fn give_free_blocks_back() -> usize {
    // SAFETY: a constant of the library's.
    if unsafe { libmimalloc_sys::mi_version() } != KNOWN_VERSION {
        return 0;
    }
    let mut free = [FreeBlocks::default(); SIZES];
    // SAFETY: visits pages of the calling thread, and allocates nothing meanwhile; `free` is what `note_area` takes it for.
    unsafe {
        mi_theap_visit_blocks(
            mi_theap_get_default(),
            false,
            Some(note_area),
            (&raw mut free).cast(),
        )
    };
    // The largest first: they hold the most.
    free.sort_unstable_by_key(|free| std::cmp::Reverse(free.bytes));
    let mut taken: *mut Block = std::ptr::null_mut();
    let mut count = 0;
    for FreeBlocks {
        bytes,
        count: there,
    } in free
    {
        for _ in 0..there.min(limits::GIVE_BACK_BLOCKS_MAX - count) {
            // SAFETY: the block is ours until it is freed below, `bytes` long, and aligned for a pointer.
            unsafe {
                let block = libmimalloc_sys::mi_malloc(bytes).cast::<Block>();
                if block.is_null() {
                    break;
                }
                (*block).next = std::mem::replace(&mut taken, block);
                discard(block.addr() + size_of::<Block>(), block.addr() + bytes);
            }
            count += 1;
        }
    }
    while !taken.is_null() {
        // SAFETY: from the loop above, and not freed yet.
        unsafe {
            let block = taken;
            taken = (*block).next;
            libmimalloc_sys::mi_free(block.cast());
        }
    }
    count
}

/// A block that was taken.
struct Block {
    next: *mut Block,
}

/// Gives the whole pages between two addresses to the system.
// SAFETY: both must be of one block of the caller's, in which nobody wants to read.
unsafe fn discard(from: usize, to: usize) {
    let (first, end) = (from.next_multiple_of(PAGE), to & !(PAGE - 1));
    if first < end {
        let first = std::ptr::with_exposed_provenance_mut(first);
        // SAFETY: whole pages of a block that is the caller's, which then reads as zeros.
        unsafe { libc::madvise(first, end - first.addr(), libc::MADV_DONTNEED) };
    }
}

/// Bytes of the system's pages: those of larger ones are not whole, and stay.
const PAGE: usize = 4096;

/// Counts what is free in one page of the allocator. `arg` is an array of `FreeBlocks`.
unsafe extern "C" fn note_area(
    _heap: *const mi_heap_t,
    area: *const mi_heap_area_t,
    _block: *mut c_void,
    bytes: usize,
    arg: *mut c_void,
) -> bool {
    // SAFETY: what `give_free_blocks_back` passes, for the duration of the call.
    let (area, free) = unsafe { (&*area, &mut *arg.cast::<[FreeBlocks; SIZES]>()) };
    if bytes < limits::GIVE_BACK_BLOCK_BYTES_MIN {
        return true;
    }
    let count = (area.committed / bytes).saturating_sub(area.used);
    let known = free
        .iter_mut()
        .find(|free| free.bytes == bytes || free.bytes == 0);
    if count > 0
        && let Some(free) = known
    {
        free.bytes = bytes;
        free.count += count;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, Layout};
    use std::time::Instant;

    use super::give_free_memory_back;

    /// Of these addresses, those that have memory behind them.
    fn resident(blocks: &[*mut u8]) -> usize {
        let has_memory = |block: &&*mut u8| {
            let page = (**block as usize & !4095) as *mut libc::c_void;
            let mut is_there = 0u8;
            // SAFETY: one page, and one byte for the answer; an address that is not mapped is an error.
            let result = unsafe { libc::mincore(page, 4096, &mut is_there) };
            result == 0 && is_there & 1 != 0
        };
        blocks.iter().filter(has_memory).count()
    }

    /// With another version the tests below tell whether it does what is relied on; then its number goes into `KNOWN_VERSION`.
    #[test]
    fn the_allocator_is_the_one_that_is_known() {
        // SAFETY: a constant of the library's.
        assert_eq!(
            unsafe { libmimalloc_sys::mi_version() },
            super::KNOWN_VERSION
        );
    }

    #[test]
    fn what_was_freed_goes_back_to_the_system() {
        const BLOCKS: usize = 64 << 10;
        let layout = Layout::from_size_align(1024, 8).unwrap();
        // SAFETY: the layout has a size; each block is written within its bounds and freed once, with its layout.
        let blocks: Vec<*mut u8> = (0..BLOCKS)
            .map(|_| unsafe {
                let block = mimalloc::MiMalloc.alloc(layout);
                block.write_bytes(1, 1024);
                block
            })
            .collect();
        assert_eq!(resident(&blocks), BLOCKS);
        for &block in &blocks {
            // SAFETY: as above.
            unsafe { mimalloc::MiMalloc.dealloc(block, layout) };
        }
        println!("{} KiB stay after they are freed", resident(&blocks));
        let start = Instant::now();
        give_free_memory_back();
        let took = start.elapsed();
        let left = resident(&blocks);
        println!("{left} of {BLOCKS} KiB left after {took:?}");
        assert!(left < BLOCKS / 20, "{left}");
    }

    #[test]
    fn large_blocks_that_are_free_beside_one_in_use_go_back() {
        const BYTES: usize = 32 << 10;
        let layout = Layout::from_size_align(BYTES, 8).unwrap();
        // SAFETY: the layout has a size; each block is written within its bounds and freed once, with its layout.
        let blocks: Vec<*mut u8> = (0..256)
            .map(|_| unsafe {
                let block = mimalloc::MiMalloc.alloc(layout);
                block.write_bytes(1, BYTES);
                block
            })
            .collect();
        let (kept, freed): (Vec<_>, Vec<_>) =
            blocks.iter().enumerate().partition(|(at, _)| at % 13 == 0);
        for &(_, &block) in &freed {
            // SAFETY: as above.
            unsafe { mimalloc::MiMalloc.dealloc(block, layout) };
        }
        // In the middle: the first page of a block has the allocator's list.
        let middles: Vec<_> = freed
            .iter()
            .map(|(_, block)| block.wrapping_add(BYTES / 2))
            .collect();
        let start = Instant::now();
        give_free_memory_back();
        println!("took {:?}", start.elapsed());
        let left = resident(&middles);
        // Some of what is taken lies where a page was never used yet.
        assert!(left < freed.len() / 8, "{left}");
        for &(_, &block) in &kept {
            // SAFETY: as above; what is in use is untouched.
            unsafe {
                assert!((0..BYTES).all(|at| *block.add(at) == 1));
                mimalloc::MiMalloc.dealloc(block, layout);
            }
        }
    }
}
