//! PPM or PAM pictures from standard input or a FIFO: nothing is decoded but their headers.
//!
//! For programs that make pictures themselves, and for measuring everything behind the
//! decoder. What is no picture is skipped up to the next one, because standard input cannot
//! be opened anew.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::netpbm::{Item, Parser};
use super::session::{Inbox, Over, Pixels, Session, Source, Stop, Worker};

/// Standard input, or a FIFO.
pub(super) struct Pipe {
    pub(super) fifo: Option<PathBuf>,
}

impl Source for Pipe {
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String> {
        let fifo = self.fifo.clone();
        let worker = Worker::start("pipe", inbox, move |inbox, stop| match fifo {
            None => relay(std::io::stdin().lock(), inbox, stop),
            Some(path) => relay(open(&path)?, inbox, stop),
        })?;
        Ok(Box::new(worker))
    }
}

/// Opens without waiting for a writer, and for writing too, so that the FIFO does not end each
/// time a writer goes.
fn open(path: &Path) -> Result<std::fs::File, String> {
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    let explain = |error: std::io::Error| format!("{} cannot be opened: {error}", path.display());
    let is_fifo = std::fs::metadata(path)
        .map_err(explain)?
        .file_type()
        .is_fifo();
    let mut options = std::fs::OpenOptions::new();
    options
        .read(true)
        .write(is_fifo)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    options.open(path).map_err(explain)
}

fn relay(mut stream: impl Read + AsFd, inbox: &Inbox, stop: &Stop) -> Result<Over, String> {
    let mut parser = Parser::new();
    let mut buffer = vec![0; 256 * 1024];
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    loop {
        let ready = {
            let mut watched = [PollFd::new(&stream, PollFlags::IN)];
            match poll(&mut watched, Some(&tick)) {
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => return Err(format!("the pipe cannot be watched: {error}")),
            }
        };
        if stop.is_set() {
            return Ok(Over::Stopped);
        }
        if ready == 0 {
            continue;
        }
        match stream.read(&mut buffer) {
            Ok(0) if parser.is_between_pictures() => return Ok(Over::Ended),
            Ok(0) => return Err("the pipe ended in the middle of a picture".to_owned()),
            Ok(count) => parser.push(&buffer[..count], |item| match item {
                Item::Picture(picture) => inbox.picture(Pixels::Rgb {
                    rgb: picture.rgb,
                    width: picture.width,
                    height: picture.height,
                }),
                Item::Fault(fault) => inbox.refused(fault.to_string()),
            }),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(format!("the pipe cannot be read: {error}")),
        }
    }
}
