//! The namespace world in which Portcullis is tested and shown: real hosts, real packets, nothing
//! outside the namespaces it makes. It knows the gateway only as two binaries, so it builds before
//! the eBPF toolchain is there.

pub mod tools;
