//! The mesh under loom: all interleavings of its threads. See `src/mesh/loom_tests.rs`.

#[path = "../../src"]
mod house {
    pub mod ids;
    pub mod limits;
    pub mod mesh;
}

pub use house::*;
