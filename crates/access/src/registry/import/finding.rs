//! What is wrong, or worth a look, in one cell of a list.

use std::fmt;

use domain::Words;

use super::column::Column;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The row cannot be stored as it is.
    Error,
    /// The row can be stored; a person should look.
    Warning,
}

macro_rules! topics {
    ($($(#[doc = $doc:literal])+ $name:ident = $severity:ident, $chinese:literal, $english:literal;)+) => {
        /// What a finding is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Topic {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Topic {
            /// Every topic, in the order of the report.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// How much it matters.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// Its heading in Chinese.
            pub const fn chinese(self) -> &'static str {
                match self { $(Self::$name => $chinese,)+ }
            }

            /// Its heading in English.
            pub const fn english(self) -> &'static str {
                match self { $(Self::$name => $english,)+ }
            }
        }
    };
}

topics! {
    /// A plate that no vehicle can have.
    ImpossiblePlate = Error, "车牌不可能存在", "Impossible plate";
    /// A row without a plate.
    MissingPlate = Error, "缺少车牌", "Missing plate";
    /// The same plate with different owners.
    TwoOwners = Error, "同一车牌有两个车主", "One plate, two owners";
    /// The same plate twice.
    Duplicate = Error, "车牌重复", "Plate stands twice";
    /// A date that is none.
    BadDate = Error, "日期有误", "Bad date";
    /// A number that the table program rounded.
    Rounded = Error, "号码被表格软件改成科学计数", "Number rounded by the table program";
    /// A cell that is too long or has line breaks.
    BadText = Error, "内容过长或含换行", "Too long, or with a line break";
    /// A word that names no plate kind.
    UnknownKind = Error, "号牌种类无法识别", "Unknown plate kind";
    /// A military number that may be another one without its province.
    NoProvince = Warning, "可能漏了省份", "Province left out?";
    /// Two plates that differ in one character.
    Neighbour = Warning, "车牌只差一个字符", "Plates that differ in one character";
    /// A telephone number of an odd shape.
    PhoneShape = Warning, "电话号码格式可疑", "Odd telephone number";
    /// A building or unit of an odd shape.
    UnitShape = Warning, "楼栋或单元格式可疑", "Odd building or unit";
    /// A row without an owner.
    MissingOwner = Warning, "缺少车主", "Missing owner";
    /// A last day that is past.
    PastDate = Warning, "有效期已过", "Last day is past";
}

/// One thing about one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// Another line that it is about as well.
    pub other_line: Option<u64>,
    /// The column.
    pub column: Column,
    /// What it is about.
    pub topic: Topic,
    /// What stands there, shortened.
    pub text: String,
    /// What is wrong with it.
    pub cause: Words,
    /// What to do about it.
    pub cure: Words,
    /// What was probably meant, likeliest first.
    pub suggestions: Vec<String>,
}

impl Finding {
    /// How much it matters.
    pub const fn severity(&self) -> Severity {
        self.topic.severity()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {:?}: {}; {}",
            self.line, self.column, self.text, self.cause.english, self.cure.english
        )?;
        write!(
            f,
            " / 第 {} 行 {}：{}；{}",
            self.line,
            self.column.chinese(),
            self.cause.chinese,
            self.cure.chinese
        )?;
        if !self.suggestions.is_empty() {
            write!(f, " [{}]", self.suggestions.join(", "))?;
        }
        Ok(())
    }
}
