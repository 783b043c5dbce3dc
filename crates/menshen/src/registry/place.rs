//! Where the register is, what can be asked of it, and what comes back.

use std::path::{Path, PathBuf};

use access::ledger::Standing;
use access::registry::Vehicle;
use access::registry::book::{Edit, Record, RecordKey};
use access::registry::sync::Departure;
use clap::Args;
use domain::PlateNumber;
use domain::sync::Manifest;
use domain::verdict::Inside;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::outcome::{FOUND_WRONG, WRONG_USAGE, fail};
use crate::pass::ask::{Ask, Told};
use crate::run::clock::WallClock;
use crate::run::records;
use crate::run::socket::{self, Reply, Request};

/// What is asked of the register.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Change {
    /// All rows.
    List,
    /// All rows and all other records.
    Everything,
    /// Put one row in, in the place of any with the same plate.
    Add {
        /// The row.
        vehicle: Box<Vehicle>,
    },
    /// Take one row out.
    Remove {
        /// Its plate.
        plate: PlateNumber,
    },
    /// Put these rows in the place of all.
    Import {
        /// The rows.
        vehicles: Vec<Vehicle>,
    },
    /// Make changes, all of them or none.
    Edit {
        /// The changes.
        edits: Vec<Edit>,
        /// Why, for the journal; may be empty.
        #[serde(default)]
        why: String,
    },
    /// Who is inside.
    Inside,
    /// A vehicle that the gate thinks inside is not there.
    MarkOutside {
        /// Its plate.
        plate: PlateNumber,
        /// Why, for the journal; may be empty.
        #[serde(default)]
        why: String,
    },
    /// Read everything anew and compare.
    Verify,
    /// Entries of the journal.
    Journal {
        /// The first number that is wanted.
        from: u64,
        /// How many at most; there is a limit to what is given at once.
        limit: u32,
    },
    /// Version and digests.
    Digest,
    /// Records that are otherwise here than on the server.
    Conflicts,
    /// A person decided about some of them.
    Settle {
        /// Which.
        keys: Vec<RecordKey>,
        /// Whether what is here stays; else the server's value comes into force.
        keep: bool,
        /// Why, for the journal; may be empty.
        #[serde(default)]
        why: String,
    },
    /// The server's register that is on its way.
    Incoming,
    /// Take it over, however many vehicles it takes out.
    Accept,
    /// Give it up.
    Discard,
    /// Something about numbered passes.
    Pass {
        /// What.
        ask: Ask,
    },
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The register's version.
    pub(crate) version: u64,
    /// Vehicles it holds.
    pub(crate) count: u64,
    /// Vehicles it held before.
    pub(crate) before: u64,
    /// The rows, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) vehicles: Vec<Vehicle>,
    /// The other records, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) records: Vec<Record>,
    /// Who is inside, if it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inside: Vec<Inside>,
    /// What is wrong, if that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) wrong: Vec<String>,
    /// Version and digests, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) standing: Option<Standing>,
    /// Records that are otherwise here than on the server, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) departures: Vec<Departure>,
    /// The register that is on its way, if it was asked for and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) incoming: Option<Incoming>,
    /// What was asked about passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pass: Option<Box<Told>>,
    /// The stored text of journal entries, if they were asked for; damaged ones are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) entries: Vec<String>,
    /// The number of the journal's last entry, if entries were asked for.
    #[serde(default)]
    pub(crate) last: u64,
}

/// A server's register that is on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Incoming {
    /// What is coming.
    pub(crate) manifest: Manifest,
    /// Whose key signed it.
    pub(crate) by: String,
    /// Pages that have not come.
    pub(crate) missing: u32,
}

/// Where the register is and who asks.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The gate's configuration / 配置文件
    #[arg(long, default_value = "/etc/menshen/menshen.toml", value_name = "FILE")]
    config: PathBuf,
    /// Who does this, for the record / 操作人
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
}

/// The same, and why something is changed.
#[derive(Debug, Args)]
pub(crate) struct Act {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Why, for the record / 原因
    #[arg(long, default_value = "")]
    why: String,
}

/// Whoever holds the register for as long as somebody asks.
pub(crate) enum Desk {
    /// The running gate, at its socket.
    Gate(PathBuf),
    /// The store, opened here.
    Store(Box<records::Store>),
}

impl Desk {
    /// Asks for one thing.
    pub(crate) fn perform(&mut self, change: Change, by: &str) -> Result<Outcome, u8> {
        match self {
            Self::Store(store) => store.change(change, by).map_err(|e| fail(FOUND_WRONG, e)),
            Self::Gate(path) => {
                let by = by.to_owned();
                match socket::ask(path, &Request::Registry { change, by }) {
                    Ok(Some(Reply::Registry(outcome))) => Ok(*outcome),
                    Ok(Some(Reply::Refused { message })) => Err(fail(FOUND_WRONG, message)),
                    Ok(Some(_)) => Err(fail(
                        FOUND_WRONG,
                        "the gate gave an answer that does not belong to the question",
                    )),
                    Ok(None) => Err(fail(
                        FOUND_WRONG,
                        "the gate ended in the meantime; try again / 门禁刚刚停止运行，请重试",
                    )),
                    Err(e) => Err(unreachable_gate(path, &e)),
                }
            }
        }
    }
}

fn unreachable_gate(path: &Path, error: &std::io::Error) -> u8 {
    fail(
        FOUND_WRONG,
        format_args!("{}: {error}; are you in the group menshen?", path.display()),
    )
}

impl Place {
    /// Finds the running gate, or opens the store if none is running.
    pub(crate) fn desk(&self) -> Result<Desk, u8> {
        let house = self.house()?;
        let path = socket::path_for(&house.store.folder);
        match socket::is_served(&path) {
            Ok(true) => Ok(Desk::Gate(path)),
            Ok(false) => records::Store::open(&house)
                .map(|store| Desk::Store(Box::new(store)))
                .map_err(|e| fail(FOUND_WRONG, e)),
            Err(e) => Err(unreachable_gate(&path, &e)),
        }
    }

    /// Asks the running gate, or opens the store if none is running.
    pub(crate) fn perform(&self, change: Change) -> Result<Outcome, u8> {
        self.desk()?.perform(change, &self.by)
    }

    /// Who asks.
    pub(crate) fn by(&self) -> &str {
        &self.by
    }

    /// The gate's configuration.
    pub(crate) fn house(&self) -> Result<config::House, u8> {
        config::load(&self.config).map_err(|e| fail(WRONG_USAGE, e))
    }

    /// The date at the site, as this machine's clock has it.
    pub(crate) fn today(&self) -> Result<Date, u8> {
        Ok(WallClock::of(&self.house()?).day())
    }

    /// Everything that the register holds.
    pub(super) fn everything(&self) -> Result<Outcome, u8> {
        self.perform(Change::Everything)
    }
}

impl Act {
    /// Why, for the journal.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// Makes changes, all of them or none.
    pub(super) fn edit(&self, edits: Vec<Edit>) -> Result<Outcome, u8> {
        let why = self.why.clone();
        self.place.perform(Change::Edit { edits, why })
    }

    /// Puts one record in its place and says so.
    pub(crate) fn put(&self, record: Record) -> Result<(), u8> {
        let key = record.key();
        self.edit(vec![Edit::Put(record)])?;
        println!("{key}: written / 已登记{}", key.chinese());
        Ok(())
    }

    /// Takes one record away and says so.
    pub(super) fn take(&self, key: &RecordKey) -> Result<(), u8> {
        self.edit(vec![Edit::Remove(key.clone())])?;
        println!("{key}: removed / 已删除{}", key.chinese());
        Ok(())
    }

    /// A vehicle that the gate thinks inside is not there.
    pub(super) fn mark_outside(&self, plate: PlateNumber) -> Result<Outcome, u8> {
        let why = self.why.clone();
        self.place.perform(Change::MarkOutside { plate, why })
    }
}
