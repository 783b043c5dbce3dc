//! Model manifests: what a file is, what it must be fed, what it answers.

use domain::{Alphabet, PlateKind};
use serde::Deserialize;

/// The order in which a network wants a pixel's three samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// A network's input.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in the ONNX file.
    pub name: String,
    /// Pictures, channels, rows, columns.
    pub shape: [usize; 4],
    /// Order of the channels.
    pub channels: Channels,
    /// A sample is divided by this,
    pub divide: f32,
    /// and then this is taken away.
    pub subtract: f32,
    /// Grey (0 to 255) beside a frame that does not fill the input; only the finder's.
    pub padding_grey: Option<u8>,
}

/// One of a network's outputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its name in the ONNX file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// What the model was made from; for people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The pictures.
    pub data: String,
    /// The network and how long it was trained.
    pub method: String,
}

/// One measured figure; for people.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// What counts as a hit.
    pub what: String,
    /// On which pictures.
    pub pictures: String,
    /// Hits.
    pub hits: u32,
    /// Tries.
    pub of: u32,
    /// The 95 % interval of the share, 0 to 1.
    pub interval: [f32; 2],
}

/// One look of a plate that the reader tells apart, and the kind it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// The training data's name for it.
    pub look: String,
    /// The plate kind.
    pub kind: PlateKind,
    /// Rows of characters, 1 or 2.
    pub rows: u8,
}

/// How the finder's cells lie in its input.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cells {
    /// Input pixels between two cells' centres.
    pub stride: usize,
    /// Input pixels in one unit of a corner's offset.
    pub unit: f32,
}

/// The finder's manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinderManifest {
    /// The model's name.
    pub name: String,
    /// Must be `finder`.
    pub role: String,
    /// The ONNX file beside the manifest.
    pub file: String,
    /// SHA-256 of that file, in hexadecimal.
    pub sha256: String,
    /// Rows and columns of the inputs that it can be fed, for wide, square and tall frames.
    pub sizes: Vec<[usize; 2]>,
    /// What it is fed, at the first of these sizes.
    pub input: Input,
    /// What it answers: one output, at the first of these sizes.
    pub output: Vec<Output>,
    /// Geometry of the answer.
    pub cells: Cells,
    /// What it was made from.
    pub training: Training,
    /// What was measured.
    #[serde(default)]
    pub figure: Vec<Figure>,
}

/// The reader's manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReaderManifest {
    /// The model's name.
    pub name: String,
    /// Must be `reader`.
    pub role: String,
    /// The ONNX file beside the manifest.
    pub file: String,
    /// SHA-256 of that file, in hexadecimal.
    pub sha256: String,
    /// The classes' characters, without the blank, which is the last class.
    pub alphabet: String,
    /// What it is fed.
    pub input: Input,
    /// What it answers: characters, then looks.
    pub output: Vec<Output>,
    /// The looks in the order of the second output.
    pub kinds: Vec<Look>,
    /// What it was made from.
    pub training: Training,
    /// What was measured.
    #[serde(default)]
    pub figure: Vec<Figure>,
}

/// The corner network's manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CornersManifest {
    /// The model's name.
    pub name: String,
    /// Must be `corners`.
    pub role: String,
    /// The ONNX file beside the manifest.
    pub file: String,
    /// SHA-256 of that file, in hexadecimal.
    pub sha256: String,
    /// What it is fed: a rough quad seen straight on, with its surroundings.
    pub input: Input,
    /// Rows and columns of the rough quad in the middle of the input.
    pub inner: [usize; 2],
    /// What it answers: the corners in pixels of the input, then the logit of "a plate".
    pub output: Vec<Output>,
    /// What it was made from.
    pub training: Training,
    /// What was measured.
    #[serde(default)]
    pub figure: Vec<Figure>,
}

/// Rows and columns of the finder's inputs that this program is built for: for wide, square and
/// tall frames, each of as many pixels as the others, so that each costs the same.
pub const FINDER_INPUTS: [(usize, usize); 3] = [(288, 512), (384, 384), (512, 288)];
/// Rows and columns of the corner network's input that this program is built for.
pub const CORNERS_INPUT: (usize, usize) = (64, 192);
/// Rows and columns of the rough quad in the middle of that input.
pub const CORNERS_INNER: (usize, usize) = (40, 120);
/// Rows and columns of the reader's input that this program is built for.
pub const READER_INPUT: (usize, usize) = (48, 160);

impl Input {
    fn check(&self, rows: usize, columns: usize) -> Result<(), String> {
        if self.shape != [1, 3, rows, columns] {
            return Err(format!(
                "input.shape is {:?}, this program feeds [1, 3, {rows}, {columns}]",
                self.shape
            ));
        }
        if !self.divide.is_finite() || self.divide == 0.0 || !self.subtract.is_finite() {
            return Err("input.divide must be a number other than 0, and subtract a number".into());
        }
        Ok(())
    }
}

fn check_file(file: &str, sha256: &str) -> Result<(), String> {
    if file.is_empty() || file.contains(['/', '\\']) || file == ".." {
        return Err(format!(
            "file is {file:?}; it must be the name of a file beside the manifest"
        ));
    }
    if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("sha256 must be 64 hexadecimal digits".into());
    }
    Ok(())
}

fn check_role(found: &str, expected: &str) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "role is {found:?}, {expected:?} is needed here; are the two manifests exchanged?"
    ))
}

fn check_outputs(found: &[Output], expected: &[Vec<usize>]) -> Result<(), String> {
    let shapes: Vec<&[usize]> = found.iter().map(|o| o.shape.as_slice()).collect();
    if shapes == expected {
        return Ok(());
    }
    Err(format!(
        "the outputs are {shapes:?}, this program takes {expected:?}"
    ))
}

impl FinderManifest {
    /// Input and outputs at one of [`FINDER_INPUTS`].
    pub(super) fn at_size(&self, (rows, columns): (usize, usize)) -> (Input, Vec<Output>) {
        let mut input = self.input.clone();
        input.shape = [1, 3, rows, columns];
        let mut outputs = self.output.clone();
        for output in &mut outputs {
            let stride = self.cells.stride.max(1);
            output.shape = vec![1, 9, rows / stride, columns / stride];
        }
        (input, outputs)
    }

    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// A sentence that names the key and what it should be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        check_role(&manifest.role, "finder")?;
        check_file(&manifest.file, &manifest.sha256)?;
        let sizes = FINDER_INPUTS.map(|(rows, columns)| [rows, columns]);
        if manifest.sizes != sizes {
            return Err(format!(
                "sizes is {:?}, this program feeds {sizes:?}",
                manifest.sizes
            ));
        }
        let [(rows, columns), ..] = FINDER_INPUTS;
        manifest.input.check(rows, columns)?;
        if manifest.input.padding_grey.is_none() {
            return Err("input.padding_grey is missing".into());
        }
        let Cells { stride, unit } = manifest.cells;
        let divides = |side: &usize| stride > 0 && side.is_multiple_of(stride);
        if !sizes.iter().flatten().all(divides) {
            return Err(format!(
                "cells.stride is {stride}; it must divide the sides of the inputs"
            ));
        }
        if !(unit.is_finite() && unit > 0.0) {
            return Err("cells.unit must be a positive number".into());
        }
        check_outputs(
            &manifest.output,
            &[vec![1, 9, rows / stride, columns / stride]],
        )?;
        Ok(manifest)
    }
}

impl CornersManifest {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// A sentence that names the key and what it should be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        check_role(&manifest.role, "corners")?;
        check_file(&manifest.file, &manifest.sha256)?;
        manifest.input.check(CORNERS_INPUT.0, CORNERS_INPUT.1)?;
        let (rows, columns) = CORNERS_INNER;
        if manifest.inner != [rows, columns] {
            return Err(format!(
                "inner is {:?}, this program puts the rough quad on [{rows}, {columns}]",
                manifest.inner
            ));
        }
        check_outputs(&manifest.output, &[vec![1, 4, 2], vec![1, 1]])?;
        Ok(manifest)
    }
}

impl ReaderManifest {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// A sentence that names the key and what it should be.
    pub fn parse(text: &str) -> Result<(Self, Alphabet), String> {
        let manifest: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        check_role(&manifest.role, "reader")?;
        check_file(&manifest.file, &manifest.sha256)?;
        manifest.input.check(READER_INPUT.0, READER_INPUT.1)?;
        let alphabet = Alphabet::new(&manifest.alphabet).map_err(|e| e.to_string())?;
        if let Some(look) = manifest.kinds.iter().find(|l| !(1..=2).contains(&l.rows)) {
            return Err(format!(
                "kinds: the look {:?} has {} rows; plates have 1 or 2",
                look.look, look.rows
            ));
        }
        check_outputs(
            &manifest.output,
            &[
                vec![1, domain::reading::SLOTS, alphabet.classes()],
                vec![1, manifest.kinds.len()],
            ],
        )?;
        Ok((manifest, alphabet))
    }
}
