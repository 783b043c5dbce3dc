//! QR codes that somebody holds up to the camera: numbered passes.
//!
//! ```text
//! lane ─► offer(frame) ─► slot (the latest wins) ─► thread "codes" ─► texts ─► take() ─► lane
//! ```
//!
//! Beside the road on purpose: looking for a code takes about as long as finding a plate, a car
//! must not wait for it, and four looks a second are enough for somebody who holds a paper still.
//! What a text is worth is not judged here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use domain::Monotonic;
use tracing::warn;

use crate::Frame;
use crate::slot::Slot;

/// From one look to the next.
const EVERY: Duration = Duration::from_millis(250);
/// How long the thread waits for a frame before it looks whether anybody is left to tell.
const WAIT: Duration = Duration::from_millis(500);
/// Larger pictures are looked at with every second, third … pixel, so that no camera takes more
/// time than a full HD one does.
const LARGEST: u32 = 1920;

/// The codes in a picture, top to bottom as far as the decoder says; what is no text is left out.
pub fn texts(frame: &Frame) -> Vec<String> {
    let step = frame.width.max(frame.height).div_ceil(LARGEST).max(1);
    let (width, height) = (frame.width / step, frame.height / step);
    let at = |x: usize, y: usize| {
        let place = (y * step as usize * frame.width as usize + x * step as usize) * 3;
        let [r, g, b] = [0, 1, 2].map(|c| u32::from(frame.rgb[place + c]));
        // ITU-R BT.601 in 256ths.
        ((77 * r + 150 * g + 29 * b) >> 8) as u8
    };
    let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width as usize, height as usize, at);
    let grids = seen.detect_grids();
    grids
        .iter()
        .filter_map(|grid| grid.decode().ok())
        .map(|(_, text)| text)
        .collect()
}

/// Looks for codes in a thread of its own, which ends with it.
#[derive(Debug)]
pub struct CodeReader {
    slot: Arc<Slot<Frame>>,
    found: Receiver<Vec<String>>,
    offered: Option<Monotonic>,
}

impl CodeReader {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start() -> std::io::Result<Self> {
        let slot = Arc::new(Slot::new());
        let (tell, found) = channel();
        let frames = Arc::clone(&slot);
        std::thread::Builder::new()
            .name("codes".into())
            .spawn(move || look(&frames, &tell))?;
        Ok(Self {
            slot,
            found,
            offered: None,
        })
    }

    /// Shows it a frame; most are passed over.
    pub fn offer(&mut self, frame: &Frame) {
        if self.offered.is_none_or(|at| frame.at.since(at) >= EVERY) {
            self.offered = Some(frame.at);
            self.slot.put(frame.clone());
        }
    }

    /// What was found since it was last asked.
    pub fn take(&mut self) -> Vec<String> {
        self.found.try_iter().flatten().collect()
    }
}

impl Drop for CodeReader {
    fn drop(&mut self) {
        self.slot.close();
    }
}

fn look(frames: &Slot<Frame>, tell: &Sender<Vec<String>>) {
    while !frames.is_over() {
        let Some(frame) = frames.take(WAIT) else {
            continue;
        };
        // The picture comes from outside, and the decoder is not ours: one picture that it cannot
        // bear must not end the reading of passes.
        let found = catch_unwind(AssertUnwindSafe(|| texts(&frame))).unwrap_or_else(|_| {
            warn!("the code reader broke on a picture; it goes on with the next");
            Vec::new()
        });
        if !found.is_empty() && tell.send(found).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Instant;

    use jiff::Timestamp;

    use super::*;

    const PASS: &str = "MS1:7Q3VZ2HKLAEAQAAAH2AAACOICPEA5YAAAAHH5XCJ2F3EKMJSGM2DKAEYV4Q5VZ2HKLAEAQAAAH2AAACOICPEA5YAAAAHH5XCJ2F3EKMJSGM2DKAEYV4QAAAAAAAAAAAAAAAAAAAAAAAAAA";

    /// A grey picture with the code of `text` in it, `module` pixels a module.
    fn shown(text: &str, module: usize, (width, height): (u32, u32)) -> Frame {
        let code = qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium).unwrap();
        let (wide, high) = (width as usize, height as usize);
        let mut rgb = vec![120; wide * high * 3];
        let side = code.size() + 8;
        for y in 0..side as usize * module {
            for x in 0..side as usize * module {
                let cell = |at: usize| (at / module) as i32 - 4;
                let tone = if code.get_module(cell(x), cell(y)) {
                    40
                } else {
                    220
                };
                let at = ((y + 20) * wide + x + 30) * 3;
                rgb[at..at + 3].fill(tone);
            }
        }
        let at = Monotonic::from_millis(1);
        Frame::new(rgb, width, height, at, Timestamp::UNIX_EPOCH, 0).unwrap()
    }

    #[test]
    fn a_code_in_a_picture_is_read_and_a_large_picture_is_looked_at_coarsely() {
        assert_eq!(texts(&shown(PASS, 4, (640, 480))), [PASS]);
        assert_eq!(texts(&shown(PASS, 8, (3840, 2160))), [PASS]);
        let nothing = Frame::new(
            vec![9; 3],
            1,
            1,
            Monotonic::from_millis(1),
            Timestamp::UNIX_EPOCH,
            0,
        );
        assert!(texts(&nothing.unwrap()).is_empty());
    }

    #[test]
    fn the_thread_tells_what_it_found_and_passes_frames_over() {
        let mut reader = CodeReader::start().unwrap();
        let frame = shown(PASS, 4, (640, 480));
        reader.offer(&frame);
        let began = Instant::now();
        let mut found = Vec::new();
        while found.is_empty() && began.elapsed() < Duration::from_secs(20) {
            found = reader.take();
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(found, [PASS]);
        // The same moment again is too soon.
        reader.offer(&frame);
        std::thread::sleep(Duration::from_millis(300));
        assert!(reader.take().is_empty());
    }
}
