//! Manifests of models in a folder that somebody else prepared.
#![no_main]

use libfuzzer_sys::fuzz_target;
use menshen_fuzz::manifest::{FinderManifest, ReaderManifest};

fuzz_target!(|text: &str| {
    let errors = [
        FinderManifest::parse(text).err(),
        ReaderManifest::parse(text).err(),
    ];
    assert!(errors.iter().flatten().all(|why| !why.is_empty()));
    assert!(
        errors.iter().any(Option::is_some),
        "one file is both models"
    );
});
