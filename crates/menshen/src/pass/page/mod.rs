//! `menshen pass page`: one HTML file with which a guard's phone checks passes without a network.
//!
//! ```text
//! register ─► keys and list, no names ─┐
//! crate `phone`, as WebAssembly ───────┴─► page.html ─► a file to send to the guards
//! ```

use std::path::PathBuf;

use access::registry::export::write_in_place;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use jiff::{Timestamp, ZonedDateTime};
use phone::{List, Listed};

use super::ask::{Ask, Line};
use super::perform;
use crate::eval::html::Escaped;
use crate::outcome::{FOUND_WRONG, fail};
use crate::registry::Place;

const PAGE: &str = include_str!("page.html");
/// `crates/phone/build` makes it.
const PROGRAM: &[u8] = include_bytes!("../../../../phone/phone.wasm");

/// `menshen pass page`.
#[derive(Debug, Args)]
#[command(after_help = "\
Send the file to the guards' phones and open it in a browser; it needs no network and no app. It takes a
photo of a pass, or the text of its code, and says whether the pass holds.
  menshen pass page --out check.html

It knows what the register said when it was made: make it anew when passes were revoked or extended. It
holds numbers, plates and days of all passes, no names and no secret key.
把文件发到门岗手机上用浏览器打开，不需要网络和应用；注销、延期后请重新生成。不含姓名和私钥。")]
pub(crate) struct PageArgs {
    /// The file to write, .html / 输出文件
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The compound's name at the top; the site's name if absent / 小区名称
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &PageArgs) -> Result<(), u8> {
    let told = perform(&args.place, Ask::Page)?;
    if told.keys.is_empty() {
        return Err(fail(
            FOUND_WRONG,
            "no pass was printed yet, so there is nothing to check; print some with `menshen pass print` / 尚未打印过通行证",
        ));
    }
    let site = args.place.house()?.site;
    let title = args.title.clone().unwrap_or_else(|| site.name.to_string());
    let list = List {
        keys: told.keys,
        passes: told.passes.iter().map(listed).collect(),
    };
    let count = list.passes.len();
    let made = Timestamp::now().to_zoned_datetime(site.time_zone);
    let page = page(&title, &list, &made);
    let page = page.map_err(|e| fail(FOUND_WRONG, e))?;
    write_in_place(&args.out, page.as_bytes())
        .map_err(|e| fail(FOUND_WRONG, format_args!("{}: {e}", args.out.display())))?;
    println!(
        "{}: {count} passes; open it in a phone's browser / 共 {count} 张，用手机浏览器打开",
        args.out.display()
    );
    Ok(())
}

fn listed(line: &Line) -> Listed {
    let pass = &line.pass;
    Listed {
        number: pass.number,
        edition: pass.edition,
        from: pass.from,
        until: pass.until,
        bearer: pass.bearer.clone(),
        entries: pass.entries,
        used: line.used.map_or(0, |count| count.entries),
        revoked: pass.revoked.is_some(),
    }
}

fn page(title: &str, list: &List, made: &ZonedDateTime) -> Result<String, serde_json::Error> {
    // The only character that could end the element that it stands in.
    let json = serde_json::to_string(list)?.replace('<', "\\u003c");
    let made = made.strftime("%Y-%m-%d %H:%M").to_string();
    Ok(PAGE
        .replace("{{title}}", &Escaped(title).to_string())
        .replace("{{made}}", &made)
        .replace("{{count}}", &list.passes.len().to_string())
        .replace("{{program}}", &BASE64_STANDARD.encode(PROGRAM))
        .replace("{{list}}", &json))
}
