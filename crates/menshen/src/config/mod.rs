//! The one configuration file: from its text to a [`House`], or to everything wrong with it.
//!
//! ```text
//! text ──► document ──► file (as typed) ──► validate ──► house (as used)
//!          values and    serde, and every    defaults,
//!          places        wrong key by name   references, rules
//! ```
//!
//! [`parse`] reads no file and touches no hardware; only a time zone other than Asia/Shanghai
//! is looked up in the system's list. Whether secrets, programs and folders are there is asked
//! by `menshen check`, and again by the parts that use them.
//!
//! Invariant: passwords never stand in the file, and no message repeats one.

mod document;
mod file;
mod house;
#[cfg(test)]
pub(crate) mod mutation;
mod problem;
mod read;
mod size;
#[cfg(test)]
mod tests;
mod validate;

use std::path::Path;

use domain::{Language, Words};
use toml::Spanned;
use toml::de::DeTable;

use document::Document;
pub(crate) use house::{Barrier, House, Journald, Lane, Trusted};
pub(crate) use problem::{Place, Problem, Problems, Severity};
pub(crate) use size::ByteSize;
pub(crate) use validate::short;

/// Reads the file at `path`.
///
/// # Errors
/// [`Problems`] if it cannot be read, or with everything that is wrong with it.
pub(crate) fn load(path: &Path) -> Result<House, Problems> {
    parse(&text_of(path)?, &path.display().to_string())
}

/// The text of the file at `path`.
///
/// # Errors
/// [`Problems`] if it cannot be read or is no UTF-8 text.
pub(crate) fn text_of(path: &Path) -> Result<String, Problems> {
    let refused = |wrong: Words, cure: Words| Problems {
        file: path.display().to_string(),
        language: Language::default(),
        list: vec![Problem {
            severity: Severity::Error,
            place: None,
            key: String::new(),
            wrong,
            cure,
        }],
    };
    let bytes = std::fs::read(path).map_err(|error| {
        refused(
            Words::new(
                format!("无法读取配置文件: {error}"),
                format!("the configuration cannot be read: {error}"),
            ),
            Words::new(
                "用 --config 指明文件，并让本程序的用户可以读取它",
                "name the file with --config, and let the program's user read it",
            ),
        )
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        refused(
            Words::new(
                format!("第 {line} 行不是 UTF-8 文字"),
                format!("line {line} is not UTF-8 text"),
            ),
            Words::new(
                "在编辑器里另存为 UTF-8（不是 GBK）",
                "save it as UTF-8 (not GBK) in your editor",
            ),
        )
    })
}

/// Where `key`, written as in [`Problem::key`], stands in `text`; the innermost table around
/// it if the key itself was left out.
pub(crate) fn place_of(text: &str, key: &str) -> Option<Place> {
    let (root, _) = DeTable::parse_recoverable(text);
    let path = key
        .split('.')
        .fold(document::Path::default(), |path, step| {
            match step.strip_suffix(']').and_then(|step| step.split_once('[')) {
                Some((name, count)) => {
                    let count: usize = count.parse().unwrap_or(1);
                    path.key(name).index(count.saturating_sub(1))
                }
                None => path.key(step),
            }
        });
    Document { text, root }.place(&path)
}

/// Reads a configuration; `file` is the name it goes by in what is said about it.
///
/// # Errors
/// [`Problems`] with at least one error: mistakes of TOML if there are any, otherwise every
/// mistake that can be told apart in one go.
pub(crate) fn parse(text: &str, file: &str) -> Result<House, Problems> {
    let (root, mistakes) = DeTable::parse_recoverable(text);
    let language = language(&root);
    if !mistakes.is_empty() {
        let mut list: Vec<_> = mistakes
            .iter()
            .take(read::PROBLEMS_MAX)
            .map(|mistake| syntax(text, mistake))
            .collect();
        list.sort_by_key(|problem| problem.place);
        return Err(Problems {
            file: file.to_owned(),
            language,
            list,
        });
    }
    validate::house(&Document { text, root }, file, language)
}

/// The language the file asks for, whatever else is wrong with it.
fn language(root: &Spanned<DeTable<'_>>) -> Language {
    let asked = root
        .get_ref()
        .get("site")
        .and_then(|site| site.get_ref().as_table()?.get("language"))
        .and_then(|language| language.get_ref().as_str());
    match asked {
        Some("en") => Language::En,
        _ => Language::default(),
    }
}

/// Signs that a Chinese input method leaves where TOML wants ASCII.
const FULL_WIDTH: &str = "“”‘’＝［］｛｝，：＃　";

fn syntax(text: &str, mistake: &toml::de::Error) -> Problem {
    let offset = mistake.span().map_or(0, |span| span.start);
    let place = Place::of(text, offset);
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let message = mistake.message();
    let wide = line.chars().find(|c| FULL_WIDTH.contains(*c));
    let cure = if message.contains("duplicate") {
        Words::new(
            "同一个键或同一节只能写一次；车道和道闸用双方括号: [[lane]]、[[barrier]]",
            "write a key or table once; lanes and barriers are written with double brackets: [[lane]], [[barrier]]",
        )
    } else if let Some(wide) = wide {
        Words::new(
            format!("这一行有全角符号 {wide}，切换到英文输入法改成半角符号"),
            format!("this line has the full-width sign {wide}; type the ASCII one instead"),
        )
    } else {
        Words::new(
            "每行写 键 = 值，文字放在英文双引号里，表头写 [节] 或 [[节]]；写法见 config/menshen.toml",
            "write key = value on each line, texts in straight double quotes, headings as [table] or [[table]]; see config/menshen.toml",
        )
    };
    Problem {
        severity: Severity::Error,
        place: Some(place),
        key: String::new(),
        wrong: Words::new(
            format!("不符合 TOML 写法: {message}"),
            format!("this is not TOML: {message}"),
        ),
        cure,
    }
}
