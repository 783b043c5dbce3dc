//! One frame to readings.
//!
//! ```text
//! frame ──► fitted to 512 x 288 ──► finder ──► rough quads ─┐ for each of at most eight
//!   │                                                       ▼
//!   ├──► rough quad and surroundings, 192 x 64 ──► corners ──► exact quad
//!   └──► rectified plate, 160 x 48 ──────────────────────────► reader ──► reading
//! ```
//!
//! A [`Recogniser`] belongs to one thread and keeps its buffers. It says what it saw and how
//! sure it is; whether that is a plate, and whose, is decided later and elsewhere.

mod cells;
mod rectify;
mod resample;
#[cfg(test)]
mod tests;
mod text;

use std::time::{Duration, Instant};

use domain::reading::{Matrix, Score};
use domain::{LogProb, PlateKind, Quad, Reading};

use self::rectify::{Layout, Pane, Rectifier, sharpness};
use self::resample::{Pixels, Taps, resample};
use crate::Frame;
use crate::models::manifest::{FINDER_INPUT, READER_INPUT};
use crate::models::{ModelError, Models, Runners};

pub use text::{LEAST_CONFIDENCE, PlateText, best_text, unconstrained_text};

/// How frames are searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The finder's probability from which on a cell is a find, 0 to 1.
    pub threshold: f32,
    /// How often each find is looked at from nearer for better corners; 0: not at all.
    pub closer_looks: u8,
    /// Plates of one frame that are read at the most, likeliest first.
    pub most_plates: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threshold: 0.2,
            closer_looks: 1,
            most_plates: 8,
        }
    }
}

/// What took how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Fitting, finding and exact corners.
    pub detect: Duration,
    /// Rectifying and reading.
    pub read: Duration,
}

/// What was seen in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognised {
    /// A reading for each quad, the finder's likeliest first. Not every one is a plate: see
    /// [`LEAST_CONFIDENCE`].
    pub readings: Vec<Reading>,
    /// What took how long.
    pub timings: Timings,
}

/// Recognises plates on one thread.
#[derive(Debug)]
pub struct Recogniser {
    models: Models,
    runners: Runners,
    options: Options,
    fit: Fit,
    rectifier: Rectifier,
    sums: Vec<f32>,
    view: Vec<u8>,
    plate: Vec<u8>,
}

/// The frame fitted into the finder's input; its tables last while the frame's size does.
#[derive(Debug, Default)]
struct Fit {
    size: (u32, u32),
    scale: f32,
    columns: Taps,
    rows: Taps,
    picture: Vec<u8>,
}

fn pixels(frame: &Frame) -> Pixels<'_> {
    Pixels {
        rgb: &frame.rgb,
        width: frame.width as usize,
        height: frame.height as usize,
    }
}

impl Recogniser {
    /// A recogniser with runners and buffers of its own.
    ///
    /// # Errors
    /// [`ModelError::Run`], if the networks cannot be set up.
    pub fn new(models: &Models, options: Options) -> Result<Self, ModelError> {
        Ok(Self {
            runners: models.runners()?,
            models: models.clone(),
            options,
            fit: Fit::default(),
            rectifier: Rectifier::default(),
            sums: Vec::new(),
            view: vec![0; Pane::CORNERS.bytes()],
            plate: vec![0; Pane::READER.bytes()],
        })
    }

    /// The models it runs.
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// Finds and reads the plates of a frame.
    ///
    /// # Errors
    /// [`ModelError::Run`], if a network fails, which no picture should bring about.
    pub fn recognise(&mut self, frame: &Frame) -> Result<Recognised, ModelError> {
        let start = Instant::now();
        let found = self.detect(frame)?;
        let detect = start.elapsed();
        let mut readings = Vec::with_capacity(found.len());
        for (score, quad) in found {
            if let Some(reading) = self.read_quad(frame, quad, score)? {
                readings.push(reading);
            }
        }
        let timings = Timings {
            detect,
            read: start.elapsed().saturating_sub(detect),
        };
        Ok(Recognised { readings, timings })
    }

    /// Finds the plates of a frame: probability and quad, likeliest first.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn detect(&mut self, frame: &Frame) -> Result<Vec<(f32, Quad)>, ModelError> {
        let finder = self.models.finder();
        let cells = finder.cells;
        let grey = finder.input.padding_grey.unwrap_or_default();
        self.fit.picture(frame, grey, &mut self.sums);
        let answer = self.runners.find(&self.fit.picture)?;
        let found = cells::quads(
            answer.values(0),
            FINDER_INPUT.1 / cells.stride,
            cells.stride,
            cells.unit,
            self.options.threshold,
            self.options.most_plates,
        );
        let mut kept: Vec<(f32, Quad)> = Vec::with_capacity(found.len());
        for (score, quad) in found {
            let scale = self.fit.scale;
            let mut quad = Quad(quad.0.map(|(x, y)| (x / scale, y / scale)));
            for _ in 0..self.options.closer_looks {
                match self.exact(frame, &quad)? {
                    Some(better) => quad = better,
                    None => break,
                }
            }
            // Two finds may turn out to be one plate when seen from nearer.
            let usable = cells::is_plausible(&quad)
                && cells::is_inside(&quad, frame.width, frame.height)
                && kept
                    .iter()
                    .all(|(_, k)| quad.overlap(k) <= cells::SAME_PLATE);
            if usable {
                kept.push((score, quad));
            }
        }
        Ok(kept)
    }

    /// The corners of the plate that a rough quad is about; `None` if no plate of a possible
    /// shape is there, near the rough quad.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    fn exact(&mut self, frame: &Frame, rough: &Quad) -> Result<Option<Quad>, ModelError> {
        let pane = Pane::CORNERS;
        let Some(map) =
            self.rectifier
                .rectify(pixels(frame), rough, Layout::AsIs, pane, &mut self.view)
        else {
            return Ok(None);
        };
        let answer = self.runners.corners(&self.view)?;
        let (&[x0, y0, x1, y1, x2, y2, x3, y3], &[plate]) = (answer.values(0), answer.values(1))
        else {
            return Ok(None);
        };
        if plate < LEAST_PLATE {
            return Ok(None);
        }
        let quad = Quad([(x0, y0), (x1, y1), (x2, y2), (x3, y3)].map(|(u, v)| {
            let (x, y) = map.at(f64::from(u), f64::from(v));
            (x as f32, y as f32)
        }));
        Ok(cells::is_plausible(&quad).then_some(quad))
    }

    /// Rectifies one quad of a frame and reads it; `None` if the quad is folded or flat.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn read_quad(
        &mut self,
        frame: &Frame,
        quad: Quad,
        detected: f32,
    ) -> Result<Option<Reading>, ModelError> {
        let (pane, plate) = (Pane::READER, &mut self.plate);
        if self
            .rectifier
            .rectify(pixels(frame), &quad, Layout::AsIs, pane, plate)
            .is_none()
        {
            return Ok(None);
        }
        let (reading, rows) = self.read_plate(quad, detected)?;
        self.in_one_row(frame, reading, rows).map(Some)
    }

    /// Reads a plate that looks double-row once more with its rows side by side, since the
    /// reader's attention does not reach an upper row, and keeps what reads better.
    fn in_one_row(
        &mut self,
        frame: &Frame,
        reading: Reading,
        rows: u8,
    ) -> Result<Reading, ModelError> {
        let (layout, pane, plate) = (Layout::InOneRow, Pane::READER, &mut self.plate);
        if rows < 2
            || self
                .rectifier
                .rectify(pixels(frame), &reading.quad, layout, pane, plate)
                .is_none()
        {
            return Ok(reading);
        }
        let (again, _) = self.read_plate(reading.quad, reading.detected)?;
        Ok(if self.number_score(&again) > self.number_score(&reading) {
            Reading {
                matrix: again.matrix,
                ..reading
            }
        } else {
            reading
        })
    }

    /// Reads a picture that is one cut-out plate, filled to its edges: the finder does not run.
    /// An upright cut of a tilted plate is read with its own corners too, and what reads better
    /// is kept.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn read_cut(&mut self, frame: &Frame) -> Result<Recognised, ModelError> {
        let start = Instant::now();
        let (rows, columns) = READER_INPUT;
        let (width, height) = (frame.width as usize, frame.height as usize);
        let (mut xs, mut ys) = (Taps::default(), Taps::default());
        // Shrinking averages; enlarging interpolates. The axes may differ.
        let fit = |taps: &mut Taps, source: usize, count: usize| {
            if width > columns && source >= count {
                taps.area(source, 0, count, source as f64 / count as f64);
            } else {
                taps.linear(source, count);
            }
        };
        fit(&mut xs, width, columns);
        fit(&mut ys, height, rows);
        resample(
            pixels(frame),
            &xs,
            &ys,
            &mut self.plate,
            columns,
            &mut self.sums,
        );
        let (w, h) = (frame.width as f32, frame.height as f32);
        let whole = Quad([(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]);
        let (reading, rows) = self.read_plate(whole, 1.0)?;
        let as_cut = self.in_one_row(frame, reading, rows)?;
        let mut by_corners = None;
        if let Some(quad) = self.exact(frame, &whole)? {
            by_corners = self.read_quad(frame, quad, 1.0)?;
        }
        let reading = match by_corners {
            Some(other) if self.number_score(&other) > self.number_score(&as_cut) => other,
            _ => as_cut,
        };
        Ok(Recognised {
            readings: vec![reading],
            timings: Timings {
                detect: Duration::ZERO,
                read: start.elapsed(),
            },
        })
    }

    /// The score of the likeliest number that can exist, to compare readings of one plate.
    fn number_score(&self, reading: &Reading) -> Option<Score> {
        let mut numbers = reading.matrix.valid_numbers(self.models.alphabet());
        numbers.next().map(|candidate| candidate.score)
    }

    /// Reads what lies in the plate buffer; also how many rows the plate looks to have.
    fn read_plate(&mut self, quad: Quad, detected: f32) -> Result<(Reading, u8), ModelError> {
        let answer = self.runners.read(&self.plate)?;
        let classes = self.models.alphabet().classes();
        let matrix = Matrix::from_nats(classes, answer.values(0)).map_err(|e| ModelError::Run {
            name: "plate_reader",
            reason: e.to_string(),
        })?;
        let looks = &self.models.reader().kinds;
        let likeliest = looks
            .iter()
            .zip(answer.values(1))
            .max_by(|a, b| a.1.total_cmp(b.1));
        let rows = likeliest.map_or(1, |(look, _)| look.rows);
        let reading = Reading {
            matrix,
            kinds: kinds(
                looks
                    .iter()
                    .map(|l| l.kind)
                    .zip(answer.values(1).iter().copied()),
            ),
            quad,
            detected,
            sharpness: sharpness(&self.plate, READER_INPUT.1),
        };
        Ok((reading, rows))
    }
}

/// The corner network's logit of "this is a plate" below which its corners mean nothing. The
/// reader judges what is left, so this is low.
const LEAST_PLATE: f32 = -2.0;

/// Log-probabilities of looks to those of kinds: several looks may be one kind.
fn kinds(looks: impl Iterator<Item = (PlateKind, f32)>) -> Vec<(PlateKind, LogProb)> {
    let mut sums: Vec<(PlateKind, f32)> = Vec::new();
    for (kind, nats) in looks {
        match sums.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, sum)) => *sum += nats.exp(),
            None => sums.push((kind, nats.exp())),
        }
    }
    sums.into_iter()
        .map(|(kind, p)| (kind, LogProb::from_nats(p.ln())))
        .collect()
}

impl Fit {
    /// Fits the frame: shrunk by area or enlarged linearly, grey to the right or below.
    fn picture(&mut self, frame: &Frame, grey: u8, sums: &mut Vec<f32>) {
        let (rows, columns) = FINDER_INPUT;
        let (width, height) = (frame.width as usize, frame.height as usize);
        if self.size != (frame.width, frame.height) {
            let k = (columns as f64 / width as f64).min(rows as f64 / height as f64);
            let side = |source: usize, most: usize| {
                ((source as f64 * k).round_ties_even() as usize).clamp(1, most)
            };
            let (w, h) = (side(width, columns), side(height, rows));
            if k < 1.0 {
                self.columns.area(width, 0, w, width as f64 / w as f64);
                self.rows.area(height, 0, h, height as f64 / h as f64);
            } else {
                self.columns.linear(width, w);
                self.rows.linear(height, h);
            }
            self.scale = k as f32;
            self.picture.clear();
            self.picture.resize(rows * columns * 3, grey);
            self.size = (frame.width, frame.height);
        }
        resample(
            pixels(frame),
            &self.columns,
            &self.rows,
            &mut self.picture,
            columns,
            sums,
        );
    }
}
