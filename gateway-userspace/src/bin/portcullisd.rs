//! portcullisd
fn main() {}
