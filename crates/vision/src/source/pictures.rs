//! A folder of picture files, shown one after the other as if a camera had taken them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::session::{Inbox, Over, Pixels, Session, Source, Worker};

/// A folder of pictures.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) again: bool,
    pub(super) period: Duration,
}

impl Source for Folder {
    fn open(&mut self, inbox: &Inbox) -> Result<Box<dyn Session>, String> {
        let (folder, again, period) = (self.path.clone(), self.again, self.period);
        let worker = Worker::start("pictures", inbox, move |inbox, stop| {
            let mut due = Instant::now();
            loop {
                // Listed anew each time round, so that files may come and go.
                for path in list(&folder)? {
                    if stop.sleep(due.saturating_duration_since(Instant::now())) {
                        return Ok(Over::Stopped);
                    }
                    due = Instant::now() + period;
                    let name = path.display().to_string();
                    match read(&path) {
                        Ok(bytes) => {
                            inbox.picture(Pixels::Encoded {
                                bytes,
                                name: Some(name),
                            });
                        }
                        Err(reason) => inbox.refused(format!("{name}: {reason}")),
                    }
                }
                if !again {
                    // The last picture is shown as long as the others.
                    return Ok(if stop.sleep(period) {
                        Over::Stopped
                    } else {
                        Over::Ended
                    });
                }
            }
        })?;
        Ok(Box::new(worker))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if length > crate::picture::MAX_FILE {
        return Err(format!(
            "the file has {length} bytes, which is more than a picture may have"
        ));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

/// The picture files of a folder in the order of their names.
fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable =
        |error: std::io::Error| format!("the folder {} cannot be read: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_picture = path
            .extension()
            .and_then(|e| e.to_str())
            .is_some_and(|extension| {
                ["jpg", "jpeg", "png", "bmp", "ppm", "pgm", "pam", "webp"]
                    .iter()
                    .any(|known| extension.eq_ignore_ascii_case(known))
            });
        if is_picture && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(format!(
            "there is no picture in {} (jpg, png, bmp, ppm, pgm, pam, webp)",
            folder.display()
        ));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn files_come_in_the_order_of_their_names_and_others_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert!(list(folder.path()).unwrap_err().contains("no picture"));
        for name in ["b.png", "a.JPG", "c.txt", "10.ppm"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("d.png")).unwrap();
        let files = list(folder.path()).unwrap();
        let names: Vec<_> = files
            .iter()
            .map(|f| f.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["10.ppm", "a.JPG", "b.png"]);
        assert!(
            list(Path::new("/nowhere"))
                .unwrap_err()
                .contains("/nowhere")
        );
    }
}
