//! Where each character stands, and in which colours: geometry in millimetres after GA 36-2018.

use domain::PlateKind;

use super::Rows;

/// A box in millimetres from the plate's top left corner: x, y, width, height.
pub(super) type Box4 = [f32; 4];

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];

const WHITE: Rgb = [245, 245, 245];
const BLACK: Rgb = [16, 16, 16];
/// Red characters.
pub(super) const RED: Rgb = [200, 30, 40];
const YELLOW: Rgb = [245, 175, 20];

/// The ground that characters stand on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ground {
    /// One colour.
    Plain(Rgb),
    /// From the first colour at the top to the second at the bottom.
    Fade(Rgb, Rgb),
    /// The first colour over the given millimetres at the left, then the second.
    Split(Rgb, f32, Rgb),
}

/// Everything about a plate's looks but its characters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) boxes: Vec<Box4>,
    pub(super) ground: Ground,
    pub(super) ink: Rgb,
    /// Which characters are red.
    pub(super) red: Vec<usize>,
    /// The middle of the separating dot, where there is one.
    pub(super) dot: Option<[f32; 2]>,
}

/// The layout of `kind` for a number of `count` characters, or nothing where the kind has no
/// fixed look (temporary paper, motorcycles and the like) or no such form.
pub(super) fn layout(kind: PlateKind, rows: Rows, count: usize) -> Option<Layout> {
    use PlateKind as K;
    let (ground, ink) = match kind {
        K::Small => (Ground::Plain([18, 84, 196]), WHITE),
        K::Large | K::Coach | K::Trailer => (Ground::Plain(YELLOW), BLACK),
        K::NewEnergySmall => (Ground::Fade([240, 244, 240], [60, 200, 110]), BLACK),
        K::NewEnergyLarge => (Ground::Split([240, 190, 30], 140.0, [60, 190, 80]), BLACK),
        K::Police | K::Military | K::ArmedPolice => (Ground::Plain([236, 236, 236]), BLACK),
        K::Emergency => (Ground::Fade([240, 240, 236], [240, 190, 40]), BLACK),
        K::Embassy | K::Consulate | K::HongKong | K::Macau => (Ground::Plain([20, 20, 20]), WHITE),
        K::CivilAviation => (Ground::Plain([10, 120, 70]), WHITE),
        K::LowSpeed | K::Temporary | K::Tractor | K::Motorcycle => return None,
    };
    let red = match kind {
        K::Police => vec![6],
        K::Military | K::ArmedPolice => vec![0, 1],
        K::Emergency => vec![6, 7],
        _ => Vec::new(),
    };
    let double = rows == Rows::Double;
    if double && !matches!(kind, K::Large | K::Trailer | K::Military)
        || !double && kind == K::Trailer
    {
        return None;
    }
    let eight = matches!(kind, K::NewEnergySmall | K::NewEnergyLarge | K::Emergency);
    let (boxes, dot): (Vec<Box4>, _) = if double {
        let upper = [[110.0, 15.0, 80.0, 60.0], [250.0, 15.0, 80.0, 60.0]];
        let lower = (0..5).map(|i| [27.0 + 80.0 * i as f32, 90.0, 65.0, 110.0]);
        (upper.into_iter().chain(lower).collect(), None)
    } else if eight {
        let head = [[15.5, 25.0, 45.0, 90.0], [69.5, 25.0, 43.0, 90.0]];
        let tail = (0..6).map(|i| [161.5 + 52.0 * i as f32, 25.0, 43.0, 90.0]);
        (head.into_iter().chain(tail).collect(), None)
    } else if kind == K::ArmedPolice && count == 8 {
        let xs = [12.0, 58.0, 120.0, 186.0, 236.0, 286.0, 336.0, 386.0];
        let widths = [40.0, 40.0, 45.0, 42.0, 42.0, 42.0, 42.0, 42.0];
        (
            xs.into_iter()
                .zip(widths)
                .map(|(x, w)| [x, 25.0, w, 90.0])
                .collect(),
            Some([175.0, 70.0]),
        )
    } else {
        let diplomatic = kind == K::Embassy;
        let xs = if diplomatic {
            [15.5, 72.5, 129.5, 186.5, 265.5, 322.5, 379.5]
        } else {
            [15.5, 72.5, 151.5, 208.5, 265.5, 322.5, 379.5]
        };
        let dot = if diplomatic { 248.5 } else { 134.5 };
        (
            xs.into_iter().map(|x| [x, 25.0, 45.0, 90.0]).collect(),
            Some([dot, 70.0]),
        )
    };
    if boxes.len() != count {
        return None;
    }
    Some(Layout {
        width: if eight { 480.0 } else { 440.0 },
        height: if double { 220.0 } else { 140.0 },
        boxes,
        ground,
        ink,
        red,
        dot,
    })
}
