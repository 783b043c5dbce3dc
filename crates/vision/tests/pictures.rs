//! Hostile, odd and honest picture files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use proptest::prelude::*;
use vision::picture::{self, Picture, PictureError, Region};

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A gradient without fine detail, so that JPEG keeps it.
fn gradient(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 200 / width) as u8, (y * 200 / height) as u8, 60])
    }))
}

fn near(picture: &Picture, image: &DynamicImage, most: u8) {
    let rgb = image.to_rgb8();
    assert_eq!((picture.width, picture.height), rgb.dimensions());
    for (a, b) in picture.rgb.iter().zip(rgb.as_raw()) {
        assert!(a.abs_diff(*b) <= most, "{a} {b}");
    }
}

#[test]
fn every_format_and_sample_depth_decodes_to_the_same_colours() {
    let image = gradient(64, 48);
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
        ImageFormat::WebP,
    ] {
        near(
            &picture::decode(&encoded(&image, format)).unwrap(),
            &image,
            0,
        );
    }
    near(
        &picture::decode(&encoded(&image, ImageFormat::Jpeg)).unwrap(),
        &image,
        12,
    );
    let deep = DynamicImage::ImageRgb16(image.to_rgb16());
    near(
        &picture::decode(&encoded(&deep, ImageFormat::Png)).unwrap(),
        &image,
        1,
    );
    near(
        &picture::decode(&encoded(&deep, ImageFormat::Pnm)).unwrap(),
        &image,
        1,
    );
    let clear = DynamicImage::ImageRgba8(image.to_rgba8());
    near(
        &picture::decode(&encoded(&clear, ImageFormat::Png)).unwrap(),
        &image,
        0,
    );
    let grey = DynamicImage::ImageLuma8(image.to_luma8());
    near(
        &picture::decode(&encoded(&grey, ImageFormat::Png)).unwrap(),
        &grey,
        0,
    );
    near(
        &picture::decode(&encoded(&grey, ImageFormat::Jpeg)).unwrap(),
        &grey,
        12,
    );
}

#[test]
fn cmyk_jpeg_becomes_rgb() {
    let picture = picture::decode(include_bytes!("fixtures/cmyk.jpg")).unwrap();
    assert_eq!((picture.width, picture.height), (24, 16));
    for pixel in picture.rgb.chunks_exact(3) {
        let expected = [255_u8, 0, 127];
        assert!(
            (0..3).all(|c| pixel[c].abs_diff(expected[c]) <= 4),
            "{pixel:?}"
        );
    }
}

#[test]
fn exif_orientation_turns_the_picture_upright() {
    let picture = picture::decode(include_bytes!("fixtures/turned.jpg")).unwrap();
    assert_eq!((picture.width, picture.height), (16, 32));
    let at = |x: usize, y: usize| &picture.rgb[(y * 16 + x) * 3..][..3];
    assert!(at(2, 10)[2] > 200 && at(2, 10)[0] < 50, "{:?}", at(2, 10));
    assert!(
        at(13, 10)[0] > 200 && at(13, 10)[2] < 50,
        "{:?}",
        at(13, 10)
    );
}

#[test]
fn one_pixel_is_a_picture() {
    let image = gradient(1, 1);
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
        ImageFormat::Jpeg,
    ] {
        let picture = picture::decode(&encoded(&image, format)).unwrap();
        assert_eq!(
            (picture.width, picture.height, picture.rgb.len()),
            (1, 1, 3)
        );
    }
}

#[test]
fn empty_and_garbage_are_told_apart() {
    assert!(matches!(picture::decode(b""), Err(PictureError::Empty)));
    assert!(matches!(
        picture::decode(b"<html>401</html>"),
        Err(PictureError::Format)
    ));
    assert!(matches!(
        picture::decode(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"),
        Err(PictureError::Format)
    ));
    assert!(matches!(
        picture::decode(&[0xff, 0xd8, 0xff, 0xe0, 1, 2, 3]),
        Err(PictureError::Damaged(_) | PictureError::Truncated { .. })
    ));
}

#[test]
fn a_picture_cut_anywhere_is_an_error() {
    let image = gradient(64, 48);
    for format in [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
        ImageFormat::WebP,
    ] {
        let bytes = encoded(&image, format);
        for part in 1..10 {
            let cut = &bytes[..bytes.len() * part / 10];
            assert!(picture::decode(cut).is_err(), "{format:?} cut to {part}/10");
        }
    }
    let jpeg = encoded(&image, ImageFormat::Jpeg);
    let last = picture::decode(&jpeg[..jpeg.len() - 2]);
    assert!(
        matches!(last, Err(PictureError::Truncated { format: "JPEG" })),
        "{last:?}"
    );
}

/// Headers that promise 30,000 x 30,000 pixels, with next to nothing behind them.
fn enormous() -> Vec<(&'static str, Vec<u8>)> {
    let side = 30_000_u32;
    let mut png = encoded(&gradient(8, 8), ImageFormat::Png);
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let sum = crc(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    let mut bmp = encoded(&gradient(8, 8), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&side.to_le_bytes());
    bmp[22..26].copy_from_slice(&side.to_le_bytes());
    let mut jpeg = encoded(&gradient(8, 8), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&(side as u16).to_be_bytes());
    jpeg[frame + 7..frame + 9].copy_from_slice(&(side as u16).to_be_bytes());
    let pnm = format!("P6\n{side} {side}\n255\nabc").into_bytes();
    vec![("png", png), ("bmp", bmp), ("jpeg", jpeg), ("pnm", pnm)]
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |mut sum, &byte| {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                (sum >> 1) ^ 0xedb8_8320
            } else {
                sum >> 1
            };
        }
        sum
    })
}

#[test]
fn an_enormous_picture_is_refused_by_its_header() {
    for (format, bytes) in enormous() {
        let start = std::time::Instant::now();
        let result = picture::decode(&bytes);
        assert!(
            matches!(
                result,
                Err(PictureError::TooLarge {
                    width: 30_000,
                    height: 30_000
                })
            ),
            "{format}: {result:?}"
        );
        // Decoding 2.7 GB would take far longer than this generous bound.
        assert!(start.elapsed().as_secs() < 5, "{format}");
    }
    let wide = b"P5\n20000 1\n255\n";
    assert!(matches!(
        picture::decode(wide),
        Err(PictureError::TooLarge { width: 20_000, .. })
    ));
}

#[test]
fn regions_are_encoded_and_kept_inside_the_frame() {
    let frame = picture::decode(&encoded(&gradient(64, 48), ImageFormat::Png))
        .unwrap()
        .into_still()
        .unwrap();
    let region = Region {
        left: 10,
        top: 20,
        width: 30,
        height: 16,
    };
    let back = picture::decode(&picture::encode_jpeg(&frame, region, 95).unwrap()).unwrap();
    near(&back, &gradient(64, 48).crop_imm(10, 20, 30, 16), 8);
    let outside = Region { left: 40, ..region };
    assert!(matches!(
        picture::encode_jpeg(&frame, outside, 90),
        Err(PictureError::Region { .. })
    ));
    let empty = Region { width: 0, ..region };
    assert!(picture::encode_jpeg(&frame, empty, 90).is_err());
    let whole = picture::encode_jpeg(&frame, Region::whole(&frame), 90).unwrap();
    let rough = picture::encode_jpeg(&frame, Region::whole(&frame), 1).unwrap();
    assert!(rough.len() < whole.len());
}

#[test]
fn files_are_read_and_missing_ones_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    assert!(matches!(picture::read(&path), Err(PictureError::File(_))));
    std::fs::write(&path, encoded(&gradient(5, 4), ImageFormat::Png)).unwrap();
    assert_eq!(picture::read(&path).unwrap().width, 5);
    assert!(picture::read(folder.path()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_pictures_never_panic(at in 0_usize..4000, value in any::<u8>(), which in 0_usize..5) {
        let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Pnm, ImageFormat::WebP];
        let mut bytes = encoded(&gradient(32, 24), formats[which]);
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(picture) = picture::decode(&bytes) {
            prop_assert_eq!(picture.rgb.len() as u64, u64::from(picture.width) * u64::from(picture.height) * 3);
        }
    }

    #[test]
    fn a_region_around_any_quad_lies_in_the_frame(corners in prop::array::uniform4((-500.0_f32..500.0, -500.0_f32..500.0)), margin in 0.0_f32..2.0) {
        let frame = Picture { rgb: vec![7; 40 * 30 * 3], width: 40, height: 30 }.into_still().unwrap();
        let region = Region::around(&frame, &domain::Quad(corners), margin);
        prop_assert!(picture::encode_jpeg(&frame, region, 50).is_ok(), "{region:?}");
    }
}
