//! What is asked about passes of whoever holds the store, and what comes back.
//!
//! The key that signs passes never leaves the store's folder: a verb that prints asks for the
//! signed texts, so the daemon's user alone has to be able to read it.

use std::path::{Path, PathBuf};

use access::journal::Stamp;
use access::ledger::{Changed, Ledger, LedgerError};
use access::pass::entries::Count;
use access::pass::{Pass, Shown, check};
use access::policy::Clock;
use bridge::keys::{own_secret, read_secret};
use domain::signing::PublicKey;
use domain::{PassId, PassNumber, PlateNumber, Reason};
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Ask {
    /// All passes and how often they were used.
    List,
    /// Issue passes, all of them or none.
    Issue {
        /// The passes.
        passes: Vec<Pass>,
        /// Why, for the journal; may be empty.
        #[serde(default)]
        why: String,
    },
    /// All passes, and the public keys that sign them: what a page that checks passes must know.
    Page,
    /// The signed texts of these passes' codes.
    Sign {
        /// Their numbers.
        numbers: Vec<PassNumber>,
    },
    /// What a pass that was shown is worth.
    Check {
        /// The text of its code.
        text: String,
        /// The plate of the vehicle that it came with.
        #[serde(default)]
        plate: Option<PlateNumber>,
        /// Whether its bearer goes in by hand if it is accepted: an entry of it is used.
        #[serde(default)]
        admit: bool,
    },
}

/// What comes back.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The passes that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) passes: Vec<Line>,
    /// The texts that were asked for, in the order of the numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) codes: Vec<String>,
    /// The keys whose passes count here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<PublicKey>,
    /// What the pass that was shown is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shown: Option<Worth>,
}

/// One pass and how often it was used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The pass.
    pub(crate) pass: Pass,
    /// Its counter, if it was ever used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) used: Option<Count>,
}

/// What a pass that was shown is worth.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Worth {
    /// Why it is accepted or not.
    pub(crate) reason: Reason,
    /// Which pass the paper says that it is, if it is genuine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pass: Option<PassId>,
    /// The register's pass of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<Line>,
    /// Whether an entry was used.
    pub(crate) admitted: bool,
}

/// Where the key lies that signs this gate's passes.
pub(crate) fn key_path(store: &Path) -> PathBuf {
    store.join("pass.key")
}

/// The keys whose passes count here; none before the first pass is printed.
///
/// # Errors
/// If there is a key that cannot be read.
pub(crate) fn public_keys(store: &Path) -> Result<Vec<PublicKey>, String> {
    let path = key_path(store);
    if !path.exists() {
        return Ok(Vec::new());
    }
    Ok(vec![
        read_secret(&path).map_err(|e| e.to_string())?.public(),
    ])
}

/// Answers from a ledger; `store` is the folder with the key, `stamp` this moment, `clock` what is
/// known of the time.
///
/// # Errors
/// In words for the person who asked.
pub(crate) fn answer(
    ledger: &mut Ledger,
    ask: Ask,
    by: &str,
    (store, stamp, clock): (&Path, Stamp, Clock),
) -> Result<(Told, Option<Changed>), String> {
    let words = |e: LedgerError| e.to_string();
    let told = match ask {
        Ask::List => list(ledger).map_err(words)?,
        Ask::Issue { passes, why } => {
            let changed = ledger.issue(&passes, by, &why, stamp).map_err(words)?;
            return Ok((Told::default(), Some(changed)));
        }
        Ask::Page => Told {
            keys: public_keys(store)?,
            ..list(ledger).map_err(words)?
        },
        Ask::Sign { numbers } => sign(ledger, &numbers, store)?,
        Ask::Check { text, plate, admit } => {
            let keys = public_keys(store)?;
            let used = |id: PassId| ledger.inside().entries_of(id);
            let plate_read = plate.as_ref();
            let shown = check(&text, &keys, ledger.registry(), clock, plate_read, &used);
            let admitted = admit && shown.reason == Reason::Pass;
            if let (true, Some(pass)) = (admitted, &shown.pass) {
                let pass = pass.id();
                ledger.use_pass(pass, plate, by, stamp).map_err(words)?;
            }
            worth(ledger, shown, admitted)
        }
    };
    Ok((told, None))
}

fn line(ledger: &Ledger, pass: &Pass) -> Line {
    Line {
        pass: pass.clone(),
        used: ledger.inside().count_of(pass.id()),
    }
}

fn list(ledger: &Ledger) -> Result<Told, LedgerError> {
    let view = ledger.registry().ok_or(LedgerError::NoRegister)?;
    let entries = ledger.inside().entries();
    let passes = view.book().passes().map(|pass| Line {
        pass: pass.clone(),
        used: entries.count(pass.id()).copied(),
    });
    Ok(Told {
        passes: passes.collect(),
        ..Told::default()
    })
}

fn sign(ledger: &Ledger, numbers: &[PassNumber], store: &Path) -> Result<Told, String> {
    let key = own_secret(&key_path(store)).map_err(|e| e.to_string())?;
    let view = ledger.registry();
    let view = view.ok_or_else(|| LedgerError::NoRegister.to_string())?;
    let mut told = Told::default();
    for &number in numbers {
        let pass = view.book().pass(number);
        let token = pass.and_then(|pass| Some((pass, pass.token()?)));
        let (pass, token) = token.ok_or_else(|| absent(number))?;
        told.codes.push(token.sign(&key));
        told.passes.push(line(ledger, pass));
    }
    Ok(told)
}

/// There is no such pass, in words.
pub(crate) fn absent(number: PassNumber) -> String {
    format!(
        "pass {number} is not in the register; `menshen pass list` shows what is / 没有通行证 {number}"
    )
}

fn worth(ledger: &Ledger, shown: Shown, admitted: bool) -> Told {
    Told {
        shown: Some(Worth {
            reason: shown.reason,
            pass: shown.token.map(|token| token.pass),
            line: shown.pass.map(|pass| line(ledger, &pass)),
            admitted,
        }),
        ..Told::default()
    }
}
