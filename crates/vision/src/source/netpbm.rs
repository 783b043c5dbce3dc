//! Frames from a byte stream of PPM (`P6`) or PAM (`P7`) pictures, one after the other.
//!
//! Each picture says its own size, so a change of size cannot shift the framing. The parser
//! does no I/O: bytes go in as they come, whole pictures and faults come out. After a fault it
//! looks for the next picture; whoever feeds it decides whether to go on or to end the stream.

use std::fmt;

/// The most pixels a picture may have. Checked before memory is reserved for it.
pub const MAX_PIXELS: u64 = 64_000_000;

/// The longest header that is still taken for one, in bytes.
const MAX_HEADER: usize = 256;

/// One whole picture.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Three bytes a pixel (red, green, blue), row by row from the top.
    pub rgb: Vec<u8>,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Picture({} x {}, {} bytes)",
            self.width,
            self.height,
            self.rgb.len()
        )
    }
}

/// What a stretch of the stream turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A whole picture.
    Picture(Picture),
    /// Bytes that are no picture. Reported once, however many of them follow.
    Fault(Fault),
}

/// Why bytes are no picture that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither `P6` nor `P7` where a picture should begin.
    #[error("the stream is not PPM (P6) or PAM (P7) where a picture should begin")]
    Magic,
    /// A header that is too long or holds something else than numbers.
    #[error("the header of a PPM or PAM picture cannot be understood")]
    Header,
    /// A side of length 0.
    #[error("a picture of {width} x {height} pixels is empty")]
    Empty {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
    },
    /// More pixels than [`MAX_PIXELS`].
    #[error("a picture of {width} x {height} pixels is over the limit of 64 megapixels")]
    TooLarge {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
    },
    /// Not 8 bits a channel.
    #[error(
        "the picture's largest value is {0}, but only 255 (8 bits a channel) is read; use the pixel format rgb24"
    )]
    Depth(u64),
    /// A PAM picture that is not RGB.
    #[error("the picture has {0} channels, but only 3 (RGB) are read; use the pixel format rgb24")]
    Channels(u64),
}

/// Cuts a byte stream into pictures.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes of a header that is not complete yet.
    head: Vec<u8>,
    /// The picture whose pixels are coming in.
    filling: Option<Picture>,
    /// After a fault, until the next picture's header.
    lost: bool,
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the stream may end here without cutting a picture short.
    pub fn is_between_pictures(&self) -> bool {
        self.head.is_empty() && self.filling.is_none()
    }

    /// Takes the next bytes and gives what they complete to `out`.
    pub fn push(&mut self, mut input: &[u8], mut out: impl FnMut(Item)) {
        loop {
            if let Some(picture) = &mut self.filling {
                let total = picture.width as usize * picture.height as usize * 3;
                let from_head = self.head.len().min(total - picture.rgb.len());
                picture.rgb.extend(self.head.drain(..from_head));
                let from_input = input.len().min(total - picture.rgb.len());
                picture.rgb.extend_from_slice(&input[..from_input]);
                input = &input[from_input..];
                if picture.rgb.len() < total {
                    return;
                }
                if let Some(picture) = self.filling.take() {
                    out(Item::Picture(picture));
                }
            }

            let more = input.len().min(MAX_HEADER - self.head.len());
            self.head.extend_from_slice(&input[..more]);
            input = &input[more..];
            if self.head.is_empty() {
                return;
            }
            match parse_header(&self.head) {
                Ok(Some(header)) => {
                    self.lost = false;
                    self.head.drain(..header.length);
                    let total = header.width as usize * header.height as usize * 3;
                    self.filling = Some(Picture {
                        rgb: Vec::with_capacity(total),
                        width: header.width,
                        height: header.height,
                    });
                }
                Ok(None) if self.head.len() < MAX_HEADER => return,
                Ok(None) => self.lose(Fault::Header, &mut out),
                Err(fault) => self.lose(fault, &mut out),
            }
        }
    }

    /// Reports the fault unless already lost, and goes on to the next byte that may begin a
    /// picture.
    fn lose(&mut self, fault: Fault, out: &mut impl FnMut(Item)) {
        if !self.lost {
            self.lost = true;
            out(Item::Fault(fault));
        }
        let next = self.head.iter().skip(1).position(|&byte| byte == b'P');
        self.head
            .drain(..next.map_or(self.head.len(), |next| next + 1));
    }
}

struct Header {
    width: u32,
    height: u32,
    /// Bytes up to the first pixel.
    length: usize,
}

/// `Ok(None)` asks for more bytes. What is decided for some bytes stays decided when more
/// follow, so the answer does not depend on how the stream was cut.
fn parse_header(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let mut reader = Reader { bytes, at: 2 };
    match bytes {
        [] | [b'P'] => Ok(None),
        [b'P', b'6', ..] => reader.ppm(),
        [b'P', b'7', ..] => reader.pam(),
        _ => Err(Fault::Magic),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn ppm(&mut self) -> Result<Option<Header>, Fault> {
        let mut fields = [0; 3];
        for field in &mut fields {
            // At least one white space or comment stands before each number.
            let start = self.at;
            if !self.skip_space() {
                return Ok(None);
            }
            if self.at == start {
                return Err(Fault::Header);
            }
            match self.number()? {
                Some(number) => *field = number,
                None => return Ok(None),
            }
        }
        // Exactly one white space stands between the header and the pixels.
        match self.bytes.get(self.at) {
            None => return Ok(None),
            Some(byte) if byte.is_ascii_whitespace() => self.at += 1,
            Some(_) => return Err(Fault::Header),
        }
        let [width, height, depth] = fields;
        self.finish(width, height, depth, 3).map(Some)
    }

    fn pam(&mut self) -> Result<Option<Header>, Fault> {
        let (mut width, mut height, mut channels, mut depth) = (None, None, None, None);
        match self.line() {
            None => return Ok(None),
            Some([]) => {}
            Some(_) => return Err(Fault::Header),
        }
        loop {
            let Some(line) = self.line() else {
                return Ok(None);
            };
            let line = std::str::from_utf8(line).map_err(|_| Fault::Header)?;
            let mut words = line.split_ascii_whitespace();
            let target = match words.next() {
                Some("ENDHDR") => break,
                None | Some("TUPLTYPE") => continue,
                Some(word) if word.starts_with('#') => continue,
                Some("WIDTH") => &mut width,
                Some("HEIGHT") => &mut height,
                Some("DEPTH") => &mut channels,
                Some("MAXVAL") => &mut depth,
                Some(_) => return Err(Fault::Header),
            };
            let number = words.next().filter(|word| word.len() <= 9);
            let number = number
                .and_then(|word| word.parse().ok())
                .ok_or(Fault::Header)?;
            *target = Some(number);
        }
        match (width, height, depth, channels) {
            (Some(width), Some(height), Some(depth), Some(channels)) => {
                self.finish(width, height, depth, channels).map(Some)
            }
            _ => Err(Fault::Header),
        }
    }

    fn finish(&self, width: u64, height: u64, depth: u64, channels: u64) -> Result<Header, Fault> {
        if width == 0 || height == 0 {
            return Err(Fault::Empty { width, height });
        }
        if width.saturating_mul(height) > MAX_PIXELS {
            return Err(Fault::TooLarge { width, height });
        }
        if depth != 255 {
            return Err(Fault::Depth(depth));
        }
        if channels != 3 {
            return Err(Fault::Channels(channels));
        }
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width), Ok(height)) => Ok(Header {
                width,
                height,
                length: self.at,
            }),
            _ => Err(Fault::TooLarge { width, height }),
        }
    }

    /// Skips white space and comments; false if the bytes end before something else comes.
    fn skip_space(&mut self) -> bool {
        let mut comment = false;
        while let Some(&byte) = self.bytes.get(self.at) {
            if comment {
                comment = byte != b'\n';
            } else if byte == b'#' {
                comment = true;
            } else if !byte.is_ascii_whitespace() {
                return true;
            }
            self.at += 1;
        }
        false
    }

    /// A decimal number of at most nine digits that something else follows.
    fn number(&mut self) -> Result<Option<u64>, Fault> {
        let mut number = 0;
        let mut digits = 0;
        while let Some(&byte) = self.bytes.get(self.at) {
            if !byte.is_ascii_digit() {
                return if digits > 0 {
                    Ok(Some(number))
                } else {
                    Err(Fault::Header)
                };
            }
            digits += 1;
            if digits > 9 {
                return Err(Fault::Header);
            }
            number = number * 10 + u64::from(byte - b'0');
            self.at += 1;
        }
        Ok(None)
    }

    /// The bytes up to the next line feed, which is skipped.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|&byte| byte == b'\n')?;
        self.at += length + 1;
        Some(&rest[..length])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]]) -> Vec<Item> {
        let mut parser = Parser::new();
        let mut items = Vec::new();
        for piece in pieces {
            parser.push(piece, |item| items.push(item));
        }
        items
    }

    fn write(picture: &Picture, pam: bool) -> Vec<u8> {
        let (w, h) = (picture.width, picture.height);
        let mut bytes = if pam {
            format!("P7\nWIDTH {w}\nHEIGHT {h}\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n")
        } else {
            format!("P6\n{w} {h}\n255\n")
        }
        .into_bytes();
        bytes.extend_from_slice(&picture.rgb);
        bytes
    }

    fn picture() -> impl Strategy<Value = Picture> {
        (1_u32..12, 1_u32..12).prop_flat_map(|(width, height)| {
            proptest::collection::vec(any::<u8>(), (width * height * 3) as usize)
                .prop_map(move |rgb| Picture { rgb, width, height })
        })
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_pictures(
            pictures in proptest::collection::vec((picture(), any::<bool>()), 1..6),
            sizes in proptest::collection::vec(1_usize..300, 1..40),
        ) {
            let stream: Vec<u8> =
                pictures.iter().flat_map(|(picture, pam)| write(picture, *pam)).collect();
            let mut parser = Parser::new();
            let mut items = Vec::new();
            let mut rest = &stream[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                parser.push(piece, |item| items.push(item));
                rest = after;
            }
            prop_assert!(parser.is_between_pictures());
            let expected: Vec<Item> =
                pictures.into_iter().map(|(picture, _)| Item::Picture(picture)).collect();
            prop_assert_eq!(items, expected);
        }

        /// Garbage made of the bytes that headers are made of: no panic, no picture over the
        /// limit, and the same outcome whether it comes at once or byte by byte.
        #[test]
        fn garbage_is_harmless_and_its_split_does_not_matter(
            garbage in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(b"P67 \n#0129WIDTHEGMAXVLNR".to_vec()), any::<u8>()
                ],
                0..800,
            ),
        ) {
            let whole = parse(&[&garbage]);
            let single: Vec<&[u8]> = garbage.chunks(1).collect();
            prop_assert_eq!(&whole, &parse(&single));
            for item in whole {
                if let Item::Picture(picture) = item {
                    prop_assert!(picture.rgb.len() as u64 <= MAX_PIXELS * 3);
                }
            }
        }

        #[test]
        fn a_picture_after_garbage_is_found(
            garbage in proptest::collection::vec(1_u8..0x50, 1..700), good in picture(),
        ) {
            let items = parse(&[&garbage, &write(&good, false)]);
            prop_assert_eq!(items, vec![Item::Fault(Fault::Magic), Item::Picture(good)]);
        }
    }

    #[test]
    fn refusals_name_the_reason_and_reserve_nothing() {
        let cases: [(&str, Fault); 8] = [
            (
                "P6 30000 30000 255\n",
                Fault::TooLarge {
                    width: 30_000,
                    height: 30_000,
                },
            ),
            (
                "P6 0 4 255\n",
                Fault::Empty {
                    width: 0,
                    height: 4,
                },
            ),
            ("P6 2 2 65535\n", Fault::Depth(65_535)),
            ("P6 -1 2 255\n", Fault::Header),
            ("P6 9999999999 1 255\n", Fault::Header),
            ("P5 2 2 255\n", Fault::Magic),
            (
                "P7\nWIDTH 2\nHEIGHT 2\nDEPTH 4\nMAXVAL 255\nENDHDR\n",
                Fault::Channels(4),
            ),
            ("P7\nWIDTH 2\nHEIGHT 2\nMAXVAL 255\nENDHDR\n", Fault::Header),
        ];
        for (text, fault) in cases {
            let mut parser = Parser::new();
            let mut items = Vec::new();
            parser.push(text.as_bytes(), |item| items.push(item));
            assert_eq!(items, [Item::Fault(fault)], "{text:?}");
            assert!(parser.filling.is_none());
        }
    }

    #[test]
    fn a_header_without_end_is_given_up() {
        let endless = vec![b' '; 4096];
        assert_eq!(parse(&[b"P6", &endless]), [Item::Fault(Fault::Header)]);
    }

    #[test]
    fn a_change_of_size_does_not_shift_the_framing() {
        let small = Picture {
            rgb: vec![b'P'; 3],
            width: 1,
            height: 1,
        };
        let large = Picture {
            rgb: vec![b'6'; 60],
            width: 5,
            height: 4,
        };
        let stream: Vec<u8> = [&small, &large, &small].map(|p| write(p, false)).concat();
        assert_eq!(
            parse(&[&stream]),
            [small.clone(), large, small].map(Item::Picture)
        );
    }
}
