//! The archive of passages' pictures: JPEG files under an age and a budget.
//!
//! `2026-11-23/<passage>-frame.jpg` is the whole frame, `…-plate.jpg` the plate. Files are
//! written beside and renamed, so that none is ever half there. The archive counts its bytes
//! in memory and counts them anew at each start. Its errors are for the log: no passage waits
//! for a picture.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::PassageId;
use jiff::ToSpan as _;
use jiff::civil::Date;

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// The whole frame.
    Frame,
    /// The plate, cut out.
    Plate,
}

impl fmt::Display for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Frame => "frame",
            Self::Plate => "plate",
        })
    }
}

/// Where a picture lies within the archive.
pub fn path_of(day: Date, passage: PassageId, shows: Shows) -> String {
    format!("{day}/{passage}-{shows}.jpg")
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Days that a picture is kept.
    pub days: u16,
    /// Bytes that all pictures together may take.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            days: 30,
            bytes: 4 * 1024 * 1024 * 1024,
        }
    }
}

/// Why the archive could not do something.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The operating system refused.
    #[error(
        "{what} {path} failed: {source}; check that the picture folder's disk is mounted, writable and not full"
    )]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// One picture alone is beyond the budget.
    #[error(
        "a picture of {size} bytes is beyond the whole budget of {budget} bytes and was not kept; raise the budget"
    )]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// The budget.
        budget: u64,
    },
}

/// The archive in one folder.
#[derive(Debug)]
pub struct Pictures {
    folder: PathBuf,
    limits: Limits,
    /// Relative path and bytes. Day first and a `UUIDv7` after it: in order of age.
    files: BTreeMap<String, u64>,
    total: u64,
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PictureError {
    let path = path.to_owned();
    move |source| PictureError::Io { what, path, source }
}

impl Pictures {
    /// Opens the archive in `folder`, which is made if it is not there, and counts what it
    /// holds. Files that are not the archive's are left alone and not counted.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, PictureError> {
        fs::create_dir_all(folder).map_err(failed("creating the folder", folder))?;
        let mut archive = Self {
            folder: folder.to_owned(),
            limits,
            files: BTreeMap::new(),
            total: 0,
        };
        for day in list(folder)? {
            if day.parse::<Date>().is_err() {
                continue;
            }
            let path = folder.join(&day);
            for name in list(&path)? {
                let file = path.join(&name);
                let extension = Path::new(&name).extension();
                if extension.is_some_and(|e| e == "part") {
                    // A write that a crash cut off.
                    let _ = fs::remove_file(&file);
                } else if extension.is_some_and(|e| e == "jpg")
                    && let Ok(meta) = fs::symlink_metadata(&file)
                    && meta.is_file()
                {
                    archive.total += meta.len();
                    archive.files.insert(format!("{day}/{name}"), meta.len());
                }
            }
        }
        Ok(archive)
    }

    /// Keeps a picture, after making room for it; returns its path within the archive, for
    /// the passage's record. `day` is the date at the site, right or wrong.
    ///
    /// # Errors
    /// If it cannot be written, or is larger than the whole budget.
    pub fn keep(
        &mut self,
        day: Date,
        passage: PassageId,
        shows: Shows,
        jpeg: &[u8],
    ) -> Result<String, PictureError> {
        let size = jpeg.len() as u64;
        if size > self.limits.bytes {
            return Err(PictureError::TooLarge {
                size,
                budget: self.limits.bytes,
            });
        }
        self.shrink(self.limits.bytes - size)?;
        let name = path_of(day, passage, shows);
        let path = self.folder.join(&name);
        let part = path.with_extension("part");
        let folder = self.folder.join(day.to_string());
        fs::create_dir_all(&folder).map_err(failed("creating the folder", &folder))?;
        if let Err(source) = fs::write(&part, jpeg).and_then(|()| fs::rename(&part, &path)) {
            let _ = fs::remove_file(&part);
            return Err(failed("writing the picture", &path)(source));
        }
        let before = self.files.insert(name.clone(), size).unwrap_or(0);
        self.total = self.total + size - before;
        Ok(name)
    }

    /// Removes pictures that are older than their days allow; without a trusted date none.
    /// Returns how many went.
    ///
    /// # Errors
    /// If one cannot be removed; it is tried again the next time.
    pub fn expire(&mut self, today: Option<Date>) -> Result<usize, PictureError> {
        let oldest = today.and_then(|t| t.checked_sub(i64::from(self.limits.days).days()).ok());
        let Some(oldest) = oldest.map(|d| d.to_string()) else {
            return Ok(0);
        };
        self.remove_while(|_, name| name < oldest.as_str())
    }

    /// Removes the oldest pictures until all together take at most `bytes`; returns how many
    /// went.
    ///
    /// # Errors
    /// If one cannot be removed.
    pub fn shrink(&mut self, bytes: u64) -> Result<usize, PictureError> {
        self.remove_while(|total, _| total > bytes)
    }

    fn remove_while(&mut self, wanted: impl Fn(u64, &str) -> bool) -> Result<usize, PictureError> {
        let mut gone = 0;
        while let Some(entry) = self.files.first_entry() {
            if !wanted(self.total, entry.key()) {
                break;
            }
            let path = self.folder.join(entry.key());
            match fs::remove_file(&path) {
                Ok(()) => {}
                // Somebody else removed it: just as well.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(failed("removing the picture", &path)(source)),
            }
            self.total -= entry.remove();
            gone += 1;
            if let Some(day) = path.parent() {
                // Succeeds with the day's last picture only.
                let _ = fs::remove_dir(day);
            }
        }
        Ok(gone)
    }

    /// The folder that paths are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that the pictures take.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }
}

fn list(folder: &Path) -> Result<Vec<String>, PictureError> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(Vec::new()),
        Err(source) => Err(failed("reading the folder", folder)(source)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use jiff::civil::date;
    use uuid::Uuid;

    fn passage(n: u128) -> PassageId {
        PassageId(Uuid::from_u128(n))
    }

    fn on_disk(folder: &Path) -> u64 {
        list(folder)
            .unwrap()
            .iter()
            .flat_map(|day| {
                let day = folder.join(day);
                list(&day)
                    .unwrap()
                    .into_iter()
                    .map(move |f| fs::metadata(day.join(f)).unwrap().len())
            })
            .sum()
    }

    #[test]
    fn the_oldest_go_first_and_a_restart_counts_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            days: 30,
            bytes: 1000,
        };
        let mut archive = Pictures::open(folder.path(), limits).unwrap();
        for n in 0..30_u8 {
            let day = date(2026, 11, 1 + (n / 3) as i8);
            let name = archive
                .keep(day, passage(u128::from(n)), Shows::Frame, &[n; 100])
                .unwrap();
            assert_eq!(fs::read(folder.path().join(&name)).unwrap(), [n; 100]);
            assert!(archive.total() <= 1000);
            assert_eq!(archive.total(), on_disk(folder.path()));
        }
        assert_eq!(archive.count(), 10);
        // A crash in the middle of a write, and somebody's own file.
        let day = folder.path().join("2026-11-10");
        fs::write(day.join("half.part"), b"x").unwrap();
        fs::write(folder.path().join("notes.txt"), b"mine").unwrap();
        let again = Pictures::open(folder.path(), limits).unwrap();
        assert_eq!((again.total(), again.count()), (1000, 10));
        assert!(!day.join("half.part").exists());
        assert!(folder.path().join("notes.txt").exists());
        assert!(!folder.path().join("2026-11-01").exists());
        assert!(matches!(
            archive.keep(date(2026, 11, 11), passage(99), Shows::Plate, &[0; 1001]),
            Err(PictureError::TooLarge { .. })
        ));
        assert_eq!(archive.count(), 10);
    }

    #[test]
    fn age_counts_only_by_a_trusted_date() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Pictures::open(folder.path(), Limits::default()).unwrap();
        archive
            .keep(date(2026, 10, 1), passage(1), Shows::Frame, b"old")
            .unwrap();
        archive
            .keep(date(2026, 10, 2), passage(2), Shows::Plate, b"new")
            .unwrap();
        assert_eq!(archive.expire(None).unwrap(), 0);
        assert_eq!(archive.expire(Some(date(2026, 11, 1))).unwrap(), 1);
        assert_eq!((archive.count(), archive.total()), (1, 3));
    }
}
