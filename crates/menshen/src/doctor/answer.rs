//! What a person may type, in Chinese and in English, at half and full width.

use domain::Words;

/// What a typed line means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is so, or it is done.
    Yes,
    /// It is not so, or it cannot be done.
    No,
    /// Leave this item out.
    Skip,
    /// Try this item again from its beginning.
    Again,
    /// End here; everything is released and the record written.
    End,
    /// Only the Enter key.
    Nothing,
    /// None of these.
    Unclear,
}

impl Answer {
    /// Reads a typed line.
    pub(crate) fn read(line: &str) -> Self {
        let word: String = line.trim().chars().map(half_width).collect();
        match word.to_lowercase().as_str() {
            "" => Self::Nothing,
            "y" | "yes" | "是" | "是的" | "好" | "对" => Self::Yes,
            "n" | "no" | "否" | "不" | "不是" | "没有" => Self::No,
            "s" | "skip" | "跳过" => Self::Skip,
            "r" | "repeat" | "again" | "重来" | "再试" => Self::Again,
            "q" | "quit" | "end" | "结束" => Self::End,
            _ => Self::Unclear,
        }
    }

    /// The letters, for a person who sees them for the first time.
    pub(crate) fn legend() -> Words {
        Words::new(
            "y 是／做好了  n 否／做不到  s 跳过  r 重来  q 结束",
            "y yes/done  n no/cannot  s skip  r repeat  q end",
        )
    }
}

/// A Chinese input method types letters at full width.
fn half_width(c: char) -> char {
    match u32::from(c) {
        wide @ 0xFF01..=0xFF5E => char::from_u32(wide - 0xFEE0).unwrap_or(c),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_languages_and_both_widths_are_understood() {
        for (typed, meant) in [
            ("y\n", Answer::Yes),
            (" Ｙ ", Answer::Yes),
            ("是", Answer::Yes),
            ("NO", Answer::No),
            ("跳过", Answer::Skip),
            ("r", Answer::Again),
            ("结束", Answer::End),
            ("\r\n", Answer::Nothing),
            ("yy", Answer::Unclear),
            ("不知道", Answer::Unclear),
        ] {
            assert_eq!(Answer::read(typed), meant, "{typed}");
        }
    }

    proptest! {
        /// Nothing but the words for it is taken for a yes.
        #[test]
        fn no_other_line_is_a_yes(line in "\\PC{0,8}") {
            let plain: String = line.trim().chars().map(half_width).collect::<String>().to_lowercase();
            let yes = ["y", "yes", "是", "是的", "好", "对"].contains(&plain.as_str());
            prop_assert_eq!(Answer::read(&line) == Answer::Yes, yes);
        }
    }
}
