//! Labelled queries, by a query of the caller's: the only SQL that this library runs.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::Spi;
use pgrx::{PgLogLevel, PgSqlErrorCode};

/// Rows that are fetched at a time.
const FETCH: std::ffi::c_long = 1000;

/// Most labelled queries of an evaluation.
const MOST: usize = 1_000_000;

/// The rows of `sql`, whose first two columns are a query and its label; rows with a null are left out.
///
/// It runs with the rights and the `search_path` of the caller, as a read-only cursor: what its functions do is theirs.
/// Raises the errors of the SQL, and one when there are no rows or too many.
pub fn labelled_rows(sql: &str) -> Vec<(String, String)> {
    // The line break ends a comment that the query may end with.
    let sql = format!(
        "SELECT l.query::pg_catalog.text, l.label::pg_catalog.text FROM ({}\n) AS l (query, label)",
        sql.trim_end().trim_end_matches(';')
    );
    let rows = Spi::connect(|client| {
        let mut rows = Vec::new();
        let mut cursor = client.open_cursor(sql.as_str(), &[]);
        loop {
            let fetched = cursor.fetch(FETCH)?;
            if fetched.is_empty() {
                return Ok::<_, pgrx::spi::Error>(rows);
            }
            for row in fetched {
                if let (Some(query), Some(label)) = (row.get::<String>(1)?, row.get::<String>(2)?) {
                    rows.push((query, label));
                }
            }
            if rows.len() > MOST {
                return Ok(rows);
            }
        }
    });
    let refuse = |message: &'static str, detail: String, hint: &'static str| {
        ErrorReport::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, "")
            .set_detail(detail)
            .set_hint(hint)
            .report(PgLogLevel::ERROR);
    };
    let hint =
        "Give a query whose first two columns are a text and its label, such as SELECT query, label FROM judged.";
    match rows {
        Ok(rows) if rows.is_empty() => {
            refuse("there are no labelled queries", "The query gives no rows without nulls.".into(), hint);
        }
        Ok(rows) if rows.len() > MOST => {
            refuse(
                "there are too many labelled queries",
                format!("At most {MOST} are measured."),
                "Give a sample of them.",
            );
        }
        Ok(rows) => return rows,
        Err(error) => refuse("labelled queries cannot be read", format!("{error}."), hint),
    }
    Vec::new()
}
