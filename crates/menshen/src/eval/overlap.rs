//! How far two quads are the same plate.

use domain::Quad;

type Point = (f64, f64);

/// Shared area of two quads as a part of the area that either covers, 0 to 1. Both must go
/// clockwise around a convex shape, as every plate in a picture does; otherwise it is 0.
pub(super) fn overlap(a: &Quad, b: &Quad) -> f64 {
    if !is_convex(a) || !is_convex(b) {
        return 0.0;
    }
    let (a, b) = (points(a), points(b));
    let mut shared = a.clone();
    for i in 0..b.len() {
        shared = cut(&shared, b[i], b[(i + 1) % b.len()]);
    }
    let shared = area(&shared);
    let either = area(&a) + area(&b) - shared;
    (shared / either).clamp(0.0, 1.0)
}

/// Whether the corners are finite and go clockwise around a convex shape with some area.
pub(super) fn is_convex(quad: &Quad) -> bool {
    let p = points(quad);
    p.iter().all(|(x, y)| x.is_finite() && y.is_finite())
        && (0..4).all(|i| side(p[i], p[(i + 1) % 4], p[(i + 2) % 4]) > 0.0)
}

fn points(quad: &Quad) -> Vec<Point> {
    let wide = |(x, y): (f32, f32)| (f64::from(x), f64::from(y));
    quad.0.map(wide).to_vec()
}

/// Positive if `p` lies to the right of the way from `a` to `b`, with y growing downwards: inside
/// of a shape whose corners go clockwise.
fn side(a: Point, b: Point, p: Point) -> f64 {
    (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0)
}

/// What of a shape lies to the right of the line through `a` and `b` (Sutherland and Hodgman).
fn cut(shape: &[Point], a: Point, b: Point) -> Vec<Point> {
    let mut kept = Vec::with_capacity(shape.len() + 1);
    for (i, &to) in shape.iter().enumerate() {
        let from = shape[(i + shape.len() - 1) % shape.len()];
        let (before, now) = (side(a, b, from), side(a, b, to));
        if (before < 0.0) != (now < 0.0) {
            let t = before / (before - now);
            kept.push((from.0 + (to.0 - from.0) * t, from.1 + (to.1 - from.1) * t));
        }
        if now >= 0.0 {
            kept.push(to);
        }
    }
    kept
}

fn area(shape: &[Point]) -> f64 {
    let pairs = shape.iter().zip(shape.iter().cycle().skip(1));
    pairs.map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs() / 2.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rectangle(x: f32, y: f32, w: f32, h: f32) -> Quad {
        Quad([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])
    }

    #[test]
    fn overlaps_are_those_of_the_shapes_and_not_of_their_boxes() {
        let a = rectangle(0.0, 0.0, 100.0, 30.0);
        assert!((overlap(&a, &rectangle(50.0, 0.0, 100.0, 30.0)) - 1.0 / 3.0).abs() < 1e-9);
        assert!((overlap(&a, &rectangle(25.0, 10.0, 50.0, 10.0)) - 1.0 / 6.0).abs() < 1e-9);
        assert!(overlap(&a, &rectangle(100.0, 0.0, 9.0, 9.0)) < 1e-9);
        assert!(overlap(&a, &rectangle(0.0, 90.0, 9.0, 9.0)) < 1e-9);
        // Two slanted strips beside each other: their boxes share most of their area.
        let slanted = |x: f32| {
            Quad([
                (x, 0.0),
                (x + 20.0, 0.0),
                (x + 80.0, 60.0),
                (x + 60.0, 60.0),
            ])
        };
        assert!(overlap(&slanted(0.0), &slanted(25.0)) < 1e-9);
        assert!((overlap(&slanted(0.0), &slanted(0.0)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn folded_flat_and_turned_shapes_overlap_nothing() {
        let a = rectangle(0.0, 0.0, 100.0, 30.0);
        let [tl, tr, br, bl] = a.0;
        for bad in [
            Quad([tl, br, tr, bl]),
            Quad([tl, bl, br, tr]),
            Quad([tl, tr, tr, tl]),
            Quad([tl, tr, (f32::NAN, 0.0), bl]),
        ] {
            assert!(!is_convex(&bad));
            assert!(overlap(&a, &bad) < 1e-9 && overlap(&bad, &a) < 1e-9);
        }
    }

    proptest! {
        #[test]
        fn it_is_the_same_both_ways_and_wherever_the_picture_begins(
            bend in prop::array::uniform8(-4.0_f32..4.0),
            (x, y) in (-40.0_f32..40.0, -20.0_f32..20.0),
            by in -300.0_f32..300.0,
        ) {
            let a = rectangle(0.0, 0.0, 90.0, 30.0);
            let mut b = rectangle(x, y, 90.0, 30.0);
            for (i, corner) in b.0.iter_mut().enumerate() {
                corner.0 += bend[2 * i];
                corner.1 += bend[2 * i + 1];
            }
            let same = overlap(&a, &b);
            prop_assert!((0.0..=1.0).contains(&same));
            prop_assert!((same - overlap(&b, &a)).abs() < 1e-6);
            let moved = |q: &Quad| Quad(q.0.map(|(x, y)| (x + by, y - by)));
            prop_assert!((same - overlap(&moved(&a), &moved(&b))).abs() < 1e-4);
        }
    }
}
