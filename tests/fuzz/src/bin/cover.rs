//! The target that `PORTCULLIS_COVER_TARGET` names, under libFuzzer. Built and run by `cargo xtask cover`.
//!
//! With `PORTCULLIS_COVER_SEEDS` it writes the target's honest inputs into that folder, and ends.
#![no_main]

use gateway_fuzz::{Target, target};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("PORTCULLIS_COVER_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        eprintln!("PORTCULLIS_COVER_TARGET names no target: `{name}`");
        std::process::exit(2);
    })
});

fuzz_target!(
    init: {
        // A panic that somebody catches is none, and one of another thread is found by who waits for it.
        let _ = std::panic::take_hook();
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // The store turns those of redb into errors.
            if !panic.location().is_some_and(|place| place.file().contains("/redb-")) {
                default(panic);
            }
        }));
        if let Some(folder) = std::env::var_os("PORTCULLIS_COVER_SEEDS") {
            for (number, seed) in (TARGET.seeds)().into_iter().enumerate() {
                let path = std::path::Path::new(&folder).join(format!("seed-{number}"));
                std::fs::write(path, seed).expect("the folder can be written to");
            }
            std::process::exit(0);
        }
    },
    |bytes: &[u8]| (TARGET.run)(bytes)
);
