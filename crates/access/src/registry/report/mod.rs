//! What was found in a list, for the person who has to mend it.
//!
//! [`html`] is a page to print or to read beside the table; [`xlsx`] is the list itself with the
//! cells in question coloured and explained, to be corrected in place and imported again.
//! Chinese comes first in both.

mod page;
mod workbook;

pub use page::html;
pub use workbook::xlsx;
