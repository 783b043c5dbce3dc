//! Letters and digits as strokes: narrow shapes of one width, as plates have them.
//!
//! No template of the standard is shipped; each character is a handful of lines and arcs
//! along the middle of its strokes, in a grid of 35 x 80 units that is stretched to the
//! character's box less the stroke's width. Points outside the grid are cut off by the box,
//! which gives strokes a straight end at its edge.

/// One piece of a stroke.
#[derive(Debug, Clone, Copy)]
pub(super) enum Piece {
    /// Lift the pen, go to x, y.
    Move(f32, f32),
    /// A straight line to x, y.
    Line(f32, f32),
    /// A cubic curve to the last point; the first two pull it.
    Curve([f32; 6]),
    /// Along an ellipse: centre x, y, radii x, y, from and to which angle in degrees,
    /// clockwise from the right. Joined to the last point by a line unless the pen is up.
    Arc([f32; 6]),
    /// Lift the pen; the next arc begins a stroke of its own.
    Lift,
}

use Piece::{Arc, Curve, Lift, Line, Move};

const STEM: [Piece; 2] = [Move(0.0, -6.0), Line(0.0, 86.0)];

/// The strokes of `c`, or nothing where `c` is no letter or digit.
#[allow(clippy::too_many_lines, reason = "one table, a row a character")]
pub(super) fn pieces(c: char) -> Vec<Piece> {
    let with_stem = |rest: &[Piece]| [&STEM[..], rest].concat();
    match c {
        '0' | 'O' => vec![
            Arc([17.5, 17.5, 17.5, 17.5, 180.0, 360.0]),
            Arc([17.5, 62.5, 17.5, 17.5, 0.0, 180.0]),
            Line(0.0, 17.5),
        ],
        '1' => vec![Move(17.5, -6.0), Line(17.5, 86.0)],
        '2' => vec![
            Arc([17.5, 17.5, 17.5, 17.5, 180.0, 392.0]),
            Line(1.0, 80.0),
            Move(-6.0, 80.0),
            Line(41.0, 80.0),
        ],
        '3' => vec![
            Move(-6.0, 0.0),
            Line(33.0, 0.0),
            Line(12.0, 32.0),
            Arc([17.0, 54.5, 18.0, 25.5, -75.0, 178.0]),
        ],
        '4' => vec![
            Move(25.0, -4.0),
            Line(-1.0, 63.0),
            Move(-6.0, 63.0),
            Line(41.0, 63.0),
            Move(26.5, -6.0),
            Line(26.5, 86.0),
        ],
        '5' => vec![
            Move(41.0, 0.0),
            Line(0.5, 0.0),
            Line(0.5, 41.0),
            Lift,
            Arc([17.3, 55.0, 17.7, 25.0, -145.0, 178.0]),
        ],
        '6' => vec![
            Move(31.0, -6.0),
            Curve([17.0, 14.0, 0.0, 36.0, 0.0, 57.0]),
            Lift,
            Arc([17.5, 57.5, 17.5, 22.5, 0.0, 360.0]),
        ],
        '7' => vec![
            Move(-6.0, 0.0),
            Line(34.0, 0.0),
            Move(35.0, -2.0),
            Curve([24.0, 25.0, 18.0, 50.0, 17.5, 86.0]),
        ],
        '8' => vec![
            Lift,
            Arc([17.5, 18.5, 15.5, 18.5, 0.0, 360.0]),
            Lift,
            Arc([17.5, 58.5, 17.5, 21.5, 0.0, 360.0]),
        ],
        '9' => vec![
            Move(4.0, 86.0),
            Curve([18.0, 66.0, 35.0, 44.0, 35.0, 23.0]),
            Lift,
            Arc([17.5, 22.5, 17.5, 22.5, 0.0, 360.0]),
        ],
        'A' => vec![
            Move(16.0, -6.0),
            Line(-1.0, 86.0),
            Move(19.0, -6.0),
            Line(36.0, 86.0),
            Move(4.0, 58.0),
            Line(31.0, 58.0),
        ],
        'B' => with_stem(&[
            Move(-5.0, 0.0),
            Line(18.0, 0.0),
            Arc([18.0, 17.5, 15.0, 17.5, -90.0, 90.0]),
            Line(0.0, 35.0),
            Line(17.0, 35.0),
            Arc([17.0, 57.5, 18.0, 22.5, -90.0, 90.0]),
            Line(-5.0, 80.0),
        ]),
        'C' => vec![
            Move(35.0, 23.0),
            Arc([17.5, 17.5, 17.5, 17.5, 0.0, -180.0]),
            Arc([17.5, 62.5, 17.5, 17.5, 180.0, 0.0]),
            Line(35.0, 57.0),
        ],
        'D' => with_stem(&[
            Move(-5.0, 0.0),
            Line(14.0, 0.0),
            Arc([15.0, 20.0, 20.0, 20.0, -90.0, 0.0]),
            Arc([15.0, 60.0, 20.0, 20.0, 0.0, 90.0]),
            Line(-5.0, 80.0),
        ]),
        'E' => with_stem(&[
            Move(-5.0, 0.0),
            Line(41.0, 0.0),
            Move(0.0, 35.0),
            Line(33.0, 35.0),
            Move(-5.0, 80.0),
            Line(41.0, 80.0),
        ]),
        'F' => with_stem(&[
            Move(-5.0, 0.0),
            Line(41.0, 0.0),
            Move(0.0, 39.0),
            Line(33.0, 39.0),
        ]),
        'G' => vec![
            Move(35.0, 22.0),
            Arc([17.5, 17.5, 17.5, 17.5, 0.0, -180.0]),
            Arc([17.5, 62.5, 17.5, 17.5, 180.0, 0.0]),
            Line(35.0, 32.0),
            Move(38.0, 37.0),
            Line(15.0, 37.0),
        ],
        'H' => with_stem(&[
            Move(35.0, -6.0),
            Line(35.0, 86.0),
            Move(0.0, 36.0),
            Line(35.0, 36.0),
        ]),
        'J' => vec![
            Move(35.0, -6.0),
            Arc([17.5, 62.5, 17.5, 17.5, 0.0, 180.0]),
            Line(0.0, 57.0),
        ],
        'K' => with_stem(&[
            Move(37.0, -8.0),
            Line(0.0, 57.0),
            Move(13.0, 30.0),
            Line(37.0, 88.0),
        ]),
        'L' => with_stem(&[Move(-5.0, 80.0), Line(41.0, 80.0)]),
        'M' => with_stem(&[
            Move(35.0, -6.0),
            Line(35.0, 86.0),
            Move(-1.0, -6.0),
            Line(17.5, 33.0),
            Line(36.0, -6.0),
        ]),
        'N' => with_stem(&[
            Move(35.0, -6.0),
            Line(35.0, 86.0),
            Move(0.0, -6.0),
            Line(35.0, 86.0),
        ]),
        'P' => with_stem(&[
            Move(-5.0, 0.0),
            Line(17.0, 0.0),
            Arc([17.0, 20.0, 18.0, 20.0, -90.0, 90.0]),
            Line(0.0, 40.0),
        ]),
        'Q' => vec![
            Arc([17.5, 17.5, 17.5, 17.5, 180.0, 360.0]),
            Arc([17.5, 62.5, 17.5, 17.5, 0.0, 180.0]),
            Line(0.0, 17.5),
            Move(15.0, 50.0),
            Line(37.0, 86.0),
        ],
        'R' => with_stem(&[
            Move(-5.0, 0.0),
            Line(17.0, 0.0),
            Arc([17.0, 19.5, 18.0, 19.5, -90.0, 90.0]),
            Line(0.0, 39.0),
            Move(17.0, 39.0),
            Line(36.0, 87.0),
        ]),
        'S' => vec![
            Move(34.0, 21.0),
            Arc([17.5, 18.0, 16.5, 18.0, 0.0, -180.0]),
            Curve([1.0, 33.0, 8.0, 36.0, 17.5, 39.5]),
            Curve([27.0, 43.0, 35.0, 48.0, 35.0, 62.0]),
            Arc([17.5, 61.5, 17.5, 18.5, 0.0, 180.0]),
            Line(0.0, 59.0),
        ],
        'T' => vec![
            Move(-6.0, 0.0),
            Line(41.0, 0.0),
            Move(17.5, 0.0),
            Line(17.5, 86.0),
        ],
        'U' => vec![
            Move(0.0, -6.0),
            Arc([17.5, 62.5, 17.5, 17.5, 180.0, 0.0]),
            Line(35.0, -6.0),
        ],
        'V' => vec![
            Move(-1.0, -6.0),
            Line(16.6, 86.0),
            Move(36.0, -6.0),
            Line(18.4, 86.0),
        ],
        'W' => vec![
            Move(-1.0, -6.0),
            Line(6.0, 86.0),
            Move(6.5, 86.0),
            Line(17.5, 6.0),
            Line(28.5, 86.0),
            Move(29.0, 86.0),
            Line(36.0, -6.0),
        ],
        'X' => vec![
            Move(-2.0, -6.0),
            Line(37.0, 86.0),
            Move(37.0, -6.0),
            Line(-2.0, 86.0),
        ],
        'Y' => vec![
            Move(-2.0, -6.0),
            Line(17.5, 40.0),
            Move(37.0, -6.0),
            Line(17.5, 40.0),
            Line(17.5, 86.0),
        ],
        'Z' => vec![
            Move(-6.0, 0.0),
            Line(35.0, 0.0),
            Line(0.0, 80.0),
            Move(-4.0, 80.0),
            Line(41.0, 80.0),
        ],
        _ => Vec::new(),
    }
}

/// The middle lines of `c`'s strokes as polylines in a grid of 0..1 by 0..1.
pub(super) fn lines(c: char) -> Vec<Vec<[f32; 2]>> {
    let mut all: Vec<Vec<[f32; 2]>> = Vec::new();
    let mut pen: Vec<[f32; 2]> = Vec::new();
    for piece in pieces(c) {
        match piece {
            Move(x, y) => {
                all.push(std::mem::take(&mut pen));
                pen.push([x, y]);
            }
            Lift => all.push(std::mem::take(&mut pen)),
            Line(x, y) => pen.push([x, y]),
            Curve([ax, ay, bx, by, x, y]) => {
                let [px, py] = pen.last().copied().unwrap_or([ax, ay]);
                for i in 1..=12 {
                    let t = i as f32 / 12.0;
                    let s = 1.0 - t;
                    let mix = |p: f32, a: f32, b: f32, e: f32| {
                        s * s * s * p + 3.0 * s * s * t * a + 3.0 * s * t * t * b + t * t * t * e
                    };
                    pen.push([mix(px, ax, bx, x), mix(py, ay, by, y)]);
                }
            }
            Arc([cx, cy, rx, ry, from, to]) => {
                let steps = (((to - from).abs() / 12.0).ceil() as usize).max(1);
                for i in 0..=steps {
                    let angle = (from + (to - from) * i as f32 / steps as f32).to_radians();
                    pen.push([cx + rx * angle.cos(), cy + ry * angle.sin()]);
                }
            }
        }
    }
    all.push(pen);
    all.retain(|line| line.len() > 1);
    for point in all.iter_mut().flatten() {
        *point = [point[0] / 35.0, point[1] / 80.0];
    }
    all
}
