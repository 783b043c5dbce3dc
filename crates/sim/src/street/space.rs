//! From metres to pixels: one fixed camera.
//!
//! x runs to the right from the lane's middle, y up from the road, z away from the camera. The
//! camera stands beside the barrier, 1.5 m high, and looks level along the lane; its sensor is
//! shifted down, so upright things stay upright in the picture.

/// Pixels a metre at one metre's distance.
const FOCAL: f32 = 1900.0;
/// Where the camera's axis meets the picture.
const AXIS: [f32; 2] = [700.0, 190.0];
/// Where the camera is.
const EYE: [f32; 2] = [0.6, 1.5];
/// Nothing nearer than this is drawn.
const NEAR: f32 = 0.35;
/// How far the boom is from the camera.
pub(super) const BOOM: f32 = 4.3;

/// Metres: right, up, away.
pub(super) type Point = [f32; 3];

/// Pixels a metre at distance `z`.
pub(super) fn scale(z: f32) -> f32 {
    FOCAL / z.max(NEAR)
}

/// Where a point is in the picture.
pub(super) fn project([x, y, z]: Point) -> [f32; 2] {
    let k = scale(z);
    [AXIS[0] + k * (x - EYE[0]), AXIS[1] + k * (EYE[1] - y)]
}

/// A polygon in the picture: what of it lies before the camera. Empty if nothing does.
pub(super) fn outline(points: &[Point]) -> Vec<[f32; 2]> {
    let mut kept = Vec::with_capacity(points.len() + 2);
    let Some(&last) = points.last() else {
        return kept;
    };
    let mut before = last;
    for &point in points {
        if (before[2] < NEAR) != (point[2] < NEAR) {
            let t = (NEAR - before[2]) / (point[2] - before[2]);
            kept.push(project(std::array::from_fn(|i| {
                before[i] + (point[i] - before[i]) * t
            })));
        }
        if point[2] >= NEAR {
            kept.push(project(point));
        }
        before = point;
    }
    kept
}

/// Whether a polygon's points run clockwise on the screen: how faces turned to the camera are
/// told from those turned away.
pub(super) fn clockwise(points: &[[f32; 2]]) -> bool {
    let Some(&last) = points.last() else {
        return false;
    };
    let mut before = last;
    let mut area = 0.0;
    for &p in points {
        area += before[0] * p[1] - p[0] * before[1];
        before = p;
    }
    area > 0.0
}
