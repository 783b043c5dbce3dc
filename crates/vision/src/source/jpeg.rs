//! JPEG pictures from a byte stream, as MJPEG cameras send them.
//!
//! Cameras disagree about everything between two pictures: `multipart/x-mixed-replace` parts
//! with or without a length, boundaries with or without their dashes, or nothing at all. The
//! pictures themselves say where they begin and end, so the splitter walks the JPEG markers
//! and treats whatever lies between an end (EOI) and the next beginning (SOI) as packing.
//! Thumbnails inside a picture lie inside a segment of known length and are not mistaken for
//! pictures. No I/O, no decoding: bytes go in, whole pictures and faults come out.

/// The largest JPEG that is taken, in bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How much packing may lie between two pictures, in bytes.
const MAX_PACKING: usize = 64 * 1024;

/// What a stretch of the stream turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A picture from its SOI to its EOI; its inside is not checked.
    Picture(Vec<u8>),
    /// Bytes that are no picture.
    Fault(Fault),
}

/// Why bytes are no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Too much between two pictures.
    #[error("64 KiB without the beginning of a JPEG picture; is this an MJPEG stream?")]
    NoPicture,
    /// Another picture began, or the markers broke off, inside a picture.
    #[error("a JPEG picture is damaged or cut short")]
    Damaged,
    /// Over [`MAX_BYTES`].
    #[error("a JPEG picture is larger than 16 MiB")]
    TooLarge,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// Between pictures; `half` after 0xFF.
    Packing { half: bool },
    /// Where a marker must stand; `half` after 0xFF.
    Marker { half: bool },
    /// At a segment's length; `scan` when picture data follow the segment.
    Length { high: Option<u8>, scan: bool },
    /// Inside a segment.
    Segment { left: usize, scan: bool },
    /// Inside picture data; `half` after 0xFF.
    Scan { half: bool },
}

/// Cuts a byte stream into JPEG pictures.
#[derive(Debug)]
pub struct Splitter {
    picture: Vec<u8>,
    at: At,
    packing: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Splitter {
    /// A splitter at the beginning of a stream.
    pub fn new() -> Self {
        Self {
            picture: Vec::new(),
            at: At::Packing { half: false },
            packing: 0,
        }
    }

    /// Takes the next bytes and gives what they complete to `out`.
    pub fn push(&mut self, input: &[u8], mut out: impl FnMut(Item)) {
        let mut rest = input;
        while let [byte, after @ ..] = rest {
            // The bulk of a picture is copied in runs; only markers are looked at singly.
            let run = match self.at {
                At::Segment { left, .. } => left.min(rest.len()),
                At::Scan { half: false } => rest
                    .iter()
                    .position(|&byte| byte == 0xFF)
                    .unwrap_or(rest.len()),
                _ => 0,
            };
            if run > 0 {
                let (run, after) = rest.split_at(run);
                self.picture.extend_from_slice(run);
                rest = after;
                if let At::Segment { left, scan } = self.at {
                    self.at = segment(left - run.len(), scan);
                }
            } else {
                rest = after;
                self.single(*byte, &mut out);
            }
            if self.picture.len() > MAX_BYTES {
                self.lose(Fault::TooLarge, &mut out);
            }
        }
    }

    fn single(&mut self, byte: u8, out: &mut impl FnMut(Item)) {
        if !matches!(self.at, At::Packing { .. }) {
            self.picture.push(byte);
        }
        self.at = match (self.at, byte) {
            (
                At::Packing { half: true } | At::Marker { half: true } | At::Scan { half: true },
                0xD8,
            ) => {
                if !matches!(self.at, At::Packing { .. }) {
                    out(Item::Fault(Fault::Damaged));
                }
                self.picture.clear();
                self.picture.extend_from_slice(&[0xFF, 0xD8]);
                self.packing = 0;
                At::Marker { half: false }
            }
            (At::Packing { .. }, byte) => {
                self.packing += 1;
                if self.packing == MAX_PACKING {
                    self.packing = 0;
                    out(Item::Fault(Fault::NoPicture));
                }
                At::Packing { half: byte == 0xFF }
            }
            (At::Marker { .. }, 0xFF) => At::Marker { half: true },
            (At::Scan { .. }, 0xFF) => At::Scan { half: true },
            (At::Marker { half: true } | At::Scan { half: true }, 0xD9) => {
                out(Item::Picture(std::mem::take(&mut self.picture)));
                At::Packing { half: false }
            }
            (At::Marker { half: true }, 0x01 | 0xD0..=0xD7) => At::Marker { half: false },
            (At::Scan { half: true }, 0x00 | 0x01 | 0xD0..=0xD7)
            | (At::Scan { half: false }, _) => At::Scan { half: false },
            // No marker where one must stand, or one that does not exist: what follows is not
            // this picture any more.
            (At::Marker { half: false }, _)
            | (At::Marker { half: true }, 0x00)
            | (At::Marker { half: true } | At::Scan { half: true }, 0x02..=0xBF) => {
                return self.lose(Fault::Damaged, out);
            }
            (At::Marker { half: true } | At::Scan { half: true }, marker) => At::Length {
                high: None,
                scan: marker == 0xDA,
            },
            (At::Length { high: None, scan }, high) => At::Length {
                high: Some(high),
                scan,
            },
            (
                At::Length {
                    high: Some(high),
                    scan,
                },
                low,
            ) => match usize::from(u16::from_be_bytes([high, low])).checked_sub(2) {
                Some(left) => segment(left, scan),
                None => return self.lose(Fault::Damaged, out),
            },
            (At::Segment { left, scan }, _) => segment(left.saturating_sub(1), scan),
        };
    }

    fn lose(&mut self, fault: Fault, out: &mut impl FnMut(Item)) {
        self.picture = Vec::new();
        self.at = At::Packing { half: false };
        out(Item::Fault(fault));
    }
}

fn segment(left: usize, scan: bool) -> At {
    match (left, scan) {
        (0, true) => At::Scan { half: false },
        (0, false) => At::Marker { half: false },
        _ => At::Segment { left, scan },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Vec<Item> {
        let mut splitter = Splitter::new();
        let mut items = Vec::new();
        for piece in pieces {
            splitter.push(piece, |item| items.push(item));
        }
        items
    }

    fn jpeg(side: u32, shade: u8) -> Vec<u8> {
        let picture = image::RgbImage::from_fn(side, side, |x, y| {
            image::Rgb([shade, (x * 37) as u8, (y * 91) as u8])
        });
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut bytes)
            .encode_image(&picture)
            .unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn pictures_come_out_of_any_packing_and_any_split(
            shades in proptest::collection::vec((1_u32..40, any::<u8>()), 1..5),
            packing in "(\r\n)?(--)?[a-z]{0,9}(\r\nContent-[A-Z]{0,5}: [0-9]{1,5})?\r\n\r\n",
            size in 1_usize..600,
        ) {
            let pictures: Vec<Vec<u8>> = shades.iter().map(|&(side, s)| jpeg(side, s)).collect();
            let mut stream = Vec::new();
            for picture in &pictures {
                stream.extend_from_slice(packing.as_bytes());
                stream.extend_from_slice(picture);
            }
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            let expected: Vec<Item> = pictures.into_iter().map(Item::Picture).collect();
            prop_assert_eq!(split(&pieces), expected);
        }

        #[test]
        fn garbage_is_harmless_and_its_split_does_not_matter(
            garbage in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(vec![0xFF_u8, 0xD8, 0xD9, 0xDA, 0x00, 0x04]), any::<u8>()
                ],
                0..2000,
            ),
        ) {
            let single: Vec<&[u8]> = garbage.chunks(1).collect();
            prop_assert_eq!(split(&[&garbage]), split(&single));
        }

        #[test]
        fn a_picture_cut_short_costs_no_other_picture(keep in 700_usize..760, shade in any::<u8>()) {
            // Past its headers, so that the cut lies in the picture data.
            let whole = jpeg(33, shade);
            prop_assume!(keep < whole.len());
            let items = split(&[&whole[..keep], b"\r\n--frame\r\n\r\n", &whole]);
            prop_assert_eq!(items.last(), Some(&Item::Picture(whole)));
        }
    }

    #[test]
    fn a_thumbnail_is_no_picture_of_its_own() {
        let (inner, outer) = (jpeg(8, 1), jpeg(16, 2));
        let mut stream = outer[..2].to_vec();
        stream.extend_from_slice(&[0xFF, 0xE1]);
        stream.extend_from_slice(&(inner.len() as u16 + 2).to_be_bytes());
        stream.extend_from_slice(&inner);
        stream.extend_from_slice(&outer[2..]);
        assert_eq!(split(&[&stream]), [Item::Picture(stream.clone())]);
    }

    #[test]
    fn a_stream_without_pictures_is_reported() {
        let page = b"<html>".repeat(20_000);
        assert_eq!(split(&[&page]), [Item::Fault(Fault::NoPicture)]);
    }

    #[test]
    fn a_picture_without_end_is_given_up() {
        let mut endless = vec![0xFF, 0xD8, 0xFF, 0xDA, 0x00, 0x02];
        endless.resize(MAX_BYTES + 10, 0x11);
        let mut splitter = Splitter::new();
        let mut items = Vec::new();
        splitter.push(&endless, |item| items.push(item));
        assert_eq!(items, [Item::Fault(Fault::TooLarge)]);
        assert!(splitter.picture.is_empty());
    }
}
