//! The packet law.
#![no_std]
