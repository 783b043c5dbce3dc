//! Pages and manifests of a register on its way to a gate, and what is taken over from them.
#![no_main]

use std::sync::Arc;

use access::Ledger;
use access::journal::Stamp;
use access::ledger::Arrival;
use access::registry::sync::Roll;
use access::store::{MemoryStore, Store};
use domain::sync::{Manifest, Page, Receiver, RegisterVersion, Scope, digest_of, pack, root_of};
use libfuzzer_sys::fuzz_target;

fn stamp() -> Stamp {
    Stamp {
        id: Default::default(),
        time: Default::default(),
        clock_trusted: true,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match which % 3 {
        0 => messages(text),
        1 => edits(text),
        _ => rows(text),
    }
});

/// A manifest in the first line, a page in each that follows: whatever they say, only what
/// belongs together counts.
fn messages(text: &str) {
    let mut lines = text.lines();
    let Some(Ok(manifest)) = lines.next().map(serde_json::from_str::<Manifest>) else {
        return;
    };
    let mut receiver = Receiver::new(None);
    let by = "committee".parse().expect("a name");
    let begun = receiver.begin(&manifest, &by);
    for page in lines.filter_map(|line| serde_json::from_str::<Page>(line).ok()) {
        let before = receiver.clone();
        let took = receiver.page(&page);
        assert!(begun.is_ok() || took.is_err());
        if took.is_err() {
            assert_eq!(receiver, before, "a refused page changed something");
        } else {
            assert!(page.belongs_to(&manifest));
        }
        let _ = receiver.open().map(|open| (open.missing(), open.lacks()));
    }
}

fn ledger() -> Ledger {
    let store = Arc::new(MemoryStore::new()) as Arc<dyn Store>;
    let opened = Ledger::on_store(store, &mut stamp).expect("an empty store opens");
    opened.ledger
}

/// Takes a register over; whether it is in force then.
fn deliver(ledger: &mut Ledger, manifest: &Manifest, pages: &[Page]) -> bool {
    let by = "committee".parse().expect("a name");
    let Ok(mut arrival) = ledger.begin_transfer(manifest, &by) else {
        return false;
    };
    for page in pages {
        arrival = ledger.take_page(page).expect("a page of this transfer");
    }
    arrival == Arrival::Whole && ledger.take_over(100, None, stamp()).is_ok()
}

/// Signed edits that hold anything at all: a gate whose register they do not lead to is as before.
fn edits(text: &str) {
    let edits: Vec<String> = text.lines().map(str::to_owned).collect();
    let Ok(pages) = pack(&edits) else {
        return;
    };
    let mut ledger = ledger();
    let before = ledger.standing().expect("it can be read");
    let manifest = Manifest {
        version: RegisterVersion(1),
        scope: Scope::Register,
        base: None,
        pages: pages.len() as u32,
        root: root_of(&pages),
        digest: digest_of(edits),
        why: String::new(),
    };
    if !deliver(&mut ledger, &manifest, &pages) {
        assert_eq!(ledger.standing().expect("it can be read"), before);
    }
}

/// A register that can be read at all reads back the same, and arrives as it is or not at all.
fn rows(text: &str) {
    let Ok(roll) = Roll::read(text, Scope::Register) else {
        return;
    };
    let rows = roll.rows().expect("what was read can be written");
    let again = Roll::read(&rows.join("\n"), Scope::Register).expect("and read again");
    assert_eq!(again, roll);
    let Ok((manifest, pages)) = roll.offer(RegisterVersion(1), None, "") else {
        return;
    };
    let mut ledger = ledger();
    if deliver(&mut ledger, &manifest, &pages) {
        let standing = ledger.standing().expect("it can be read");
        assert_eq!(standing.register, manifest.digest);
        assert!(ledger.verify_registry().expect("it can be read").is_empty());
    }
}
