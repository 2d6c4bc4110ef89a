//! What searches share: ranked lists as they come from SQL.
//!
//! Uses: [`bridge`](crate::bridge). Used by: [`api`](crate::api). The legs themselves are SQL, in `sql/search/`.

pub mod ranked_lists;
