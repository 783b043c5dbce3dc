//! Manifests of models in a folder that somebody else prepared.
#![no_main]

use libfuzzer_sys::fuzz_target;
use menshen_fuzz::manifest::{CornersManifest, FinderManifest, ReaderManifest};

fuzz_target!(|text: &str| {
    let errors = [
        FinderManifest::parse(text).err(),
        CornersManifest::parse(text).err(),
        ReaderManifest::parse(text).err(),
    ];
    assert!(errors.iter().flatten().all(|why| !why.is_empty()));
    assert!(
        errors.iter().filter(|e| e.is_none()).count() <= 1,
        "one file is two models"
    );
});
