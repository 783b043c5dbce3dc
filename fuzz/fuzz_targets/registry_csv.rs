//! Registers as offices send them.
#![no_main]

use std::collections::HashSet;

use access::registry::export::{Header, to_csv};
use access::registry::import::{ImportOptions, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let strict = parse(bytes, ImportOptions { skip_bad: false });
    let lenient = parse(bytes, ImportOptions { skip_bad: true });
    match &strict {
        Ok(imported) => {
            assert!(imported.skipped.is_empty());
            let lenient = lenient.as_ref().map(|i| &i.vehicles);
            assert_eq!(lenient, Ok(&imported.vehicles));
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    let Ok(imported) = lenient else { return };
    let plates: HashSet<_> = imported.vehicles.iter().map(|v| &v.plate).collect();
    assert_eq!(
        plates.len(),
        imported.vehicles.len(),
        "a plate stands twice"
    );
    // What was taken can be written and read again, with either header.
    for header in [Header::English, Header::Chinese] {
        let written = to_csv(&imported.vehicles, header);
        let again = parse(&written, ImportOptions { skip_bad: false });
        assert_eq!(again.map(|i| i.vehicles).as_ref(), Ok(&imported.vehicles));
    }
});
