#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn edits(count: usize, length: usize) -> Vec<String> {
    (0..count)
        .map(|i| format!("\"{i}{}\"", "x".repeat(length)))
        .collect()
}

fn manifest(version: u64, pages: &[Page], base: Option<Base>) -> Manifest {
    Manifest {
        version: RegisterVersion(version),
        scope: Scope::Vehicles,
        base,
        pages: pages.len() as u32,
        root: root_of(pages),
        digest: digest_of(pages.iter().map(|p| p.edits.get().to_owned())),
        why: String::new(),
    }
}

fn key() -> Name {
    "committee".parse().unwrap()
}

/// A receiver with the pages that its driver keeps, as a gate has them.
struct Gate {
    receiver: Receiver,
    stored: Option<(Manifest, Name)>,
    kept: BTreeMap<u32, Page>,
    /// Pages of every register that was applied.
    applied: Vec<Vec<String>>,
}

impl Gate {
    fn new() -> Self {
        Self {
            receiver: Receiver::new(None),
            stored: None,
            kept: BTreeMap::new(),
            applied: Vec::new(),
        }
    }

    fn begin(&mut self, manifest: &Manifest) -> Result<Begun, Fault> {
        let begun = self.receiver.begin(manifest, &key())?;
        if begun == Begun::Anew {
            self.kept.clear();
            self.stored = Some((manifest.clone(), key()));
        }
        if begun == Begun::Resumed {
            self.stored = Some((manifest.clone(), key()));
        }
        self.finish();
        Ok(begun)
    }

    fn take(&mut self, page: &Page) -> Result<Took, Fault> {
        let took = self.receiver.page(page)?;
        if took == Took::New {
            self.kept.insert(page.index, page.clone());
        }
        self.finish();
        Ok(took)
    }

    fn finish(&mut self) {
        if self.receiver.open().is_some_and(Transfer::is_whole) {
            let texts = self.kept.values().map(|p| p.edits.get().to_owned());
            self.applied.push(texts.collect());
            self.kept.clear();
            self.stored = None;
            self.receiver.applied();
        }
    }

    /// The program is killed, some pages had not reached the disk, and it starts again.
    fn restart(&mut self, lost: &[Index]) {
        for at in lost {
            if !self.kept.is_empty() {
                let index = *self.kept.keys().nth(at.index(self.kept.len())).unwrap();
                self.kept.remove(&index);
            }
        }
        let mut receiver = Receiver::new(self.receiver.in_force());
        if let Some((manifest, by)) = self.stored.clone() {
            let kept: Vec<Page> = self.kept.values().cloned().collect();
            assert!(receiver.resume(manifest, by, &kept).is_empty());
        }
        self.receiver = receiver;
    }
}

#[derive(Debug, Clone)]
enum Happening {
    /// A page of the transfer.
    Page(Index),
    /// One with a text that somebody changed.
    Corrupt(Index),
    /// One of another transfer.
    Foreign(Index),
    /// One under the number of another.
    Moved(Index, Index),
    /// The manifest again.
    Again,
    /// The same register under a later number: a sending that was begun anew.
    Renumbered,
    /// An older manifest.
    Older,
    /// Killed, with pages that were not on the disk.
    Restart(Vec<Index>),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => any::<Index>().prop_map(Happening::Page),
        1 => any::<Index>().prop_map(Happening::Corrupt),
        1 => any::<Index>().prop_map(Happening::Foreign),
        1 => any::<(Index, Index)>().prop_map(|(a, b)| Happening::Moved(a, b)),
        1 => Just(Happening::Again),
        1 => Just(Happening::Renumbered),
        1 => Just(Happening::Older),
        1 => prop::collection::vec(any::<Index>(), 0..3).prop_map(Happening::Restart),
    ]
}

fn changed(page: &Page) -> Page {
    let text = page.edits.get().replacen('x', "y", 1);
    Page {
        edits: RawValue::from_string(text).unwrap(),
        ..page.clone()
    }
}

proptest! {
    /// Whatever happens on the way, what is applied in the end is what was sent, once.
    #[test]
    fn a_transfer_ends_with_exactly_its_own_pages(
        count in 1_usize..60,
        happenings in prop::collection::vec(happening(), 0..120),
    ) {
        let pages = pack(&edits(count, 1_500)).unwrap();
        let others = pack(&edits(count + 1, 1_400)).unwrap();
        let before = pack(&edits(3, 9)).unwrap();
        let mut gate = Gate::new();
        gate.begin(&manifest(1, &before, None)).unwrap();
        for page in &before {
            gate.take(page).unwrap();
        }
        let mut coming = manifest(2, &pages, None);
        prop_assert_eq!(gate.begin(&coming), Ok(Begun::Anew));
        for happening in happenings {
            let done = gate.applied.len() == 2;
            match happening {
                Happening::Page(at) => {
                    let took = gate.take(&pages[at.index(pages.len())]);
                    prop_assert_eq!(took.is_ok(), !done);
                }
                Happening::Corrupt(at) => {
                    let took = gate.take(&changed(&pages[at.index(pages.len())]));
                    prop_assert_eq!(took, Err(if done { Fault::NoTransfer } else { Fault::Corrupt }));
                }
                Happening::Foreign(at) => {
                    let took = gate.take(&others[at.index(others.len())]);
                    prop_assert_eq!(took, Err(if done { Fault::NoTransfer } else { Fault::OtherTransfer }));
                }
                Happening::Moved(from, to) => {
                    let (from, to) = (from.index(pages.len()), to.index(pages.len()));
                    let moved = Page { index: to as u32, ..pages[from].clone() };
                    if from != to && !done {
                        prop_assert_eq!(gate.take(&moved), Err(Fault::Corrupt));
                    }
                }
                Happening::Again => {
                    let begun = gate.begin(&coming);
                    prop_assert_eq!(begun, Ok(if done { Begun::InForce } else { Begun::Resumed }));
                }
                Happening::Renumbered => if !done {
                    coming.version.0 += 1;
                    coming.why.push('2');
                    prop_assert_eq!(gate.begin(&coming), Ok(Begun::Resumed));
                }
                Happening::Older => {
                    let begun = gate.begin(&manifest(1, &others, None));
                    prop_assert!(matches!(begun, Err(Fault::Older { .. })), "{:?}", begun);
                }
                Happening::Restart(lost) => gate.restart(&lost),
            }
            if let Some(open) = gate.receiver.open() {
                let missing = open.missing();
                let told: u32 = missing.iter().map(|(from, to)| to - from + 1).sum();
                prop_assert_eq!(told, open.lacks());
                prop_assert_eq!(told as usize, pages.len() - gate.kept.len());
                prop_assert_eq!(gate.receiver.in_force().map(|e| e.version.0), Some(1));
            }
        }
        // Whoever sends says it again until it is done.
        gate.begin(&coming).unwrap();
        for (from, to) in gate.receiver.open().map(Transfer::missing).unwrap_or_default() {
            for index in from..=to {
                gate.take(&pages[index as usize]).unwrap();
            }
        }
        prop_assert_eq!(gate.receiver.in_force(), Some(coming.edition()));
        prop_assert_eq!(gate.applied.len(), 2);
        let sent: Vec<String> = pages.iter().map(|p| p.edits.get().to_owned()).collect();
        prop_assert_eq!(&gate.applied[1], &sent);
    }

    /// Every page proves its place, keeps its bound, and the pages hold the changes in order.
    #[test]
    fn pages_prove_their_places(
        lengths in prop::collection::vec(1_usize..3_000, 0..80),
        text in "\\PC{0,40}",
    ) {
        let edits: Vec<String> = lengths
            .iter()
            .map(|length| serde_json::to_string(&format!("{text}{}", "é".repeat(*length / 2))).unwrap())
            .collect();
        let pages = pack(&edits).unwrap();
        let manifest = manifest(1, &pages, None);
        let mut read: Vec<String> = Vec::new();
        for page in &pages {
            prop_assert!(page.belongs_to(&manifest));
            prop_assert!(page.edits.get().len() <= PAGE_BYTES);
            let values: Vec<Box<RawValue>> = serde_json::from_str(page.edits.get()).unwrap();
            read.extend(values.iter().map(|v| v.get().to_owned()));
            let sent = serde_json::to_vec(page).unwrap();
            prop_assert!(sent.len() <= 8 * 1024, "{} bytes", sent.len());
            let again: Page = serde_json::from_slice(&sent).unwrap();
            prop_assert!(again.belongs_to(&manifest));
            for (up, _) in page.proof.iter().enumerate() {
                let mut bent = page.clone();
                bent.proof[up].0[0] ^= 1;
                prop_assert!(!bent.belongs_to(&manifest));
            }
            let mut longer = page.clone();
            longer.proof.push(Digest::START);
            prop_assert!(!longer.belongs_to(&manifest));
        }
        prop_assert_eq!(read, edits);
    }

    #[test]
    fn the_digest_of_a_register_does_not_know_the_order(
        rows in prop::collection::vec("[a-z]{0,5}", 0..20).prop_flat_map(|rows| {
            (Just(rows.clone()), Just(rows).prop_shuffle())
        }),
    ) {
        let (one, other) = rows;
        let digest = digest_of(one.clone());
        prop_assert_eq!(digest, digest_of(other.clone()));
        let mut more = other;
        more.push("z".repeat(6));
        prop_assert_ne!(digest, digest_of(more));
    }
}

#[test]
fn a_difference_is_taken_only_where_it_begins() {
    let first = pack(&edits(4, 10)).unwrap();
    let second = pack(&edits(5, 10)).unwrap();
    let mut gate = Gate::new();
    let whole = manifest(7, &first, None);
    let base = Base {
        version: whole.version,
        digest: whole.digest,
    };
    let difference = manifest(9, &second, Some(base));
    assert_eq!(gate.begin(&difference), Err(Fault::OtherBase));
    gate.begin(&whole).unwrap();
    assert_eq!(gate.begin(&difference), Err(Fault::OtherBase));
    gate.take(&first[0]).unwrap();
    assert_eq!(gate.begin(&whole), Ok(Begun::InForce));
    let elsewhere = Manifest {
        scope: Scope::Register,
        ..difference.clone()
    };
    assert_eq!(gate.begin(&elsewhere), Err(Fault::OtherBase));
    let backwards = Manifest {
        version: RegisterVersion(7),
        ..difference.clone()
    };
    assert_eq!(gate.begin(&backwards), Err(Fault::Wrong));
    assert_eq!(gate.begin(&difference), Ok(Begun::Anew));
    // A later word takes the place of one that is not finished.
    let later = manifest(12, &first, None);
    assert_eq!(gate.begin(&later), Ok(Begun::Anew));
    assert_eq!(gate.take(&second[0]), Err(Fault::OtherTransfer));
    assert_eq!(gate.take(&first[0]), Ok(Took::New));
    assert_eq!(gate.receiver.in_force(), Some(later.edition()));
}

#[test]
fn an_empty_register_needs_no_page() {
    let empty = manifest(1, &pack(&[]).unwrap(), None);
    assert_eq!(empty.pages, 0);
    let mut gate = Gate::new();
    gate.begin(&empty).unwrap();
    assert_eq!(gate.receiver.in_force(), Some(empty.edition()));
}

#[test]
fn what_cannot_be_sent_is_said_before_anything_is() {
    let long = edits(1, PAGE_BYTES);
    assert!(matches!(pack(&long), Err(PackError::TooLong { .. })));
    let many = edits(MOST_PAGES as usize + 1, PAGE_BYTES - 20);
    assert!(matches!(pack(&many), Err(PackError::TooMany { .. })));
}

/// The digest is the one that `printf '"b"\n"a"\n' | LC_ALL=C sort | sha256sum` prints.
#[test]
fn other_programs_compute_the_same_digest() {
    let digest = digest_of(["\"b\"".to_owned(), "\"a\"".to_owned()]);
    assert_eq!(
        digest.to_string(),
        "14bdec8c77f9feebc3b047fa42657bac4babc6d05439548a956ee1a9edf35eab"
    );
}
