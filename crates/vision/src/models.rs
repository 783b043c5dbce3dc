//! The two networks: loaded, checked against their manifests, and run.
//!
//! ```text
//! plate_finder.toml ─┐                      ┌─► finder      frame  ──► cells with corners
//! plate_finder.onnx ─┤ parse, SHA-256,      │
//! plate_reader.toml ─┤ shapes, optimise ────┼─► closer look view   ──► cells with corners
//! plate_reader.onnx ─┘ (once, at start)     └─► reader      plate  ──► characters, looks
//! ```
//!
//! [`Models`] is made once and shared; each thread that recognises takes its own [`Runners`],
//! whose buffers live as long as it does. A model that does not fit its manifest is refused
//! here, so the rest of the house may rely on every shape.
//!
//! Invariant: nothing outside `models/network.rs` names tract.

pub mod manifest;
mod network;

use std::path::Path;
use std::sync::Arc;

use domain::Alphabet;
use sha2::{Digest, Sha256};

use manifest::Output;
pub use manifest::{Cells, CloserLook, FinderManifest, Look, ReaderManifest};
pub use network::Answer;
use network::{Network, Runner};

/// Why models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is missing or unreadable.
    #[error(
        "cannot read {path}: {source}; a folder of models holds plate_finder.toml, plate_reader.toml and the .onnx files they name"
    )]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A manifest that is not understood or does not fit this program.
    #[error("the manifest {path} is refused: {reason}")]
    Manifest {
        /// The manifest.
        path: String,
        /// What is wrong, and what should stand there.
        reason: String,
    },
    /// A model file that is not the one its manifest describes.
    #[error(
        "{path} is not the file its manifest describes: SHA-256 is {found}, the manifest says {expected}; take the .onnx and the .toml from one release"
    )]
    Checksum {
        /// The model file.
        path: String,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// A network that cannot be run as its manifest says.
    #[error("the network {path} is refused: {reason}")]
    Network {
        /// The model file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A network failed on a picture.
    #[error("the network {name} failed: {reason}; restart, and report it if it comes back")]
    Run {
        /// The model's name.
        name: &'static str,
        /// What tract said.
        reason: String,
    },
}

/// Both networks, checked and optimised; cheap to clone, shared between threads.
#[derive(Debug, Clone)]
pub struct Models {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    finder_manifest: FinderManifest,
    reader_manifest: ReaderManifest,
    alphabet: Alphabet,
    finder: Network,
    closer: Network,
    reader: Network,
}

/// The four files, whether from a folder or from the program itself.
struct Files<'a> {
    finder_toml: &'a str,
    reader_toml: &'a str,
}

impl Models {
    /// The models that were built into this program.
    ///
    /// # Errors
    /// [`ModelError`], if the program was built from files that do not belong together.
    pub fn embedded() -> Result<Self, ModelError> {
        let files = Files {
            finder_toml: include_str!("../../../models/plate_finder.toml"),
            reader_toml: include_str!("../../../models/plate_reader.toml"),
        };
        Self::from_files(&files, "(built in)/", |name| match name {
            "plate_finder.onnx" => Ok(include_bytes!("../../../models/plate_finder.onnx").to_vec()),
            "plate_reader.onnx" => Ok(include_bytes!("../../../models/plate_reader.onnx").to_vec()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        })
    }

    /// The models of a folder: `plate_finder.toml`, `plate_reader.toml` and the files they name.
    ///
    /// # Errors
    /// [`ModelError`] names the file, what is wrong with it and the cure.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let manifest = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|source| ModelError::File {
                path: path.display().to_string(),
                source,
            })
        };
        let (finder_toml, reader_toml) = (
            manifest("plate_finder.toml")?,
            manifest("plate_reader.toml")?,
        );
        let files = Files {
            finder_toml: &finder_toml,
            reader_toml: &reader_toml,
        };
        let place = folder.join("").display().to_string();
        Self::from_files(&files, &place, |name| std::fs::read(folder.join(name)))
    }

    fn from_files(
        files: &Files<'_>,
        place: &str,
        read: impl Fn(&str) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, ModelError> {
        let refuse = |file: &'static str| {
            move |reason| ModelError::Manifest {
                path: format!("{place}{file}"),
                reason,
            }
        };
        let finder_manifest =
            FinderManifest::parse(files.finder_toml).map_err(refuse("plate_finder.toml"))?;
        let (reader_manifest, alphabet) =
            ReaderManifest::parse(files.reader_toml).map_err(refuse("plate_reader.toml"))?;

        let open = |file: &str, sha256: &str| {
            let path = format!("{place}{file}");
            let bytes = read(file).map_err(|source| ModelError::File {
                path: path.clone(),
                source,
            })?;
            let found = hex::encode(Sha256::digest(&bytes));
            if found.eq_ignore_ascii_case(sha256) {
                Ok(bytes)
            } else {
                Err(ModelError::Checksum {
                    path,
                    expected: sha256.to_owned(),
                    found,
                })
            }
        };
        let finder_onnx = open(&finder_manifest.file, &finder_manifest.sha256)?;
        let reader_onnx = open(&reader_manifest.file, &reader_manifest.sha256)?;

        let build = |file: &str, onnx: &[u8], input, shape, outputs: &[Output]| {
            Network::new(onnx, input, shape, outputs).map_err(|reason| ModelError::Network {
                path: format!("{place}{file}"),
                reason,
            })
        };
        let (f, r) = (&finder_manifest, &reader_manifest);
        let closer_outputs = f.closer_outputs();
        let finder = build(&f.file, &finder_onnx, &f.input, f.input.shape, &f.output)?;
        let closer = build(
            &f.file,
            &finder_onnx,
            &f.input,
            f.closer_shape(),
            &closer_outputs,
        )?;
        let reader = build(&r.file, &reader_onnx, &r.input, r.input.shape, &r.output)?;
        Ok(Self {
            inner: Arc::new(Inner {
                finder_manifest,
                reader_manifest,
                alphabet,
                finder,
                closer,
                reader,
            }),
        })
    }

    /// The characters of the reader's classes.
    pub fn alphabet(&self) -> &Alphabet {
        &self.inner.alphabet
    }

    /// What the finder is.
    pub fn finder(&self) -> &FinderManifest {
        &self.inner.finder_manifest
    }

    /// What the reader is.
    pub fn reader(&self) -> &ReaderManifest {
        &self.inner.reader_manifest
    }

    /// Runners with buffers of their own, for one thread.
    ///
    /// # Errors
    /// [`ModelError::Run`], if tract cannot set one up.
    pub fn runners(&self) -> Result<Runners, ModelError> {
        let runner = |network: &Network, name| {
            network
                .runner()
                .map_err(|reason| ModelError::Run { name, reason })
        };
        Ok(Runners {
            finder: runner(&self.inner.finder, FINDER)?,
            closer: runner(&self.inner.closer, CLOSER)?,
            reader: runner(&self.inner.reader, READER)?,
        })
    }
}

const FINDER: &str = "plate_finder";
const CLOSER: &str = "plate_finder (closer look)";
const READER: &str = "plate_reader";

/// The networks, ready to run on one thread. Pictures are RGB bytes, row by row.
#[derive(Debug)]
pub struct Runners {
    finder: Runner,
    closer: Runner,
    reader: Runner,
}

impl Runners {
    /// Runs the finder on 512 x 288 pixels. Its answer has one output, 9 x 36 x 64: the logit of
    /// a plate's centre and the eight offsets of its corners.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn find(&mut self, rgb: &[u8]) -> Result<Answer, ModelError> {
        let run = self.finder.run(rgb);
        run.map_err(|reason| ModelError::Run {
            name: FINDER,
            reason,
        })
    }

    /// Runs the finder on the pixels of a closer look; its answer is as [`Self::find`]'s, with
    /// as many cells as that view has.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn look_closer(&mut self, rgb: &[u8]) -> Result<Answer, ModelError> {
        let run = self.closer.run(rgb);
        run.map_err(|reason| ModelError::Run {
            name: CLOSER,
            reason,
        })
    }

    /// Runs the reader on the 160 x 48 pixels of a rectified plate. Its answer has two outputs:
    /// 8 x classes log-probabilities of the characters, and those of the looks.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn read(&mut self, rgb: &[u8]) -> Result<Answer, ModelError> {
        let run = self.reader.run(rgb);
        run.map_err(|reason| ModelError::Run {
            name: READER,
            reason,
        })
    }
}
