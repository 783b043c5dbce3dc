//! One frame to readings.
//!
//! ```text
//! frame ──► fitted to 512 x 288 ──► finder ──► rough quads ─┐ for each of at most eight
//!   │                                │ faint               │
//!   ├──► that part from nearer ──► finder ──► rough quads ─┤
//!   │                                                       ▼
//!   ├──► rough quad and surroundings, 192 x 64 ──► corners ──► exact quad
//!   └──► rectified plate, 160 x 48 ──────────────────────────► reader ──► reading
//! ```
//!
//! A [`Recogniser`] belongs to one thread and keeps its buffers. It says what it saw and how
//! sure it is; whether that is a plate, and whose, is decided later and elsewhere.
//!
//! The first look shows the whole frame small. If nothing in it reads as a plate, the finder sees
//! the parts to which it answered faintly, as it does to plates too small to be sure of, once
//! more, twice as large. So a frame with a clear plate costs one look.

mod cells;
mod rectify;
mod resample;
#[cfg(test)]
mod tests;
mod text;
mod window;

use std::time::{Duration, Instant};

use domain::reading::{Matrix, Score};
use domain::{LogProb, PlateKind, Quad, Reading};

use self::rectify::{Layout, Pane, Rectifier, sharpness};
use self::resample::{Pixels, Taps, resample};
use self::window::{Fitted, Window};
use crate::Frame;
use crate::models::manifest::READER_INPUT;
use crate::models::{ModelError, Models, Runners};

pub use text::{LEAST_CONFIDENCE, PlateText, best_text, unconstrained_text};

/// How frames are searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The finder's probability from which on a cell is a find, 0 to 1.
    pub threshold: f32,
    /// Parts of a frame with faint answers that are looked at from nearer, at the most, where the
    /// first look led to no plate. Each costs as much as the first.
    pub finer_looks: u8,
    /// How often each find is looked at from nearer for better corners, at the most; one look is
    /// enough where the first quad was about right. 0: not at all.
    pub closer_looks: u8,
    /// Whether a plate that is not read surely is read again a little to either side.
    pub looks_aside: bool,
    /// Plates of one frame that are read at the most, likeliest first.
    pub most_plates: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threshold: 0.2,
            finer_looks: 2,
            closer_looks: 3,
            looks_aside: true,
            most_plates: 8,
        }
    }
}

impl Options {
    /// For the frames of a lane: one look each. A gate's camera shows plates large, another frame
    /// comes at once and says more than a second look at this one, and an empty street with a
    /// sign in it must not cost three times as much as a car. Nor do corners settle in steps: what
    /// the first look takes for no plate, such as a plate that turns away, would be read as another.
    pub fn for_a_lane() -> Self {
        Self {
            finer_looks: 0,
            closer_looks: 1,
            looks_aside: false,
            ..Self::default()
        }
    }
}

/// The finder's probability that a plate is there, 0 to 1, and its quad in the frame's pixels.
pub type Found = (f32, Quad);

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
    whole: Fitted,
    part: Fitted,
    rectifier: Rectifier,
    sums: Vec<f32>,
    view: Vec<u8>,
    plate: Vec<u8>,
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
            whole: Fitted::default(),
            part: Fitted::default(),
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
        let (mut found, faint) = self.first_look(frame)?;
        let mut timings = Timings {
            detect: start.elapsed(),
            read: Duration::ZERO,
        };
        let mut readings = self.read_all(frame, &found, &mut timings)?;
        let alphabet = self.models.alphabet();
        let plates = |r: &Reading| best_text(r, alphabet).is_some_and(|t| t.is_plate());
        if !readings.iter().any(plates) {
            let (start, before) = (Instant::now(), found.len());
            self.finer_looks(frame, faint, &mut found)?;
            timings.detect += start.elapsed();
            readings.extend(self.read_all(frame, &found[before..], &mut timings)?);
        }
        Ok(Recognised { readings, timings })
    }

    /// Reads every find that can be rectified.
    fn read_all(
        &mut self,
        frame: &Frame,
        found: &[Found],
        timings: &mut Timings,
    ) -> Result<Vec<Reading>, ModelError> {
        let start = Instant::now();
        let mut readings = Vec::with_capacity(found.len());
        for &(score, quad) in found {
            readings.extend(self.read_quad(frame, quad, score)?);
        }
        timings.read += start.elapsed();
        Ok(readings)
    }

    /// Finds the plates that one look at the whole frame is sure of, likeliest first.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn detect(&mut self, frame: &Frame) -> Result<Vec<Found>, ModelError> {
        Ok(self.first_look(frame)?.0)
    }

    /// One look at the whole frame: the finds it is sure of, with exact corners, and the rough
    /// ones that finer looks are about.
    fn first_look(&mut self, frame: &Frame) -> Result<(Vec<Found>, Vec<Found>), ModelError> {
        let threshold = self.options.threshold;
        let least = match self.options.finer_looks {
            0 => threshold,
            _ => threshold.min(FAINT),
        };
        let whole = Window::whole(frame.width, frame.height);
        let seen = self.look(frame, whole, least)?;
        let (sure, faint): (Vec<_>, Vec<_>) =
            seen.into_iter().partition(|(score, _)| *score > threshold);
        let mut found = Vec::with_capacity(sure.len());
        self.keep(frame, sure, &mut found)?;
        Ok((found, faint))
    }

    /// Looks from nearer at the places of faint finds, likeliest first, and adds what is there.
    fn finer_looks(
        &mut self,
        frame: &Frame,
        faint: Vec<Found>,
        found: &mut Vec<Found>,
    ) -> Result<(), ModelError> {
        let whole = Window::whole(frame.width, frame.height);
        let mut looks: Vec<Window> = Vec::new();
        for (_, rough) in faint {
            if looks.len() >= usize::from(self.options.finer_looks) {
                break;
            }
            let place = rough.centre();
            let known = found.iter().any(|(_, k)| rough.overlap(k) > 0.0)
                || looks.iter().any(|look| look.shows_well(place));
            let nearer = whole.around(frame, place);
            if let Some(nearer) = nearer.filter(|_| !known) {
                let there = self.look(frame, nearer, self.options.threshold)?;
                self.keep(frame, there, found)?;
                looks.push(nearer);
            }
        }
        Ok(())
    }

    /// What the finder answers to one window: probability and rough quad in the frame's pixels,
    /// likeliest first.
    fn look(
        &mut self,
        frame: &Frame,
        window: Window,
        threshold: f32,
    ) -> Result<Vec<Found>, ModelError> {
        let finder = self.models.finder();
        let cells = finder.cells;
        let grey = finder.input.padding_grey.unwrap_or_default();
        let fitted = if window == Window::whole(frame.width, frame.height) {
            &mut self.whole
        } else {
            &mut self.part
        };
        fitted.fill(frame, window, grey, &mut self.sums);
        let answer = self.runners.find(window.size, &fitted.picture)?;
        let found = cells::quads(
            answer.values(0),
            window.size.1 / cells.stride,
            cells.stride,
            cells.unit,
            threshold,
            self.options.most_plates,
        );
        let quads = found.into_iter();
        Ok(quads.map(|(s, quad)| (s, window.in_frame(&quad))).collect())
    }

    /// Makes the corners of finds exact and keeps those that are plates of their own.
    fn keep(
        &mut self,
        frame: &Frame,
        found: Vec<Found>,
        kept: &mut Vec<Found>,
    ) -> Result<(), ModelError> {
        for (score, rough) in found {
            let Some(quad) = self.settle(frame, rough)? else {
                continue;
            };
            // Two finds may turn out to be one plate when seen from nearer.
            let usable = kept.len() < self.options.most_plates
                && cells::is_plausible(&quad)
                && cells::is_inside(&quad, frame.width, frame.height)
                && kept
                    .iter()
                    .all(|(_, k)| quad.overlap(k) <= cells::SAME_PLATE);
            if usable {
                kept.push((score, quad));
            }
        }
        Ok(())
    }

    /// The corners of the plate that a rough quad is about; `None` if no plate of a possible
    /// shape is there. A quad that was far off is made exact in steps: each look begins where
    /// the one before ended.
    fn settle(&mut self, frame: &Frame, rough: Quad) -> Result<Option<Quad>, ModelError> {
        let mut quad = rough;
        for look in 0..self.options.closer_looks {
            let Some((better, plate)) = self.exact(frame, &quad)? else {
                return Ok(None);
            };
            let settled = moved(&quad, &better) < SETTLED;
            let last = settled || look + 1 == self.options.closer_looks;
            if plate < if last { LEAST_PLATE } else { HOPELESS } {
                return Ok(None);
            }
            quad = better;
            if settled {
                break;
            }
        }
        Ok(Some(quad))
    }

    /// One look at a rough quad from nearer: the corners of the plate it is about, and the logit
    /// of "this is a plate"; `None` if what is there has no possible shape.
    fn exact(&mut self, frame: &Frame, rough: &Quad) -> Result<Option<(Quad, f32)>, ModelError> {
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
        let quad = Quad([(x0, y0), (x1, y1), (x2, y2), (x3, y3)].map(|(u, v)| {
            let (x, y) = map.at(f64::from(u), f64::from(v));
            (x as f32, y as f32)
        }));
        Ok(cells::is_plausible(&quad).then_some((quad, plate)))
    }

    /// Rectifies one quad of a frame and reads it; `None` if the quad is folded or flat. What is
    /// not read surely is read again a little to either side, and what the looks agree on counts.
    ///
    /// # Errors
    /// [`ModelError::Run`].
    pub fn read_quad(
        &mut self,
        frame: &Frame,
        quad: Quad,
        detected: f32,
    ) -> Result<Option<Reading>, ModelError> {
        match self.one_look(frame, quad, detected)? {
            Some(reading) => self.looks_aside(frame, reading).map(Some),
            None => Ok(None),
        }
    }

    /// What a reading says together with looks from a little to either side, if it is unsure.
    fn looks_aside(&mut self, frame: &Frame, reading: Reading) -> Result<Reading, ModelError> {
        let score = self.number_score(&reading);
        if !self.options.looks_aside || score.is_some_and(|score| score.probability() >= SURE) {
            return Ok(reading);
        }
        let mut looks = vec![reading.matrix.clone()];
        for part in [-ASIDE, ASIDE] {
            let look = self.one_look(frame, reading.quad.sideways(part), reading.detected)?;
            looks.extend(look.map(|look| look.matrix));
        }
        Ok(match Matrix::agreed(&looks) {
            Some(matrix) => Reading { matrix, ..reading },
            None => reading,
        })
    }

    /// One look of the reader at one quad.
    fn one_look(
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
        let as_cut = self.looks_aside(frame, as_cut)?;
        let mut by_corners = None;
        if let Some(quad) = self.settle(frame, whole)? {
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

/// The finder's probability below which it is sure that there is nothing. Between this and the
/// threshold it has seen something too small or too dark to be sure of.
const FAINT: f32 = 0.03;

/// The corner network's logit of "this is a plate" below which a find is none. The reader judges
/// what is left, so this is low.
const LEAST_PLATE: f32 = -3.0;
/// The same for a first look that moved the corners far: a plate seen by a quad of twice its size
/// may look like none yet.
const HOPELESS: f32 = -6.0;
/// Corners that moved less than this part of the plate's width are as good as they get.
const SETTLED: f32 = 0.08;

/// The probability of the likeliest number from which on one look at a plate is enough. Of 436
/// held-out cuts 20 were read less surely; with looks to either side 433 were right, with one
/// look 431.
const SURE: f32 = 0.95;
/// How far to either side the further looks are, in widths of the plate.
const ASIDE: f32 = 3.0 / 160.0;

/// How far the corner moved that moved farthest, in widths of the plate.
fn moved(from: &Quad, to: &Quad) -> f32 {
    let corners = from.0.iter().zip(to.0);
    let farthest = corners.map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1));
    farthest.fold(0.0, f32::max) / to.width().max(1.0)
}

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
