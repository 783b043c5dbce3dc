//! Expected numbers come from OpenCV and numpy run on the fixtures.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use domain::{Alphabet, LogProb, PlateKind, Quad, Reading, reading::Matrix};
use proptest::prelude::*;

use super::cells;
use super::rectify::{Layout, Rectifier, sharpness};
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
        0,
        &mut out,
        columns.len(),
        &mut Vec::new(),
    );
    out
}

fn plate() -> Quad {
    Quad(PLATE)
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
    let mut out = vec![0; 160 * 48 * 3];
    assert!(Rectifier::default().rectify(pixels(&picture), &plate(), Layout::AsIs, &mut out));
    let (mean, most) = difference(&out, include_bytes!("../../tests/fixtures/rectified.bgr"));
    assert!(mean < 0.5 && most <= 6, "mean {mean}, most {most}");
    let sharp = sharpness(&out, 160);
    assert!((sharp - 0.8848).abs() < 0.1, "{sharp}");
}

#[test]
fn a_large_plate_is_averaged_before_it_is_rectified() {
    let picture = enlarged(12);
    let large = Quad(PLATE.map(|(x, y)| (x * 12.0, y * 12.0)));
    let mut out = vec![0; 160 * 48 * 3];
    assert!(Rectifier::default().rectify(pixels(&picture), &large, Layout::AsIs, &mut out));
    let (mean, most) = difference(
        &out,
        include_bytes!("../../tests/fixtures/rectified_large.bgr"),
    );
    assert!(mean < 0.5 && most <= 6, "mean {mean}, most {most}");
}

#[test]
fn folded_and_flat_quads_are_not_rectified() {
    let picture = fixture();
    let mut out = vec![0; 160 * 48 * 3];
    for corners in [
        [(10.0, 10.0); 4],
        [(0.0, 0.0), (50.0, 0.0), (100.0, 0.0), (150.0, 0.0)],
        [(f32::NAN, 0.0), (50.0, 0.0), (50.0, 20.0), (0.0, 20.0)],
        [(0.0, 0.0), (f32::INFINITY, 0.0), (50.0, 20.0), (0.0, 20.0)],
    ] {
        assert!(!Rectifier::default().rectify(
            pixels(&picture),
            &Quad(corners),
            Layout::AsIs,
            &mut out
        ));
    }
}

#[test]
fn a_plate_at_the_edge_of_the_frame_repeats_the_border() {
    let red = Picture {
        rgb: [200, 0, 0].repeat(30 * 20),
        width: 30,
        height: 20,
    };
    let mut out = vec![0; 160 * 48 * 3];
    let quad = Quad([(-20.0, -10.0), (60.0, -10.0), (60.0, 15.0), (-20.0, 15.0)]);
    assert!(Rectifier::default().rectify(pixels(&red), &quad, Layout::AsIs, &mut out));
    assert!(out.chunks_exact(3).all(|p| p == [200, 0, 0]));
}

#[test]
fn recorded_cells_decode_to_the_reference_quads() {
    let values: Vec<f32> = include_bytes!("../../tests/fixtures/plates.f32")
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect();
    let found = cells::quads(&values, 64, 8, 32.0, 0.2, 8);
    assert_eq!(found.len(), 1);
    assert!((found[0].0 - 0.720_922_6).abs() < 1e-5);
    for (a, b) in found[0].1.0.iter().zip(PLATE) {
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
    fn any_resize_of_one_colour_keeps_it(w in 1_usize..90, h in 1_usize..90, cw in 1_usize..70, ch in 1_usize..70, zoom in 0.05_f64..6.0, level in 0_u8..=255) {
        let rgb = vec![level; w * h * 3];
        let source = Pixels { rgb: &rgb, width: w, height: h };
        let (mut columns, mut rows) = (Taps::default(), Taps::default());
        if cw <= w { columns.area(w, 0, cw, w as f64 / cw as f64); } else { columns.linear(w, cw); }
        if ch <= h { rows.area(h, 0, ch, h as f64 / ch as f64); } else { rows.linear(h, ch); }
        prop_assert!(resized(source, &columns, &rows).iter().all(|&v| v == level));
        // Beyond the picture a view shows the same grey, so nothing may change either.
        columns.view(w, cw, zoom, 3.0, 0.4 / zoom);
        rows.view(h, ch, zoom, -2.0, 0.4 / zoom);
        let mut out = vec![0; cw * ch * 3];
        resample(source, &columns, &rows, level, &mut out, cw, &mut Vec::new());
        prop_assert!(out.iter().all(|&v| v.abs_diff(level) <= 1), "{out:?}");
    }
}

fn still(picture: Picture) -> Frame {
    picture.into_still().unwrap()
}

#[test]
fn the_closer_look_moves_the_corners_as_the_reference_does() {
    let models = Models::embedded().unwrap();
    let mut recogniser = Recogniser::new(&models, Options::default()).unwrap();
    let small = [
        (130.236, 57.916),
        (179.773, 67.921),
        (176.995, 85.777),
        (127.591, 75.732),
    ];
    // Enlarged pictures are seen a little differently; at 5 the view is blurred before it shrinks.
    let four = [
        (130.505, 59.090),
        (180.064, 68.590),
        (177.490, 85.598),
        (128.017, 76.025),
    ];
    let five = [
        (130.569, 59.081),
        (180.046, 68.551),
        (177.465, 85.600),
        (128.083, 76.059),
    ];
    for (picture, times, expected) in [
        (fixture(), 1.0, small),
        (enlarged(4), 4.0, four),
        (enlarged(5), 5.0, five),
    ] {
        let found = recogniser.detect(&still(picture)).unwrap();
        assert_eq!(found.len(), 1);
        for (a, b) in found[0].1.0.iter().zip(expected) {
            let away = (a.0 / times - b.0).hypot(a.1 / times - b.1);
            assert!(away < 0.3, "{a:?} {b:?} at {times}");
        }
    }
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
