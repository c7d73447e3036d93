//! The receiver as a whole: honest transmitters, lying ones, and one that really listens.

mod document;
mod honest;
mod lies;
mod receiver;
mod transmitter;
mod wire;
