//! The namespace world.
