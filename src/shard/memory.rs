//! Memory goes back to the system when a peak is over: the shard's own buffers, and what the allocator keeps for the
//! thread.

use super::{Brain, Metric, Shard};

impl<B: Brain> Shard<B> {
    /// Gives back what is free. Takes about a millisecond for each 32 MB that go, so that it is not for every turn.
    #[cold]
    pub(super) fn give_memory_back(&mut self) {
        self.mesh.shrink();
        self.metrics.add(Metric::MemoryGivenBack, 1);
        give_free_memory_back();
    }
}

/// Has the allocator give back the pages of this thread that hold nothing, and all that is free in its arenas.
pub fn give_free_memory_back() {
    // SAFETY: looks at the heap of the calling thread, and takes nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) }
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
}
