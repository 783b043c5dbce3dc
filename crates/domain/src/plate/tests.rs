#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::grammar::{LETTERS, NEW_ENERGY, PROVINCES, Place, TABLE};
use super::{PlateError, PlateKind, PlateNumber};

fn characters(place: Place) -> Vec<char> {
    PROVINCES
        .chars()
        .chain(LETTERS.chars())
        .chain("0123456789O使领警学港澳挂民航应急".chars())
        .filter(|&c| place.allows(c))
        .collect()
}

/// Any number of any pattern.
pub(crate) fn any_number() -> impl Strategy<Value = String> {
    (0..TABLE.len()).prop_flat_map(|row| {
        TABLE[row]
            .0
            .iter()
            .map(|&place| prop::sample::select(characters(place)))
            .collect::<Vec<_>>()
            .prop_map(|chars| chars.into_iter().collect::<String>())
    })
}

proptest! {
    #[test]
    fn every_number_of_the_grammar_is_taken_as_it_is(text in any_number()) {
        let number = PlateNumber::parse(&text).unwrap();
        prop_assert_eq!(number.as_str(), &text);
        prop_assert!(!number.kinds().is_empty());
    }

    #[test]
    fn what_people_type_is_forgiven(text in any_number(), gap in "[ ·.\u{3000}-]{0,2}", full in any::<bool>()) {
        let mut typed = String::new();
        for (i, c) in text.chars().enumerate() {
            if i == 2 { typed.push_str(&gap); }
            let c = c.to_ascii_lowercase();
            typed.push(if full && c.is_ascii() { char::from_u32(c as u32 + 0xfee0).unwrap() } else { c });
        }
        let number = PlateNumber::parse(&typed).unwrap();
        prop_assert_eq!(number.as_str(), &text);
    }

    #[test]
    fn nothing_that_is_taken_breaks_the_grammar(text in "\\PC{0,12}") {
        if let Ok(number) = PlateNumber::parse(&text) {
            let fits = TABLE.iter().any(|(pattern, _)| {
                pattern.len() == number.as_str().chars().count()
                    && pattern.iter().zip(number.as_str().chars()).all(|(p, c)| p.allows(c))
            });
            prop_assert!(fits);
            prop_assert_eq!(&PlateNumber::parse(number.as_str()).unwrap(), &number);
        }
    }

    #[test]
    fn one_wrong_character_is_named_with_its_position(text in any_number(), at in 0_usize..8) {
        let mut chars: Vec<char> = text.chars().collect();
        prop_assume!(at < chars.len());
        chars[at] = '!';
        let typed: String = chars.iter().collect();
        match PlateNumber::parse(&typed) {
            Err(PlateError::Character { position, .. }) => prop_assert!(position <= at + 1),
            Err(PlateError::TooLong { position, .. }) => prop_assert!(position <= at + 1),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}

#[test]
fn errors_name_position_and_cure() {
    let error = PlateNumber::parse("苏E·I2345").unwrap_err();
    assert!(
        matches!(
            error,
            PlateError::Character {
                found: 'I',
                position: 4,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("1 was probably meant"));
    assert!(matches!(
        PlateNumber::parse("苏E123"),
        Err(PlateError::TooShort { found: 5, .. })
    ));
    assert!(matches!(
        PlateNumber::parse("苏E1234567"),
        Err(PlateError::TooLong { position: 8, .. })
    ));
    assert!(matches!(PlateNumber::parse(" · "), Err(PlateError::Empty)));
    assert!(matches!(
        PlateNumber::parse("台A12345"),
        Err(PlateError::Character { position: 1, .. })
    ));
}

#[test]
fn kinds_follow_from_the_text() {
    let kind = |t: &str| PlateNumber::parse(t).unwrap().kinds()[0];
    assert_eq!(kind("京A12345"), PlateKind::Small);
    assert_eq!(kind("京AD12345"), PlateKind::NewEnergySmall);
    assert_eq!(kind("京A12345D"), PlateKind::NewEnergyLarge);
    assert_eq!(kind("京A1234学"), PlateKind::Coach);
    assert_eq!(kind("京A1234警"), PlateKind::Police);
    assert_eq!(kind("粤Z1234港"), PlateKind::HongKong);
    assert_eq!(kind("WJ苏1234X"), PlateKind::ArmedPolice);
    assert_eq!(kind("苏X1234应急"), PlateKind::Emergency);
    assert_eq!(kind("使014123"), PlateKind::Embassy);
    assert_eq!(kind("VA12345"), PlateKind::Military);
    assert!(NEW_ENERGY.chars().all(|c| LETTERS.contains(c)));
    assert_eq!(
        PlateNumber::parse("苏E12345").unwrap().dotted(),
        "苏E·12345"
    );
}
