//! A register on its way from the committee's server to a gate.
//!
//! ```text
//! server                                                   gate
//!   │  request/registry-sync: signed manifest over a challenge │
//!   ├─────────────────────────────────────────────────────────►│ begin
//!   │◄───────── response: taking, these pages are missing ─────┤
//!   │  registry/page: page, with its way up to the root        │
//!   ├─────────────────────────────────────────────────────────►│ page ... page: whole
//!   │◄───────── response: done, or refused ────────────────────┤ applied, all or nothing
//! ```
//!
//! A [`Manifest`] says which version of a register is coming, what it is a difference from, how
//! many pages it has, the root of the tree of their checksums, and the digest of the register
//! afterwards. It travels in a signed command, so that a [`Page`] needs no signature: it carries
//! the hashes that lead from its own text up to the root. A manifest therefore stays small
//! however long the register is, and a page can be judged alone.
//!
//! Nothing of this depends on order or on a connection that holds. Whoever sends says the same
//! manifest again (over a new challenge) and is told what is still missing; [`Receiver`] keeps
//! that straight, also over a restart. It knows nothing of rows: they are texts here, and what a
//! text means is for the register.
//!
//! [`digest_of`] is the digest of a register: SHA-256 over the texts of its rows, one a line,
//! lines in the order of their bytes. `sort` and `sha256sum` compute the same, so two registers
//! can be compared without this program.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::command::Refusal;
use crate::event::Digest;
use crate::names::Name;

/// Bytes that the rows of a page may take: with everything around them, a message stays below
/// 8 KiB.
pub const PAGE_BYTES: usize = 7_000;

/// Pages that a transfer may have; together below 28 MiB.
pub const MOST_PAGES: u32 = 4096;

/// Characters that the reason of a transfer may have.
pub const WHY_CHARACTERS: usize = 200;

/// Ranges of missing pages that are told at once: an answer must stay small.
pub const MOST_RANGES: usize = 100;

/// The server's number of a register. It only rises; a gate's own version counts its changes and
/// is another number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RegisterVersion(pub u64);

impl fmt::Display for RegisterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What of a register is synchronised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The vehicles alone: what a list in a table holds.
    Vehicles,
    /// Everything but numbered passes, which belong to the gate that signed them.
    Register,
}

impl Scope {
    /// As on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vehicles => "vehicles",
            Self::Register => "register",
        }
    }
}

/// A register at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edition {
    /// The server's number.
    pub version: RegisterVersion,
    /// What of the register it is about.
    pub scope: Scope,
    /// [`digest_of`] its rows.
    pub digest: Digest,
}

/// What a difference is a difference from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// The server's number.
    pub version: RegisterVersion,
    /// The digest.
    pub digest: Digest,
}

/// What is coming: the body of a `registry-sync` command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The server's number of the register that is coming.
    pub version: RegisterVersion,
    /// What of the register.
    pub scope: Scope,
    /// What the pages change; without it they are the whole register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// How many pages there are.
    pub pages: u32,
    /// The root of the tree of the pages' checksums.
    pub root: Digest,
    /// The digest of the register afterwards.
    pub digest: Digest,
    /// Why, for the journal; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl Manifest {
    /// The register that is coming.
    pub const fn edition(&self) -> Edition {
        Edition {
            version: self.version,
            scope: self.scope,
            digest: self.digest,
        }
    }

    /// Whether the pages of one are those of the other.
    fn carries_the_pages_of(&self, other: &Self) -> bool {
        (self.root, self.pages) == (other.root, other.pages)
    }

    fn check(&self) -> Result<(), Fault> {
        let later = self.base.is_none_or(|base| base.version < self.version);
        let short =
            self.why.chars().count() <= WHY_CHARACTERS && !self.why.chars().any(char::is_control);
        if self.pages <= MOST_PAGES && later && short {
            Ok(())
        } else {
            Err(Fault::Wrong)
        }
    }
}

/// Some of the rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The root of the transfer that it belongs to.
    pub root: Digest,
    /// Its place, from 0.
    pub index: u32,
    /// The hashes beside its way from its own checksum to the root, from the bottom up.
    pub proof: Vec<Digest>,
    /// The changes: a JSON array. Its checksum is over this very text.
    pub edits: Box<RawValue>,
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        (self.root, self.index, &self.proof, self.edits.get())
            == (other.root, other.index, &other.proof, other.edits.get())
    }
}

impl Page {
    /// Whether it is the page of this place in the transfer of `manifest`.
    pub fn belongs_to(&self, manifest: &Manifest) -> bool {
        self.root == manifest.root && self.climbs_to(manifest.pages) == Some(manifest.root)
    }

    /// The root that its text and its proof lead to in a tree of so many pages.
    fn climbs_to(&self, pages: u32) -> Option<Digest> {
        if self.index >= pages {
            return None;
        }
        let (mut at, mut width) = (self.index, pages);
        let mut hash = leaf(self.edits.get());
        let mut proof = self.proof.iter();
        while width > 1 {
            if at ^ 1 < width {
                let beside = proof.next()?;
                hash = if at.is_multiple_of(2) {
                    node(hash, *beside)
                } else {
                    node(*beside, hash)
                };
            }
            at /= 2;
            width = width.div_ceil(2);
        }
        proof.next().is_none().then_some(hash)
    }
}

/// The checksum of a page's text. Leaves and nodes begin with different bytes, so that no page
/// can pass for a node.
fn leaf(text: &str) -> Digest {
    let mut hash = Sha256::new_with_prefix([0]);
    hash.update(text);
    Digest(hash.finalize().into())
}

fn node(left: Digest, right: Digest) -> Digest {
    let mut hash = Sha256::new_with_prefix([1]);
    hash.update(left.0);
    hash.update(right.0);
    Digest(hash.finalize().into())
}

/// The digest of a register with these rows, in whatever order they come; no row's text may have
/// a line end, which no JSON text that this program writes has.
pub fn digest_of(rows: impl IntoIterator<Item = String>) -> Digest {
    let mut rows: Vec<String> = rows.into_iter().collect();
    rows.sort_unstable();
    let mut hash = Sha256::new();
    for row in &rows {
        hash.update(row);
        hash.update(b"\n");
    }
    Digest(hash.finalize().into())
}

/// A change that does not fit into any page, or more of them than a transfer can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// One record is too long.
    #[error(
        "the record {start}… takes {bytes} bytes, a page has {PAGE_BYTES}; shorten it / 这条记录过长"
    )]
    TooLong {
        /// How its text begins.
        start: String,
        /// Its bytes.
        bytes: usize,
    },
    /// There are too many.
    #[error(
        "the register takes {pages} pages, a transfer has at most {MOST_PAGES}; import it on the gate with `menshen registry import` / 登记表过大"
    )]
    TooMany {
        /// How many pages it takes.
        pages: usize,
    },
    /// A text is no JSON.
    #[error("the record {start}… is no JSON; this is a mistake in the program, please report it")]
    Unreadable {
        /// How its text begins.
        start: String,
    },
}

/// Puts changes (each the text of a JSON value) onto pages, in their order.
///
/// # Errors
/// [`PackError`] if they cannot be sent.
pub fn pack(edits: &[String]) -> Result<Vec<Page>, PackError> {
    let start = |edit: &String| edit.chars().take(60).collect();
    let mut texts: Vec<String> = Vec::new();
    for edit in edits {
        // The brackets, or a comma and one bracket that is there already.
        if edit.len() + 2 > PAGE_BYTES {
            return Err(PackError::TooLong {
                start: start(edit),
                bytes: edit.len(),
            });
        }
        match texts.last_mut() {
            Some(text) if text.len() + 1 + edit.len() < PAGE_BYTES => {
                text.push(',');
                text.push_str(edit);
            }
            _ => texts.push(format!("[{edit}")),
        }
    }
    if texts.len() > MOST_PAGES as usize {
        return Err(PackError::TooMany { pages: texts.len() });
    }
    for text in &mut texts {
        text.push(']');
    }
    let tree = tree(texts.iter().map(|text| leaf(text)).collect());
    let root = root(&tree);
    let page = |(index, text): (u32, String)| {
        let edits = RawValue::from_string(text.clone()).map_err(|_| PackError::Unreadable {
            start: start(&text),
        })?;
        Ok(Page {
            root,
            index,
            proof: proof(&tree, index as usize),
            edits,
        })
    };
    (0..).zip(texts).map(page).collect()
}

/// The root of the tree of these pages' checksums.
pub fn root_of(pages: &[Page]) -> Digest {
    root(&tree(pages.iter().map(|p| leaf(p.edits.get())).collect()))
}

/// All levels from the leaves up; one that stands alone at the end of its level goes up as it is.
fn tree(leaves: Vec<Digest>) -> Vec<Vec<Digest>> {
    let mut levels = vec![leaves];
    while let Some(below) = levels.last().filter(|level| level.len() > 1) {
        let pairs = below.chunks(2);
        let above = pairs.map(|pair| match pair {
            [left, right] => node(*left, *right),
            alone => alone.first().copied().unwrap_or(Digest::START),
        });
        let above = above.collect();
        levels.push(above);
    }
    levels
}

fn root(levels: &[Vec<Digest>]) -> Digest {
    let top = levels.last().and_then(|level| level.first());
    top.copied().unwrap_or(Digest::START)
}

fn proof(levels: &[Vec<Digest>], index: usize) -> Vec<Digest> {
    let levels = levels.iter().enumerate();
    levels
        .filter_map(|(up, level)| level.get((index >> up) ^ 1).copied())
        .collect()
}

/// Why a manifest or a page is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The manifest contradicts itself.
    #[error(
        "the manifest is not sound: at most {MOST_PAGES} pages, a base that is older than what is coming, a reason of at most {WHY_CHARACTERS} characters / 清单不合规"
    )]
    Wrong,
    /// What is here is as new or newer.
    #[error(
        "version {here} of the register is in force here, so version {offered} is too old; send a greater number / 版本过旧"
    )]
    Older {
        /// What is in force.
        here: RegisterVersion,
        /// What was offered.
        offered: RegisterVersion,
    },
    /// The difference does not begin at what is here.
    #[error(
        "the difference begins at another register than the one that was last taken over here; send the whole register / 增量起点不符，请整表发送"
    )]
    OtherBase,
    /// No transfer is open.
    #[error("no transfer is open; send its manifest first / 没有进行中的同步")]
    NoTransfer,
    /// The page is of another transfer.
    #[error("the page belongs to another transfer than the open one / 不属于当前同步")]
    OtherTransfer,
    /// The page is not what its checksum says.
    #[error("the page is not the one that the signed manifest means / 与签名清单不符")]
    Corrupt,
}

impl Fault {
    /// As on the wire and in the journal.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Wrong => Refusal::Unreadable,
            Self::Older { .. } | Self::NoTransfer | Self::OtherTransfer => Refusal::Stale,
            Self::OtherBase => Refusal::OtherBase,
            Self::Corrupt => Refusal::Forged,
        }
    }
}

/// What became of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// This very register is in force already.
    InForce,
    /// A transfer begins; what was kept of another one is to be forgotten.
    Anew,
    /// It carries the pages of the one that is open; those that have come are still there.
    Resumed,
}

/// What became of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// It is to be kept.
    New,
    /// It was there.
    Again,
}

/// A transfer that is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What is coming.
    pub manifest: Manifest,
    /// Whose key signed it.
    pub by: Name,
    have: BTreeSet<u32>,
}

impl Transfer {
    /// Ranges of pages that have not come, first and last, at most [`MOST_RANGES`] of them.
    pub fn missing(&self) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for index in (0..self.manifest.pages).filter(|index| !self.have.contains(index)) {
            if let Some((_, last)) = ranges.last_mut()
                && *last + 1 == index
            {
                *last = index;
            } else if ranges.len() == MOST_RANGES {
                break;
            } else {
                ranges.push((index, index));
            }
        }
        ranges
    }

    /// How many pages have not come.
    pub fn lacks(&self) -> u32 {
        // Only pages of the transfer are in it, so there are at most as many.
        self.manifest.pages - self.have.len() as u32
    }

    /// Whether every page is there.
    pub fn is_whole(&self) -> bool {
        self.lacks() == 0
    }
}

/// The gate's end of transfers: which one is open, and what of it is there. It holds no page;
/// whoever drives it keeps those that are [`Took::New`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receiver {
    in_force: Option<Edition>,
    open: Option<Transfer>,
}

impl Receiver {
    /// A receiver where this register was taken over last, if any was.
    pub const fn new(in_force: Option<Edition>) -> Self {
        Self {
            in_force,
            open: None,
        }
    }

    /// Goes on after a restart, with the transfer that was open and the pages that were kept.
    /// Says which of those are of no use.
    pub fn resume(&mut self, manifest: Manifest, by: Name, kept: &[Page]) -> Vec<u32> {
        let useful = |page: &&Page| page.belongs_to(&manifest);
        let have = kept.iter().filter(useful).map(|page| page.index).collect();
        let useless = kept.iter().filter(|page| !page.belongs_to(&manifest));
        let useless = useless.map(|page| page.index).collect();
        self.open = Some(Transfer { manifest, by, have });
        useless
    }

    /// The register that was taken over last.
    pub const fn in_force(&self) -> Option<Edition> {
        self.in_force
    }

    /// The transfer that is not finished.
    pub const fn open(&self) -> Option<&Transfer> {
        self.open.as_ref()
    }

    /// Takes a manifest that an enrolled key signed over a challenge of this gate. Said again, it
    /// goes on with what is there; another one takes the place of an unfinished one.
    ///
    /// # Errors
    /// [`Fault`] says why not; then everything stays as it was.
    pub fn begin(&mut self, manifest: &Manifest, by: &Name) -> Result<Begun, Fault> {
        manifest.check()?;
        if self.in_force == Some(manifest.edition()) {
            return Ok(Begun::InForce);
        }
        if let Some(here) = self.in_force.filter(|e| e.version >= manifest.version) {
            return Err(Fault::Older {
                here: here.version,
                offered: manifest.version,
            });
        }
        let from = |edition: Edition| {
            let base = Base {
                version: edition.version,
                digest: edition.digest,
            };
            (edition.scope, base)
        };
        if let Some(base) = manifest.base
            && self.in_force.map(from) != Some((manifest.scope, base))
        {
            return Err(Fault::OtherBase);
        }
        match &mut self.open {
            // Whoever sends the same again may give it a later number and another reason: pages
            // belong to their root.
            Some(open) if open.manifest.carries_the_pages_of(manifest) => {
                open.manifest = manifest.clone();
                open.by = by.clone();
                Ok(Begun::Resumed)
            }
            _ => {
                self.open = Some(Transfer {
                    manifest: manifest.clone(),
                    by: by.clone(),
                    have: BTreeSet::new(),
                });
                Ok(Begun::Anew)
            }
        }
    }

    /// Takes a page, from whomever.
    ///
    /// # Errors
    /// [`Fault`] says why not; then everything stays as it was.
    pub fn page(&mut self, page: &Page) -> Result<Took, Fault> {
        let open = self.open.as_mut().ok_or(Fault::NoTransfer)?;
        if page.root != open.manifest.root {
            return Err(Fault::OtherTransfer);
        }
        if !page.belongs_to(&open.manifest) {
            return Err(Fault::Corrupt);
        }
        Ok(if open.have.insert(page.index) {
            Took::New
        } else {
            Took::Again
        })
    }

    /// The page could not be kept after all: it is missing again.
    pub fn lost(&mut self, index: u32) {
        if let Some(open) = &mut self.open {
            open.have.remove(&index);
        }
    }

    /// The open transfer was applied.
    pub fn applied(&mut self) {
        if let Some(open) = self.open.take() {
            self.in_force = Some(open.manifest.edition());
        }
    }

    /// The open transfer is given up; what was in force stays.
    pub fn abandon(&mut self) {
        self.open = None;
    }
}

/// What a gate says about its register, signed and retained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Whose register, as `site/device`.
    pub device: crate::command::DeviceName,
    /// The gate's own count of changes.
    pub version: u64,
    /// The digest of the vehicles in force.
    pub vehicles: Digest,
    /// The digest of everything in force but numbered passes.
    pub register: Digest,
    /// What was last taken over from a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Edition>,
    /// Records that are otherwise here than in what was taken over.
    pub differing: u64,
    /// Those of them that wait for a person.
    pub contested: u64,
}

#[cfg(test)]
mod tests;
