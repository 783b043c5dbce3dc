#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{Alphabet, Fusion, LogProb, Matrix, Quad, Reading, SLOTS};
use crate::plate::tests::any_number;
use crate::plate::{PlateKind, PlateNumber};

const CHARACTERS: &str = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼ABCDEFGHJKLMNPQRSTUVWXYZ0123456789O使领警学港澳挂";

fn alphabet() -> Alphabet {
    Alphabet::new(CHARACTERS).unwrap()
}

/// Any matrix whose rows are distributions.
fn any_matrix() -> impl Strategy<Value = Matrix> {
    let classes = CHARACTERS.chars().count() + 1;
    prop::collection::vec(-12.0_f32..4.0, SLOTS * classes).prop_map(move |logits| {
        let nats: Vec<f32> = logits
            .chunks(classes)
            .flat_map(|row| {
                let norm = row.iter().map(|v| v.exp()).sum::<f32>().ln();
                row.iter().map(move |v| v - norm).collect::<Vec<_>>()
            })
            .collect();
        Matrix::from_nats(classes, &nats).unwrap()
    })
}

fn reading(matrix: Matrix) -> Reading {
    Reading {
        matrix,
        kinds: vec![(PlateKind::Small, LogProb::CERTAIN)],
        quad: Quad([(0.0, 0.0), (120.0, 0.0), (120.0, 40.0), (0.0, 40.0)]),
        detected: 0.9,
        sharpness: 20.0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn valid_numbers_come_in_order_once_with_their_true_scores(matrix in any_matrix()) {
        let alphabet = alphabet();
        let list: Vec<_> = matrix.valid_numbers(&alphabet).take(60).collect();
        prop_assert_eq!(list.len(), 60);
        for pair in list.windows(2) {
            prop_assert!(pair[0].score >= pair[1].score);
            prop_assert_ne!(&pair[0].number, &pair[1].number);
        }
        for candidate in &list {
            prop_assert_eq!(matrix.score(&candidate.number, &alphabet), Some(candidate.score));
        }
    }

    #[test]
    fn no_number_beats_the_first(matrix in any_matrix(), texts in prop::collection::vec(any_number(), 20)) {
        let alphabet = alphabet();
        let best = matrix.valid_numbers(&alphabet).next().unwrap();
        for text in texts {
            let number = PlateNumber::parse(&text).unwrap();
            if let Some(score) = matrix.score(&number, &alphabet) {
                prop_assert!(score <= best.score, "{} beats {}", number, best.number);
            }
        }
    }

    #[test]
    fn the_best_stranger_is_the_first_that_is_not_registered(matrix in any_matrix(), skip in 0_usize..20) {
        let alphabet = alphabet();
        let list: Vec<_> = matrix.valid_numbers(&alphabet).take(skip + 1).collect();
        let registered: Vec<_> = list[..skip].iter().map(|c| c.number.clone()).collect();
        let stranger = matrix.best_stranger(&alphabet, |n| registered.contains(n)).unwrap();
        prop_assert_eq!(&stranger, &list[skip]);
    }

    #[test]
    fn stored_bytes_give_the_same_matrix(matrix in any_matrix()) {
        prop_assert_eq!(Matrix::from_bytes(matrix.classes(), &matrix.to_bytes()).unwrap(), matrix);
    }

    #[test]
    fn one_reading_is_its_own_sighting_and_order_does_not_matter(a in any_matrix(), b in any_matrix()) {
        let single = Fusion::new(&reading(a.clone())).sighting();
        for slot in 0..SLOTS {
            for (x, y) in single.matrix.slot(slot).iter().zip(a.slot(slot)) {
                prop_assert!((i32::from(x.steps()) - i32::from(y.steps())).abs() <= 4);
            }
        }
        let fuse = |first: &Matrix, second: &Matrix| {
            let mut fusion = Fusion::new(&reading(first.clone()));
            fusion.add(&reading(second.clone()));
            fusion.sighting()
        };
        let (ab, ba) = (fuse(&a, &b), fuse(&b, &a));
        prop_assert_eq!(ab.readings, 2);
        for slot in 0..SLOTS {
            let total: f32 = ab.matrix.slot(slot).iter().map(|p| p.probability()).sum();
            prop_assert!((total - 1.0).abs() < 0.05, "{}", total);
            for (x, y) in ab.matrix.slot(slot).iter().zip(ba.matrix.slot(slot)) {
                prop_assert!((i32::from(x.steps()) - i32::from(y.steps())).abs() <= 1);
            }
        }
    }
}

#[test]
fn log_probabilities_saturate_and_round() {
    assert_eq!(LogProb::from_nats(0.5), LogProb::CERTAIN);
    assert_eq!(LogProb::from_nats(-1.0).steps(), -1024);
    assert_eq!(LogProb::from_nats(f32::NEG_INFINITY), LogProb::LEAST);
    assert_eq!(LogProb::from_nats(f32::NAN), LogProb::LEAST);
    assert!(Alphabet::new("ABCA").is_err());
    assert!(Matrix::from_nats(3, &[0.0; 23]).is_err());
}

#[test]
fn a_number_the_model_cannot_write_is_not_scored() {
    let alphabet = Alphabet::new("AB").unwrap();
    let matrix = Matrix::from_nats(3, &[-1.0; 24]).unwrap();
    assert_eq!(
        matrix.score(&PlateNumber::parse("京A12345").unwrap(), &alphabet),
        None
    );
    assert_eq!(matrix.valid_numbers(&alphabet).next(), None);
}
