//! Portcullis in userspace.
pub mod policy;
