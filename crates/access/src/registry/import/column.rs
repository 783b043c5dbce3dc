//! The columns of a register, and the words by which offices call them.

use std::fmt;

/// The columns of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// `plate`, 车牌.
    Plate,
    /// `owner`, 车主.
    Owner,
    /// `building`, 楼栋.
    Building,
    /// `unit`, 单元.
    Unit,
    /// `phone`, 电话.
    Phone,
    /// `valid_until`, 有效期至.
    ValidUntil,
    /// `household`, 户号.
    Household,
    /// `kind`, 号牌种类.
    Kind,
    /// `colour`, 颜色.
    Colour,
    /// `make`, 品牌.
    Make,
    /// `lease_until`, 租约至: a tenant's last day.
    LeaseUntil,
    /// `schedule`, 时段: the name of a weekly schedule.
    Schedule,
    /// `verified_by`, 核实人.
    VerifiedBy,
}

/// Columns that there are.
pub const COLUMNS: usize = 13;
/// Columns that every list should have; the others are for those who need them.
pub const ORDINARY: usize = 6;

impl Column {
    /// Every column in the order in which an export writes them; the first [`ORDINARY`] ones
    /// are always written.
    pub const ALL: [Self; COLUMNS] = [
        Self::Plate,
        Self::Owner,
        Self::Building,
        Self::Unit,
        Self::Phone,
        Self::ValidUntil,
        Self::Household,
        Self::Kind,
        Self::Colour,
        Self::Make,
        Self::LeaseUntil,
        Self::Schedule,
        Self::VerifiedBy,
    ];

    /// The name in an English header.
    pub const fn english(self) -> &'static str {
        match self {
            Self::Plate => "plate",
            Self::Owner => "owner",
            Self::Building => "building",
            Self::Unit => "unit",
            Self::Phone => "phone",
            Self::ValidUntil => "valid_until",
            Self::Household => "household",
            Self::Kind => "kind",
            Self::Colour => "colour",
            Self::Make => "make",
            Self::LeaseUntil => "lease_until",
            Self::Schedule => "schedule",
            Self::VerifiedBy => "verified_by",
        }
    }

    /// The name in a Chinese header.
    pub const fn chinese(self) -> &'static str {
        match self {
            Self::Plate => "车牌",
            Self::Owner => "车主",
            Self::Building => "楼栋",
            Self::Unit => "单元",
            Self::Phone => "电话",
            Self::ValidUntil => "有效期至",
            Self::Household => "户号",
            Self::Kind => "号牌种类",
            Self::Colour => "颜色",
            Self::Make => "品牌",
            Self::LeaseUntil => "租约至",
            Self::Schedule => "时段",
            Self::VerifiedBy => "核实人",
        }
    }

    /// Other words that lists in the field use for it.
    const fn also(self) -> &'static [&'static str] {
        match self {
            Self::Plate => &[
                "车牌号",
                "车牌号码",
                "号牌",
                "号牌号码",
                "车号",
                "plate number",
                "license plate",
            ],
            Self::Owner => &["姓名", "业主", "业主姓名", "车主姓名", "name"],
            Self::Building => &["楼号", "栋", "栋号", "楼", "幢"],
            Self::Unit => &["单元号", "单元室", "房号", "门牌", "room"],
            Self::Phone => &[
                "电话号码",
                "联系电话",
                "手机",
                "手机号",
                "手机号码",
                "联系方式",
                "telephone",
                "mobile",
            ],
            Self::ValidUntil => &["有效期", "到期日", "到期日期", "截止日期", "valid until"],
            Self::Household => &["住户", "住户编号"],
            Self::Kind => &["车牌种类", "号牌类型", "plate kind"],
            Self::Colour => &["车身颜色", "车色", "color"],
            Self::Make => &["车型", "品牌型号", "厂牌", "brand"],
            Self::LeaseUntil => &["租期至", "租约到期", "lease until"],
            Self::Schedule => &["准入时段", "时间表"],
            Self::VerifiedBy => &["核实", "核对人", "verified by"],
        }
    }

    /// The column that a heading names.
    pub(super) fn named(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|c| {
            text.eq_ignore_ascii_case(c.english())
                || text == c.chinese()
                || c.also().iter().any(|word| text.eq_ignore_ascii_case(word))
        })
    }

    pub(super) const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.english(), self.chinese())
    }
}
