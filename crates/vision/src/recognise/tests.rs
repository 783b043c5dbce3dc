//! Expected numbers come from OpenCV and numpy run on the fixtures.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use domain::{Alphabet, LogProb, PlateKind, Quad, Reading, reading::Matrix};
use proptest::prelude::*;

use super::cells;
use super::rectify::{Layout, Pane, PaneMap, Rectifier, sharpness};
use super::resample::{Pixels, Taps, resample};
use super::{Options, Recogniser, best_text, kinds, unconstrained_text};
use crate::Frame;
use crate::models::Models;
use crate::picture::{self, Picture};

const PLATE: [(f32, f32); 4] = [
    (128.616_91, 59.098_866),
    (175.233_76, 67.280_96),
    (173.529_86, 83.383_64),
    (126.940_08, 75.321_07),
];

fn fixture() -> Picture {
    picture::decode(include_bytes!("../../tests/fixtures/frame.png")).unwrap()
}

fn pixels(picture: &Picture) -> Pixels<'_> {
    Pixels {
        rgb: &picture.rgb,
        width: picture.width as usize,
        height: picture.height as usize,
    }
}

/// The fixture with every pixel repeated.
fn enlarged(times: usize) -> Picture {
    let small = fixture();
    let width = small.width as usize;
    let rgb = small
        .rgb
        .chunks_exact(width * 3)
        .flat_map(|row| {
            let wide: Vec<u8> = row.chunks_exact(3).flat_map(|p| p.repeat(times)).collect();
            wide.repeat(times)
        })
        .collect();
    Picture {
        rgb,
        width: small.width * times as u32,
        height: small.height * times as u32,
    }
}

/// Mean and largest difference of RGB pixels from recorded BGR ones.
fn difference(rgb: &[u8], bgr: &[u8]) -> (f64, u8) {
    assert_eq!(rgb.len(), bgr.len());
    let differences: Vec<u8> = rgb
        .chunks_exact(3)
        .zip(bgr.chunks_exact(3))
        .flat_map(|(a, b)| (0..3).map(|c| a[c].abs_diff(b[2 - c])))
        .collect();
    let sum: f64 = differences.iter().map(|&d| f64::from(d)).sum();
    (
        sum / differences.len() as f64,
        differences.into_iter().max().unwrap(),
    )
}

fn resized(source: Pixels<'_>, columns: &Taps, rows: &Taps) -> Vec<u8> {
    let mut out = vec![0; columns.len() * rows.len() * 3];
    resample(
        source,
        columns,
        rows,
        &mut out,
        columns.len(),
        &mut Vec::new(),
    );
    out
}

fn plate() -> Quad {
    Quad(PLATE)
}

/// What the reader would see of a quad, and the map back.
fn rectified(picture: &Picture, quad: &Quad, pane: Pane) -> Option<(Vec<u8>, PaneMap)> {
    let mut out = vec![0; pane.bytes()];
    let map = Rectifier::default().rectify(pixels(picture), quad, Layout::AsIs, pane, &mut out)?;
    Some((out, map))
}

#[test]
fn shrinking_averages_areas_as_opencv_does() {
    let picture = fixture();
    let (mut columns, mut rows) = (Taps::default(), Taps::default());
    columns.area(512, 0, 205, 512.0 / 205.0);
    rows.area(288, 0, 115, 288.0 / 115.0);
    let (mean, most) = difference(
        &resized(pixels(&picture), &columns, &rows),
        include_bytes!("../../tests/fixtures/area_205x115.bgr"),
    );
    assert!(mean < 0.05 && most <= 1, "mean {mean}, most {most}");
}

#[test]
fn enlarging_interpolates_as_opencv_does() {
    let picture = fixture();
    let rgb: Vec<u8> = picture
        .rgb
        .chunks_exact(512 * 3)
        .take(40)
        .flat_map(|row| row[..60 * 3].to_vec())
        .collect();
    let part = Pixels {
        rgb: &rgb,
        width: 60,
        height: 40,
    };
    let (mut columns, mut rows) = (Taps::default(), Taps::default());
    columns.linear(60, 160);
    rows.linear(40, 107);
    let (mean, most) = difference(
        &resized(part, &columns, &rows),
        include_bytes!("../../tests/fixtures/linear_160x107.bgr"),
    );
    assert!(mean < 0.1 && most <= 1, "mean {mean}, most {most}");
}

#[test]
fn a_plate_is_rectified_as_opencv_does() {
    let picture = fixture();
    let (out, _) = rectified(&picture, &plate(), Pane::READER).unwrap();
    let (mean, most) = difference(&out, include_bytes!("../../tests/fixtures/rectified.bgr"));
    assert!(mean < 0.5 && most <= 6, "mean {mean}, most {most}");
    let sharp = sharpness(&out, 160);
    assert!((sharp - 0.8848).abs() < 0.1, "{sharp}");
}

#[test]
fn a_large_plate_is_averaged_before_it_is_rectified() {
    let picture = enlarged(12);
    let large = Quad(PLATE.map(|(x, y)| (x * 12.0, y * 12.0)));
    let (out, _) = rectified(&picture, &large, Pane::READER).unwrap();
    let (mean, most) = difference(
        &out,
        include_bytes!("../../tests/fixtures/rectified_large.bgr"),
    );
    assert!(mean < 0.5 && most <= 6, "mean {mean}, most {most}");
}

#[test]
fn folded_and_flat_quads_are_not_rectified() {
    let picture = fixture();
    for corners in [
        [(10.0, 10.0); 4],
        [(0.0, 0.0), (50.0, 0.0), (100.0, 0.0), (150.0, 0.0)],
        [(f32::NAN, 0.0), (50.0, 0.0), (50.0, 20.0), (0.0, 20.0)],
        [(0.0, 0.0), (f32::INFINITY, 0.0), (50.0, 20.0), (0.0, 20.0)],
    ] {
        for pane in [Pane::READER, Pane::CORNERS] {
            assert!(rectified(&picture, &Quad(corners), pane).is_none());
        }
    }
}

#[test]
fn a_plate_at_the_edge_of_the_frame_repeats_the_border() {
    let red = Picture {
        rgb: [200, 0, 0].repeat(30 * 20),
        width: 30,
        height: 20,
    };
    let quad = Quad([(-20.0, -10.0), (60.0, -10.0), (60.0, 15.0), (-20.0, 15.0)]);
    for pane in [Pane::READER, Pane::CORNERS] {
        let (out, _) = rectified(&red, &quad, pane).unwrap();
        assert!(out.chunks_exact(3).all(|p| p == [200, 0, 0]));
    }
}

/// What the Python reference decodes from the recorded cells.
const FOUND: [(f32, f32); 4] = [
    (130.4109, 59.7623),
    (177.6117, 68.6505),
    (175.7021, 83.8605),
    (128.6384, 75.0021),
];

#[test]
fn recorded_cells_decode_to_the_reference_quads() {
    let values: Vec<f32> = include_bytes!("../../tests/fixtures/plates.f32")
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let found = cells::quads(&values, 64, 8, 32.0, 0.2, 8);
    assert_eq!(found.len(), 1);
    assert!((found[0].0 - 0.629_823_2).abs() < 1e-5);
    for (a, b) in found[0].1.0.iter().zip(FOUND) {
        assert!(
            (a.0 - b.0).abs() < 1e-3 && (a.1 - b.1).abs() < 1e-3,
            "{found:?}"
        );
    }
    assert!(cells::quads(&values, 64, 8, 32.0, 0.8, 8).is_empty());
    assert!(cells::quads(&values, 64, 8, 32.0, 0.2, 0).is_empty());
    assert!(cells::quads(&[], 64, 8, 32.0, 0.2, 8).is_empty());
}

/// One plate of 40 x 16 pixels around the centre of each listed cell of a 4 x 4 grid.
fn synthetic(at: &[(usize, f32)]) -> Vec<f32> {
    let mut values = vec![-20.0; 9 * 16];
    for &(cell, logit) in at {
        values[cell] = logit;
        let corners = [-20.0, -8.0, 20.0, -8.0, 20.0, 8.0, -20.0, 8.0];
        for (plane, offset) in corners.into_iter().enumerate() {
            values[(plane + 1) * 16 + cell] = offset / 32.0;
        }
    }
    values
}

#[test]
fn overlapping_finds_are_one_plate_and_the_likeliest_stays() {
    let found = cells::quads(&synthetic(&[(5, 1.0), (6, 3.0)]), 4, 8, 32.0, 0.2, 8);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.centre(), (20.0, 12.0));
    let apart = cells::quads(&synthetic(&[(0, 1.0), (12, 3.0)]), 4, 8, 32.0, 0.2, 8);
    assert_eq!(apart.len(), 2);
    assert!(apart[0].0 > apart[1].0);
    assert_eq!(
        cells::quads(&synthetic(&[(0, 1.0), (12, 3.0)]), 4, 8, 32.0, 0.2, 1).len(),
        1
    );
}

#[test]
fn quads_that_cannot_be_plates_are_dropped() {
    let mut values = synthetic(&[(5, 3.0)]);
    values[16 + 5] = f32::NAN;
    assert!(cells::quads(&values, 4, 8, 32.0, 0.2, 8).is_empty());
    let at = |x: f32, y: f32| Quad([(x, y), (x + 40.0, y), (x + 40.0, y + 12.0), (x, y + 12.0)]);
    assert!(cells::is_plausible(&at(0.0, 0.0)));
    assert!(cells::is_inside(&at(-10.0, 0.0), 100, 100));
    assert!(!cells::is_inside(&at(-30.0, 0.0), 100, 100));
    assert!(!cells::is_inside(&at(500.0, 0.0), 100, 100));
    let mirrored = Quad([(40.0, 0.0), (0.0, 0.0), (0.0, 12.0), (40.0, 12.0)]);
    assert!(!cells::is_plausible(&mirrored));
}

proptest! {
    #[test]
    fn decoding_any_cells_gives_plausible_distinct_quads(values in prop::collection::vec(-3.0_f32..3.0, 9 * 48)) {
        let found = cells::quads(&values, 8, 8, 32.0, 0.2, 8);
        prop_assert!(found.len() <= 8);
        for (i, (score, quad)) in found.iter().enumerate() {
            prop_assert!(*score > 0.2 && cells::is_plausible(quad));
            for (_, other) in &found[..i] {
                prop_assert!(quad.overlap(other) <= cells::SAME_PLATE);
            }
        }
    }

    #[test]
    fn any_resize_of_one_colour_keeps_it(w in 1_usize..90, h in 1_usize..90, cw in 1_usize..70, ch in 1_usize..70, level in 0_u8..=255) {
        let rgb = vec![level; w * h * 3];
        let source = Pixels { rgb: &rgb, width: w, height: h };
        let (mut columns, mut rows) = (Taps::default(), Taps::default());
        if cw <= w { columns.area(w, 0, cw, w as f64 / cw as f64); } else { columns.linear(w, cw); }
        if ch <= h { rows.area(h, 0, ch, h as f64 / ch as f64); } else { rows.linear(h, ch); }
        prop_assert!(resized(source, &columns, &rows).iter().all(|&v| v == level));
    }
}

fn still(picture: Picture) -> Frame {
    picture.into_still().unwrap()
}

#[test]
fn the_middle_of_the_corners_pane_is_the_quad_and_around_it_lies_the_frame() {
    let picture = enlarged(3);
    let quad = Quad(PLATE.map(|(x, y)| (x * 3.0, y * 3.0)));
    let (out, map) = rectified(&picture, &quad, Pane::CORNERS).unwrap();
    // 192 x 64 pixels, the quad on the 120 x 40 in the middle.
    for ((u, v), corner) in [(36.0, 12.0), (156.0, 12.0), (156.0, 52.0), (36.0, 52.0)]
        .into_iter()
        .zip(quad.0)
    {
        let (x, y) = map.at(u, v);
        let away = (x - f64::from(corner.0)).hypot(y - f64::from(corner.1));
        assert!(away < 1e-3, "{away}");
    }
    // A pixel outside of the quad shows the frame's pixel there.
    let (x, y) = map.at(10.0, 30.0);
    let at = (y as usize * picture.width as usize + x as usize) * 3;
    let shown = &out[(30 * 192 + 10) * 3..][..3];
    for (a, b) in shown.iter().zip(&picture.rgb[at..at + 3]) {
        assert!(
            a.abs_diff(*b) <= 12,
            "{shown:?} {:?}",
            &picture.rgb[at..at + 3]
        );
    }
}

#[test]
fn a_closer_look_brings_rough_corners_to_the_plate() {
    // A rendered plate 94 pixels wide; the renderer says where its corners are.
    let rendered = [
        (63.97, 79.87),
        (155.84, 60.78),
        (158.36, 88.81),
        (68.01, 108.54),
    ];
    let picture = crate::picture::decode(include_bytes!("../../tests/fixtures/tilted.jpg"));
    let frame = still(picture.unwrap());
    let models = Models::embedded().unwrap();
    let mut recogniser = Recogniser::new(&models, Options::default()).unwrap();
    let away = |quad: &Quad| {
        let pairs = quad.0.iter().zip(rendered);
        pairs
            .map(|(a, b)| (a.0 - b.0).hypot(a.1 - b.1))
            .fold(0.0, f32::max)
    };
    // As far off as the finder's corners may be, and as a box around the plate.
    let moved = |dx, dy, size| {
        let (cx, cy) = Quad(rendered).centre();
        Quad(rendered.map(|(x, y)| (cx + (x - cx) * size + dx, cy + (y - cy) * size + dy)))
    };
    let around = Quad([(63.0, 60.0), (159.0, 60.0), (159.0, 109.0), (63.0, 109.0)]);
    for rough in [
        moved(6.0, 0.0, 1.0),
        moved(0.0, -4.0, 1.0),
        moved(0.0, 0.0, 1.15),
        around,
    ] {
        let exact = recogniser.settle(&frame, rough).unwrap().unwrap();
        assert!(away(&exact) < 2.0, "{} from {rough:?}", away(&exact));
    }
    // One look at a quad of twice the plate's size is not enough, a few are.
    let twice = moved(0.0, 0.0, 1.9);
    let (once, _) = recogniser.exact(&frame, &twice).unwrap().unwrap();
    let settled = recogniser.settle(&frame, twice).unwrap().unwrap();
    assert!(away(&settled) < 2.0 && away(&settled) < away(&once));
    let street = Quad([(5.0, 5.0), (45.0, 5.0), (45.0, 18.0), (5.0, 18.0)]);
    assert_eq!(recogniser.settle(&frame, street).unwrap(), None);
    let found = recogniser.detect(&frame).unwrap();
    assert_eq!(found.len(), 1);
    assert!(away(&found[0].1) < 2.0, "{found:?}");
}

#[test]
fn a_small_plate_is_read_from_nearer_and_a_lane_looks_once() {
    // The rendered plate in a grey frame, 14 pixels wide in the finder's input.
    let plate = picture::decode(include_bytes!("../../tests/fixtures/tilted.jpg")).unwrap();
    let (width, height) = (3400_u32, 1900_u32);
    let mut rgb = vec![90; width as usize * height as usize * 3];
    for (y, row) in plate.rgb.chunks_exact(plate.width as usize * 3).enumerate() {
        let at = ((y + 900) * width as usize + 1600) * 3;
        rgb[at..at + row.len()].copy_from_slice(row);
    }
    let frame = still(Picture { rgb, width, height });
    let models = Models::embedded().unwrap();
    let read = |options| {
        let mut recogniser = Recogniser::new(&models, options).unwrap();
        let seen = recogniser.recognise(&frame).unwrap();
        let texts = seen.readings.iter();
        texts
            .filter_map(|r| best_text(r, models.alphabet()))
            .filter(super::PlateText::is_plate)
            .count()
    };
    assert_eq!(
        (read(Options::default()), read(Options::for_a_lane())),
        (1, 0)
    );
}

#[test]
fn nothing_is_found_in_frames_without_a_plate_or_of_odd_sizes() {
    let models = Models::embedded().unwrap();
    let mut recogniser = Recogniser::new(&models, Options::default()).unwrap();
    for (width, height) in [(1, 1), (1, 700), (3000, 2), (512, 288), (640, 480)] {
        let rgb = vec![90; width as usize * height as usize * 3];
        let frame = still(Picture { rgb, width, height });
        let seen = recogniser.recognise(&frame).unwrap();
        assert_eq!(seen.readings, Vec::new(), "{width} x {height}");
        assert_eq!(recogniser.read_cut(&frame).unwrap().readings.len(), 1);
    }
}

#[test]
fn looks_of_one_kind_add_up() {
    let list = [
        (PlateKind::Small, 0.5_f32.ln()),
        (PlateKind::Large, 0.2_f32.ln()),
        (PlateKind::Large, 0.3_f32.ln()),
    ];
    let kinds = kinds(list.into_iter());
    assert_eq!(kinds.len(), 2);
    assert!((kinds[1].1.probability() - 0.5).abs() < 0.01);
}

#[test]
fn the_grammar_decides_between_look_alikes() {
    let alphabet = Alphabet::new("京AB018").unwrap();
    let likely = |classes: [usize; 8]| {
        let mut nats = vec![-9.0_f32; 8 * alphabet.classes()];
        for (slot, class) in classes.into_iter().enumerate() {
            nats[slot * alphabet.classes() + class] = -0.02;
        }
        // The office might also be a B, less likely than the 8 that cannot stand there.
        nats[alphabet.classes() + 2] = -2.0;
        nats
    };
    let (jing, eight, zero, blank) = (0, 5, 3, 6);
    let nats = likely([jing, eight, zero, zero, zero, zero, zero, blank]);
    let reading = Reading {
        matrix: Matrix::from_nats(alphabet.classes(), &nats).unwrap(),
        kinds: vec![(PlateKind::Large, LogProb::CERTAIN)],
        quad: plate(),
        detected: 1.0,
        sharpness: 10.0,
    };
    assert_eq!(unconstrained_text(&reading, &alphabet).0, "京800000");
    let best = best_text(&reading, &alphabet).unwrap();
    assert_eq!(best.number.as_str(), "京B00000");
    assert_eq!(best.kind, Some(PlateKind::Large));
    assert!(!best.is_plate() && (0.1..0.15).contains(&best.confidence));
}
