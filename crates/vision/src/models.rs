//! The three networks: loaded, checked against their manifests, and run.
//!
//! ```text
//! plate_finder.toml  + .onnx ─┐ parse, SHA-256,   ┌─► finder   frame ──► cells, rough corners
//! plate_corners.toml + .onnx ─┤ shapes, optimise ─┼─► corners  view  ──► exact corners
//! plate_reader.toml  + .onnx ─┘ (once, at start)  └─► reader   plate ──► characters, looks
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

pub use manifest::{Cells, CornersManifest, FinderManifest, Look, ReaderManifest};
use manifest::{FINDER_INPUTS, Input, Output};
pub use network::Answer;
use network::{Network, Runner};

/// Why models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is missing or unreadable.
    #[error(
        "cannot read {path}: {source}; a folder of models holds plate_finder.toml, plate_corners.toml, plate_reader.toml and the .onnx files they name"
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

/// The networks, checked and optimised; cheap to clone, shared between threads.
#[derive(Debug, Clone)]
pub struct Models {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    finder_manifest: FinderManifest,
    corners_manifest: CornersManifest,
    reader_manifest: ReaderManifest,
    alphabet: Alphabet,
    /// One for each of [`FINDER_INPUTS`].
    finder: Vec<Network>,
    corners: Network,
    reader: Network,
}

/// The manifests of a folder of models.
pub const MANIFESTS: [&str; 3] = [
    "plate_finder.toml",
    "plate_corners.toml",
    "plate_reader.toml",
];

impl Models {
    /// The models that were built into this program.
    ///
    /// # Errors
    /// [`ModelError`], if the program was built from files that do not belong together.
    pub fn embedded() -> Result<Self, ModelError> {
        Self::from_files("(built in)/", |name| {
            let bytes: &[u8] = match name {
                "plate_finder.toml" => include_bytes!("../../../models/plate_finder.toml"),
                "plate_finder.onnx" => include_bytes!("../../../models/plate_finder.onnx"),
                "plate_corners.toml" => include_bytes!("../../../models/plate_corners.toml"),
                "plate_corners.onnx" => include_bytes!("../../../models/plate_corners.onnx"),
                "plate_reader.toml" => include_bytes!("../../../models/plate_reader.toml"),
                "plate_reader.onnx" => include_bytes!("../../../models/plate_reader.onnx"),
                _ => return Err(std::io::ErrorKind::NotFound.into()),
            };
            Ok(bytes.to_vec())
        })
    }

    /// The models of a folder: [`MANIFESTS`] and the files they name.
    ///
    /// # Errors
    /// [`ModelError`] names the file, what is wrong with it and the cure.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let place = folder.join("").display().to_string();
        Self::from_files(&place, |name| std::fs::read(folder.join(name)))
    }

    fn from_files(
        place: &str,
        read: impl Fn(&str) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, ModelError> {
        let files = Files { place, read };
        let [finder, corners, reader] = MANIFESTS;
        let finder_manifest = files.manifest(finder, FinderManifest::parse)?;
        let corners_manifest = files.manifest(corners, CornersManifest::parse)?;
        let (reader_manifest, alphabet) = files.manifest(reader, ReaderManifest::parse)?;
        let (f, c, r) = (&finder_manifest, &corners_manifest, &reader_manifest);
        let finder = FINDER_INPUTS
            .into_iter()
            .map(|size| {
                let (input, output) = f.at_size(size);
                files.network(&f.file, &f.sha256, &input, &output)
            })
            .collect::<Result<_, _>>()?;
        let corners = files.network(&c.file, &c.sha256, &c.input, &c.output)?;
        let reader = files.network(&r.file, &r.sha256, &r.input, &r.output)?;
        Ok(Self {
            inner: Arc::new(Inner {
                finder_manifest,
                corners_manifest,
                reader_manifest,
                alphabet,
                finder,
                corners,
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

    /// What the corner network is.
    pub fn corners(&self) -> &CornersManifest {
        &self.inner.corners_manifest
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
            models: self.clone(),
            finder: FINDER_INPUTS.map(|_| None),
            corners: runner(&self.inner.corners, CORNERS)?,
            reader: runner(&self.inner.reader, READER)?,
        })
    }
}

/// Where models come from: a folder, or the program itself.
struct Files<'a, R> {
    place: &'a str,
    read: R,
}

impl<R: Fn(&str) -> std::io::Result<Vec<u8>>> Files<'_, R> {
    fn path(&self, file: &str) -> String {
        format!("{}{file}", self.place)
    }

    fn open(&self, file: &str) -> Result<Vec<u8>, ModelError> {
        (self.read)(file).map_err(|source| ModelError::File {
            path: self.path(file),
            source,
        })
    }

    fn manifest<M>(
        &self,
        file: &str,
        parse: impl Fn(&str) -> Result<M, String>,
    ) -> Result<M, ModelError> {
        let refused = |reason| ModelError::Manifest {
            path: self.path(file),
            reason,
        };
        let text = String::from_utf8(self.open(file)?)
            .map_err(|_| refused("it is not UTF-8 text".to_owned()))?;
        parse(&text).map_err(refused)
    }

    /// The file that a manifest describes, if it is that one, ready to run.
    fn network(
        &self,
        file: &str,
        sha256: &str,
        input: &Input,
        outputs: &[Output],
    ) -> Result<Network, ModelError> {
        let bytes = self.open(file)?;
        let found = hex::encode(Sha256::digest(&bytes));
        if !found.eq_ignore_ascii_case(sha256) {
            return Err(ModelError::Checksum {
                path: self.path(file),
                expected: sha256.to_owned(),
                found,
            });
        }
        Network::new(&bytes, input, outputs).map_err(|reason| ModelError::Network {
            path: self.path(file),
            reason,
        })
    }
}

const FINDER: &str = "plate_finder";
const CORNERS: &str = "plate_corners";
const READER: &str = "plate_reader";

/// The networks, ready to run on one thread. Pictures are RGB bytes, row by row.
#[derive(Debug)]
pub struct Runners {
    models: Models,
    /// Made when a frame of that shape first comes: a camera has one.
    finder: [Option<Runner>; FINDER_INPUTS.len()],
    corners: Runner,
    reader: Runner,
}

impl Runners {
    /// Runs the finder on pixels of one of [`FINDER_INPUTS`]. Its answer has one output, 9 x rows
    /// x columns of cells: the logit of a plate's centre and the eight offsets of its corners.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn find(&mut self, size: (usize, usize), rgb: &[u8]) -> Result<Answer, ModelError> {
        let failed = |reason| ModelError::Run {
            name: FINDER,
            reason,
        };
        let known = FINDER_INPUTS.iter().position(|known| *known == size);
        let index = known.ok_or_else(|| failed(format!("it has no input of {size:?}")))?;
        let runner = match &mut self.finder[index] {
            Some(runner) => runner,
            empty => empty.insert(self.models.inner.finder[index].runner().map_err(failed)?),
        };
        runner.run(rgb).map_err(failed)
    }

    /// Runs the corner network on 192 x 64 pixels. Its answer has two outputs: four corners, top
    /// left, top right, bottom right, bottom left, as x and y in those pixels; and the logit of
    /// "this is a plate".
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn corners(&mut self, rgb: &[u8]) -> Result<Answer, ModelError> {
        let run = self.corners.run(rgb);
        run.map_err(|reason| ModelError::Run {
            name: CORNERS,
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
