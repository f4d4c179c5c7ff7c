#![no_main]

use std::panic;

// Of its own, since the reader catches a panic of the YAML parser, where the hook of libFuzzer would abort. Any other panic still ends here.
libfuzzer_sys::fuzz_target!(
    init: panic::set_hook(Box::new(|panic| eprintln!("{panic}"))),
    |data: &[u8]| weir_fuzz::entry::config::run(data)
);
