//! The journal as verbs read it: from a running gate or from the store, some entries at a time.

use domain::Entry;

use crate::outcome::{FOUND_WRONG, fail};
use crate::registry::{Change, Desk};

/// Entries asked for at once.
const CHUNK: u32 = 500;

/// One entry and its stored text.
#[derive(Debug)]
pub(crate) struct Stored {
    /// What the text says.
    pub(crate) entry: Entry,
    /// The text that was hashed.
    pub(crate) text: String,
}

/// Reads a journal at a desk.
pub(crate) struct Reader<'a> {
    /// Who has it.
    pub(crate) desk: &'a mut Desk,
    /// Who asks.
    pub(crate) by: &'a str,
}

impl Reader<'_> {
    /// The texts of at most `limit` entries from a number on, and the journal's last number.
    fn texts(&mut self, from: u64, limit: u32) -> Result<(Vec<String>, u64), u8> {
        let outcome = self
            .desk
            .perform(Change::Journal { from, limit }, self.by)?;
        Ok((outcome.entries, outcome.last))
    }

    /// The entry with a number, if it is kept.
    pub(crate) fn numbered(&mut self, seq: u64) -> Result<Option<Stored>, u8> {
        let (texts, _) = self.texts(seq, 1)?;
        let stored = texts.into_iter().map(stored).next().transpose()?;
        Ok(stored.filter(|stored| stored.entry.seq == seq))
    }

    /// Shows every entry after number `after`, the oldest first, whose text `wanted` picks.
    pub(crate) fn forwards(
        &mut self,
        after: u64,
        wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(Stored),
    ) -> Result<(), u8> {
        let mut from = after + 1;
        loop {
            let (texts, last) = self.texts(from, CHUNK)?;
            let Some(end) = texts.last().cloned() else {
                // Damaged ones may have been left out, so a chunk can be empty before the end.
                if from > last {
                    return Ok(());
                }
                from = from.saturating_add(u64::from(CHUNK));
                continue;
            };
            for text in texts {
                if wanted(&text) {
                    each(stored(text)?);
                }
            }
            from = stored(end)?.entry.seq + 1;
        }
    }

    /// Shows the entries whose text `wanted` picks in pieces, the latest piece first, until `piece`
    /// says that it has seen enough or the journal's beginning is reached. It is given the piece's
    /// oldest entry as well.
    pub(crate) fn backwards(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        mut piece: impl FnMut(Vec<Stored>, &Entry) -> bool,
    ) -> Result<(), u8> {
        let (_, mut end) = self.texts(u64::MAX, 1)?;
        while end > 0 {
            let from = end.saturating_sub(u64::from(CHUNK)) + 1;
            let (texts, _) = self.texts(from, CHUNK)?;
            // What came in meanwhile, and what was kept back, lies beyond the piece.
            let oldest = texts.first().cloned().map(stored).transpose()?;
            let Some(oldest) = oldest.filter(|oldest| oldest.entry.seq <= end) else {
                let (texts, _) = self.texts(0, 1)?;
                let first = texts.into_iter().map(stored).next().transpose()?;
                if first.is_none_or(|first| first.entry.seq >= from) {
                    return Ok(());
                }
                end = from - 1;
                continue;
            };
            let mut some = Vec::new();
            for text in texts.into_iter().filter(|text| wanted(text)) {
                some.push(stored(text)?);
            }
            some.retain(|stored| stored.entry.seq <= end);
            if piece(some, &oldest.entry) {
                return Ok(());
            }
            end = from - 1;
        }
        Ok(())
    }
}

fn stored(text: String) -> Result<Stored, u8> {
    match serde_json::from_str(&text) {
        Ok(entry) => Ok(Stored { entry, text }),
        Err(e) => Err(fail(
            FOUND_WRONG,
            format_args!(
                "an entry of the journal cannot be read ({e}); it was written by another version of Menshen / 记录由其他版本写入，无法读取"
            ),
        )),
    }
}
